"""What `status`, `bots`, `chats` and `plan` say of daemons on the store in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from piyasad.commands.plan import plan
from piyasad.commands.status import bots, chats, state
from piyasad.commands.view import View, look
from piyasad.config.load import Loaded, read
from piyasad.config.snapshot import Snapshot, pack, snapshot
from piyasad.model import DaemonRow, Draft, Kind, Received, State, TurnTrace
from piyasad.store.in_memory import InMemoryStore, MemoryDatabase
from tests.virtual import NOON, HandClock

CHAT = -1001234567890
ALI, AYSE, GONE = 7100000001, 7100000002, 7100000009
TOKENS = {"ALI": f"{ALI}:{'A' * 35}", "AYSE": f"{AYSE}:{'B' * 35}"}
CONFIG = f"""
[gateway]
route = ["offline"]
[[chats]]
id = {CHAT}
title = "Oda"
[[bots]]
name = "Ali Hoca"
username = "ali_bot"
token_env = "ALI"
chats = [{CHAT}]
active_hours = ["09:00-12:00"]
[[bots]]
name = "Ayşe"
username = "ayse_bot"
token_env = "AYSE"
chats = [{CHAT}]
"""


class Daemons:
    """Daemons on one database that they all enter, take bots in and report to."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.database = MemoryDatabase(self.clock)
        self.eye = InMemoryStore(self.database)

    async def start(
        self,
        name: str,
        *,
        shard: tuple[int, int] = (0, 1),
        takes: tuple[tuple[int, str, str], ...] = (),
        runs: Snapshot | None = None,
        **report: Any,
    ) -> InMemoryStore:
        store = InMemoryStore(self.database)
        await store.enter(DaemonRow(name, *shard, "evim", len(name) * 100 + shard[0], "hash", 0.0, True, ""), ttl=600.0)
        await store.take(name, list(takes))
        await store.report(name, report | ({"configuration": pack(runs)} if runs is not None else {}))
        return store

    async def view(self, loaded: Loaded | None = None, env: Mapping[str, str] | None = None) -> View:
        return await look(self.eye, loaded, env or {})


@pytest.fixture
def daemons() -> Daemons:
    return Daemons()


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    return load(tmp_path, CONFIG)


def load(folder: Path, text: str) -> Loaded:
    file = folder / "config.toml"
    file.write_text(text)
    return read(file, {})


def running(loaded: Loaded, env: Mapping[str, str] = TOKENS, **more: Any) -> Snapshot:
    """What a daemon with these tokens runs with."""
    return snapshot(loaded.settings, env, salt="salt", file=loaded.file, **more)


TAKEN = (ALI, "Ali Hoca", "ali_bot"), (AYSE, "Ayşe", "ayse_bot")


