"""The buckets in Redis against a model of what counts, with a server time that the test moves."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from piyasad.store import redis as store_redis
from piyasad.store.buckets import Ask, Shape
from piyasad.store.redis import RedisBuckets
from tests.fixtures.redis import RedisServer
from tests.integration.test_redis_buckets import used

WINDOWS = (Shape("m/tpm", 10.0, 0.25), Shape("m/tpd", 30.0, 2.0), Shape("m/rpd", 86_400.0, 0.0, until=1_000_000))
LIMITS = (100, 160, 400)
START = 900_000.0


@dataclass
class Model:
    """What counts, as lists of events. Times in whole thousandths."""

    now: int = round(START * 1000)
    settled: list[list[tuple[int, int]]] = field(default_factory=lambda: [[], [], []])
    open: dict[str, tuple[int, int, tuple[int, ...]]] = field(default_factory=dict)  # admitted, held until, amounts
    lapsed: list[list[tuple[int, int]]] = field(default_factory=lambda: [[], [], []])

    def counts(self, which: int, at: int, now: int) -> bool:
        shape, grain = WINDOWS[which], _grain(which)
        return bool(shape.until) or now < (at // grain + 1) * grain + shape.seconds * 1000

    def lapse(self) -> None:
        for ticket, (_, until, amounts) in list(self.open.items()):
            if until <= self.now:
                del self.open[ticket]
                for events, amount in zip(self.lapsed, amounts, strict=True):
                    events.append((until, amount))
        for which, events in enumerate(self.lapsed):  # till its slot is over it is like one in flight
            grain = _grain(which)
            over = [event for event in events if event[0] // grain < self.now // grain]
            self.settled[which] += over
            self.lapsed[which] = [event for event in events if event not in over]

    def sums(self, which: int, now: int) -> int:
        return sum(amount for at, amount in self.settled[which] if self.counts(which, at, now))

    def total(self, which: int) -> int:
        flying = sum(amounts[which] for _, _, amounts in self.open.values())
        return self.sums(which, self.now) + flying + sum(amount for _, amount in self.lapsed[which])

    def wait(self, which: int, amount: int, room: int) -> float:
        if self.total(which) + amount <= room:
            return 0.0
        if amount > room:
            return math.inf
        if self.sums(which, self.now) + amount <= room:
            return 0.5
        if WINDOWS[which].until:
            return WINDOWS[which].until - self.now / 1000 + 0.001
        flying = self.total(which) - self.sums(which, self.now)
        grain, window = _grain(which), round(WINDOWS[which].seconds * 1000)
        leaves = sorted((at // grain + 1) * grain + window for at, _ in self.settled[which])
        fits = (
            (then - self.now) / 1000 + 0.001
            for then in leaves
            if then > self.now and self.sums(which, then) + flying + amount <= room
        )
        return next(fits, 0.5)


def _grain(which: int) -> int:
    """In thousandths; of a meter with a reset that of its lapses."""
    return round(WINDOWS[which].grain * 1000) or 1000


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "reserve", "reserve", "settle", "settle", "charge", "at_least"]),
        st.sampled_from(
            [*range(0, 4001, 500), 9000, 18_000]
        ),  # ms that pass before: the slots' edges are met, and a long gap
        st.tuples(*(st.integers(1, limit // 20).map(lambda n: n * 10) for limit in LIMITS)),  # limits are met exactly
        st.integers(0, 9),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_it_counts_as_the_model_does(
    any_redis: RedisServer, moved_time: Callable[[float], None], steps: list[tuple[str, int, tuple[int, ...], int]]
) -> None:
    any_redis.flush()
    moved_time(START)
    model = Model()
    async with begun(any_redis) as buckets:
        for number, (action, passed, amounts, choice) in enumerate(steps):
            model.now += passed
            moved_time(model.now / 1000)
            model.lapse()
            if action == "reserve":
                await _reserve(buckets, model, f"{number}", amounts, choice)
            elif action == "settle" and number:
                await _settle(buckets, model, f"{choice * number // 10}", amounts, choice)
            elif action in ("charge", "at_least"):
                await _charge(buckets, model, action, choice % 3, amounts)
        for which, shape in enumerate(WINDOWS):
            assert await used(buckets, shape) == model.total(which)


@asynccontextmanager
async def begun(server: RedisServer) -> AsyncIterator[RedisBuckets]:
    """Closed also when an example fails, of which hypothesis then tries a hundred."""
    buckets = RedisBuckets(server.url)
    await buckets.begin()
    try:
        yield buckets
    finally:
        await buckets.close()


async def _reserve(buckets: RedisBuckets, model: Model, ticket: str, amounts: tuple[int, ...], choice: int) -> None:
    kept = choice if choice > 6 else 0
    rows = list(zip(WINDOWS, amounts, LIMITS, strict=True))
    waits = [model.wait(n, amount, limit - kept) for n, (_, amount, limit) in enumerate(rows)]
    hold = 700 + 2900 * choice
    verdict = await buckets.reserve(ticket, [Ask(s, a, limit, kept) for s, a, limit in rows], hold=hold / 1000)
    assert verdict.wait == pytest.approx(max(waits), abs=1e-5)
    assert verdict.granted == (max(waits) == 0)
    if verdict.granted:
        model.open[ticket] = model.now, model.now + hold, amounts
    assert verdict.used == tuple(map(model.total, range(3)))


async def _settle(buckets: RedisBuckets, model: Model, ticket: str, amounts: tuple[int, ...], choice: int) -> None:
    spent = tuple(0 if choice == 0 else amount for amount in amounts)
    await buckets.settle(ticket, WINDOWS, spent, age=choice / 2)
    if ticket in model.open:
        admitted, _, _ = model.open.pop(ticket)
        at = max(admitted, model.now - choice * 500)
        for events, amount in zip(model.settled, spent, strict=True):
            events.append((at, amount))


async def _charge(buckets: RedisBuckets, model: Model, how: str, which: int, amounts: tuple[int, ...]) -> None:
    ages = {0.0: amounts[0], 3.5: amounts[1], 11.0: amounts[2]}
    await getattr(buckets, how)(WINDOWS[which], ages)
    rows = [(model.now - round(age * 1000), amount) for age, amount in ages.items()]
    rows = [row for row in rows if model.counts(which, row[0], model.now)]
    missing = sum(amount for _, amount in rows) - (model.total(which) if how == "at_least" else 0)
    for at, amount in rows:
        if (added := min(amount, missing)) > 0:
            model.settled[which].append((at, added))
            missing -= added


@pytest.fixture
def moved_time(any_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the time that the scripts read; they read it in one place."""
    for name in ("RESERVE", "SETTLE", "CHARGE", "BEAT"):
        script = getattr(store_redis, name)
        assert script.count("redis.call('TIME')") == 1
        monkeypatch.setattr(store_redis, name, script.replace("'TIME'", "'HMGET', 'test:time', 's', 'us'"))

    def move(to: float) -> None:
        seconds, micros = divmod(round(to * 1_000_000), 1_000_000)
        any_redis.ask(f"HSET test:time s {seconds} us {micros}\r\n".encode())

    return move


