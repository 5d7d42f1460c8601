"""An LLM provider of our own, on loopback: OpenAI-compatible paths with the real ones' limits, errors and moods.

The sandbox server mounts `LlmServer.app()` under /llm; tests and benches also run it alone. It knows nothing of
piyasad. Everything it counted can be asked for (`usage()`), so that tests compare it with our own books.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from aiohttp import web

from piyasad.sandbox.llm_faults import PLAIN, Fault, error_response
from piyasad.sandbox.llm_limits import Account, Limits, Refusal
from piyasad.sandbox.llm_text import MESSAGE_TOKENS, count_tokens, cut, write

MODELS = ("openai/gpt-oss-120b", "openai/gpt-oss-20b", "llama-3.3-70b-versatile", "gpt-4.1-mini", "gpt-6-luna")
DEFAULT_MAX_TOKENS = 1024  # what an answer may cost when the request does not say
HANG_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class LlmKey:
    """An API key with its limits."""

    key: str
    limits: Limits = field(default_factory=Limits)
    organization: str = "org_sandbox"


@dataclass(frozen=True, slots=True)
class LlmConfig:
    """How the server behaves at first. With no `keys`, any bearer key is taken, each with `limits` of its own."""

    keys: tuple[LlmKey, ...] = ()
    limits: Limits = field(default_factory=Limits)
    models: tuple[str, ...] = MODELS
    refuses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # model → parameters it refuses
    latency: tuple[float, float] = (0.0, 0.0)  # seconds, drawn uniformly
    cache_minimum: int = 1024  # prompts shorter than this are not cached (OpenAI's rule)
    seed: int = 0


@dataclass(slots=True)
class Tally:
    """What one key did with one model. `violations` are refusals that the client's own pace caused."""

    requests: int = 0
    answered: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    throttled: int = 0
    violations: int = 0
    faults: int = 0


class _Stop(Exception):
    """The request ends here with this response."""

    def __init__(self, response: web.StreamResponse) -> None:
        super().__init__()
        self.response = response


