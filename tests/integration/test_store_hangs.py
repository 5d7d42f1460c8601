"""A server that hangs: its processes are stopped (SIGSTOP), connections stay open and nothing answers."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from piyasad.clock import DAY, SystemClock
from piyasad.model import Claim, Lease, Received, State, StimulusKey
from piyasad.store.calls import Calls
from piyasad.store.embedded import wheel_bin_dir
from piyasad.store.interface import StoreError
from piyasad.store.postgres import PostgresStore
from tests.fixtures.postgres import PostgresServer
from tests.fixtures.store import ALI, BOT, CHAT, claim, daemon, draft

AT_ONCE = 2.0
"""Far below every time limit of the store, far above what a loaded machine needs."""


class Hanging:
    """A server of the test's own that can be made to hang."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server.server
        self.dsn = server.server.dsn("template_piyasad")

    @contextmanager
    def hang(self) -> Iterator[None]:
        master = self._server.postmaster()
        assert master is not None
        children = Path(f"/proc/{master.pid}/task/{master.pid}/children").read_text().split()
        pids = [master.pid, *map(int, children)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def hanging() -> Iterator[Hanging]:
    server = PostgresServer(wheel_bin_dir(), Path(tempfile.mkdtemp(prefix="piyasad-pg-")))
    server.start()
    yield Hanging(server)
    server.stop()


@pytest.fixture
async def store(hanging: Hanging) -> AsyncIterator[PostgresStore]:
    store = await PostgresStore.connect(hanging.dsn, SystemClock())
    yield store
    await store.close()


async def lease_of(store: PostgresStore) -> tuple[Lease, Claim]:
    await store.enter(daemon("a"), 600)
    await store.free("a", [BOT])
    [lease] = await store.take("a", [ALI])
    return lease, await claim(store, draft(lease))


Call = Callable[[PostgresStore, Lease, Claim], Coroutine[Any, Any, object]]
CALLS: dict[str, Call] = {
    "now": lambda store, lease, made: store.now(),
    "beat": lambda store, lease, made: store.beat("a", 9),
    "take": lambda store, lease, made: store.take("a", [(8, "Ayşe", "ayse_bot")]),
    "leave": lambda store, lease, made: store.leave("a", ""),
    "set_offset": lambda store, lease, made: store.set_offset(BOT, lease.fence, 5),
    "receive": lambda store, lease, made: store.receive([Received(CHAT, 1, 99, "Deniz", "x", 0.0)]),
    "take_stimulus": lambda store, lease, made: store.take_stimulus(StimulusKey(CHAT, 1, BOT), BOT, counts=True),
    "claim": lambda store, lease, made: store.claim(draft(lease)),
    "settle": lambda store, lease, made: store.settle(made, State.UNCERTAIN),
    "usage": lambda store, lease, made: store.usage(0),
    "maintain": lambda store, lease, made: store.maintain(SystemClock().wall() + DAY, 30),
}


@pytest.mark.parametrize("name", CALLS)
async def test_a_cancelled_call_ends_at_once_while_the_server_hangs(
    name: str, store: PostgresStore, hanging: Hanging
) -> None:
    lease, made = await lease_of(store)
    with hanging.hang():
        call = asyncio.create_task(CALLS[name](store, lease, made))
        await asyncio.sleep(0.1)
        assert not call.done()
        call.cancel()
        done, _ = await asyncio.wait([call], timeout=AT_ONCE)
        assert done
        assert call.cancelled()
    assert await store.now() > 0  # the store is as good as before


async def test_many_calls_cancelled_at_once_end_and_leave_the_pool_usable(
    store: PostgresStore, hanging: Hanging
) -> None:
    await store.now()
    with hanging.hang():
        calls = [asyncio.create_task(store.now()) for _ in range(20)]  # more than the pool has connections
        await asyncio.sleep(0.1)
        for call in calls:
            call.cancel()
        done, _ = await asyncio.wait(calls, timeout=AT_ONCE)
        assert len(done) == 20
        assert all(call.cancelled() for call in calls)
    assert all(await asyncio.gather(*(store.now() for _ in range(20))))


async def test_a_callers_own_time_limit_is_kept(store: PostgresStore, hanging: Hanging) -> None:
    await store.enter(daemon("a"), 600)
    with hanging.hang():
        started = asyncio.get_running_loop().time()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await store.beat("a", 9)
        assert asyncio.get_running_loop().time() - started < AT_ONCE


async def test_a_call_that_nobody_cancels_ends_in_an_error(hanging: Hanging) -> None:
    calls = await Calls.open(hanging.dsn, SystemClock(), size=1, seconds=0.3)
    with hanging.hang():
        for _ in range(2):  # the second one waits for the connection that the first gave up
            with pytest.raises(StoreError, match="did not answer in time"):
                async with asyncio.timeout(AT_ONCE):
                    await calls.run("now", "SELECT 1")
    assert len(await calls.run("now", "SELECT 1")) == 1
    await calls.close()


async def test_a_store_is_closed_while_the_server_hangs(hanging: Hanging) -> None:
    store = await PostgresStore.connect(hanging.dsn, SystemClock())
    await lease_of(store)
    with hanging.hang():
        async with asyncio.timeout(10):
            await store.close()


async def test_what_a_cancelled_task_still_asks_of_the_store_fails_in_the_stores_words(
    store: PostgresStore,
) -> None:
    """A task that is being cancelled may clean up: an error of the store is that, not its cancellation again."""
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            try:
                await store.receive([Received(2**70, 1, 99, "Deniz", "x", 0.0)] * 2)
                await store.set_offset(2**70, 1, 1)
            except StoreError as error:
                ended.append(str(error))

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert ended == ["a value that the database cannot hold (DataError)"]
