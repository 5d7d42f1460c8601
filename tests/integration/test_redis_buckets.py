"""The buckets in Redis, on real servers: Debian's redis-server and Valkey."""

from __future__ import annotations

import asyncio
import itertools
import math
import socket
import time
from collections.abc import AsyncIterator

import pytest

from piyasad.store.buckets import Ask, Shape, SharedEmptied, SharedLost, Verdict
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
    """400 a half second, in requests of 1 to 9, for two seconds; by the server's own times of admission."""
    clients = [RedisBuckets(any_redis.url) for _ in range(4)]
    admitted: list[tuple[float, int]] = []
    loop = asyncio.get_running_loop()
    end = loop.time() + 2.1

    async def hammer(client: RedisBuckets, number: int) -> None:
        await client.begin()
        turn = 0
        while loop.time() < end:
            turn, amount, asked = turn + 1, 1 + turn % 9, loop.time()
            verdict = await client.reserve(f"{number}-{turn}", [Ask(SHORT, amount, 400)], hold=5)
            if verdict.granted:
                held = any_redis.ask(f"GET piyasad:t:{number}-{turn}\r\n".encode()).split(b"\r\n")[1]
                admitted.append((int(held.split(b";")[0]) / 1e6, amount))
                await client.settle(f"{number}-{turn}", [SHORT], [amount], age=loop.time() - asked)
            else:
                await asyncio.sleep(min(verdict.wait, 0.05))

    await asyncio.gather(*(hammer(client, 10 * n + m) for n, client in enumerate(clients) for m in range(2)))
    for client in clients:
        await client.close()
    first = min(at for at, _ in admitted)
    assert most_in_window(admitted, 0.5) <= 400
    assert sum(amount for at, amount in admitted if first + 0.5 <= at < first + 2.0) >= 3 * 400 * 0.95


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
    assert await used(buckets, SHORT) == 10, "it was reserved all the same"
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


async def test_what_was_used_before_the_window_does_not_stay(buckets: RedisBuckets) -> None:
    """A call longer than the window."""
    await buckets.reserve("1", [Ask(SHORT, 60, 100)], hold=5)
    await asyncio.sleep(0.6)
    await buckets.settle("1", [SHORT], [60], age=0.59)
    assert await used(buckets, SHORT) == 0


async def test_nothing_is_settled_earlier_than_it_was_admitted(buckets: RedisBuckets) -> None:
    await buckets.reserve("1", [Ask(SHORT, 60, 100)], hold=5)
    await buckets.settle("1", [SHORT], [60], age=0.4)
    await asyncio.sleep(0.2)
    assert await used(buckets, SHORT) == 60


async def test_after_its_hold_a_reservation_is_settled_on_no_limit(buckets: RedisBuckets) -> None:
    """However coarse the slots are."""
    day = Shape("a/tpd", 86_400.0, 60.0)
    await buckets.reserve("1", [Ask(day, 60, 100), Ask(LONG, 60, 100)], hold=0.1)
    await asyncio.sleep(0.15)
    await buckets.settle("1", [day, LONG], [1, 1], age=0.1)
    assert (await used(buckets, day), await used(buckets, LONG)) == (60, 60)


async def test_a_short_hold_does_not_end_a_long_one(any_redis: RedisServer, buckets: RedisBuckets) -> None:
    await buckets.reserve("1", [Ask(SHORT, 60, 100)], hold=30)
    other = RedisBuckets(any_redis.url)
    await other.begin()
    await other.reserve("2", [Ask(SHORT, 1, 100)], hold=0.1)
    await other.close()
    assert int(any_redis.ask(b"PTTL piyasad:m:a/tpm\r\n").split(b"\r\n")[0][1:]) > 30_000


async def test_a_meter_that_the_server_dropped_never_counts_less_than_nothing(
    any_redis: RedisServer, buckets: RedisBuckets
) -> None:
    await buckets.reserve("1", [Ask(LONG, 60, 100)], hold=5)
    any_redis.ask(b"DEL piyasad:m:a/tpd\r\n")  # as an eviction does
    await buckets.settle("1", [LONG], [20], age=0.0)
    assert await used(buckets, LONG) == 20


async def test_at_least_asks_for_nothing_that_is_out_of_the_window(buckets: RedisBuckets) -> None:
    await buckets.charge(SHORT, {0.0: 5})
    await buckets.at_least(SHORT, {0.0: 5, 9.0: 100})
    assert await used(buckets, SHORT) == 5


