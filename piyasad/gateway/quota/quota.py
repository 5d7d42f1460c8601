"""Quotas: what one provider key may use in a minute and a day, reserved all at once or not at all.

The gateway asks before every call and settles after it, and hands in what the provider said about its limits. In
process; pure but for the clock that is handed in. It never waits: it says how long waiting would take.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from piyasad.clock import DAY, Clock
from piyasad.gateway.quota.budget import LONGEST_MONTH, next_month
from piyasad.gateway.quota.learned import Learned
from piyasad.gateway.quota.limits import KINDS, METERS, MONEY, Amounts, Limits
from piyasad.gateway.quota.meter import HOUR, MINUTE, UNKNOWN_WAIT, Ahead, Daily, Meter, Sliding, never, seconds
from piyasad.model import Usage
from piyasad.providers.interface import Spent
from piyasad.providers.limit_facts import Fact

# How much later than our admission a provider may count a request: a call that is under way longer counts from its
# admission plus this. It lengthens every window by the same, which costs 1.7 % of a minute's limit at most.
WAY_SECONDS: Final = 1.0
RESET_MARGIN: Final = 2.0  # seconds after a daily reset before the new day is used: clocks differ
MOST_STRETCH: Final = 1000.0

_UTC: Final = ZoneInfo("UTC")
_DAYS: Final = frozenset({"rpd", "tpd"})
_MONTH: Final = "tokens_per_month"
_LONG: Final = _DAYS | {"rph", "tph", _MONTH}  # paced, and counted anew from what the store says was used
_WINDOWS: Final = {"s": (1.0, 20), "m": (MINUTE, 600), "h": (HOUR, 720)}  # by a limit's last letter: seconds, slots


@dataclass(frozen=True, slots=True)
class LimitRow:
    """One limit in force, for display: `source` is "file", "preset", or what the provider said and when (Unix time)."""

    name: str
    limit: int
    left: int
    source: str
    at: float = 0.0


class Ticket:
    """A reservation: what is in flight for one call. It is closed exactly once."""

    __slots__ = ("amounts", "at", "freed", "meters", "on_close", "open", "used")

    def __init__(self, amounts: Amounts, at: float, meters: list[tuple[str, Meter, int]]) -> None:
        self.amounts = amounts
        self.at = at
        self.meters = meters  # those it was reserved on: a reload may change the quota's
        self.freed = [meter.freed for _, meter, _ in meters]
        self.open = True
        self.used: Amounts = (0, 0, 0, 0, 0)  # once it is closed
        self.on_close: Callable[[Amounts, float], None] | None = None  # told what was used, and its age in seconds


class Quota:
    """All limits of one key (or of several keys of one account)."""

    def __init__(
        self,
        limits: Limits,
        clock: Clock,
        *,
        share: float = 1.0,
        paced: bool = False,
        written: Collection[str] = (),
        money: Sequence[tuple[str, Meter]] = (),
    ) -> None:
        self.limits = limits
        self.running = 0
        self.learned = Learned()
        self._clock = clock
        self._held = -math.inf
        self._idle: Callable[[float], float] = never
        self._paused = -math.inf
        self._concurrent = 1.0
        self._meters: list[tuple[str, Meter, int]] = []
        self.change(limits, share=share, paced=paced, written=written, money=money)

    def change(
        self,
        limits: Limits,
        *,
        share: float = 1.0,
        paced: bool = False,
        written: Collection[str] = (),
        money: Sequence[tuple[str, Meter]] = (),
        concurrent: float | None = None,
    ) -> None:
        """Take other limits; what was used so far and what the provider said keep counting.

        Args:
            written: the limits that stand in the operator's file: the provider's word may lower, never raise them.
            money: meters in millionths of a dollar that this quota shares with others.
            concurrent: our share of the calls at once, if it is another one.
        """
        self._concurrent = share if concurrent is None else concurrent
        self._configured = limits
        self._written = frozenset(written)
        self._money = list(money)
        self._share = share
        self.paced = paced
        self._build()

    def _build(self) -> None:
        limits = self.learned.in_force(self._configured, self._written, self._clock.wall())
        own, now = limits.shared(self._share), self._clock.mono()
        before = {name: meter for name, meter, _ in self._meters}
        same_day = limits.reset == self.limits.reset
        self.limits = limits
        self._concurrency = limits.shared(self._concurrent).concurrency
        meters: list[tuple[str, Meter, int]] = []
        for name, kind in METERS:
            limit = getattr(own, name)
            if limit is None:
                continue
            day = name in _DAYS
            meter = before.get(name) if same_day or not day else None
            if meter is None:
                meter = self._day(limit, now) if day else self._window(name, limit, now)
                meter.advance(now)
                if name in before:  # the day is counted otherwise now: all of it counts as of today
                    meter.settle(before[name].settled + before[name].inflight, now)
            meter.limit = limit
            meters.append((name, meter, kind))
        meters += [(name, meter, MONEY) for name, meter in self._money]
        self._meters = meters
        self._paced = [(meter, kind) for name, meter, kind in meters if name in _LONG or kind == MONEY]

    def learn(self, facts: Iterable[Fact], ticket: Ticket | None) -> None:
        """Follow what the provider said: its limits, and what it says is left when that is less than we think.

        To be called after the call's ticket was closed. What a provider says is as old as the call: what was used then
        and was given back or fell out of a window since is not held against what is left now.
        """
        at = self._clock.wall()
        heard = [fact for fact in facts if fact.refused or ticket is None or _plausible(fact, ticket)]
        news = [self.learned.hear(fact, self._used(fact.name, ticket), self._configured.assumed, at) for fact in heard]
        if any(news):
            self._build()
        for fact in heard:
            if fact.left is not None:
                self._lower(fact, fact.left, ticket)

    def _used(self, name: str, ticket: Ticket | None) -> int:
        """What counts against a limit over all shards, without this call."""
        found = ((meter.settled + meter.inflight, kind) for of, meter, kind in self._meters if of == name)
        used, kind = next(found, (0, 0))
        return math.ceil((used - (ticket.used[kind] if ticket is not None else 0)) / self._share)

    def age(self) -> None:
        """Let time do its work on what was learned; to be called now and then."""
        for name, meter, _ in self._meters:
            if name in self._configured.assumed:
                self.learned.note(name, meter.settled, meter.limit)
        if self.learned.age(self._clock.wall()):
            self._build()

    def recall(self, known: Mapping[str, Any]) -> None:
        """Take over what an earlier process learned."""
        self.learned.recall(known, KINDS)
        self._build()

    def assume(self, name: str, figure: int) -> None:
        """Begin with another guess of a daily limit that nobody tells, if nothing is known of it."""
        if name in self._configured.assumed and self.learned.assume(name, figure, self._clock.wall()):
            self._build()

    def _lower(self, fact: Fact, left: int, ticket: Ticket | None) -> None:
        """Count what others must have used of this key, as far as the provider's word proves it."""
        meter = next((meter for name, meter, _ in self._meters if name == fact.name), None)
        if meter is None:
            return
        now, before = self._clock.mono(), 0
        meter.advance(now)
        if meter.limit - meter.settled - meter.inflight <= left:
            return
        if ticket is not None:
            known = zip(ticket.meters, ticket.freed, strict=True)
            before = next((freed for (_, own, _), freed in known if own is meter), 0)
        others = meter.limit - meter.settled - meter.inflight - (meter.freed - before) - left
        if others > 0:
            age = 0.0
            if isinstance(meter, Sliding) and fact.reset is not None:  # forgotten no later than it says
                age = max(0.0, meter.seconds + meter.grain - fact.reset)
            meter.settle(others, now - age)

    def unlearn(self) -> None:
        """Another model answers now: what was said of the one before does not hold for it."""
        if self.learned.forget():
            self._build()

    def rows(self) -> list[LimitRow]:
        """The limits in force for all shards together, with what is left of our part; money is left out."""
        now, found = self._clock.mono(), []
        for name, meter, kind in self._meters:
            if kind == MONEY:
                continue
            meter.advance(now)
            limit = getattr(self.limits, name)
            source, at = self.learned.source(name, limit, self._configured, self._written)
            found.append(LimitRow(name, limit, max(0, meter.limit - meter.settled - meter.inflight), source, at))
        return found

    def reserve(self, prompt: int, completion: int, rank: int = 0, cost: int = 0) -> Ticket | None:
        """Reserve a request with its tokens and its cost on every limit, or on none (None).

        Of a paced day quota, what is kept for answers to people is given to rank 0 alone.
        """
        now = self._clock.mono()
        if (
            now < self._held
            or now < self._paused
            or (self._concurrency is not None and self.running >= self._concurrency)
        ):
            return None
        amounts = (1, prompt + completion, prompt, completion, cost)
        for _, meter, kind in self._meters:
            meter.advance(now)
            if meter.settled + meter.inflight + amounts[kind] > meter.limit and amounts[kind]:
                return None
        if rank and self.paced:
            for meter, kind in self._paced:
                if meter.settled + meter.inflight + amounts[kind] > meter.limit - meter.kept(now) and amounts[kind]:
                    return None
        for _, meter, kind in self._meters:
            meter.inflight += amounts[kind]
        self.running += 1
        return Ticket(amounts, now, self._meters)

    def settle(self, ticket: Ticket, spent: Spent, cost: int = 0, *, requests: int = 1) -> None:
        """The call was made and used this."""
        prompt = spent.prompt if self.limits.counts_cached else max(0, spent.prompt - spent.cached)
        self._close(ticket, (requests, prompt + spent.completion, prompt, spent.completion, cost))

    def keep(self, ticket: Ticket, *, requests: int = 1) -> None:
        """Nobody knows what the call used: all of it counts as used."""
        self._close(ticket, (requests, *ticket.amounts[1:]))

    def keep_request(self, ticket: Ticket, *, requests: int = 1) -> None:
        """The call was refused: it counts as so many requests without tokens."""
        self._close(ticket, (requests, 0, 0, 0, 0))

    def refund(self, ticket: Ticket) -> None:
        """The call was not made."""
        self._close(ticket, (0, 0, 0, 0, 0))

    def _close(self, ticket: Ticket, used: Amounts) -> None:
        if not ticket.open:
            return
        ticket.open, ticket.used = False, used
        self.running -= 1
        now = self._clock.mono()
        at = min(now, ticket.at + WAY_SECONDS)
        if ticket.on_close is not None:
            ticket.on_close(used, now - at)
        for _, meter, kind in ticket.meters:
            meter.advance(now)
            spent, reserved = used[kind], ticket.amounts[kind]
            meter.inflight -= reserved
            if spent:
                meter.settle(spent, at)
            if spent < reserved:
                meter.freed += reserved - spent

    def hold(self, seconds: float) -> None:
        """The provider said to wait: nothing is admitted for so long."""
        self._held = max(self._held, self._clock.mono() + seconds)

    def wait(self, prompt: int, completion: int, rank: int = 0, cost: int = 0) -> float:
        """Seconds until such a request may be admitted; 0: now; inf: it is larger than a limit.

        With only calls in flight in the way, a short guess: their settlement decides.
        """
        now = self._clock.mono()
        amounts = (1, prompt + completion, prompt, completion, cost)
        longest = max(0.0, self._held - now, min(self._paused - now, UNKNOWN_WAIT))
        for name, meter, kind in self._meters:
            if amounts[kind]:
                wait = meter.wait(amounts[kind], now)
                if math.isinf(wait) and self.learned.disbelieve(name, self._clock.wall()):
                    self._build()
                    return UNKNOWN_WAIT
                longest = max(longest, wait)
        if rank and self.paced:
            for meter, kind in self._paced:
                if amounts[kind]:
                    longest = max(longest, meter.unkept(amounts[kind], now))
        if self._concurrency is not None and self.running >= self._concurrency:
            longest = math.inf if self._concurrency == 0 else max(longest, 0.05)
        return longest

    def pause(self, seconds: float) -> None:
        """Admit nothing for so long, as the shared count asks; 0: go on."""
        self._paused = self._clock.mono() + seconds

    @property
    def meters(self) -> list[tuple[str, Meter, int]]:
        """Each limit's name, meter and kind of amount."""
        return self._meters

    @property
    def held(self) -> float:
        """Seconds that the provider's own word still holds everything back."""
        return max(0.0, self._held - self._clock.mono())

    def remaining(self) -> dict[str, float]:
        """What is left of each limit, 0 to 1, by its configuration key (rpm, tpm, …)."""
        now = self._clock.mono()
        found = {}
        for name, meter, _ in self._meters:
            meter.advance(now)
            left = meter.limit - meter.settled - meter.inflight
            found[name] = max(0.0, left / meter.limit) if meter.limit else 0.0
        return found

    def follow(self, idle: Callable[[float], float]) -> None:
        """Take over for how many seconds before a reset nobody speaks."""
        self._idle = idle
        for meter, _ in self._paced:
            if isinstance(meter, Daily):
                meter.idle = idle

    def lasting(self, ahead: Ahead = seconds) -> dict[int, float]:
        """Of requests (0) and tokens (1), where an hour's, a day's or a month's limit holds them: the highest constant
        rate per unit of `ahead` that lasts.

        It never meets the limit less the reserve for answers, before the reset or in any later part of a rolling one.
        """
        now, found = self._clock.mono(), dict[int, float]()
        for meter, kind in self._paced:
            if kind != MONEY:
                found[kind] = min(found.get(kind, math.inf), meter.sustainable(now, ahead))
        return found

    def restore(self, rows: Iterable[Usage]) -> None:
        """Count what earlier processes used: of a shard's share, the same share."""
        now = self._clock.mono()
        for _, meter, age, amount in self.spent(rows, self._share):
            meter.advance(now)
            meter.settle(amount, now - age)

    def spent(self, rows: Iterable[Usage], share: float = 1.0) -> Iterator[tuple[str, Meter, float, int]]:
        """What of earlier usage still counts: limit, its meter, age in seconds, amount.

        Rows are by the hour: each counts from its hour's end.
        """
        now, wall = self._clock.mono(), self._clock.wall()
        for row in rows:
            age = wall - min(wall, row.at + 3600.0)
            counted = row.prompt - (0 if self.limits.counts_cached else row.cached) + row.completion
            amounts = (math.ceil(row.requests * share), math.ceil(counted * share))
            for name, meter, kind in self._meters:
                if name in _LONG and meter.spent_since(age, now):
                    yield name, meter, age, amounts[kind]

    def forget_days(self) -> None:
        """Begin the counts of hours, days and months anew; `restore` is to follow."""
        self._meters = [row for row in self._meters if row[0] not in _LONG]
        self._build()

    def _window(self, name: str, limit: int, now: float) -> Meter:
        if name != _MONTH:
            return Sliding(limit, *_WINDOWS[name[-1]])
        return Daily(limit, self._clock.wall, _next_month, now, longest=LONGEST_MONTH, reserve=0.0)

    def _day(self, limit: int, now: float) -> Meter:
        reset = self.limits.reset
        if reset == "rolling":
            return Sliding(limit, DAY, 1440)
        made = Daily(limit, self._clock.wall, lambda wall: next_reset(wall - RESET_MARGIN, reset) + RESET_MARGIN, now)
        made.idle = self._idle
        return made


def _next_month(wall: float) -> float:
    return next_month(wall, _UTC)


def _plausible(fact: Fact, ticket: Ticket) -> bool:
    """Whether a limit is no smaller than what the provider has just admitted."""
    return fact.limit is None or fact.limit >= ticket.used[KINDS[fact.name]]


def next_reset(wall: float, reset: str) -> float:
    """The Unix time of the first reset, given as "HH:MM TZ", after `wall`."""
    clock, _, name = reset.partition(" ")
    hour, minute = (int(part) for part in clock.split(":"))
    here = datetime.fromtimestamp(wall, ZoneInfo(name.strip()))
    then = here.replace(hour=hour, minute=minute, second=0, microsecond=0)
    while then.timestamp() <= wall:
        then += timedelta(days=1)
    return then.timestamp()
