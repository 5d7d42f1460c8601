"""The gateway: the one door to every LLM. Admission, fair order, routing, fallback, accounting.

`turn.py` asks for texts, the engine builds and reloads it. It never calls a provider beyond its quota, never lets a
text wait past its deadline, and knows nothing of Telegram or the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import structlog

from piyasad.clock import Clock
from piyasad.config.settings import Settings
from piyasad.gateway import consequences
from piyasad.gateway.admission import Admission, Job, Sharer
from piyasad.gateway.endpoint import Endpoint, HttpProviders, Known, ProviderSource, open_endpoints
from piyasad.gateway.quota.budget import Budget
from piyasad.gateway.quota.demand import Plan
from piyasad.gateway.quota.quota import Ticket
from piyasad.gateway.route import Route
from piyasad.gateway.usage import Accounting
from piyasad.metrics import Metrics
from piyasad.model import Lesson, Usage
from piyasad.providers.interface import (
    BadKey,
    BadModel,
    BadRequest,
    Completion,
    Expired,
    NoProvider,
    ProviderError,
    Refused,
    Request,
    Throttled,
    TimedOut,
    Transient,
)

log = structlog.stdlib.get_logger(__name__)

MOST_CALLS: Final = 3  # of one text, over retries and fallbacks together


class Gateway:
    """All LLMs of the route behind one method. One event loop."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        clock: Clock,
        metrics: Metrics,
        *,
        timeout_seconds: float = 30.0,
        paced: bool = True,
        on_usage: Callable[[Usage], None] | None = None,
        providers: ProviderSource | None = None,
        env: Mapping[str, str] | None = None,
        share: float = 1.0,
        budget: Budget | None = None,
    ) -> None:
        self.endpoints = Route(endpoints, clock, budget or Budget(clock), paced=paced, share=share)
        self._clock = clock
        self._accounting = Accounting(clock, metrics, on_usage)
        self._timeout = timeout_seconds
        self._providers = providers
        self._env = env or {}
        self._admission = Admission(self.endpoints, clock, self._accounting)
        self._known: dict[Known, Endpoint] = {}  # every endpoint that there was
        self._keep: Callable[[Lesson], None] | None = None

    # --- what others ask
    async def complete(self, request: Request) -> Completion:
        """A text for this request.

        Raises:
            Expired: its deadline passed before any call was made.
            NoProvider: no key is left that could be asked.
            ProviderError: of the last call made; `Throttled` also when no quota frees up before the deadline.
        """
        job = Job(request)
        while True:
            taken = await self._admission.admit(job)
            if not job.calls:
                self._accounting.waited(request, job.waited)
            try:
                return await self._call(job, *taken)
            except (Refused, NoProvider, Expired):
                raise
            except ProviderError as error:
                job.error = error
                if job.calls >= MOST_CALLS or not self._admission.eligible(job):
                    raise

    def usable(self, route: Sequence[str]) -> dict[str, str]:
        """Each provider of the route, and why it cannot be used now; "" when it can."""
        return {name: self.endpoints.fault(name) for name in route}

    def stretch(self) -> float:
        """How many times slower than wanted the talk must be so that the day's quota lasts; at least 1."""
        return self.endpoints.stretch()

    def share_with(self, sharer: Sharer) -> None:
        """From now on every reservation is made with the other shards, too."""
        self._admission.sharer = sharer

    def look_again(self) -> None:
        """Something changed for those who wait."""
        self._admission.pump()

    def follow(self, plan: Plan) -> None:
        """Pace the day by the bots' own plan of it."""
        self.endpoints.follow(plan)

    def report(self) -> dict[str, Any]:
        """What `status` shows: each limit with its source, and the stretch."""
        return {"limits": self.endpoints.report(), "stretch": round(self.endpoints.stretch(), 2)}

    def publish(self) -> None:
        """Set the gauges; to be called before they are read, or every few seconds."""
        self._accounting.publish(self.endpoints, self.endpoints.remaining(), self.endpoints.stretch())

    def restore(self, rows: Iterable[Usage]) -> None:
        """Count what earlier processes used. To be called once, before the first request."""
        self.endpoints.restore(rows)

    def recall(self, lessons: Iterable[Lesson]) -> None:
        """Take over what earlier processes learned. To be called once, before the first request."""
        self.endpoints.recall(lessons)

    def remember_with(self, keep: Callable[[Lesson], None]) -> None:
        """From now on `keep` is handed what is learned, to be kept over restarts."""
        self._keep = keep

    def prepare(self, settings: Settings) -> list[Endpoint]:
        """The endpoints that a new configuration wants; nothing is changed. Quotas, breakers, what was learned go on.

        Raises:
            ConfigError: no provider of the route can be used.
        """
        if self._providers is None:
            self._providers = HttpProviders(self._clock.wall)
        self._remember()
        return open_endpoints(
            settings, self._env, self._clock, self._providers, share=self.endpoints.share, known=self._known
        )

    def _remember(self) -> None:
        """Keep what counts for the endpoints of now: a model that is taken out and put in again goes on counting."""
        self._known |= {(each.name, each.label, each.provider.model): each for each in self.endpoints}

    def commit(self, settings: Settings, endpoints: Sequence[Endpoint]) -> None:
        """Take a new configuration with the endpoints that were prepared for it. It cannot fail."""
        self._timeout = settings.gateway.timeout_seconds
        gateway = settings.gateway
        self.endpoints.budget.change(
            gateway.budget_usd_per_day, gateway.budget_usd_per_month, settings.zone, share=self.endpoints.share
        )
        self.endpoints.replace(endpoints, settings)
        self._admission.pump()

    async def close(self) -> None:
        """Give connections back. Requests still waiting are refused."""
        self._admission.close()
        for endpoint in self.endpoints:
            await endpoint.provider.close()
        if self._providers is not None:
            await self._providers.close()
            self._providers = None

    # --- one call
    async def _call(self, job: Job, endpoint: Endpoint, ticket: Ticket | None) -> Completion:
        request, quota = job.request, endpoint.quota
        left = request.deadline - self._clock.mono()
        if left <= 0:
            self._admission.give_back(endpoint, ticket)
            self._accounting.unasked("expired")
            raise job.error or Expired("the deadline passed while waiting for quota")
        timeout = min(self._timeout, left)
        if timeout > left / 2 and self._another_could(job, endpoint, left / 2):
            timeout = left / 2
        job.calls += 1
        try:
            completion = await endpoint.provider.complete(request, timeout=timeout)
        except ProviderError as error:
            self._failed(job, endpoint, ticket, error)
            raise
        except BaseException:  # cancelled, or a fault of ours: nobody knows what was used
            endpoint.breaker.abandon()
            if ticket is not None and quota is not None:
                quota.keep(ticket)
            self._admission.pump()
            raise
        cost = self._answered(job, endpoint, ticket, completion)
        return replace(completion, cost=cost, calls=job.calls, facts=())

    def _answered(self, job: Job, endpoint: Endpoint, ticket: Ticket | None, completion: Completion) -> float:
        """Settle what an answered call used; gives what it cost."""
        quota, request = endpoint.quota, job.request
        endpoint.breaker.success()
        consequences.fine(endpoint)
        if endpoint.failing:
            endpoint.failing = False
            log.info("gateway.provider_up", provider=endpoint.name, key=endpoint.label)
        spent = completion.spent
        if quota is not None:
            spent = consequences.used(endpoint, request, completion)
            if ticket is not None:
                quota.settle(ticket, spent, endpoint.micros(spent), requests=completion.requests)
            if spent.prompt == completion.prompt_tokens:
                endpoint.estimator.learn(job.chars, spent.prompt)
            if completion.facts:
                quota.learn(completion.facts, ticket)
            if completion.retry_after:
                quota.hold(completion.retry_after)
        self._tell_lessons(endpoint)
        cost = self._accounting.used(endpoint, spent, requests=completion.requests)
        if quota is not None:
            self.endpoints.note(spent.prompt, spent.completion, cost, answer=request.klass.rank == 0)
        self._accounting.answered(endpoint)
        if self._admission.waiting:
            self._admission.pump()
        return cost

    def _another_could(self, job: Job, endpoint: Endpoint, within: float) -> bool:
        """Whether some other provider could still answer this text if this one does not."""
        if len(self.endpoints) == 1 or job.calls + 1 >= MOST_CALLS:
            return False
        now = self._clock.mono()
        others = (d for d in self._admission.eligible(job) if d is not endpoint and not d.breaker.is_open)
        return self._admission.soonest(job, others, now) < within

    def _failed(self, job: Job, endpoint: Endpoint, ticket: Ticket | None, error: ProviderError) -> None:
        """Settle what a failed call used, and draw the consequence for its endpoint."""
        now, quota = self._clock.mono(), endpoint.quota
        if error.usage is not None:
            self._accounting.used(endpoint, error.usage, requests=error.requests)
        if ticket is not None and quota is not None:
            consequences.settle_failure(endpoint, ticket, error)
            if error.facts:
                quota.learn(error.facts, ticket)
        self._tell_lessons(endpoint)
        believed = isinstance(error, BadKey | BadModel) and consequences.believed(endpoint, error)
        if isinstance(error, Throttled):
            endpoint.breaker.abandon()
        elif isinstance(error, Transient) or not (error.sure or believed):
            endpoint.breaker.failure(now, timeout=isinstance(error, TimedOut))
            self._down(endpoint, error)
        else:
            endpoint.breaker.success()
        self._hold(endpoint, error)
        if believed and isinstance(error, BadKey):
            self._shut(endpoint, str(error), f"put a valid key into {endpoint.place} and reload")
        elif believed and isinstance(error, BadModel):
            self._bad_model(endpoint, error)
        elif isinstance(error, BadRequest):
            log.warning("gateway.bad_request", provider=endpoint.name, reason=str(error))
        if isinstance(error, TimedOut | BadRequest) or not error.sure:
            job.excluded.append(endpoint)
        elif endpoint not in job.tried:
            job.tried.append(endpoint)
        self._accounting.failed(endpoint, error)
        self._admission.pump()

    def _hold(self, endpoint: Endpoint, error: ProviderError) -> None:
        """Ask nothing of the endpoint for as long as it says, or as it seems wise."""
        wait = consequences.wait_after(endpoint, error)
        if wait <= 0:
            return
        if isinstance(error, BadRequest) or endpoint.quota is None:
            endpoint.breaker.rest(self._clock.mono() + wait)  # it is about this model, not about the account
        else:
            endpoint.quota.hold(wait)
        said = log.info if isinstance(error, Throttled) else log.warning
        said("gateway.throttled", provider=endpoint.name, wait_seconds=round(wait, 1), reason=str(error))

    def _down(self, endpoint: Endpoint, error: ProviderError) -> None:
        if not endpoint.failing:
            endpoint.failing = True
            log.warning("gateway.provider_down", provider=endpoint.name, key=endpoint.label, reason=str(error))

    def _tell_lessons(self, endpoint: Endpoint) -> None:
        """Tell and keep what was learned since it was last asked."""
        lessons = endpoint.abilities.take() if endpoint.abilities is not None else []
        for lesson in lessons:
            log.warning("gateway.learned", provider=endpoint.name, model=endpoint.provider.model, lesson=lesson)
        for row in self.endpoints.news(endpoint, lessons):
            if self._keep is not None:
                self._keep(row)

    def _bad_model(self, endpoint: Endpoint, error: BadModel) -> None:
        self._shut(endpoint, str(error), f"set [providers.{endpoint.name}] model to one the key may use and reload")
        standby = self.endpoints.standby_of(endpoint)
        if standby is not None:
            standby.out = ""
            if standby.quota is not None and standby.quota is endpoint.quota:
                standby.quota.unlearn()
            now = standby.provider.model
            log.error("gateway.model_replaced", provider=endpoint.name, reason=str(error), now=now)

    def _shut(self, endpoint: Endpoint, reason: str, cure: str) -> None:
        if not endpoint.out:
            endpoint.out = reason
            log.error("gateway.key_out", provider=endpoint.name, key=endpoint.label, reason=reason, cure=cure)


def build(
    settings: Settings,
    env: Mapping[str, str],
    clock: Clock,
    metrics: Metrics,
    *,
    on_usage: Callable[[Usage], None] | None = None,
    share: float = 1.0,
    providers: ProviderSource | None = None,
) -> Gateway:
    """The gateway of a configuration; `share` is 1/n for one of n shards. It owns its providers: `close()` it.

    Raises:
        ConfigError: no provider of the route can be used.
    """
    providers = providers or HttpProviders(clock.wall)
    budget = Budget(clock)
    budget.change(
        settings.gateway.budget_usd_per_day, settings.gateway.budget_usd_per_month, settings.zone, share=share
    )
    return Gateway(
        open_endpoints(settings, env, clock, providers, share=share, money=budget.shared()),
        clock,
        metrics,
        timeout_seconds=settings.gateway.timeout_seconds,
        paced=settings.gateway.pace_daily_quota,
        on_usage=on_usage,
        providers=providers,
        env=env,
        share=share,
        budget=budget,
    )
