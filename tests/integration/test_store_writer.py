"""The grouped writer: groups, refused rows, cancelled callers, a database that goes away and comes back."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from piyasad.clock import SystemClock
from piyasad.model import Claim, DaemonRow, Draft, Kind, Lease, State, TurnTrace, Usage
from piyasad.store.deferred import TRACES_MAX, Deferred
from piyasad.store.embedded import wheel_bin_dir
from piyasad.store.interface import StoreError
from piyasad.store.postgres import PostgresStore
from piyasad.store.server import ServerProcess
from piyasad.store.writer import Writer
from tests.fixtures.postgres import PostgresServer, slow_inserts

CHAT = -1001


def draft(lease: Lease, text: str = "Merhaba", chat_id: int = CHAT) -> Draft:
    return Draft(lease.bot_id, lease.fence, chat_id, Kind.TOPIC, text, "Ali")


async def lease_of(store: PostgresStore, bots: int = 1) -> list[Lease]:
    await store.enter(DaemonRow("a", 0, 1, "host", 1, "hash", 0.0, True, ""), 600)
    return await store.take("a", [(number, f"Bot {number}", f"bot{number}") for number in range(1, bots + 1)])


async def test_claims_that_come_together_share_groups(store: PostgresStore) -> None:
    leases = await lease_of(store, 40)
    before = store.writer.groups
    claims = await asyncio.gather(*(store.claim(draft(lease, f"satır {lease.bot_id}")) for lease in leases * 5))
    assert store.writer.groups - before <= 3
    assert len({claim.id for claim in claims if claim is not None}) == 200
    for lease, claim in zip(leases * 5, claims, strict=True):
        assert claim is not None
        assert claim.draft == draft(lease, f"satır {lease.bot_id}")
    await asyncio.gather(*(store.settle(claim, State.SENT, telegram_id=claim.id) for claim in claims if claim))
    assert await store.counts(0) == {"sent": 200}


async def test_a_lone_claim_does_not_wait_for_company(pg_dsn: str) -> None:
    store = await PostgresStore.connect(pg_dsn, SystemClock(), linger=30.0)
    [lease] = await lease_of(store)
    async with asyncio.timeout(5):
        assert await store.claim(draft(lease)) is not None
    await store.close()


async def test_one_refused_row_never_fails_its_group(store: PostgresStore) -> None:
    leases = await lease_of(store, 3)
    results = await asyncio.gather(
        store.claim(draft(leases[0])),
        store.claim(draft(leases[1], chat_id=2**80)),  # cannot be encoded
        store.claim(Draft(leases[2].bot_id, 0, CHAT, Kind.TOPIC, "eski", "Ali")),  # an old fence
        store.claim(draft(leases[2])),
        return_exceptions=True,
    )
    assert isinstance(results[0], Claim)
    assert isinstance(results[1], StoreError)
    assert str(results[1]) == "a value that the database cannot hold (DataError)"
    assert results[2] is None
    assert isinstance(results[3], Claim)
    settled = await asyncio.gather(
        store.settle(results[0], State.SENT, telegram_id=None),  # a constraint: sent needs Telegram's id
        store.settle(results[3], State.SENT, telegram_id=4),
        return_exceptions=True,
    )
    assert isinstance(settled[0], StoreError)
    assert settled[1] is None
    await store.settle(results[3], State.FAILED)  # a later group: what the refused one left behind is written by now
    assert await store.counts(0) == {"uncertain": 1, "sent": 1}


async def test_a_claim_whose_caller_is_gone_is_settled_failed(store: PostgresStore, pg_dsn: str) -> None:
    [lease] = await lease_of(store)
    await store.claim(draft(lease))
    queued = asyncio.create_task(store.claim(draft(lease, "kuyrukta")))
    await asyncio.sleep(0)
    queued.cancel()  # while it waits for its group: it is never written
    connection = await asyncpg.connect(pg_dsn)
    async with connection.transaction():
        await connection.execute("SELECT FROM bot WHERE id = 1 FOR UPDATE")
        flying = asyncio.create_task(store.claim(draft(lease, "yolda")))
        await asyncio.sleep(0.1)
        flying.cancel()  # while its group waits for the row's lock: it is written, and nobody will send it
    assert isinstance(await store.claim(draft(lease)), Claim)
    rows = await connection.fetch("SELECT text, state, reason FROM message ORDER BY id")
    for _ in range(100):
        if [row["state"] for row in rows] == ["sending", "failed", "sending"]:
            break
        await asyncio.sleep(0.02)
        rows = await connection.fetch("SELECT text, state, reason FROM message ORDER BY id")
    await connection.close()
    assert [(row["text"], row["state"]) for row in rows] == [
        ("Merhaba", "sending"),
        ("yolda", "failed"),
        ("Merhaba", "sending"),
    ]
    assert rows[1]["reason"] == "cancelled before it was sent"
    results = await asyncio.gather(queued, flying, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)


async def test_closing_writes_what_was_handed_in_and_refuses_the_rest(pg_dsn: str) -> None:
    store = await PostgresStore.connect(pg_dsn, SystemClock(), linger=30.0)
    [lease] = await lease_of(store)
    claim = await store.claim(draft(lease))
    assert claim is not None
    settling = asyncio.create_task(store.settle(claim, State.SENT, telegram_id=1))
    store.record_turns([TurnTrace("t1", 1, CHAT, claim.created_at, "topic", "sent", {})])
    store.add_usage([Usage("groq", "k", "m", claim.created_at, 1, 2, 3, 4, 0.0)])
    await asyncio.sleep(0)
    async with asyncio.timeout(10):  # less than the linger
        await store.close()
    await settling
    for late in (store.claim(draft(lease)), store.settle(claim, State.SENT), store.usage(0), store.now()):
        with pytest.raises(StoreError):
            await late
    connection = await asyncpg.connect(pg_dsn)
    assert await connection.fetchval("SELECT state FROM message") == "sent"
    assert await connection.fetchval("SELECT count(*) FROM turn") == 1
    assert await connection.fetchval("SELECT requests FROM usage") == 1
    await connection.close()


async def test_a_full_queue_refuses_claims_at_once(pg_dsn: str) -> None:
    async def never() -> asyncpg.Connection:
        await asyncio.Event().wait()
        raise AssertionError

    writer = Writer(never, SystemClock(), queue_max=2)
    writer.start()
    lease = Lease(1, 1, 0, "active", None)
    waiting = [asyncio.create_task(writer.claim(draft(lease))) for _ in range(3)]
    await asyncio.sleep(0.02)  # one is under way, two wait
    waiting += [asyncio.create_task(writer.claim(draft(lease))) for _ in range(3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    refused = [task for task in waiting if task.done()]
    assert len(refused) >= 1
    assert all("claims are waiting" in str(task.exception()) for task in refused)
    await writer.close(timeout=0.05)
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(result, StoreError) for result in results)


def test_traces_are_bounded_and_the_oldest_go_first() -> None:
    side = Deferred()
    side.record([TurnTrace(str(number), 1, CHAT, 0.0, "", "", {}) for number in range(TRACES_MAX + 5)])
    assert side.dropped == 5
    assert side._traces[0].id == "5"


# --- a server that goes away


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    server = PostgresServer(wheel_bin_dir(), Path(tempfile.mkdtemp(prefix="piyasad-pg-")))
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def own_store(own_server: PostgresServer) -> AsyncIterator[PostgresStore]:
    store = await PostgresStore.connect(own_server.server.dsn("template_piyasad"), SystemClock())
    yield store
    await store.close()


def restart(server: ServerProcess) -> None:
    server.start({"listen_addresses": "", "fsync": "off"}, 30.0)


async def test_a_restart_in_mid_run_loses_nothing(own_server: PostgresServer, own_store: PostgresStore) -> None:
    leases = await lease_of(own_store, 20)
    sent = set[int]()
    stop = asyncio.Event()

    async def talk(lease: Lease) -> None:
        while not stop.is_set():
            try:
                claim = await own_store.claim(draft(lease))
            except StoreError:
                await asyncio.sleep(0.02)
                continue
            assert claim is not None
            sent.add(claim.id)  # "sent" to Telegram: the settlement must get through whatever happens now
            await own_store.settle(claim, State.SENT, telegram_id=claim.id)

    talkers = [asyncio.create_task(talk(lease)) for lease in leases]
    await asyncio.sleep(0.2)
    for number in (signal.SIGINT, signal.SIGQUIT):  # a fast shutdown, then a crash
        master = own_server.server.postmaster()
        assert master is not None
        os.kill(master.pid, number)
        await asyncio.to_thread(own_server.server.stop, 5.0)
        await asyncio.sleep(0.1)
        await asyncio.to_thread(restart, own_server.server)
        assert await own_store.now() > 0
        before = len(sent)
        async with asyncio.timeout(20):
            while len(sent) < before + 20:
                await asyncio.sleep(0.02)
    stop.set()
    await asyncio.gather(*talkers)
    own_store.record_turns([])
    await own_store.usage(0)  # flushes, and looks once more for claims of unknown fate
    connection = await asyncpg.connect(own_server.server.dsn("template_piyasad"))
    rows = await connection.fetch("SELECT id, state, reason FROM message")
    await connection.close()
    assert {row["id"] for row in rows if row["state"] == "sent"} == sent
    assert {row["state"] for row in rows} <= {"sent", "failed"}


async def test_a_claim_whose_commit_was_never_heard_of_fails_and_no_other(store: PostgresStore, pg_dsn: str) -> None:
    [lease] = await lease_of(store)
    good = await store.claim(draft(lease, "yolda"))
    assert good is not None
    async with slow_inserts(pg_dsn) as arrived:
        claiming = asyncio.create_task(store.claim(draft(lease, "kayıp")))
        await arrived()
        assert store.writer._connection is not None
        store.writer._connection.terminate()  # the server goes on, and will commit
        with pytest.raises(StoreError):
            await claiming
        await store.usage(0)  # a new connection looks for it, too early
        assert await store.counts(0) == {"sending": 1}
    async with asyncio.timeout(10):
        while await store.counts(0) != {"sending": 1, "failed": 1}:
            await asyncio.sleep(0.05)
    await store.settle(good, State.SENT, telegram_id=1)
    assert await store.counts(0) == {"sent": 1, "failed": 1}


async def test_figures_survive_an_outage(own_server: PostgresServer, own_store: PostgresStore) -> None:
    await own_store.now()
    await asyncio.to_thread(own_server.server.stop, 5.0)
    own_store.add_usage([Usage("groq", "k", "m", 7200.0, 1, 2, 3, 4, 0.0)])
    flushing = asyncio.create_task(own_store.usage(0))
    with pytest.raises(StoreError, match="no connection to the database"):
        await own_store.now()
    await asyncio.sleep(0.2)
    await asyncio.to_thread(restart, own_server.server)
    assert [usage.requests for usage in await flushing] == [1]


async def test_a_database_that_is_not_up_yet_is_waited_for(
    own_server: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    await asyncio.to_thread(own_server.server.stop, 5.0)
    dsn = own_server.server.dsn("template_piyasad")
    connecting = asyncio.create_task(PostgresStore.connect(dsn, SystemClock(), start_timeout=30))
    await asyncio.sleep(0.2)
    assert not connecting.done()
    await asyncio.to_thread(restart, own_server.server)
    store = await connecting
    await store.close()
    assert "store.waiting" in capsys.readouterr().out


async def test_a_database_that_never_comes_is_an_error_without_the_password(tmp_path: Path) -> None:
    dsn = f"postgresql://ali:gizli@/piyasad?host={tmp_path}"
    with pytest.raises(StoreError, match=r"no database at .* after 0 s") as raised:
        await PostgresStore.connect(dsn, SystemClock(), start_timeout=0.2)
    assert "gizli" not in str(raised.value)


async def test_access_refused_is_said_at_once(pg_dsn: str) -> None:
    with pytest.raises(StoreError, match="refused: InvalidCatalogNameError"):
        await PostgresStore.connect(pg_dsn.replace("/t", "/yok"), SystemClock(), start_timeout=30)
    with pytest.raises(StoreError, match="cannot be read") as raised:
        await PostgresStore.connect("mysql://ali:gizli@db/x", SystemClock(), start_timeout=30)
    assert "gizli" not in str(raised.value)


def test_fixture_files_are_gone_with_their_server() -> None:
    root = Path(tempfile.mkdtemp(prefix="piyasad-pg-"))
    server = PostgresServer(wheel_bin_dir(), root)
    server.start()
    master = server.server.postmaster()
    assert master is not None
    server.stop()
    assert not root.exists()
    assert not Path(f"/proc/{master.pid}").exists()
    shutil.rmtree(root, ignore_errors=True)
