"""Supervision: a bot that crashes starts again with backoff, a vital task's end is the daemon's."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from piyasad.clock import LoopClock
from piyasad.supervise import ENDING_SECONDS, Outage, Supervisor
from tests.virtual import run_virtual


def test_a_crashed_bot_is_started_again_ever_later_and_counted() -> None:
    async def work(clock: LoopClock) -> tuple[list[float], int]:
        starts: list[float] = []
        crashes = 0

        async def crash() -> None:
            starts.append(clock.mono())
            raise RuntimeError("one bot's fault")

        def crashed() -> None:
            nonlocal crashes
            crashes += 1

        supervisor = Supervisor(clock)
        supervisor.restarting("bot 1", crash, crashed)
        await asyncio.sleep(200)
        await supervisor.stop(["bot 1"], 0)
        assert not supervisor.failed.done()
        return starts, crashes

    starts, crashes = run_virtual(work)
    assert [round(b - a) for a, b in itertools.pairwise(starts)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert crashes == len(starts)


def test_a_task_that_ends_well_is_not_started_again() -> None:
    async def work(clock: LoopClock) -> int:
        runs = 0

        async def once() -> None:
            nonlocal runs
            runs += 1

        supervisor = Supervisor(clock)
        supervisor.restarting("bot 1", once, lambda: None)
        await asyncio.sleep(10)
        assert not supervisor.names
        return runs

    assert run_virtual(work) == 1


@pytest.mark.parametrize("how", ["raises", "returns"])
def test_a_vital_task_that_ends_fails_the_daemon(how: str) -> None:
    async def work(clock: LoopClock) -> str:
        async def end() -> None:
            await asyncio.sleep(1)
            if how == "raises":
                raise ValueError("gone")

        supervisor = Supervisor(clock)
        supervisor.vital("leases", end())
        return await supervisor.failed

    assert run_virtual(work).startswith("leases: ")


def test_stopping_waits_for_the_grace_and_then_cancels() -> None:
    async def work(clock: LoopClock) -> tuple[list[str], float]:
        supervisor = Supervisor(clock)
        supervisor.beside("quick", asyncio.sleep(3))
        supervisor.beside("slow", asyncio.sleep(300))
        late = await supervisor.stop(["quick", "slow"], 10)
        return late, clock.mono()

    late, at = run_virtual(work)
    assert late == ["slow"]
    assert at == pytest.approx(10, abs=0.1)


def test_a_second_task_of_a_name_is_a_fault_while_the_first_is_to_run() -> None:
    async def work(clock: LoopClock) -> None:
        supervisor = Supervisor(clock)
        supervisor.vital("same", asyncio.sleep(1))
        with pytest.raises(ValueError, match="same"):
            supervisor.vital("same", asyncio.sleep(1))
        with pytest.raises(ValueError, match="same"):
            supervisor.restarting("same", lambda: asyncio.sleep(1), lambda: None)
        await supervisor.stop(["same"], 0)

    run_virtual(work)


class Deaf:
    """Work whose cancellation goes unheard for so long, as a store call's that hangs; says when it begins and ends."""

    def __init__(self, clock: LoopClock, seconds: float) -> None:
        self.clock = clock
        self.seconds = seconds
        self.told: list[tuple[str, float]] = []

    async def run(self) -> None:
        self.told.append(("begins", round(self.clock.mono())))
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            await asyncio.sleep(self.seconds)
            raise
        finally:
            self.told.append(("ends", round(self.clock.mono())))


def test_a_successor_begins_when_the_cancelled_one_has_ended() -> None:
    """A lease that is lost and regained while a cancelled turn still waits for the store (fault j)."""

    async def work(clock: LoopClock) -> list[tuple[str, float]]:
        supervisor, deaf = Supervisor(clock), Deaf(clock, 4)
        supervisor.restarting("bot 1", deaf.run, lambda: None)
        await asyncio.sleep(10)
        supervisor.cut("bot 1")
        assert supervisor.runs("bot 1"), "it still ends"
        await supervisor.ended("bot 1")
        await supervisor.ended("nobody")
        assert not supervisor.runs("bot 1")
        return deaf.told

    assert run_virtual(work) == [("begins", 0), ("ends", 14)]


def test_a_successor_waits_for_a_task_that_was_not_cancelled_and_not_for_ever_for_one_that_was() -> None:
    async def work(clock: LoopClock) -> float:
        supervisor, deaf = Supervisor(clock), Deaf(clock, 600)
        supervisor.restarting("bot 1", deaf.run, lambda: None)
        waiting = asyncio.create_task(supervisor.ended("bot 1"))
        await asyncio.sleep(100)
        assert not waiting.done()
        supervisor.cut("bot 1")
        await waiting
        await supervisor.ended("bot 1")
        at = clock.mono()
        await asyncio.sleep(600)
        return at

    with capture_logs() as logs:
        at = run_virtual(work)
    assert 100 < at <= 100 + 2 * ENDING_SECONDS
    assert {line["event"] for line in logs} == {"task.will_not_end"}


