"""Reading: files, includes, environment, overlay; every fault at once, each with its place and its cure."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from piyasad.config import Settings
from piyasad.config.load import ConfigError, default_config, default_data_dir, load, read
from piyasad.model import TimeRange

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str, name: str = "config.toml") -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    return write


def errors(file: Path, env: Mapping[str, str] | None = None, overlay: Mapping[str, Any] | None = None) -> list[str]:
    """Each fault as "file:line: key: message", the folder left out."""
    with pytest.raises(ConfigError) as caught:
        load(file, env or {}, overlay)
    return [str(problem).replace(f"{file.parent}{os.sep}", "") for problem in caught.value.problems]


def one(file: Path, env: Mapping[str, str] | None = None, overlay: Mapping[str, Any] | None = None) -> str:
    found = errors(file, env, overlay)
    assert len(found) == 1, found
    return found[0]


def bots(*names: str, chat: int = -1001) -> str:
    return f"[[chats]]\nid = {chat}\n" + "".join(
        f'[[bots]]\nname = "{name}"\nusername = "bot_{i}"\nchats = [{chat}]\n' for i, name in enumerate(names)
    )


# --- The file that is shipped


def test_the_shipped_file_is_fine_and_complete() -> None:
    file = default_config()
    settings = load(file, {})
    assert [bot.name for bot in settings.bots] == ["Mehmet Yatırımcı", "Ayşe Scalper", "Ali Hoca", "Zeynep Yeni"]
    assert [len(bot.active_hours) for bot in settings.bots] == [3, 1, 3, 1]
    text = file.read_text(encoding="utf-8")
    for section, field in Settings.model_fields.items():
        keys = getattr(field.annotation, "model_fields", {})
        missing = [key for key in keys if f"\n{key} = " not in text and f"\n# {key} = " not in text]
        assert section == "bot_defaults" or not missing, (section, missing)


def test_the_shipped_file_says_the_defaults() -> None:
    data = tomllib.loads(default_config().read_text(encoding="utf-8"))
    for section in data.keys() - {"include", "providers", "bot_defaults", "chats", "bots"}:
        written = getattr(Settings.model_validate({section: data[section]}), section)
        assert written == getattr(Settings(), section), section


def test_the_shipped_provider_says_its_preset() -> None:
    settings = load(default_config(), {})
    assert settings.provider("groq") == Settings().provider("groq")


# --- Faults


def test_all_faults_are_reported_at_once_with_their_lines(write: Write) -> None:
    file = write(
        """\
