"""Leases in virtual time: lost at their very end whatever the store does, kept through three bad beats, never half taken."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from piyasad.clock import LoopClock
from piyasad.metrics import Metrics
from piyasad.model import DaemonRow
from piyasad.sharding.leases import BEAT_SECONDS, CLAIM_MARGIN_SECONDS, LEASE_SECONDS, Leases
from piyasad.store.in_memory import InMemoryStore, MemoryDatabase
from piyasad.store.interface import StoreError
from tests.faulty import Hook, deaf, fails, faulty, hangs
from tests.virtual import run_virtual

BOTS = [(number, f"Bot {number}", f"bot{number}") for number in (1, 2, 3)]
IDS = [bot[0] for bot in BOTS]


class Daemon:
    """One daemon's leases on a database that it may share, with what it was told."""

    def __init__(self, clock: LoopClock, database: MemoryDatabase | None = None, name: str = "a") -> None:
        self.clock = clock
        self.database = database or MemoryDatabase(clock)
        self.store, self.faults = faulty(InMemoryStore(self.database))
        self.lost: list[float] = []
        row = DaemonRow(name, 0, 1, "evim", 1, "", 0.0, True, "")
        self.leases = Leases(self.store, clock, Metrics(), row, lambda: self.lost.append(clock.mono()))
        self.task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Enter and beat."""
        await self.leases.enter(alone=False)
        self.task = asyncio.create_task(self.leases.run())

    async def kill(self) -> None:
        """No beat any more."""
        assert self.task is not None
        self.task.cancel()
        await asyncio.wait([self.task])

    @property
    def owners(self) -> dict[int, str | None]:
        """Whom the database calls the bots'."""
        return {bot.id: bot.owner for bot in self.database.bots.values()}


def test_a_lease_outlives_three_bad_beats_and_a_standby_s_wait_is_short() -> None:
    assert LEASE_SECONDS > 3 * BEAT_SECONDS + BEAT_SECONDS
    assert LEASE_SECONDS + 4 <= 13, "kill to takeover, with four seconds to take and start"


def test_while_beats_come_the_lease_runs() -> None:
    async def work(clock: LoopClock) -> Daemon:
        daemon = Daemon(clock)
        await daemon.start()
        await daemon.leases.take(BOTS)
        for _ in range(1000):
            await asyncio.sleep(0.37)
            assert daemon.leases.alive(LEASE_SECONDS - BEAT_SECONDS - 0.1)
        await daemon.kill()
        return daemon

    daemon = run_virtual(work)
    assert daemon.lost == []
    assert 180 <= daemon.faults.calls["beat"] <= 190


@pytest.mark.parametrize("hook", [hangs, fails, deaf(1.0), deaf(1000.0)], ids=["hangs", "fails", "deaf", "dumb"])
def test_a_lease_that_is_not_prolonged_is_lost_at_its_very_end_and_said_once(
    hook: Hook,
) -> None:
    async def work(clock: LoopClock) -> tuple[Daemon, float]:
        daemon = Daemon(clock)
        await daemon.start()
        await daemon.leases.take(BOTS)
        await asyncio.sleep(4.5)
        last = 4.0  # the last beat that came through
        daemon.faults.before["*"] = hook
        while daemon.leases.alive():
            await asyncio.sleep(0.01)
        end = clock.mono()
        await asyncio.sleep(0.02)
        assert daemon.lost
        assert daemon.leases.fence(1) is None
        assert not daemon.leases.held
        await asyncio.sleep(60)
        await daemon.kill()
        return daemon, end - last

    with capture_logs() as logs:
        daemon, ran = run_virtual(work)
    assert ran == pytest.approx(LEASE_SECONDS, abs=0.05)
    assert len(daemon.lost) == 1
    assert [line["event"] for line in logs].count("lease.lost") == 1
    assert [line["event"] for line in logs].count("lease.beat.down") <= 1


def test_a_standby_has_the_bots_of_a_killed_daemon_within_its_lease() -> None:
    async def work(clock: LoopClock) -> float:
        database = MemoryDatabase(clock)
        first, second = Daemon(clock, database, "a"), Daemon(clock, database, "b")
        await first.start()
        await second.start()
        await first.leases.take(BOTS)
        await asyncio.sleep(5.99)
        await first.kill()
        killed = clock.mono()
        while len(second.leases.held) < len(BOTS):
            await second.leases.take(BOTS)
            await asyncio.sleep(0.25)
        assert {second.leases.fence(bot_id) for bot_id in IDS} == {2}
        await second.kill()
        return clock.mono() - killed

    assert run_virtual(work) <= 10


