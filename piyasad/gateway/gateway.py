"""The gateway: the one door to every LLM. Admission, fair order, routing, fallback, accounting.

`turn.py` asks for texts, the engine builds and reloads it. It never calls a provider beyond its quota, never lets a
text wait past its deadline, and knows nothing of Telegram or the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import structlog

from piyasad.clock import Clock
from piyasad.config.settings import Settings
from piyasad.gateway.admission import Admission, Job, Sharer
from piyasad.gateway.endpoint import Endpoint, HttpProviders, ProviderSource, open_endpoints
from piyasad.gateway.quota.budget import Budget
from piyasad.gateway.quota.demand import Plan
from piyasad.gateway.quota.quota import Quota, Ticket
from piyasad.gateway.route import Route
from piyasad.gateway.usage import Accounting
from piyasad.metrics import Metrics
from piyasad.model import Usage
from piyasad.providers.interface import (
    BadKey,
    BadModel,
    BadRequest,
    Completion,
    Expired,
    NoProvider,
    NotSent,
    ProviderError,
    Refused,
    Request,
    ServerFault,
    Throttled,
    TimedOut,
    Transient,
)

log = structlog.stdlib.get_logger(__name__)

MOST_CALLS: Final = 3  # of one text, over retries and fallbacks together
UNSAID_WAIT: Final = 5.0  # s; after a 429 that does not say how long to wait
UNSAID_DAY_WAIT: Final = 600.0  # s; the same when it was about a day's limit


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

    def prepare(self, settings: Settings) -> list[Endpoint]:
        """The endpoints that a new configuration wants; nothing is changed. Quotas, breakers, what was learned go on.

        Raises:
            ConfigError: no provider of the route can be used.
        """
        if self._providers is None:
            self._providers = HttpProviders()
        known = {(endpoint.name, endpoint.label): endpoint for endpoint in self.endpoints}
        return open_endpoints(
            settings, self._env, self._clock, self._providers, share=self.endpoints.share, known=known
        )

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
        endpoint.breaker.success()
        if endpoint.failing:
            endpoint.failing = False
            log.info("gateway.provider_up", provider=endpoint.name, key=endpoint.label)
        prompt, cached, spent = completion.prompt_tokens, completion.cached_tokens, completion.completion_tokens
        if ticket is not None and quota is not None:
            if prompt or spent:
                quota.settle(ticket, prompt, cached, spent, endpoint.micros(prompt, cached, spent))
                endpoint.estimator.learn(job.chars, prompt)
            else:
                quota.keep(ticket)
        cost = self._accounting.used(endpoint, prompt, cached, spent)
        if quota is not None:
            self.endpoints.note(prompt, spent, cost, answer=request.klass.rank == 0)
            if completion.facts:
                quota.learn(completion.facts, ticket)
        self._accounting.answered(endpoint)
        if self._admission.waiting:
            self._admission.pump()
        return Completion(
            completion.text,
            completion.provider,
            completion.model,
            prompt,
            cached,
            spent,
            cost=cost,
            finish=completion.finish,
            calls=job.calls,
        )

    def _another_could(self, job: Job, endpoint: Endpoint, within: float) -> bool:
        """Whether some other provider could still answer this text if this one does not."""
        if len(self.endpoints) == 1 or job.calls + 1 >= MOST_CALLS:
            return False
        now = self._clock.mono()
        others = (d for d in self._admission.eligible(job) if d is not endpoint and not d.breaker.is_open)
        return self._admission.soonest(job, others, now) < within

    def _failed(self, job: Job, endpoint: Endpoint, ticket: Ticket | None, error: ProviderError) -> None:
        """Settle what a failed call used, and draw the consequence for its endpoint."""
        now = self._clock.mono()
        if error.usage is not None:
            self._accounting.used(endpoint, *error.usage)
        if ticket is not None and endpoint.quota is not None:
            _settle_failure(endpoint, endpoint.quota, ticket, error)
            if error.facts:
                endpoint.quota.learn(error.facts, ticket)
        if isinstance(error, Transient):
            endpoint.breaker.failure(now, timeout=isinstance(error, TimedOut))
            if not endpoint.failing:
                endpoint.failing = True
                log.warning("gateway.provider_down", provider=endpoint.name, key=endpoint.label, reason=str(error))
        elif isinstance(error, Throttled):
            endpoint.breaker.abandon()
            wait = _wait_after(error)
            if endpoint.quota is not None:
                endpoint.quota.hold(wait)
            log.info("gateway.throttled", provider=endpoint.name, wait_seconds=round(wait, 1), reason=str(error))
        else:
            endpoint.breaker.success()
        if isinstance(error, BadKey):
            self._shut(endpoint, str(error), f"put a valid key into {endpoint.place} and reload")
        elif isinstance(error, BadModel):
            self._bad_model(endpoint, error)
        elif isinstance(error, BadRequest):
            log.warning("gateway.bad_request", provider=endpoint.name, reason=str(error))
        if isinstance(error, TimedOut | BadRequest):
            job.excluded.append(endpoint)
        elif endpoint not in job.tried:
            job.tried.append(endpoint)
        self._accounting.failed(endpoint, error)
        self._admission.pump()

    def _bad_model(self, endpoint: Endpoint, error: BadModel) -> None:
        use = getattr(endpoint.provider, "use_model", None)
        if endpoint.fallback_model and use is not None and endpoint.provider.model != endpoint.fallback_model:
            log.error("gateway.model_replaced", provider=endpoint.name, reason=str(error), now=endpoint.fallback_model)
            use(endpoint.fallback_model)
            if endpoint.quota is not None:
                endpoint.quota.unlearn()
            return
        self._shut(endpoint, str(error), f"set [providers.{endpoint.name}] model to one the key may use and reload")

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
    providers = providers or HttpProviders()
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


def _wait_after(error: Throttled) -> float:
    """How long to wait after a 429: what it says, else until the limits that it says are used up refill."""
    if error.retry_after is not None:
        return error.retry_after
    resets = [fact.reset for fact in error.facts if fact.left == 0 and fact.reset is not None]
    return max(resets, default=UNSAID_DAY_WAIT if error.window == "day" else UNSAID_WAIT)


def _settle_failure(endpoint: Endpoint, quota: Quota, ticket: Ticket, error: ProviderError) -> None:
    if error.usage is not None:
        quota.settle(ticket, *error.usage, endpoint.micros(*error.usage))
    elif isinstance(error, NotSent):
        quota.refund(ticket)
    elif isinstance(error, Transient) and not isinstance(error, ServerFault):
        quota.keep(ticket)
    else:
        quota.keep_request(ticket)
