"""Shared buckets over Redis (or Valkey): what `buckets.py` asks for, one script and one round trip a call.

`sharding/redis.py` builds it. Every call is bounded; whatever goes wrong on the way is SharedLost, and nothing is
ever sent twice. The address may hold a password: it stands in no error.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from redis import exceptions as failures
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from piyasad.store.buckets import Ask, Remembered, Shape, SharedBuckets, SharedEmptied, SharedLost, Verdict
from piyasad.store.redis_scripts import BEAT, CHARGE, RESERVE, SETTLE

TIMEOUT_SECONDS: Final = 1.0
_TOGETHER: Final = 256  # commands in one go: 10 ms of the server's time, so that nobody waits long behind them
LINES: Final = 2  # the server works on one's commands while we make up the other's: faster where a core is free
_EPOCH_SECONDS: Final = 172_800
_MICRO: Final = 1_000_000
_RESET_GRAIN: Final = 1.0  # s; of meters with a reset, for lapses only

# What an error means to the operator, the special ones first. Never the library's own words: they may hold the address.
_MEANINGS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (failures.AuthenticationError, "it refuses the user or the password"),
    (failures.NoPermissionError, "its user may not run scripts on these keys"),
    (failures.BusyLoadingError, "it is still loading its data"),
    (failures.ReadOnlyError, "it is a read-only replica"),
    (failures.OutOfMemoryError, "its memory is full"),
    (failures.ClusterCrossSlotError, "it is a cluster: one script must reach all keys, use a single server"),
    (failures.AskError, "it is a cluster: one script must reach all keys, use a single server"),
    (failures.ClusterError, "it is a cluster: one script must reach all keys, use a single server"),
    (failures.TimeoutError, "it does not answer in time"),
    (TimeoutError, "it does not answer in time"),
    (failures.ConnectionError, "no connection"),
    (OSError, "no connection"),
)


class RedisBuckets(SharedBuckets):
    """`SharedBuckets`. Connects at the first call.

    Args:
        url: redis://, rediss:// or unix://. Raises ValueError (without quoting it) when it cannot be read.
        prefix: of every key: several houses may use one server.
        timeout: seconds that a call may take.
    """

    def __init__(self, url: str, *, prefix: str = "piyasad:", timeout: float = TIMEOUT_SECONDS) -> None:
        self._lines = [_Line(url, timeout) for _ in range(LINES)]
        self._turns = itertools.cycle(self._lines)
        self._prefix = prefix
        self._epoch: bytes | None = None
        self._scripts = {text: hashlib.sha1(text.encode()).hexdigest() for text in (RESERVE, SETTLE, CHARGE, BEAT)}  # noqa: S324

    async def reserve(self, ticket: str, asks: Sequence[Ask], *, hold: float) -> Verdict:
        keys = ["here", f"t:{ticket}", *(_key(ask.shape) for ask in asks)]
        row: list[str | int] = [_micros(hold)]
        for ask in asks:
            row += [*_shape(ask.shape), ask.amount, ask.limit, ask.kept]
        granted, wait, present, *used = await self._run(RESERVE, keys, row)
        micros = int(wait)
        return Verdict(bool(granted), math.inf if micros < 0 else micros / _MICRO, tuple(map(int, used)), int(present))

    async def settle(self, ticket: str, shapes: Sequence[Shape], used: Sequence[int], *, age: float) -> None:
        row: list[str | int] = [_micros(age)]
        for shape, amount in zip(shapes, used, strict=True):
            row += [*_shape(shape), amount]
        await self._run(SETTLE, [f"t:{ticket}", *map(_key, shapes)], row)

    async def charge(self, shape: Shape, amounts: Mapping[float, int]) -> None:
        await self._charge("all", shape, amounts)

    async def at_least(self, shape: Shape, amounts: Mapping[float, int]) -> None:
        await self._charge("at least", shape, amounts)

    async def _charge(self, how: str, shape: Shape, amounts: Mapping[float, int]) -> None:
        row: list[str | int] = [how, *_shape(shape)]
        for age, amount in sorted(amounts.items()):
            row += [_micros(age), amount]
        await self._run(CHARGE, [_key(shape)], row)

    async def beat(self, shard: str, *, ttl: float) -> int:
        (present,) = await self._run(BEAT, ["here"], [shard, _micros(ttl)])
        return int(present)

    async def begin(self) -> Remembered:
        key, (seconds, micros) = f"{self._prefix}epoch", await self._ask("TIME")
        now = int(seconds) * _MICRO + int(micros)
        await self._ask("SET", key, f"{now}-{secrets.token_hex(8)}", "NX", "EX", _EPOCH_SECONDS)
        epoch = await self._ask("GET", key)
        if not isinstance(epoch, bytes) or not epoch.partition(b"-")[0].isdigit():
            raise SharedLost("Redis does not keep what it is given")
        new, self._epoch = epoch != self._epoch, epoch
        return Remembered(new, (now - int(epoch.partition(b"-")[0])) / _MICRO)

    async def close(self) -> None:
        """Give the connections back; calls under way are lost."""
        for line in self._lines:
            await line.close()

    async def _ask(self, *command: str | int | bytes) -> Any:
        return await next(self._turns).ask(*command)

    async def _run(self, script: str, keys: Sequence[str], row: Sequence[str | int]) -> list[Any]:
        if self._epoch is None:
            raise SharedEmptied("nothing was begun yet")
        arguments = (len(keys) + 1, f"{self._prefix}epoch", *(self._prefix + key for key in keys), self._epoch, *row)
        try:
            found = await self._ask("EVALSHA", self._scripts[script], *arguments)
        except failures.NoScriptError:  # it was not run: the server was restarted, or sees it for the first time
            found = await self._ask("EVAL", script, *arguments)
        if not isinstance(found, list) or not found:
            raise SharedLost("Redis answers something else than the script's words")
        if found[0] == -1:
            raise SharedEmptied("Redis was restarted or flushed")
        return found


_Call = tuple[tuple[str | int | bytes, ...], "asyncio.Future[Any]"]


class _Line:
    """One connection. What is asked while a round trip is under way goes together in the next; nothing is sent twice.

    redis-py's pools would let new calls overtake waiting ones until these time out, and its clients repeat commands.
    """

    def __init__(self, url: str, timeout: float) -> None:
        try:
            pool = ConnectionPool.from_url(url, retry=Retry(NoBackoff(), 0), protocol=2)
        except ValueError:  # its text may quote a part of the password
            raise ValueError("the Redis address cannot be read (a password needs its special signs as %XX)") from None
        self._make: Callable[[], Any] = pool.make_connection
        self._timeout = timeout
        self._connection: Any = None
        self._waiting: list[_Call] = []
        self._sending: asyncio.Task[None] | None = None
        self._closed = False

    async def ask(self, *command: str | int | bytes) -> Any:
        """The answer, in time. Raises SharedLost; or NoScriptError, which the caller knows to handle."""
        if self._closed:
            raise SharedLost("Redis cannot be used (the connection was given back)")
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append((command, answer))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())
        try:
            async with asyncio.timeout(self._timeout):
                return await answer
        except TimeoutError as error:
            raise _lost(error) from None

    async def close(self) -> None:
        """Hang up. Every call from now on is lost."""
        self._closed = True
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait([self._sending])
        _fail(self._waiting, SharedLost("Redis cannot be used (the connection was given back)"))
        await self._hang_up()

    async def _send(self) -> None:
        calls: list[_Call] = []
        try:
            while self._waiting:
                calls, self._waiting = self._waiting[:_TOGETHER], self._waiting[_TOGETHER:]
                calls = [(command, answer) for command, answer in calls if not answer.done()]  # some gave up
                try:
                    async with asyncio.timeout(self._timeout):
                        await self._exchange(calls)
                except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
                    await self._hang_up()
                    _fail(calls, _lost(error))
        finally:  # also when it is cancelled
            _fail(calls, SharedLost("Redis cannot be used (the connection was given back)"))
            self._sending = None

    async def _exchange(self, calls: Sequence[_Call]) -> None:
        """One round trip for all; each gets its own answer or error. Raises what befalls the connection."""
        if self._connection is not None and await self._connection.can_read():
            await self._hang_up()  # nothing was asked: it was closed by the other side
        if self._connection is None:
            self._connection = self._make()
            await self._connection.connect()
        line = self._connection
        await line.send_packed_command(line.pack_commands([command for command, _ in calls]), check_health=False)
        for _, answer in calls:
            found: Any = None
            error: Exception | None = None
            try:
                found = await line.read_response()
            except failures.NoScriptError as problem:
                error = problem
            except failures.ResponseError as problem:
                error = _lost(problem)
            if answer.done():  # its caller gave up meanwhile
                continue
            if error is None:
                answer.set_result(found)
            else:
                answer.set_exception(error)

    async def _hang_up(self) -> None:
        line, self._connection = self._connection, None
        if line is not None:
            await line.disconnect(nowait=True)


def _fail(calls: Sequence[_Call], error: SharedLost) -> None:
    for _, answer in calls:
        if not answer.done():
            answer.set_exception(error)


def _lost(error: Exception) -> SharedLost:
    seen = (error, error.__context__)  # redis-py wraps a refused password into a ConnectionError
    meaning = next((text for kind, text in _MEANINGS if any(isinstance(e, kind) for e in seen)), type(error).__name__)
    return SharedLost(f"Redis cannot be used ({meaning})")


def _key(shape: Shape) -> str:
    return f"m:{shape.meter}:{shape.until}" if shape.until else f"m:{shape.meter}"


def _shape(shape: Shape) -> tuple[int, int, int]:
    return _micros(shape.seconds), _micros(shape.grain or _RESET_GRAIN), shape.until * _MICRO


def _micros(seconds: float) -> int:
    return round(seconds * _MICRO)
