"""Heat: how a room's liveliness bends the law of delays. Pure; `room.py` keeps a `Warmth`, the scheduler divides by it.

A person's message, a question, news, a fresh reply to a person heat the room for about 90 seconds and tire it for
longer: the burst is paid back by the lull after it. Bots among themselves leave it at exactly 1, so that n bots give
n times one bot's rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from typing import Final

HALF_LIFE: Final = 90.0
"""Seconds after which half of the heat is gone (behaviour 1)."""

LULL_HALF_LIFE: Final = 1800.0
"""Seconds after which half of the tiredness is gone."""

FRESH: Final = 120.0
"""A reply to a person's message younger than this is fresh."""

# Doses, and how strongly they tell: found by trial so that people who come by every 20 min make B = 0.2 to 0.35 at the
# default burstiness while about as much is said as without heat (the test beside this module measures both).
_PERSON, _QUESTION, _NEWS, _REPLY = 1.5, 0.3, 0.9, 0.3
_MOST_HEAT, _MOST_TIRED = 1.8, 1.0
_RISE, _FALL = 4.2, 2.2
_LOWEST, _HIGHEST = 0.1, 10.0


@dataclass(frozen=True, slots=True)
class Warmth:
    """What a room feels at a time: `hot` fades fast, `tired` slowly."""

    at: float = 0.0
    hot: float = 0.0
    tired: float = 0.0

    def after(
        self, at: float, *, person: bool = False, question: bool = False, reply: bool = False, news: bool = False
    ) -> Warmth:
        """The warmth after something happened; what bots say among themselves changes nothing."""
        dose = (_PERSON + (_QUESTION if question else 0.0)) if person else 0.0
        dose += (_REPLY if reply and not person else 0.0) + (_NEWS if news else 0.0)
        if not dose:
            return self
        gone = max(0.0, at - self.at)
        hot = self.hot * 0.5 ** (gone / HALF_LIFE)
        tired = self.tired * 0.5 ** (gone / LULL_HALF_LIFE)
        return Warmth(max(at, self.at), min(_MOST_HEAT, hot + dose), min(_MOST_TIRED, tired + dose / _PERSON))

    def heat(self, now: float, burstiness: float) -> float:
        """By what delays are divided: 1 in a room without people or with `burstiness` 0."""
        if not burstiness or not (self.hot or self.tired):
            return 1.0
        gone = max(0.0, now - self.at)
        feeling = _RISE * self.hot * 0.5 ** (gone / HALF_LIFE) - _FALL * self.tired * 0.5 ** (gone / LULL_HALF_LIFE)
        return min(_HIGHEST, max(_LOWEST, exp(burstiness * feeling)))


COLD: Final = Warmth()
"""A room in which nothing has happened."""
