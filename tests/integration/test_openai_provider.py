"""The Chat Completions dialect against our own server: every way a call can end has its class."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from piyasad.providers.client import Client, make_client
from piyasad.providers.interface import (
    BadKey,
    BadModel,
    BadRequest,
    NotSent,
    ProviderError,
    Refused,
    ServerFault,
    Throttled,
    TimedOut,
    Transient,
)
from piyasad.providers.openai import OpenAIProvider
from piyasad.providers.waits import wait_of, window_of
from piyasad.sandbox.llm import LlmConfig, LlmKey, LlmServer
from piyasad.sandbox.llm_faults import Fault
from piyasad.sandbox.llm_limits import Limits
from tests.llm import ask, serving

KEY = "gsk_sandbox_secret_key"
MODEL = "openai/gpt-oss-120b"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    made = make_client()
    yield made
    await made.aclose()


@pytest.fixture
def llm() -> LlmServer:
    return LlmServer(
        LlmConfig(
            keys=(LlmKey(KEY),),
            models=(MODEL, "gpt-4.1-mini", "picky"),
            refuses={"picky": ("max_tokens", "temperature")},
        )
    )


@pytest.fixture
async def url(llm: LlmServer) -> AsyncIterator[str]:
    async with serving(llm) as address:
        yield address


def provider(url: str, client: Client, *, key: str = KEY, model: str = MODEL) -> OpenAIProvider:
    return OpenAIProvider("groq", url, key, model, client)


async def call(made: OpenAIProvider, timeout: float = 5.0) -> str:
    return (await made.complete(ask(0), timeout=timeout)).text


async def test_a_text_comes_with_what_it_cost_as_the_server_counted_it(
    llm: LlmServer, url: str, client: Client
) -> None:
    completion = await provider(url, client).complete(ask(0), timeout=5.0)
    total = llm.usage()["total"]
    assert completion.text
    assert completion.provider == "groq"
    assert (completion.prompt_tokens, completion.completion_tokens) == (
        total["prompt_tokens"],
        total["completion_tokens"],
    )


async def test_cached_tokens_are_read(llm: LlmServer, url: str, client: Client) -> None:
    made = provider(url, client)
    long = ask(0, system="Uzun bir tanım. " * 300)
    await made.complete(long, timeout=5.0)
    completion = await made.complete(long, timeout=5.0)
    assert completion.cached_tokens == llm.usage()["total"]["cached_tokens"] > 1000


async def test_limit_headers_are_handed_on(llm: LlmServer, url: str, client: Client) -> None:
    llm.set_limits(KEY, Limits(rpd=1000, tpm=6000))
    completion = await provider(url, client).complete(ask(0), timeout=5.0)
    requests, tokens = sorted(completion.facts, key=lambda fact: fact.name)
    assert (requests.name, requests.limit, requests.left) == ("rpd", 1000, 999)
    assert (tokens.name, tokens.limit) == ("tpm", 6000)
    assert 0 < (tokens.left or 0) < 6000


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("401", BadKey),
        ("403", BadKey),
        ("404", BadModel),
        ("413", BadRequest),
        ("429", Throttled),
        ("500", ServerFault),
        ("502", ServerFault),
        ("503", ServerFault),
        ("529", ServerFault),
        ("insufficient_quota", BadKey),
        ("cut_before", Transient),
        ("cut_after", Transient),
        ("cut_body", Transient),
        ("html", Transient),
        ("empty", Transient),
        ("truncated", Transient),
        ("refusal", Refused),
    ],
)
async def test_every_failure_has_its_class(
    llm: LlmServer, url: str, client: Client, fault: str, expected: type[ProviderError]
) -> None:
    llm.add_fault(Fault(fault, count=1))
    with pytest.raises(ProviderError) as caught:
        await call(provider(url, client))
    assert type(caught.value) is expected
    assert KEY not in str(caught.value)
    assert await call(provider(url, client))  # and the next call passes


async def test_a_hung_provider_costs_its_timeout(llm: LlmServer, url: str, client: Client) -> None:
    llm.add_fault(Fault("hang"))
    began = time.monotonic()
    with pytest.raises(TimedOut):
        await call(provider(url, client), timeout=0.2)
    assert time.monotonic() - began < 1.0


async def test_cancelling_a_call_is_not_swallowed(llm: LlmServer, url: str, client: Client) -> None:
    llm.add_fault(Fault("hang"))
    task = asyncio.create_task(call(provider(url, client)))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_refused_connection_surely_sent_nothing(client: Client) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: nobody else gets the port
        port = taken.getsockname()[1]
        with pytest.raises(NotSent):
            await call(provider(f"http://127.0.0.1:{port}/v1", client))


async def test_what_an_empty_or_refused_text_cost_is_known(llm: LlmServer, url: str, client: Client) -> None:
    llm.add_fault(Fault("empty", count=1))
    with pytest.raises(Transient) as caught:
        await call(provider(url, client))
    assert caught.value.usage is not None
    assert caught.value.usage[0] == llm.usage()["total"]["prompt_tokens"]


async def test_a_wrong_key_is_told_without_the_key(url: str, client: Client) -> None:
    with pytest.raises(BadKey) as caught:
        await call(provider(url, client, key="gsk_wrong"))
    assert "gsk_wrong" not in str(caught.value)


async def test_an_unknown_model_is_told_by_name(url: str, client: Client) -> None:
    with pytest.raises(BadModel, match="llama-9"):
        await call(provider(url, client, model="llama-9"))


async def test_the_models_of_a_key_are_listed(url: str, client: Client) -> None:
    assert MODEL in await provider(url, client).models()
    with pytest.raises(BadKey):
        await provider(url, client, key="wrong").models()


async def test_a_parameter_that_a_model_refuses_is_dropped_once_and_remembered(
    llm: LlmServer, url: str, client: Client
) -> None:
    made = provider(url, client, model="picky")  # it refuses two
    assert await call(made)
    assert llm.usage()["total"]["requests"] == 3
    assert await call(made)
    assert llm.usage()["total"]["requests"] == 4


async def test_a_day_quota_refusal_says_how_long_to_wait(llm: LlmServer, url: str, client: Client) -> None:
    llm.set_limits(KEY, Limits(tpd=400))
    made = provider(url, client, model="gpt-4.1-mini")

    async def talk() -> None:
        for _ in range(20):
            await call(made)

    with pytest.raises(Throttled) as caught:
        await talk()
    assert caught.value.window == "day"
    assert caught.value.retry_after is not None
    assert 86_000 < caught.value.retry_after <= 86_400


async def test_what_can_never_pass_a_limit_is_a_bad_request(llm: LlmServer, url: str, client: Client) -> None:
    llm.set_limits(KEY, Limits(tpm=50))
    with pytest.raises(BadRequest, match="too large"):
        await call(provider(url, client))


@pytest.mark.parametrize(
    ("headers", "message", "wait"),
    [
        ({}, "Please try again in 7m12.5s. Need more", 432.5),
        ({}, "Please try again in 4.77s.", 4.77),
        ({}, "Please try again in 1h0m3s", 3603.0),
        ({}, "Please try again in 120ms.", 0.12),
        ({}, "Please retry in 35.5s.", 35.5),
        ({"retry-after": "2"}, "", 2.0),
        ({"retry-after": "10800"}, "", 10_800.0),
        ({"retry-after-ms": "1500"}, "", 1.5),
        ({"retry-after": "3"}, "Please try again in 2.2s", 3.0),
        (
            {"retry-after": "Mon, 23 Nov 2026 12:01:00 GMT", "date": "Mon, 23 Nov 2026 12:00:00 GMT"},
            "",
            60.0,
        ),
        ({"retry-after": "soon"}, "", None),
        ({}, "slow down", None),
    ],
)
def test_waits_are_read_from_headers_and_bodies(headers: dict[str, str], message: str, wait: float | None) -> None:
    assert wait_of(httpx.Headers(headers), message) == pytest.approx(wait)


def test_the_window_of_a_refusal_is_read() -> None:
    assert window_of("on tokens per day (TPD): Limit 100000, Used 99990") == "day"
    assert window_of("on tokens per minute (TPM): Limit 6000") == "minute"
    assert window_of("on requests per min (RPM): Limit 3") == "minute"
    assert window_of("Quota exceeded for metric: GenerateRequestsPerDayPerProject") == "day"
    assert window_of("slow down") == ""
