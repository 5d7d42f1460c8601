"""Run asyncio code under virtual time: waiting costs nothing, so an hour of the room passes in a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from piyasad.clock import LoopClock
from piyasad.simulation.loop import VirtualLoop

T = TypeVar("T")

NOON = 1_795_424_400.0  # 2026-11-23 12:00 in Istanbul, a Monday


def run_virtual(work: Callable[[LoopClock], Awaitable[T]], start: float = NOON) -> T:
    """Run `work(clock)` to its end on a loop of its own whose wall clock begins at `start`."""

    async def main() -> T:
        return await work(LoopClock(asyncio.get_running_loop(), start))

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


class HandClock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.offset = NOON - 1000.0

    def wall(self) -> float:
        return self.now + self.offset

    def mono(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let so much time pass."""
        self.now += seconds

    def boot(self) -> float:
        return self.now
