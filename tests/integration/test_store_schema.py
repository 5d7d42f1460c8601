"""Migrations and day partitions against real servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from piyasad.clock import SystemClock
from piyasad.model import DaemonRow, Draft, Grant, Kind, Received, State, StimulusKey, TurnTrace
from piyasad.store import partitions
from piyasad.store.interface import StoreError
from piyasad.store.migrate import Migration, SchemaError, load, migrate
from piyasad.store.postgres import PostgresStore

DAY = 86400.0
DATA = Path(__file__).parents[1] / "data"
TABLES = {"daemon", "bot", "chat", "message", "turn", "memory", "usage", "schema_migration", "stimulus"} | {
    "said",
    "opt_out",
    "forgotten",
    "learned",
    "member_salt",
}


async def partitions_of(connection: asyncpg.Connection, table: str) -> list[str]:
    rows = await connection.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = $1::regclass ORDER BY 1", table
    )
    return [row["name"] for row in rows]


async def test_the_contracts_tables_are_there(any_pg_dsn: str) -> None:
    connection = await asyncpg.connect(any_pg_dsn)
    rows = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition "
        "AND relnamespace = 'public'::regnamespace"
    )
    applied = await connection.fetch("SELECT version, checksum FROM schema_migration ORDER BY version")
    await connection.close()
    assert {row["relname"] for row in rows} == TABLES
    assert [(row["version"], row["checksum"]) for row in applied] == [(m.version, m.checksum) for m in load()]


async def test_a_migration_is_applied_once_and_a_failing_one_not_at_all(any_pg_dsn: str) -> None:
    connection = await asyncpg.connect(any_pg_dsn)
    number = len(load()) + 1
    good = Migration(number, "good", "CREATE TABLE extra (n integer)")
    bad = Migration(number + 1, "bad", "CREATE TABLE more (n integer); SELECT no_such_function()")
    assert await migrate(connection, [*load(), good]) == number
    assert await migrate(connection, [*load(), good]) == number
    with pytest.raises(asyncpg.UndefinedFunctionError):
        await migrate(connection, [*load(), good, bad])
    assert await connection.fetchval("SELECT to_regclass('more')") is None
    with pytest.raises(SchemaError, match="was changed"):
        await migrate(connection, [*load(), Migration(number, "good", "SELECT 1")])
    await connection.close()
    with pytest.raises(StoreError, match="used by a newer piyasad"):
        await PostgresStore.connect(any_pg_dsn, SystemClock(), start_timeout=5)


async def test_a_database_that_is_not_utf8_is_refused(any_pg_dsn: str) -> None:
    connection = await asyncpg.connect(any_pg_dsn)
    await connection.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    other = any_pg_dsn.replace(f"/{any_pg_dsn.split('/')[3].split('?')[0]}?", "/latin?")
    try:
        with pytest.raises(StoreError, match="encoding is LATIN1"):
            await PostgresStore.connect(other, SystemClock(), start_timeout=5)
    finally:
        await connection.execute("DROP DATABASE latin")
        await connection.close()


async def test_days_are_made_ahead_and_dropped_after_the_retention(any_pg_dsn: str) -> None:
    store = await PostgresStore.connect(any_pg_dsn, SystemClock())
    connection = await asyncpg.connect(any_pg_dsn)
    now = SystemClock().wall()
    assert await partitions_of(connection, "message") == sorted(
        [partitions.name_of("message", day) for day in partitions.wanted(now)] + ["message_default"]
    )
    for day in range(40):
        at = now + day * DAY
        await store.maintain(at, 30)
        await store.receive([Received(-1, day + 1, 5, "Deniz", f"gün {day}", at)])
        store.record_turns([TurnTrace(f"t{day}", 1, -1, at, "reply", "sent", {})])
    await store.usage(0)
    end = now + 39 * DAY
    await store.maintain(end, 30)
    for table in partitions.TABLES:
        names = await partitions_of(connection, table)
        days = [made for name in names if (made := partitions.parse(name)) is not None]
        assert min(days) == partitions.day_of(end - 30 * DAY)
        assert max(days) == partitions.day_of(end + partitions.AHEAD_DAYS * DAY)
        assert await connection.fetchval(f"SELECT count(*) FROM {table}_default") == 0
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 31
    assert [message.text for message in await store.recent(-1, 2)] == ["gün 38", "gün 39"]
    assert len(await store.recent(-1, 100)) == 31
    await connection.close()
    await store.close()


async def test_rows_outside_every_day_are_kept_and_move_into_their_day(any_pg_dsn: str) -> None:
    store = await PostgresStore.connect(any_pg_dsn, SystemClock())
    connection = await asyncpg.connect(any_pg_dsn)
    now = SystemClock().wall()
    ahead, old = now + 20 * DAY, now - 10 * DAY
    await store.receive([Received(-1, 1, 5, "Deniz", "ileride", ahead), Received(-1, 2, 5, "Deniz", "geride", old)])
    assert await store.receive([Received(-1, 2, 5, "Deniz", "geride", old)]) == [None]
    assert await connection.fetchval("SELECT count(*) FROM message_default") == 2
    await store.maintain(ahead, 365)
    assert await connection.fetchval("SELECT text FROM message_default") == "geride"
    name = partitions.name_of("message", partitions.day_of(ahead))
    assert await connection.fetchval(f"SELECT text FROM {name}") == "ileride"
    assert await store.receive([Received(-1, 1, 5, "Deniz", "ileride", ahead)]) == [None]
    await store.maintain(ahead, 5)
    assert [message.text for message in await store.recent(-1, 5)] == ["ileride"]
    await connection.close()
    await store.close()


async def test_old_stimuli_and_daemons_are_forgotten(any_pg_dsn: str) -> None:
    store = await PostgresStore.connect(any_pg_dsn, SystemClock())
    connection = await asyncpg.connect(any_pg_dsn)
    now = SystemClock().wall()
    await store.enter(DaemonRow("a", 0, 1, "h", 1, "c", 0.0, True, ""), 10)
    await store.receive([Received(-1, 1, 5, "Deniz", "soru", now, to=(7,))])
    await store.maintain(now + DAY, 30)
    assert await connection.fetchval("SELECT count(*) FROM stimulus") == 1
    await store.maintain(now + 40 * DAY, 30)
    assert await connection.fetchval("SELECT count(*) FROM stimulus") == 0
    assert await connection.fetchval("SELECT count(*) FROM daemon") == 0
    await connection.close()
    await store.close()


async def test_claims_go_on_while_days_are_made_and_dropped(any_pg_dsn: str) -> None:
    store = await PostgresStore.connect(any_pg_dsn, SystemClock())
    await store.enter(DaemonRow("a", 0, 1, "h", 1, "c", 0.0, True, ""), 600)
    [lease] = await store.take("a", [(1, "Ali", "ali")])
    for day in range(5):
        claim = await store.claim(Draft(1, lease.fence, -1, Kind.TOPIC, f"gün {day}", "Ali"))
        assert claim is not None
        assert datetime.fromtimestamp(claim.created_at, UTC).tzinfo is UTC
        await store.maintain(SystemClock().wall() + day * DAY, 365)
        await store.settle(claim, State.SENT, telegram_id=day + 1)
    assert await store.counts(0) == {"sent": 5}
    await store.close()


# --- from the release before


def statements_before() -> dict[str, str]:
    """The statements of the release that knew the schema up to 0002, by name."""
    parts = (DATA / "statements_of_0002.sql").read_text().split("\n-- ")[1:]
    return {name: text.rstrip().removesuffix(";") for name, _, text in (part.partition("\n") for part in parts)}


@pytest.fixture
async def before(any_pg_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to a database as the release before left it."""
    connection = await asyncpg.connect(any_pg_dsn)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await migrate(connection, load()[:2])
    yield connection
    await connection.close()


