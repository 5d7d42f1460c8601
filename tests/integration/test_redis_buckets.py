"""The buckets in Redis, on real servers: Debian's redis-server and Valkey."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator

import pytest

from piyasad.providers.shared import Ask, Shape, SharedEmptied, SharedLost
from piyasad.store.redis import RedisBuckets
from tests.fixtures.redis import RedisServer
from tests.unit.test_quota import most_in_window

SHORT = Shape("a/tpm", 0.5, 0.01)
LONG = Shape("a/tpd", 60.0, 1.0)


@pytest.fixture
async def buckets(any_redis: RedisServer) -> AsyncIterator[RedisBuckets]:
    made = RedisBuckets(any_redis.url)
    await made.begin()
    yield made
    await made.close()


async def used(buckets: RedisBuckets, shape: Shape) -> int:
    """What counts now: asked with a request that is larger than its limit."""
    verdict = await buckets.reserve("look", [Ask(shape, 1, 0)], hold=1.0)
    assert not verdict.granted
    return verdict.used[0]


async def test_all_limits_are_reserved_or_none(buckets: RedisBuckets) -> None:
    first = await buckets.reserve("1", [Ask(SHORT, 60, 100), Ask(LONG, 1, 10)], hold=5)
    assert (first.granted, first.wait, first.used) == (True, 0.0, (60, 1))
    second = await buckets.reserve("2", [Ask(SHORT, 60, 100), Ask(LONG, 1, 10)], hold=5)
    assert (second.granted, second.used) == (False, (60, 1))
    assert second.wait == 0.5, "only a reservation in flight stands in the way"
    assert (await buckets.reserve("3", [Ask(SHORT, 40, 100), Ask(LONG, 9, 10)], hold=5)).used == (100, 10)


async def test_what_is_kept_is_not_given(buckets: RedisBuckets) -> None:
    assert not (await buckets.reserve("1", [Ask(LONG, 91, 100, kept=10)], hold=5)).granted
    assert (await buckets.reserve("2", [Ask(LONG, 90, 100, kept=10)], hold=5)).granted
    assert (await buckets.reserve("3", [Ask(LONG, 10, 100)], hold=5)).granted


async def test_more_than_a_limit_never_fits(buckets: RedisBuckets) -> None:
    assert (await buckets.reserve("1", [Ask(LONG, 101, 100)], hold=5)).wait == math.inf


async def test_a_settlement_counts_what_was_used_from_when_it_was(buckets: RedisBuckets) -> None:
    await buckets.reserve("1", [Ask(SHORT, 60, 100), Ask(LONG, 60, 100)], hold=5)
    await buckets.settle("1", [SHORT, LONG], [20, 120], age=0.0)
    assert (await used(buckets, SHORT), await used(buckets, LONG)) == (20, 120)
    await buckets.settle("1", [SHORT, LONG], [50, 50], age=0.0)
    assert await used(buckets, LONG) == 120, "once is enough"
    wait = (await buckets.reserve("2", [Ask(SHORT, 90, 100)], hold=5)).wait
    assert 0.3 < wait <= 0.52
    await asyncio.sleep(wait)
    assert (await buckets.reserve("3", [Ask(SHORT, 90, 100)], hold=5)).granted
    await buckets.settle("3", [SHORT], [0], age=0.0)
    assert await used(buckets, SHORT) == 0


async def test_a_reservation_that_nobody_settles_lapses_as_used(buckets: RedisBuckets) -> None:
    await buckets.reserve("1", [Ask(SHORT, 60, 100)], hold=0.2)
    await asyncio.sleep(0.3)
    await buckets.settle("1", [SHORT], [1], age=0.0)
    assert await used(buckets, SHORT) == 60, "too late"
    await asyncio.sleep(0.45)
    assert await used(buckets, SHORT) == 0


async def test_a_meter_with_a_reset_counts_until_then(buckets: RedisBuckets) -> None:
    until = math.ceil(time.time()) + 2
    day, next_day = Shape("a/rpd", 86_400.0, 0.0, until), Shape("a/rpd", 86_400.0, 0.0, until + 86_400)
    await buckets.reserve("1", [Ask(day, 10, 10)], hold=5)
    await buckets.settle("1", [day], [10], age=0.0)
    wait = (await buckets.reserve("2", [Ask(day, 1, 10)], hold=5)).wait
    assert wait == pytest.approx(until - time.time(), abs=0.2)
    assert (await buckets.reserve("3", [Ask(next_day, 10, 10)], hold=5)).granted


async def test_charges_count_by_their_age(buckets: RedisBuckets) -> None:
    await buckets.charge(SHORT, {0.0: 5, 0.4: 7, 0.6: 100})
    assert await used(buckets, SHORT) == 12
    await asyncio.sleep(0.15)
    assert await used(buckets, SHORT) == 5
    await buckets.at_least(SHORT, {0.0: 3})
    assert await used(buckets, SHORT) == 5, "it never lowers"
    await buckets.at_least(SHORT, {0.3: 10, 0.0: 4})
    assert await used(buckets, SHORT) == 14
    await buckets.at_least(SHORT, {0.3: 10, 0.0: 4})
    assert await used(buckets, SHORT) == 14


async def test_hammered_by_four_the_window_holds_and_is_used(any_redis: RedisServer) -> None:
    """400 a half second, in requests of 1 to 9, for three seconds."""
    clients = [RedisBuckets(any_redis.url) for _ in range(4)]
    admitted: list[tuple[float, int]] = []
    loop = asyncio.get_running_loop()
    end = loop.time() + 3

    async def hammer(client: RedisBuckets, number: int) -> None:
        await client.begin()
        turn = 0
        while loop.time() < end:
            turn, amount = turn + 1, 1 + turn % 9
            verdict = await client.reserve(f"{number}-{turn}", [Ask(SHORT, amount, 400)], hold=5)
            if verdict.granted:
                at = loop.time()
                await client.settle(f"{number}-{turn}", [SHORT], [amount], age=0.0)
                admitted.append((at, amount))
            else:
                await asyncio.sleep(min(verdict.wait, 0.05))

    await asyncio.gather(*(hammer(client, 10 * n + m) for n, client in enumerate(clients) for m in range(2)))
    for client in clients:
        await client.close()
    first = min(at for at, _ in admitted)
    # the times are ours, after the server's: a window here may be shorter than the server's by the way
    assert most_in_window(admitted, 0.45) <= 400
    assert sum(amount for at, amount in admitted if first + 0.5 <= at < first + 2.5) >= 4 * 400 * 0.9


async def test_who_is_present_is_known_at_once(buckets: RedisBuckets) -> None:
    assert await buckets.beat("1", ttl=0.3) == 1
    assert await buckets.beat("2", ttl=5.0) == 2
    assert (await buckets.reserve("1", [Ask(LONG, 1, 10)], hold=5)).present == 2
    await asyncio.sleep(0.35)
    assert (await buckets.reserve("2", [Ask(LONG, 1, 10)], hold=5)).present == 1


async def test_an_emptied_server_says_so_until_it_is_begun_again(any_redis: RedisServer, buckets: RedisBuckets) -> None:
    fresh = RedisBuckets(any_redis.url)
    with pytest.raises(SharedEmptied):
        await fresh.beat("1", ttl=1)
    assert (await fresh.begin()).new
    await fresh.beat("1", ttl=1)
    any_redis.flush()
    for call in (buckets.beat("1", ttl=1), buckets.reserve("1", [Ask(LONG, 1, 10)], hold=5), buckets.charge(LONG, {})):
        with pytest.raises(SharedEmptied):
            await call
    assert (await buckets.begin()).new
    with pytest.raises(SharedEmptied):
        await fresh.settle("1", [LONG], [1], age=0)
    assert (await fresh.begin()).new
    memory = await fresh.begin()
    assert not memory.new
    assert 0 <= memory.age < 5
    await fresh.close()


async def test_a_script_that_the_server_forgot_is_sent_again(any_redis: RedisServer, buckets: RedisBuckets) -> None:
    await buckets.reserve("1", [Ask(LONG, 1, 10)], hold=5)
    any_redis.ask(b"SCRIPT FLUSH\r\n")
    assert (await buckets.reserve("2", [Ask(LONG, 1, 10)], hold=5)).used == (2,)


async def test_a_killed_server_is_lost_within_the_timeout_and_empty_when_it_is_back(
    any_redis: RedisServer, buckets: RedisBuckets
) -> None:
    await buckets.reserve("1", [Ask(LONG, 1, 10)], hold=5)
    any_redis.kill()
    began = time.monotonic()
    for _ in range(3):
        with pytest.raises(SharedLost):
            await buckets.beat("1", ttl=1)
    assert time.monotonic() - began < 1.2
    any_redis.start()
    with pytest.raises(SharedEmptied):
        await buckets.beat("1", ttl=1)
    assert (await buckets.begin()).new
    assert await used(buckets, LONG) == 0


async def test_a_server_that_hangs_is_lost_and_what_it_took_meanwhile_lapses(any_redis: RedisServer) -> None:
    buckets = RedisBuckets(any_redis.url, timeout=0.3)
    await buckets.begin()
    await buckets.beat("1", ttl=1)
    any_redis.pause()
    try:
        began = time.monotonic()
        with pytest.raises(SharedLost):
            await buckets.reserve("1", [Ask(SHORT, 10, 100)], hold=0.2)
        assert time.monotonic() - began < 0.6
    finally:
        any_redis.go_on()
    await asyncio.sleep(0.9)
    assert await used(buckets, SHORT) == 0
    await buckets.close()


async def test_no_error_shows_the_address(any_redis: RedisServer) -> None:
    for url in (f"unix://:geheim@{any_redis.path}", "redis://:geheim@127.0.0.1:1/0"):
        buckets = RedisBuckets(url)
        with pytest.raises(SharedLost) as caught:
            await buckets.begin()
        assert "geheim" not in f"{caught.value!r} {caught.value.__cause__!r} {buckets!r}"
        await buckets.close()


async def test_every_key_expires(any_redis: RedisServer, buckets: RedisBuckets) -> None:
    await buckets.reserve("1", [Ask(SHORT, 10, 100), Ask(Shape("a/rpd", 86_400.0, 0.0, 2**31), 1, 5)], hold=0.2)
    await buckets.charge(LONG, {1.0: 5})
    await buckets.beat("1", ttl=1)
    names = [line for line in any_redis.ask(b"KEYS *\r\n").split(b"\r\n") if line.startswith(b"piyasad:")]
    assert len(names) == 6
    for name in names:
        assert int(any_redis.ask(b"PTTL " + name + b"\r\n").split(b"\r\n")[0][1:]) > 0, name


async def test_two_houses_do_not_meet(any_redis: RedisServer, buckets: RedisBuckets) -> None:
    other = RedisBuckets(any_redis.url, prefix="other:")
    await other.begin()
    await other.charge(LONG, {0.0: 5})
    assert await used(buckets, LONG) == 0
    assert await used(other, LONG) == 5
    await other.close()
