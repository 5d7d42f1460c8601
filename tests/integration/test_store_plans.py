"""What is asked every second stays cheap at many rows: the plans of the store's own statements read what they need."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest

from piyasad.clock import DAY, SystemClock
from piyasad.store import partitions, sql
from piyasad.store.postgres import PostgresStore

ROWS = 60_000
DAYS = 4
BOTS = list(range(1, 101))
CHATS = [-1, -2, -3]

FILL = f"""
INSERT INTO message (chat_id, bot_id, user_id, author, kind, text, telegram_message_id, state, created_at, sent_at, seen_at)
SELECT -1 - n % 3, CASE WHEN n % 4 > 0 THEN 1 + n % 100 END, CASE WHEN n % 4 = 0 THEN 500 + n % 50 END, 'Ali',
    CASE WHEN n % 4 > 0 THEN 'topic' ELSE 'person' END, 'Bir satır, ' || n, n,
    CASE WHEN n % 4 = 0 THEN 'received' WHEN n % 499 = 0 THEN 'uncertain' WHEN n % 23 = 0 THEN 'failed' ELSE 'sent' END,
    at, CASE WHEN n % 4 > 0 THEN at END, at
FROM generate_series(1, {ROWS}) AS g(n),
    LATERAL (SELECT to_timestamp($1::float8 - {DAYS * DAY} * (1 - n::float8 / {ROWS})) AS at) AS t
"""

STIMULI = """
INSERT INTO stimulus (chat_id, telegram_id, slot, message_id, user_id, state, created_at, taken_at, granted)
SELECT chat_id, telegram_message_id, 1 + telegram_message_id % 100, id, user_id,
    CASE WHEN created_at > to_timestamp($1::float8 - 60) THEN 'open' ELSE 'answered' END,
    created_at, created_at, 'answer'
FROM message WHERE state = 'received'
"""


@pytest.fixture
async def full(pg_dsn: str) -> AsyncIterator[tuple[asyncpg.Connection, float]]:
    """A connection like the pool's, to a database of some days; and its time."""
    now = SystemClock().wall()
    store = await PostgresStore.connect(pg_dsn, SystemClock())
    connection = await asyncpg.connect(pg_dsn)
    for day in range(1, DAYS):
        await partitions.ensure(connection, now - day * DAY)
    await connection.execute(FILL, now)
    await connection.execute(STIMULI, now)
    await connection.execute("ANALYZE")
    yield connection, now
    await connection.close()
    await store.close()


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


async def read_by(connection: asyncpg.Connection, statement: str, *args: object) -> int:
    """How many rows of tables a statement reads, thrown away or not, when it was prepared long ago."""
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    explain = "EXPLAIN (ANALYZE, FORMAT JSON) "
    [row] = await connection.fetch(explain + statement, *args)
    plan = json.loads(row[0])[0]["Plan"]
    scans = [node for node in nodes(plan) if "Scan" in node["Node Type"] and "Relation Name" in node]
    assert scans
    read = 0.0
    for node in scans:
        rows = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        assert node["Node Type"] != "Seq Scan" or rows < 100, node
        read += node["Actual Loops"] * rows
    return round(read)


async def test_what_is_asked_every_second_reads_what_it_needs(full: tuple[asyncpg.Connection, float]) -> None:
    connection, now = full
    uncertain = await connection.fetchval("SELECT count(*) FROM message WHERE state = 'uncertain'")
    assert uncertain > 50
    assert await read_by(connection, sql.UNCERTAIN) == uncertain
    found = len(await connection.fetch(sql.TAIL, CHATS, now - 5, 1000))
    assert found > 0
    assert await read_by(connection, sql.TAIL, CHATS, now - 5, 1000) <= 2 * found
    waiting = len(await connection.fetch(sql.OPEN_STIMULI, BOTS, CHATS, now - 600))
    assert waiting > 0
    assert await read_by(connection, sql.OPEN_STIMULI, BOTS, CHATS, now - 600) <= 10 * waiting
    assert await read_by(connection, sql.LAST, 10) <= 10 * (DAYS + partitions.AHEAD_DAYS + 2)


async def test_what_is_asked_at_a_start_reads_what_it_needs(full: tuple[asyncpg.Connection, float]) -> None:
    connection, now = full
    assert await read_by(connection, sql.RECENT, -1, 200) <= 2 * 200
    found = len(await connection.fetch(sql.SAID, [1, 2], now - 3600))
    assert found > 0
    assert await read_by(connection, sql.SAID, [1, 2], now - 3600) <= 2 * found + 100


async def test_a_budget_is_counted_among_the_members_own_stimuli(full: tuple[asyncpg.Connection, float]) -> None:
    connection, now = full
    counted = "SELECT count(*) FROM stimulus s WHERE s.user_id = $1 AND s.granted IS NOT NULL AND s.taken_at > $2"
    day_ago = await connection.fetchval("SELECT to_timestamp($1::float8)", now - DAY)
    found = await connection.fetchval(counted, 500, day_ago)
    assert found > 0
    assert await read_by(connection, counted, 500, day_ago) <= 2 * found
