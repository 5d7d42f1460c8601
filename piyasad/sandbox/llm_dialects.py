"""The three dialects that the sandbox's LLM provider speaks: what a request says, how an answer and an error look.

Used by `llm.py` alone. Forms and wordings follow the real ones' documentation and public issue reports (2025–2026).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from aiohttp import web

from piyasad.sandbox.llm_faults import ApiError
from piyasad.sandbox.llm_limits import Account

DEFAULT_MAX_TOKENS = 1024  # what an answer may cost when the request does not say


@dataclass(frozen=True, slots=True)
class Question:
    """What a request asks, in any dialect. `given` are the names of the parameters it carries."""

    model: str
    system: str
    texts: tuple[str, ...]  # all messages, the system prompt first
    most: int
    given: dict[str, Any]
    thoughtless: bool = False  # it asks the model not to think


@dataclass(frozen=True, slots=True)
class Answer:
    """A text with what it cost. `finish` is stop, length or content_filter."""

    number: int
    text: str
    finish: str
    prompt: int
    cached: int
    spent: int
    in_parts: bool = False  # thoughts and text as parts of a list


class Dialect(Protocol):
    """One API's form."""

    def key(self, request: web.Request) -> str:
        """The key that the request carries; "" without one."""
        ...

    def question(self, request: web.Request, body: Any) -> Question:
        """What is asked. Raises ApiError."""
        ...

    def answer(self, question: Question, answer: Answer) -> dict[str, Any]:
        """The body of a 200."""
        ...

    def error(self, error: ApiError, account: Account | None) -> web.Response:
        """The response of a refusal."""
        ...

    def headers(self, account: Account, now: float) -> dict[str, str]:
        """The limits' headers of a 200."""
        ...

    def listing(self, models: tuple[str, ...]) -> dict[str, Any]:
        """The body of GET /models."""
        ...

    def no_system(self, model: str) -> ApiError:
        """The refusal of a system text by a model that knows no such role."""
        ...

    def must_think(self, model: str) -> ApiError:
        """The refusal of a model that cannot but think."""
        ...


def _texts(ok: bool, problem: str) -> None:
    if not ok:
        raise ApiError(400, problem, "invalid_request_error")


class OpenAI:
    """Chat Completions, with Groq's headers and wordings."""

    def key(self, request: web.Request) -> str:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        return key.strip() if scheme.lower() == "bearer" else ""

    def question(self, request: web.Request, body: Any) -> Question:
        _texts(isinstance(body, dict) and isinstance(body.get("model"), str), "'model' : property 'model' is missing")
        messages = body.get("messages")
        good = isinstance(messages, list) and bool(messages)
        good = good and all(isinstance(m, dict) and isinstance(m.get("content"), str) for m in messages)
        _texts(good, "'messages' : minimum number of items is 1")
        most = int(body.get("max_completion_tokens") or body.get("max_tokens") or DEFAULT_MAX_TOKENS)
        system = messages[0]["content"] if messages[0].get("role") == "system" else ""
        thoughtless = body.get("reasoning_effort") in {"none", "minimal"} or body.get("reasoning") == {"enabled": False}
        return Question(body["model"], system, tuple(m["content"] for m in messages), most, body, thoughtless)

    def answer(self, question: Question, answer: Answer) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-sandbox-{answer.number}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": question.model,
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": self._parts(answer) if answer.in_parts else answer.text,
                    },
                    "logprobs": None,
                    "finish_reason": answer.finish,
                }
            ],
            "usage": {
                "prompt_tokens": answer.prompt,
                "completion_tokens": answer.spent,
                "total_tokens": answer.prompt + answer.spent,
                "prompt_tokens_details": {"cached_tokens": answer.cached},
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
        }

    def error(self, error: ApiError, account: Account | None) -> web.Response:
        row = {"message": error.message, "type": error.kind}
        row |= {name: value for name, value in (("param", error.param), ("code", error.code)) if value is not None}
        headers = account.headers(time.monotonic()) if account is not None and error.refusal is not None else {}
        if error.refusal is not None and not error.refusal.too_large:
            headers["retry-after"] = str(max(1, round(error.refusal.wait)))
        return web.json_response({"error": row}, status=error.status, headers=headers)

    def headers(self, account: Account, now: float) -> dict[str, str]:
        return account.headers(now)

    def listing(self, models: tuple[str, ...]) -> dict[str, Any]:
        rows = [{"id": name, "object": "model", "created": 1_750_000_000, "owned_by": "sandbox"} for name in models]
        return {"object": "list", "data": rows}

    def no_system(self, model: str) -> ApiError:
        text = "Unsupported value: 'messages[0].role' does not support 'system' with this model."
        return ApiError(400, text, "invalid_request_error", "unsupported_value", "messages[0].role")

    def must_think(self, model: str) -> ApiError:
        return ApiError(
            400, "Reasoning is mandatory for this endpoint and cannot be disabled.", "invalid_request_error"
        )

    def _parts(self, answer: Answer) -> list[dict[str, Any]]:
        """As Mistral's thinking models give it."""
        thought = {"type": "thinking", "thinking": [{"type": "text", "text": "hmm"}]}
        return [thought, {"type": "text", "text": answer.text}]


