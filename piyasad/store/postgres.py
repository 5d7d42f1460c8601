"""The store on PostgreSQL. The engine connects it once and hands it down; its interface is told in `base.py`.

Claims, settlements, traces and figures go through the grouped writer, everything else through a small pool. It holds no
state of its own but connections, and which stimuli this process took. A failure is a `StoreError` without any data.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import asyncpg
import structlog

from piyasad.clock import Clock
from piyasad.model import (
    BotRow,
    ChatRow,
    Claim,
    DaemonRow,
    Draft,
    Kind,
    Lease,
    Message,
    Received,
    State,
    Stimulus,
    TurnTrace,
    Usage,
)
from piyasad.store import partitions, sql
from piyasad.store.connect import SESSION, for_writing, hang_up, wait_for
from piyasad.store.failure import KNOWN, RETRY, as_store_error, is_down, is_row_fault, tell
from piyasad.store.interface import StoreError
from piyasad.store.migrate import migrate
from piyasad.store.plain_text import clean, clean_json
from piyasad.store.writer import LINGER_SECONDS, Writer

log = structlog.stdlib.get_logger(__name__)

POOL_SIZE = 6
"""Connections beside the writer's: nothing else is frequent, and four daemons share a server's hundred."""

STATEMENT_SECONDS = 15.0
"""No statement of the pool takes longer, or the database counts as gone."""

WITNESS_BEFORE_SECONDS = 180.0
"""A message seen may have been claimed that long before Telegram's date: waiting, retries and a slow request."""

WITNESS_AFTER_SECONDS = 5.0
"""…or after it, when the clocks of Telegram and the database differ."""

_T = TypeVar("_T")
_Connection = Any  # asyncpg's pool hands out proxies that its stubs do not unite with connections