def by_name(rows: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    return {row["name"]: (row["state"], row["reason"]) for row in rows}


# --- bots
async def test_an_active_bot_has_its_id_and_the_daemon_that_holds_it_by_shard_host_and_process(
    daemons: Daemons, loaded: Loaded
) -> None:
    await daemons.start("d", takes=TAKEN, runs=running(loaded))
    ali, ayse = bots(await daemons.view(loaded))
    assert ali == {
        "id": ALI,
        "name": "Ali Hoca",
        "username": "@ali_bot",
        "chats": str(CHAT),
        "active_hours": "09:00-12:00",
        "state": "active",
        "owner": "0/1 evim 100",
        "reason": "",
    }
    assert (ayse["active_hours"], ayse["owner"]) == ("always", "0/1 evim 100")


async def test_a_bot_without_a_token_is_parked_as_the_daemon_says_not_as_this_command_sees_it(
    daemons: Daemons, loaded: Loaded
) -> None:
    await daemons.start("d", takes=TAKEN[:1], runs=running(loaded, {"ALI": TOKENS["ALI"]}))
    assert by_name(bots(await daemons.view(loaded, TOKENS))) == {
        "Ali Hoca": ("active", ""),
        "Ayşe": ("parked", "$AYSE is not set"),
    }


async def test_a_bot_that_was_active_before_its_token_went_is_parked(daemons: Daemons, loaded: Loaded) -> None:
    store = await daemons.start("d", takes=TAKEN, runs=running(loaded))
    await store.free("d", [AYSE])
    await store.report("d", {"configuration": pack(running(loaded, {"ALI": TOKENS["ALI"]}))})
    assert by_name(bots(await daemons.view()))["Ayşe"] == ("parked", "$AYSE is not set")


async def test_a_bot_that_telegram_refused_is_parked_with_the_reason(daemons: Daemons, loaded: Loaded) -> None:
    store = await daemons.start("d", takes=TAKEN, runs=running(loaded))
    await store.set_bot_state(AYSE, "parked", "Unauthorized: get a new token from @BotFather")
    await store.free("d", [AYSE])
    assert by_name(bots(await daemons.view()))["Ayşe"] == ("parked", "Unauthorized: get a new token from @BotFather")


async def test_a_held_bot_that_may_not_speak_says_why(daemons: Daemons, loaded: Loaded) -> None:
    await daemons.start("d", takes=TAKEN, runs=running(loaded), silent={"Ayşe": "TOPIC_CLOSED: open the topic"})
    assert by_name(bots(await daemons.view()))["Ayşe"] == ("silent", "TOPIC_CLOSED: open the topic")


async def test_a_bot_that_nobody_holds_is_free_and_a_disabled_one_disabled(daemons: Daemons, tmp_path: Path) -> None:
    text = CONFIG.replace('username = "ayse_bot"', 'username = "ayse_bot"\nenabled = false')
    await daemons.start("d", runs=running(load(tmp_path, text)))
    assert by_name(bots(await daemons.view())) == {
        "Ali Hoca": ("free", "no daemon holds it"),
        "Ayşe": ("disabled", "enabled = false"),
    }


async def test_a_removed_bot_is_no_longer_among_the_bots(daemons: Daemons, loaded: Loaded) -> None:
    store = await daemons.start("d", takes=(*TAKEN, (GONE, "Eski", "eski_bot")), runs=running(loaded))
    shown = by_name(bots(await daemons.view()))
    assert shown["Eski"] == ("active", "held, but in no configuration that is known here")
    await store.free("d", [GONE])
    view = await daemons.view()
    assert list(by_name(bots(view))) == ["Ali Hoca", "Ayşe"]
    assert (await state(daemons.eye, view))["former"] == [{"id": GONE, "name": "Eski", "username": "@eski_bot"}]


async def test_two_accounts_under_one_name_are_told_apart(daemons: Daemons, loaded: Loaded) -> None:
    old = await daemons.start("d", takes=((GONE, "Ali Hoca", "ali_bot"),))
    await old.leave("d", "drained")
    await daemons.start("e", takes=TAKEN, runs=running(loaded))
    view = await daemons.view()
    assert [row["id"] for row in bots(view)] == [ALI, AYSE]
    assert [row.id for row in view.former] == [GONE]


async def test_what_the_file_says_and_the_daemon_does_not_yet_run_is_told(
    daemons: Daemons, loaded: Loaded, tmp_path: Path
) -> None:
    await daemons.start("d", takes=TAKEN, runs=running(loaded))
    changed = load(tmp_path, CONFIG.replace("Ayşe", "Zeynep").replace("ayse", "zeynep"))
    assert by_name(bots(await daemons.view(changed))) == {
        "Ali Hoca": ("active", ""),
        "Zeynep": ("new", "not loaded yet: piyasad reload"),
        "Ayşe": ("active", "no longer in the file: piyasad reload"),
    }


async def test_another_daemons_file_says_nothing_of_this_one(daemons: Daemons, loaded: Loaded, tmp_path: Path) -> None:
    await daemons.start("d", takes=TAKEN, runs=running(loaded))
    (tmp_path / "other").mkdir()
    other = load(tmp_path / "other", CONFIG.replace("Ali Hoca", "Başka").replace("ali_bot", "baska_bot"))
    assert list(by_name(bots(await daemons.view(other)))) == ["Ali Hoca", "Ayşe"]


async def test_nothing_of_it_needs_a_readable_file(daemons: Daemons, loaded: Loaded) -> None:
    await daemons.start("d", takes=TAKEN, runs=running(loaded))
    view = await daemons.view(None)
    assert len(bots(view)) == 2
    assert [(row["id"], row["title"]) for row in chats(view)] == [(CHAT, "Oda")]


async def test_an_older_daemon_that_does_not_say_what_it_runs_is_filled_in_from_the_file(
    daemons: Daemons, loaded: Loaded
) -> None:
    await daemons.start("d", takes=TAKEN)
    assert by_name(bots(await daemons.view(loaded))) == {"Ali Hoca": ("active", ""), "Ayşe": ("active", "")}


async def test_the_file_alone_is_shown_without_a_daemon(loaded: Loaded) -> None:
    view = View.of_file(loaded, {"ALI": TOKENS["ALI"]})
    assert by_name(bots(view)) == {"Ali Hoca": ("free", ""), "Ayşe": ("parked", "$AYSE is not set")}
    assert chats(view)[0]["notice"] == "never"


# --- daemons
async def test_standby_and_what_has_ended_are_named(daemons: Daemons, loaded: Loaded) -> None:
    ended = await daemons.start("ended")
    await ended.leave("ended", "drained in 1.0 s, cut off 0")
    await daemons.start("first", takes=TAKEN, runs=running(loaded))
    await daemons.start("waits", runs=running(loaded))
    shown = (await state(daemons.eye, await daemons.view()))["daemons"]
    assert sorted((row["pid"], row["role"], row["bots"], row["drain"]) for row in shown) == [
        (500, "active", 2, ""),
        (500, "ended", 0, "drained in 1.0 s, cut off 0"),
        (500, "standby", 0, ""),
    ]


async def test_only_the_last_daemons_that_ended_are_shown(daemons: Daemons) -> None:
    for number in range(9):
        name = "d" * (number + 1)
        await (await daemons.start(name)).leave(name, "drained")
        daemons.clock.advance(1)
    assert len((await state(daemons.eye, await daemons.view()))["daemons"]) == 5


async def test_missing_shards_and_those_that_count_otherwise_are_named(daemons: Daemons, loaded: Loaded) -> None:
    await daemons.start("a", shard=(0, 4))
    await daemons.start("b", shard=(2, 4))
    await daemons.start("c", shard=(0, 2))
    assert (await state(daemons.eye, await daemons.view()))["missing"] == [
        "missing: 1/4, 3/4; start piyasad run --shard 1/4, its bots are silent",
        "counted otherwise: 0/2; all must be started with the same count",
    ]
    assert (await state(InMemoryStore(MemoryDatabase(HandClock())), await Daemons().view()))["missing"] == []


# --- turns, limits, messages, chats
async def test_every_silent_turn_is_counted_by_its_reason(daemons: Daemons, loaded: Loaded) -> None:
    store = await daemons.start("d", takes=TAKEN, runs=running(loaded))
    outcomes = (
        [("silence", "quiet_hours")] * 3 + [("topic", "no_slot")] + [("topic", "sent")] + [("reply", "uncertain")]
    )
    now = await store.now()
    store.record_turns(
        [TurnTrace(str(i), ALI, CHAT, now - 60, intent, outcome, {}) for i, (intent, outcome) in enumerate(outcomes)]
    )
    store.record_turns([TurnTrace("old", ALI, CHAT, now - 90_000, "silence", "quiet_hours", {})])
    assert (await state(daemons.eye, await daemons.view()))["silences"] == [
        {"intent": "silence", "reason": "quiet_hours", "turns": 3},
        {"intent": "topic", "reason": "no_slot", "turns": 1},
    ]


async def test_every_time_is_in_the_configured_zone_which_is_named(daemons: Daemons, tmp_path: Path) -> None:
    tokyo = load(tmp_path, '[simulation]\ntimezone = "Asia/Tokyo"' + CONFIG)
    limit = {"provider": "groq", "model": "m", "state": "open", "name": "rpm", "limit": 30, "left": 12}
    store = await daemons.start(
        "d",
        takes=TAKEN,
        runs=running(tokyo),
        gateway={"stretch": 2.5, "forecast": ["4 bots"], "limits": [limit | {"source": "a refusal", "at": NOON}]},
        resting=[{"bot": AYSE, "chat": CHAT, "until": NOON + 60, "reason": "CHAT_RESTRICTED: give it the right to write"}],
    )  # fmt: skip
    await store.ensure_chats([CHAT])
    await store.set_ear(CHAT, None, ALI)
    await store.claim_notice(CHAT, NOON, NOON - 60)
    await store.receive([Received(CHAT, 1, 501, "Deniz", "günaydın", NOON)])
    view = await daemons.view()
    shown = await state(daemons.eye, view)
    noon = "2026-11-23 18:00:00"
    assert shown["zone"] == "Asia/Tokyo"
    assert shown["daemons"][0]["beat"] == noon
    assert shown["limits"][0]["source"] == f"a refusal, {noon}"
    assert (shown["stretch"], shown["forecast"]) == (2.5, ["4 bots"])
    assert shown["resting"][0] == {
        "bot": "Ayşe",
        "id": AYSE,
        "chat": CHAT,
        "until": "2026-11-23 18:01:00",
        "reason": "CHAT_RESTRICTED: give it the right to write",
    }
    assert shown["messages"] == [{"at": noon, "chat": CHAT, "title": "Oda", "author": "Deniz", "text": "günaydın"}]
    assert shown["counts"] == {"received": 1}
    assert chats(view) == [
        {
            "id": CHAT,
            "title": "Oda",
            "enabled": "yes",
            "bots": "Ali Hoca, Ayşe",
            "ear": f"Ali Hoca ({ALI})",
            "notice_at": noon,
            "notice": "not known to be posted",
        }
    ]


async def test_a_notice_that_is_known_to_be_posted_is_said_so(daemons: Daemons, loaded: Loaded) -> None:
    store = await daemons.start("d", takes=TAKEN, runs=running(loaded))
    await store.ensure_chats([CHAT])
    await store.claim_notice(CHAT, NOON, NOON - 60)
    (row,) = [bot for bot in await store.bots() if bot.id == ALI]
    claim = await store.claim(Draft(ALI, row.fence, CHAT, Kind.NOTICE, "Bu grupta …", "Ali Hoca"))
    assert claim is not None
    await store.settle(claim, State.SENT, telegram_id=7, at=NOON)
    assert chats(await daemons.view())[0]["notice"] == "posted"


async def test_junk_in_a_report_breaks_nothing(daemons: Daemons, loaded: Loaded) -> None:
    await daemons.start("d", takes=TAKEN, configuration="junk", silent=["x"], resting={"a": 1}, gateway="y")
    assert by_name(bots(await daemons.view(loaded)))["Ayşe"] == ("active", "")
    assert (await state(daemons.eye, await daemons.view()))["limits"] == []


# --- plan
def test_a_plan_of_an_unchanged_file_is_empty(loaded: Loaded) -> None:
    found = plan("0/1 evim 1", running(loaded), loaded, {})
    assert (found.rows, found.refused, found.notes) == ((), (), ())


def test_a_plan_shows_the_changes_the_refusals_with_their_lines_and_the_warnings(
    loaded: Loaded, tmp_path: Path
) -> None:
    old = running(loaded)
    text = CONFIG.replace("Ayşe", "Zeynep").replace('title = "Oda"', 'title = "Salon"')
    relation = '[bots.persona]\nrelations = [{ bot = "Mehmet", text = "x" }]\n'
    changed = load(tmp_path, text + relation + "[simulation]\nseed = 7\n[pace]\nburstiness = 0.2\n")
    found = plan("0/1 evim 1", old, changed, {})
    assert [str(row) for row in found.rows] == [
        "+ bot Zeynep",
        "- bot Ayşe",
        f"~ chat {CHAT}: title",
        "~ setting simulation.seed: 0 → 7 (needs a restart)",
        "~ setting pace.burstiness: 0.6 → 0.2",
    ]
    (refused,) = found.refused
    assert str(refused).startswith(f"{changed.file}:21: simulation.seed: needs a restart (0 → 7)")
    assert [note.partition(": ")[2].partition(": ")[2] for note in found.notes] == [
        "there is no bot 'Mehmet'; the relation has no effect"
    ]


def test_a_plan_says_which_variables_it_cannot_see(loaded: Loaded, tmp_path: Path) -> None:
    more = '[[bots]]\nname = "Can"\nusername = "can_bot"\ntoken_env = "CAN"\n'
    for env in ({}, {"CAN": f"7100000003:{'C' * 35}"}):
        found = plan("0/1 evim 1", running(loaded), load(tmp_path, CONFIG + more), env)
        assert found.notes == ("whether the daemon has $CAN cannot be seen from here",)


def test_a_plan_for_a_daemon_with_another_file_says_so(loaded: Loaded) -> None:
    found = plan("0/1 evim 1", running(replace(loaded, file="/etc/piyasad/config.toml")), loaded, {})
    assert found.notes == ("the daemon reads another file: /etc/piyasad/config.toml",)
