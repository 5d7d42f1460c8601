"""One of four gateways that share a key through Redis: `python -m bench.shared_side JSON`; asks until it is ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from typing import Any

import uvloop

from bench.gateway_side import make_gateway, request
from bench.load import MODEL, Texts
from piyasad.clock import SystemClock
from piyasad.gateway.sharing import Sharing
from piyasad.model import Usage
from piyasad.providers.interface import ProviderError
from piyasad.store.redis import RedisBuckets

WORKERS = 60


async def main(given: dict[str, Any]) -> None:
    """Share, and ask as fast as the limits let."""
    base = {"kind": "openai", "base_url": given["url"], "model": MODEL, "api_key_env": "BENCH_SHARED"}
    gateway = make_gateway({"first": base | given["limits"]}, {"BENCH_SHARED": given["key"]}, pace_daily_quota=False)
    buckets = RedisBuckets(given["redis"])

    async def usage() -> list[Usage]:
        return []  # minute limits only: nothing of a day is to be told

    sharing = Sharing(
        buckets,
        gateway.endpoints,
        SystemClock(),
        shard=given["shard"],
        shards=given["shards"],
        longest_call=30.0,
        usage=usage,
        changed=gateway.look_again,
        up=lambda up: None,
    )
    gateway.share_with(sharing)
    texts = Texts(given["shard"])

    async def work() -> None:
        while True:
            try:
                await gateway.complete(request(texts.next()))
            except ProviderError:
                await asyncio.sleep(0.1)

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)  # type: ignore[union-attr]
    with contextlib.suppress(asyncio.CancelledError):
        async with asyncio.TaskGroup() as group:
            group.create_task(sharing.run())
            for _ in range(WORKERS):
                group.create_task(work())
    await gateway.close()
    await sharing.close()
    await buckets.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(json.loads(sys.argv[1])))
