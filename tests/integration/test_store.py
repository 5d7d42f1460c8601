"""Every method of the store, on each PostgreSQL we promise."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from piyasad.clock import SystemClock
from piyasad.model import DaemonRow, Draft, Kind, Received, State
from piyasad.store.postgres import PostgresStore

CHAT = -1001


def daemon(name: str) -> DaemonRow:
    return DaemonRow(name, 1, 1, "host", 1, "hash", 0.0, True, "")


@pytest.fixture
async def any_store(any_pg_dsn: str) -> AsyncIterator[PostgresStore]:
    store = await PostgresStore.connect(any_pg_dsn, SystemClock(), start_timeout=10.0)
    yield store
    await store.close()


async def test_a_claim_is_settled_and_shows_in_the_room(any_store: PostgresStore) -> None:
    await any_store.enter(daemon("a"), 60)
    [lease] = await any_store.take("a", [(7, "Ali", "ali_bot")])
    claim = await any_store.claim(Draft(7, lease.fence, CHAT, Kind.TOPIC, "Günaydın\0 😀", "Ali"))
    assert claim is not None
    assert await any_store.recent(CHAT, 10) == []
    await any_store.settle(claim, State.SENT, telegram_id=5, at=claim.created_at + 1)
    [message] = await any_store.recent(CHAT, 10)
    assert (message.id, message.text, message.telegram_id) == (claim.id, "Günaydın 😀", 5)
    assert message.at == claim.created_at + 1