[pace]
mean_delay = 3
prime_hours = ["09:00-10:00", "25:00-26:00"]
hourly_limit = { min = 9, max = 3 }
[conversation]
reply_probability = -0.2
mean_delay_seconds = 3
[simulation]
active = "yes"
[[chats]]
id = 5
[[bots]]
name = "Ali"
username = "ali_bot"
[bots.persona]
hnit = "x"
"""
    )
    found = errors(file, {"PIYASAD_PACE__BURSTYNESS": "1", "PIYASAD_PACE__TYPING": "7"})
    assert [line.split(": ")[0:2] for line in found] == [
        ["config.toml:2", "pace.mean_delay"],
        ["config.toml:3", "pace.prime_hours[1]"],
        ["config.toml:4", "pace.hourly_limit"],
        ["config.toml:6", "conversation.reply_probability"],
        ["config.toml:7", "conversation.mean_delay_seconds"],
        ["config.toml:9", "simulation.active"],
        ["config.toml:11", "chats[0].id"],
        ["config.toml:16", "bots[0].persona.hnit"],
        ["environment", "PIYASAD_PACE__TYPING"],
        ["environment", "PIYASAD_PACE__BURSTYNESS"],
    ]
    with pytest.raises(ConfigError, match="the configuration has 10 errors"):
        load(file, {"PIYASAD_PACE__BURSTYNESS": "1", "PIYASAD_PACE__TYPING": "7"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[pcae]\nx = 1", "pcae: unknown key; did you mean pace?"),
        ("[pace]\nmean_delay_second = 3", "did you mean mean_delay_seconds?"),
        ("[simulation]\nburstiness = 1", "it belongs in [pace]"),
        ("[memory]\nqqqq = 1", "the nearest known one is"),
        ("[pace]\nhourly_limit = { mn = 1 }", "pace.hourly_limit.mn: unknown key; did you mean min?"),
        ("[bot_defaults.persona.style]\nadres = 'sen'", "did you mean address?"),
        ("[gateway]\nroute = ['grok']", "the nearest is 'groq'"),
        ("[providers.groq]\nmodl = 'x'", "did you mean model?"),
        ("[pace]\njitter = [1.0]", "two values"),
        ("[pace]\njitter = [1.0, 2.0, 3.0]", "jitter"),
        ("[pace]\nmean_delay_seconds = '30'", "expected a number (s; mean from turn to turn of one bot), found '30'"),
        ("[pace]\nmean_delay_seconds = 0", "expected at least 0.01"),
        ("[pace]\ntyping = 1", "expected true or false"),
        ("[conversation]\nhistory_messages = 1.5", "expected a whole number"),
        ("[conversation]\norder = 'x'", 'one of "natural", "round_robin", "pooled" or "manual"'),
        ("[chats]\nid = -1", "expected a list"),
        ("[pace]\nhourly_limit = 5", "expected a table"),
        ("[pace]\nmean_delay_seconds = nan", "expected a finite number"),
        ("[pace]\nmean_delay_seconds = 190", "pace.mean_delay_seconds: a mean of 190 s cannot come"),
        ("pace = 3", "expected a table"),
        ("providers = 3", "expected a table"),
        ("bots = 3", "expected a list"),
        ("bots = [3]", "expected a table"),
        ("store = 3", "expected a table"),
        ("include = 3", "expected a list of files"),
        ("include = ['no.toml']", "there is no such file"),
        ("[simulation]\ntimezone = 3", "a text in quotes"),
        ("[store]\ndata_dir = 3", "a path in quotes"),
        ("[store]\npostgres = 'mysql://u:secret@h'", "postgres://"),
        ("[disclosure]\nname_mark = ''", "at least 1 characters"),
        ("[disclosure]\nname_mark = 'aaaaaaaaaaaaaaaaaaaaaa'", "at most 16 characters"),
        ("[gateway]\nroute = []", "at least 1 of them"),
        ("[gateway]\nroute = ['groq', 'groq']", "stands in the route already"),
        ("[operator]\nbot = 'Ali'", "there is no bot 'Ali'"),
        ("[providers.x]\nrpm = 3", "providers.x.kind: is missing"),
        ("[providers.x]\nkind = 'openai'\nmodel = 'm'", "providers.x.base_url: is missing"),
        ("[providers.x]\nkind = 'openai'\nbase_url = 'http://a/v1'", "providers.x.model: is missing"),
        ("[providers.x]\npreset = 'gruq'", "there is no preset 'gruq'; the nearest is 'groq'"),
        ("[[bots]]\nname = 'A'", "bots[0].username: is missing"),
        ("a = 1\na = 2", "config.toml:2: broken TOML"),
        ("a = \nb = 2", "config.toml:1: broken TOML at column 5"),
        ("[pace\n", "config.toml:1: broken TOML at column 6"),
    ],
)
def test_a_fault_names_its_cure(write: Write, text: str, words: str) -> None:
    assert words in one(write(text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (bots("Işıl", "IŞIL"), "'IŞIL' is the same name as bots[0].name (FILE:4)"),
        (bots("İlke", "ilke"), "is the same name as"),
        (bots("A", "B").replace("bot_1", "@BOT_0"), "is the same username as"),
        (
            bots("A") + "token_env = 'T'\n" + bots("B", chat=-1002).replace("bot_0", "bot_9") + "token_env = 'T'",
            "token",
        ),
        (bots("A") + "[[chats]]\nid = -1001", "is the same chat as"),
        (bots("A").replace("chats = [-1001]", "chats = [-1002]"), "-1002 is not listed; add it as [[chats]]"),
        (bots("A", "B") + "persona.relations = [{ bot = 'b', text = 'x' }]", "no relation to itself"),
        (bots("A") + "token_env = 'T'\ntoken_file = 't'", "keep one of the two"),
    ],
)
def test_what_must_agree_between_tables(write: Write, text: str, words: str) -> None:
    file = write(text)
    assert words.replace("FILE", str(file)) in one(file).replace("config.toml:4)", f"{file}:4)")


def test_a_relation_may_name_a_username(write: Write) -> None:
    load(write(bots("A", "B") + "persona.relations = [{ bot = '@BOT_0', text = 'x' }]"), {})


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Aysa", "there is no bot 'Aysa'; the nearest is 'Ayşe'; the relation has no effect"),
        ("Mehmet", "there is no bot 'Mehmet'; the relation has no effect"),  # nobody's name is anywhere near
    ],
)
def test_a_relation_to_a_bot_that_is_gone_is_a_warning_and_names_the_nearest_only_if_it_is_near(
    write: Write, name: str, words: str
) -> None:
    file = write(bots("Ayşe", "B") + f"[[bots.persona.relations]]\nbot = '{name}'\ntext = 'x'")
    loaded = read(file, {})
    (warning,) = loaded.warnings
    assert str(warning) == f"{file}:12: bots[1].persona.relations[0].bot: {words}"
    assert [bot.name for bot in loaded.settings.bots] == ["Ayşe", "B"]


def test_the_shipped_file_lives_without_any_of_its_bots(write: Write) -> None:
    text = default_config().read_text(encoding="utf-8")
    head, *blocks = text.split("\n[[bots]]\n")
    assert len(blocks) == 4
    for gone in range(4):
        kept = [block for i, block in enumerate(blocks) if i != gone]
        loaded = read(write("\n[[bots]]\n".join((head, *kept))), {})
        assert len(loaded.settings.bots) == 3
        assert all("the relation has no effect" in warning.message for warning in loaded.warnings)


@pytest.mark.parametrize(
    "cut", ["[[bots]]\nname = 'A", "[[bo", "[pace]\nburst", "[pace]\nburstiness = ", "x = [1,\n2,\n"], ids=repr
)
def test_a_file_cut_off_in_the_middle_is_named_with_its_last_line_and_the_cure(write: Write, cut: str) -> None:
    text = "[simulation]\nscale = 1.0\n" + cut
    last = text.rstrip().count("\n") + 1
    assert one(write(text)).startswith(f"config.toml:{last}: broken TOML at the end of the file: ")
    assert one(write(text)).endswith("; the file breaks off here: save it whole")


def test_a_file_cut_off_in_the_middle_of_a_letter_is_named_so(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes("[pace]\n# ş".encode()[:-1])
    assert one(file) == "config.toml:2: not UTF-8; the file breaks off here: save it whole"


def test_the_place_of_a_key_is_known(write: Write) -> None:
    file = write("[pace]\nburstiness = 0.1\n")
    loaded = read(file, {"PIYASAD_HTTP__LISTEN": "127.0.0.1:1"})
    assert str(loaded.problem("pace.burstiness", "x")) == f"{file}:2: pace.burstiness: x"
    assert str(loaded.problem("pace.typing", "x")) == f"{file}:1: pace.typing: x"
    assert str(loaded.problem("store.redis", "x")) == f"{file}: store.redis: x"
    assert str(loaded.problem("http.listen", "x")) == "environment: PIYASAD_HTTP__LISTEN: x"


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    assert "there is no such file; write one, or start from" in one(tmp_path / "config.toml")


def test_a_folder_or_a_foreign_encoding_is_refused(tmp_path: Path, write: Write) -> None:
    assert "cannot be read: Is a directory" in one(tmp_path)
    file = write("")
    file.write_bytes("a = 1\nb = 'ı'".encode("iso-8859-9"))
    assert "config.toml:2: not UTF-8" in one(file)


def test_windows_files_are_read(write: Write) -> None:
    file = write("")
    file.write_bytes("\ufeff[pace]\r\nburstiness = 0.5\r\nx = 1\r\n".encode())
    assert "config.toml:3: pace.x" in one(file)


# --- Secrets


@pytest.mark.parametrize(
    "text",
    [
        bots("A") + "token = '123456:AAHsecretsecretsecretsecretsecret'",
        "[providers.groq]\napi_key = 'gsk_secretsecretsecretsecret'",
        bots("A") + "token_env = '123456:AAHsecretsecretsecretsecretsecret'",
        "[providers.groq]\napi_key_env = 'gsk-secretsecretsecretsecret'",
        "[simulation]\ntimezone = '123456:AAHsecretsecretsecretsecretsecret'",
        "[store]\npostgres = 'secretsecretsecret'",
        "[http]\nadmin_token = 'secret secret'",
        bots("A")
        + "token_env = 'se cret'\n"
        + bots("B", chat=-1002).replace("bot_0", "bot_9")
        + "token_env = 'se cret'",
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(write: Write, text: str) -> None:
    found = "\n".join(errors(write(text)))
    assert "secretsecret" not in found
    assert "se cret" not in found


def test_a_secret_in_clear_is_refused_with_the_cure(write: Write) -> None:
    found = one(write(bots("A") + "token = '123456:x'"))
    assert "a secret never stands in the file" in found
    assert "token_env" in found
    assert "token_file" in found


def test_two_bots_of_one_account_are_refused_wherever_their_tokens_stand(write: Write, tmp_path: Path) -> None:
    for name, token in (("bot_0", "123456:abc"), ("bot_1", "123456:renewed"), ("bot_2", "123457:abc")):
        (tmp_path / name).write_text(token)
        (tmp_path / name).chmod(0o600)
    file = write("[secrets]\ndir = '.'\n" + bots("A", "B", "C"))
    assert "B has a token of the same account as A" in one(file)
    (tmp_path / "bot_1").write_text("123458:abc")
    load(file, {})


def test_two_bots_with_one_token_are_refused(write: Write) -> None:
    file = write(bots("A", "B") + "token_env = 'TWO'\n")
    file.write_text(file.read_text().replace('username = "bot_0"', 'username = "bot_0"\ntoken_env = "ONE"'))
    found = one(file, {"ONE": "123456:abc", "TWO": "123456:abd"})
    assert "B has a token of the same account as A" in found
    load(file, {"ONE": "123456:abc", "TWO": "123457:abc"})


# --- Includes


def test_included_files_add_up(write: Write) -> None:
    write(bots("A") + "[pace]\ntyping = false", "bots.d/1.toml")
    write('[[bots]]\nname = "B"\nusername = "bot_b"\nchats = [-1001]\n[providers.x]\npreset = "groq"', "bots.d/2.toml")
    settings = load(write('include = ["bots.d/*.toml"]\n[pace]\nburstiness = 0.1'), {})
    assert [bot.name for bot in settings.bots] == ["A", "B"]
    assert (settings.pace.typing, settings.pace.burstiness) == (False, 0.1)


def test_a_value_set_in_two_files_names_both_places(write: Write) -> None:
    write("[pace]\n\nburstiness = 0.2", "b.toml")
    found = one(write('include = "b.toml"\n[pace]\nburstiness = 0.1'))
    assert found.startswith("b.toml:3: pace.burstiness: is set in ")
    assert "config.toml:3 too" in found


def test_faults_of_an_included_file_name_that_file(write: Write) -> None:
    write('[[bots]]\nname = "B"\nusername = "bot_b"\nx = 1', "b.toml")
    write("[pace]\nburstiness = 7", "sub/c.toml")
    found = errors(write('include = ["b.toml", "sub/c.toml"]\n' + bots("A")))
    assert [line.split(" ")[0:2] for line in found] == [
        ["b.toml:4:", "bots[0].x:"],
        ["sub/c.toml:2:", "pace.burstiness:"],
    ]


def test_a_broken_included_file_is_reported_with_the_faults_of_the_others(write: Write) -> None:
    write("a = ", "b.toml")
    found = errors(write('include = ["b.toml"]\n[pace]\nburstiness = 7'))
    assert [line.split(":")[0:2] for line in found] == [["b.toml", "1"], ["config.toml", "3"]]


def test_files_that_include_each_other_are_read_once(write: Write) -> None:
    write('include = ["config.toml"]', "b.toml")
    load(write('include = ["b.toml", "none.d/*.toml"]\n' + bots("A")), {})


# --- Bot defaults


def test_bot_defaults_reach_every_bot_table_by_table(write: Write) -> None:
    settings = load(
        write(
            """
