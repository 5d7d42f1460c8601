"""Answers and refusals that no documentation shows, over HTTP in every dialect: what becomes of the text, the key, the day."""

from __future__ import annotations

import json
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from piyasad.providers.anthropic import AnthropicProvider
from piyasad.providers.client import Client, make_client
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
    Transient,
)
from piyasad.providers.openai import OpenAIProvider
from piyasad.sandbox.llm import Fault, LlmConfig, LlmKey, LlmServer
from tests.llm import ask, serving

KEY = "gsk-secret-sandbox-key"
MODELS = ("glm-4.5-air:free", "openai/gpt-oss-20b", "gemini-2.5-pro", "gemma-3-27b-it", "claude-haiku-5-5")
KINDS: dict[str, tuple[type[HttpProvider], str, str]] = {
    "openai": (OpenAIProvider, "/openai/v1", "openai/gpt-oss-20b"),
    "gemini": (GeminiProvider, "/gemini/v1beta", "gemini-2.5-pro"),
    "anthropic": (AnthropicProvider, "/anthropic/v1", "claude-haiku-5-5"),
}
Make = Callable[..., HttpProvider]
NOW = 1_795_000_000.0


@pytest.fixture
def llm() -> LlmServer:
    return LlmServer(LlmConfig(keys=(LlmKey(KEY),), models=MODELS))


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    made = make_client()
    yield made
    await made.aclose()


@pytest.fixture(params=list(KINDS))
async def make(llm: LlmServer, client: Client, request: pytest.FixtureRequest) -> AsyncIterator[Make]:
    kind, path, usual = KINDS[request.param]
    async with serving(llm) as url:
        base = url.removesuffix("/openai/v1") + path
        yield lambda model=usual: kind(request.param, base, KEY, model, client, wall=lambda: NOW)


@pytest.fixture
async def openai(llm: LlmServer, client: Client) -> AsyncIterator[Make]:
    async with serving(llm) as url:
        yield lambda model="glm-4.5-air:free": OpenAIProvider("groq", url, KEY, model, client, wall=lambda: NOW)


async def text_of(made: HttpProvider, **kwargs: Any) -> str:
    return (await made.complete(ask(0, **kwargs), timeout=5)).text


async def error_of(made: HttpProvider) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await made.complete(ask(0), timeout=5)
    assert KEY not in str(caught.value)
    return caught.value


# --- texts
async def test_half_a_sign_goes_and_the_rest_is_said(llm: LlmServer, make: Make) -> None:
    llm.add_fault(Fault("text", text="half_emoji", count=1))
    assert await text_of(make()) == "Bence sakin bir gün"
    assert await text_of(make())


async def test_entities_control_and_escapes_are_plain_text(llm: LlmServer, make: Make) -> None:
    llm.add_fault(Fault("text", text="entities"))
    assert " ".join((await text_of(make())).split()) == 'Bence sakin bir gün "bugün" & yarın. Bekleyelim.'


@pytest.mark.parametrize("name", ["long", "degenerate"])
async def test_nothing_is_much_longer_than_was_asked_for(llm: LlmServer, make: Make, name: str) -> None:
    llm.add_fault(Fault("text", text=name))
    made = make("glm-4.5-air:free" if make().name == "openai" else make().model)
    completion = await made.complete(ask(0, max_tokens=90), timeout=5)
    assert len(completion.text) <= 6 * 90
    assert completion.finish == "length"


async def test_of_a_list_of_parts_the_text_is_taken(llm: LlmServer, make: Make) -> None:
    llm.add_fault(Fault("parts"))
    text = await text_of(make())
    assert text
    assert "hmm" not in text


CONTENTS: list[tuple[Any, str]] = [
    (
        [{"type": "thinking", "thinking": [{"type": "text", "text": "hmm"}]}, {"type": "text", "text": "Sakin."}],
        "Sakin.",
    ),
    ([{"type": "output_text", "text": "Bugün "}, {"type": "output_text", "text": "sakin."}], "Bugün sakin."),
    (["Bugün ", "sakin."], "Bugün sakin."),
    ({"type": "text", "text": {"value": "Sakin."}}, "Sakin."),
    ([{"type": "reasoning", "content": "hmm"}, None, 7, {"content": [{"text": "Sakin."}]}], "Sakin."),
    ([{"TYPE": "x", "text": "Sakin."}], "Sakin."),
]


