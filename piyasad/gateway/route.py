"""All endpoints of the route together: whose quotas they share, what is left, and how much slower the room must talk.

The gateway walks them and asks here what it tells others: stretch, remains, limits. Nothing here calls or admits.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from piyasad.clock import DAY, Clock
from piyasad.config.settings import Settings
from piyasad.gateway.endpoint import STANDBY, Endpoint
from piyasad.gateway.quota.budget import Budget
from piyasad.gateway.quota.demand import FIRST, FIRST_SECONDS, Demand, Plan
from piyasad.gateway.quota.limits import MONEY
from piyasad.gateway.quota.meter import Ahead, Meter, seconds
from piyasad.gateway.quota.quota import MOST_STRETCH, Quota
from piyasad.model import Lesson, Usage

ABILITIES: Final = "abilities"  # what a lesson is about
LIMITS: Final = "limits"
STRETCH_SECONDS: Final = 5.0  # how long a reckoned stretch holds


class Route:
    """The route. Iterating gives the endpoints in order."""

    def __init__(
        self, endpoints: Sequence[Endpoint], clock: Clock, budget: Budget, *, paced: bool = True, share: float = 1.0
    ) -> None:
        self._endpoints = list(endpoints)
        self._clock = clock
        self.budget = budget
        self.share = share
        self._concurrent = share
        self._sharing = 1  # shards that draw on the same count
        self._paced = paced
        self._stretch = (-math.inf, 1.0)
        self._demand = Demand(FIRST_SECONDS)
        self._plan: Plan | None = None
        self._reckoned = (clock.wall(), 0)  # when, and the turns taken by then
        self._names = _names(self.quotas())

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._endpoints)

    def __getitem__(self, index: int) -> Endpoint:
        return self._endpoints[index]

    def __len__(self) -> int:
        return len(self._endpoints)

    def replace(self, endpoints: Sequence[Endpoint], settings: Settings) -> None:
        """Take the endpoints of a new configuration. Their quotas take its limits and go on counting."""
        self._endpoints = list(endpoints)
        self._names = _names(self.quotas())
        self._paced = settings.gateway.pace_daily_quota
        self.change_share(self.share)
        self._tell()
        self._stretch = (-math.inf, self._stretch[1])

    def change_share(self, share: float) -> None:
        """This shard's part of every quota."""
        self.share = share
        money = self.budget.shared()
        for quota, of in self.quotas().items():
            quota.change(
                of[0].limits,
                share=share,
                paced=self._paced,
                written=of[0].written,
                money=money,
                concurrent=self._concurrent,
            )

    def count_anew(self, rows: Iterable[Usage], *, share: float, concurrent: float, sharing: int) -> None:
        """Take another share of every limit; of days and budgets what `rows` leave of it.

        Args:
            share: of requests, tokens and money.
            concurrent: of the calls at once.
            sharing: how many shards draw on that share; each paces itself to its part.
        """
        self._concurrent, self._sharing = concurrent, sharing
        self.budget.forget(share)
        for quota in self.quotas():
            quota.forget_days()
        self.change_share(share)
        self.restore(rows)
        self._stretch = (-math.inf, self._stretch[1])

    def spent(self, rows: Iterable[Usage]) -> dict[tuple[str, Meter], dict[float, int]]:
        """What all shards used of days and budgets: by name and meter, amounts by age in seconds."""
        found: dict[tuple[str, Meter], dict[float, int]] = {}
        rows = list(rows)
        for quota, endpoints in self.quotas().items():
            spent = quota.spent(row for row in rows if _is_of(row, endpoints))
            _gather(found, self.name_of(quota), spent)
            for name, meter, kind in quota.meters:
                if meter.long and kind != MONEY and meter.inflight:
                    _gather(found, self.name_of(quota), [(name, meter, 0.0, meter.inflight)])
        _gather(found, "budget", self.budget.spent(rows))
        return found

    def name_of(self, quota: Quota) -> str:
        """What all shards call this quota."""
        return self._names[quota]

    def quotas(self) -> dict[Quota, list[Endpoint]]:
        """Each quota with its endpoints: keys of one provider share one unless the file says otherwise."""
        found: dict[Quota, list[Endpoint]] = {}
        for endpoint in self._endpoints:
            if endpoint.quota is not None:
                found.setdefault(endpoint.quota, []).append(endpoint)
        return found

    def note(self, prompt: int, spent: int, cost: float, *, answer: bool) -> None:
        """A text was made."""
        self._demand.note(prompt + spent, cost, answer=answer)

    def remaining(self) -> dict[str, dict[str, float]]:
        """What is left of each limit (0 to 1), by provider and configuration key; of several keys the fullest."""
        found: dict[str, dict[str, float]] = {}
        for endpoint in self._endpoints:
            if endpoint.quota is not None:
                row = found.setdefault(endpoint.name, {})
                for window, ratio in endpoint.quota.remaining().items():
                    row[window] = max(row.get(window, 0.0), ratio)
        return found

    def report(self) -> list[dict[str, Any]]:
        """Each limit in force with its source, and each key's state, as `status` shows them."""
        rows: list[dict[str, Any]] = []
        for quota, all_endpoints in self.quotas().items():
            endpoints = [each for each in all_endpoints if each.out != STANDBY]
            if not endpoints:
                continue
            asked = next((each for each in endpoints if not each.out), endpoints[0])
            of = {
                "provider": endpoints[0].name,
                "key": ", ".join(sorted({endpoint.label for endpoint in endpoints})),
                "model": asked.provider.model,
                "state": "; ".join(sorted({_state(endpoint) for endpoint in endpoints})),
            }
            rows += [of | asdict(row) for row in quota.rows()] or [of | {"name": "", "source": "no limits"}]
        rows += [
            {
                "provider": endpoint.name,
                "key": "",
                "model": endpoint.provider.model,
                "state": _state(endpoint),
                "name": "",
            }
            for endpoint in self._endpoints
            if endpoint.quota is None
        ]
        return rows

    def fault(self, name: str) -> str:
        """Why no key of a provider can be used now; "" when one can."""
        ours = [endpoint for endpoint in self._endpoints if endpoint.name == name]
        if not ours:
            return "no usable key"
        faults = [endpoint.out or ("failing" if endpoint.breaker.is_open else "") for endpoint in ours]
        return "" if "" in faults else faults[0]

    def standby_of(self, endpoint: Endpoint) -> Endpoint | None:
        """The endpoint that stands by for when no other model of this key is left; None while one is."""
        ours = [each for each in self._endpoints if (each.name, each.label) == (endpoint.name, endpoint.label)]
        if any(not each.out for each in ours):
            return None
        return next((each for each in ours if each.out == STANDBY), None)

    def restore(self, rows: Iterable[Usage]) -> None:
        """Count what earlier processes used. To be called once, before the first request."""
        rows = list(rows)
        for quota, endpoints in self.quotas().items():
            quota.restore(row for row in rows if _is_of(row, endpoints))
        self.budget.restore(rows)

    def recall(self, lessons: Iterable[Lesson]) -> None:
        """Take over what earlier processes learned of models and limits. To be called before the first request.

        Where a daily limit is a guess and nothing is known of it, the smallest that the provider told of another model
        takes its place.
        """
        known = {(row.provider, row.key, row.model, row.about): row.what for row in lessons}
        for endpoint in self._endpoints:
            about = known.get((endpoint.name, "", endpoint.provider.model, ABILITIES))
            if about is not None and endpoint.abilities is not None:
                endpoint.abilities.recall(about)
        least: dict[tuple[str, str], int] = {}
        quotas = self.quotas()
        for quota, of in quotas.items():
            for key in {endpoint.label for endpoint in of}:
                if (about := known.get((of[0].name, key, _model(of), LIMITS))) is not None:
                    quota.recall(about)
            for name, limit in quota.learned.days().items():
                least[of[0].name, name] = min(limit, least.get((of[0].name, name), limit))
        for quota, of in quotas.items():
            for (provider, name), limit in least.items():
                if provider == of[0].name:
                    quota.assume(name, limit)

    def news(self, endpoint: Endpoint, lessons: Sequence[str]) -> Iterator[Lesson]:
        """What is to be kept of what was learned at an endpoint since it was last asked; `lessons` of its model."""
        model = endpoint.provider.model
        if lessons and endpoint.abilities is not None:
            yield Lesson(endpoint.name, "", model, ABILITIES, endpoint.abilities.known())
        quota = endpoint.quota
        if quota is not None and quota.learned.take(self._clock.wall()):
            asked = model if endpoint.per_model else ""
            yield Lesson(endpoint.name, endpoint.label, asked, LIMITS, quota.learned.known())

    def follow(self, plan: Plan) -> None:
        """Pace by the bots' own day from now on."""
        self._plan = plan
        self._demand = Demand(FIRST)
        self._reckoned = (self._clock.wall(), plan.taken)
        self._stretch = (-math.inf, 1.0)
        self._tell()

    def _tell(self) -> None:
        if self._plan is not None:
            for quota in self.quotas():
                quota.follow(self._plan.idle)
            for _, meter in self.budget.meters:
                meter.idle = self._plan.idle

    def stretch(self) -> float:
        """How many times slower than wanted the talk must be so that the day's quota lasts; at least 1.

        1 when some provider has no daily quota, for then the day cannot run dry.
        """
        if not self._paced:
            return 1.0
        now = self._clock.mono()
        if now - self._stretch[0] >= STRETCH_SECONDS:
            self._advance()
            for quota in self.quotas():
                quota.age()
            self._stretch = (now, min(MOST_STRETCH, max(self._by_quota(), self._by_money())))
        return self._stretch[1]

    def _advance(self) -> None:
        wall, plan = self._clock.wall(), self._plan
        before, taken = self._reckoned
        if plan is None:
            passed = max(0.0, wall - before)
            self._demand.advance(passed, passed / self._stretch[1], DAY)
            self._reckoned = (wall, 0)
        else:
            self._demand.advance(plan.turns(before, wall), plan.taken - taken, plan.turns(wall, wall + DAY))
            self._reckoned = (wall, plan.taken)

    def _ahead(self) -> Ahead:
        plan, wall = self._plan, self._clock.wall()
        return seconds if plan is None else lambda coming: plan.turns(wall, wall + coming)

    def _by_quota(self) -> float:
        """Each quota lasts for so many of the planned turns; who has no daily limit cannot run out."""
        ahead, wanted, answers = self._ahead(), self._demand.paced(), self._demand.answers()
        taken = [(kind, wanted[kind]) for kind in range(2) if wanted[kind] > 0]
        lasting = [
            quota.lasting(ahead)
            for quota, endpoints in self.quotas().items()
            if not all(endpoint.out for endpoint in endpoints)
        ]
        if not taken or not lasting or not all(lasting):
            return 1.0
        lasts = math.fsum(min((row[kind] / use for kind, use in taken if kind in row), default=0.0) for row in lasting)
        by_people = max(answers[at] / wanted[at] for at in range(2) if wanted[at] > 0)
        return max(1.0, _ratio(1.0, lasts / self._sharing - by_people))

    def _by_money(self) -> float:
        if not self.budget.meters or any(
            endpoint.is_free and endpoint.quota for endpoint in self._endpoints if not endpoint.out
        ):
            return 1.0
        left = self.budget.sustainable(self._ahead()) / self._sharing - self._demand.answers()[2]
        return _ratio(self._demand.paced()[2], left)