[bot_defaults]
active_hours = ["09:00-10:00"]
pace = { multiplier = 2, mean_delay_seconds = 50 }
persona = { tone = "sakin", watchlist = ["A"] }
"""
            + bots("A", "B")
            + 'pace = { multiplier = 3 }\npersona = { watchlist = ["B"] }\nactive_hours = []\n'
        ),
        {},
    )
    first, second = settings.bots
    assert first.active_hours == (TimeRange(540, 600),)
    assert second.active_hours == ()
    assert (second.pace.multiplier, second.pace.mean_delay_seconds) == (3, 50)
    assert (second.persona.tone, second.persona.watchlist) == ("sakin", ("B",))


def test_a_fault_in_bot_defaults_is_reported_once(write: Write) -> None:
    found = one(write("[bot_defaults]\npersona = { tone = 5 }\n" + bots("A", "B")))
    assert found.startswith("config.toml:2: bot_defaults.persona.tone:")


def test_a_bots_own_token_place_replaces_the_default_one(write: Write) -> None:
    settings = load(write("[bot_defaults]\ntoken_env = 'T'\n" + bots("A") + "token_file = 't'"), {})
    assert settings.bots[0].token_env is None


# --- Environment


def test_the_environment_overrides_every_section(write: Write) -> None:
    env = {
        "PIYASAD_PACE__MEAN_DELAY_SECONDS": "3",
        "PIYASAD_PACE__PRIME_HOURS": "09:00-10:00, 11:00-12:00",
        "PIYASAD_PACE__HOURLY_LIMIT__MIN": "2",
        "PIYASAD_PACE__JITTER": "0.5, 1",
        "PIYASAD_PACE__TYPING": "False",
        "PIYASAD_PACE__TYPING_CPS": "{ min = 1, max = 2 }",
        "PIYASAD_PROVIDERS__GROQ__MODEL": "llama",
        "PIYASAD_PROVIDERS__GROQ__RPM": "7",
        "PIYASAD_GATEWAY__ROUTE": "groq,openai",
        "PIYASAD_STORE__POSTGRES": "",
        "PIYASAD_CONVERSATION__ORDER": "manual",
        "PIYASAD_OPERATOR__TELEGRAM_IDS": "[1, 2]",
        "PIYASAD_BOT_DEFAULTS__PACE__MULTIPLIER": "2",
        "PIYASAD_DISCLOSURE__NOTICE": "123",
        "PIYASAD_HOME": "ignored",
        "PIYASAD_TOKEN_ALI": "1:x",
        "OTHER__X": "ignored",
    }
    settings = load(write("[pace]\nmean_delay_seconds = 5\n[providers.Groq]\npreset = 'groq'\n" + bots("A")), env)
    assert settings.pace.mean_delay_seconds == 3
    assert settings.pace.prime_hours == (TimeRange(540, 600), TimeRange(660, 720))
    assert settings.pace.hourly_limit.min == 2
    assert settings.pace.jitter == (0.5, 1)
    assert not settings.pace.typing
    assert settings.pace.typing_cps.max == 2
    assert (settings.providers["Groq"].model, settings.providers["Groq"].rpm) == ("llama", 7)
    assert settings.gateway.route == ("groq", "openai")
    assert settings.conversation.order == "manual"
    assert settings.operator.telegram_ids == (1, 2)
    assert settings.bots[0].pace.multiplier == 2
    assert settings.disclosure.notice == "123"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PIYASAD_PACEE__X", "1", "did you mean pace?"),
        ("PIYASAD_PACE__BURSTYNESS", "1", "did you mean burstiness?"),
        ("PIYASAD_PACE__BURSTINESS", "2", "expected at most 1"),
        ("PIYASAD_PACE__BURSTINESS", "much", "expected a number"),
        ("PIYASAD_PACE__BURSTINESS__X", "2", "expected a number"),
        ("PIYASAD_BOTS__0__NAME", "x", "cannot be set from the environment"),
        ("PIYASAD_PROVIDERS__GROQ__API_KEY", "gsk_x", "a secret never stands in the file"),
    ],
)
def test_a_fault_in_the_environment_names_the_variable(write: Write, name: str, value: str, words: str) -> None:
    found = one(write(bots("A")), {name: value})
    assert found.startswith(f"environment: {name}")
    assert words in found


# --- Overlay


def test_an_overlay_lies_on_top_of_everything(write: Write) -> None:
    file = write("[pace]\nburstiness = 0.1\ntyping = false\n" + bots("A", "B") + "token_env = 'T'\n")
    overlay = {
        "pace": {"burstiness": 0.3},
        "chats": [{"id": -1009}],
        "bots": [
            {"name": "*", "chats": [-1009], "active_hours": [], "token_env": None},
            {"name": "b", "pace": {"multiplier": 4}},
            {"name": "C", "username": "bot_c"},
        ],
        "gateway": {"route": ["offline"]},
    }
    settings = load(file, {"PIYASAD_PACE__BURSTINESS": "0.2"}, overlay)
    assert (settings.pace.burstiness, settings.pace.typing) == (0.3, False)
    assert [chat.id for chat in settings.chats] == [-1009]
    assert [bot.name for bot in settings.bots] == ["A", "B", "C"]
    assert [bot.chats for bot in settings.bots] == [(-1009,), (-1009,), ()]
    assert [bot.pace.multiplier for bot in settings.bots] == [1, 4, 1]
    assert settings.bots[1].token_env is None


@pytest.mark.parametrize("overlay", [{"bots": 3}, {"pace": {"burstiness": 3}}, {"bots": [{"name": "*", "chats": 3}]}])
def test_a_fault_in_an_overlay_is_named_so(write: Write, overlay: dict[str, Any]) -> None:
    assert one(write(bots("A")), {}, overlay).startswith("overlay: ")


# --- Paths


def test_paths_are_meant_from_the_file_they_stand_in(write: Write, tmp_path: Path) -> None:
    write(bots("A") + 'token_file = "t"', "sub/b.toml")
    settings = load(
        write(
            'include = "sub/b.toml"\n[store]\ndata_dir = "d"\n[secrets]\ndir = "~/s"\n'
            '[providers.groq]\napi_key_file = ["k"]'
        ),
        {"HOME": "/home/x"},
    )
    assert settings.store.data_dir == tmp_path / "d"
    assert settings.secrets.dir == Path("/home/x/s")
    assert settings.bots[0].token_file == tmp_path / "sub/t"
    assert settings.providers["groq"].api_key_file == (tmp_path / "k",)


def test_a_single_key_file_is_meant_from_the_file_too(write: Write, tmp_path: Path) -> None:
    settings = load(write('[providers.groq]\napi_key_file = "k"'), {})
    assert settings.providers["groq"].api_key_file == (tmp_path / "k",)


def test_data_goes_where_the_service_manager_or_the_user_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_data_dir({"STATE_DIRECTORY": "/a:/b"}) == Path("/a")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_data_dir({"HOME": "/root"}) == Path("/var/lib/piyasad")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert default_data_dir({"HOME": "/h"}) == Path("/h/.local/state/piyasad")
    assert default_data_dir({"HOME": "/h", "XDG_STATE_HOME": "/s"}) == Path("/s/piyasad")


# --- Whatever is written, the answer is settings or a list of faults

junk: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(-(2**63), 2**63),
        st.floats(),
        st.text(max_size=5),
        st.dates(),
        st.sampled_from(["09:00-10:00", "groq", "offline", "Ali Hoca", -1001234567890]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


def paths(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every path of tables down to the values, from the root of a document."""
    if not isinstance(value, dict):
        return [path]
    return [path] * bool(path) + [deeper for key, inner in value.items() for deeper in paths(inner, (*path, key))]


@settings_of_hypothesis(max_examples=200, deadline=None)
@given(data=st.data())
def test_junk_in_any_place_is_a_fault_or_fine_and_never_a_crash(data: st.DataObject) -> None:
    document = tomllib.loads(default_config().read_text(encoding="utf-8"))
    bot = document.pop("bots")[0]
    where = data.draw(st.sampled_from([*paths(document), *(("bots", *path) for path in paths(bot))]))
    value = data.draw(junk)
    for key in reversed(where[1:]):
        value = {key: value}
    change = [{"name": "Ali Hoca", **value}] if where[0] == "bots" else value
    try:
        load(default_config(), {}, {where[0]: change})
    except ConfigError as error:
        assert all(problem.message for problem in error.problems)  # noqa: PT017
