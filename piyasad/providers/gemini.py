"""Gemini's own dialect: generateContent with a system instruction. Waits and quotas stand in the body, not in headers.

The gateway calls it through `HttpProvider`'s interface. It never waits and never shows the key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx

from piyasad.language import border
from piyasad.providers.answer import Answer, count_of, finish_of, json_object, object_of, rows_of, text_of
from piyasad.providers.http import HttpProvider
from piyasad.providers.interface import Completion, Request, Spent
from piyasad.providers.limit_facts import Fact, of_gemini
from piyasad.providers.refusal import Told

# Gemini 3.6 and later deprecate temperature, top_p and top_k (the API's changelog, 21 July 2026).
_NO_SAMPLING: Final = re.compile(r"gemini-(3\.[6-9]|[4-9])")
_LEAST_DAY_WAIT: Final = 60.0  # s; with a day's quota a shorter retryDelay means nothing
# The least thinking first. A budget is a number of tokens; what models of 2026 take at least when they take none of 0.
_BUDGETS: Final = ("0", "128", "512")
_LEVELS: Final = ("minimal", "low")


class GeminiProvider(HttpProvider):
    """`base_url` carries its version (…/v1beta)."""

    optional = ("temperature", "thinkingConfig")
    listing = "?pageSize=1000"  # 50 unless told, 1,000 at most (ai.google.dev/api/models)

    def __init__(self, name: str, base_url: str, key: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(name, base_url, key, *args, **kwargs)
        self._headers["x-goog-api-key"] = key
        model = quote(self.model.removeprefix("models/"), safe="/:@")
        self._url = httpx.URL(f"{self._base}/models/{model}:generateContent")

    @property
    def thinks(self) -> int:
        if self.abilities.thinking.isdigit():
            return int(self.abilities.thinking) + 64
        return 0 if self.model.startswith("gemini-2.") else 64  # Gemini 3 thinks at least "minimal"

    def url(self) -> httpx.URL:
        return self._url

    def body(self, request: Request) -> dict[str, Any]:
        system, user = self.texts(request)
        config: dict[str, Any] = {"maxOutputTokens": request.max_tokens + self.allowance}
        if not _NO_SAMPLING.match(self.model):
            config["temperature"] = self.temperature(request)
        if self.model.startswith("gemini-2.5"):
            config["thinkingConfig"] = {"thinkingBudget": _budget(self.abilities.thinking)}
        elif re.match(r"gemini-[3-9]", self.model):
            level = self.abilities.thinking
            config["thinkingConfig"] = {"thinkingLevel": level if level in _LEVELS else _LEVELS[0]}
        for name in self.abilities.without:
            config.pop(name, None)
        body: dict[str, Any] = {
            "contents": [{"role": "user", "parts": [{"text": user}]}],
            "generationConfig": config,
        }
        return body | ({"systemInstruction": {"parts": [{"text": system}]}} if system else {})

    def parameters(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        return object_of(body.get("generationConfig"))

    def think_more(self, said: str, sent: object) -> bool:
        config = object_of(sent)
        by_budget = "thinkingBudget" in config
        steps: tuple[str, ...] = _BUDGETS if by_budget else _LEVELS
        now = str(config.get("thinkingBudget" if by_budget else "thinkingLevel"))
        after = steps[steps.index(now) + 1 :] if now in steps else ()
        return bool(after) and self.abilities.think(after[0])

    def names_in(self, listing: dict[str, Any]) -> list[str]:
        return [str(row["name"]).removeprefix("models/") for row in rows_of(listing.get("models")) if "name" in row]

    def completion(self, request: Request, body: Mapping[str, Any], answer: Answer) -> Completion:
        found = json_object(answer.content)
        candidates = rows_of(found.get("candidates"))
        blocked = object_of(found.get("promptFeedback")).get("blockReason")
        if found.get("error") or not (candidates or blocked):
            raise self.mistaken(answer, found.get("error"), body)
        texts = [(each, text_of(each.get("content"))) for each in candidates] or [({}, "")]
        candidate, text = next(((each, text) for each, text in texts if text.strip()), texts[0])
        finish = candidate.get("finishReason")
        usage = object_of(found.get("usageMetadata"))
        return self.completed(
            request,
            answer,
            text,
            finish="refused" if blocked else finish_of(finish),
            spent=_spent(usage),
            thought=count_of(usage.get("thoughtsTokenCount")) > 0,
            why=border.received(str(blocked or finish or ""), 40),
        )

    def limit_wait(self, wait: float | None, window: str) -> float | None:
        """Of a day's quota a wait of seconds is named all the same; one of hours is meant, whatever the reset hour."""
        return None if wait is not None and window in {"day", "month"} and wait < _LEAST_DAY_WAIT else wait

    def said(self, told: Told) -> tuple[Fact, ...]:
        """`QuotaFailure` names the quota and its value."""
        rows = [(str(node["quotaId"]), str(node.get("quotaValue", ""))) for node in told.nodes if "quotaId" in node]
        return tuple(fact for fact in (of_gemini(*row) for row in rows) if fact is not None)


def _budget(thinking: str) -> int:
    return int(thinking) if thinking in _BUDGETS else 0


def _spent(usage: Mapping[str, Any]) -> Spent | None:
    """What was used; None when it did not say. Thoughts are paid as output."""
    prompt = count_of(usage.get("promptTokenCount"))
    completion = count_of(usage.get("candidatesTokenCount")) + count_of(usage.get("thoughtsTokenCount"))
    if not prompt and not completion:
        return None
    return Spent(prompt, min(prompt, count_of(usage.get("cachedContentTokenCount"))), completion)
