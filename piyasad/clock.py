"""Time: the one clock that the engine hands down, and a virtual event loop for tests and simulation.

Everything that waits uses asyncio; under `VirtualLoop` waiting takes no real time, so a day runs in seconds.
Nobody else reads `time.time()` or `datetime.now()`.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from datetime import datetime
from typing import Final, Protocol
from zoneinfo import ZoneInfo

DAY: Final = 86_400.0
"""Seconds in a day."""


class Clock(Protocol):
    """Readings of time, in seconds."""

    def wall(self) -> float:
        """Unix time."""
        ...

    def mono(self) -> float:
        """For intervals inside this process; the event loop's own time."""
        ...

    def boot(self) -> float:
        """Time since boot including suspend (CLOCK_BOOTTIME): for leases."""
        ...


class SystemClock:
    """The machine's clocks."""

    def wall(self) -> float:
        return time.time()

    def mono(self) -> float:
        return time.monotonic()

    def boot(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)


class LoopClock:
    """Time as an event loop tells it: under `VirtualLoop`, virtual time. `start` is the wall time at loop time 0."""

    def __init__(self, loop: asyncio.AbstractEventLoop, start: float) -> None:
        self._loop = loop
        self._start = start

    def wall(self) -> float:
        return self._start + self._loop.time()

    def mono(self) -> float:
        return self._loop.time()

    def boot(self) -> float:
        return self._loop.time()


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits for the clock: adds what the loop wanted to wait to `elapsed`."""

    def __init__(self) -> None:
        super().__init__()
        self.elapsed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:  # only a thread or a signal can wake the loop: wait for it in real time
            return super().select(1.0)
        if timeout > 0:
            self.elapsed += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer. For pure asyncio code: no sockets, no threads in the way."""

    def __init__(self) -> None:
        self._jump = _JumpingSelector()
        super().__init__(self._jump)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._jump.elapsed


def minute_of_day(wall: float, zone: ZoneInfo) -> float:
    """Minutes after local midnight (0 ≤ m < 1440) of a Unix time in a time zone."""
    local = datetime.fromtimestamp(wall, zone)
    return local.hour * 60 + local.minute + local.second / 60
