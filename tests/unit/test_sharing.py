"""Shards that share quotas, on the virtual clock: never over the limit together, whatever happens to the server.

The server here is a model of `SharedBuckets` (exact, a list of events); the real ones are in
`tests/integration/test_redis_buckets.py`, and both meet in `tests/integration/test_redis_sharing.py`.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piyasad.clock import LoopClock
from piyasad.gateway.breaker import Breaker
from piyasad.gateway.endpoint import Endpoint
from piyasad.gateway.estimate import Estimator
from piyasad.gateway.quota.budget import Budget
from piyasad.gateway.quota.limits import Limits
from piyasad.gateway.quota.quota import Quota
from piyasad.gateway.route import Route
from piyasad.gateway.sharing import SILENT_SECONDS, Sharing, State
from piyasad.model import Usage
from piyasad.providers.interface import Provider, Spent
from piyasad.store.buckets import Ask, Remembered, Shape, SharedEmptied, SharedLost, Verdict
from tests.unit.test_quota import most_in_window
from tests.virtual import run_virtual

WAY = 0.002


@dataclass
class Server:
    """What one server remembers: per meter (when, amount), reservations, heartbeats."""

    clock: LoopClock
    memory: int = 1
    born: float = 0.0
    counted: dict[tuple[str, int], list[list[float]]] = field(default_factory=dict)
    open: dict[str, list[tuple[Shape, list[float]]]] = field(default_factory=dict)
    beats: dict[str, float] = field(default_factory=dict)

    def empty(self) -> None:
        self.memory, self.born = self.memory + 1, self.clock.mono()
        self.counted, self.open, self.beats = {}, {}, {}

    def rows(self, shape: Shape) -> list[list[float]]:
        return self.counted.setdefault((shape.meter, shape.until), [])

    def used(self, shape: Shape) -> int:
        now, rows = self.clock.mono(), self.rows(shape)
        rows[:] = [row for row in rows if shape.until or row[0] + shape.seconds > now]
        return int(sum(amount for _, amount in rows))

    def wait(self, ask: Ask) -> float:
        over = self.used(ask.shape) + ask.amount - ask.limit + ask.kept
        for at, amount in sorted(self.rows(ask.shape)):
            if over <= 0:
                break
            over -= int(amount)
            if over <= 0:
                return at + ask.shape.seconds - self.clock.mono() + 0.001
        return 0.0 if over <= 0 else math.inf

    def present(self) -> int:
        return sum(1 for until in self.beats.values() if until > self.clock.mono())


class Line:
    """One shard's line to the server. `cut`: nothing passes."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.cut = False
        self._memory = 0

    async def _pass(self) -> None:
        await asyncio.sleep(1.0 if self.cut else WAY)
        if self.cut:
            raise SharedLost("no answer")
        if self._memory != self.server.memory:
            raise SharedEmptied("emptied")

    async def begin(self) -> Remembered:
        await asyncio.sleep(1.0 if self.cut else WAY)
        if self.cut:
            raise SharedLost("no answer")
        new, self._memory = self._memory != self.server.memory, self.server.memory
        return Remembered(new, self.server.clock.mono() - self.server.born)

    async def reserve(self, ticket: str, asks: Sequence[Ask], *, hold: float) -> Verdict:
        await self._pass()
        server, now = self.server, self.server.clock.mono()
        used = [server.used(ask.shape) for ask in asks]
        fits = all(have + ask.amount <= ask.limit - ask.kept for have, ask in zip(used, asks, strict=True))
        if fits:
            entries = [(ask.shape, [now + hold, float(ask.amount)]) for ask in asks]
            for shape, entry in entries:
                server.rows(shape).append(entry)
            server.open[ticket] = entries
            used = [have + ask.amount for have, ask in zip(used, asks, strict=True)]
        wait = 0.0 if fits else max(server.wait(ask) for ask in asks)
        return Verdict(fits, wait, tuple(used), server.present())

    async def settle(self, ticket: str, shapes: Sequence[Shape], used: Sequence[int], *, age: float) -> None:
        await self._pass()
        for (_, entry), amount in zip(self.server.open.pop(ticket, ()), used, strict=False):
            entry[:] = [self.server.clock.mono() - age, float(amount)]

    async def charge(self, shape: Shape, amounts: Mapping[float, int]) -> None:
        await self._pass()
        self.server.rows(shape).extend([self.server.clock.mono() - age, float(n)] for age, n in amounts.items())

    async def at_least(self, shape: Shape, amounts: Mapping[float, int]) -> None:
        await self._pass()
        missing = sum(amounts.values()) - self.server.used(shape)
        if missing > 0:
            self.server.rows(shape).append([self.server.clock.mono(), float(missing)])

    async def close(self) -> None:
        self.cut = True

    async def beat(self, shard: str, *, ttl: float) -> int:
        await self._pass()
        self.server.beats[shard] = self.server.clock.mono() + ttl
        return self.server.present()


class Shard:
    """A gateway's admission in small: asks as fast as it may, each call takes a while."""

    def __init__(self, line: Line, limits: Limits, number: int, shards: int, house: House, amount: int) -> None:
        clock = house.clock
        self.clock, self.house, self.amount = clock, house, amount
        self.quota = Quota(limits, clock, share=1 / shards)
        endpoint = Endpoint("a", "k", "", cast(Provider, None), self.quota, Breaker(), Estimator(), limits=limits)
        self.endpoint = endpoint
        self.line = line
        self.sharing = Sharing(
            line,
            Route([endpoint], clock, Budget(clock), share=1 / shards),
            clock,
            shard=number,
            shards=shards,
            longest_call=5.0,
            usage=house.usage,
            changed=lambda: None,
            up=lambda up: None,
        )

    async def work(self, rng: random.Random) -> None:
        while True:
            amount = rng.randint(1, self.amount)
            ticket = self.quota.reserve(amount, 0)
            if ticket is None:
                await asyncio.sleep(min(max(0.005, self.quota.wait(amount, 0)), 1.0))
            elif not await self.sharing.reserve(self.endpoint, ticket, rank=0):
                self.quota.refund(ticket)
            else:
                self.house.admitted.append((self.clock.mono(), amount))
                await asyncio.sleep(rng.random())
                self.house.note(amount)
                self.quota.settle(ticket, Spent(amount, 0, 0))


