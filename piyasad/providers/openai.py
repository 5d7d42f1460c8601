"""The Chat Completions dialect: OpenAI, Groq, Ollama, OpenRouter, Mistral, vLLM and the like by `base_url`.

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
    count_of,
    json_object,
    kind_of,
    refused_parameter,
    wait_of,
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

_KEY_WORDS: Final = re.compile(r"api[ _-]?key", re.IGNORECASE)


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

    optional = ("temperature", "reasoning_effort", "max_completion_tokens", "max_tokens")

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
        self._url = httpx.URL(f"{self._base}/chat/completions")
        self._reasoning = reasoning(model)
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._limit = "max_completion_tokens" if self._url.host.endswith("openai.com") else "max_tokens"

    @property
    def allowance(self) -> int:
        return self._reasoning[1]

    def use_model(self, model: str) -> None:
        """Go on with another model, which may think otherwise."""
        super().use_model(model)
        self._reasoning = reasoning(model)

    def url(self) -> httpx.URL:
        return self._url

    def body(self, request: Request) -> dict[str, Any]:
        effort, allowance = self._reasoning
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [
                {"role": "system", "content": request.system},
                {"role": "user", "content": request.user},
            ],
            self._limit: request.max_tokens + allowance,
            "temperature": self.temperature(request),
        }
        if effort is not None:
            body["reasoning_effort"] = effort
        for name in self._dropped:
            body.pop(name, None)
        return body

    def forgo(self, parameter: str) -> None:
        """Remember what this model refuses; the output limit has two names, the other one is tried first."""
        if parameter == "max_tokens" and "max_completion_tokens" not in self._dropped:
            self._limit = "max_completion_tokens"
        elif parameter == "max_completion_tokens" and "max_tokens" not in self._dropped:
            self._limit = "max_tokens"
        super().forgo(parameter)

    def completion(self, response: httpx.Response) -> Completion:
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
        return Completion(text, self.name, self.model, prompt, cached, spent, finish=finish, facts=self.facts(response))

    def failure(self, response: httpx.Response, body: dict[str, Any]) -> ProviderError:
        status = response.status_code
        error = json_object(response.content).get("error")
        error = error if isinstance(error, dict) else {"message": error} if isinstance(error, str) else {}
        message, code, kind = (str(error.get(name) or "") for name in ("message", "code", "type"))
        shown = self.shown(response, message)
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
        if status in {400, 422}:
            named = error.get("param")
            parameter = named if named in self.optional and named in body else None
            parameter = parameter or refused_parameter(message, body, self.optional)
            return RefusedParameter(shown, parameter) if parameter else BadRequest(shown)
        if status >= 500:
            return ServerFault(shown)
        if status in {403, 408, 409, 425} or 300 <= status < 400:
            return Transient(shown)
        return BadRequest(shown)


def _usage(usage: Any) -> tuple[int, int, int] | None:
    """Prompt, cached and completion tokens; None when the provider did not say."""
    if not isinstance(usage, dict):
        return None
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else usage.get("prompt_cache_hit_tokens")
    return count_of(usage.get("prompt_tokens")), count_of(cached), count_of(usage.get("completion_tokens"))