async def test_the_release_before_runs_on_the_new_schema(any_pg_dsn: str) -> None:
    connection = await asyncpg.connect(any_pg_dsn)
    old = statements_before()
    for statement in old.values():
        await connection.prepare(statement)
    for shard in (1, 4):  # which it counted from 1
        await connection.execute(old["ENTER"], f"old{shard}", shard, 4, "host", 1, "hash", 60.0)
    now = await connection.fetchval(old["NOW"])
    await connection.execute(old["TAKE_KNOWN"], [7], ["Ali"], ["ali_bot"])
    await connection.fetch(old["TAKE"], [], "old1", [7], ["Ali"], ["ali_bot"], [7])
    lists = [[7], [1], [-1], ["answer"], ["Olur"], ["Ali"], [4], [None], ["t1"]]
    [claimed] = await connection.fetch(old["GROUP"], *lists, [], [], [], [], [], [], 0.0, 0.0)
    await connection.fetch(
        old["GROUP"],
        *[[] for _ in lists],
        [claimed["id"]],
        [claimed["created_at"]],
        ["sent"],
        [9],
        [None],
        [""],
        0.0,
        now + 60,
    )
    await connection.fetch(old["RECEIVE"], [-1], [4], [99], ["Deniz"], ["Selam"], [now], [None], [None])
    await connection.fetch(old["OPEN_STIMULUS"], -1, 4, 7, 1, now)
    assert len(await connection.fetch(old["TAKE_STIMULUS"], -1, 4, 7, 7)) == 1
    await connection.execute(old["CLOSE_STIMULUS"], -1, 4, 7, "answered", 7, 1)
    assert await connection.fetchval("SELECT state FROM stimulus") == "answered"
    assert await connection.fetchval("SELECT count(*) FROM message WHERE state = 'sent' AND NOT restated") == 1
    await connection.close()