class House:
    """Some shards at one server, and the ledger of what they used."""

    def __init__(self, clock: LoopClock, limits: Limits, shards: int, amount: int = 1) -> None:
        self.clock = clock
        self.server = Server(clock)
        self.admitted: list[tuple[float, int]] = []
        self._used: dict[float, int] = {}
        self.shards = [Shard(Line(self.server), limits, n, shards, self, amount) for n in range(shards)]

    def note(self, tokens: int) -> None:
        hour = self.clock.wall() // 3600 * 3600
        self._used[hour] = self._used.get(hour, 0) + tokens

    async def usage(self) -> list[Usage]:
        return [Usage("a", "k", "m", hour, 1, tokens, 0, 0, 0.0) for hour, tokens in self._used.items()]

    async def run(self, seconds: float, script: Sequence[tuple[float, str, int]] = (), workers: int = 2) -> None:
        tasks = [asyncio.create_task(shard.sharing.run()) for shard in self.shards]
        rng = random.Random(7)
        tasks += [
            asyncio.create_task(shard.work(random.Random(rng.random())))
            for shard in self.shards
            for _ in range(workers)
        ]
        end = self.clock.mono() + seconds
        for at, what, which in sorted(script):
            await asyncio.sleep(max(0.0, at - self.clock.mono()))
            if what == "empty":
                self.server.empty()
            else:
                self.shards[which % len(self.shards)].line.cut = what == "cut"
        await asyncio.sleep(max(0.0, end - self.clock.mono()))
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        faults = [result for result in results if not isinstance(result, asyncio.CancelledError)]
        assert not faults, faults

    def between(self, start: float, end: float) -> int:
        return sum(amount for at, amount in self.admitted if start <= at < end)


def live(
    limits: Limits, seconds: float, script: Sequence[tuple[float, str, int]] = (), shards: int = 3, amount: int = 1
) -> House:
    async def work(clock: LoopClock) -> House:
        house = House(clock, limits, shards, amount)
        await house.run(seconds, script)
        return house

    return run_virtual(work)


def test_together_they_use_the_limit_and_no_more() -> None:
    house = live(Limits(rpm=60), 300)
    assert most_in_window(house.admitted, 60) <= 60
    for minute in range(1, 5):
        assert 58 <= house.between(minute * 60, minute * 60 + 60) <= 60


def test_who_is_alone_takes_its_part_after_a_silent_window_and_shares_again() -> None:
    house = live(Limits(rpm=90), 400, [(100.0, "cut", 0), (300.0, "join", 0)])
    assert most_in_window(house.admitted, 60) <= 90
    assert house.shards[0].sharing.state is State.TOGETHER
    assert house.between(200, 260) >= 84, "the lonely third and the others' two thirds"
    assert house.between(330, 390) >= 86


def test_with_the_server_gone_each_goes_on_with_its_part() -> None:
    cuts = [(100.0, "cut", n) for n in range(3)]
    house = live(Limits(rpm=90), 300, cuts)
    assert {shard.sharing.state for shard in house.shards} == {State.ALONE}
    assert house.between(104, 100 + SILENT_SECONDS) == 0
    assert 84 <= house.between(200, 260) <= 90
    assert most_in_window(house.admitted, 60) <= 90


def test_an_emptied_server_is_seeded_before_it_is_used() -> None:
    house = live(Limits(rpm=60, tpd=400), 600, [(t, "empty", 0) for t in (50.0, 95.0, 200.0)])
    assert most_in_window(house.admitted, 60) <= 60
    assert 390 <= sum(amount for _, amount in house.admitted) <= 400


events = st.lists(
    st.tuples(st.floats(0, 500), st.sampled_from(["cut", "cut", "join", "empty"]), st.integers(0, 2)), max_size=8
)


@settings(max_examples=12, deadline=None)
@given(events, st.sampled_from([1, 7]))
def test_whatever_happens_to_the_server_the_limit_holds(script: list[tuple[float, str, int]], amount: int) -> None:
    house = live(Limits(tpm=60), 600, script, amount=amount)
    assert most_in_window(house.admitted, 60) <= 60


def test_what_was_reserved_is_settled_or_lapses() -> None:
    house = live(Limits(rpm=30), 20)
    assert len(house.server.open) <= 9


@pytest.mark.parametrize("shards", [2, 5])
def test_pace_and_parts_follow_the_number_of_shards(shards: int) -> None:
    async def work(clock: LoopClock) -> list[float]:
        house = House(clock, Limits(tpd=86_400), shards)
        await house.run(5, workers=0)
        endpoints = house.shards[0].sharing._endpoints
        endpoints.note(1000, 0, 0.0, answer=False)
        before = endpoints.stretch()
        await asyncio.sleep(30)
        return [before, endpoints.stretch()]

    found = run_virtual(work)
    assert all(stretch >= 1 for stretch in found)
    wanted = 1000 / 600  # a text of 1,000 tokens in what counts as the first ten minutes
    rate = 86_400 * 0.95 / 86_400 / shards
    assert max(found) == pytest.approx(wanted / rate, rel=0.1)
    assert math.isfinite(max(found))
