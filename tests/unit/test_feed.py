"""The feed in virtual time: every line of the other shards once, over every outage, told when it begins and ends."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from piyasad.clock import LoopClock
from piyasad.metrics import Metrics
from piyasad.model import Message, Received
from piyasad.sharding.feed import FIRST_SECONDS, FeedReader
from piyasad.store.in_memory import InMemoryStore, MemoryDatabase
from tests.cases import CHAT
from tests.faulty import Hook, deaf, fails, faulty, hangs
from tests.virtual import run_virtual


class House:
    """A shard that follows, and another that writes."""

    def __init__(self, clock: LoopClock) -> None:
        self.clock = clock
        database = MemoryDatabase(clock)
        self.other = InMemoryStore(database)
        self.store, self.faults = faulty(InMemoryStore(database))
        self.heard: dict[int, str] = {}
        self.again = 0
        self.feed = FeedReader(self.store, clock, Metrics(), lambda: [CHAT], self._hear)
        self._count = 0

    def _hear(self, message: Message) -> None:
        self.again += message.id in self.heard
        self.heard[message.id] = message.text

    async def say(self) -> None:
        self._count += 1
        await self.other.receive([Received(CHAT, self._count, 5, "Deniz", f"{self._count}", self.clock.wall())])

    def has_all(self) -> bool:
        return list(self.heard.values()) == [f"{number + 1}" for number in range(self._count)]


@pytest.mark.parametrize("hook", [fails, hangs, deaf(1.0)], ids=["fails", "hangs", "deaf"])
def test_every_line_is_heard_over_an_outage_that_is_told_twice(hook: Hook) -> None:
    async def work(clock: LoopClock) -> None:
        house = House(clock)
        task = asyncio.create_task(house.feed.run())
        for second in range(200):
            await house.say()
            await asyncio.sleep(1)
            if second == 20:
                house.faults.before["*"] = hook
            if second == 120:
                house.faults.clear()
        await asyncio.sleep(30)
        assert house.has_all()
        task.cancel()
        await asyncio.wait([task])

    with capture_logs() as logs:
        run_virtual(work)
    assert [line["event"] for line in logs] == ["feed.down", "feed.up"]


def test_a_swallowed_cancellation_ends_the_feed() -> None:
    async def work(clock: LoopClock) -> None:
        house = House(clock)
        house.faults.before["tail"] = deaf(1.0)
        task = asyncio.create_task(house.feed.run())
        await asyncio.sleep(5)
        task.cancel()
        await asyncio.sleep(2)
        assert task.cancelled()

    run_virtual(work)


def test_what_was_said_while_many_bots_were_taken_is_heard() -> None:
    async def work(clock: LoopClock) -> None:
        house = House(clock)
        await house.say()
        await asyncio.sleep(FIRST_SECONDS / 2)
        await house.feed.step()
        assert house.has_all()

    run_virtual(work)


def test_a_look_is_two_short_calls_and_without_chats_none() -> None:
    async def work(clock: LoopClock) -> None:
        house = House(clock)
        for _ in range(10):
            await house.feed.step()
        assert house.faults.calls == {"now": 10, "tail": 10}
        idle = FeedReader(house.store, clock, Metrics(), list, house._hear)
        await idle.step()
        assert house.faults.calls.total() == 20

    run_virtual(work)