class PostgresStore:
    """`Store` on a pool and a writer. Made by `connect`, never directly."""

    def __init__(
        self, pool: asyncpg.Pool, writer: Writer, clock: Clock, on_query: Callable[[str, float], None] | None
    ) -> None:
        self.writer = writer
        self._pool = pool
        self._clock = clock
        self._on_query = on_query
        self._taken: dict[tuple[int, int, int], tuple[int, int]] = {}

    @classmethod
    async def connect(
        cls,
        dsn: str,
        clock: Clock,
        *,
        start_timeout: float = 300.0,
        pool_size: int = POOL_SIZE,
        linger: float = LINGER_SECONDS,
        on_query: Callable[[str, float], None] | None = None,
    ) -> PostgresStore:
        """Wait for the database (`start_timeout` seconds), bring its schema up to date, connect.

        `on_query(name, seconds)` is told how long each statement took.

        Raises:
            StoreError: not there in time, access refused, or a schema that is not ours.
        """
        first = await wait_for(dsn, clock, start_timeout)
        try:
            async with asyncio.timeout(120):
                await migrate(first)
                await partitions.ensure(first, clock.wall())
        except KNOWN as error:
            raise as_store_error(error) from error
        finally:
            await hang_up(first)
        writer = Writer(lambda: for_writing(dsn), clock, linger=linger, on_query=on_query)
        try:
            pool = await asyncpg.create_pool(
                dsn,
                min_size=1,
                max_size=pool_size,
                timeout=10,
                command_timeout=STATEMENT_SECONDS,
                server_settings=dict(SESSION),
            )
        except KNOWN as error:
            raise as_store_error(error) from error
        writer.start()
        return cls(pool, writer, clock, on_query)

    async def close(self) -> None:
        await self.writer.close()
        try:
            async with asyncio.timeout(5):
                await self._pool.close()
        except KNOWN:  # also a server that is gone: its connections cannot take their leave
            self._pool.terminate()

    # --- daemons and leases

    async def enter(self, daemon: DaemonRow, ttl: float) -> None:
        d = daemon
        await self._run("enter", sql.ENTER, d.id, d.shard, d.shards, d.host, d.pid, d.config_hash, float(ttl))

    async def beat(self, daemon_id: str, ttl: float) -> bool:
        return bool(await self._run("beat", sql.BEAT, daemon_id, float(ttl)))

    async def report(self, daemon_id: str, report: Mapping[str, Any]) -> None:
        await self._run("report", sql.REPORT, daemon_id, clean_json(report))

    async def leave(self, daemon_id: str, summary: str) -> None:
        async def work(connection: _Connection) -> None:
            async with connection.transaction():
                await connection.execute(sql.LEAVE, daemon_id, clean(summary))
                await connection.execute(sql.LEAVE_BOTS, daemon_id)

        await self._call("leave", work, again=True)

    async def expire_others(self, daemon_id: str) -> None:
        await self._run("expire_others", sql.EXPIRE_OTHERS, daemon_id)

    async def take(self, daemon_id: str, bots: Sequence[tuple[int, str, str]]) -> list[Lease]:
        wanted = {bot_id: (clean(name), clean(username)) for bot_id, name, username in bots}
        ids = sorted(wanted)
        names, usernames = [wanted[bot_id][0] for bot_id in ids], [wanted[bot_id][1] for bot_id in ids]

        async def work(connection: _Connection) -> list[asyncpg.Record]:
            async with connection.transaction():
                await connection.execute(sql.TAKE_KNOWN, ids, names, usernames)
                dead = [row["id"] for row in await connection.fetch(sql.TAKE_LOCK_OWNERS, ids)]
                locked = [row["id"] for row in await connection.fetch(sql.TAKE_LOCK_BOTS, dead, ids)]
                taken: list[asyncpg.Record] = await connection.fetch(
                    sql.TAKE, dead, daemon_id, ids, names, usernames, locked
                )
                await connection.execute(sql.TAKE_UNCERTAIN, [row["id"] for row in taken])
            return taken

        rows = await self._call("take", work, again=False)
        return [
            Lease(row["id"], row["fence"], row["update_offset"], row["state"], row["disclosed_at"])
            for row in sorted(rows, key=lambda row: row["id"])
        ]

    async def free(self, daemon_id: str, bot_ids: Collection[int]) -> None:
        if bot_ids:
            await self._run("free", sql.FREE, daemon_id, list(bot_ids))

    async def bots(self) -> list[BotRow]:
        return [BotRow(**row) for row in await self._run("bots", sql.BOTS)]

    async def daemons(self) -> list[DaemonRow]:
        return [DaemonRow(**row) for row in await self._run("daemons", sql.DAEMONS)]

    async def set_bot_state(self, bot_id: int, state: str, reason: str) -> None:
        await self._run("set_bot_state", sql.SET_BOT_STATE, bot_id, clean(state), clean(reason))

    async def set_disclosed(self, bot_id: int, at: float) -> None:
        await self._run("set_disclosed", sql.SET_DISCLOSED, bot_id, at)

    async def set_offset(self, bot_id: int, fence: int, offset: int) -> None:
        await self._run("set_offset", sql.SET_OFFSET, bot_id, fence, offset)

    # --- chats

    async def chats(self) -> list[ChatRow]:
        return [ChatRow(**row) for row in await self._run("chats", sql.CHATS)]

    async def ensure_chats(self, chat_ids: Collection[int]) -> None:
        if chat_ids:
            await self._run("ensure_chats", sql.ENSURE_CHATS, list(chat_ids))

    async def set_ear(self, chat_id: int, old: int | None, new: int | None) -> bool:
        return bool(await self._run("set_ear", sql.SET_EAR, chat_id, old, new, again=False))

    async def claim_notice(self, chat_id: int, now: float, older_than: float) -> bool:
        return bool(await self._run("claim_notice", sql.CLAIM_NOTICE, chat_id, now, older_than, again=False))

    async def release_notice(self, chat_id: int, at: float) -> None:
        await self._run("release_notice", sql.RELEASE_NOTICE, chat_id, at)

    async def rekey_chat(self, old: int, new: int) -> None:
        await self._run("rekey_chat", sql.REKEY_CHAT, old, new)

    # --- the ledger

    async def claim(self, draft: Draft) -> Claim | None:
        return await self.writer.claim(draft)

    async def settle(
        self, claim: Claim, state: State, *, telegram_id: int | None = None, at: float | None = None, reason: str = ""
    ) -> None:
        await self.writer.settle(claim, state, telegram_id, at, reason)

    async def receive(self, rows: Sequence[Received]) -> list[Message | None]:
        if not rows:
            return []
        try:
            found = await self._insert_received(rows)
        except _RefusedRow as error:
            # A row that cannot be stored must not stop its ear: the others are stored, that one is said and skipped.
            if len(rows) == 1:
                log.error("store.received_refused", error=str(error), chat_id=rows[0].chat_id)
                return [None]
            return [message for row in rows for message in await self.receive([row])]
        # A row delivered twice inside one batch is new only once.
        return [
            _received(row, found.pop((row.chat_id, row.telegram_id)))
            if (row.chat_id, row.telegram_id) in found
            else None
            for row in rows
        ]

    async def edit(self, chat_id: int, telegram_id: int, text: str) -> None:
        await self._run("edit", sql.EDIT, chat_id, telegram_id, clean(text))

    async def witness(
        self, bot_id: int, chat_id: int, telegram_id: int, text: str, reply_to: int | None, at: float
    ) -> bool:
        window = WITNESS_BEFORE_SECONDS, WITNESS_AFTER_SECONDS
        args = bot_id, chat_id, telegram_id, clean(text), reply_to, at, *window
        return bool(await self._run("witness", sql.WITNESS, *args, again=False))

    async def recent(self, chat_id: int, limit: int) -> list[Message]:
        return _messages(await self._run("recent", sql.RECENT, chat_id, limit))

    async def tail(self, chat_ids: Collection[int], after: float, limit: int = 1000) -> list[Message]:
        return _messages(await self._run("tail", sql.TAIL, list(chat_ids), after, limit))

    async def now(self) -> float:
        [row] = await self._run("now", sql.NOW)
        return float(row[0])

    async def sends(self, bot_ids: Collection[int], since: float) -> list[tuple[int, int, str, float]]:
        rows = await self._run("sends", sql.SENDS, list(bot_ids), since)
        return [(row["bot_id"], row["chat_id"], row["kind"], row["at"]) for row in rows]

    async def answers(self, bot_ids: Collection[int], since: float, polite: str) -> list[tuple[int, float, bool]]:
        rows = await self._run("answers", sql.ANSWERS, list(bot_ids), since, polite)
        return [(row["user_id"], row["at"], row["polite"]) for row in rows]

    # --- stimuli

    async def open_stimulus(self, chat_id: int, telegram_id: int, slot: int, message_id: int, at: float) -> bool:
        args = chat_id, telegram_id, slot, message_id, at
        return bool(await self._run("open_stimulus", sql.OPEN_STIMULUS, *args, again=False))

    async def take_stimulus(self, chat_id: int, telegram_id: int, slot: int, bot_id: int) -> bool:
        key = chat_id, telegram_id, slot
        rows = await self._run("take_stimulus", sql.TAKE_STIMULUS, *key, bot_id, again=False)
        if rows:
            self._taken[key] = bot_id, rows[0]["taken_fence"]
        return bool(rows)

    async def close_stimulus(self, chat_id: int, telegram_id: int, slot: int, state: str) -> None:
        # Only what is open or what this process took: another daemon may have taken it over from us meanwhile.
        key = chat_id, telegram_id, slot
        await self._run("close_stimulus", sql.CLOSE_STIMULUS, *key, clean(state), *self._taken.get(key, (None, None)))
        self._taken.pop(key, None)

    async def open_stimuli(self, bot_ids: Collection[int], since: float) -> list[Stimulus]:
        rows = await self._run("open_stimuli", sql.OPEN_STIMULI, list(bot_ids), since)
        return [Stimulus(row["chat_id"], row["stimulus_id"], row["slot"], _message(row)) for row in rows]

    # --- traces and figures

    async def record_turns(self, traces: Sequence[TurnTrace]) -> None:
        self.writer.record(traces)

    async def add_usage(self, rows: Sequence[Usage]) -> None:
        self.writer.add(rows)

    async def usage(self, since: float) -> list[Usage]:
        await self.writer.flush()
        return [Usage(**row) for row in await self._run("usage", sql.USAGE, since)]

    async def counts(self, since: float) -> Mapping[str, int]:
        return {row["state"]: row["n"] for row in await self._run("counts", sql.COUNTS, since)}

    async def maintain(self, now: float, retention_days: int) -> None:
        async def work(connection: _Connection) -> list[str]:
            await partitions.ensure(connection, now)
            dropped = await partitions.drop_expired(connection, now, retention_days)
            await connection.execute(sql.FORGET_STIMULI, now - retention_days * 86400)
            await connection.execute(sql.FORGET_DAEMONS, now - retention_days * 86400)
            return dropped

        if dropped := await self._call("maintain", work, again=True):
            log.info("store.retention", dropped=dropped)

    # --- how statements are run

    async def _insert_received(self, rows: Sequence[Received]) -> dict[tuple[int, int], int]:
        columns = (
            [row.chat_id for row in rows],
            [row.telegram_id for row in rows],
            [row.user_id for row in rows],
            [clean(row.author) for row in rows],
            [clean(row.text) for row in rows],
            [row.at for row in rows],
            [row.reply_to for row in rows],
            [row.thread_id for row in rows],
        )
        stored = await self._run("receive", sql.RECEIVE, *columns, again=False)
        return {(row["chat_id"], row["telegram_message_id"]): row["id"] for row in stored}

    async def _run(self, name: str, statement: str, *args: Any, again: bool = True) -> list[asyncpg.Record]:
        async def work(connection: _Connection) -> list[asyncpg.Record]:
            rows: list[asyncpg.Record] = await connection.fetch(statement, *args)
            return rows

        return await self._call(name, work, again=again)

    async def _call(self, name: str, work: Callable[[_Connection], Awaitable[_T]], *, again: bool) -> _T:
        """Run `work` on a connection. `again`: doing it twice is harmless, so a cut connection gets a second try."""
        started = self._clock.mono()
        tries = 0
        while True:
            tries += 1
            try:
                async with self._pool.acquire(timeout=10) as connection:
                    result = await work(connection)
            except KNOWN as error:
                # After a restart of the server the pool may hand out one last dead connection.
                if tries < 3 and (isinstance(error, RETRY) or (again and tries < 2 and is_down(error))):
                    continue
                if is_row_fault(error):
                    raise _RefusedRow(tell(error)) from error
                raise as_store_error(error) from error
            if self._on_query is not None:
                self._on_query(name, self._clock.mono() - started)
            return result


class _RefusedRow(StoreError):
    """The row itself cannot be stored."""


def _message(row: asyncpg.Record) -> Message:
    return Message(
        id=row["id"],
        chat_id=row["chat_id"],
        bot_id=row["bot_id"],
        author=row["author"],
        kind=Kind(row["kind"]),
        text=row["text"],
        at=row["at"],
        telegram_id=row["telegram_message_id"],
        user_id=row["user_id"],
        reply_to=row["reply_to"],
        thread_id=row["thread_id"],
    )


def _messages(rows: Sequence[asyncpg.Record]) -> list[Message]:
    return sorted(map(_message, rows), key=lambda message: (message.at, message.id))


def _received(row: Received, message_id: int) -> Message:
    return Message(
        id=message_id,
        chat_id=row.chat_id,
        bot_id=None,
        author=clean(row.author),
        kind=Kind.PERSON,
        text=clean(row.text),
        at=row.at,
        telegram_id=row.telegram_id,
        user_id=row.user_id,
        reply_to=row.reply_to,
        thread_id=row.thread_id,
    )
