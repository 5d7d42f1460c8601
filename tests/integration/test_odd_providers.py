"""What the gateway makes of odd answers over HTTP: who is asked again, when, and what is counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import structlog.testing

from piyasad.providers.interface import BadKey, BadModel, BadRequest, ProviderError, Refused, ServerFault, Throttled
from piyasad.sandbox.llm_faults import Fault
from tests.llm_bench import MODEL, Bench, a_bench, within

OTHER = "gpt-6-luna"
GOOD = {"choices": [{"message": {"content": "Bugün sakin."}, "finish_reason": "stop"}]}


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with a_bench() as made:
        yield made


def asked(bench: Bench) -> int:
    return int(bench.llm.usage()["total"]["requests"])


async def test_a_flagged_text_leaves_the_key_in_use(bench: Bench) -> None:
    gateway = bench.gateway({})
    bench.llm.add_fault(Fault("403_moderation", count=1))
    with pytest.raises(Refused):
        await gateway.complete(within(5))
    assert (await gateway.complete(within(5))).provider == "a"


async def test_a_403_about_the_model_leads_to_the_fallback_model(bench: Bench) -> None:
    gateway = bench.gateway({"fallback_model": OTHER})
    bench.llm.add_fault(Fault("403_model", model=MODEL))
    with structlog.testing.capture_logs() as logs:
        completion = await gateway.complete(within(5))
    assert (completion.model, completion.calls) == (OTHER, 2)
    [told] = [row for row in logs if row["event"] == "gateway.model_replaced"]
    assert MODEL in told["reason"]
    assert "key is refused" not in str(logs)
    assert (await gateway.complete(within(5))).calls == 1
    assert {row["model"] for row in gateway.endpoints.report()} == {OTHER}


async def test_a_reload_gives_the_better_model_another_chance(bench: Bench) -> None:
    gateway = bench.gateway({"fallback_model": OTHER})
    bench.llm.add_fault(Fault("403_model", model=MODEL, count=1))
    assert (await gateway.complete(within(5))).model == OTHER
    settings = bench.settings({"fallback_model": OTHER})
    gateway.commit(settings, gateway.prepare(settings))
    assert (await gateway.complete(within(5))).model == MODEL


async def test_without_a_clear_word_the_key_is_doubted_three_times_before_it_is_shut(bench: Bench) -> None:
    gateway = bench.gateway({}, {})
    bench.llm.add_fault(Fault("answer", key="key-a", status=403, body={"message": "Denied"}, count=2))
    assert (await gateway.complete(within(5))).provider == "b"
    assert (await gateway.complete(within(5))).provider == "b"
    assert (await gateway.complete(within(5))).provider == "a"
    bench.llm.add_fault(Fault("answer", key="key-a", status=403, body={"message": "Denied"}, count=3))
    for _ in range(3):
        await asyncio.sleep(1.1)  # the breaker lets one call in a second try
        assert (await gateway.complete(within(5))).provider == "b"
    assert "Denied" in gateway.endpoints[0].out


async def test_an_error_in_a_200_is_held_as_its_code(bench: Bench) -> None:
    reset = str(int((time.time() + 7200) * 1000))
    headers = {"X-RateLimit-Limit": "50", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
    error = {"message": "Rate limit exceeded: free-models-per-day", "code": 429, "metadata": {"headers": headers}}
    gateway = bench.gateway({})
    bench.llm.add_fault(Fault("answer", body={"error": error}, count=1))
    with pytest.raises(Throttled, match="free-models-per-day"):
        await gateway.complete(within(2))
    with pytest.raises(Throttled) as caught:
        await gateway.complete(within(2))
    assert asked(bench) == 1
    assert caught.value.retry_after == pytest.approx(7200, abs=120)


@pytest.mark.parametrize("status", [400, 403, 408, 429, 498, 503])
async def test_a_wait_holds_whatever_the_status(bench: Bench, status: int) -> None:
    gateway = bench.gateway({}, {})
    body = {"error": {"message": "later"}}
    fault = Fault("answer", key="key-a", status=status, body=body, headers={"Retry-After": "1"}, count=1)
    bench.llm.add_fault(fault)
    assert (await gateway.complete(within(5))).provider == "b"
    assert (await gateway.complete(within(5))).provider == "b"
    await asyncio.sleep(1.1)
    assert (await gateway.complete(within(5))).provider == "a"


async def test_a_refusal_that_says_to_come_back_at_once_is_not_believed_for_ever(bench: Bench) -> None:
    gateway = bench.gateway({})
    bench.llm.add_fault(Fault("answer", status=429, body={}, headers={"Retry-After": "0"}))
    with pytest.raises(ProviderError):
        await gateway.complete(within(2))
    for _ in range(20):
        with pytest.raises(ProviderError):
            await gateway.complete(within(0.05))
    assert asked(bench) <= 5


async def test_a_provider_that_calls_every_request_bad_is_left_alone(bench: Bench) -> None:
    gateway = bench.gateway({}, {})
    await gateway.complete(within(5))
    bench.llm.add_fault(Fault("answer", key="key-a", status=400, body={"error": {"message": "no"}}))
    for _ in range(30):
        assert (await gateway.complete(within(5))).provider == "b"
    assert bench.count("bad_request", "a") == 5


async def test_what_a_provider_does_not_count_is_counted_here(bench: Bench) -> None:
    gateway = bench.gateway({"tpd": 10_000})
    bench.llm.add_fault(Fault("answer", body=GOOD))
    await gateway.complete(within(5))
    [row] = bench.usage
    assert row.prompt > 20
    assert row.completion > 0
    assert gateway.endpoints.remaining()["a"]["tpd"] < 1


@pytest.mark.parametrize("prompt", [-1, 0, 1, 10**6, 10**12, 1e308, "x", None])
async def test_a_lie_about_tokens_mutes_nobody(bench: Bench, prompt: object) -> None:
    gateway = bench.gateway({"tpm": 20_000})
    usage = {"prompt_tokens": prompt, "completion_tokens": prompt}
    bench.llm.add_fault(Fault("answer", body=GOOD | {"usage": usage}, count=3))
    for _ in range(3):
        try:
            await gateway.complete(within(0.3))
        except Throttled:
            break
    if prompt != 10**6:  # a million tokens of output may be so, and take a minute
        assert (await gateway.complete(within(1))).text


async def test_a_limit_smaller_than_any_request_is_no_limit_for_ever(bench: Bench) -> None:
    """What was admitted proves that the limit is larger."""
    gateway = bench.gateway({})
    headers = {"x-ratelimit-limit-tokens": "1", "x-ratelimit-limit-requests": "0", "x-ratelimit-remaining-tokens": "0"}
    usage = {"prompt_tokens": 50, "completion_tokens": 10}
    bench.llm.add_fault(Fault("answer", body=GOOD | {"usage": usage}, headers=headers, count=1))
    await gateway.complete(within(5))
    assert (await gateway.complete(within(1))).text


async def test_what_a_model_thinks_first_costs_the_first_text_a_call_or_two(bench: Bench) -> None:
    gateway = bench.gateway({})
    bench.llm.add_fault(Fault("thinks_first"))
    with structlog.testing.capture_logs() as logs:
        completion = await gateway.complete(within(5))
    assert completion.calls <= 3
    assert any(row["event"] == "gateway.learned" for row in logs)
    assert (await gateway.complete(within(5))).calls == 1


async def test_repetitions_are_counted_as_the_requests_that_they_are(bench: Bench) -> None:
    gateway = bench.gateway({"rpd": 100})
    bench.llm.add_fault(Fault("no_system"))
    await gateway.complete(within(5))
    assert asked(bench) == 2
    assert [row.requests for row in bench.usage] == [2]
    assert gateway.endpoints.remaining()["a"]["rpd"] == pytest.approx(0.98)


@pytest.mark.parametrize(
    ("kind", "expected"), [("498", ServerFault), ("401", BadKey), ("404", BadModel), ("413", BadRequest)]
)
async def test_alone_a_provider_s_last_word_is_handed_on(
    bench: Bench, kind: str, expected: type[ProviderError]
) -> None:
    bench.llm.add_fault(Fault(kind))
    with pytest.raises(ProviderError) as caught:
        await bench.gateway({}).complete(within(3))
    assert type(caught.value) is expected