@pytest.mark.parametrize("how", ["vital", "restarting", "beside"])
def test_a_cancellation_that_became_another_error_ends_the_task_all_the_same(how: str) -> None:
    """asyncpg's release of a connection that hangs answers a cancellation with its own error (fault k)."""

    async def work(clock: LoopClock) -> int:
        begun = 0

        async def swallow() -> None:
            nonlocal begun
            begun += 1
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                raise TimeoutError("the connection could not be given back") from None

        supervisor = Supervisor(clock)
        if how == "restarting":
            supervisor.restarting("x", swallow, lambda: None)
        else:
            getattr(supervisor, how)("x", swallow())
        await asyncio.sleep(1)
        await supervisor.stop(["x"], 0)
        await asyncio.sleep(100)
        assert not supervisor.names
        assert not supervisor.failed.done()
        return begun

    with capture_logs() as logs:
        assert run_virtual(work) == 1
    assert logs == []


def test_one_that_swallows_its_cancellation_is_cancelled_once_more() -> None:
    async def work(clock: LoopClock) -> float:
        async def swallow() -> None:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(1000)
            await asyncio.sleep(1000)

        supervisor = Supervisor(clock)
        supervisor.beside("x", swallow())
        await asyncio.sleep(1)
        await supervisor.stop(["x"], 0)
        assert not supervisor.names
        return clock.mono()

    assert run_virtual(work) < 1 + ENDING_SECONDS


def test_tasks_beside_may_bear_one_name() -> None:
    async def work(clock: LoopClock) -> list[str]:
        done: list[str] = []

        async def note(word: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            done.append(word)

        supervisor = Supervisor(clock)
        supervisor.beside("park 7", note("first", 2))
        supervisor.beside("park 7", note("second", 1))
        await supervisor.stop(["park 7"], 10)
        return done

    assert run_virtual(work) == ["second", "first"]


def test_a_task_that_is_cancelled_before_it_began_leaves_nothing_behind() -> None:
    async def work(clock: LoopClock) -> None:
        supervisor = Supervisor(clock)
        supervisor.vital("x", asyncio.sleep(1), turns_within=5)
        supervisor.beside("y", asyncio.sleep(1))
        await supervisor.stop(["x", "y"], 0)
        assert not supervisor.names
        assert not supervisor.stuck()

    run_virtual(work)  # a coroutine that was never awaited would be a warning, and so an error


def test_the_watchdog_starves_when_a_vital_task_does_not_turn_and_waits_for_nobody() -> None:
    async def work(clock: LoopClock) -> list[float]:
        fed: list[float] = []
        hangs = asyncio.get_running_loop().create_future()

        async def turn() -> None:
            while True:
                await asyncio.sleep(1)
                if clock.mono() >= 60:
                    await asyncio.wait([hangs])

        supervisor = Supervisor(clock)
        supervisor.vital("leases", turn(), turns_within=30)
        supervisor.vital("database", asyncio.sleep(10_000))  # may sleep as long as it likes
        supervisor.vital("watchdog", supervisor.watchdog(lambda: fed.append(clock.mono())))
        await asyncio.sleep(120)
        assert supervisor.stuck() == ["leases"]
        hangs.set_result(None)
        await asyncio.sleep(5)
        await supervisor.stop(list(supervisor.names), 0)
        return fed

    with capture_logs() as logs:
        fed = run_virtual(work)
    gaps = [(round(a), round(b)) for a, b in itertools.pairwise(fed) if b - a > 2]
    assert gaps == [(90, 121)]
    assert [(line["event"], line["stuck"]) for line in logs] == [("watchdog.starves", ["leases"])]


def test_an_outage_is_told_when_it_begins_and_when_it_ends() -> None:
    async def work(clock: LoopClock) -> None:
        outage = Outage("feed", clock, note="x")
        outage.worked()
        for _ in range(5):
            outage.failed("away")
            await asyncio.sleep(2)
        assert outage
        outage.worked()
        outage.worked()
        assert not outage

    with capture_logs() as logs:
        run_virtual(work)
    assert [dict(line) for line in logs] == [
        {"event": "feed.down", "log_level": "warning", "reason": "away", "note": "x"},
        {"event": "feed.up", "log_level": "info", "seconds": 10.0, "failures": 5, "note": "x"},
    ]


def test_an_outage_of_several_ends_when_none_fails_any_more() -> None:
    async def work(clock: LoopClock) -> None:
        outage = Outage("polling", clock)
        for user in (1, 2, 1, 3):
            outage.failed("cut", of=user)
        for user in (1, 4, 2, 3, 3):
            outage.worked(of=user)

    with capture_logs() as logs:
        run_virtual(work)
    assert [line["event"] for line in logs] == ["polling.down", "polling.up"]
