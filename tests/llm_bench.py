"""A gateway in front of the sandbox's LLM server, over real HTTP: two accounts, two providers."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from piyasad.clock import Clock, SystemClock
from piyasad.config.settings import Settings
from piyasad.gateway.gateway import Gateway, build
from piyasad.metrics import Metrics
from piyasad.model import Usage
from piyasad.sandbox.llm import LlmConfig, LlmKey, LlmServer
from tests.llm import ask, serving

MODEL = "gpt-4.1-mini"
ENV = {"KEY_A": "key-a", "KEY_B": "key-b"}
Row = dict[str, Any]


class Bench:
    """A server with two accounts, and a gateway whose route leads over both."""

    def __init__(self, llm: LlmServer, url: str) -> None:
        self.llm = llm
        self.url = url
        self.metrics = Metrics()
        self.usage: list[Usage] = []
        self.opened: list[Gateway] = []
        self.clock: Clock = SystemClock()

    def settings(self, a: Row | None = None, b: Row | None = None, **gateway: Any) -> Settings:
        providers = {}
        for name, row in (("a", a), ("b", b)):
            if row is not None:
                base = {"kind": "openai", "base_url": self.url, "model": MODEL, "api_key_env": f"KEY_{name.upper()}"}
                providers[name] = base | row
        route = gateway.pop("route", list(providers))
        return Settings.model_validate({"providers": providers, "gateway": {"route": route, **gateway}})

    def gateway(self, a: Row | None = None, b: Row | None = None, share: float = 1.0, **gateway: Any) -> Gateway:
        made = build(
            self.settings(a, b, **gateway),
            ENV,
            self.clock,
            self.metrics,
            on_usage=self.usage.append,
            share=share,
        )
        self.opened.append(made)
        return made

    def count(self, outcome: str, provider: str | None = None) -> float:
        """Requests with that outcome."""
        return sum(
            sample.value
            for metric in self.metrics.llm_requests.parent.collect()
            for sample in metric.samples
            if sample.name.endswith("_total")
            and sample.labels["outcome"] == outcome
            and provider in {None, sample.labels["provider"]}
        )


@asynccontextmanager
async def a_bench(config: LlmConfig | None = None) -> AsyncIterator[Bench]:
    llm = LlmServer(config or LlmConfig(keys=(LlmKey("key-a"), LlmKey("key-b"))))
    async with serving(llm) as url:
        made = Bench(llm, url)
        try:
            yield made
        finally:
            for gateway in made.opened:
                await gateway.close()


def within(seconds: float, **kwargs: Any) -> Any:
    return ask(time.monotonic() + seconds, **kwargs)
