"""How fast the room would talk if nothing held it back, reckoned from how fast it talks while it is stretched.

The gateway keeps one and divides what is wanted by what lasts. Pure: times are handed in.
"""

from __future__ import annotations

import math
from typing import Final

MEMORY_SECONDS: Final = 10_800.0  # what was three hours ago counts a third: demand changes over the day
LEAST_SECONDS: Final = 600.0  # less than ten minutes of talk prove nothing


class Demand:
    """Requests, tokens and dollars a second: of texts that follow the pace, in unstretched time; of answers, in any.

    While the talk is stretched by s, a second brings 1/s of a second's wishes. So the wish is what was used divided by
    the sum of those parts: right on the average, however often the stretch changed between a bot's draw and its line.
    """

    __slots__ = ("_answers", "_at", "_open", "_paced", "_time")

    def __init__(self, now: float) -> None:
        self._at = now
        self._time = 0.0  # seconds, faded
        self._open = 0.0  # unstretched seconds, faded
        self._paced = [0.0, 0.0, 0.0]
        self._answers = [0.0, 0.0, 0.0]

    def advance(self, now: float, stretch: float) -> None:
        """Time went by at this stretch."""
        passed = now - self._at
        if passed <= 0:
            return
        fade = math.exp(-passed / MEMORY_SECONDS)
        grown = MEMORY_SECONDS * (1 - fade)
        self._at = now
        self._time = self._time * fade + grown
        self._open = self._open * fade + grown / stretch
        for kept in (self._paced, self._answers):
            kept[:] = [amount * fade for amount in kept]

    def note(self, tokens: int, cost: float = 0.0, *, answer: bool) -> None:
        """A text was made just now."""
        kept = self._answers if answer else self._paced
        kept[0] += 1
        kept[1] += tokens
        kept[2] += cost

    def paced(self) -> tuple[float, float, float]:
        """Requests, tokens and dollars a second that the pace could hold back, as they would be unstretched."""
        requests, tokens, cost = self._paced
        span = max(self._open, LEAST_SECONDS)
        return requests / span, tokens / span, cost / span

    def answers(self) -> tuple[float, float, float]:
        """Requests, tokens and dollars a second that answers to people take."""
        requests, tokens, cost = self._answers
        span = max(self._time, LEAST_SECONDS)
        return requests / span, tokens / span, cost / span