class Gemini:
    """generateContent: no limit headers; the wait and the quota's name stand in the error's details."""

    STATUS: ClassVar = {
        400: "INVALID_ARGUMENT",
        401: "UNAUTHENTICATED",
        403: "PERMISSION_DENIED",
        404: "NOT_FOUND",
        429: "RESOURCE_EXHAUSTED",
        500: "INTERNAL",
        503: "UNAVAILABLE",
    }

    def key(self, request: web.Request) -> str:
        return request.headers.get("x-goog-api-key", "") or request.query.get("key", "")

    def question(self, request: web.Request, body: Any) -> Question:
        _texts(isinstance(body, dict), "Invalid JSON payload received.")
        system = "".join(_parts(body.get("systemInstruction")))
        contents = body.get("contents")
        texts = tuple("".join(_parts(row)) for row in contents) if isinstance(contents, list) else ()
        _texts(any(texts), "* GenerateContentRequest.contents: contents is not specified")
        config = body.get("generationConfig")
        config = config if isinstance(config, dict) else {}
        most = int(config.get("maxOutputTokens") or DEFAULT_MAX_TOKENS)
        thoughtless = config.get("thinkingConfig") in ({"thinkingBudget": 0}, {"thinkingLevel": "minimal"})
        return Question(request.match_info["model"], system, (system, *texts), most, config, thoughtless)

    def answer(self, question: Question, answer: Answer) -> dict[str, Any]:
        reason = {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}[answer.finish]
        candidate: dict[str, Any] = {"finishReason": reason, "index": 0}
        if answer.text:
            thought = [{"text": "hmm", "thought": True}] if answer.in_parts else []
            candidate["content"] = {"parts": [*thought, {"text": answer.text}], "role": "model"}
        return {
            "candidates": [candidate],
            "usageMetadata": {
                "promptTokenCount": answer.prompt,
                "cachedContentTokenCount": answer.cached,
                "candidatesTokenCount": answer.spent,
                "totalTokenCount": answer.prompt + answer.spent,
            },
            "modelVersion": question.model,
            "responseId": f"sandbox-{answer.number}",
        }

    def error(self, error: ApiError, account: Account | None) -> web.Response:
        status = 400 if error.status == 401 else 429 if error.status == 413 and error.refusal else error.status
        message = "API key not valid. Please pass a valid API key." if error.status == 401 else error.message
        row: dict[str, Any] = {"code": status, "status": self.STATUS.get(status, "UNKNOWN")}
        if error.refusal is not None:
            refusal = error.refusal
            what = "Requests" if refusal.what == "requests" else "ContentInputTokens"
            quota = f"Generate{what}Per{refusal.per.capitalize()}PerProjectPerModel-FreeTier"
            kind = "requests" if refusal.what == "requests" else "input_token_count"
            metric = f"generativelanguage.googleapis.com/generate_content_free_tier_{kind}"
            # With a day's quota the real one still names a wait of seconds.
            wait = min(refusal.wait, 59.9)
            message = (
                "You exceeded your current quota, please check your plan and billing details.\n"
                f"* Quota exceeded for metric: {metric}, limit: {refusal.limit}\nPlease retry in {wait:.9f}s."
            )
            row["details"] = [
                {
                    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                    "violations": [{"quotaMetric": metric, "quotaId": quota, "quotaValue": str(refusal.limit)}],
                },
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{wait:.3f}s"},
            ]
        return web.json_response({"error": row | {"message": message}}, status=status)

    def headers(self, account: Account, now: float) -> dict[str, str]:
        return {}

    def listing(self, models: tuple[str, ...]) -> dict[str, Any]:
        return {
            "models": [{"name": f"models/{name}", "supportedGenerationMethods": ["generateContent"]} for name in models]
        }

    def no_system(self, model: str) -> ApiError:
        return ApiError(400, f"Developer instruction is not enabled for models/{model}", "invalid_request_error")

    def must_think(self, model: str) -> ApiError:
        text = "Budget 0 is invalid. This model only works in thinking mode."
        return ApiError(400, text, "invalid_request_error")


