"""The gateway's rules under virtual time, with a provider that answers from memory: order, waiting, pacing."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from collections.abc import Callable

import pytest
import structlog.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from piyasad.clock import LoopClock
from piyasad.config.providers import Price
from piyasad.gateway.breaker import MOST_SECONDS, Breaker
from piyasad.gateway.endpoint import Endpoint
from piyasad.gateway.estimate import Estimator
from piyasad.gateway.gateway import Gateway
from piyasad.gateway.quota.limits import Limits
from piyasad.gateway.quota.quota import Quota, next_reset
from piyasad.metrics import Metrics
from piyasad.model import Class, Usage
from piyasad.providers.interface import Completion, Expired, ProviderError, Request, Spent, Throttled, Transient
from tests.llm import ask
from tests.virtual import NOON, run_virtual

ISTANBUL_MIDNIGHT = next_reset(NOON, "00:00 Europe/Istanbul")
DAY = 86_400.0


class Stub:
    """Answers after `seconds` with the tokens of a usual line; fails when `fails` says so."""

    model = "stub"

    def __init__(
        self, name: str, seconds: float = 1.0, fails: Callable[[], ProviderError | None] = lambda: None
    ) -> None:
        self.name = name
        self.seconds = seconds
        self.fails = fails
        self.calls: list[tuple[float, Request]] = []

    async def complete(self, request: Request, *, timeout: float) -> Completion:
        self.calls.append((asyncio.get_running_loop().time(), request))
        await asyncio.sleep(min(self.seconds, timeout))
        if (error := self.fails()) is not None:
            raise error
        return Completion("Bir satır.", self.name, self.model, 850, 0, 50)

    async def close(self) -> None:
        return None


def endpoint(stub: Stub, clock: LoopClock, limits: Limits | None = None, *, paced: bool = False) -> Endpoint:
    quota = None if limits is None else Quota(limits, clock, paced=paced)
    return Endpoint(stub.name, stub.name, "$KEY", stub, quota, Breaker(), Estimator())


def gateway(
    clock: LoopClock, *endpoints: Endpoint, paced: bool = False, on_usage: Callable[[Usage], None] | None = None
) -> Gateway:
    return Gateway(endpoints, clock, Metrics(), paced=paced, on_usage=on_usage)


def line(clock: LoopClock, seconds: float = 60.0, **kwargs: object) -> Request:
    return ask(clock.mono() + seconds, system="s" * 1500, user="u" * 1000, max_tokens=100, **kwargs)  # type: ignore[arg-type]


def test_classes_go_in_order_and_bots_in_rounds() -> None:
    async def run(clock: LoopClock) -> list[tuple[int, int]]:
        stub = Stub("a")
        made = gateway(clock, endpoint(stub, clock, Limits(concurrency=1)))
        wishes = [(Class.TOPIC, bot) for bot in (1, 1, 1, 1, 2, 3)] + [(Class.REPLY, 4), (Class.ANSWER, 5)]
        async with asyncio.TaskGroup() as group:
            for klass, bot in wishes:
                group.create_task(made.complete(line(clock, klass=klass, bot=bot)))
                await asyncio.sleep(0.01)
        return [(request.klass.rank, request.bot_id) for _, request in stub.calls]

    assert run_virtual(run) == [(2, 1), (0, 5), (1, 4), (2, 1), (2, 2), (2, 3), (2, 1), (2, 1)]


def test_a_throttled_first_is_passed_over_and_taken_back_as_soon_as_it_recovers() -> None:
    async def run(clock: LoopClock) -> list[str]:
        made = gateway(
            clock, endpoint(Stub("a", 0.0), clock, Limits(rpm=2)), endpoint(Stub("b", 0.0), clock, Limits(rpm=100))
        )
        names = [(await made.complete(line(clock))).provider for _ in range(4)]
        await asyncio.sleep(61)
        return [*names, (await made.complete(line(clock))).provider]

    assert run_virtual(run) == ["a", "a", "b", "b", "a"]


def test_an_overdue_text_is_dropped_while_waiting_and_costs_nothing() -> None:
    async def run(clock: LoopClock) -> tuple[float, int]:
        stub = Stub("a", 30.0)
        made = gateway(clock, endpoint(stub, clock, Limits(concurrency=1)))
        first = asyncio.create_task(made.complete(line(clock)))
        await asyncio.sleep(0.1)
        began = clock.mono()
        with pytest.raises(Expired):
            await made.complete(line(clock, 5.0))
        waited = clock.mono() - began
        await first
        return waited, len(stub.calls)

    waited, calls = run_virtual(run)
    assert waited == pytest.approx(5.0, abs=0.1)
    assert calls == 1


def test_waiting_for_what_cannot_come_in_time_is_not_begun() -> None:
    async def run(clock: LoopClock) -> float:
        made = gateway(clock, endpoint(Stub("a", 0.0), clock, Limits(rpm=1)))
        await made.complete(line(clock))
        began = clock.mono()
        with pytest.raises(Throttled):
            await made.complete(line(clock, 20.0))
        return clock.mono() - began

    assert run_virtual(run) < 0.1


def test_after_five_minutes_of_outage_the_first_text_comes_within_ten_seconds() -> None:
    async def run(clock: LoopClock) -> tuple[float, int]:
        recovery = clock.mono() + 300.0
        stubs = [
            Stub(name, 0.05, lambda: Transient("down") if clock.mono() < recovery else None) for name in ("a", "b")
        ]
        made = gateway(clock, *(endpoint(stub, clock) for stub in stubs))
        first = math.inf

        async def bot(number: int) -> None:
            nonlocal first
            while clock.mono() < recovery + 20:
                await asyncio.sleep(5)
                try:
                    await made.complete(line(clock, 45.0, bot=number))
                except ProviderError:
                    continue
                first = min(first, clock.mono())

        await asyncio.gather(*(bot(number) for number in range(4)))
        down = sum(1 for stub in stubs for at, _ in stub.calls if at < recovery)
        return first - recovery, down

    delay, calls = run_virtual(run)
    assert delay <= 10.0
    assert calls <= 2 * (300 / MOST_SECONDS + 10)


@pytest.mark.parametrize("reset", ["00:00 Europe/Istanbul", "rolling"])
def test_a_day_of_100k_tokens_lasts_the_day_when_four_times_as_much_is_wanted(reset: str) -> None:
    """The room talks more slowly, to the last hour, and uses what it may; answers never wait for the pace."""

    async def run(clock: LoopClock) -> tuple[list[tuple[float, int]], list[float], int]:
        used: list[tuple[float, int]] = []
        answers: list[float] = []
        refused = 0
        start = clock.mono()
        made = gateway(
            clock,
            endpoint(Stub("a"), clock, Limits(tpd=100_000, reset=reset), paced=True),
            paced=True,
            on_usage=lambda usage: used.append((clock.mono() - start, usage.prompt + usage.completion)),
        )
        rng = random.Random(11)

        async def bot(number: int) -> None:
            nonlocal refused
            base = DAY / (400_000 / 900 / 4)
            while clock.mono() - start < DAY:
                wish = rng.expovariate(1 / base)  # unstretched seconds, as a scheduler waits that looks up at times
                while wish > 0:
                    step = min(wish * made.stretch(), 300.0)
                    wish -= step / made.stretch()
                    await asyncio.sleep(step)
                try:
                    await made.complete(line(clock, 45.0, bot=number))
                except ProviderError:
                    refused += 1

        async def person() -> None:
            while clock.mono() - start < DAY - 3600:
                await asyncio.sleep(3 * 3600)
                began = clock.mono()
                await made.complete(line(clock, 20.0, klass=Class.ANSWER))
                answers.append(clock.mono() - began)

        async with asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(bot(number))
            group.create_task(person())
        return used, answers, refused

    used, answers, refused = run_virtual(run, ISTANBUL_MIDNIGHT + 5.0)
    total = math.fsum(tokens for at, tokens in used if at < DAY)
    assert (0.95 if reset != "rolling" else 0.90) * 100_000 <= total <= 100_000
    assert any(at > DAY - 3600 for at, _ in used if at < DAY)
    assert any(DAY / 2 < at < DAY / 2 + 7200 for at, _ in used)
    assert max(answers) < 1.1
    assert refused <= 15  # turns that met the reserve


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    rpm=st.integers(2, 60),
    concurrency=st.integers(1, 8),
    bots=st.integers(1, 12),
)
def test_every_text_ends_and_none_before_its_turn(seed: int, rpm: int, concurrency: int, bots: int) -> None:
    """Whatever the load: each text is answered or refused by its deadline, and the limit holds in every minute."""

    async def run(clock: LoopClock) -> tuple[int, list[float], int]:
        rng = random.Random(seed)
        stub = Stub("a", 0.7, lambda: Transient("500") if rng.random() < 0.1 else None)
        made = gateway(clock, endpoint(stub, clock, Limits(rpm=rpm, concurrency=concurrency)))
        late = ended = 0

        async def text(number: int) -> None:
            nonlocal late, ended
            request = line(clock, rng.uniform(1, 90), bot=number % bots, klass=rng.choice(list(Class)))
            with contextlib.suppress(ProviderError):
                await made.complete(request)
            ended += 1
            late += clock.mono() > request.deadline + 0.01

        async with asyncio.TaskGroup() as group:
            for number in range(80):
                group.create_task(text(number))
                await asyncio.sleep(rng.expovariate(1.0))
        return ended, [at for at, _ in stub.calls], late

    ended, calls, late = run_virtual(run)
    assert ended == 80
    assert late == 0
    for index, at in enumerate(calls):
        assert sum(1 for other in calls[index:] if other < at + 60.0) <= rpm


def test_the_breaker_opens_doubles_and_closes() -> None:
    breaker = Breaker()
    for _ in range(3):
        assert breaker.admits(0.0)
        breaker.failure(0.0)
    assert not breaker.admits(0.5)
    seconds = 1.0
    now = 0.0
    for _ in range(5):
        now += seconds
        assert breaker.admits(now)
        breaker.begin()
        assert not breaker.admits(now)  # one call decides
        assert breaker.wait(now) > 0
        breaker.failure(now)
        seconds = min(MOST_SECONDS, seconds * 2)
        assert breaker.wait(now) == seconds
    now += seconds
    breaker.begin()
    breaker.abandon()
    assert breaker.admits(now)
    breaker.success()
    assert not breaker.is_open


def test_one_timeout_opens_the_breaker() -> None:
    breaker = Breaker()
    breaker.failure(0.0, timeout=True)
    assert breaker.is_open


def test_a_failing_provider_is_one_line_when_it_begins_and_one_when_it_ends() -> None:
    async def work(clock: LoopClock) -> list[str]:
        failures = iter([Transient("no answer"), Transient("no answer"), Transient("no answer")])
        stub = Stub("a", 0.1, lambda: next(failures, None))
        house = gateway(clock, endpoint(stub, clock))
        with structlog.testing.capture_logs() as told:
            for _ in range(4):
                with contextlib.suppress(ProviderError):
                    await house.complete(line(clock))
                await asyncio.sleep(200)
        return [row["event"] for row in told if row["event"].startswith("gateway.provider")]

    assert run_virtual(work) == ["gateway.provider_down", "gateway.provider_up"]


def test_what_is_read_from_and_written_to_a_cache_has_its_own_price() -> None:
    price = Price(input=1.0, cached=0.1, cache_write=1.25, output=5.0)
    made = Endpoint("a", "", "", Stub("a"), None, Breaker(), Estimator(), price)
    assert made.cost(Spent(2_000, 1_000, 10, 500)) == pytest.approx(
        (500 * 1.0 + 1_000 * 0.1 + 500 * 1.25 + 10 * 5.0) / 1e6
    )
    assert made.most_micros(2_000, 10) == pytest.approx(2_000 * 1.25 + 50)
    assert made.most_micros(800, 10) == pytest.approx(800 * 1.0 + 50)  # too short for any cache that costs
