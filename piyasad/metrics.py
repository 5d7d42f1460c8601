"""The one metric registry: every metric of the contract that has a source, under its exact name.

The engine makes one `Metrics` and hands it down; nobody keeps a global. Labels are bounded (chats, kinds, outcomes,
providers, models, methods): no series per bot. `labels()` is memoised by prometheus_client, so it is cheap to call.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LATE_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds; lateness and loop lag are judged at 0.05 and 0.1."""

LONG_BUCKETS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 45.0, 120.0, 300.0)
QUERY_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0)


class Metrics:
    """Attributes are the contract's names without `piyasad_` and the unit."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.messages = self._counter("messages", "Messages of ours by how they ended", "chat", "kind", "outcome")
        self.turns = self._counter("turns", "Turns by what they decided and how they ended", "intent", "outcome")
        self.turn_lateness = self._histogram(
            "turn_lateness_seconds",
            "Start of a turn after its due time or the end of the bot's previous turn",
            LATE_BUCKETS,
        )
        self.turn_duration = self._histogram(
            "turn_duration_seconds", "Time spent in a stage of a turn", LONG_BUCKETS, "stage"
        )
        self.llm_requests = self._counter("llm_requests", "Calls to LLM providers", "provider", "model", "outcome")
        self.llm_tokens = self._counter("llm_tokens", "Tokens as the providers count them", "provider", "model", "type")
        self.llm_cost_usd = self._counter("llm_cost_usd", "Cost in US dollars", "provider", "model")
        self.llm_wait = self._histogram(
            "llm_wait_seconds", "Time from asking the gateway to its answer", LONG_BUCKETS, "class"
        )
        self.quota_remaining_ratio = self._gauge(
            "quota_remaining_ratio", "What is left of a provider's limit", "provider", "window"
        )
        self.quota_stretch_ratio = self._gauge("quota_stretch_ratio", "By what the day's quota stretches every delay")
        self.breaker_open = self._gauge("breaker_open", "1 while a provider is left alone after failures", "provider")
        self.telegram_requests = self._counter("telegram_requests", "Calls to the Bot API", "method", "outcome")
        self.telegram_retry_after = self._gauge("telegram_retry_after_seconds", "The last wait that Telegram asked for")
        self.uncertain = self._gauge("uncertain", "Messages of the last day that may or may not have been delivered")
        self.lease_lost = self._counter("lease_lost", "How often the daemon's lease ran out while it lived")
        self.guard_verdicts = self._counter("guard_verdicts", "Objections of the guards", "guard", "verdict")
        self.governor = self._counter("governor", "Turns held back by the governor", "reason")
        self.store_query = self._histogram("store_query_seconds", "Time of a statement", QUERY_BUCKETS, "query")
        self.feed_lag = self._histogram(
            "feed_lag_seconds", "Age of another shard's message when we hear it", LONG_BUCKETS
        )
        self.bots = self._gauge("bots", "Bots of this shard by state", "state")
        self.bot_restarts = self._counter("bot_restarts", "Bots started again after a crash")
        self.shard_info = self._gauge("shard_info", "Which shard this is", "shard", "shards")
        self.loop_lag = self._histogram(
            "loop_lag_seconds", "How much later than asked the event loop wakes", LATE_BUCKETS
        )
        self.build_info = self._gauge("build_info", "The running version", "version", "python")
        self.reload_successful = self._gauge("config_last_reload_successful", "1 when the last reload was taken")
        self.reload_timestamp = self._gauge(
            "config_last_reload_success_timestamp_seconds", "Unix time of the last reload that was taken"
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"piyasad_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"piyasad_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"piyasad_{name}", text, labels, registry=self.registry, buckets=buckets)