async def test_an_upgrade_knows_which_notice_is_posted_and_whom_it_answered(
    before: asyncpg.Connection, any_pg_dsn: str
) -> None:
    await before.execute("""
        INSERT INTO daemon VALUES ('old', 4, 4, 'host', 1, 'hash', now(), now() + interval '1 hour', '');
        INSERT INTO bot (id, name, username, owner, fence) VALUES (7, 'Ali', 'ali_bot', 'old', 1);
        INSERT INTO chat (id, notice_at) VALUES (-1, now()), (-2, now());
        INSERT INTO message (chat_id, bot_id, author, kind, text, telegram_message_id, reply_to, state, created_at)
        SELECT -1, 7, 'Ali', 'notice', 'x', n, NULL, 'sent', now() - n * interval '1 hour' FROM generate_series(1, 3) n
        UNION ALL SELECT -1, 7, 'Ali', 'answer', 'Olur', 100 + n, 50 + n, 'sent', now() FROM generate_series(1, 5) n;
        INSERT INTO message (chat_id, user_id, author, kind, text, telegram_message_id, state, created_at)
        SELECT -1, 99, 'Deniz', 'person', 'Neden?', 50 + n, 'received', now() FROM generate_series(1, 7) n;
        INSERT INTO stimulus (chat_id, telegram_id, slot, message_id, taken_by, taken_fence, state, created_at)
        SELECT chat_id, telegram_message_id, 7, id, 7, 1,
            CASE WHEN telegram_message_id <= 56 THEN 'answered' ELSE 'open' END, created_at
        FROM message WHERE user_id IS NOT NULL;
    """)
    store = await PostgresStore.connect(any_pg_dsn, SystemClock())
    assert [(chat.id, chat.notice_message_id) for chat in await store.chats()] == [(-2, None), (-1, 1)]
    await store.enter(DaemonRow("new", 3, 4, "host", 1, "hash", 0.0, True, ""), 60)
    await store.expire_others("new")
    await store.take("new", [(7, "Ali", "ali_bot")])
    assert [stimulus.telegram_id for stimulus in await store.open_stimuli([7], [], 0)] == [57]
    now = await store.now()
    await store.receive([Received(-1, 60 + n, 99, "Deniz", "Neden?", now, to=(7,)) for n in range(2)])
    keys = [StimulusKey(-1, telegram_id, 7) for telegram_id in (57, 60, 61)]
    # Five were answered before; the sixth stimulus was closed by a fixed text, which does not count.
    grants = [await store.take_stimulus(key, 7, counts=True) for key in keys]
    assert grants == [Grant.ANSWER, Grant.POLITE, Grant.SILENCE]
    await store.close()