def _model(endpoints: Sequence[Endpoint]) -> str:
    """The model that a quota is about; "" where it is about all of a key's."""
    return endpoints[0].provider.model if endpoints[0].per_model else ""


def _is_of(row: Usage, endpoints: Iterable[Endpoint]) -> bool:
    """Whether usage counts for the quota of these endpoints."""
    return any(
        (row.provider, row.key) == (each.name, each.label) and (not each.per_model or row.model == each.provider.model)
        for each in endpoints
    )


def _names(quotas: Mapping[Quota, Sequence[Endpoint]]) -> dict[Quota, str]:
    """By the provider; by key, too, where its keys have quotas of their own; by model where it counts so."""
    found: dict[Quota, str] = {}
    shared = Counter((of[0].name, _model(of)) for of in quotas.values())
    for quota, of in quotas.items():
        model = _model(of)
        parts = [of[0].name, of[0].label if shared[of[0].name, model] > 1 else "", model]
        found[quota] = "/".join(part for part in parts if part)
    return found


def _gather(
    found: dict[tuple[str, Meter], dict[float, int]], of: str, rows: Iterable[tuple[str, Meter, float, int]]
) -> None:
    for name, meter, age, amount in rows:
        ages = found.setdefault((f"{of}/{name}", meter), {})
        ages[age] = ages.get(age, 0) + amount


def _ratio(wanted: float, left: float) -> float:
    if wanted <= 0:
        return 1.0
    return wanted / left if left > 0 else MOST_STRETCH


def _state(endpoint: Endpoint) -> str:
    if endpoint.out:
        return f"out: {endpoint.out}"
    return "failing" if endpoint.breaker.is_open else "open"