class Anthropic:
    """Messages: limits per minute in `anthropic-ratelimit-*` headers."""

    KIND: ClassVar = {
        400: "invalid_request_error",
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        529: "overloaded_error",
    }

    def key(self, request: web.Request) -> str:
        return request.headers.get("x-api-key", "")

    def question(self, request: web.Request, body: Any) -> Question:
        _texts(isinstance(body, dict) and isinstance(body.get("model"), str), "model: Field required")
        _texts("anthropic-version" in request.headers, "anthropic-version: header is required")
        _texts(isinstance(body.get("max_tokens"), int), "max_tokens: Field required")
        system = body.get("system") or ""
        system = system if isinstance(system, str) else "".join(str(block.get("text", "")) for block in system)
        messages = body.get("messages")
        good = isinstance(messages, list) and bool(messages)
        good = good and all(isinstance(m, dict) and isinstance(m.get("content"), str) for m in messages)
        _texts(good, "messages: at least one message is required")
        texts = (system, *(m["content"] for m in messages))
        thoughtless = body.get("thinking") == {"type": "disabled"}
        return Question(body["model"], system, texts, int(body["max_tokens"]), body, thoughtless)

    def answer(self, question: Question, answer: Answer) -> dict[str, Any]:
        reason = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}[answer.finish]
        thought = [{"type": "thinking", "thinking": "hmm", "signature": "x"}] if answer.in_parts else []
        return {
            "id": f"msg_sandbox_{answer.number}",
            "type": "message",
            "role": "assistant",
            "model": question.model,
            "content": [*thought, {"type": "text", "text": answer.text}] if answer.text else [],
            "stop_reason": reason,
            "usage": {
                "input_tokens": answer.prompt - answer.cached,
                "cache_read_input_tokens": answer.cached,
                "cache_creation_input_tokens": 0,
                "output_tokens": answer.spent,
            },
        }

    def error(self, error: ApiError, account: Account | None) -> web.Response:
        message = error.message
        if error.status == 401:
            message = "invalid x-api-key"
        elif error.status == 404:
            message = error.message.replace("The model `", "model: ").partition("`")[0]
        elif error.refusal is not None:
            message = (
                f"This request would exceed your organization's rate limit of {error.refusal.limit} "
                f"{error.refusal.what} per {error.refusal.per}."
            )
        kind = self.KIND.get(error.status, "api_error")
        headers: dict[str, str] = {}
        if error.refusal is not None:
            headers["retry-after"] = str(max(1, round(error.refusal.wait)))
        row = {"type": "error", "error": {"type": kind, "message": message}}
        return web.json_response(row, status=error.status, headers=headers)

    def headers(self, account: Account, now: float) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, window, limit in (
            ("requests", account.requests_minute, account.limits.rpm),
            ("tokens", account.tokens_minute, account.limits.tpm),
        ):
            if limit is not None:
                window.expire(now)
                found[f"anthropic-ratelimit-{name}-limit"] = str(limit)
                found[f"anthropic-ratelimit-{name}-remaining"] = str(max(0, limit - window.used))
        return found

    def listing(self, models: tuple[str, ...]) -> dict[str, Any]:
        return {"data": [{"type": "model", "id": name, "display_name": name} for name in models], "has_more": False}

    def no_system(self, model: str) -> ApiError:
        return ApiError(400, "system: Extra inputs are not permitted", "invalid_request_error")

    def must_think(self, model: str) -> ApiError:
        text = "thinking: this model cannot be used with thinking disabled"
        return ApiError(400, text, "invalid_request_error")


def _parts(content: Any) -> list[str]:
    parts = content.get("parts") if isinstance(content, dict) else None
    return [str(part.get("text") or "") for part in parts or () if isinstance(part, dict)]
