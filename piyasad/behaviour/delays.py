"""When a bot speaks: the law of delays, open hours, the hourly limit. Pure; the scheduler's `Timing` calls it.

Each rule stands in behaviour 1 and takes its numbers from the settings. Times are Unix seconds, hours are local.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from math import exp, expm1, floor, log1p
from typing import Final
from zoneinfo import ZoneInfo

from piyasad.clock import DAY, minute_of_day
from piyasad.config import BotPace, PaceSettings
from piyasad.config import HourlyLimit as HourlyRange
from piyasad.model import TimeRange

HOUR: Final = 3600.0

ANSWERS_PER_HOUR: Final = 30
"""Answers to people may exceed the hourly limit up to this many messages (behaviour 2.1)."""

_EASE: Final = 0.55  # with it nine tenths of the hour's messages are said, and hardly a gap is longer than 50 min

_STEEPEST: Final = 600.0  # |rate × span| beyond which the law is a constant to all floating-point intents


def _mean_share(steep: float) -> float:
    """The mean, as a share of the span, of the exponential truncated to [0, 1] with rate `steep`."""
    if abs(steep) < 1e-4:
        return 0.5 - steep / 12.0
    return 1.0 / steep - 1.0 / expm1(steep)


@lru_cache(maxsize=256)  # a memo of a pure function: the same few settings are asked for at every turn
def _steepness(share: float) -> float:
    """The rate for a wanted mean share in (0, 1): positive below one half, negative above, 0 at it."""
    low, high = -_STEEPEST, _STEEPEST
    if share <= _mean_share(high):
        return high
    if share >= _mean_share(low):
        return low
    for _ in range(80):
        middle = (low + high) / 2
        if _mean_share(middle) > share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def truncated_exponential(rng: random.Random, low: float, high: float, mean: float) -> float:
    """Draw from the exponential truncated to [low, high] whose mean is `mean`.

    Every mean between the bounds is reached: above the middle the density rises instead of falling, at the middle it
    is flat. A mean on or outside a bound is that bound, always (the configuration refuses a mean outside).
    """
    chance = rng.random()
    span = high - low
    if span <= 0 or mean <= low:
        return low
    if mean >= high:
        return high
    steep = _steepness((mean - low) / span)
    if abs(steep) < 1e-9:
        return low + span * chance
    if steep < 0:  # mirrored, so that no exponential overflows
        return high + span * log1p(chance * expm1(steep)) / -steep
    return low - span * log1p(chance * expm1(-steep)) / steep


def _factor(pace: PaceSettings, bot: BotPace, *, prime: bool, heat: float, stretch: float, scale: float) -> float:
    mean = pace.mean_delay_seconds
    own = bot.mean_delay_seconds / mean if bot.mean_delay_seconds is not None else 1.0
    rush = pace.prime_delay_seconds / mean if prime else 1.0
    return own * bot.multiplier * rush / scale / heat * stretch


def draw_delay(
    rng: random.Random,
    pace: PaceSettings,
    bot: BotPace,
    *,
    prime: bool,
    heat: float = 1.0,
    stretch: float = 1.0,
    scale: float = 1.0,
) -> float:
    """Seconds from the start of a turn to the start of the next, by the law of delays; nothing is clamped after.

    Args:
        prime: it is prime time now.
        heat: the room's (or the rooms' greatest); delays are divided by it.
        stretch: the largest of all limits' stretches, at least 1.
        scale: `simulation.scale`.
    """
    drawn = truncated_exponential(rng, pace.min_delay_seconds, pace.max_delay_seconds, pace.mean_delay_seconds)
    low, high = pace.jitter
    jitter = low + (high - low) * rng.random()
    return drawn * jitter * _factor(pace, bot, prime=prime, heat=heat, stretch=stretch, scale=scale)


def expected_delay(
    pace: PaceSettings,
    bot: BotPace,
    *,
    prime: bool,
    heat: float = 1.0,
    stretch: float = 1.0,
    scale: float = 1.0,
) -> float:
    """The mean of `draw_delay` with the same arguments, in seconds."""
    mean = min(max(pace.mean_delay_seconds, pace.min_delay_seconds), pace.max_delay_seconds)
    jitter = (pace.jitter[0] + pace.jitter[1]) / 2
    return mean * jitter * _factor(pace, bot, prime=prime, heat=heat, stretch=stretch, scale=scale)


def first_delay(rng: random.Random, expected: float) -> float:
    """Seconds from a bot's start to its first turn: even over one expected delay, so that bots do not start as one."""
    return rng.random() * expected


def in_ranges(now: float, ranges: Sequence[TimeRange], zone: ZoneInfo) -> bool:
    """Whether a time lies in daily ranges of a zone; no ranges mean always."""
    if not ranges:
        return True
    minute = minute_of_day(now, zone)
    return any(each.contains(minute) for each in ranges)


def is_prime(now: float, pace: PaceSettings, zone: ZoneInfo) -> bool:
    """Whether it is prime time."""
    return in_ranges(now, pace.prime_hours, zone)


def is_quiet(now: float, quiet: Sequence[TimeRange], zone: ZoneInfo) -> bool:
    """Whether a chat's quiet hours run; no ranges mean never."""
    return bool(quiet) and in_ranges(now, quiet, zone)


def until_active(now: float, active: Sequence[TimeRange], zone: ZoneInfo, quiet: Sequence[TimeRange] = ()) -> float:
    """Seconds until active hours run and quiet hours do not; 0 when that is so now.

    Looks one day ahead: where nothing opens within it (quiet hours cover all), the answer is a day.
    """
    active_of, quiet_of = tuple(active), tuple(quiet)

    def is_open(at: float) -> bool:
        return in_ranges(at, active_of, zone) and not is_quiet(at, quiet_of, zone)

    if is_open(now):
        return 0.0
    edges = {each.start for each in active_of} | {each.end % 1440 for each in quiet_of}
    candidates = [at for at in _moments(now, sorted(edges), zone) if at > now and is_open(at)]
    return min(min(candidates, default=now + DAY), now + DAY) - now