@pytest.mark.parametrize(("content", "text"), CONTENTS)
async def test_a_content_may_have_any_shape(llm: LlmServer, openai: Make, content: Any, text: str) -> None:
    body = {"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": content}}]}
    llm.add_fault(Fault("answer", body=body))
    assert await text_of(openai()) == text


@pytest.mark.parametrize(
    "body",
    [
        {"choices": [{"text": "Sakin."}]},
        {"choices": [{"delta": {"content": "Sakin."}}]},
        {"choices": [{"message": "Sakin."}]},
        {"choices": {"message": {"content": "Sakin."}}},
        {"choices": [None, {"message": {"content": ""}}, {"message": {"content": "Sakin."}}]},
        {"choices": [{"message": {"content": "Sakin.", "refusal": None}, "error": None}], "error": None, "usage": None},
        [{"choices": [{"message": {"content": "Sakin."}, "finish_reason": None}], "usage": []}],
    ],
)
async def test_an_answer_is_found_wherever_it_stands(llm: LlmServer, openai: Make, body: Any) -> None:
    llm.add_fault(Fault("answer", body=body))
    assert await text_of(openai()) == "Sakin."


@pytest.mark.parametrize(
    ("usage", "spent"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 30}, (9, 0, 30)),
        ({"prompt_tokens": "9", "completion_tokens": 30.0}, (9, 0, 30)),
        ({"prompt_tokens": 9.5, "completion_tokens": 30}, (10, 0, 30)),
        ({"prompt_tokens": -9, "completion_tokens": True}, (0, 0, 0)),
        ({"prompt_tokens": 10**30, "completion_tokens": 30}, (0, 0, 30)),
        ({"prompt_tokens": 1e999, "completion_tokens": None}, (0, 0, 0)),
        ({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 90}, "completion_tokens": 30}, (9, 9, 30)),
        ({"prompt_tokens": 9, "prompt_tokens_details": [], "completion_tokens": {}}, (9, 0, 0)),
        ({"input_tokens": 9, "output_tokens": 30}, (9, 0, 30)),
        ([], (0, 0, 0)),
        ("many", (0, 0, 0)),
    ],
)
async def test_counts_may_be_anything(llm: LlmServer, openai: Make, usage: Any, spent: tuple[int, int, int]) -> None:
    llm.add_fault(Fault("answer", body={"choices": [{"message": {"content": "Sakin."}}], "usage": usage}))
    completion = await openai().complete(ask(0), timeout=5)
    assert (completion.prompt_tokens, completion.cached_tokens, completion.completion_tokens) == spent


@pytest.mark.parametrize("finish", ["content_filter", "SAFETY", "sensitive", "refusal", "PROHIBITED_CONTENT"])
async def test_a_refusal_has_many_names(llm: LlmServer, openai: Make, finish: str) -> None:
    llm.add_fault(Fault("answer", body={"choices": [{"message": {"content": ""}, "finish_reason": finish}]}))
    assert isinstance(await error_of(openai()), Refused)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "[]",
        "{}",
        '"Sakin."',
        "7",
        "NaN",
        "[" * 200_000,
        '{"choices":' * 50_000,
        '{"choices": [{"message": {"content": "yarım',
        '{"choices": []}',
        '{"choices": "x"}',
        '{"choices": [[]]}',
        '{"choices": [{"message": {"content": 7}}]}',
        '{"choices": [{"message": {"content": [[[[[[[[["x"]]]]]]]]]}}]}',
        '{"candidates": [{"content": {"parts": "x"}, "finishReason": 7}]}',
        '{"content": {}}',
        "data: {}\n\n",
        "x" * 3_000_000,
    ],
    ids=str.__len__,
)
async def test_nonsense_ends_no_task(llm: LlmServer, make: Make, body: str) -> None:
    llm.add_fault(Fault("answer", body=body, count=1))
    made = make()
    try:
        await made.complete(ask(0), timeout=5)
    except ProviderError as error:
        assert isinstance(error, Transient), error  # noqa: PT017 - either is fine
    assert await text_of(made)


