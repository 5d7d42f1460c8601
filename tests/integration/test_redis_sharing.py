"""Gateways that share a provider's limits through a real Redis and a real store, against the sandbox's LLM server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from piyasad.clock import SystemClock
from piyasad.gateway.gateway import Gateway
from piyasad.providers.interface import ProviderError
from piyasad.sandbox.llm_limits import Limits
from piyasad.sharding.redis import RedisSharing
from piyasad.store.postgres import PostgresStore
from piyasad.store.redis import RedisBuckets
from tests.fixtures.redis import RedisServer
from tests.llm_bench import Bench, a_bench, within

SHARDS = 3


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with a_bench() as made:
        yield made


@asynccontextmanager
async def shards(
    bench: Bench, redis: RedisServer, store: PostgresStore, row: dict[str, Any]
) -> AsyncIterator[list[Gateway]]:
    """As many gateways as shards, each with its sharing, all together before the first text."""
    settings = bench.settings(row, pace_daily_quota=False)
    settings = settings.model_copy(update={"store": settings.store.model_copy(update={"redis": redis.url})})
    made, nerves, tasks = [], [], []
    for number in range(SHARDS):
        gateway = bench.gateway(row, share=1 / SHARDS, pace_daily_quota=False)
        gateway._accounting._on_usage = lambda usage: store.writer.add([usage])
        sharing = RedisSharing(
            settings, (number, SHARDS), store, gateway, RedisBuckets(redis.url), SystemClock(), bench.metrics
        )
        tasks.append(asyncio.create_task(sharing.run()))
        made.append(gateway)
        nerves.append(sharing)
    async with asyncio.timeout(10):
        while not all(sharing.together for sharing in nerves):
            await asyncio.sleep(0.05)
    try:
        yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for sharing in nerves:
            await sharing.close()


async def ask_all(gateways: list[Gateway], each: int, seconds: float, **how: Any) -> int:
    """Texts that were made of so many asked at once of each."""

    async def one(gateway: Gateway, bot: int) -> bool:
        with contextlib.suppress(ProviderError):
            await gateway.complete(within(seconds, bot=bot, **how))
            return True
        return False

    return sum(await asyncio.gather(*(one(gateway, bot) for gateway in gateways for bot in range(each))))


async def test_one_shard_may_use_what_the_others_do_not(
    bench: Bench, any_redis: RedisServer, store: PostgresStore
) -> None:
    bench.llm.set_limits("key-a", Limits(rpm=30))
    async with shards(bench, any_redis, store, {"rpm": 30}) as gateways:
        assert await ask_all(gateways[:1], 25, 3) == 25
        assert await ask_all(gateways, 10, 1) == 5
    assert bench.llm.usage()["total"]["throttled"] == 0


async def test_tokens_reserved_and_not_used_come_back_to_all(
    bench: Bench, any_redis: RedisServer, store: PostgresStore
) -> None:
    """Each request reserves about 240 tokens and uses some 60: with 1,000 only four could fly if nothing came back."""
    bench.llm.set_limits("key-a", Limits(tpm=1000))
    async with shards(bench, any_redis, store, {"tpm": 1000}) as gateways:
        assert await ask_all(gateways, 4, 4, max_tokens=200) >= 7
    total = bench.llm.usage()["total"]
    assert total["throttled"] == 0
    assert total["prompt_tokens"] + total["completion_tokens"] <= 1000


async def test_an_emptied_server_forgets_no_day(bench: Bench, any_redis: RedisServer, store: PostgresStore) -> None:
    bench.llm.set_limits("key-a", Limits(rpd=12))
    async with shards(bench, any_redis, store, {"rpd": 12}) as gateways:
        assert await ask_all(gateways, 3, 3) == 9
        any_redis.flush()
        await asyncio.sleep(0.1)
        made = await ask_all(gateways, 3, 4)
        assert 2 <= made <= 3, "what the store cannot tell of to the second counts against us"
    assert bench.llm.usage()["total"]["throttled"] == 0
