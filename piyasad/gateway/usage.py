"""The gateway's accounting: every call with its outcome, every token with its price, in the metrics and to the store.

The gateway writes here and nowhere else. Nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from piyasad.clock import Clock
from piyasad.gateway.endpoint import Endpoint
from piyasad.metrics import Metrics
from piyasad.model import Usage
from piyasad.providers.interface import (
    BadKey,
    BadModel,
    BadRequest,
    ProviderError,
    Refused,
    Request,
    Spent,
    Throttled,
    TimedOut,
    Transient,
)

# The first that fits: a timeout is transient too.
_OUTCOMES: Final[tuple[tuple[type[ProviderError], str], ...]] = (
    (TimedOut, "timeout"),
    (Throttled, "throttled"),
    (Transient, "transient"),
    (Refused, "refused"),
    (BadModel, "bad_model"),
    (BadKey, "bad_key"),
    (BadRequest, "bad_request"),
)


class Accounting:
    """What was asked, answered, used and paid."""

    def __init__(self, clock: Clock, metrics: Metrics, on_usage: Callable[[Usage], None] | None) -> None:
        self._clock = clock
        self._metrics = metrics
        self._on_usage = on_usage

    def waited(self, request: Request, seconds: float) -> None:
        """How long a text stood in the queue before its first call."""
        self._metrics.llm_wait.labels(request.klass.value).observe(seconds)

    def answered(self, endpoint: Endpoint) -> None:
        """A call gave a text."""
        self._metrics.llm_requests.labels(endpoint.name, endpoint.provider.model, "ok").inc()

    def failed(self, endpoint: Endpoint, error: ProviderError) -> None:
        """A call gave none."""
        outcome = next((name for kind, name in _OUTCOMES if isinstance(error, kind)), "failed")
        self._metrics.llm_requests.labels(endpoint.name, endpoint.provider.model, outcome).inc()

    def unasked(self, outcome: str) -> None:
        """A text ended before anybody was asked: "expired" or "throttled". It has no provider in its labels."""
        self._metrics.llm_requests.labels("", "", outcome).inc()

    def used(self, endpoint: Endpoint, spent: Spent, *, requests: int = 1) -> float:
        """Tokens that a provider charged; gives what they cost in US dollars."""
        model = endpoint.provider.model
        cost = endpoint.cost(spent)
        for kind, amount in (("prompt", spent.prompt), ("cached", spent.cached), ("completion", spent.completion)):
            if amount:
                self._metrics.llm_tokens.labels(endpoint.name, model, kind).inc(amount)
        if cost:
            self._metrics.llm_cost_usd.labels(endpoint.name, model).inc(cost)
        if self._on_usage is not None:
            counts = (requests, spent.prompt, spent.cached, spent.completion)
            self._on_usage(Usage(endpoint.name, endpoint.label, model, self._clock.wall(), *counts, cost))
        return cost

    def publish(self, endpoints: Iterable[Endpoint], remaining: dict[str, dict[str, float]], stretch: float) -> None:
        """Set the gauges."""
        for name, windows in remaining.items():
            for window, ratio in windows.items():
                self._metrics.quota_remaining_ratio.labels(name, window).set(ratio)
        self._metrics.quota_stretch_ratio.set(stretch)
        shut: dict[str, bool] = {}
        for endpoint in endpoints:
            shut[endpoint.name] = shut.get(endpoint.name, True) and (bool(endpoint.out) or endpoint.breaker.is_open)
        for name, is_shut in shut.items():
            self._metrics.breaker_open.labels(name).set(1 if is_shut else 0)