async def test_a_packed_answer_is_unpacked_and_a_bomb_is_not(llm: LlmServer, client: Client) -> None:
    good = json.dumps({"choices": [{"message": {"content": "Sakin."}}]}).encode()
    served: dict[str, tuple[str, bytes]] = {
        "gzip": ("gzip", zlib.compress(good, wbits=31)),
        "deflate": ("deflate", zlib.compress(good)),
        "bomb": ("gzip", zlib.compress(b" " * 50_000_000, wbits=31)),
        "broken": ("gzip", b"no gzip"),
        "other": ("br", good),
    }

    async def answer(request: web.Request) -> web.Response:
        packing, data = served[request.match_info["name"]]
        return web.Response(body=data, content_type="application/json", headers={"Content-Encoding": packing})

    app = web.Application()
    app.router.add_post("/{name}/chat/completions", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        for name in ("gzip", "deflate"):
            assert await text_of(OpenAIProvider("x", f"{base}/{name}", KEY, "m", client)) == "Sakin."
        for name in ("bomb", "broken", "other"):
            assert isinstance(await error_of(OpenAIProvider("x", f"{base}/{name}", KEY, "m", client)), Transient)
    finally:
        await runner.cleanup()


async def test_a_prompt_that_cannot_be_encoded_is_asked_without_the_half_sign(make: Make) -> None:
    assert await text_of(make(), user="Üye 1: yarım \ud83d işaret")


# --- refusals
REFUSALS: list[tuple[int, Any, type[ProviderError]]] = [
    (
        403,
        {"error": {"message": "Your chosen model requires moderation and your input was flagged", "code": 403,
                   "metadata": {"reasons": ["violence"], "flagged_input": "…"}}},
        Refused,
    ),
    (
        403,
        {"error": {"message": "Project `proj_x` does not have access to model `gpt-4o`", "code": "model_not_found"}},
        BadModel,
    ),
    (400, [{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}], BadKey),
    (400, {"object": "error", "message": "Invalid model: mistral-tiny-2312", "type": "invalid_model"}, BadModel),
    (429, {"object": "error", "message": "Service tier capacity exceeded for this model.", "code": "3505"}, Throttled),
    (498, {"error": {"message": "Flex tier capacity exceeded"}}, ServerFault),
    (403, {"error": {"message": "Your organization is restricted."}}, BadKey),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "expected"), REFUSALS)
async def test_a_refusal_is_read_before_it_is_believed(
    llm: LlmServer, make: Make, status: int, body: Any, expected: type[ProviderError]
) -> None:
    llm.add_fault(Fault("answer", status=status, body=body, count=1))
    made = make()
    assert type(await error_of(made)) is expected
    assert await text_of(made)


PLAIN_FORMS = ["", "in_200", "in_list", "on_top"]


@pytest.mark.parametrize("form", PLAIN_FORMS)
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("401", BadKey),
        ("403", BadKey),
        ("403_moderation", Refused),
        ("403_model", BadModel),
        ("404", BadModel),
        ("413", BadRequest),
        ("429", Throttled),
        ("498", ServerFault),
        ("500", ServerFault),
        ("503", ServerFault),
        ("529", ServerFault),
    ],
)
async def test_a_refusal_is_the_same_in_every_wrapping(
    llm: LlmServer, make: Make, kind: str, form: str, expected: type[ProviderError]
) -> None:
    llm.add_fault(Fault(kind, form=form, count=1, seconds=20))
    error = await error_of(make())
    assert type(error) is expected
    assert len(str(error)) > len("openai: 500 ")
    if isinstance(error, Throttled):
        assert error.retry_after == pytest.approx(20, abs=0.1)


