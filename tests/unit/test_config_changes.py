"""What a reload would change, what needs a restart, and what is refused."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from piyasad.config import Settings
from piyasad.config.changes import LIVE, RESTART, as_the_daemon_sees, diff, refusals, rows, unusable
from piyasad.config.load import default_config, default_data_dir, read
from piyasad.config.problems import Problem, refusal, refused
from piyasad.config.snapshot import LISTS, Snapshot, pack, snapshot, unpack

TOKEN = "7100000001:AAHx-y_zAAHx-y_zAAHx-y_zAAHx-y_zAAH"
RENEWED = "7100000001:BBHx-y_zAAHx-y_zAAHx-y_zAAHx-y_zAAH"
OTHER = "7100000002:CCHx-y_zAAHx-y_zAAHx-y_zAAHx-y_zAAH"


def settings(**sections: Any) -> Settings:
    return Settings.model_validate(sections)


def bot(name: str, **keys: Any) -> dict[str, Any]:
    return {"name": name, "username": f"{name}_bot", **keys}


def shot(env: Mapping[str, str] | None = None, overlay: Mapping[str, Any] | None = None, **sections: Any) -> Snapshot:
    """A snapshot that went through the store."""
    sections = {"store": {}} | sections
    sections["store"] = {"data_dir": str(default_data_dir(env or {}))} | sections["store"]
    made = snapshot(settings(**sections), env or {}, salt="salt", file="config.toml", overlay=overlay)
    return unpack(pack(made))


def plan(old: Snapshot, new: Snapshot) -> list[str]:
    return [str(row) for row in rows(diff(old, new))]


def problem(key: str, message: str) -> Problem:
    return Problem("config.toml", None, key, message)


def words(problems: list[Problem]) -> list[str]:
    return [f"{each.key}: {each.message}" for each in problems]


@pytest.mark.parametrize("text", ["", "x", "eJw=", "e30=", "💥", base64.b64encode(zlib.compress(b"{}")).decode()])
def test_what_is_no_snapshot_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError, match="configuration"):
        unpack(text)


# --- The two lists
def test_every_key_of_the_configuration_takes_effect_at_once_or_is_known_to_need_a_restart() -> None:
    keys = {
        f"{section}.{key}"
        for section in Settings.model_fields
        if section not in LISTS
        for key in type(getattr(Settings(), section)).model_fields
    }
    assert keys - LIVE - RESTART == set(), "put the new key into LIVE and see to it, or into RESTART"
    assert keys == LIVE | RESTART
    assert not LIVE & RESTART


def test_the_shipped_file_marks_the_keys_that_need_a_restart_and_no_others() -> None:
    marked, section = set(), ""
    for line in default_config().read_text(encoding="utf-8").splitlines():
        section = line[1:-1] if line.startswith("[") else section
        if "needs a restart" in line:
            marked.add(f"{section}.{line.removeprefix('# ').partition(' = ')[0]}")
    assert marked == RESTART


# --- The difference
def test_equal_configurations_change_nothing() -> None:
    changes = diff(shot(bots=[bot("anna")]), shot(bots=[bot("anna")]))
    assert not changes
    assert rows(changes) == []
    assert changes.bots.unchanged == ("anna",)


def test_the_shipped_file_is_equal_to_itself() -> None:
    shipped = read(default_config(), {}).settings
    first, again = (snapshot(shipped, {}, salt="a") for _ in range(2))
    assert not diff(unpack(pack(first)), again)


def test_bots_chats_and_providers_are_told_apart() -> None:
    route = {"route": ["groq"]}
    old = shot(
        bots=[bot("anna"), bot("bert"), bot("carl")],
        chats=[{"id": -1}, {"id": -2}],
        providers={"groq": {"rpm": 1}, "x": {"preset": "groq"}},
        gateway=route,
    )
    new = shot(
        bots=[bot("bert"), bot("carl", active_hours=["09:00-10:00"]), bot("dora", enabled=False)],
        chats=[{"id": -2, "title": "T"}, {"id": -3}],
        providers={"groq": {"rpm": 2}},
        gateway=route,
    )
    changes = diff(old, new)
    assert changes
    assert changes.bots.added == ("dora",)
    assert changes.bots.removed == ("anna",)
    assert changes.bots.changed == ("carl",)
    assert changes.bots.unchanged == ("bert",)
    assert (changes.chats.added, changes.chats.removed, changes.chats.changed) == (("-3",), ("-1",), ("-2",))
    assert (changes.providers.changed, changes.providers.removed) == (("groq",), ("x",))
    assert changes.settings == {}
    assert plan(old, new) == [
        "+ bot dora: disabled",
        "- bot anna",
        "~ bot carl: active_hours",
        "+ chat -3",
        "- chat -1",
        "~ chat -2: title",
        "- provider x",
        "~ provider groq: rpm",
    ]


def test_settings_are_shown_with_both_values_and_a_restart_is_said() -> None:
    new = shot(pace={"burstiness": 0.1}, http={"listen": "127.0.0.1:1"}, store={"postgres": "postgres://h/d"})
    changes = diff(shot(), new)
    assert list(changes.settings) == ["pace.burstiness", "store.postgres", "http.listen"]
    assert changes.restart == ("store.postgres", "http.listen")
    assert plan(shot(), new) == [
        "~ setting pace.burstiness: 0.6 → 0.1",
        '~ setting store.postgres: "" → "postgres://h/d" (needs a restart)',
        '~ setting http.listen: "127.0.0.1:9464" → "127.0.0.1:1" (needs a restart)',
    ]


def test_a_provider_that_enters_or_leaves_the_route_is_shown_though_it_has_no_section() -> None:
    old, new = shot(gateway={"route": ["groq", "openai"]}), shot(gateway={"route": ["gemini", "openai"]})
    assert plan(old, new)[:2] == ["+ provider gemini: $GEMINI_API_KEY is not set", "- provider groq"]
    written: dict[str, Any] = {"providers": {"groq": {"rpm": 1}}}
    outside = shot(**written, gateway={"route": ["openai"]})
    assert "~ provider groq: no longer in the route" in plan(shot(**written, gateway={"route": ["groq"]}), outside)


def test_a_new_persona_is_the_bots_persona_wherever_it_was_written() -> None:
    old, new = (shot(bots=[bot("anna", persona={"tone": tone})]) for tone in ("dry", "warm"))
    assert plan(old, new) == ["~ bot anna: persona"]


def test_a_key_that_an_older_daemon_does_not_know_counts_as_its_default() -> None:
    old = shot()
    del old["settings"]["pace.burstiness"]
    assert not diff(old, shot())
    assert plan(old, shot(pace={"burstiness": 0.1})) == ["~ setting pace.burstiness: 0.6 → 0.1"]


def test_what_the_daemons_environment_or_command_line_set_no_file_changes() -> None:
    env = {"PIYASAD_STORE__POSTGRES": "postgres://h/d", "PIYASAD_PROVIDERS__GROQ__RPM": "3"}
    overlay = {"http": {"listen": "127.0.0.1:1"}}
    groq: dict[str, Any] = {"gateway": {"route": ["groq"]}}
    old = shot(
        env,
        overlay,
        store={"postgres": "postgres://h/d"},
        http={"listen": "127.0.0.1:1"},
        providers={"groq": {"rpm": 3}},
        **groq,
    )
    assert not diff(old, shot(providers={"groq": {"rpm": 4}}, **groq))


# --- Tokens, keys, passwords
def with_token(token: str, variable: str = "T") -> Snapshot:
    return shot({variable: token} if token else {}, bots=[bot("anna", token_env=variable)])


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (TOKEN, TOKEN, []),
        (TOKEN, RENEWED, ["~ bot anna: other token in $T"]),
        (TOKEN, OTHER, ["~ bot anna: token of another account (7100000001 → 7100000002)"]),
        (TOKEN, "", ["~ bot anna: no token any more: $T is not set"]),
        ("", TOKEN, ["~ bot anna: token found in $T"]),
        ("", "", []),
    ],
)
def test_what_became_of_a_token_is_told_and_no_token_shown(before: str, after: str, expected: list[str]) -> None:
    old, new = with_token(before), with_token(after)
    assert plan(old, new) == expected
    for token in (TOKEN, RENEWED, OTHER):
        assert token.partition(":")[2] not in json.dumps([old, new])


def test_a_token_that_moved_to_another_place_is_shown_by_the_key_that_moved_it() -> None:
    assert plan(with_token(TOKEN), with_token(TOKEN, "U")) == ["~ bot anna: token_env"]


def test_changed_keys_are_told() -> None:
    route: dict[str, Any] = {"gateway": {"route": ["groq"]}}
    old, new = (shot({"GROQ_API_KEY": key}, **route) for key in ("gsk_one", "gsk_two"))
    assert plan(old, new) == ["~ provider groq: other keys in $GROQ_API_KEY"]
    assert "gsk_one" not in json.dumps(old)


def test_another_password_of_the_database_needs_a_restart_and_shows_nowhere() -> None:
    old, new = (shot(store={"postgres": f"postgres://u:{word}@h/d"}) for word in ("hunter2", "hunter3"))
    assert diff(old, new).restart == ("store.postgres",)
    assert "hunter" not in json.dumps([old, new]) + str(plan(old, new))


def test_prints_of_another_salt_tell_nothing() -> None:
    first = shot({"T": TOKEN}, bots=[bot("anna", token_env="T")])
    other = snapshot(settings(bots=[bot("anna", token_env="T")]), {"T": TOKEN}, salt="other")
    secrets = first["bots"]["anna"]["secrets"], other["bots"]["anna"]["secrets"]
    assert secrets[0] is not None
    assert secrets[1] is not None
    assert secrets[0]["prints"] != secrets[1]["prints"]


def test_another_process_does_not_mistake_the_daemons_variables_for_missing_ones() -> None:
    sections: dict[str, Any] = {"bots": [bot("anna", token_env="T")], "gateway": {"route": ["groq"]}}
    old = shot({"T": TOKEN, "GROQ_API_KEY": "k"}, **sections)
    new = as_the_daemon_sees(old, shot(**sections))
    assert not diff(old, new)
    assert unusable(new, problem)[0].key == "chats"
    renamed = shot(bots=[bot("anna", token_env="U")], gateway=sections["gateway"])
    assert plan(old, as_the_daemon_sees(old, renamed)) == ["~ bot anna: token_env, no token any more: $U is not set"]


def test_another_process_does_not_mistake_files_that_it_may_not_read_for_missing_ones() -> None:
    sections: dict[str, Any] = {"bots": [bot("anna")]}
    old, new = shot({"T": TOKEN}, **sections), shot(**sections)
    for each in (old, new):
        assert each["bots"]["anna"]["secrets"] is not None
    old["bots"]["anna"]["secrets"] |= {"places": ["/secrets/anna_bot"], "prints": ["ab"], "missing": ""}  # type: ignore[operator]
    assert diff(old, as_the_daemon_sees(old, new))
    new["bots"]["anna"]["secrets"]["unseen"] = True  # type: ignore[index]
    assert not diff(old, as_the_daemon_sees(old, new))


def test_a_bot_that_is_new_says_what_it_lacks() -> None:
    assert plan(shot(), with_token("")) == ["+ bot anna: $T is not set"]
    assert plan(shot(), with_token(TOKEN)) == ["+ bot anna"]


def test_a_renamed_bot_keeps_the_variable_that_the_daemon_has() -> None:
    old = with_token(TOKEN)
    new = as_the_daemon_sees(old, shot(bots=[bot("berta", token_env="T")]))
    assert plan(old, new) == ["+ bot berta", "- bot anna"]


def test_where_data_goes_by_default_is_the_daemons_own_matter() -> None:
    env = {"STATE_DIRECTORY": "/var/lib/private/piyasad"}
    old = shot(env)
    assert old["settings"]["store.data_dir"] == "/var/lib/private/piyasad"
    assert diff(old, shot())
    assert not diff(old, as_the_daemon_sees(old, shot()))
    written = shot(store={"data_dir": "/elsewhere"})
    assert diff(old, as_the_daemon_sees(old, written)).restart == ("store.data_dir",)


# --- Refusals
ROOM: dict[str, Any] = {"chats": [{"id": -1}], "bots": [bot("anna", token_env="T", chats=[-1])]}


def refused_with(env: Mapping[str, str] | None = None, **sections: Any) -> list[str]:
    new = shot({"T": TOKEN} if env is None else env, **(ROOM | sections))
    return words(refusals(diff(shot({"T": TOKEN}, **ROOM), new), new, problem))


def test_a_good_change_is_not_refused() -> None:
    assert refused_with(pace={"burstiness": 0.1}, telegram={"per_bot_per_second": 10}) == []


def test_each_key_that_needs_a_restart_is_named_with_what_to_do() -> None:
    assert refused_with(simulation={"seed": 7}, http={"listen": "127.0.0.1:1"}) == [
        "simulation.seed: needs a restart (0 → 7): restart the daemon, or put the old value back",
        'http.listen: needs a restart ("127.0.0.1:9464" → "127.0.0.1:1"): restart the daemon, or put the old value back',
    ]


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"bots": []}, ["bots: there is no bot: is the file whole? add a [[bots]] block"]),
        ({"bots": [bot("anna", token_env="T", enabled=False)]}, ["bots: no bot is enabled: enable one"]),
        ({"bots": [bot("anna", token_env="U")]}, ["bots: no enabled bot has a token (anna: $U is not set)"]),
        ({"chats": [], "bots": [bot("anna", token_env="T")]}, ["chats: there is no chat: is the file whole? add a [[chats]] block"]),
        ({"chats": [{"id": -1, "enabled": False}]}, ["chats: no chat is enabled: enable one"]),
    ],
)  # fmt: skip
def test_a_file_after_which_nobody_could_speak_is_refused(sections: dict[str, Any], expected: list[str]) -> None:
    assert refused_with(**sections) == expected


def test_one_of_two_bots_with_a_token_is_enough() -> None:
    assert refused_with(bots=[bot("anna"), bot("bert", token_env="T")]) == []


def test_a_daemon_starts_without_tokens_but_not_without_bots() -> None:
    parked = shot(chats=[{"id": -1, "enabled": False}], bots=[bot("anna")])
    assert unusable(parked, problem, starting=True) == []
    assert len(unusable(parked, problem)) == 2
    assert [each.key for each in unusable(shot(), problem, starting=True)] == ["bots", "chats"]


@pytest.mark.parametrize("text", ["", "# all gone\n", "[pace]\nburstiness = 0.1\n"], ids=repr)
def test_an_empty_or_truncated_file_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    loaded = read(file, {})
    new = snapshot(loaded.settings, {}, salt="salt")
    old = shot(**ROOM)
    found = refusals(diff(old, as_the_daemon_sees(old, new)), new, loaded.problem)
    assert [str(each) for each in found] == [
        f"{file}: bots: there is no bot: is the file whole? add a [[bots]] block",
        f"{file}: chats: there is no chat: is the file whole? add a [[chats]] block",
    ]


def test_a_refused_reload_says_that_the_old_configuration_stays_and_why() -> None:
    first, second = Problem("a.toml", 3, "pace.typing", "expected true or false"), Problem("", None, "store", "is away")
    assert refusal([first]) == (
        "reload refused, the old configuration stays: a.toml:3: pace.typing: expected true or false"
    )
    assert refusal([first, second]).endswith("(and 1 more)")
    assert refused(first) == {
        "file": "a.toml",
        "line": 3,
        "key": "pace.typing",
        "reason": "expected true or false",
        "note": "the old configuration stays",
    }
    assert refused(second) == {"key": "store", "reason": "is away", "note": "the old configuration stays"}
