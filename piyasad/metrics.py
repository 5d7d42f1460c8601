"""The one metric registry: every metric of the contract that has a source, under its exact name.

The engine makes one `Metrics` and hands it down; nobody keeps a global. Labels are bounded (chats, kinds, outcomes,
providers, models, methods): no series per bot. `ops/exposition.py` turns it into what Prometheus reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LATE_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds; lateness and loop lag are judged at 0.05 and 0.1."""

LONG_BUCKETS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 45.0, 120.0, 300.0)
QUERY_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0)

Single = Counter | Gauge | Histogram
M = TypeVar("M", Counter, Gauge, Histogram)


class Family(Generic[M]):
    """A metric with labels. Remembers each child by its values: a lookup, where the library's takes 1.7 µs.

    The children are listed one at a time, so that rendering a large family need not hold the loop.
    """

    def __init__(self, parent: M, names: tuple[str, ...]) -> None:
        self.parent: M = parent
        self.names = names
        self._children: dict[tuple[str, ...], M] = {}

    def labels(self, *values: str) -> M:
        """The child with these label values, in the order of `names`; made at its first use."""
        child = self._children.get(values)
        if child is None:
            child = self._children[values] = self.parent.labels(*values)
        return child

    def children(self) -> list[tuple[tuple[str, ...], M]]:
        """(label values, child), as they are now."""
        return list(self._children.items())


AnyFamily = Family[Counter] | Family[Gauge] | Family[Histogram]
K = TypeVar("K", bound=Single | AnyFamily)


class Metrics:
    """Attributes are the contract's names without `piyasad_` and the unit. `redis`: one is configured."""

    def __init__(self, *, redis: bool = False) -> None:
        registry = self.registry = CollectorRegistry()
        self._all: list[Single | AnyFamily] = []

        def counter(name: str, text: str) -> Counter:
            return self._keep(Counter(f"piyasad_{name}", text, registry=registry))

        def counters(name: str, text: str, *labels: str) -> Family[Counter]:
            return self._keep(Family(Counter(f"piyasad_{name}", text, labels, registry=registry), labels))

        def gauge(name: str, text: str) -> Gauge:
            return self._keep(Gauge(f"piyasad_{name}", text, registry=registry))

        def gauges(name: str, text: str, *labels: str) -> Family[Gauge]:
            return self._keep(Family(Gauge(f"piyasad_{name}", text, labels, registry=registry), labels))

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return self._keep(Histogram(f"piyasad_{name}", text, registry=registry, buckets=buckets))

        def histograms(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Family[Histogram]:
            parent = Histogram(f"piyasad_{name}", text, labels, registry=registry, buckets=buckets)
            return self._keep(Family(parent, labels))

        self.messages = counters("messages", "Messages of ours by how they ended", "chat", "kind", "outcome")
        self.turns = counters("turns", "Turns by what they decided and how they ended", "intent", "outcome")
        self.turn_lateness = histogram(
            "turn_lateness_seconds",
            "Start of a turn after its due time or the end of the bot's previous turn",
            LATE_BUCKETS,
        )
        self.turn_duration = histograms(
            "turn_duration_seconds", "Time spent in a stage of a turn", LONG_BUCKETS, "stage"
        )
        self.llm_requests = counters("llm_requests", "Calls to LLM providers", "provider", "model", "outcome")
        self.llm_tokens = counters("llm_tokens", "Tokens as the providers count them", "provider", "model", "type")
        self.llm_cost_usd = counters("llm_cost_usd", "Cost in US dollars", "provider", "model")
        self.llm_wait = histograms("llm_wait_seconds", "Time a text waited for its first call", LONG_BUCKETS, "class")
        self.quota_remaining_ratio = gauges(
            "quota_remaining_ratio", "What is left of a provider's limit", "provider", "window"
        )
        self.quota_stretch_ratio = gauge("quota_stretch_ratio", "By what the day's quota stretches every delay")
        self.breaker_open = gauges("breaker_open", "1 while a provider is left alone after failures", "provider")
        self.telegram_requests = counters("telegram_requests", "Calls to the Bot API", "method", "outcome")
        self.telegram_retry_after = gauge("telegram_retry_after_seconds", "The last wait that Telegram asked for")
        self.uncertain = gauge("uncertain", "Messages of the last day that may or may not have been delivered")
        self.lease_lost = counter("lease_lost", "How often the daemon's lease ran out while it lived")
        self.guard_verdicts = counters("guard_verdicts", "Objections of the guards", "guard", "verdict")
        self.governor = counters("governor", "Turns held back, or kept from the reply they had in mind", "reason")
        self.store_query = histograms("store_query_seconds", "Time of a statement", QUERY_BUCKETS, "query")
        self.redis_up = gauge("redis_up", "1 while Redis answers") if redis else None
        self.feed_lag = histogram("feed_lag_seconds", "Age of another shard's message when we hear it", LONG_BUCKETS)
        self.bots = gauges("bots", "Bots of this shard by state", "state")
        self.bot_restarts = counter("bot_restarts", "Bots started again after a crash")
        self.shard_info = gauges("shard_info", "Which shard this is, counted from 0", "shard", "shards")
        self.loop_lag = histogram("loop_lag_seconds", "How much later than asked the event loop wakes", LATE_BUCKETS)
        self.build_info = gauges("build_info", "The running version", "version", "python")
        self.reload_successful = gauge("config_last_reload_successful", "1 when the last reload was taken")
        self.reload_timestamp = gauge(
            "config_last_reload_success_timestamp_seconds", "Unix time of the last reload that was taken"
        )

    def all(self) -> Iterator[Single | AnyFamily]:
        """Every metric, in the order of the contract."""
        return iter(self._all)

    def _keep(self, metric: K) -> K:
        self._all.append(metric)
        return metric
