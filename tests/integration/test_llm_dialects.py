"""Gemini's and Anthropic's own dialects against our server: texts, accounting, failures, waits."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from piyasad.providers.answer import Answer
from piyasad.providers.anthropic import AnthropicProvider
from piyasad.providers.client import make_client
from piyasad.providers.gemini import GeminiProvider
from piyasad.providers.http import HttpProvider
from piyasad.providers.interface import (
    BadKey,
    BadModel,
    BadRequest,
    ProviderError,
    Refused,
    ServerFault,
    Throttled,
    TimedOut,
    Transient,
)
from piyasad.sandbox.llm import Fault, Limits, LlmConfig, LlmKey, LlmServer
from tests.llm import ask, serving

KEY = "AIza-secret-sandbox-key"
KINDS: dict[str, tuple[type[HttpProvider], str, str]] = {
    "gemini": (GeminiProvider, "/gemini/v1beta", "gemini-3.5-flash-lite"),
    "anthropic": (AnthropicProvider, "/anthropic/v1", "claude-haiku-5-5"),
}
Make = Callable[..., HttpProvider]


@pytest.fixture
def llm() -> LlmServer:
    models = ("gemini-3.5-flash-lite", "gemini-2.5-flash", "gemini-3.6-flash", "claude-haiku-5-5", "picky")
    refuses = {"picky": ("temperature", "thinking"), "gemini-3.6-flash": ("temperature",)}
    return LlmServer(LlmConfig(keys=(LlmKey(KEY),), models=models, refuses=refuses))


@pytest.fixture(params=list(KINDS))
async def make(llm: LlmServer, request: pytest.FixtureRequest) -> AsyncIterator[Make]:
    kind, path, usual = KINDS[request.param]
    client = make_client()

    async with serving(llm) as url:
        base = url.removesuffix("/openai/v1") + path

        def provider(key: str = KEY, model: str = usual) -> HttpProvider:
            return kind(request.param, base, key, model, client)

        yield provider
    await client.aclose()


async def test_a_text_comes_with_what_the_server_counted(llm: LlmServer, make: Make) -> None:
    made = make()
    long = ask(0, system="Uzun bir tanım. " * 300)
    first = await made.complete(long, timeout=5)
    second = await made.complete(long, timeout=5)
    total = llm.usage()["total"]
    assert first.text
    assert first.finish in {"stop", "length"}
    assert first.prompt_tokens + second.prompt_tokens == total["prompt_tokens"]
    assert first.completion_tokens + second.completion_tokens == total["completion_tokens"]
    assert second.cached_tokens == total["cached_tokens"] > 1000


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("401", BadKey),
        ("403", BadKey),
        ("404", BadModel),
        ("413", BadRequest),
        ("429", Throttled),
        ("500", ServerFault),
        ("503", ServerFault),
        ("529", ServerFault),
        ("cut_before", Transient),
        ("cut_body", Transient),
        ("html", Transient),
        ("empty", Transient),
        ("truncated", Transient),
        ("refusal", Refused),
    ],
)
async def test_every_failure_has_its_class(
    llm: LlmServer, make: Make, fault: str, expected: type[ProviderError]
) -> None:
    llm.add_fault(Fault(fault, count=1))
    with pytest.raises(ProviderError) as caught:
        await make().complete(ask(0), timeout=5)
    assert type(caught.value) is expected
    assert KEY not in str(caught.value)


async def test_a_hang_is_a_timeout(llm: LlmServer, make: Make) -> None:
    llm.add_fault(Fault("hang"))
    with pytest.raises(TimedOut):
        await make().complete(ask(0), timeout=0.1)


async def test_wrong_keys_and_models_are_told_apart(make: Make) -> None:
    with pytest.raises(BadKey):
        await make(key="wrong").complete(ask(0), timeout=5)
    with pytest.raises(BadModel):
        await make(model="gemini-1.5-flash").complete(ask(0), timeout=5)


async def test_a_minute_s_wait_is_read(llm: LlmServer, make: Make) -> None:
    llm.add_fault(Fault("429", seconds=20))
    with pytest.raises(Throttled) as caught:
        await make().complete(ask(0), timeout=5)
    assert caught.value.window == "minute"
    assert caught.value.retry_after == pytest.approx(20, abs=0.1)


async def test_a_day_s_quota_is_told_as_such(llm: LlmServer, make: Make) -> None:
    llm.set_limits(KEY, Limits(rpd=1))
    made = make()
    await made.complete(ask(0), timeout=5)
    with pytest.raises(Throttled) as caught:
        await made.complete(ask(0), timeout=5)
    assert caught.value.window == "day"
    if made.name == "gemini":  # its retryDelay says seconds where a day is meant
        assert caught.value.retry_after is None
    else:
        assert caught.value.retry_after is not None
        assert caught.value.retry_after > 80_000


async def test_models_are_listed(make: Make) -> None:
    assert "claude-haiku-5-5" in await make().models()
    with pytest.raises(BadKey):
        await make(key="wrong").models()


async def test_a_refused_parameter_is_dropped_and_remembered(llm: LlmServer, make: Make) -> None:
    made = make(model="picky")
    await made.complete(ask(0), timeout=5)
    before = llm.usage()["total"]["requests"]
    await made.complete(ask(0), timeout=5)
    assert llm.usage()["total"]["requests"] == before + 1


@pytest.mark.parametrize(
    ("model", "config"),
    [
        ("gemini-2.5-flash", {"temperature": 0.9, "thinkingConfig": {"thinkingBudget": 0}, "maxOutputTokens": 100}),
        ("gemini-3.6-flash", {"thinkingConfig": {"thinkingLevel": "minimal"}, "maxOutputTokens": 164}),
        ("gemma-3-27b-it", {"temperature": 0.9, "maxOutputTokens": 164}),
    ],
)
def test_a_gemini_model_gets_what_it_takes(model: str, config: dict[str, object]) -> None:
    made = GeminiProvider("gemini", "http://127.0.0.1/v1beta", KEY, model, make_client())
    assert made.body(ask(0))["generationConfig"] == config


def test_a_key_without_quota_for_a_model_is_no_wait() -> None:
    made = GeminiProvider("gemini", "http://127.0.0.1/v1beta", KEY, "gemini-2.5-pro", make_client())
    text = "* Quota exceeded for metric: generate_content_free_tier_requests, limit: 0, model: gemini-2.5-pro"
    body = {"error": {"code": 429, "message": text, "status": "RESOURCE_EXHAUSTED"}}
    assert isinstance(made.failure(Answer(429, httpx.Headers(), json.dumps(body).encode()), {}), BadModel)
