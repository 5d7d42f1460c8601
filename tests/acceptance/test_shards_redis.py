"""Two daemons that share a provider's limits through a real Redis, which is killed and started again in mid-run."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from piyasad.sandbox.llm_limits import Limits
from piyasad.sandbox.server import Sandbox
from tests.acceptance.daemons import Daemon, daemon, until, write_world
from tests.fixtures.redis import redis_server

KEY = "sk-sandbox-0000000000"
RPM = 240  # far more than is wanted, so that the talk goes on after the server was away


async def everywhere(daemons: list[Daemon], sample: str, value: float) -> None:
    async def check() -> bool:
        return all([await each.metric(sample) == value for each in daemons])

    await until(check, f"{sample} {value} on both", 15)


async def calls(box: Sandbox, more_than: int, patience: float = 30) -> int:
    async def check() -> int:
        count: int = box.llm.usage()["total"]["requests"]
        return count if count > more_than else 0

    found: int = await until(check, f"more than {more_than} calls", patience)
    return found


@pytest.mark.parametrize("kind", ["redis", "valkey"])
async def test_two_shards_share_and_survive_the_loss_of_redis(
    sandbox: Sandbox, pg_dsn: str, home: Path, kind: str
) -> None:
    sandbox.llm.set_limits(KEY, Limits(rpm=RPM))
    with redis_server(kind) as redis:
        config = write_world(sandbox, home, bots=6, postgres=pg_dsn, mean=0.7)
        text = config.read_text(encoding="utf-8")
        text = text.replace("[store]\n", f'[store]\nredis = "{redis.url}"\n').replace(
            'model = "gpt-4.1-mini"', f'model = "gpt-4.1-mini"\nrpm = {RPM}'
        )
        config.write_text(text, encoding="utf-8")
        async with AsyncExitStack() as stack:
            daemons = [
                await stack.enter_async_context(daemon(config, "--shard", f"{shard}/2", name=f"shard{shard}"))
                for shard in (0, 1)
            ]
            for each in daemons:
                await each.ready()
            await everywhere(daemons, "piyasad_redis_up", 1)
            await calls(sandbox, 5)
            redis.kill()
            await everywhere(daemons, "piyasad_redis_up", 0)
            quiet = sandbox.llm.usage()["total"]["requests"]
            await asyncio.sleep(2)
            assert sandbox.llm.usage()["total"]["requests"] <= quiet + 1, "nobody asks while nobody counts"
            redis.start()
            await everywhere(daemons, "piyasad_redis_up", 1)
            await calls(sandbox, quiet + 5)
            for each in daemons:
                events = "\n".join(each.events())
                assert "redis.lost" in events
                assert events.count("redis.together") >= 2
                assert "redis.alone" not in events
    assert sandbox.llm.usage()["total"]["throttled"] == 0
