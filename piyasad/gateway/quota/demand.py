"""How much the room would use if nothing held it back, reckoned from what it uses while it is stretched.

The gateway keeps one and divides what is wanted by what lasts. Pure: times are handed in.
"""

from __future__ import annotations

import math
from typing import Final, Protocol

MEMORY: Final = 0.2  # days of talk: what is older counts a third
FIRST: Final = (8.0, 4.0, 3_200.0)  # assumed at first: of eight turns four say something, at 800 tokens each
FIRST_SECONDS: Final = (600.0, 0.0, 0.0)  # where turns are not known: ten minutes of talk prove nothing


class Plan(Protocol):
    """The bots' day, hour by hour. Times are Unix seconds."""

    @property
    def taken(self) -> int:
        """Turns taken so far."""
        ...

    def turns(self, start: float, end: float) -> float:
        """Turns that the bots would take between two times if nothing stretched their delays."""
        ...

    def idle(self, end: float) -> float:
        """For how many seconds before a time nobody is awake."""
        ...


class Demand:
    """Requests, tokens and dollars: of texts that follow the pace, by turns taken; of answers, by turns planned.

    A turn takes the same, however long the delay before it was stretched and by which limit. So the wish of the hours
    to come is the turns planned in them times what a turn takes. Where nobody knows the plan, a second is a turn, and
    while the talk is stretched by s a second brings 1/s of one.
    """

    __slots__ = ("_answers", "_paced", "_planned", "_taken")

    def __init__(self, first: tuple[float, float, float]) -> None:
        turns, requests, tokens = first
        self._planned = self._taken = turns  # faded, as all here
        self._paced = [requests, tokens, 0.0]
        self._answers = [0.0, 0.0, 0.0]

    def advance(self, planned: float, taken: float, day: float) -> None:
        """So many turns were planned and so many taken; `day` are the turns planned for a day."""
        fade = math.exp(-planned / (MEMORY * day)) if day > 0 else 1.0
        self._planned = self._planned * fade + planned
        self._taken = self._taken * fade + taken
        for kept in (self._paced, self._answers):
            kept[:] = [amount * fade for amount in kept]

    def note(self, tokens: int, cost: float = 0.0, *, answer: bool) -> None:
        """A text was made just now."""
        kept = self._answers if answer else self._paced
        kept[0] += 1
        kept[1] += tokens
        kept[2] += cost

    def paced(self) -> tuple[float, float, float]:
        """Requests, tokens and dollars of a turn that the pace could hold back."""
        requests, tokens, cost = self._paced
        span = max(self._taken, 1.0)
        return requests / span, tokens / span, cost / span

    def answers(self) -> tuple[float, float, float]:
        """Requests, tokens and dollars that answers to people take while a turn is planned."""
        requests, tokens, cost = self._answers
        span = max(self._planned, 1.0)
        return requests / span, tokens / span, cost / span
