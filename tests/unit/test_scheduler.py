"""One coroutine per bot: turns by the law, early ones on a stimulus, no bot delayed by another."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from piyasad.clock import LoopClock
from piyasad.metrics import Metrics
from piyasad.model import Kind, Message, Stimulus
from piyasad.scheduler import INBOX_MOST, BotLoop
from tests.virtual import run_virtual


@dataclass
class Steady:
    """Turns every `every` seconds; closed until `opens` seconds after the loop's start."""

    clock: LoopClock
    every: float = 10.0
    opens: float = 0.0
    drifts: float = 1.0

    def first_delay(self) -> float:
        return 1.0

    def next_delay(self) -> float:
        return self.every

    def drift(self) -> float:
        return self.drifts

    def closed_for(self) -> float:
        return max(0.0, self.opens - self.clock.mono())


@dataclass
class Takes:
    """Remembers when turns began; each takes `lasts` seconds."""

    clock: LoopClock
    lasts: float = 0.0
    turns: list[tuple[float, Stimulus | None]] = field(default_factory=list)

    async def take(self, stimulus: Stimulus | None) -> None:
        self.turns.append((self.clock.mono(), stimulus))
        await asyncio.sleep(self.lasts)

    @property
    def times(self) -> list[float]:
        return [round(at, 3) for at, _ in self.turns]


def said(number: int) -> Stimulus:
    return Stimulus(-1, number, 7, Message(number, -1, None, "Deniz", Kind.PERSON, "?", 0.0, telegram_id=number))


def live(seconds: float, *, lasts: float = 0.0, opens: float = 0.0, script: object = None) -> Takes:
    async def work(clock: LoopClock) -> Takes:
        takes = Takes(clock, lasts)
        loop = BotLoop(Steady(clock, opens=opens), takes, clock, Metrics())
        task = asyncio.create_task(loop.run())
        if callable(script):
            await script(loop)
        await asyncio.sleep(seconds - clock.mono())
        loop.drain()
        await task
        return takes

    return run_virtual(work)


def test_delays_run_from_turn_start_to_turn_start() -> None:
    assert live(35, lasts=4).times == [1, 11, 21, 31]


def test_a_turn_longer_than_the_delay_is_followed_at_once() -> None:
    assert live(30, lasts=12).times == [1, 13, 25]


def test_a_stimulus_cuts_the_wait_short_and_restarts_the_law() -> None:
    async def script(loop: BotLoop) -> None:
        await asyncio.sleep(5)
        loop.wake(said(1))

    takes = live(20, script=script)
    assert takes.times == [1, 5, 15]
    assert [stimulus is not None for _, stimulus in takes.turns] == [False, True, False]


def test_the_same_stimulus_is_taken_once() -> None:
    async def script(loop: BotLoop) -> None:
        await asyncio.sleep(5)
        loop.wake(said(1))
        loop.wake(said(1))
        loop.wake(said(2))

    takes = live(6, script=script)
    assert [stimulus.telegram_id for _, stimulus in takes.turns if stimulus] == [1, 2]


def test_stimuli_that_come_during_a_turn_go_before_the_next_one() -> None:
    async def script(loop: BotLoop) -> None:
        await asyncio.sleep(2)
        loop.wake(said(1))

    takes = live(7, lasts=3, script=script)
    assert takes.times == [1, 4]
    assert takes.turns[1][1] is not None


def test_outside_active_hours_only_stimuli_are_taken() -> None:
    async def script(loop: BotLoop) -> None:
        await asyncio.sleep(50)
        loop.wake(said(1))

    assert live(115, opens=100, script=script).times == [50, 101, 111]


def test_heat_shortens_what_is_left_of_the_delay() -> None:
    async def script(loop: BotLoop) -> None:
        await asyncio.sleep(3)
        loop.hasten(4.0)

    assert live(12, script=script).times == [1, 5]


def test_speak_takes_a_turn_now() -> None:
    async def script(loop: BotLoop) -> None:
        await asyncio.sleep(4)
        loop.act_now()

    assert live(5, script=script).times == [1, 4]


def test_a_fault_in_a_turn_reaches_the_supervisor() -> None:
    class Breaks(Takes):
        async def take(self, stimulus: Stimulus | None) -> None:
            raise ZeroDivisionError

    async def work(clock: LoopClock) -> None:
        await BotLoop(Steady(clock), Breaks(clock), clock, Metrics()).run()

    with pytest.raises(ZeroDivisionError):
        run_virtual(work)


def test_lateness_counts_from_the_end_of_the_previous_turn() -> None:
    async def work(clock: LoopClock) -> float:
        metrics = Metrics()
        loop = BotLoop(Steady(clock), Takes(clock, 25.0), clock, metrics)
        task = asyncio.create_task(loop.run())
        await asyncio.sleep(100)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return sum(
            s.value for m in metrics.registry.collect() for s in m.samples if s.name.endswith("lateness_seconds_sum")
        )

    assert run_virtual(work) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(("drifts", "second"), [(1.0, 1001.0), (0.5, 626.0), (0.0, 301.0), (1.1, 1139.7)])
def test_a_long_delay_follows_the_limits_while_it_runs(drifts: float, second: float) -> None:
    """Due at 1,001 s; looked at again every 300 s, and what is left then is multiplied."""

    async def work(clock: LoopClock) -> list[float]:
        takes = Takes(clock)
        task = asyncio.create_task(BotLoop(Steady(clock, every=1000.0, drifts=drifts), takes, clock, Metrics()).run())
        while len(takes.turns) < 2:
            await asyncio.sleep(1)
        task.cancel()
        return takes.times

    assert run_virtual(work)[:2] == [1, pytest.approx(second, abs=1)]


def test_a_flood_of_stimuli_leaves_the_newest_of_a_few_and_they_can_be_handed_over() -> None:
    async def work(clock: LoopClock) -> tuple[list[int], list[int]]:
        takes = Takes(clock, 3.0)
        loop = BotLoop(Steady(clock, every=10_000.0), takes, clock, Metrics())
        task = asyncio.create_task(loop.run())
        await asyncio.sleep(10)
        for number in range(5000):
            loop.wake(said(number))
        assert loop.waiting == INBOX_MOST
        waiting = [stimulus.telegram_id for stimulus in loop.pending()]
        await asyncio.sleep(100)
        task.cancel()
        return waiting, [stimulus.telegram_id for _, stimulus in takes.turns if stimulus]

    waiting, taken = run_virtual(work)
    assert waiting == taken == list(range(5000 - INBOX_MOST, 5000))


@pytest.mark.timeout(20)
def test_clocks_that_differ_in_their_last_digits_do_not_make_it_spin() -> None:
    """A suspended machine's monotonic clock is behind its loop's: what is left of a delay may be too short to pass."""

    class Behind(LoopClock):
        def mono(self) -> float:
            return super().mono() - 333_333.0

    async def work(clock: LoopClock) -> int:
        behind = Behind(asyncio.get_running_loop(), 0.0)
        await asyncio.sleep(1e6 / 3)
        takes = Takes(clock)
        task = asyncio.create_task(BotLoop(Steady(clock, every=0.1), takes, behind, Metrics()).run())
        await asyncio.sleep(100)
        task.cancel()
        return len(takes.turns)

    assert run_virtual(work) > 900
