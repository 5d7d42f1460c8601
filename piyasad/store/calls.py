"""How the store's statements are run: a small pool, a bounded time, one more try where that is harmless.

`PostgresStore` hands work in. A call that is cancelled ends at once and with `CancelledError`, also while its server
hangs: whatever asyncpg still wants to do with that connection is done beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import asyncpg

from piyasad.clock import Clock
from piyasad.store.connect import LEAVE_SECONDS, SESSION
from piyasad.store.failure import KNOWN, RETRY, as_store_error, is_down, is_row_fault, tell
from piyasad.store.interface import StoreError

CALL_SECONDS = 20.0
"""A call takes no longer, waiting for a connection and a second try included, or the database counts as gone."""

GIVE_BACK_SECONDS = 5.0
"""A connection whose statement was cut short has that long to come to rest, then it is dropped."""

TRIES = 3
"""So often is a statement tried: rolled back for reasons of order, or cut off where a second time is harmless."""

_T = TypeVar("_T")
Connection = Any  # asyncpg's pool hands out proxies that its stubs do not unite with connections


class RefusedRow(StoreError):
    """The row itself cannot be stored."""


class Calls:
    """The pool. `open` it, `close` it; in between run statements from any task."""

    def __init__(
        self, pool: asyncpg.Pool, clock: Clock, seconds: float, on_query: Callable[[str, float], None] | None
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._seconds = seconds
        self._on_query = on_query
        self._giving_back: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(
        cls,
        dsn: str,
        clock: Clock,
        *,
        size: int,
        seconds: float = CALL_SECONDS,
        on_query: Callable[[str, float], None] | None = None,
        **session: str,
    ) -> Calls:
        """Connect. `on_query(name, seconds)` is told how long each call took; `session` are settings of the server's.

        Raises:
            StoreError: no connection.
        """
        try:
            pool = await asyncpg.create_pool(
                dsn,
                min_size=1,
                max_size=size,
                timeout=10,
                command_timeout=seconds,
                server_settings={**SESSION, **session},
                reset=_leave_alone,
            )
        except KNOWN as error:
            raise as_store_error(error) from error
        return cls(pool, clock, seconds, on_query)

    async def close(self) -> None:
        """Take leave of the server, or drop the connections where it does not answer."""
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._pool.close()
        except KNOWN:  # also a server that is gone: its connections cannot take their leave
            self._pool.terminate()
        finally:
            for task in self._giving_back:
                task.cancel()
            await asyncio.gather(*self._giving_back, return_exceptions=True)

    async def run(self, name: str, statement: str, *args: Any, again: bool = True) -> list[asyncpg.Record]:
        """One statement's rows. `again`: see `call`."""

        async def work(connection: Connection) -> list[asyncpg.Record]:
            rows: list[asyncpg.Record] = await connection.fetch(statement, *args)
            return rows

        return await self.call(name, work, again=again)

    async def call(
        self,
        name: str,
        work: Callable[[Connection], Awaitable[_T]],
        *,
        again: bool = True,
        seconds: float | None = None,
    ) -> _T:
        """Run `work` on a connection, `seconds` at most (default: what the pool was opened with).

        `again`: doing it twice is harmless, so a cut connection gets a second try: after a restart of the server the
        pool may hand out dead ones.

        Raises:
            RefusedRow: a constraint, or a value that the database cannot hold.
            StoreError: anything else.
        """
        task = asyncio.current_task()
        cancels = task.cancelling() if task is not None else 0
        started = self._clock.mono()
        try:
            async with asyncio.timeout(self._seconds if seconds is None else seconds):
                result = await self._try(work, again=again)
        except KNOWN as error:
            if task is not None and task.cancelling() > cancels:
                raise asyncio.CancelledError from error
            if is_row_fault(error):
                raise RefusedRow(tell(error)) from error
            raise as_store_error(error) from error
        if self._on_query is not None:
            self._on_query(name, self._clock.mono() - started)
        return result

    async def _try(self, work: Callable[[Connection], Awaitable[_T]], *, again: bool) -> _T:
        tries = 0
        while True:
            tries += 1
            try:
                connection = await self._pool.acquire()
                try:
                    result = await work(connection)
                except BaseException:
                    self._interrupted(connection)
                    raise
                await self._pool.release(connection)
            except KNOWN as error:
                lost = again and is_down(error) and not isinstance(error, TimeoutError)
                if tries < TRIES and (lost or isinstance(error, RETRY)):
                    continue
                raise
            return result

    def _interrupted(self, connection: Connection) -> None:
        """Something went wrong on it: nobody waits for what asyncpg and the server still have to say to each other."""
        with suppress(asyncpg.InterfaceError):  # it is gone already
            if connection.is_in_transaction():
                connection.terminate()
        task = asyncio.create_task(self._give_back(connection))
        self._giving_back.add(task)
        task.add_done_callback(self._giving_back.discard)

    async def _give_back(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(GIVE_BACK_SECONDS):
                await self._pool.release(connection)
        except KNOWN:
            with suppress(asyncpg.InterfaceError):
                connection.terminate()


@asynccontextmanager
async def transaction(connection: Connection) -> AsyncIterator[None]:
    """One transaction, rolled back with its connection. asyncpg's own waits for the server before it lets go."""
    await connection.execute("BEGIN")
    yield
    await connection.execute("COMMIT")


async def _leave_alone(_: Connection) -> None:
    """Nothing of ours stays behind on a connection, so none of asyncpg's clean-up is needed: a round trip less."""
