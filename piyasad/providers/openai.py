"""The Chat Completions dialect: OpenAI, Groq, Ollama, OpenRouter, Mistral, vLLM and the like by `base_url`.

The gateway calls it. One call either gives a text or raises one of the failure classes of `base.py`; it never waits,
never tries again (but for a parameter that the model refuses) and never shows the key.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any, Final

import httpx

from piyasad.providers.base import (
    BadKey,
    BadModel,
    BadRequest,
    Completion,
    ProviderError,
    Refused,
    Request,
    ServerFault,
    Throttled,
    TimedOut,
    Transient,
)
from piyasad.providers.http import count_of, json_object, kind_of, limit_headers, safe, send, wait_of, window_of

_UNSUPPORTED = re.compile(r"unsupported|not support|unknown|unrecognized|deprecated|not permitted|extra", re.IGNORECASE)
_KEY_WORDS = re.compile(r"api[ _-]?key", re.IGNORECASE)
_OPTIONAL: Final = ("temperature", "reasoning_effort", "max_completion_tokens", "max_tokens")


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


class OpenAIProvider:
    """One model of one API with one key. `client` is shared and not closed here."""

    def __init__(
        self,
        name: str,
        base_url: str,
        key: str,
        model: str,
        client: httpx.AsyncClient,
        *,
        temperature: float | None = None,
    ) -> None:
        self.name = name
        self.model = model
        self._key = key
        self._client = client
        self._temperature = temperature
        self._base = base_url.rstrip("/")
        self._url = httpx.URL(f"{self._base}/chat/completions")
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self._limit = "max_completion_tokens" if self._url.host.endswith("openai.com") else "max_tokens"
        self._dropped: set[str] = set()

    @property
    def allowance(self) -> int:
        """Output tokens asked for beyond the request's, because the model thinks first."""
        return reasoning(self.model)[1]

    def use_model(self, model: str) -> None:
        """Go on with another model; what the old one refused is forgotten."""
        self.model = model
        self._dropped.clear()

    async def complete(self, request: Request, *, timeout: float) -> Completion:
        """Make one call within `timeout` seconds; it is repeated at once without a parameter that the model refuses."""
        try:
            async with asyncio.timeout(timeout):
                for _ in _OPTIONAL:
                    try:
                        return await self._call(request)
                    except _RefusedParameter as refused:
                        self._forgo(refused.parameter)
                return await self._call(request)
        except TimeoutError:
            raise TimedOut(f"{self.name}: no answer within {timeout:.1f} s") from None

    async def models(self, *, timeout: float = 10.0) -> list[str]:
        """The models that this key may use, for `check --online`."""
        try:
            async with asyncio.timeout(timeout):
                response = await self._send("GET", httpx.URL(f"{self._base}/models"), None)
        except TimeoutError:
            raise TimedOut(f"{self.name}: no answer within {timeout:.1f} s") from None
        if response.status_code != 200:
            raise self._failure(response, {})
        rows = json_object(response.content).get("data")
        return sorted(str(row["id"]) for row in rows or () if isinstance(row, dict) and "id" in row)

    async def close(self) -> None:
        """Nothing to give back: the client is shared."""

    # --- one call
    async def _call(self, request: Request) -> Completion:
        body = self._body(request)
        response = await self._send("POST", self._url, json.dumps(body, ensure_ascii=False).encode())
        if response.status_code != 200:
            raise self._failure(response, body)
        return self._completion(response)

    def _body(self, request: Request) -> dict[str, Any]:
        effort, allowance = reasoning(self.model)
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [
                {"role": "system", "content": request.system},
                {"role": "user", "content": request.user},
            ],
            self._limit: request.max_tokens + allowance,
            "temperature": request.temperature if self._temperature is None else self._temperature,
        }
        if effort is not None:
            body["reasoning_effort"] = effort
        for name in self._dropped:
            body.pop(name, None)
        return body

    def _forgo(self, parameter: str) -> None:
        """Remember what this model refuses; the output limit has two names, the other one is tried first."""
        if parameter == "max_tokens" and "max_completion_tokens" not in self._dropped:
            self._limit = "max_completion_tokens"
        elif parameter == "max_completion_tokens" and "max_tokens" not in self._dropped:
            self._limit = "max_tokens"
        self._dropped.add(parameter)

    async def _send(self, method: str, url: httpx.URL, content: bytes | None) -> httpx.Response:
        return await send(self._client, self.name, method, url, self._headers, content)

    def _completion(self, response: httpx.Response) -> Completion:
        answer = json_object(response.content)
        if not answer:
            raise Transient(f"{self.name}: something else than an answer came back ({kind_of(response)})")
        usage = _usage(answer.get("usage"))
        choices = answer.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
        message = choice.get("message")
        message = message if isinstance(message, dict) else {}
        text, finish = message.get("content"), str(choice.get("finish_reason") or "stop")
        text = text.strip() if isinstance(text, str) else ""
        failure: ProviderError | None = None
        if finish == "content_filter" or (not text and message.get("refusal")):
            failure = Refused(f"{self.name}: {self.model} refuses this content")
        elif not text:
            why = "spent its whole output on thinking" if finish == "length" else "gave an empty text"
            failure = Transient(f"{self.name}: {self.model} {why}")
        if failure is not None:
            failure.usage = usage
            raise failure
        prompt, cached, spent = usage or (0, 0, 0)
        return Completion(
            text=text,
            provider=self.name,
            model=self.model,
            prompt_tokens=prompt,
            cached_tokens=cached,
            completion_tokens=spent,
            finish=finish,
            headers=limit_headers(response),
        )

    # --- failures
    def _failure(self, response: httpx.Response, body: dict[str, Any]) -> ProviderError:
        """The class of a response that is no answer."""
        status = response.status_code
        error = json_object(response.content).get("error")
        error = error if isinstance(error, dict) else {"message": error} if isinstance(error, str) else {}
        message, code = str(error.get("message") or ""), str(error.get("code") or "")
        kind = str(error.get("type") or "")
        shown = f"{self.name}: {status} {safe(message, self._key) or kind_of(response)}".rstrip()
        if "insufficient_quota" in {code, kind} or status == 402:
            return BadKey(f"{self.name}: {status} the account is out of credit or over its monthly budget")
        if status == 429:
            if message.startswith("Request too large"):
                return BadRequest(shown)
            return Throttled(shown, wait_of(response, message), window_of(message))
        if status == 401 or (status == 403 and error) or (status == 400 and _KEY_WORDS.search(message)):
            return BadKey(f"{self.name}: {status} the key is refused")  # their text may quote the key
        if status == 404 or code in {"model_not_found", "model_decommissioned"}:
            return BadModel(shown if message else f"{shown}; is base_url right?")
        if code in {"content_filter", "content_policy_violation"}:
            return Refused(shown)
        if status == 400 or status == 422:
            parameter = _refused_parameter(error, message, body)
            return _RefusedParameter(shown, parameter) if parameter else BadRequest(shown)
        if status >= 500:
            return ServerFault(shown)
        if status in {403, 408, 409, 425} or 300 <= status < 400:
            return Transient(shown)
        return BadRequest(shown)


class _RefusedParameter(BadRequest):
    """The model does not take this parameter."""

    def __init__(self, message: str, parameter: str) -> None:
        super().__init__(message)
        self.parameter = parameter


def _refused_parameter(error: dict[str, Any], message: str, body: dict[str, Any]) -> str | None:
    """The optional parameter of ours that a 400 is about, if it is about one."""
    named = error.get("param")
    if named in body and named in _OPTIONAL:
        return str(named)
    if _UNSUPPORTED.search(message):
        return next((name for name in _OPTIONAL if name in body and name in message), None)
    return None


def _usage(usage: Any) -> tuple[int, int, int] | None:
    """Prompt, cached and completion tokens; None when the provider did not say."""
    if not isinstance(usage, dict):
        return None
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else usage.get("prompt_cache_hit_tokens")
    return count_of(usage.get("prompt_tokens")), count_of(cached), count_of(usage.get("completion_tokens"))
