"""The days of the growing tables: which partitions should be there (pure) and making them so.

Called by `PostgresStore` at connect and in `maintain`. A row outside every day goes to the default partition and moves
into its day's when that is made, so a wrong clock or a late maintenance never loses a message.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta

import asyncpg

from piyasad.store.calls import transaction

TABLES = ("message", "turn")

AHEAD_DAYS = 3
"""Days made ahead of today (UTC): a daemon whose maintenance fails for that long still writes to its own days."""

BEHIND_DAYS = 1
"""Days made behind: Telegram keeps undelivered updates for 24 hours, so dates of yesterday still come in."""

_LOCK = 0x7069796173616402
_NAME = re.compile(r"(?:message|turn)_(\d{4})(\d{2})(\d{2})")


def day_of(wall: float) -> date:
    """The UTC day of a Unix time."""
    return datetime.fromtimestamp(wall, UTC).date()


def start_of(day: date) -> float:
    """The Unix time of a UTC day's beginning."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


def name_of(table: str, day: date) -> str:
    """A day's partition, for example `message_20261123`."""
    return f"{table}_{day:%Y%m%d}"


def parse(name: str) -> date | None:
    """The day of a partition's name; None for the default partition and strangers."""
    match = _NAME.fullmatch(name)
    return date(int(match[1]), int(match[2]), int(match[3])) if match else None


def wanted(now: float) -> list[date]:
    """The days that should have a partition now."""
    today = day_of(now)
    return [today + timedelta(days=offset) for offset in range(-BEHIND_DAYS, AHEAD_DAYS + 1)]


def first_kept(now: float, retention_days: int) -> date:
    """The oldest day that is kept; every moment before it is older than the retention, and yesterday is always kept."""
    return day_of(now) - timedelta(days=max(retention_days, BEHIND_DAYS))


def expired(days: Collection[date], now: float, retention_days: int) -> list[date]:
    """The days before the first that is kept."""
    return sorted(day for day in days if day < first_kept(now, retention_days))


async def _days(connection: asyncpg.Connection, table: str) -> set[date]:
    rows = await connection.fetch(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = $1::regclass",
        table,
    )
    return {day for row in rows if (day := parse(row["relname"])) is not None}


async def _create(connection: asyncpg.Connection, table: str, day: date) -> None:
    # Names come from the constants and dates above, never from outside. The default partition is locked first,
    # the parent only with a lock that writers and readers pass by.
    name, start, end = name_of(table, day), day.isoformat(), (day + timedelta(days=1)).isoformat()
    await connection.execute(f"""
        LOCK TABLE {table}_default IN ACCESS EXCLUSIVE MODE;
        CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
        WITH moved AS (
            DELETE FROM {table}_default WHERE created_at >= '{start}Z' AND created_at < '{end}Z' RETURNING *
        ) INSERT INTO {name} SELECT * FROM moved;
        ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{start} 00:00Z') TO ('{end} 00:00Z');
    """)  # noqa: S608


async def ensure(connection: asyncpg.Connection, now: float) -> None:
    """Make the partitions of the days around `now` (Unix seconds). Daemons wait for each other."""
    async with transaction(connection):
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        for table in TABLES:
            there = await _days(connection, table)
            for day in wanted(now):
                if day not in there:
                    await _create(connection, table, day)


async def drop_expired(connection: asyncpg.Connection, now: float, retention_days: int) -> list[str]:
    """Drop the days older than the retention and return their names; old rows of the default partition go too."""
    dropped = []
    for table in TABLES:
        for day in expired(await _days(connection, table), now, retention_days):
            # Dropping waits for every reader of the table, and everybody else waits for the drop: better later
            # than long. The next maintenance tries again.
            async with transaction(connection):
                await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
                await connection.execute("SET LOCAL lock_timeout = '3s'")
                await connection.execute(f"DROP TABLE IF EXISTS {name_of(table, day)}")
            dropped.append(name_of(table, day))
        await connection.execute(
            f"DELETE FROM {table}_default WHERE created_at < to_timestamp($1)",  # noqa: S608
            start_of(first_kept(now, retention_days)),
        )
    return dropped
