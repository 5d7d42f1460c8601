"""What a gateway learns from a provider's answers over HTTP, and what it costs: limits, what others use, money."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
import pytest

from piyasad.providers.interface import BadRequest, ProviderError, Throttled
from piyasad.sandbox.llm_faults import Fault
from piyasad.sandbox.llm_limits import Limits
from tests.llm_bench import MODEL, Bench, a_bench, within


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with a_bench() as made:
        yield made


def limits_of(gateway: object) -> dict[str, tuple[int, str]]:
    return {row["name"]: (row["limit"], row["source"]) for row in gateway.endpoints.report() if row["name"]}  # type: ignore[attr-defined]


async def test_a_preset_follows_the_headers_and_the_file_is_not_raised(bench: Bench) -> None:
    bench.llm.set_limits("key-a", Limits(rpd=70, tpm=9000))
    gateway = bench.gateway({"preset": "groq", "rpd": 50})
    assert limits_of(gateway) == {
        "rpm": (30, "preset"),
        "tpm": (8000, "preset"),
        "rpd": (50, "file"),
        "tpd": (200_000, "preset"),
    }
    await gateway.complete(within(5))
    assert limits_of(gateway)["tpm"] == (9000, "headers")
    assert limits_of(gateway)["rpd"] == (50, "file")
    bench.llm.set_limits("key-a", Limits(rpd=40, tpm=5000))
    await gateway.complete(within(5))
    assert limits_of(gateway)["tpm"] == (5000, "headers")
    assert limits_of(gateway)["rpd"] == (40, "headers")


async def test_without_any_limit_configured_the_provider_s_are_learned_before_they_are_met(bench: Bench) -> None:
    """The second request in flight is the last that may pass: of twenty at once no third is refused by the server."""
    bench.llm.set_limits("key-a", Limits(rpm=100, tpm=100, tpd=100_000))
    gateway = bench.gateway({})
    await gateway.complete(within(5, max_tokens=10))
    assert limits_of(gateway)["tpm"] == (100, "headers")
    asked = [gateway.complete(within(0.5, max_tokens=10)) for _ in range(20)]
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert all(not isinstance(result, BaseException) or isinstance(result, ProviderError) for result in results)
    assert bench.llm.usage()["total"]["throttled"] == 0
    assert bench.count("throttled", "a") == 0


async def test_a_day_s_limit_is_learned_from_the_refusal_that_alone_tells_it(bench: Bench) -> None:
    bench.llm.set_limits("key-a", Limits(tpd=150))
    gateway = bench.gateway({"tpd": 100_000}, {})
    providers = [(await gateway.complete(within(5))).provider for _ in range(4)]
    assert providers[-1] == "b"
    assert limits_of(gateway)["tpd"] == (150, "a refusal")
    assert bench.llm.usage()["total"]["throttled"] == 1


async def test_a_request_larger_than_a_limit_teaches_the_limit(bench: Bench) -> None:
    bench.llm.set_limits("key-a", Limits(tpm=90))
    gateway = bench.gateway({})
    with pytest.raises(BadRequest, match="too large"):
        await gateway.complete(within(5, max_tokens=500))
    with pytest.raises(Throttled, match="larger than every limit"):
        await gateway.complete(within(5, max_tokens=500))
    assert bench.llm.usage()["total"]["requests"] == 1


async def test_what_another_program_uses_of_the_key_is_left_to_it(bench: Bench) -> None:
    bench.llm.set_limits("key-a", Limits(rpd=1000, tpm=600))
    gateway = bench.gateway({"preset": "groq"})
    body = {"model": MODEL, "messages": [{"role": "user", "content": "x" * 300}], "max_tokens": 150}
    headers = {"Authorization": "Bearer key-a"}
    async with aiohttp.ClientSession(headers=headers) as other:
        for _ in range(2):
            async with other.post(f"{bench.url}/chat/completions", json=body) as answer:
                assert answer.status == 200
    made = 0
    with contextlib.suppress(ProviderError):
        while made < 50:
            await gateway.complete(within(0.4, max_tokens=20))
            made += 1
    assert 1 <= made < 20
    assert bench.llm.usage()["total"]["throttled"] == 0


async def test_a_request_gets_no_further_than_the_budget(bench: Bench) -> None:
    """100 output tokens at 100 $ a million are a cent; the free provider goes on when three cents are spent."""
    paid = {"price": {"input": 0.0, "output": 100.0}}
    gateway = bench.gateway(paid, {}, budget_usd_per_day=0.03, pace_daily_quota=False)
    providers = [(await gateway.complete(within(5))).provider for _ in range(20)]
    assert providers[0] == "a"
    assert providers[-1] == "b"
    spent = sum(usage.cost for usage in bench.usage)
    assert 0.02 < spent <= 0.03
    [shown] = [
        sample.value
        for metric in bench.metrics.llm_cost_usd.parent.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    ]
    assert shown == pytest.approx(spent)
    counted = {row["key"]: row["completion_tokens"] for row in bench.llm.usage()["rows"]}
    assert spent == pytest.approx(counted["key-a"] * 100 / 1e6)


async def test_money_alone_runs_out_with_a_word_about_when_it_is_back(bench: Bench) -> None:
    paid = {"price": {"input": 0.0, "output": 100.0}}
    gateway = bench.gateway(paid, budget_usd_per_month=0.005)
    with pytest.raises(Throttled):
        await gateway.complete(within(5))
    assert bench.llm.usage()["total"]["requests"] == 0


async def test_a_day_s_money_is_paced_like_a_quota(bench: Bench) -> None:
    paid = {"price": {"input": 0.0, "output": 100.0}}
    gateway = bench.gateway(paid, budget_usd_per_day=0.05)
    for _ in range(3):
        await gateway.complete(within(5))
    gateway.publish()
    assert gateway.stretch() > 1.0
    assert gateway.endpoints.remaining()["a"]["usd_day"] < 1.0


async def test_a_server_that_fails_teaches_nothing(bench: Bench) -> None:
    gateway = bench.gateway({}, {})
    for kind in ("500", "html", "truncated"):
        bench.llm.add_fault(Fault(kind, key="key-a"))
        await gateway.complete(within(5))
        bench.llm.clear_faults()
    assert limits_of(gateway) == {}
