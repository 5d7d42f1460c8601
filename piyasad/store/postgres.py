"""The store on PostgreSQL. The engine connects it once and hands it down; its interface is told in `interface.py`.

Claims, settlements, traces and figures go through the grouped writer, everything else through a small pool. It holds no
state of its own but connections, and whose daemon it is. A failure is a `StoreError` without any data.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import asyncpg
import structlog

from piyasad.clock import DAY, Clock
from piyasad.model import (
    BotRow,
    ChatRow,
    Claim,
    DaemonRow,
    Draft,
    Grant,
    Kind,
    Lease,
    Lesson,
    Message,
    Received,
    Said,
    State,
    Stimulus,
    StimulusKey,
    TurnTrace,
    Usage,
)
from piyasad.store import answer_budget, partitions, sql
from piyasad.store.calls import Calls, Connection, RefusedRow, transaction
from piyasad.store.connect import for_writing, hang_up, wait_for
from piyasad.store.failure import KNOWN, as_store_error
from piyasad.store.migrate import check, migrate
from piyasad.store.plain_text import clean, clean_json
from piyasad.store.postgres_people import PeopleOnPostgres, message
from piyasad.store.writer import LINGER_SECONDS, Writer

log = structlog.stdlib.get_logger(__name__)

POOL_SIZE = 6
"""Connections beside the writer's: nothing else is frequent, and four daemons share a server's hundred."""

MIGRATE_SECONDS = 120.0
"""Bringing the schema up to date takes no longer."""

MAINTAIN_SECONDS = 60.0
"""The retention drops whole tables and may wait for their readers."""

READING_SECONDS = 5.0
"""A command that only reads waits that long for the database."""


class PostgresStore(PeopleOnPostgres):
    """`Store` on a pool and a writer. Made by `connect` or `reading`, never directly."""

    def __init__(self, calls: Calls, writer: Writer) -> None:
        super().__init__(calls, writer)
        self._daemon_id: str | None = None

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
            async with asyncio.timeout(MIGRATE_SECONDS):
                await migrate(first)
                await partitions.ensure(first, clock.wall())
        except KNOWN as error:
            raise as_store_error(error) from error
        finally:
            await hang_up(first)
        calls = await Calls.open(dsn, clock, size=pool_size, on_query=on_query)
        writer = Writer(lambda: for_writing(dsn), clock, linger=linger, on_query=on_query)
        writer.start()
        return cls(calls, writer)

    @classmethod
    async def reading(cls, dsn: str, clock: Clock, *, changes: bool = False) -> PostgresStore:
        """Connect to look only: nothing is migrated, and what would write is refused.

        `changes`: single statements may write all the same; claims, settlements, traces and figures still may not.

        Raises:
            StoreError: no database, access refused, no tables of ours, or tables of another version.
        """
        first = await wait_for(dsn, clock, READING_SECONDS)
        try:
            async with asyncio.timeout(READING_SECONDS):
                await check(first)
        except KNOWN as error:
            raise as_store_error(error) from error
        finally:
            await hang_up(first)
        calls = await Calls.open(dsn, clock, size=1, default_transaction_read_only="off" if changes else "on")
        return cls(calls, Writer(lambda: for_writing(dsn), clock))

    async def close(self) -> None:
        await self.writer.close()
        await self._calls.close()

    # --- daemons and leases

    async def enter(self, daemon: DaemonRow, ttl: float) -> None:
        d = daemon
        self._daemon_id = d.id
        await self._run("enter", sql.ENTER, d.id, d.shard, d.shards, d.host, d.pid, d.config_hash, float(ttl))

    async def beat(self, daemon_id: str, ttl: float) -> bool:
        return bool(await self._run("beat", sql.BEAT, daemon_id, float(ttl)))

    async def report(self, daemon_id: str, report: Mapping[str, Any]) -> None:
        await self._run("report", sql.REPORT, daemon_id, clean_json(report))

    async def leave(self, daemon_id: str, summary: str) -> None:
        await self._run("leave", sql.LEAVE, daemon_id, clean(summary))

    async def free_in(self, bot_ids: Collection[int]) -> float | None:
        [row] = await self._run("free_in", sql.FREE_IN, list(bot_ids), self._daemon_id)
        return None if row[0] is None else float(row[0])

    async def expire_others(self, daemon_id: str) -> None:
        await self._run("expire_others", sql.EXPIRE_OTHERS, daemon_id)

    async def take(self, daemon_id: str, bots: Sequence[tuple[int, str, str]]) -> list[Lease]:
        wanted = {bot_id: (clean(name), clean(username)) for bot_id, name, username in bots}
        ids = sorted(wanted)
        names, usernames = [wanted[bot_id][0] for bot_id in ids], [wanted[bot_id][1] for bot_id in ids]

        async def work(connection: Connection) -> list[asyncpg.Record]:
            async with transaction(connection):
                await connection.execute(sql.TAKE_KNOWN, ids, names, usernames)
                dead = [row["id"] for row in await connection.fetch(sql.TAKE_LOCK_OWNERS, ids)]
                locked = [row["id"] for row in await connection.fetch(sql.TAKE_LOCK_BOTS, dead, ids)]
                taken: list[asyncpg.Record] = await connection.fetch(
                    sql.TAKE, dead, daemon_id, ids, names, usernames, locked
                )
                await connection.execute(sql.TAKE_UNCERTAIN, [row["id"] for row in taken])
            return taken

        rows = await self._calls.call("take", work, again=False)
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
        rows = await self._run("daemons", sql.DAEMONS)
        return [DaemonRow(**{**row, "report": json.loads(row["report"])}) for row in rows]

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
        except RefusedRow as error:
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
        args = bot_id, chat_id, telegram_id, clean(text), reply_to, at
        return bool(await self._run("witness", sql.WITNESS, *args, again=False))

    async def recent(self, chat_id: int, limit: int) -> list[Message]:
        return _messages(await self._run("recent", sql.RECENT, chat_id, limit))

    async def tail(self, chat_ids: Collection[int], after: float, limit: int = 1000) -> list[Message]:
        return _messages(await self._run("tail", sql.TAIL, list(chat_ids), after, limit))

    async def now(self) -> float:
        [row] = await self._run("now", sql.NOW)
        return float(row[0])

    async def said(self, bot_ids: Collection[int], since: float) -> list[Said]:
        rows = await self._run("said", sql.SAID, list(bot_ids), since)
        return [Said(**{**row, "kind": Kind(row["kind"])}) for row in rows]

    # --- stimuli

    async def merge_stimuli(self, keys: Collection[StimulusKey]) -> None:
        if keys:
            await self._run("merge_stimuli", sql.MERGE_STIMULI, *_columns(keys))

    async def take_stimulus(self, key: StimulusKey, bot_id: int, *, counts: bool) -> Grant:
        args = *key, bot_id, self._daemon_id, counts
        [row] = await self._run("take_stimulus", sql.TAKE_STIMULUS, *args)
        return Grant(row[0])

    async def answers_free_at(self, user_id: int) -> float:
        return answer_budget.free_at(row["at"] for row in await self._run("answers", sql.ANSWERS, user_id))

    async def close_stimulus(self, key: StimulusKey, state: str, reason: str = "") -> None:
        args = *key, clean(state), clean(reason), self._daemon_id
        await self._run("close_stimulus", sql.CLOSE_STIMULUS, *args)

    async def open_stimuli(self, bot_ids: Collection[int], chat_ids: Collection[int], since: float) -> list[Stimulus]:
        rows = await self._run("open_stimuli", sql.OPEN_STIMULI, list(bot_ids), list(chat_ids), since)
        return [
            Stimulus(row["stimulus_chat_id"], row["stimulus_telegram_id"], row["slot"], message(row)) for row in rows
        ]

    # --- traces and figures

    def record_turns(self, traces: Sequence[TurnTrace]) -> None:
        self.writer.record(traces)

    def add_usage(self, rows: Sequence[Usage]) -> None:
        self.writer.add(rows)

    async def usage(self, since: float) -> list[Usage]:
        await self.writer.flush()
        return [Usage(**row) for row in await self._run("usage", sql.USAGE, since)]

    def learn(self, lessons: Sequence[Lesson]) -> None:
        self.writer.learn(lessons)

    async def lessons(self, since: float) -> list[Lesson]:
        await self.writer.flush()
        rows = await self._run("lessons", sql.LESSONS, since)
        return [Lesson(**{**row, "what": json.loads(row["what"])}) for row in rows]

    async def uncertain(self) -> int:
        [row] = await self._run("uncertain", sql.UNCERTAIN)
        return int(row[0])

    async def counts(self, since: float) -> Mapping[str, int]:
        return {row["state"]: row["n"] for row in await self._run("counts", sql.COUNTS, since)}

    async def outcomes(self, since: float) -> list[tuple[int, str, str, int]]:
        await self.writer.flush()
        rows = await self._run("outcomes", sql.OUTCOMES, since)
        return [(row["bot_id"], row["intent"], row["outcome"], row["n"]) for row in rows]

    async def last(self, limit: int) -> list[Message]:
        return [message(row) for row in await self._run("last", sql.LAST, limit)]

    async def maintain(self, now: float, retention_days: int) -> None:
        async def work(connection: Connection) -> list[str]:
            await partitions.ensure(connection, now)
            dropped = await partitions.drop_expired(connection, now, retention_days)
            await connection.execute(sql.FORGET_STIMULI, now - retention_days * DAY)
            await connection.execute(sql.FORGET_DAEMONS, now - retention_days * DAY)
            return dropped

        if dropped := await self._calls.call("maintain", work, seconds=MAINTAIN_SECONDS):
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
            *_columns([StimulusKey(row.chat_id, row.telegram_id, bot_id) for row in rows for bot_id in row.to]),
            [clean(row.handle) for row in rows],
        )
        stored = await self._run("receive", sql.RECEIVE, *columns, again=False)
        return {(row["chat_id"], row["telegram_message_id"]): row["id"] for row in stored}


def _columns(keys: Collection[StimulusKey]) -> tuple[list[int], list[int], list[int]]:
    """The keys, as the columns that `unnest` takes."""
    return [key.chat_id for key in keys], [key.telegram_id for key in keys], [key.bot_id for key in keys]


def _messages(rows: Sequence[asyncpg.Record]) -> list[Message]:
    return sorted(map(message, rows), key=lambda message: (message.at, message.id))


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
