"""How far this machine's clock runs ahead of Telegram's, read off the updates themselves. Pure.

The listener notes updates, whoever asks how old a member's message is asks `age`. A clock that is minutes off would
else make every question stale, or none.
"""

from __future__ import annotations

from collections import deque
from typing import Final

KEPT: Final = 20
"""So many updates are kept: the clock may be set while we run."""

SURE: Final = 3
"""So many agree before a wrong clock is told: one may just have come late."""

OFF_SECONDS: Final = 30.0
"""A clock that is further off than this is told."""


class Skew:
    """The smallest (arrival − date) of the last updates that came as they happened: what is left is the clock's."""

    def __init__(self) -> None:
        self._ahead: deque[float] = deque(maxlen=KEPT)
        self._told = False

    @property
    def seconds(self) -> float:
        """How far our clock is ahead; negative: behind. 0 while nothing is known."""
        return min(self._ahead, default=0.0)

    def note(self, arrived: float, date: float) -> bool:
        """An update of Telegram's `date` arrived while a poll waited. True when a wrong clock is to be told, once."""
        self._ahead.append(arrived - date)
        if self._told or len(self._ahead) < SURE or abs(self.seconds) <= OFF_SECONDS:
            return False
        self._told = True
        return True

    def age(self, date: float, now: float) -> float:
        """Seconds since Telegram's `date`, at `now` by our clock."""
        return max(0.0, now - date - self.seconds)
