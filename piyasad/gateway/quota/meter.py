"""Meters: how much of one limit is used, over an exact sliding window or since a daily reset.

`quota.py` combines them. Pure: times are readings of one monotonic clock, handed in. An amount is in flight from its
admission to its settlement and then counts in the window, so however long a call takes it is never forgotten early.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Protocol

from piyasad.clock import DAY

MINUTE: Final = 60.0
HOUR: Final = 3_600.0
RESERVE: Final = 0.10  # share of a day with a reset that is kept for answers to people
# s before the room falls silent (or the reset) over which it melts: in one hour two or three bots could not say it all
RESERVE_MELTS: Final = 7200.0
RESERVE_ROLLING: Final = 0.05  # the same of a rolling day, which has no end to melt before
# A rolling day has no end, either, at which talk catches up with what was planned and not said. So of what lies idle in
# the window this many times its share is asked for on top. More than a fifth is not left by chance: after an outage the
# plan spreads it over the day. Found on virtual days of the shipped room (tests/integration/test_rolling_days.py):
# without it a sixth of the quota lies idle, with it a sixteenth, and nearly all of that is the reserve.
CATCH_UP: Final = 100.0
BY_CHANCE: Final = 0.2
UNKNOWN_WAIT: Final = 0.5  # seconds to look again when only calls in flight stand in the way


Ahead = Callable[[float], float]
"""How much talk is planned in the coming seconds, in a unit of the plan's own."""


def seconds(coming: float) -> float:
    """The plan of a room that talks alike at all hours."""
    return coming


def never(end: float) -> float:
    """Of such a room: it is never silent before a reset."""
    return 0.0


class Meter(Protocol):
    """One limit. What counts now is settled and in flight; `freed` is all that ever stopped counting."""

    limit: int
    settled: int
    inflight: int
    freed: int

    def advance(self, now: float) -> None:
        """Forget what no longer counts."""
        ...

    def settle(self, amount: int, at: float) -> None:
        """Count an amount that the provider counted at about `at`."""
        ...

    def wait(self, amount: int, now: float) -> float:
        """Seconds until `amount` may fit; 0: now; inf: never."""
        ...

    def kept(self, now: float) -> int:
        """What of the limit is kept for answers to people while the day is paced."""
        ...

    def sustainable(self, now: float, ahead: Ahead = seconds) -> float:
        """The highest constant rate (amount per unit of `ahead`) that never meets the limit less what is kept.

        Of a rolling window, more while some of it lies idle, for then the plan's talk was not said.
        """
        ...

    def unkept(self, amount: int, now: float) -> float:
        """Seconds until `amount` fits without touching what is kept."""
        ...

    def spent_since(self, age: float, now: float) -> bool:
        """Whether something used `age` seconds ago still counts."""
        ...

    @property
    def long(self) -> bool:
        """Whether it counts over an hour or more."""
        ...

    def mirror(self, total: int, now: float) -> None:
        """Somebody else keeps the count: this is what counts now, with what is in flight here."""
        ...


class Sliding:
    """An amount counts for `seconds`. Kept in slots, each forgotten when its last moment is out of the window.

    So every sliding window holds at most the limit, and memory does not grow with the rate.
    """

    __slots__ = ("_first", "_ring", "_size", "freed", "grain", "inflight", "limit", "seconds", "settled")

    def __init__(self, limit: int, seconds: float, slots: int) -> None:
        self.limit = limit
        self.seconds = seconds
        self.settled = 0
        self.inflight = 0
        self.freed = 0
        self.grain = seconds / slots
        self._size = slots + 2
        self._ring = [0] * self._size
        self._first: int | None = None  # the oldest slot that counts

    def advance(self, now: float) -> None:
        first = math.floor((now - self.seconds) / self.grain)
        if self._first is None:
            self._first = first
            return
        steps = first - self._first
        if steps <= 0:
            return
        before = self.settled
        if steps >= self._size:
            self._ring = [0] * self._size
            self.settled = 0
        else:
            for slot in range(self._first, first):
                index = slot % self._size
                self.settled -= self._ring[index]
                self._ring[index] = 0
        self.freed += before - self.settled
        self._first = first

    def settle(self, amount: int, at: float) -> None:
        slot = math.floor(at / self.grain)
        if self._first is not None and self._first <= slot < self._first + self._size:
            self._ring[slot % self._size] += amount
            self.settled += amount

    def wait(self, amount: int, now: float) -> float:
        if amount > self.limit:
            return math.inf
        self.advance(now)
        over = self.settled + self.inflight + amount - self.limit
        if over <= 0:
            return 0.0
        first = self._first or 0
        for slot in range(first, first + self._size):
            over -= self._ring[slot % self._size]
            if over <= 0:
                return max(0.0, (slot + 1) * self.grain + self.seconds - now) + 0.001  # never a hair too early
        return UNKNOWN_WAIT

    def kept(self, now: float) -> int:
        return math.floor(self.limit * RESERVE_ROLLING)

    def sustainable(self, now: float, ahead: Ahead = seconds) -> float:
        self.advance(now)
        allowed = self.limit - self.kept(now)
        left = allowed - self.settled - self.inflight
        idle = float(left)
        day = ahead(self.seconds)
        first = self._first or 0
        worst, begun = math.inf, False
        start = first % self._size
        ring = self._ring[start:] + self._ring[:start]
        # Between two slots that hold something the plan only grows and nothing is freed: the tightest is the later one.
        for place in (*(n for n, freed in enumerate(ring) if freed), self._size - 1):
            until = (first + place + 1) * self.grain + self.seconds - now  # just before this slot is forgotten
            planned = ahead(until) if until > 0 else 0.0
            if planned > 0:
                worst = min(worst, left / planned)
            freed = ring[place]
            if freed and not begun and day > 0:  # before we began there was nothing to say: none of that lay idle
                idle, begun = idle - allowed * planned / day, True
            left += freed
        if begun and 0 < idle < self.limit * BY_CHANCE:
            share = idle / self.limit
            worst *= 1.0 + CATCH_UP * share * (1.0 - share / BY_CHANCE)
        return max(0.0, worst)

    def unkept(self, amount: int, now: float) -> float:
        return self.wait(amount + self.kept(now), now)

    def spent_since(self, age: float, now: float) -> bool:
        return age < self.seconds

    @property
    def long(self) -> bool:
        return self.seconds >= HOUR

    def mirror(self, total: int, now: float) -> None:
        self.advance(now)
        self.settle(total - self.settled - self.inflight, now)

    def recent(self, now: float) -> dict[float, int]:
        """What counts now, by age in seconds; what is in flight is 0 old."""
        self.advance(now)
        first = self._first or 0
        found: dict[float, int] = {0.0: self.inflight} if self.inflight else {}
        for slot in range(first, first + self._size):
            amount = self._ring[slot % self._size]
            if amount > 0:
                age = max(0.0, now - (slot + 1) * self.grain)
                found[age] = found.get(age, 0) + amount
        return found


