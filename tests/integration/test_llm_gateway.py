"""The gateway over real HTTP against our own LLM server: fallback, limits, faults, fairness, reload."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from piyasad.clock import SystemClock
from piyasad.config import Settings
from piyasad.config.problems import ConfigError
from piyasad.gateway.gateway import Gateway
from piyasad.model import Class, Usage
from piyasad.providers.interface import (
    BadKey,
    BadModel,
    Completion,
    Expired,
    NoProvider,
    ProviderError,
    Refused,
    Throttled,
    TimedOut,
)
from piyasad.sandbox.llm import LlmConfig, LlmKey
from piyasad.sandbox.llm_faults import Fault
from piyasad.sandbox.llm_limits import Limits
from tests.llm_bench import ENV, MODEL, Bench, a_bench, within


def apply(gateway: Gateway, settings: Settings) -> None:
    """What a reload does."""
    gateway.commit(settings, gateway.prepare(settings))


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with a_bench() as made:
        yield made


async def test_a_text_comes_from_the_first_of_the_route(bench: Bench) -> None:
    completion = await bench.gateway({}, {}).complete(within(5))
    assert (completion.provider, completion.calls) == ("a", 1)
    assert bench.count("ok", "a") == 1


@pytest.mark.parametrize(
    "fault", ["401", "404", "429", "500", "503", "cut_before", "cut_after", "html", "empty", "truncated", "hang"]
)
async def test_whatever_befalls_the_first_the_second_answers(bench: Bench, fault: str) -> None:
    gateway = bench.gateway({}, {}, timeout_seconds=0.3)
    bench.llm.add_fault(Fault(fault, key="key-a"))
    completion = await gateway.complete(within(5))
    assert (completion.provider, completion.calls) == ("b", 2)


async def test_a_refused_content_is_not_carried_elsewhere(bench: Bench) -> None:
    bench.llm.add_fault(Fault("refusal", key="key-a"))
    with pytest.raises(Refused):
        await bench.gateway({}, {}).complete(within(5))
    assert bench.count("refused") == 1


async def test_a_text_costs_at_most_three_calls(bench: Bench) -> None:
    bench.llm.add_fault(Fault("500"))
    with pytest.raises(ProviderError):
        await bench.gateway({}, {}).complete(within(5))
    assert bench.llm.usage()["total"]["requests"] == 3


async def test_a_hung_first_provider_leaves_half_the_time_to_the_second(bench: Bench) -> None:
    bench.llm.add_fault(Fault("hang", key="key-a"))
    began = time.monotonic()
    completion = await bench.gateway({}, {}).complete(within(1.0))
    assert completion.provider == "b"
    assert 0.4 < time.monotonic() - began < 0.9


async def test_a_hung_provider_is_then_left_alone_and_taken_back(bench: Bench) -> None:
    gateway = bench.gateway({}, {}, timeout_seconds=0.2)
    bench.llm.add_fault(Fault("hang", key="key-a"))
    await gateway.complete(within(5))
    began = time.monotonic()
    assert (await gateway.complete(within(5))).provider == "b"
    assert time.monotonic() - began < 0.15
    gateway.publish()
    assert bench.metrics.breaker_open.labels("a")._value.get() == 1
    bench.llm.clear_faults()
    await asyncio.sleep(1.05)
    assert (await gateway.complete(within(5))).provider == "a"
    gateway.publish()
    assert bench.metrics.breaker_open.labels("a")._value.get() == 0


async def test_a_bad_key_is_out_until_the_reload_and_is_told_once(bench: Bench) -> None:
    gateway = bench.gateway({}, {})
    bench.llm.remove_key("key-a")
    for _ in range(3):
        assert (await gateway.complete(within(5))).provider == "b"
    assert bench.count("bad_key") == 1
    bench.llm.add_key(LlmKey("key-a"))
    assert (await gateway.complete(within(5))).provider == "b"
    apply(gateway, bench.settings({}, {}))
    assert (await gateway.complete(within(5))).provider == "a"


async def test_with_every_key_out_the_error_says_so(bench: Bench) -> None:
    gateway = bench.gateway({})
    bench.llm.remove_key("key-a")
    with pytest.raises(BadKey):
        await gateway.complete(within(5))
    with pytest.raises(NoProvider):
        await gateway.complete(within(5))


async def test_an_unknown_model_gives_way_to_the_fallback_model(bench: Bench) -> None:
    gateway = bench.gateway({"model": "llama-9", "fallback_model": MODEL})
    completion = await gateway.complete(within(5))
    assert (completion.model, completion.calls) == (MODEL, 2)
    with pytest.raises(BadModel):
        await bench.gateway({"model": "llama-9"}).complete(within(5))


async def test_an_overdue_request_costs_nothing(bench: Bench) -> None:
    with pytest.raises(Expired):
        await bench.gateway({}).complete(within(-1))
    assert bench.llm.usage()["total"]["requests"] == 0
    assert bench.count("expired") == 1


async def test_a_throttled_provider_is_passed_over_and_taken_back(bench: Bench) -> None:
    gateway = bench.gateway({}, {})
    bench.llm.add_fault(Fault("429", key="key-a", count=1, seconds=1.0))
    assert [(await gateway.complete(within(5))).provider for _ in range(3)] == ["b", "b", "b"]
    await asyncio.sleep(1.0)
    assert (await gateway.complete(within(5))).provider == "a"


async def test_a_wait_of_three_hours_is_not_waited_for(bench: Bench) -> None:
    gateway = bench.gateway({})
    bench.llm.add_fault(Fault("429", count=1, seconds=10_800))
    began = time.monotonic()
    with pytest.raises(Throttled):
        await gateway.complete(within(20))
    with pytest.raises(Throttled) as caught:
        await gateway.complete(within(20))
    assert time.monotonic() - began < 1
    assert caught.value.retry_after == pytest.approx(10_800, abs=5)


async def test_with_all_throttled_it_waits_within_the_deadline(bench: Bench) -> None:
    gateway = bench.gateway({})
    bench.llm.add_fault(Fault("429", count=1, seconds=1.0))
    began = time.monotonic()
    assert (await gateway.complete(within(5))).calls == 2
    assert time.monotonic() - began >= 1.0


@pytest.mark.parametrize("limit", [{"rpm": 60}, {"tpm": 6000}, {"rpm": 50, "tpm": 9000}])
async def test_two_hundred_at_once_never_exceed_a_limit(limit: dict[str, int]) -> None:
    config = LlmConfig(keys=(LlmKey("key-a", Limits(**limit)),), latency=(0.0, 0.05))
    async with a_bench(config) as bench:
        gateway = bench.gateway(limit, pace_daily_quota=False)
        results = await asyncio.gather(
            *(gateway.complete(within(5, bot=n % 20)) for n in range(200)), return_exceptions=True
        )
        total = bench.llm.usage()["total"]
        assert total["violations"] == total["throttled"] == 0
        answered = sum(1 for result in results if isinstance(result, Completion))
        assert answered == total["answered"] >= 30
        rest = [result for result in results if not isinstance(result, Completion)]
        assert {type(result) for result in rest} <= {Expired, Throttled}


async def test_four_shards_together_keep_the_limit() -> None:
    config = LlmConfig(keys=(LlmKey("key-a", Limits(rpm=40, tpm=8000)),))
    async with a_bench(config) as bench:
        shards = [bench.gateway({"rpm": 40, "tpm": 8000}, share=1 / 4) for _ in range(4)]
        await asyncio.gather(*(shards[n % 4].complete(within(0.5, bot=n)) for n in range(120)), return_exceptions=True)
        total = bench.llm.usage()["total"]
        assert total["violations"] == 0
        assert total["answered"] == 40


async def test_an_answer_to_a_person_goes_first_and_bots_take_turns(bench: Bench) -> None:
    bench.llm.latency = (0.02, 0.02)
    gateway = bench.gateway({"max_concurrency": 1})
    order: list[tuple[str, int]] = []

    async def one(klass: Class, bot: int) -> None:
        await gateway.complete(within(10, klass=klass, bot=bot))
        order.append((klass.value, bot))

    async with asyncio.TaskGroup() as group:
        group.create_task(one(Class.TOPIC, 0))
        await asyncio.sleep(0.005)
        for bot in (1, 1, 1, 2, 3):
            group.create_task(one(Class.TOPIC, bot))
        await asyncio.sleep(0.005)
        group.create_task(one(Class.ANSWER, 9))
    assert order[1] == ("answer", 9)
    assert [bot for _, bot in order[2:5]] == [1, 2, 3]
    assert [bot for _, bot in order[5:]] == [1, 1]


async def test_a_large_request_is_not_overtaken_for_ever(bench: Bench) -> None:
    bench.llm.latency = (0.01, 0.02)
    gateway = bench.gateway({"max_concurrency": 2, "tpm": 2000}, pace_daily_quota=False)
    done: list[str] = []

    async def one(name: str, size: int, bot: int) -> None:
        await gateway.complete(within(10, bot=bot, max_tokens=size))
        done.append(name)

    async with asyncio.TaskGroup() as group:
        for n in range(4):
            group.create_task(one("small", 50, n))
        group.create_task(one("large", 1200, 50))
        for n in range(4):
            group.create_task(one("small", 50, 100 + n))
    assert done.index("large") <= 5


async def test_books_agree_exactly_with_what_the_server_counted(bench: Bench) -> None:
    gateway = bench.gateway({"price": {"input": 1.0, "cached": 0.5, "output": 2.0}}, {})
    for kind, share in (("500", 0.05), ("cut_before", 0.05), ("html", 0.02), ("empty", 0.05), ("refusal", 0.02)):
        bench.llm.add_fault(Fault(kind, share=share))
    await asyncio.gather(*(gateway.complete(within(10, bot=n)) for n in range(200)), return_exceptions=True)
    total = bench.llm.usage()["total"]
    assert sum(row.prompt for row in bench.usage) == total["prompt_tokens"]
    assert sum(row.completion for row in bench.usage) == total["completion_tokens"]
    assert sum(row.requests for row in bench.usage) == total["answered"]
    tokens = Counter[str]()
    for metric in bench.metrics.llm_tokens.parent.collect():
        for sample in metric.samples:
            if sample.name.endswith("_total"):
                tokens[sample.labels["type"]] += int(sample.value)
    assert tokens["prompt"] == total["prompt_tokens"]
    assert tokens["completion"] == total["completion_tokens"]


async def test_faults_of_every_kind_lose_no_request_without_a_reason(bench: Bench) -> None:
    gateway = bench.gateway({"rpm": 500}, {}, timeout_seconds=3.0)  # a busy machine is not a hang
    for kind, share in (
        ("500", 0.05),
        ("cut_before", 0.05),
        ("hang", 0.02),
        ("html", 0.02),
        ("empty", 0.02),
        ("truncated", 0.01),
    ):
        bench.llm.add_fault(Fault(kind, share=share))
    results = await asyncio.gather(*(gateway.complete(within(40, bot=n)) for n in range(300)), return_exceptions=True)
    good = sum(1 for result in results if isinstance(result, Completion))
    assert good >= 290
    assert bench.count("ok") == good
    assert all(isinstance(result, Completion | ProviderError) for result in results)


async def test_nothing_fills_the_room_while_all_are_down_and_recovery_is_quick(bench: Bench) -> None:
    gateway = bench.gateway({}, {})
    bench.llm.add_fault(Fault("503"))
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        with pytest.raises(ProviderError):
            await gateway.complete(within(0.5))
        await asyncio.sleep(0.1)
    requests = bench.llm.usage()["total"]["requests"]
    assert requests <= 20
    bench.llm.clear_faults()
    assert await gateway.complete(within(10))


class Jumping(SystemClock):
    """The machine's clocks, with a wall clock that somebody sets."""

    offset = 0.0

    def wall(self) -> float:
        return super().wall() + self.offset


