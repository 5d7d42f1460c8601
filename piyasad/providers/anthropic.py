"""Anthropic's dialect: Messages. A system text long enough for it is marked for the prompt cache.

The gateway calls it through `HttpProvider`'s interface. It never waits and never shows the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import httpx

from piyasad.providers.answer import Answer, count_of, finish_of, json_object, object_of, text_of
from piyasad.providers.http import HttpProvider
from piyasad.providers.interface import Completion, Request, Spent

VERSION: Final = "2023-06-01"  # the API's version header
CACHED_FROM: Final = 6_000
"""Characters of a system text that may reach a model's least cached prompt (1,024 to 4,096 tokens, by model)."""

_NO_SAMPLING: Final = ("claude-haiku-5-5",)  # temperature, top_p and top_k are no parameters of these


class AnthropicProvider(HttpProvider):
    """`base_url` carries its version (…/v1)."""

    optional = ("temperature", "thinking")
    listing = "?limit=1000"  # 20 unless told, 1,000 at most (docs.anthropic.com/en/api/models-list)

    def __init__(self, name: str, base_url: str, key: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(name, base_url, key, *args, **kwargs)
        self._headers |= {"x-api-key": key, "anthropic-version": VERSION}
        self._url = httpx.URL(f"{self._base}/messages")

    def url(self) -> httpx.URL:
        return self._url

    def body(self, request: Request) -> dict[str, Any]:
        system, user = self.texts(request)
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": request.max_tokens + self.allowance,
            "messages": [{"role": "user", "content": user}],
            "thinking": {"type": "disabled"},
        }
        if system:
            block: dict[str, Any] = {"type": "text", "text": system}
            cached = {"cache_control": {"type": "ephemeral"}} if len(system) >= CACHED_FROM else {}
            body["system"] = [block | cached]
        if not self.model.startswith(_NO_SAMPLING):
            body["temperature"] = min(1.0, self.temperature(request))
        for name in self.abilities.without:
            body.pop(name, None)
        return body

    def completion(self, request: Request, body: Mapping[str, Any], answer: Answer) -> Completion:
        found = json_object(answer.content)
        blocks = found.get("content")
        if found.get("error") or str(found.get("type")).lower() == "error" or blocks is None:
            raise self.mistaken(answer, found.get("error"), body)
        finish = str(found.get("stop_reason") or "end_turn")
        thought = isinstance(blocks, list) and any("thinking" in str(object_of(each).get("type")) for each in blocks)
        spent = _spent(object_of(found.get("usage")))
        return self.completed(request, answer, text_of(blocks), finish=finish_of(finish), spent=spent, thought=thought)


def _spent(usage: Mapping[str, Any]) -> Spent | None:
    """What was used; None when it did not say. What was read from and written to the cache is part of the prompt."""
    read, written = count_of(usage.get("cache_read_input_tokens")), count_of(usage.get("cache_creation_input_tokens"))
    prompt = count_of(usage.get("input_tokens")) + read + written
    completion = count_of(usage.get("output_tokens"))
    return Spent(prompt, read, completion, written) if prompt or completion else None