class Daily:
    """An amount counts until the next reset. `wall()` is Unix time, `after(t)` the first reset later than `t`.

    `longest` is how long such a period lasts at most: what is older surely counts no more. `idle(t)` tells for how many
    seconds before a reset nobody speaks: what is kept for answers has melted when the room falls silent.
    """

    __slots__ = (
        "_after",
        "_began",
        "_idle_for",
        "_looked",
        "_reserve",
        "_until",
        "_wall",
        "freed",
        "idle",
        "inflight",
        "limit",
        "longest",
        "reset",
        "settled",
    )

    def __init__(
        self,
        limit: int,
        wall: Callable[[], float],
        after: Callable[[float], float],
        now: float,
        *,
        longest: float = DAY,
        reserve: float = RESERVE,
    ) -> None:
        self.limit = limit
        self.settled = 0
        self.inflight = 0
        self.freed = 0
        self.idle: Callable[[float], float] = never
        self._looked, self._idle_for = -math.inf, 0.0
        self._wall = wall
        self._after = after
        self.longest = longest
        self._reserve = reserve
        at = wall()
        self._began = at - longest  # the last reset before now: the newest that is not later
        while (then := after(self._began)) <= at:
            self._began = then
        self.reset = after(at)
        self._until = now + self.reset - at

    def advance(self, now: float) -> None:
        if now < self._until:
            return
        wall = self._wall()
        if wall >= self.reset:  # else the wall clock was set back: the day is not over yet
            self.freed += self.settled
            self.settled = 0
            self._began, self.reset = self.reset, self._after(wall)
        self._until = now + self.reset - wall

    def settle(self, amount: int, at: float) -> None:
        self.settled += amount

    def wait(self, amount: int, now: float) -> float:
        if amount > self.limit:
            return math.inf
        self.advance(now)
        over = self.settled + self.inflight + amount - self.limit
        if over <= 0:
            return 0.0
        return UNKNOWN_WAIT if over <= self.inflight and self.settled + amount <= self.limit else self._until - now

    def kept(self, now: float) -> int:
        return math.floor(self.limit * self._reserve * min(1.0, max(0.0, self._silent(now) - now) / RESERVE_MELTS))

    def _silent(self, now: float) -> float:
        """When the last bot falls silent before the reset; looked up once a minute."""
        if not self._looked <= now < self._looked + MINUTE:
            self._looked, self._idle_for = now, self.idle(self.reset)
        return self._until - self._idle_for

    def sustainable(self, now: float, ahead: Ahead = seconds) -> float:
        self.advance(now)
        left = self.limit - self.settled - self.inflight
        planned, awake = ahead(max(1.0, self._until - now)), self._silent(now) - now
        rate = left / planned if planned > 0 else math.inf
        # until it begins to melt the reserve stands; then talk catches up
        if awake > RESERVE_MELTS and (before := ahead(awake - RESERVE_MELTS)) > 0:
            rate = min(rate, (left - self.kept(now)) / before)
        return max(0.0, rate)

    def unkept(self, amount: int, now: float) -> float:
        spare = self.limit - self.settled - self.inflight - amount
        if spare < 0:
            return self.wait(amount, now)
        if not self._reserve:
            return 0.0
        return max(0.0, self._silent(now) - now - spare * RESERVE_MELTS / (self.limit * self._reserve))

    def spent_since(self, age: float, now: float) -> bool:
        return self._wall() - age > self._began

    @property
    def long(self) -> bool:
        return True

    def mirror(self, total: int, now: float) -> None:
        self.advance(now)
        self.settled = max(0, total - self.inflight)
