"""Our side of a comparison, as a process of its own: `python -m bench.gateway_side JSON`; prints its figures as JSON.

With "bare" the same texts go through the bare httpx-aiohttp client and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import httpx
import uvloop

from bench.load import MODEL, Ask, Text, closed, row, say
from piyasad.clock import SystemClock
from piyasad.config.settings import Settings
from piyasad.gateway.gateway import Gateway, build
from piyasad.metrics import Metrics
from piyasad.model import Class
from piyasad.providers.client import make_client
from piyasad.providers.interface import ProviderError, Request
from piyasad.store.deferred import Deferred

DEADLINE = 60.0  # s
CLASSES = tuple(Class)


def request(text: Text, seconds: float = DEADLINE) -> Request:
    """As a turn asks for it."""
    return Request(
        text.bot, CLASSES[text.rank], text.system, text.user, text.max_tokens, 0.9, time.monotonic() + seconds
    )


def make_gateway(providers: dict[str, dict[str, Any]], env: dict[str, str], **gateway: Any) -> Gateway:
    """The gateway as the engine builds it, with metrics and with the accounting that the store keeps."""
    settings = Settings.model_validate({"providers": providers, "gateway": {"route": list(providers), **gateway}})
    accounting = Deferred()
    return build(settings, env, SystemClock(), Metrics(), on_usage=lambda usage: accounting.add([usage]))


def through_gateway(given: dict[str, Any]) -> tuple[Gateway, Ask]:
    """The gateway over `given["endpoints"]`: each with a key and perhaps limits."""
    providers, env = {}, {}
    for name, endpoint in given["endpoints"].items():
        env[f"BENCH_{name.upper()}"] = endpoint["key"]
        base = {"kind": "openai", "base_url": given["url"], "model": MODEL, "api_key_env": f"BENCH_{name.upper()}"}
        providers[name] = base | endpoint["limits"]
    gateway = make_gateway(providers, env)

    async def ask(text: Text) -> bool:
        try:
            await gateway.complete(request(text))
        except ProviderError:
            return False
        return True

    return gateway, ask


def through_client(client: httpx.AsyncClient, given: dict[str, Any]) -> Ask:
    """The least that a program does to have a text."""
    url = f"{given['url']}/chat/completions"
    headers = {"Authorization": f"Bearer {next(iter(given['endpoints'].values()))['key']}"}

    async def ask(text: Text) -> bool:
        messages = [{"role": "system", "content": text.system}, {"role": "user", "content": text.user}]
        body = {"model": MODEL, "messages": messages, "max_tokens": text.max_tokens, "temperature": 0.9}
        answer = await client.post(url, json=body, headers=headers)
        if answer.status_code != 200:
            return False
        found = answer.json()
        return bool(found["choices"][0]["message"]["content"] and found["usage"]["prompt_tokens"])

    return ask


async def main(given: dict[str, Any]) -> dict[str, float]:
    """Carry the load, report."""
    load = {name: given[name] for name in ("workers", "warm", "seconds", "spread")}
    if given["side"] == "bare":
        client = make_client()
        try:
            return row(await closed(through_client(client, given), **load))
        finally:
            await client.aclose()
    gateway, ask = through_gateway(given)
    try:
        return row(await closed(ask, **load))
    finally:
        await gateway.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        say(json.dumps(runner.run(main(json.loads(sys.argv[1])))))