@pytest.mark.parametrize("reset", ["rolling", "fixed"])
@pytest.mark.parametrize("jumps", [(86_400.0, -86_400.0), (-86_400.0 * 3, 3600.0 * 13), (3600.0 * 30, 3600.0 * 30)])
async def test_a_clock_that_jumps_neither_opens_a_limit_nor_closes_it(reset: str, jumps: tuple[float, float]) -> None:
    limits = Limits(rpd=12, rpm=30, tpm=30_000)
    async with a_bench(LlmConfig(keys=(LlmKey("key-a", limits),))) as bench:
        bench.clock = clock = Jumping()
        half = datetime.fromtimestamp(clock.wall() + 43_200, UTC)  # no real reset while this runs
        row = {"rpd": 12, "rpm": 30, "tpm": 30_000, "quota_reset": f"{half:%H:%M} UTC" if reset == "fixed" else reset}
        gateway = bench.gateway(row, pace_daily_quota=False)
        for jump in (0.0, *jumps):
            clock.offset += jump
            for _ in range(4):
                await gateway.complete(within(5))
            assert 1.0 <= gateway.stretch() < 1000.0
            gateway.publish()
        for jump in (0.0, *jumps):
            clock.offset += jump
            with pytest.raises(Throttled):
                await gateway.complete(within(5))
        assert bench.llm.usage()["total"]["requests"] == 12  # and no 429 among them
        assert bench.count("ok") == 12
        assert sum(row.requests for row in bench.usage) == 12