async def test_many_at_once_all_get_their_answer(any_redis: RedisServer) -> None:
    """More than fit into one go, for longer than the timeout: nobody is overtaken until it is too late."""
    buckets = RedisBuckets(any_redis.url, timeout=0.5)
    await buckets.begin()
    loop = asyncio.get_running_loop()
    end, given_out = loop.time() + 1.0, itertools.count()

    async def ask() -> list[Verdict]:
        found = []
        while loop.time() < end:
            found.append(await buckets.reserve(f"{next(given_out)}", [Ask(LONG, 1, 10**9)], hold=5))
        return found

    verdicts = [verdict for each in await asyncio.gather(*(ask() for _ in range(300))) for verdict in each]
    assert sorted(verdict.used[0] for verdict in verdicts) == list(range(1, len(verdicts) + 1))
    await buckets.close()


async def test_who_gives_up_takes_nobody_elses_answer(buckets: RedisBuckets) -> None:
    shapes = [Shape(f"{n}", 60.0, 1.0) for n in range(40)]
    for n, shape in enumerate(shapes):
        await buckets.charge(shape, {0.0: n})
    for turn in range(30):
        calls = [asyncio.ensure_future(buckets.reserve("look", [Ask(shape, 1, 0)], hold=1)) for shape in shapes]
        await asyncio.sleep(0.0002 * turn)
        for call in calls[turn % 3 :: 3]:
            call.cancel()
        for n, found in enumerate(await asyncio.gather(*calls, return_exceptions=True)):
            assert isinstance(found, asyncio.CancelledError) or (isinstance(found, Verdict) and found.used == (n,))


async def test_what_is_wrong_is_said_without_the_password(any_redis: RedisServer) -> None:
    url = f"unix://:geheim@{any_redis.path}"
    wrong = RedisBuckets(url.replace("geheim", "falsch"))
    any_redis.ask(b"CONFIG SET requirepass geheim\r\n")
    try:
        right = RedisBuckets(url)
        assert (await right.begin()).new
        with pytest.raises(SharedLost, match="refuses the user or the password") as caught:
            await wrong.begin()
        assert "falsch" not in repr(caught.value)
    finally:
        any_redis.ask(b'AUTH geheim\r\nCONFIG SET requirepass ""\r\n')
    await right.close()
    await wrong.close()


@pytest.mark.parametrize("url", ["redis://:ge/heim@h:1", "redis://:heim#x@h:1", "x://:geheim@h"])
def test_an_address_that_cannot_be_read_is_not_quoted(url: str) -> None:
    with pytest.raises(ValueError, match="address cannot be read") as caught:
        RedisBuckets(url)
    assert "ge'" not in str(caught.value)
    assert "heim" not in str(caught.value)


async def test_a_full_server_is_lost_and_counts_right_when_it_has_room_again(
    any_redis: RedisServer, buckets: RedisBuckets
) -> None:
    await buckets.reserve("1", [Ask(SHORT, 60, 100)], hold=0.1)
    any_redis.ask(b"CONFIG SET maxmemory 1\r\n")
    try:
        with pytest.raises(SharedLost, match="memory is full"):
            await buckets.reserve("2", [Ask(SHORT, 1, 100)], hold=0.1)
    finally:
        any_redis.ask(b"CONFIG SET maxmemory 0\r\n")
    assert await used(buckets, SHORT) == 60
    await asyncio.sleep(0.7)
    assert await used(buckets, SHORT) == 0


async def test_a_cluster_is_refused_in_words(any_redis: RedisServer) -> None:
    any_redis.kill()
    with socket.socket() as free:  # else its bus takes port 10000 of every interface
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    try:
        any_redis.start("--cluster-enabled", "yes", "--bind", "127.0.0.1", "--cluster-port", port)
        any_redis.ask(b"CLUSTER ADDSLOTSRANGE 0 16383\r\n")
        async with asyncio.timeout(5):
            while b"cluster_state:ok" not in any_redis.ask(b"CLUSTER INFO\r\n"):
                await asyncio.sleep(0.05)
        buckets = RedisBuckets(any_redis.url)
        await buckets.begin()
        with pytest.raises(SharedLost, match="it is a cluster"):
            await buckets.reserve("1", [Ask(LONG, 1, 10)], hold=5)
        await buckets.close()
    finally:
        any_redis.kill()