async def test_a_day_s_limit_in_a_200_holds_until_its_reset(llm: LlmServer, openai: Make) -> None:
    body = {
        "id": "g",
        "error": {
            "message": "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests",
            "code": 429,
            "metadata": {
                "headers": {
                    "X-RateLimit-Limit": "50",
                    "X-RateLimit-Remaining": "0",
                    "X-RateLimit-Reset": str(int((NOW + 7200) * 1000)),
                }
            },
        },
    }
    llm.add_fault(Fault("answer", body=body, headers={"Date": "Wed, 18 Nov 2026 11:06:40 GMT"}))
    error = await error_of(openai())
    assert isinstance(error, Throttled)
    assert error.window == "day"
    assert "free-models-per-day" in str(error)
    [fact] = [fact for fact in error.facts if fact.left is not None]
    assert (fact.name, fact.limit, fact.left) == ("rpd", 50, 0)
    assert fact.reset == pytest.approx(7200, abs=5)


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("30", 30), ("0.5", 0.5), ("30s", 30), ("1m30s", 90), ("-5", None), ("soon", None), ("", None),
        ("nan", None), ("1e400", 86_400), ("999999999", 86_400), ("31536000", 86_400), ("20, 40", 40),
        ("Wed, 18 Nov 2026 11:07:40 GMT", 60), ("Wed, 18 Nov 2020 11:07:40 GMT", None),
        ("2026-11-18T11:07:40Z", 60), (str(int(NOW) + 60), 60),
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", [400, 403, 408, 425, 429, 498, 500, 503])
async def test_a_wait_is_read_on_every_status(
    llm: LlmServer, openai: Make, status: int, value: str, wait: float | None
) -> None:
    headers = {"Retry-After": value, "Date": "Wed, 18 Nov 2026 11:06:40 GMT"}
    llm.add_fault(Fault("answer", status=status, body={"error": {"message": "x"}}, headers=headers))
    assert (await error_of(openai())).retry_after == wait


async def test_an_answer_may_ask_to_wait_a_little(llm: LlmServer, openai: Make) -> None:
    body = {"choices": [{"message": {"content": "Sakin."}}]}
    llm.add_fault(Fault("answer", body=body, headers={"Retry-After": "3600"}))
    assert (await openai().complete(ask(0), timeout=5)).retry_after == 60


async def test_headers_may_say_anything(llm: LlmServer, openai: Make) -> None:
    for value in ("", "x", "-1", "nan", "inf", "1e99", "0.5", "9" * 400, "7;w=60", "½"):
        names = (
            "limit-requests",
            "remaining-requests",
            "reset-requests",
            "limit-tokens",
            "remaining-tokens",
            "reset",
            "limit",
        )
        headers = {f"x-ratelimit-{name}": value.encode().decode("latin-1") for name in names}
        body = {"choices": [{"message": {"content": "Sakin."}}]}
        llm.add_fault(Fault("answer", body=body, headers=headers, count=1))
        completion = await openai().complete(ask(0), timeout=5)
        assert all(
            number is None or 0 <= number <= 1e12 for fact in completion.facts for number in (fact.limit, fact.left)
        )


# --- what a model cannot do
async def test_a_model_without_a_system_role_is_asked_in_one_text_and_that_is_remembered(
    llm: LlmServer, make: Make
) -> None:
    llm.add_fault(Fault("no_system"))
    made = make("gemma-3-27b-it") if make().name == "gemini" else make()
    completion = await made.complete(ask(0), timeout=5)
    assert completion.requests == 2
    assert made.abilities.merged
    body = json.dumps(made.body(ask(0)), ensure_ascii=False)
    assert "yapay zekâ karakterisin" in body
    assert (await made.complete(ask(0), timeout=5)).requests == 1
    assert made.abilities.take() == ["knows no system role"]


