"""Every field of an answer missing, of another type, in another case, zero, negative, huge: a text or a class of failure."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from piyasad.providers.answer import Answer
from piyasad.providers.anthropic import AnthropicProvider
from piyasad.providers.client import make_client
from piyasad.providers.gemini import GeminiProvider
from piyasad.providers.http import HttpProvider
from piyasad.providers.interface import BadKey, Completion, ProviderError
from piyasad.providers.limit_facts import of_headers
from piyasad.providers.openai import OpenAIProvider
from piyasad.providers.waits import MOST_WAIT, wait_of
from tests.llm import ask

ANSWERS: dict[type[HttpProvider], dict[str, Any]] = {
    OpenAIProvider: {
        "id": "x", "object": "chat.completion", "created": 1, "model": "m", "service_tier": "default",
        "choices": [{"index": 0, "finish_reason": "stop", "logprobs": None,
                     "message": {"role": "assistant", "content": "Sakin.", "refusal": None, "reasoning": "", "tool_calls": []}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12,
                  "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}},
        "error": None,
    },
    GeminiProvider: {
        "candidates": [{"index": 0, "finishReason": "STOP", "safetyRatings": [], "avgLogprobs": -0.1,
                        "content": {"role": "model", "parts": [{"text": "hmm", "thought": True}, {"text": "Sakin."}]}}],
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 3, "thoughtsTokenCount": 0, "cachedContentTokenCount": 0},
        "promptFeedback": {}, "modelVersion": "m",
    },
    AnthropicProvider: {
        "id": "x", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn", "stop_sequence": None,
        "content": [{"type": "thinking", "thinking": "hmm"}, {"type": "text", "text": "Sakin."}],
        "usage": {"input_tokens": 9, "output_tokens": 3, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0},
    },
}  # fmt: skip
ERROR: dict[str, Any] = {
    "error": {
        "message": "Rate limit reached on tokens per day (TPD): Limit 100000, Used 99990. Please try again in 7m12s.",
        "type": "tokens", "code": "rate_limit_exceeded", "param": None, "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "RetryInfo", "retryDelay": "34s"},
                    {"@type": "QuotaFailure", "violations": [{"quotaId": "RequestsPerDay", "quotaValue": "20"}]}],
        "metadata": {"headers": {"X-RateLimit-Limit": "50", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}, "raw": "{}"},
    }
}  # fmt: skip
ODD: list[Any] = [
    None, True, False, 0, -1, 1, 0.5, 10**30, -(10**30), float("inf"), float("nan"), "", "x", "STOP", "-5", "1e999", "\ud83d",
    "\0", "[ " * 2000, [], [None], [[]], [7], {}, {"": {}}, {"text": 7}, {"message": ["x"]}, [{"type": "text"}], [["a"] * 3] * 3,
]  # fmt: skip


def changed(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Each place in it."""
    yield path, node
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from changed(value, (*path, key))


def variants(whole: dict[str, Any]) -> Iterator[Any]:
    for path, _ in changed(whole):
        if not path:
            yield from ODD
            continue
        for odd in [*ODD, ...]:
            made = copy.deepcopy(whole)
            node = made
            for key in path[:-1]:
                node = node[key]
            if odd is ...:
                del node[path[-1]]
            else:
                node[path[-1]] = odd
            yield made
        if isinstance(path[-1], str):  # in another case
            made = copy.deepcopy(whole)
            node = made
            for key in path[:-1]:
                node = node[key]
            node[path[-1].upper()] = node.pop(path[-1])
            yield made


def provider(kind: type[HttpProvider]) -> HttpProvider:
    return kind("p", "http://127.0.0.1/v1", "key-of-twenty-letters", "m", make_client(), wall=lambda: 1.8e9)


def outcome(
    made: HttpProvider, status: int, body: Any, headers: dict[str, str] | None = None
) -> Completion | ProviderError:
    request = ask(0)
    content = json.dumps(body).encode()
    answer = Answer(status, httpx.Headers(headers or {}), content)
    try:
        return (
            made.completion(request, made.body(request), answer)
            if status == 200
            else made.failure(answer, made.body(request))
        )
    except ProviderError as error:
        return error


@pytest.mark.parametrize("kind", list(ANSWERS))
async def test_an_answer_with_an_odd_field_is_a_text_or_a_class_of_failure(kind: type[HttpProvider]) -> None:
    made, texts = provider(kind), 0
    for body in variants(ANSWERS[kind]):
        found = outcome(made, 200, body)
        assert not isinstance(found, BadKey), body
        str(found).encode()
        if isinstance(found, Completion):
            texts += 1
            found.text.encode()
            assert found.text
            assert "hmm" not in found.text or kind is GeminiProvider  # whose flag, if it is odd, is not set
            assert all(0 <= count <= 10**6 for count in found.spent)
            assert found.cached_tokens + found.written_tokens <= found.prompt_tokens
    assert texts > 200  # most odd fields are none of ours


@pytest.mark.parametrize("kind", list(ANSWERS))
@pytest.mark.parametrize("status", [200, 400, 403, 429, 500])
async def test_a_refusal_with_an_odd_field_has_a_class_and_bounded_waits(kind: type[HttpProvider], status: int) -> None:
    made = provider(kind)
    for body in variants(ERROR):
        found = outcome(made, status, body)
        assert isinstance(found, ProviderError), body
        str(found).encode("utf-8", "surrogatepass")
        assert found.retry_after is None or 0 <= found.retry_after <= MOST_WAIT
        for fact in found.facts:
            assert all(value is None or 0 <= value <= 1e12 for value in (fact.limit, fact.left, fact.reset))


@pytest.mark.parametrize(
    "value", ["", " ", "-1", "0", "0.5", "1e999", "nan", "inf", "-inf", "x", "9" * 500, "1,2", ",", "1;2", "٣", "²", "Mon", "2026-13-99",
              "Mon, 99 Nov 2026 99:99:99 GMT", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "1s1s1s", "1d" * 100, "\x00"]
)  # fmt: skip
def test_a_header_may_say_anything(value: str) -> None:
    for name in ("retry-after", "retry-after-ms", "x-retry-after"):
        wait = wait_of({name: value, "date": value}, value, 1.8e9)
        assert wait is None or 0 <= wait <= MOST_WAIT
    names = [
        f"x-ratelimit-{what}{unit}"
        for what in ("limit", "remaining", "reset")
        for unit in ("", "-requests", "-tokens-day")
    ]
    for fact in of_headers([(name.encode(), value.encode("utf-8")) for name in names], now=1.8e9):
        assert all(number is None or 0 <= number <= 1e12 for number in (fact.limit, fact.left, fact.reset))
