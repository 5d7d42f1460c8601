"""What only the store on PostgreSQL has: rows that the database refuses, the tables as reports read them, looking on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from piyasad.clock import SystemClock
from piyasad.model import Kind, Received, State, StimulusKey, TurnTrace, Usage
from piyasad.store.interface import StoreError
from piyasad.store.migrate import load
from piyasad.store.postgres import PostgresStore
from tests.fixtures.store import ALI, BOT, CHAT, claim, daemon, draft


@pytest.fixture
async def any_store(any_pg_dsn: str) -> AsyncIterator[PostgresStore]:
    store = await PostgresStore.connect(any_pg_dsn, SystemClock(), start_timeout=10.0)
    yield store
    await store.close()


@pytest.fixture
async def connection(any_pg_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(any_pg_dsn)
    yield connection
    await connection.close()


async def test_a_bot_of_an_unknown_daemon_is_free(any_store: PostgresStore, connection: asyncpg.Connection) -> None:
    await any_store.enter(daemon("a"), 60)
    await any_store.take("a", [ALI])
    await connection.execute("DELETE FROM daemon")
    await any_store.enter(daemon("b"), 60)
    assert await any_store.free_in([BOT]) == 0
    assert [lease.fence for lease in await any_store.take("b", [ALI])] == [2]


async def test_a_message_that_cannot_be_stored_does_not_stop_the_others(any_store: PostgresStore) -> None:
    now = await any_store.now()
    rows = [Received(CHAT, number, 99, "Deniz", "Selam", now, to=(BOT,)) for number in (1, 2**70, 3)]
    assert [message is not None for message in await any_store.receive(rows)] == [True, False, True]
    assert [stimulus.telegram_id for stimulus in await any_store.open_stimuli([BOT], [], 0)] == [1, 3]


async def test_traces_and_figures_are_written_in_the_background_and_a_refused_one_stops_no_other(
    any_store: PostgresStore, connection: asyncpg.Connection
) -> None:
    hour = 1_800_000_000.0 - 1_800_000_000.0 % 3600
    any_store.record_turns([TurnTrace("t1", BOT, CHAT, hour, "reply", "sent", {"not": "ş\0", "x": float("inf")})])
    any_store.record_turns([TurnTrace(f"t{n}", BOT, CHAT, 2.0**200 if n == 3 else hour, "", "", {}) for n in (2, 3)])
    any_store.add_usage([Usage("groq", "key", "m", hour + 5, 1, 100, 50, 10, 0.5)])
    any_store.add_usage([Usage("x", "", "m", hour, 2**70, 0, 0, 0, 0)])
    assert [usage.requests for usage in await any_store.usage(0)] == [1]
    rows = await connection.fetch("SELECT id, detail->>'not' AS d FROM turn ORDER BY id")
    assert [(row["id"], row["d"]) for row in rows] == [("t1", "ş"), ("t2", None)]
    assert await connection.fetchval("SELECT tokens FROM usage") == 110
    assert any_store.writer.deferred.dropped == 1


async def test_a_row_carries_what_it_answers_and_whether_the_persona_was_restated(
    any_store: PostgresStore, connection: asyncpg.Connection
) -> None:
    await any_store.enter(daemon("a"), 60)
    [lease] = await any_store.take("a", [ALI])
    key = StimulusKey(-9, 1, BOT)
    await any_store.receive([Received(-9, 1, 99, "Deniz", "Selam", await any_store.now(), to=(BOT,))])
    await any_store.take_stimulus(key, BOT, counts=True)
    made = await claim(any_store, draft(lease, "Olur", Kind.ANSWER, stimulus=key, restated=True))
    await any_store.settle(made, State.SENT, telegram_id=2)
    row = await connection.fetchrow("SELECT * FROM message WHERE id = $1", made.id)
    assert row is not None
    assert (row["stimulus_chat_id"], row["stimulus_telegram_id"], row["stimulus_slot"], row["restated"]) == (*key, True)
    row = await connection.fetchrow("SELECT * FROM stimulus")
    assert row is not None
    assert (row["state"], row["granted"], row["tries"], row["answer_id"]) == ("answered", "answer", 1, made.id)


async def test_a_dropped_stimulus_says_why(any_store: PostgresStore, connection: asyncpg.Connection) -> None:
    await any_store.receive([Received(CHAT, 1, 99, "Deniz", "Selam", await any_store.now(), to=(BOT,))])
    await any_store.close_stimulus(StimulusKey(CHAT, 1, BOT), "dropped", "stale\0")
    row = await connection.fetchrow("SELECT state, reason FROM stimulus")
    assert row is not None
    assert tuple(row) == ("dropped", "stale")


# --- a store that only looks


async def test_a_command_reads_beside_the_daemon_and_writes_nothing(any_store: PostgresStore, any_pg_dsn: str) -> None:
    await any_store.enter(daemon("a"), 60)
    [lease] = await any_store.take("a", [ALI])
    await any_store.report("a", {"stretch": 2})
    await claim(any_store, draft(lease))
    reading = await PostgresStore.reading(any_pg_dsn, SystemClock())
    assert [row.report for row in await reading.daemons()] == [{"stretch": 2}]
    assert await reading.counts(0) == {"sending": 1}
    assert await reading.usage(0) == []
    assert await reading.outcomes(0) == []
    for write in (reading.ensure_chats([-9]), reading.claim(draft(lease)), reading.set_bot_state(BOT, "parked", "")):
        with pytest.raises(StoreError):
            await write
    await reading.close()
    assert await any_store.chats() == []


async def test_a_database_that_is_not_ours_or_of_another_version_is_refused_in_words(
    any_pg_dsn: str, connection: asyncpg.Connection
) -> None:
    newest = len(load())
    for change, words in (
        (f"INSERT INTO schema_migration VALUES ({newest + 1}, 'x', 'y')", f"version {newest + 1}.*used by a newer"),
        (
            f"DELETE FROM schema_migration WHERE version >= {newest}",
            f"older than this piyasad .version {newest - 1}, it needs {newest}.: start the new daemon once",
        ),
        ("DROP TABLE schema_migration", "has no tables of piyasad yet; start the daemon once"),
    ):
        await connection.execute(change)
        with pytest.raises(StoreError, match=words):
            await PostgresStore.reading(any_pg_dsn, SystemClock())
    with pytest.raises(StoreError, match="refused: InvalidCatalogNameError"):
        await PostgresStore.reading(any_pg_dsn.replace("/t", "/yok"), SystemClock())