class LlmServer:
    """The provider. One event loop; state in memory."""

    def __init__(self, config: LlmConfig | None = None) -> None:
        self.config = config or LlmConfig()
        self.models: tuple[str, ...] = self.config.models
        self.latency = self.config.latency
        self.faults: list[Fault] = []
        self.tallies: dict[tuple[str, str], Tally] = {}
        self._organizations: dict[str, str] = {}
        self._accounts: dict[str, Account] = {}
        self._open = not self.config.keys
        self._rng = random.Random(self.config.seed)
        self._prefixes: dict[tuple[str, str, str], float] = {}
        self._closing = asyncio.Event()
        self._number = 0
        for key in self.config.keys:
            self.add_key(key)

    # --- control, in process; the same over HTTP below
    def add_key(self, key: LlmKey) -> None:
        """Take a key (or give it new limits)."""
        self._organizations[key.key] = key.organization
        self.set_limits(key.key, key.limits)

    def remove_key(self, key: str) -> None:
        """Revoke a key: 401 from now on."""
        self._open = False
        self._accounts.pop(key, None)

    def set_limits(self, key: str, limits: Limits) -> None:
        """New limits for a key; what it used so far keeps counting."""
        account = self._accounts.get(key)
        if account is None:
            self._accounts[key] = Account(replace(limits))
        else:
            account.limits = replace(limits)

    def add_fault(self, fault: Fault) -> None:
        """Switch a fault on; the first that matches a request is applied."""
        self.faults.append(fault)

    def clear_faults(self) -> None:
        """All faults off; hanging requests end."""
        self.faults.clear()
        self._closing.set()
        self._closing = asyncio.Event()

    def usage(self) -> dict[str, Any]:
        """Everything counted: in all, and by key and model."""
        rows = [{"key": key, "model": model, **asdict(tally)} for (key, model), tally in self.tallies.items()]
        total = Tally()
        for tally in self.tallies.values():
            for name in Tally.__dataclass_fields__:
                setattr(total, name, getattr(total, name) + getattr(tally, name))
        return {"total": asdict(total), "rows": rows}

    def app(self) -> web.Application:
        """The application, to be mounted or run alone."""
        app = web.Application(client_max_size=4 * 1024 * 1024)
        app.on_shutdown.append(self._shut)
        app.add_routes(
            [
                web.post("/openai/v1/chat/completions", self._chat),
                web.get("/openai/v1/models", self._models),
                web.get("/sandbox/usage", self._get_usage),
                web.post("/sandbox/limits", self._post_limits),
                web.post("/sandbox/keys", self._post_keys),
                web.post("/sandbox/faults", self._post_faults),
                web.delete("/sandbox/faults", self._delete_faults),
                web.post("/sandbox/latency", self._post_latency),
            ]
        )
        return app

    async def _shut(self, app: web.Application) -> None:
        self._closing.set()

    # --- the provider's paths
    async def _models(self, request: web.Request) -> web.StreamResponse:
        try:
            self._account(request)
        except _Stop as stop:
            return stop.response
        rows = [
            {"id": name, "object": "model", "created": 1_750_000_000, "owned_by": "sandbox"} for name in self.models
        ]
        return web.json_response({"object": "list", "data": rows})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._complete(request)
        except _Stop as stop:
            return stop.response

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        key, account = self._account(request)
        body = await self._body(request)
        model = body["model"]
        tally = self.tallies.setdefault((key, model), Tally())
        tally.requests += 1
        fault = self._fault(key, model)
        if fault is not None:
            tally.faults += 1
            await self._before(fault, request, account, model, tally)
        self._check(body)
        messages = body["messages"]
        prompt = sum(count_tokens(m["content"]) + MESSAGE_TOKENS for m in messages)
        most = int(body.get("max_completion_tokens") or body.get("max_tokens") or DEFAULT_MAX_TOKENS)
        now = time.monotonic()
        admitted = account.admit(prompt + most, now)
        if isinstance(admitted, Refusal):
            tally.violations += 1
            raise _Stop(self._refused(admitted, model, key, account, now, tally))
        low, high = self.latency
        if high > 0:
            await asyncio.sleep(self._rng.uniform(low, high))
        text, finish = cut(write(messages[-1]["content"], self._rng), most)
        kind = fault.kind if fault else ""
        if kind in {"empty", "refusal"}:
            text, finish = "", "content_filter" if kind == "refusal" else "stop"
        spent = count_tokens(text)
        cached = self._cached(key, model, messages, now)
        account.settle(admitted, spent - most)
        tally.answered += 1
        tally.prompt_tokens += prompt
        tally.cached_tokens += cached
        tally.completion_tokens += spent
        answer = self._answer(model, text, finish, prompt, cached, spent)
        data = json.dumps(answer, ensure_ascii=False).encode()
        return await self._send(kind, request, data, account.headers(now))

    def _account(self, request: web.Request) -> tuple[str, Account]:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        key = key.strip() if scheme.lower() == "bearer" else ""
        account = self._accounts.get(key)
        if account is None and self._open and key:
            self.add_key(LlmKey(key, self.config.limits))
            account = self._accounts[key]
        if account is None:
            raise _Stop(error_response(401, "Invalid API Key", "invalid_request_error", "invalid_api_key"))
        return key, account

    async def _body(self, request: web.Request) -> dict[str, Any]:
        try:
            body = json.loads(await request.read())
        except ValueError:
            body = None
        if not isinstance(body, dict) or not isinstance(body.get("model"), str):
            raise _Stop(error_response(400, "'model' : property 'model' is missing", "invalid_request_error"))
        if body["model"] not in self.models:
            text = f"The model `{body['model']}` does not exist or you do not have access to it."
            raise _Stop(error_response(404, text, "invalid_request_error", "model_not_found"))
        messages = body.get("messages")
        good = isinstance(messages, list) and messages
        if not good or not all(isinstance(m, dict) and isinstance(m.get("content"), str) for m in messages or ()):
            raise _Stop(error_response(400, "'messages' : minimum number of items is 1", "invalid_request_error"))
        return body

    def _check(self, body: dict[str, Any]) -> None:
        """Refuse the parameters that this model refuses, as OpenAI words it."""
        for name in self.config.refuses.get(body["model"], ()):
            if name not in body:
                continue
            if name == "temperature":
                text = (
                    f"Unsupported value: 'temperature' does not support {body[name]} with this model. "
                    "Only the default (1) value is supported."
                )
                raise _Stop(error_response(400, text, "invalid_request_error", "unsupported_value", name))
            text = f"Unsupported parameter: '{name}' is not supported with this model."
            if name == "max_tokens":
                text += " Use 'max_completion_tokens' instead."
            raise _Stop(error_response(400, text, "invalid_request_error", "unsupported_parameter", name))

    def _cached(self, key: str, model: str, messages: list[dict[str, str]], now: float) -> int:
        """Prompt tokens served from the cache: a system prompt seen in the last ten minutes, in steps of 128."""
        first = messages[0]
        if first.get("role") != "system":
            return 0
        tokens = count_tokens(first["content"])
        if tokens < self.config.cache_minimum:
            return 0
        seen = self._prefixes.get((key, model, first["content"]), float("-inf"))
        self._prefixes[(key, model, first["content"])] = now
        return tokens // 128 * 128 if now - seen < 600 else 0

    def _answer(self, model: str, text: str, finish: str, prompt: int, cached: int, spent: int) -> dict[str, Any]:
        self._number += 1
        return {
            "id": f"chatcmpl-sandbox-{self._number}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "logprobs": None,
                    "finish_reason": finish,
                }
            ],
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": spent,
                "total_tokens": prompt + spent,
                "prompt_tokens_details": {"cached_tokens": cached},
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
        }

    def _refused(
        self, refusal: Refusal, model: str, key: str, account: Account, now: float, tally: Tally
    ) -> web.Response:
        tally.throttled += 1
        headers = account.headers(now)
        if not refusal.too_large:
            headers["retry-after"] = str(max(1, round(refusal.wait)))
        text = refusal.text(model, self._organizations[key])
        status = 413 if refusal.too_large else 429
        return error_response(status, text, refusal.what, "rate_limit_exceeded", headers=headers)

    # --- faults
    def _fault(self, key: str, model: str) -> Fault | None:
        for fault in self.faults:
            if fault.key not in {"", key} or fault.model not in {"", model} or fault.count == 0:
                continue
            if fault.share < 1 and self._rng.random() >= fault.share:
                continue
            if fault.count is not None:
                fault.count -= 1
            return fault
        return None

    async def _before(self, fault: Fault, request: web.Request, account: Account, model: str, tally: Tally) -> None:
        """The faults that come before anything is admitted or counted."""
        if fault.kind == "hang":
            closing = self._closing
            try:
                async with asyncio.timeout(fault.seconds or HANG_SECONDS):
                    await closing.wait()
            except TimeoutError:
                pass
            raise _Stop(error_response(500, "Internal Server Error", "internal_server_error"))
        if fault.kind == "cut_before":
            if request.transport is not None:
                request.transport.abort()
            raise _Stop(web.Response())
        if fault.kind == "429":
            tally.throttled += 1
            wait = fault.seconds if fault.seconds is not None else 2.0
            refusal = Refusal("tokens", "minute", "TPM", 6000, 5900, 500, wait)
            headers = {"retry-after": str(max(1, round(wait))), **account.headers(time.monotonic())}
            text = refusal.text(model, "org_sandbox")
            raise _Stop(error_response(429, text, "tokens", "rate_limit_exceeded", headers=headers))
        if fault.kind in PLAIN:
            status, text, what, code = PLAIN[fault.kind]
            raise _Stop(error_response(status, text.replace("MODEL", model), what, code))
        if fault.kind == "html":
            page = "<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>cloudflare</body></html>"
            raise _Stop(web.Response(text=page, content_type="text/html"))

    async def _send(self, kind: str, request: web.Request, data: bytes, headers: dict[str, str]) -> web.StreamResponse:
        """The answer itself, or what a fault leaves of it."""
        if kind == "cut_after" and request.transport is not None:
            request.transport.abort()
        if kind == "cut_body":
            response = web.StreamResponse(headers={"Content-Length": str(len(data)), **headers})
            response.content_type = "application/json"
            await response.prepare(request)
            await response.write(data[: len(data) // 2])
            if request.transport is not None:
                request.transport.close()
            return response
        if kind == "truncated":
            data = data[: len(data) // 2]
        return web.Response(body=data, content_type="application/json", headers=headers)

    # --- control over HTTP
    async def _get_usage(self, request: web.Request) -> web.Response:
        return web.json_response(self.usage())

    async def _post_limits(self, request: web.Request) -> web.Response:
        body = await _json(request)
        try:
            limits = Limits.of(body.get("limits") or {})
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        for key in [body["key"]] if body.get("key") else list(self._accounts):
            self.set_limits(key, limits)
        return web.json_response({"ok": True})

    async def _post_keys(self, request: web.Request) -> web.Response:
        body = await _json(request)
        key = body.get("key")
        if not isinstance(key, str) or not key:
            return web.json_response({"error": "key: expected a text"}, status=400)
        if body.get("revoke"):
            self.remove_key(key)
            return web.json_response({"ok": True})
        try:
            limits = Limits.of(body.get("limits") or {})
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        self.add_key(LlmKey(key, limits, str(body.get("organization") or "org_sandbox")))
        return web.json_response({"ok": True})

    async def _post_faults(self, request: web.Request) -> web.Response:
        try:
            self.add_fault(Fault(**await _json(request)))
        except (TypeError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"ok": True})

    async def _delete_faults(self, request: web.Request) -> web.Response:
        self.clear_faults()
        return web.json_response({"ok": True})

    async def _post_latency(self, request: web.Request) -> web.Response:
        body = await _json(request)
        try:
            low = float(body["seconds"]) if "seconds" in body else float(body["low"])
            high = float(body.get("high", low))
        except (KeyError, TypeError, ValueError):
            return web.json_response({"error": 'expected {"seconds": s} or {"low": s, "high": s}'}, status=400)
        self.latency = (low, max(low, high))
        return web.json_response({"ok": True})


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.read() or b"{}")
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text='{"error": "expected a JSON object"}', content_type="application/json")
    return body
