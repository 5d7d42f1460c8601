"""Anthropic's dialect: Messages, with the stable system prompt marked for the prompt cache.

The gateway calls it through `HttpProvider`'s interface. It never waits and never shows the key.
"""

from __future__ import annotations

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

VERSION: Final = "2023-06-01"  # the API's version header


class AnthropicProvider(HttpProvider):
    """`base_url` carries its version (…/v1)."""

    optional = ("temperature", "thinking")
    listing = "?limit=1000"  # 20 unless told, 1,000 at most (docs.anthropic.com/en/api/models-list)

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
        self._headers |= {"x-api-key": key, "anthropic-version": VERSION}
        self._url = httpx.URL(f"{self._base}/messages")

    def url(self) -> httpx.URL:
        return self._url

    def body(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": request.max_tokens,
            "system": [{"type": "text", "text": request.system, "cache_control": {"type": "ephemeral"}}],
            "messages": [{"role": "user", "content": request.user}],
            "temperature": min(1.0, self.temperature(request)),
            "thinking": {"type": "disabled"},
        }
        for name in self._dropped:
            body.pop(name, None)
        return body

    def completion(self, response: httpx.Response) -> Completion:
        answer = json_object(response.content)
        if not answer:
            raise Transient(f"{self.name}: something else than an answer came back ({kind_of(response)})")
        usage = _usage(answer.get("usage"))
        blocks = answer.get("content")
        texts = [
            str(block.get("text") or "")
            for block in (blocks if isinstance(blocks, list) else ())
            if isinstance(block, dict) and block.get("type") == "text"
        ]
        text, finish = "".join(texts).strip(), str(answer.get("stop_reason") or "end_turn")
        failure: ProviderError | None = None
        if finish == "refusal":
            failure = Refused(f"{self.name}: {self.model} refuses this content")
        elif not text:
            failure = Transient(f"{self.name}: {self.model} gave an empty text ({finish})")
        if failure is not None:
            failure.usage = usage
            raise failure
        prompt, cached, spent = usage or (0, 0, 0)
        finish = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length"}.get(finish, finish)
        return Completion(text, self.name, self.model, prompt, cached, spent, finish=finish, facts=self.facts(response))

    def failure(self, response: httpx.Response, body: dict[str, Any]) -> ProviderError:
        status = response.status_code
        error = json_object(response.content).get("error")
        error = error if isinstance(error, dict) else {}
        message = str(error.get("message") or "")
        shown = self.shown(response, message)
        if status == 429:
            return Throttled(shown, wait_of(response, message), window_of(message))
        if status == 401 or (status == 403 and error):
            return BadKey(f"{self.name}: {status} the key is refused")
        if status == 402 or "credit balance" in message:
            return BadKey(f"{self.name}: {status} the account is out of credit")
        if status == 404:
            return BadModel(shown if message else f"{shown}; is base_url right?")
        if status == 400:
            parameter = refused_parameter(message, body, self.optional)
            return RefusedParameter(shown, parameter) if parameter else BadRequest(shown)
        if status >= 500:
            return ServerFault(shown)
        return Transient(shown) if status in {403, 408, 409, 425} or 300 <= status < 400 else BadRequest(shown)


def _usage(usage: Any) -> tuple[int, int, int] | None:
    """Prompt, cached and completion tokens; what was read from and written to the cache is part of the prompt."""
    if not isinstance(usage, dict):
        return None
    read, written = count_of(usage.get("cache_read_input_tokens")), count_of(usage.get("cache_creation_input_tokens"))
    return count_of(usage.get("input_tokens")) + read + written, read, count_of(usage.get("output_tokens"))