async def test_a_cancelled_turn_frees_its_place(bench: Bench) -> None:
    bench.llm.latency = (0.2, 0.2)
    gateway = bench.gateway({"max_concurrency": 1})
    first = asyncio.create_task(gateway.complete(within(10)))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(gateway.complete(within(10)))
    third = asyncio.create_task(gateway.complete(within(10)))
    await asyncio.sleep(0.05)
    second.cancel()
    first.cancel()
    assert (await third).text
    results = await asyncio.gather(first, second, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)


async def test_a_reload_keeps_usage_and_a_bad_one_changes_nothing(bench: Bench) -> None:
    gateway = bench.gateway({"rpm": 3}, pace_daily_quota=False)
    await gateway.complete(within(5))
    apply(gateway, bench.settings({"rpm": 2}))
    assert gateway.endpoints.remaining() == {"a": {"rpm": 0.5}}
    with pytest.raises(ConfigError):
        apply(gateway, bench.settings({"api_key_env": "NOT_SET"}, route=["a"]))
    await gateway.complete(within(5))
    with pytest.raises(Throttled):
        await gateway.complete(within(0.5))


async def test_a_provider_without_a_key_leaves_the_route(bench: Bench) -> None:
    gateway = bench.gateway({"api_key_env": "NOT_SET"}, {})
    assert [endpoint.name for endpoint in gateway.endpoints] == ["b"]
    with pytest.raises(ConfigError, match="NOT_SET"):
        bench.gateway({"api_key_env": "NOT_SET"})


