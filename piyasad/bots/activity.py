"""Activity: how many turns the bots would take at each hour of the day, by their active hours and the law's mean.

`providers.pace.Plan` for the gateway, so that a day's quota is spread over the hours in which somebody is awake, in
proportion to what the bots would like to say in them. Built from the live state; no I/O.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from piyasad.behaviour import delays
from piyasad.bots.state import BotState, LiveState
from piyasad.clock import Clock, minute_of_day
from piyasad.model import TimeRange

MINUTES: Final = 1440
DRAWN_SECONDS: Final = 60.0
"""How long a plan is good before it is drawn anew: bots come and go, and a reload changes their hours."""

_ALL: Final = (1 << MINUTES) - 1


class ActivityPlan:
    """The day of the bots that we hold. Hours are local; a change of clocks shifts it by that hour for a day."""

    def __init__(self, live: LiveState, clock: Clock) -> None:
        self.taken = 0
        self._live = live
        self._clock = clock
        self._drawn = float("-inf")
        self._sums: Sequence[float] = (0.0,) * (MINUTES + 1)
        self._start = (float("-inf"), 0.0)  # the last start asked about, and its minute: it is asked about a lot

    def turned(self) -> None:
        """A bot took a turn."""
        self.taken += 1

    def turns(self, start: float, end: float) -> float:
        """Turns between two Unix times if nothing stretched the delays."""
        sums = self._day()
        if start != self._start[0]:
            self._start = (start, minute_of_day(start, self._live.settings.zone))
        first = self._start[1]
        days, last = divmod(first + max(0.0, end - start) / 60.0, MINUTES)
        return days * sums[-1] + _upto(sums, last) - _upto(sums, first)

    def idle(self, end: float) -> float:
        """For how many seconds before a time nobody is awake; 0 when nobody ever is."""
        sums = self._day()
        last = int(minute_of_day(end - 1.0, self._live.settings.zone))
        for back in range(MINUTES):
            minute = (last - back) % MINUTES
            if sums[minute + 1] > sums[minute]:
                return back * 60.0
        return 0.0

    def _day(self) -> Sequence[float]:
        """Turns from midnight to each full minute."""
        now = self._clock.mono()
        if now - self._drawn >= DRAWN_SECONDS:
            self._drawn = now
            rates = [0.0] * (MINUTES + 1)
            law = self._live.settings.pace
            prime = _minutes(law.prime_hours)
            for bot in self._live.bots.values():
                if bot.held and not bot.parked:
                    awake = self._awake(bot)
                    for rushed, part in ((True, awake & prime), (False, awake & ~prime)):
                        rate = 60.0 / delays.expected_delay(
                            law, bot.settings.pace, prime=rushed, scale=self._live.settings.simulation.scale
                        )
                        for first, last in _runs(part):
                            rates[first] += rate
                            rates[last] -= rate
            self._sums = (0.0, *accumulate(max(0.0, rate) for rate in list(accumulate(rates))[:MINUTES]))
        return self._sums

    def _awake(self, bot: BotState) -> int:
        """The minutes, as bits, in which a bot is active and one of its chats is not quiet."""
        loud = 0
        for chat in self._live.chats_of(bot):
            quiet = chat.settings.quiet_hours
            loud |= _ALL & ~_minutes(quiet) if quiet else _ALL
        return _minutes(bot.settings.active_hours) & loud


def _minutes(ranges: Sequence[TimeRange]) -> int:
    """Daily ranges as bits; no ranges mean always."""
    if not ranges:
        return _ALL
    found = 0
    for each in ranges:
        upto_end, upto_start = (1 << each.end) - 1, (1 << each.start) - 1
        found |= upto_end & ~upto_start if each.start < each.end else _ALL & ~upto_start | upto_end
    return found


def _runs(bits: int) -> Iterator[tuple[int, int]]:
    """The runs of ones: their first minute and the one after their last."""
    at = 0
    while bits:
        gap = (bits & -bits).bit_length() - 1
        bits >>= gap
        length = (~bits & (bits + 1)).bit_length() - 1
        yield at + gap, at + gap + length
        at += gap + length
        bits >>= length


def _upto(sums: Sequence[float], minute: float) -> float:
    """The sum up to a minute of the day and its part."""
    whole = min(int(minute), MINUTES - 1)
    return sums[whole] + (sums[whole + 1] - sums[whole]) * (minute - whole)
