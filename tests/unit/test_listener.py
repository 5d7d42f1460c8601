"""The listener in virtual time: nobody's update holds another's, no poll outlives its lease, a stranger is told from us."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from piyasad.clock import LoopClock
from piyasad.store.interface import StoreError
from piyasad.telegram.errors import NotSent, Uncertain
from piyasad.telegram.intake import Intake
from piyasad.telegram.listener import ALL_UPDATES, IDLE_UPDATES, STRANGER_SECONDS, STUCK_TRIES, NoLease, Poller
from piyasad.telegram.skew import Skew
from tests.cases import CHAT
from tests.faulty import deaf
from tests.polled import CONFLICT, Inbox, Telegram
from tests.virtual import run_virtual

T = TypeVar("T")

BOT, OTHER = 7, 8


class Desk:
    """Pollers with everything that they are handed."""

    def __init__(self, clock: LoopClock, ahead: float = 0.0) -> None:
        self.clock = clock
        self.telegram = Telegram(clock, ahead)
        self.inbox = Inbox(clock)
        self.skew = Skew()
        self.doubted: list[tuple[int, int]] = []
        self.intake = Intake(
            self.inbox, self.skew, clock, lambda bot_id, chat_id: self.doubted.append((bot_id, chat_id))
        )
        self.lease = True
        self.saved: list[int] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.poller = self.make(BOT)

    def make(self, bot_id: int) -> Poller:
        return Poller(
            bot_id,
            self.telegram.sender,
            self.intake,
            self.clock,
            random.Random(bot_id),
            offset=0,
            may_poll=lambda: self.lease,
            save=self._save,
            parked=lambda _: None,
        )

    async def _save(self, bot_id: int, offset: int) -> None:
        self.saved.append(offset)

    def run(self, poller: Poller | None = None) -> asyncio.Task[None]:
        self.tasks.append(asyncio.create_task((poller or self.poller).run(lambda: 30.0)))
        return self.tasks[-1]

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)


def at(work: Callable[[Desk], Awaitable[T]], ahead: float = 0.0) -> tuple[T, list[EventDict]]:
    """Run it; what it gave and what was logged."""

    async def main(clock: LoopClock) -> T:
        desk = Desk(clock, ahead)
        result = await work(desk)
        if desk.tasks:
            await desk.end()
        return result

    with capture_logs() as logs:
        result = run_virtual(main)
    assert not [line for line in logs if "exc_info" in line], "no traceback"
    return result, list(logs)


def events(logs: list[EventDict]) -> list[str]:
    return [line["event"] for line in logs]


# --- the clock (u)


@pytest.mark.parametrize("ahead", [120.0, -300.0])
def test_a_question_is_young_however_wrong_our_clock_is(ahead: float) -> None:
    async def work(desk: Desk) -> list[float]:
        ages = []
        desk.run()
        for _ in range(5):
            await asyncio.sleep(20)
            desk.telegram.say(BOT)
            date = float(desk.telegram.now())
            await asyncio.sleep(0)
            await asyncio.sleep(0.2)
            ages.append(desk.skew.age(date, desk.clock.wall()))
        return ages

    ages, logs = at(work, ahead)
    assert all(age < 2 for age in ages)
    [line] = [line for line in logs if line["event"] == "clock.off"]
    assert line["ahead"] == pytest.approx(ahead, abs=2)
    assert "timedatectl" in line["cure"]


def test_a_backlog_says_nothing_of_the_clock() -> None:
    async def work(desk: Desk) -> float:
        for _ in range(50):
            desk.telegram.say(BOT)
        await asyncio.sleep(500)
        await desk.poller.poll(0, IDLE_UPDATES)
        for _ in range(50):
            desk.telegram.say(BOT)
        await asyncio.sleep(500)
        desk.telegram.latency = 2.0  # the connection is made first
        desk.run()
        await asyncio.sleep(10)
        desk.telegram.fault = lambda bot_id, wait: Uncertain("cut")
        await asyncio.sleep(100)
        for _ in range(50):
            desk.telegram.say(BOT)
        desk.telegram.fault = lambda bot_id, wait: None
        await asyncio.sleep(60)
        assert len(desk.inbox.texts) == 150
        return desk.skew.seconds

    seconds, _ = at(work)
    assert seconds == 0.0


def test_one_poll_is_one_sample_and_the_youngest_of_its_updates() -> None:
    async def work(desk: Desk) -> float:
        desk.run()
        await asyncio.sleep(10)
        old = desk.telegram.message("eski") | {"date": desk.telegram.now() - 400}
        desk.telegram.put(BOT, message=old)
        desk.telegram.say(BOT, "yeni")
        await asyncio.sleep(1)
        return desk.skew.seconds

    assert at(work)[0] < 2


# --- one update (y, z, dd)


@pytest.mark.parametrize("times", [1, 3])
def test_a_move_is_told_once_however_many_bots_and_messages_tell_it(times: int) -> None:
    async def work(desk: Desk) -> list[tuple[Any, ...]]:
        pollers = [desk.poller, desk.make(OTHER)]
        for _ in range(times):
            for poller in pollers:
                desk.telegram.say(poller.bot_id, chat=-500, text=None, migrate_to_chat_id=CHAT)
                desk.telegram.say(poller.bot_id, text=None, migrate_from_chat_id=-500)
                await poller.poll(0, ALL_UPDATES)
        return desk.inbox.events

    assert at(work)[0] == [("migrated", -500, CHAT)]


def test_a_move_that_was_refused_is_told_again() -> None:
    async def work(desk: Desk) -> list[tuple[Any, ...]]:
        desk.telegram.say(BOT, chat=-500, text=None, migrate_to_chat_id=CHAT)
        desk.inbox.refuse = lambda event: (_ for _ in ()).throw(StoreError("away"))
        await desk.poller.poll(0, ALL_UPDATES)
        desk.inbox.refuse = lambda event: None
        await desk.poller.poll(0, ALL_UPDATES)
        return desk.inbox.events

    assert at(work)[0] == [("migrated", -500, CHAT)]


@pytest.mark.parametrize("status", ["administrator", "member", "left"])
def test_a_bot_s_new_standing_is_told(status: str) -> None:
    async def work(desk: Desk) -> None:
        desk.telegram.standing(BOT, status)
        await desk.poller.poll(0, ALL_UPDATES)
        assert desk.inbox.events == [("membership", BOT, CHAT, status != "left")]
        assert desk.doubted == [(BOT, CHAT)]

    at(work)


def odd(event: tuple[Any, ...]) -> None:
    """A fault of ours with one text."""
    if event[1] == "garip":
        raise ZeroDivisionError("garip: what the member said")


def test_an_odd_update_is_dropped_at_once_with_one_line_and_without_its_words() -> None:
    async def work(desk: Desk) -> list[str]:
        desk.inbox.refuse = odd
        for text in ("bir", "garip", "garip", "iki"):
            desk.telegram.say(BOT, text)
        assert await desk.poller.poll(0, ALL_UPDATES) == 4
        assert await desk.poller.poll(0, ALL_UPDATES) == 0
        return desk.inbox.texts

    texts, logs = at(work)
    assert texts == ["bir", "iki"]
    assert events(logs) == ["listener.dropped"] * 2
    assert "ZeroDivisionError at tests" in logs[0]["reason"]
    assert "member" not in str(logs)


def test_a_store_that_is_away_brings_the_batch_again_and_is_told_when_it_begins_and_ends() -> None:
    async def work(desk: Desk) -> list[str]:
        def refuse(event: tuple[Any, ...]) -> None:
            if desk.clock.mono() < 100:
                raise StoreError("away")

        desk.inbox.refuse = refuse
        pollers = [desk.poller, desk.make(OTHER)]
        for poller in pollers:
            desk.telegram.say(poller.bot_id, f"{poller.bot_id} bir")
            desk.telegram.say(poller.bot_id, f"{poller.bot_id} iki")
            desk.run(poller)
        await asyncio.sleep(200)
        return sorted(desk.inbox.texts)

    texts, logs = at(work)
    assert texts == ["7 bir", "7 iki", "8 bir", "8 iki"]
    assert events(logs) == ["inbox.down", "inbox.up"]


def test_what_the_store_refuses_while_it_takes_others_is_dropped_after_some_tries() -> None:
    async def work(desk: Desk) -> list[str]:
        def refuse(event: tuple[Any, ...]) -> None:
            if event[1] == "zehir":
                raise StoreError("a value that cannot be held")

        desk.inbox.refuse = refuse
        for text in ("bir", "zehir", "iki"):
            desk.telegram.say(BOT, text)
        for _ in range(STUCK_TRIES):
            await desk.poller.poll(0, ALL_UPDATES)
        assert await desk.poller.poll(0, ALL_UPDATES) == 0
        return desk.inbox.texts

    texts, logs = at(work)
    assert texts == ["bir", "iki"]
    assert events(logs).count("listener.dropped") == 1


def test_what_the_store_refuses_for_a_moment_is_not_passed_over() -> None:
    async def work(desk: Desk) -> list[str]:
        refusals = iter([True] * (STUCK_TRIES - 1))

        def refuse(event: tuple[Any, ...]) -> None:
            if event[1] == "soru" and next(refusals, False):
                raise StoreError("one connection was cut")

        desk.inbox.refuse = refuse
        for text in ("bir", "soru", "iki"):
            desk.telegram.say(BOT, text)
        for _ in range(STUCK_TRIES):
            await desk.poller.poll(0, ALL_UPDATES)
        return desk.inbox.texts

    assert at(work)[0] == ["bir", "soru", "iki"]


def test_an_odd_update_after_one_that_the_store_refuses_confirms_neither() -> None:
    async def work(desk: Desk) -> int:
        def refuse(event: tuple[Any, ...]) -> None:
            odd(event)
            raise StoreError("away")

        desk.inbox.refuse = refuse
        desk.telegram.say(BOT, "soru")
        desk.telegram.say(BOT, "garip")
        for _ in range(3 * STUCK_TRIES):
            await desk.poller.poll(0, ALL_UPDATES)
        return desk.poller.offset

    assert at(work)[0] == 0


# --- failures of the wire


def test_one_cut_is_not_told_an_outage_is_told_twice() -> None:
    async def work(desk: Desk) -> None:
        cuts = iter([True])
        desk.telegram.fault = lambda bot_id, wait: Uncertain("cut") if next(cuts, False) else None
        pollers = [desk.poller, *(desk.make(number) for number in range(20, 40))]
        for poller in pollers:
            desk.run(poller)
        await asyncio.sleep(100)
        desk.telegram.fault = lambda bot_id, wait: NotSent("connection refused")
        await asyncio.sleep(300)
        desk.telegram.fault = lambda bot_id, wait: None
        await asyncio.sleep(100)

    _, logs = at(work)
    assert events(logs) == ["polling.down", "polling.up"]
    assert logs[0]["reason"] == "connection refused"


# --- 409 (k)


def test_conflicts_after_a_takeover_are_an_older_poll_of_ours() -> None:
    async def work(desk: Desk) -> None:
        desk.telegram.fault = lambda bot_id, wait: CONFLICT if desk.clock.mono() < 40 else None
        desk.run()
        await asyncio.sleep(1000)

    _, logs = at(work)
    assert events(logs) == ["listener.conflict"]
    assert "token" not in str(logs)


def test_conflicts_that_go_on_are_a_stranger_and_told_once_with_the_cure() -> None:
    """It ends ours, ours ends its: now and then one of ours is answered in between."""

    async def work(desk: Desk) -> None:
        desk.telegram.fault = lambda bot_id, wait: (
            CONFLICT if desk.clock.mono() < 1000 and desk.telegram.polls(BOT) % 5 else None
        )
        desk.run()
        while desk.clock.mono() < 3000:
            await asyncio.sleep(7)
            desk.telegram.say(BOT)

    _, logs = at(work)
    assert events(logs) == ["listener.conflict", "listener.stranger", "listener.alone"]
    assert "stop it" in logs[1]["cure"]
    assert "@BotFather" in logs[1]["cure"]


def test_a_conflict_now_and_then_is_no_stranger() -> None:
    async def work(desk: Desk) -> None:
        desk.telegram.fault = lambda bot_id, wait: CONFLICT if desk.telegram.polls(BOT) % 15 == 0 else None
        desk.run()
        await asyncio.sleep(20_000)

    assert "listener.stranger" not in events(at(work)[1])
    assert STRANGER_SECONDS == 60


# --- the lease (k)


def test_no_poll_is_begun_without_the_lease() -> None:
    async def work(desk: Desk) -> None:
        task = desk.run()
        await asyncio.sleep(100)
        asked = len(desk.telegram.asked)
        desk.lease = False
        desk.telegram.say(BOT, "son")
        await asyncio.sleep(100)
        assert task.done()
        assert len(desk.telegram.asked) == asked
        assert isinstance(await desk.poller.poll(0, IDLE_UPDATES), NoLease)
        assert desk.inbox.texts == ["son"], "what came is handed in all the same: the ledger knows it once"

    at(work)


def test_a_store_call_that_swallows_the_cancellation_does_not_keep_a_poller_alive() -> None:
    async def work(desk: Desk) -> None:
        desk.inbox.hold = deaf(2.0)
        task = desk.run()
        desk.telegram.say(BOT)
        await asyncio.sleep(5)
        task.cancel()
        await asyncio.sleep(2.5)
        assert task.cancelled()
        assert desk.poller.offset == 0, "the update was not taken"

    at(work)


def test_a_bot_has_one_poll_at_a_time() -> None:
    async def work(desk: Desk) -> None:
        desk.run()
        await asyncio.sleep(5)
        await asyncio.gather(*(desk.poller.poll(0, IDLE_UPDATES) for _ in range(3)))
        assert desk.telegram.doubles == 0

    at(work)
