"""Gemini's own dialect: generateContent with a system instruction. Waits and quotas stand in the body, not in headers.

The gateway calls it through `HttpProvider`'s interface. It never waits and never shows the key.
"""

from __future__ import annotations

import re
from typing import Any, Final

import httpx

from piyasad.providers.http import (
    Client,
    HttpProvider,
    RefusedParameter,
    body_wait,
    count_of,
    json_object,
    kind_of,
    refused_parameter,
    window_of,
)
from piyasad.providers.interface import (
    BadKey,
    BadModel,
    BadRequest,
    Completion,
    ProviderError,
    Refused,
    Request,
    ServerFault,
    Throttled,
    Transient,
)
from piyasad.providers.limit_facts import of_gemini

_KEY_WORDS: Final = re.compile(r"api[ _]key", re.IGNORECASE)
# Gemini 3.6 and later deprecate temperature, top_p and top_k (the API's changelog, 21 July 2026).
_NO_SAMPLING: Final = re.compile(r"gemini-(3\.[6-9]|[4-9])")
_REFUSALS: Final = frozenset({"SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "RECITATION"})


class GeminiProvider(HttpProvider):
    """`base_url` carries its version (…/v1beta)."""

    optional = ("temperature", "thinkingConfig")
    listing = "?pageSize=1000"  # 50 unless told, 1,000 at most (ai.google.dev/api/models)

    def __init__(
        self,
        name: str,
        base_url: str,
        key: str,
        model: str,
        client: Client,
        *,
        temperature: float | None = None,
    ) -> None:
        super().__init__(name, base_url, key, model, client, temperature=temperature)
        self._headers["x-goog-api-key"] = key

    @property
    def allowance(self) -> int:
        return 0 if self.model.startswith("gemini-2.") else 64  # Gemini 3 thinks at least "minimal"

    def url(self) -> httpx.URL:
        return httpx.URL(f"{self._base}/models/{self.model.removeprefix('models/')}:generateContent")

    def body(self, request: Request) -> dict[str, Any]:
        config: dict[str, Any] = {"maxOutputTokens": request.max_tokens + self.allowance}
        if not _NO_SAMPLING.match(self.model):
            config["temperature"] = self.temperature(request)
        if self.model.startswith("gemini-2.5"):
            config["thinkingConfig"] = {"thinkingBudget": 0}
        elif re.match(r"gemini-[3-9]", self.model):
            config["thinkingConfig"] = {"thinkingLevel": "minimal"}
        for name in self._dropped:
            config.pop(name, None)
        return {
            "systemInstruction": {"parts": [{"text": request.system}]},
            "contents": [{"role": "user", "parts": [{"text": request.user}]}],
            "generationConfig": config,
        }

    def names_in(self, listing: dict[str, Any]) -> list[str]:
        rows = listing.get("models")
        rows = rows if isinstance(rows, list) else []
        return [str(row["name"]).removeprefix("models/") for row in rows if isinstance(row, dict) and "name" in row]

    def completion(self, response: httpx.Response) -> Completion:
        answer = json_object(response.content)
        if not answer:
            raise Transient(f"{self.name}: something else than an answer came back ({kind_of(response)})")
        usage = _usage(answer.get("usageMetadata"))
        candidates = answer.get("candidates")
        candidate = candidates[0] if isinstance(candidates, list) and candidates else {}
        candidate = candidate if isinstance(candidate, dict) else {}
        finish = str(candidate.get("finishReason") or "STOP")
        feedback = answer.get("promptFeedback")
        blocked = feedback.get("blockReason") if isinstance(feedback, dict) else None
        text = _text(candidate.get("content"))
        failure: ProviderError | None = None
        if blocked or finish in _REFUSALS:
            failure = Refused(f"{self.name}: {self.model} refuses this content ({blocked or finish})")
        elif not text:
            why = "spent its whole output on thinking" if finish == "MAX_TOKENS" else "gave an empty text"
            failure = Transient(f"{self.name}: {self.model} {why}")
        if failure is not None:
            failure.usage = usage
            raise failure
        prompt, cached, spent = usage or (0, 0, 0)
        finish = {"STOP": "stop", "MAX_TOKENS": "length"}.get(finish, finish.lower())
        return Completion(text, self.name, self.model, prompt, cached, spent, finish=finish, facts=self.facts(response))

    def failure(self, response: httpx.Response, body: dict[str, Any]) -> ProviderError:
        status = response.status_code
        error = json_object(response.content).get("error")
        error = error if isinstance(error, dict) else {}
        message = str(error.get("message") or "")
        shown = self.shown(response, message.partition("\n")[0])
        if status == 429:
            return self._throttled(error, message, shown)
        if (status in {401, 403} and error) or (status == 400 and _KEY_WORDS.search(message)):
            return BadKey(f"{self.name}: {status} the key is refused")
        if status == 404:
            return BadModel(shown if message else f"{shown}; is base_url right?")
        if status == 400:
            if "billing" in message.lower() or error.get("status") == "FAILED_PRECONDITION":
                return BadKey(shown)  # the free tier is not offered in this country
            parameter = refused_parameter(_spelled(message), body.get("generationConfig") or {}, self.optional)
            return RefusedParameter(shown, parameter) if parameter else BadRequest(shown)
        if status >= 500:
            return ServerFault(shown)
        return Transient(shown) if status in {401, 403, 408, 409, 425} or 300 <= status < 400 else BadRequest(shown)

    def _throttled(self, error: dict[str, Any], message: str, shown: str) -> ProviderError:
        """`RetryInfo.retryDelay` is the wait; `QuotaFailure` names the quota. With a day's the wait means nothing."""
        wait, quotas, facts = body_wait(message), "", []
        details = error.get("details")
        for detail in details if isinstance(details, list) else ():
            if not isinstance(detail, dict):
                continue
            if str(detail.get("@type", "")).endswith("RetryInfo"):
                told = body_wait(f"retry in {detail.get('retryDelay', '')}")
                wait = told if told is not None else wait
            for violation in detail.get("violations") or ():
                if isinstance(violation, dict):
                    quota_id = str(violation.get("quotaId", ""))
                    quotas += f" {quota_id}"
                    facts.append(of_gemini(quota_id, str(violation.get("quotaValue", ""))))
        if re.search(r"limit: 0\b", message):
            return BadModel(f"{self.name}: this key has no quota for {self.model}")
        window = window_of(quotas) or window_of(message)
        throttled = Throttled(shown, None if window == "day" else wait, window)
        throttled.facts = tuple(fact for fact in facts if fact is not None)
        return throttled


def _spelled(message: str) -> str:
    """Their errors name fields in snake case."""
    return message.replace("thinking_config", "thinkingConfig").replace("thinking_level", "thinkingConfig")


def _text(content: Any) -> str:
    parts = content.get("parts") if isinstance(content, dict) else None
    texts = [str(part.get("text") or "") for part in parts or () if isinstance(part, dict) and not part.get("thought")]
    return "".join(texts).strip()


def _usage(usage: Any) -> tuple[int, int, int] | None:
    """Prompt, cached and completion tokens; thoughts are paid as output."""
    if not isinstance(usage, dict):
        return None
    spent = count_of(usage.get("candidatesTokenCount")) + count_of(usage.get("thoughtsTokenCount"))
    return count_of(usage.get("promptTokenCount")), count_of(usage.get("cachedContentTokenCount")), spent