def _moments(now: float, minutes: Sequence[int], zone: ZoneInfo) -> list[float]:
    """The times of given minutes of the day yesterday to the day after tomorrow, and of clock changes in between."""
    today = datetime.fromtimestamp(now, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    found: list[float] = []
    for ahead in (-1, 0, 1, 2):
        day = today + timedelta(days=ahead)
        for minute in minutes:
            at = day + timedelta(minutes=minute)  # wall-clock arithmetic; both readings of a doubled hour count
            found += [at.replace(fold=0).timestamp(), at.replace(fold=1).timestamp()]
        change = _clock_change(day, zone)
        if change is not None:
            found.append(change)
    return sorted(found)


def _clock_change(day: datetime, zone: ZoneInfo) -> float | None:
    """When the clocks change on a local day, by bisection to the second; None on nearly all days."""
    low, high = day.timestamp(), (day + timedelta(days=1)).timestamp()
    before = datetime.fromtimestamp(low, zone).utcoffset()
    if before == datetime.fromtimestamp(high, zone).utcoffset():
        return None
    while high - low > 0.5:
        middle = (low + high) / 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return float(floor(high))


class HourlyLimit:
    """One bot's messages over the sliding hour. Its cap is drawn anew for each hour of the clock, between min and max.

    The cap of an hour depends on the generator's seed and the hour alone, so a restart finds it again.
    """

    def __init__(self, limits: HourlyRange, rng: random.Random) -> None:
        self._low, self._high = limits.min, limits.max
        self._key = rng.getrandbits(48)
        self._times: list[float] = []
        self._hour: int | None = None
        self._cap = self._high

    def change(self, limits: HourlyRange) -> None:
        """Take other limits; what was sent still counts."""
        if (limits.min, limits.max) != (self._low, self._high):
            self._low, self._high = limits.min, limits.max
            self._hour = None

    def refill(self, times: Iterable[float]) -> None:
        """The sends of the last hour are these, as the ledger has them."""
        self._times = sorted(times)

    def record(self, at: float) -> None:
        """A message (an answer too) was sent."""
        if self._times and at < self._times[-1]:
            self._times.insert(bisect_right(self._times, at), at)
        else:
            self._times.append(at)

    def forget(self, at: float) -> None:
        """The message recorded at that time was not sent after all."""
        place = bisect_right(self._times, at) - 1
        if place >= 0 and self._times[place] == at:
            del self._times[place]

    def cap(self, now: float) -> int:
        """How many messages this hour may see."""
        hour = floor(now / HOUR)
        if hour != self._hour:
            self._hour = hour
            drawn = random.Random(self._key ^ (hour << 48)).random()
            self._cap = self._low + floor(drawn * (self._high - self._low + 1))
        return self._cap

    def used(self, now: float, seconds: float = HOUR) -> int:
        """Messages of the last `seconds` (at most an hour)."""
        gone = bisect_right(self._times, now - HOUR)
        if gone:
            del self._times[:gone]
        return len(self._times) - bisect_right(self._times, now - seconds)

    def allows(self, now: float, *, answer: bool = False) -> bool:
        """Whether a message may be sent now; answers to people have a limit of their own."""
        cap = self.cap(now)
        return self.used(now) < (max(cap, ANSWERS_PER_HOUR) if answer else cap)

    def frees_in(self, now: float) -> float:
        """Seconds until an unprompted message is allowed again; 0 when it is now."""
        cap = self.cap(now)
        used = self.used(now)
        return 0.0 if used < cap else self._times[used - cap] + HOUR - now

    def stretch(self, now: float, interval: float) -> float:
        """By what delays grow so that the hour's messages are spread, at least 1.

        Delays are drawn by chance and the hour's cap is hard, so a mean of 3600 ÷ cap seconds would leave a third of
        the hour's messages unsaid: the mean is `_EASE` of it. After a burst the bot waits longer.

        Args:
            interval: expected seconds between two lines of this bot without the limit.
        """
        cap = self.cap(now)
        wanted = HOUR / cap
        if wanted <= interval:
            return 1.0
        quarter = self.used(now, HOUR / 4) / (cap / 4 + 1)
        burst = max(0.0, quarter - 0.9)
        return max(1.0, wanted * (_EASE + 1.2 * burst) / interval)


def chat_stretch(chat_per_minute: float, bots: int, interval: float) -> float:
    """By what delays of each of a chat's active bots grow so that all together keep the chat's pace, at least 1.

    Args:
        interval: expected seconds between two lines of one bot in this chat without the limit.
    """
    if chat_per_minute <= 0 or interval <= 0:
        return 1.0
    return max(1.0, 60.0 * max(1, bots) / chat_per_minute / interval)


def largest(*stretches: float) -> float:
    """The stretch that holds: limits do not multiply, the tightest one decides."""
    return max(1.0, *stretches)


def survival(low: float, high: float, mean: float, beyond: float) -> float:
    """The share of drawn delays longer than `beyond` seconds (before jitter and factors)."""
    if beyond < low:
        return 1.0
    if beyond >= high or mean <= low:
        return 0.0
    if mean >= high:
        return 1.0
    span, steep = high - low, _steepness((mean - low) / (high - low))
    part = (beyond - low) / span
    if abs(steep) < 1e-9:
        return 1.0 - part
    if steep < 0:
        return expm1(steep * (1 - part)) / expm1(steep)
    return (exp(-steep * part) - exp(-steep)) / -expm1(-steep)
