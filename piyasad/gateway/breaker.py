"""The breaker of one key: after failures in a row it is passed over for a while, then tried with one call.

The gateway asks and tells. Pure but for the clock's readings handed in. Only transient failures count.
"""

from __future__ import annotations

from typing import Final

FAILURES: Final = 3  # in a row; a timeout opens it at once, because it costs a text half its time
FIRST_SECONDS: Final = 1.0
MOST_SECONDS: Final = 8.0  # so that a provider which is back is used again within ten seconds
PROBE_SECONDS: Final = 0.5


class Breaker:
    """Closed: calls pass. Open: none passes. Half open: one passes, and decides."""

    __slots__ = ("_failures", "_probing", "_seconds", "_until")

    def __init__(self) -> None:
        self._failures = 0
        self._seconds = 0.0
        self._until: float | None = None
        self._probing = False

    def admits(self, now: float) -> bool:
        """Whether a call may be made now."""
        return self._until is None or (now >= self._until and not self._probing)

    def wait(self, now: float) -> float:
        """Seconds until a call may be made; a short guess while one is under way to decide it."""
        if self._probing:
            return PROBE_SECONDS
        return 0.0 if self._until is None else max(0.0, self._until - now)

    @property
    def is_open(self) -> bool:
        """Whether it is open or half open."""
        return self._until is not None

    def begin(self) -> None:
        """A call was admitted."""
        if self._until is not None:
            self._probing = True

    def success(self) -> None:
        """The provider answered, whatever it said."""
        self._failures = 0
        self._seconds = 0.0
        self._until = None
        self._probing = False

    def failure(self, now: float, *, timeout: bool = False) -> None:
        """A call failed transiently."""
        self._failures += 1
        half_open = self._probing
        if self._until is not None and not half_open:
            return  # a call from before it opened: it tells nothing new
        self._probing = False
        if half_open or timeout or self._failures >= FAILURES:
            self._seconds = min(MOST_SECONDS, self._seconds * 2 or FIRST_SECONDS)
            self._until = now + self._seconds

    def rest(self, until: float) -> None:
        """No call passes before then."""
        self._probing = False
        self._until = until if self._until is None else max(self._until, until)

    def abandon(self) -> None:
        """The call was cancelled: it decides nothing."""
        self._probing = False
