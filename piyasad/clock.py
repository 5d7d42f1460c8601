"""Time: the one clock that the engine hands down.

Everything that waits uses asyncio; under `simulation/loop.py` waiting takes no real time, so a day runs in seconds.
Nobody else reads `time.time()` or `datetime.now()`.
"""

from __future__ import annotations

import asyncio
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
    """Time as an event loop tells it: under a virtual loop, virtual time. `start` is the wall time at loop time 0."""

    def __init__(self, loop: asyncio.AbstractEventLoop, start: float) -> None:
        self._loop = loop
        self._start = start

    def wall(self) -> float:
        return self._start + self._loop.time()

    def mono(self) -> float:
        return self._loop.time()

    def boot(self) -> float:
        return self._loop.time()

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock; the other two know nothing of it."""
        self._start += seconds


def minute_of_day(wall: float, zone: ZoneInfo) -> float:
    """Minutes after local midnight (0 ≤ m < 1440) of a Unix time in a time zone."""
    local = datetime.fromtimestamp(wall, zone)
    return local.hour * 60 + local.minute + local.second / 60
