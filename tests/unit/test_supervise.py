"""Supervision: a bot that crashes starts again with backoff, a vital task's end is the daemon's."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from piyasad.clock import LoopClock
from piyasad.supervise import Supervisor
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


def test_two_tasks_of_one_name_are_refused() -> None:
    async def work(clock: LoopClock) -> None:
        supervisor = Supervisor(clock)
        supervisor.beside("same", asyncio.sleep(1))
        await asyncio.sleep(0.1)
        with pytest.raises(ValueError, match="same"):
            supervisor.beside("same", asyncio.sleep(1))
        await supervisor.stop(["same"], 0)

    run_virtual(work)
