"""The Chat Completions dialect: OpenAI, Groq, Ollama, OpenRouter, Mistral, vLLM and the like by `base_url`.

The gateway calls it through `HttpProvider`'s interface. It never waits and never shows the key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import httpx

from piyasad.providers.abilities import FIRST_ALLOWANCE
from piyasad.providers.answer import Answer, count_of, finish_of, first_count, json_object, object_of, rows_of, text_of
from piyasad.providers.http import HttpProvider
from piyasad.providers.interface import Completion, Request, Spent

_EFFORTS: Final = ("none", "minimal", "low", "default")  # the least thinking first
_THOUGHTS: Final = ("reasoning_content", "reasoning", "thinking", "reasoning_details")


def reasoning(model: str) -> tuple[str | None, int]:
    """How little a model may think (`reasoning_effort`), and how many output tokens that thinking may take.

    As documented in November 2026: gpt-oss cannot be told not to think; GPT-5.1 and later and Qwen 3 can.
    """
    name = model.lower().rpartition("/")[2]
    if name.startswith("gpt-oss"):
        return "low", 192
    if re.match(r"gpt-5(-|$)", name):
        return "minimal", 64
    if re.match(r"gpt-(5\.|[6-9])", name) or name.startswith("qwen3"):
        return "none", 0
    if re.match(r"o[1-9](-|$)", name):
        return "low", 512
    return None, 0


class OpenAIProvider(HttpProvider):
    """`base_url` carries its version (…/v1)."""

    optional = ("temperature", "reasoning_effort", "reasoning", "thinking", "max_completion_tokens", "max_tokens")

    def __init__(self, name: str, base_url: str, key: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(name, base_url, key, *args, **kwargs)
        self._url = httpx.URL(f"{self._base}/chat/completions")
        self._unified = self._url.host.endswith("openrouter.ai")  # one field for the thinking of every model
        self._thinks_unasked = self._url.host.endswith("deepseek.com")
        self._reasoning = reasoning(self.model)
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._limits = ("max_tokens", "max_completion_tokens")
        if self._url.host.endswith("openai.com"):
            self._limits = ("max_completion_tokens", "max_tokens")

    @property
    def thinks(self) -> int:
        learned = self.abilities.thinking
        return max(self._reasoning[1], FIRST_ALLOWANCE if learned in _EFFORTS[1:] else 0)

    def url(self) -> httpx.URL:
        return self._url

    def body(self, request: Request) -> dict[str, Any]:
        system, user = self.texts(request)
        effort = self.abilities.thinking or self._reasoning[0]
        messages = [{"role": "system", "content": system}] if system else []
        without = self.abilities.without
        limit = next((name for name in self._limits if name not in without), self._limits[0])
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [*messages, {"role": "user", "content": user}],
            limit: request.max_tokens + self.allowance,
            "temperature": self.temperature(request),
        }
        if self._unified:
            body["reasoning"] = {"enabled": False}
        elif self._thinks_unasked:
            body["thinking"] = {"type": "disabled"}
        elif effort is not None:
            body["reasoning_effort"] = effort
        for name in without:
            body.pop(name, None)
        return body

    def think_more(self, said: str, sent: object) -> bool:
        """The least effort beyond the refused one; of those that the refusal names, if it names any."""
        at = _EFFORTS.index(sent) if sent in _EFFORTS else len(_EFFORTS)
        named = [effort for effort in _EFFORTS if effort != sent and re.search(rf"['\"`]{effort}['\"`]", said)]
        least = next(iter(named or _EFFORTS[at + 1 : 3]), None)
        return least is not None and self.abilities.think(least)

    def completion(self, request: Request, body: Mapping[str, Any], answer: Answer) -> Completion:
        found = json_object(answer.content)
        choices = rows_of(found.get("choices"))
        error = found.get("error") or next((choice["error"] for choice in choices if choice.get("error")), None)
        if error or not choices:
            raise self.mistaken(answer, error, body)
        texts = [(choice, self._text(choice)) for choice in choices]
        choice, text = next(((each, text) for each, text in texts if text.strip()), texts[0])
        message = object_of(choice.get("message"))
        finish = finish_of(choice.get("finish_reason"))
        if not text.strip() and message.get("refusal"):
            finish = "refused"
        usage = object_of(found.get("usage"))
        thought = any(message.get(name) for name in _THOUGHTS) or _thoughts(usage) > 0
        spent = _spent(usage)
        return self.completed(request, answer, text, finish=finish, spent=spent, thought=thought)

    @staticmethod
    def _text(choice: Mapping[str, Any]) -> str:
        message = choice.get("message")
        if message is None:
            message = choice.get("delta")
        content = message.get("content") if isinstance(message, dict) else message
        return text_of(content) or text_of(choice.get("text"))


def _spent(usage: Mapping[str, Any]) -> Spent | None:
    """What was used; None when the provider did not say."""
    prompt = first_count((usage,), ("prompt_tokens", "input_tokens"))
    completion = first_count((usage,), ("completion_tokens", "output_tokens"))
    if not prompt and not completion:
        return None
    details = (object_of(usage.get("prompt_tokens_details")), object_of(usage.get("input_tokens_details")), usage)
    cached = first_count(details, ("cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens"))
    written = first_count(details, ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens"))
    cached = min(cached, prompt)
    return Spent(prompt, cached, completion, min(written, prompt - cached))


def _thoughts(usage: Mapping[str, Any]) -> int:
    return count_of(object_of(usage.get("completion_tokens_details")).get("reasoning_tokens"))