@pytest.mark.parametrize(("separate", "answered"), [(True, 4), (False, 2)])
async def test_keys_share_a_quota_unless_told_otherwise(bench: Bench, separate: bool, answered: int) -> None:
    row = {"api_key_env": ["KEY_A", "KEY_B"], "rpm": 2, "separate_quota": separate}
    gateway = bench.gateway(row)
    results = await asyncio.gather(*(gateway.complete(within(2)) for _ in range(6)), return_exceptions=True)
    assert sum(1 for result in results if isinstance(result, Completion)) == answered


async def test_a_timeout_alone_is_told_as_such(bench: Bench) -> None:
    gateway = bench.gateway({}, timeout_seconds=0.1)
    bench.llm.add_fault(Fault("hang"))
    with pytest.raises(TimedOut):
        await gateway.complete(within(5))


async def test_the_day_is_paced_by_what_was_wanted(bench: Bench) -> None:
    gateway = bench.gateway({"tpd": 20_000})
    assert gateway.stretch() == 1.0
    for _ in range(30):
        await gateway.complete(within(5))
    apply(gateway, bench.settings({"tpd": 20_000}))  # a reload reckons anew
    assert gateway.stretch() > 5
    gateway.publish()
    assert bench.metrics.quota_stretch_ratio._value.get() > 5
    apply(gateway, bench.settings({"tpd": 20_000}, {}))  # b has no daily quota: the day cannot run dry
    assert gateway.stretch() == 1.0
    apply(gateway, bench.settings({"tpd": 20_000}, pace_daily_quota=False))
    assert gateway.stretch() == 1.0


async def test_earlier_usage_counts_after_a_restart(bench: Bench) -> None:
    gateway = bench.gateway({"tpd": 1000, "rpd": 10})
    label = gateway.endpoints[0].label
    gateway.restore([Usage("a", label, MODEL, time.time() - 7200, 10, 100, 0, 10, 0.0)])
    with pytest.raises(Throttled):
        await gateway.complete(within(5))
    assert bench.llm.usage()["total"]["requests"] == 0


@pytest.mark.parametrize("kind", ["401", "404", "429", "500", "html", "truncated", "refusal", "cut_before"])
async def test_no_error_shows_a_key(bench: Bench, kind: str) -> None:
    bench.llm.add_fault(Fault(kind))
    with pytest.raises(ProviderError) as caught:
        await bench.gateway({}).complete(within(0.3))
    assert not any(key in str(caught.value) + repr(caught.value) for key in ENV.values())