async def test_a_clock_set_back_lets_nothing_through(
    any_redis: RedisServer, moved_time: Callable[[float], None]
) -> None:
    minute = WINDOWS[0]
    moved_time(START)
    async with begun(any_redis) as buckets:
        await buckets.charge(minute, {0.0: 10})
        moved_time(START - 3600)
        assert (await buckets.reserve("1", [Ask(minute, 40, 100)], hold=4)).granted
        await buckets.settle("1", [minute], [40], age=0.0)
        assert (await buckets.reserve("2", [Ask(minute, 50, 100)], hold=4)).used == (100,)
        moved_time(START + 4.5)
        assert await used(buckets, minute) == 60, "the settled counted for the hour; the other lapsed"
        moved_time(START + 11)
        assert await used(buckets, minute) == 0


async def test_after_a_long_pause_the_last_slot_still_counts(
    any_redis: RedisServer, moved_time: Callable[[float], None]
) -> None:
    minute = WINDOWS[0]
    moved_time(START)
    async with begun(any_redis) as buckets:
        await buckets.charge(minute, {0.0: 10})
        moved_time(START + minute.seconds)
        assert await used(buckets, minute) == 10
        moved_time(START + minute.seconds + minute.grain)
        assert await used(buckets, minute) == 0


async def test_with_just_enough_room_but_for_calls_in_flight_it_asks_again_soon(
    any_redis: RedisServer, moved_time: Callable[[float], None]
) -> None:
    minute = WINDOWS[0]
    moved_time(START)
    async with begun(any_redis) as buckets:
        await buckets.charge(minute, {0.0: 60})
        await buckets.reserve("1", [Ask(minute, 40, 100)], hold=5)
        assert (await buckets.reserve("2", [Ask(minute, 40, 100)], hold=5)).wait == 0.5
        assert (await buckets.reserve("3", [Ask(minute, 41, 100)], hold=5)).wait == pytest.approx(10.251)
