"""Shared buckets over Redis (or Valkey): what `providers/shared.py` asks for, one script and one round trip a call.

`nerve.py` builds it. Every call is bounded; whatever goes wrong on the way is SharedLost, and nothing is ever sent
twice. The address may hold a password: it stands in no error.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

from redis import asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from piyasad.providers.shared import Ask, Memory, Shape, SharedEmptied, SharedLost, Verdict
from piyasad.store.redis_scripts import BEAT, CHARGE, RESERVE, SETTLE

TIMEOUT_SECONDS: Final = 1.0
CONNECTIONS: Final = 32  # a script takes the server 30 µs: more would only wait there
_EPOCH_SECONDS: Final = 172_800
_MICRO: Final = 1_000_000
_RESET_GRAIN: Final = 1.0  # s; of meters with a reset, for lapses only


class RedisBuckets:
    """`SharedBuckets`. Connects at the first call.

    Args:
        url: redis://, rediss:// or unix://.
        prefix: of every key: several houses may use one server.
        timeout: seconds that a call may take.
    """

    def __init__(self, url: str, *, prefix: str = "piyasad:", timeout: float = TIMEOUT_SECONDS) -> None:
        pool = redis.BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=timeout,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
        self._redis: Any = redis.Redis(connection_pool=pool)
        self._pool = pool
        self._prefix = prefix
        self._timeout = timeout
        self._epoch: bytes | None = None
        self._hold = 60.0
        self._scripts = {text: hashlib.sha1(text.encode()).hexdigest() for text in (RESERVE, SETTLE, CHARGE, BEAT)}  # noqa: S324

    async def reserve(self, ticket: str, asks: Sequence[Ask], *, hold: float) -> Verdict:
        self._hold = max(self._hold, hold)
        keys = ["here", f"t:{ticket}", *(_key(ask.shape) for ask in asks)]
        row: list[str | int] = [_micros(hold)]
        for ask in asks:
            row += [*_shape(ask.shape), ask.amount, ask.limit, ask.kept]
        granted, wait, present, *used = await self._run(RESERVE, keys, row)
        micros = int(wait)
        return Verdict(bool(granted), math.inf if micros < 0 else micros / _MICRO, tuple(map(int, used)), int(present))

    async def settle(self, ticket: str, shapes: Sequence[Shape], used: Sequence[int], *, age: float) -> None:
        row: list[str | int] = [_micros(self._hold), _micros(age)]
        for shape, amount in zip(shapes, used, strict=True):
            row += [*_shape(shape), amount]
        await self._run(SETTLE, [f"t:{ticket}", *map(_key, shapes)], row)

    async def charge(self, shape: Shape, amounts: Mapping[float, int]) -> None:
        await self._charge("all", shape, amounts)

    async def at_least(self, shape: Shape, amounts: Mapping[float, int]) -> None:
        await self._charge("at least", shape, amounts)

    async def _charge(self, how: str, shape: Shape, amounts: Mapping[float, int]) -> None:
        row: list[str | int] = [_micros(self._hold), how, *_shape(shape)]
        for age, amount in sorted(amounts.items()):
            row += [_micros(age), amount]
        await self._run(CHARGE, [_key(shape)], row)

    async def beat(self, shard: str, *, ttl: float) -> int:
        (present,) = await self._run(BEAT, ["here"], [shard, _micros(ttl)])
        return int(present)

    async def begin(self) -> Memory:
        key, (seconds, micros) = f"{self._prefix}epoch", await self._send("TIME")
        now = int(seconds) * _MICRO + int(micros)
        await self._send("SET", key, f"{now}-{secrets.token_hex(8)}", "NX", "EX", _EPOCH_SECONDS)
        epoch = await self._send("GET", key)
        if not isinstance(epoch, bytes) or not epoch.partition(b"-")[0].isdigit():
            raise SharedLost("Redis does not keep what it is given")
        new, self._epoch = epoch != self._epoch, epoch
        return Memory(new, (now - int(epoch.partition(b"-")[0])) / _MICRO)

    async def close(self) -> None:
        """Give the connections back."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._redis.aclose()
                await self._pool.disconnect()
        except (TimeoutError, RedisError, OSError):
            return  # they are gone either way

    async def _run(self, script: str, keys: Sequence[str], row: Sequence[str | int]) -> list[Any]:
        if self._epoch is None:
            raise SharedEmptied("nothing was begun yet")
        arguments = (len(keys) + 1, f"{self._prefix}epoch", *(self._prefix + key for key in keys), self._epoch, *row)
        try:
            found = await self._send("EVALSHA", self._scripts[script], *arguments)
        except NoScriptError:  # it was not run: the server was restarted, or sees it for the first time
            found = await self._send("EVAL", script, *arguments)
        if not isinstance(found, list) or not found:
            raise SharedLost("Redis answers something else than the script's words")
        if found[0] == -1:
            raise SharedEmptied("Redis was restarted or flushed")
        return found

    async def _send(self, *command: str | int | bytes) -> Any:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._redis.execute_command(*command)
        except NoScriptError:
            raise
        except (RedisError, OSError, TimeoutError) as error:
            # never the library's own words: they may hold the address
            raise SharedLost(f"Redis cannot be used ({type(error).__name__})") from None


def _key(shape: Shape) -> str:
    return f"m:{shape.meter}:{shape.until}" if shape.until else f"m:{shape.meter}"


def _shape(shape: Shape) -> tuple[int, int, int]:
    return _micros(shape.seconds), _micros(shape.grain or _RESET_GRAIN), shape.until * _MICRO


def _micros(seconds: float) -> int:
    return round(seconds * _MICRO)