def test_after_an_outage_the_bots_are_taken_with_a_new_fence() -> None:
    async def work(clock: LoopClock) -> None:
        daemon = Daemon(clock)
        await daemon.start()
        await daemon.leases.take(BOTS)
        daemon.faults.before["*"] = deaf(0.5)
        await asyncio.sleep(30)
        assert await daemon.leases.take(BOTS) == []
        del daemon.faults.before["*"]
        await asyncio.sleep(2 * BEAT_SECONDS + 1)
        assert [lease.fence for lease in await daemon.leases.take(BOTS)] == [2, 2, 2]
        assert daemon.leases.fence(1) == 2
        await daemon.kill()

    with capture_logs() as logs:
        run_virtual(work)
    assert [line["event"] for line in logs] == ["lease.beat.down", "lease.lost", "lease.beat.up"]


def test_a_lease_that_others_may_have_had_is_not_kept() -> None:
    """The store says that it ran out, though here it seems to run: its clock was set, or we slept."""

    async def work(clock: LoopClock) -> None:
        daemon = Daemon(clock)
        await daemon.start()
        await daemon.leases.take(BOTS)
        daemon.database.daemons["a"].expiry = clock.wall() - 1
        await asyncio.sleep(BEAT_SECONDS + 0.5)
        assert len(daemon.lost) == 1
        assert daemon.leases.alive(CLAIM_MARGIN_SECONDS)
        assert daemon.leases.fence(1) is None
        assert [lease.fence for lease in await daemon.leases.take(BOTS)] == [2, 2, 2]
        await daemon.kill()

    with capture_logs():
        run_virtual(work)


def test_bots_taken_while_the_lease_was_lost_are_not_ours_and_can_be_taken_again() -> None:
    """The reply of `take` comes after the lease was lost and a new one begun: its fences are not to be trusted."""

    async def work(clock: LoopClock) -> None:
        daemon = Daemon(clock)
        await daemon.start()
        gate = asyncio.Event()
        daemon.faults.after["take"] = gate.wait
        taking = asyncio.create_task(daemon.leases.take(BOTS))
        await asyncio.sleep(1)
        daemon.database.daemons["a"].expiry = clock.wall() - 1
        await asyncio.sleep(BEAT_SECONDS + 0.5)
        assert len(daemon.lost) == 1
        assert daemon.leases.alive()
        gate.set()
        assert await taking == []
        assert not daemon.leases.held
        assert [lease.bot_id for lease in await daemon.leases.take(BOTS)] == IDS
        await daemon.kill()

    with capture_logs():
        run_virtual(work)


@pytest.mark.parametrize("how", ["fails", "cancelled"])
def test_bots_of_a_take_whose_answer_was_lost_are_not_silent_hangs(how: str) -> None:
    """The store gave them to us and we never learned it: they are freed, and taken by the next try."""

    async def work(clock: LoopClock) -> None:
        daemon = Daemon(clock)
        await daemon.start()
        daemon.faults.after["take"] = fails if how == "fails" else hangs
        taking = asyncio.create_task(daemon.leases.take(BOTS))
        await asyncio.sleep(0.1)
        taking.cancel()
        await asyncio.wait([taking])
        daemon.faults.after.clear()
        assert [lease.bot_id for lease in await daemon.leases.take(BOTS)] == IDS
        await daemon.kill()

    run_virtual(work)


def test_bots_given_up_while_the_store_is_away_are_freed_later() -> None:
    async def work(clock: LoopClock) -> None:
        daemon = Daemon(clock)
        await daemon.start()
        await daemon.leases.take(BOTS)
        daemon.faults.before["free"] = fails
        with pytest.raises(StoreError):
            await daemon.leases.free([1])
        assert list(daemon.leases.held) == [2, 3], "here at once"
        daemon.faults.before.clear()
        await asyncio.sleep(BEAT_SECONDS + 0.1)
        assert daemon.owners == {1: None, 2: "a", 3: "a"}
        await daemon.kill()

    run_virtual(work)


def test_two_takes_at_once_do_not_undo_each_other() -> None:
    async def work(clock: LoopClock) -> None:
        daemon = Daemon(clock)
        await daemon.start()

        async def slow() -> None:
            await asyncio.sleep(0.5)

        daemon.faults.after["take"] = slow
        first, second = await asyncio.gather(daemon.leases.take(BOTS), daemon.leases.take(BOTS))
        assert ([lease.bot_id for lease in first], second) == (IDS, [])
        assert daemon.leases.fence(1) == 1
        assert daemon.owners == dict.fromkeys(IDS, "a")
        await daemon.kill()

    run_virtual(work)