async def test_thinking_that_cannot_be_off_is_raised_or_left_out_and_that_is_remembered(
    llm: LlmServer, make: Make
) -> None:
    llm.add_fault(Fault("must_think"))
    made = make()
    if isinstance(made, OpenAIProvider):
        made = make("qwen3-32b") if "qwen3-32b" in MODELS else made
    completion = await made.complete(ask(0), timeout=5)
    assert completion.requests == (1 if made.name == "openai" else 2)  # gpt-oss is never asked not to
    assert (await made.complete(ask(0), timeout=5)).requests == 1


async def test_of_the_efforts_that_a_refusal_names_the_least_is_taken(llm: LlmServer, openai: Make) -> None:
    for words, effort in (
        ("`reasoning_effort` must be one of `none` or `default`", "none"),
        ("Unsupported value: 'reasoning_effort' does not support 'low'. Supported values are: 'medium', 'high'.", None),
        ('"x" does not support thinking', None),
    ):
        made = openai("openai/gpt-oss-20b")
        llm.add_fault(Fault("answer", status=400, body={"error": {"message": words}}, count=1))
        assert (await made.complete(ask(0), timeout=5)).requests == 2
        assert made.body(ask(0)).get("reasoning_effort") == effort


async def test_what_a_model_thinks_first_is_allowed_for_and_remembered(llm: LlmServer, make: Make) -> None:
    llm.add_fault(Fault("thinks_first"))
    made = make()
    for _ in range(4):
        try:
            completion = await made.complete(ask(0), timeout=5)
            break
        except Transient as error:
            assert "thinking" in str(error)  # noqa: PT017
    assert completion.text
    assert made.allowance >= 350
    assert any("thinks first" in lesson for lesson in made.abilities.take())


async def test_a_model_that_only_thinks_is_told_of_once_with_a_cure(llm: LlmServer, openai: Make) -> None:
    llm.add_fault(Fault("thinks_first", tokens=10**6))
    made = openai()
    errors = [await error_of(made) for _ in range(10)]
    assert "set model to one that thinks less" in str(errors[-1])
    assert sum("set model to one" in lesson for lesson in made.abilities.take()) == 1


async def test_thinking_aloud_that_was_cut_off_is_thinking_too(llm: LlmServer, openai: Make) -> None:
    body = {"choices": [{"message": {"content": "<think>Önce bakayım"}, "finish_reason": "length"}]}
    llm.add_fault(Fault("answer", body=body, count=1))
    made = openai()
    assert "thinking" in str(await error_of(made))
    assert made.allowance > 0


@pytest.mark.parametrize("refusals", [1, 2])
async def test_a_refusal_without_a_clear_word_is_tried_the_bare_way(
    llm: LlmServer, openai: Make, refusals: int
) -> None:
    """Whatever the words: a model that never answered is asked without what it may not take, then in one text."""
    llm.add_fault(Fault("answer", status=400, body={"error": {"message": "Geçersiz istek"}}, count=refusals))
    made = openai()
    assert (await made.complete(ask(0), timeout=5)).requests == refusals + 1
    body = made.body(ask(0))
    assert "temperature" not in body
    assert len(body["messages"]) == (2 if refusals == 1 else 1)
    assert (await made.complete(ask(0), timeout=5)).requests == 1
    assert len(made.abilities.take()) == 1


async def test_a_model_that_answered_before_is_not_asked_otherwise_for_one_bad_request(
    llm: LlmServer, openai: Make
) -> None:
    made = openai()
    await made.complete(ask(0), timeout=5)
    llm.add_fault(Fault("answer", status=400, body={"error": {"message": "Geçersiz istek"}}, count=1))
    assert (await error_of(made)).requests == 1
    assert "temperature" in made.body(ask(0))


async def test_a_bare_way_that_does_not_help_is_not_gone_again(llm: LlmServer, openai: Make) -> None:
    llm.add_fault(Fault("answer", status=400, body={"error": {"message": "Geçersiz istek"}}))
    made = openai()
    assert (await error_of(made)).requests == 3
    assert not made.abilities.without
    assert not made.abilities.merged
    assert (await error_of(made)).requests == 1
