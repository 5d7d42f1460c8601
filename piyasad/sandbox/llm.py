"""An LLM provider of our own, on loopback: three APIs' paths with the real ones' limits, errors and moods.

The sandbox server mounts `LlmServer.app()` under /llm; tests and benches also run it alone. It knows nothing of
piyasad. Everything it counted can be asked for (`usage()`), so that tests compare it with our own books.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from aiohttp import web

from piyasad.sandbox.llm_control import Control, LlmKey
from piyasad.sandbox.llm_dialects import Answer, Anthropic, Dialect, Gemini, OpenAI, Question
from piyasad.sandbox.llm_faults import ODD_TEXTS, PLAIN, ApiError, Fault, reshaped, verbatim
from piyasad.sandbox.llm_flaws import KINDS, Flaws, Scene, flaw
from piyasad.sandbox.llm_limits import Account, Limits, Refusal
from piyasad.sandbox.llm_text import MESSAGE_TOKENS, count_tokens, cut, write

__all__ = ["Fault", "Flaws", "Limits", "LlmConfig", "LlmKey", "LlmServer", "Tally"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MODELS = (
    "openai/gpt-oss-120b",
    "openai/gpt-oss-20b",
    "llama-3.3-70b-versatile",
    "gpt-4.1-mini",
    "gpt-6-luna",
    "gemini-2.5-flash",
    "gemini-3.5-flash-lite",
    "gemini-3.6-flash",
    "claude-haiku-5-5",
)
HANG_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class LlmConfig:
    """How the server behaves at first. With no `keys`, any bearer key is taken, each with `limits` of its own."""

    keys: tuple[LlmKey, ...] = ()
    limits: Limits = field(default_factory=Limits)
    models: tuple[str, ...] = MODELS
    refuses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # model → parameters it refuses
    latency: tuple[float, float] = (0.0, 0.0)  # seconds, drawn uniformly
    cache_minimum: int = 1024  # prompts shorter than this are not cached (OpenAI's rule)
    flawed: float = 0.0  # the share of answers that are flawed as small models' are …
    flaws: tuple[str, ...] = KINDS  # … and how
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
    flawed: int = 0


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
        self.flaws = Flaws(self.config.flawed, self.config.flaws)
        self.flawed: Counter[str] = Counter()
        self.tallies: dict[tuple[str, str], Tally] = {}
        self._organizations: dict[str, str] = {}
        self._accounts: dict[str, Account] = {}
        self._open = not self.config.keys
        self._rng = random.Random(self.config.seed)
        # of its own, so that flaws change nothing in what is written below them
        self._flaw_rng = random.Random(f"flaws {self.config.seed}")
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

    def keys(self) -> list[str]:
        """All keys that are taken."""
        return list(self._accounts)

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
        """Everything counted: in all, by key and model, and the flawed answers by kind."""
        rows = [{"key": key, "model": model, **asdict(tally)} for (key, model), tally in self.tallies.items()]
        total = Tally()
        for tally in self.tallies.values():
            for name in Tally.__dataclass_fields__:
                setattr(total, name, getattr(total, name) + getattr(tally, name))
        return {"total": asdict(total), "rows": rows, "flaws": {kind: self.flawed[kind] for kind in KINDS}}

    def app(self) -> web.Application:
        """The application, to be mounted or run alone."""
        app = web.Application(client_max_size=4 * 1024 * 1024)
        app.on_shutdown.append(self._shut)
        openai, gemini, anthropic = OpenAI(), Gemini(), Anthropic()
        control = Control(self)
        app.add_routes(
            [
                web.post("/openai/v1/chat/completions", self._asking(openai)),
                web.get("/openai/v1/models", self._listing(openai)),
                web.post("/gemini/v1beta/models/{model}:generateContent", self._asking(gemini)),
                web.get("/gemini/v1beta/models", self._listing(gemini)),
                web.post("/anthropic/v1/messages", self._asking(anthropic)),
                web.get("/anthropic/v1/models", self._listing(anthropic)),
                web.get("/sandbox/usage", control.get_usage),
                web.post("/sandbox/limits", control.post_limits),
                web.post("/sandbox/keys", control.post_keys),
                web.post("/sandbox/faults", control.post_faults),
                web.delete("/sandbox/faults", control.delete_faults),
                web.post("/sandbox/latency", control.post_latency),
                web.post("/sandbox/flaws", control.post_flaws),
                web.delete("/sandbox/flaws", control.delete_flaws),
            ]
        )
        return app

    async def _shut(self, app: web.Application) -> None:
        self._closing.set()

    # --- the provider's paths
    def _listing(self, dialect: Dialect) -> Handler:
        async def models(request: web.Request) -> web.StreamResponse:
            try:
                self._account(dialect.key(request))
            except ApiError as error:
                return dialect.error(error, None)
            return web.json_response(dialect.listing(self.models))

        return models

    def _asking(self, dialect: Dialect) -> Handler:
        async def ask(request: web.Request) -> web.StreamResponse:
            account = None
            try:
                key = dialect.key(request)
                account = self._account(key)
                return await self._complete(dialect, request, key, account)
            except ApiError as error:
                response = dialect.error(error, account)
                return reshaped(response, error.form) if error.form else response
            except _Stop as stop:
                return stop.response

        return ask

    async def _complete(self, dialect: Dialect, request: web.Request, key: str, account: Account) -> web.StreamResponse:
        try:
            body = json.loads(await request.read())
        except ValueError:
            body = None
        question = dialect.question(request, body)
        model = question.model
        if model not in self.models:
            text = f"The model `{model}` does not exist or you do not have access to it."
            raise ApiError(404, text, "invalid_request_error", "model_not_found")
        tally = self.tallies.setdefault((key, model), Tally())
        tally.requests += 1
        fault = self._fault(key, model)
        if fault is not None:
            tally.faults += 1
            await self._before(fault, dialect, request, question, tally)
        self._check(question)
        prompt = sum(count_tokens(text) + MESSAGE_TOKENS for text in question.texts)
        now = time.monotonic()
        admitted = account.admit(prompt + question.most, now)
        if isinstance(admitted, Refusal):
            tally.violations += 1
            raise self._refused(admitted, model, self._organizations[key], tally)
        low, high = self.latency
        if high > 0:
            await asyncio.sleep(self._rng.uniform(low, high))
        kind = fault.kind if fault else ""
        text, finish = self._write(question, fault, tally)
        spent = count_tokens(text)
        cached = self._cached(key, question, now)
        account.settle(admitted, spent - question.most)
        tally.answered += 1
        tally.prompt_tokens += prompt
        tally.cached_tokens += cached
        tally.completion_tokens += spent
        self._number += 1
        answer = dialect.answer(question, Answer(self._number, text, finish, prompt, cached, spent, kind == "parts"))
        # half a surrogate pair travels as its escape
        data = json.dumps(answer, ensure_ascii=kind == "text").encode()
        return await self._send(kind, request, data, dialect.headers(account, now))

    def _write(self, question: Question, fault: Fault | None, tally: Tally) -> tuple[str, str]:
        """The answer, perhaps flawed, within its limit; and its finish reason."""
        text, finish = write(question.texts[-1], self._rng), "stop"
        kind = fault.kind if fault is not None else ""
        if kind in {"empty", "refusal"}:
            return "", "content_filter" if kind == "refusal" else "stop"
        if fault is not None and kind == "thinks_first" and question.most < fault.tokens:
            return "", "length"
        if fault is not None and kind == "text":
            return ODD_TEXTS.get(fault.text, fault.text), "stop"
        kind = self.flaws.draw(self._flaw_rng)
        if kind:
            tally.flawed += 1
            self.flawed[kind] += 1
            text, finish = flaw(kind, text, Scene(question.system, question.texts[-1]), self._flaw_rng)
        text, ended = cut(text, question.most)
        return text, ended if finish == "stop" else finish

    def _account(self, key: str) -> Account:
        account = self._accounts.get(key)
        if account is None and self._open and key:
            self.add_key(LlmKey(key, self.config.limits))
            account = self._accounts[key]
        if account is None:
            raise ApiError(401, "Invalid API Key", "invalid_request_error", "invalid_api_key")
        return account

    def _check(self, question: Question) -> None:
        """Refuse the parameters that this model refuses, as OpenAI words it."""
        for name in self.config.refuses.get(question.model, ()):
            if name not in question.given:
                continue
            if name == "temperature":
                text = (
                    f"Unsupported value: 'temperature' does not support {question.given[name]} with this model. "
                    "Only the default (1) value is supported."
                )
                raise ApiError(400, text, "invalid_request_error", "unsupported_value", name)
            text = f"Unsupported parameter: '{name}' is not supported with this model."
            if name == "max_tokens":
                text += " Use 'max_completion_tokens' instead."
            raise ApiError(400, text, "invalid_request_error", "unsupported_parameter", name)

    def _cached(self, key: str, question: Question, now: float) -> int:
        """Prompt tokens served from the cache: a system prompt seen in the last ten minutes, in steps of 128."""
        tokens = count_tokens(question.system)
        if not question.system or tokens < self.config.cache_minimum:
            return 0
        prefix = (key, question.model, question.system)
        seen = self._prefixes.get(prefix, float("-inf"))
        self._prefixes[prefix] = now
        return tokens // 128 * 128 if now - seen < 600 else 0

    def _refused(self, refusal: Refusal, model: str, organization: str, tally: Tally) -> ApiError:
        tally.throttled += 1
        text = refusal.text(model, organization)
        status = 413 if refusal.too_large else 429
        return ApiError(status, text, refusal.what, "rate_limit_exceeded", refusal=refusal)

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

    async def _before(
        self, fault: Fault, dialect: Dialect, request: web.Request, question: Question, tally: Tally
    ) -> None:
        """The faults that come before anything is admitted or counted."""
        try:
            await self._strike(fault, dialect, request, question, tally)
        except ApiError as error:
            error.form = fault.form
            raise

    async def _strike(
        self, fault: Fault, dialect: Dialect, request: web.Request, question: Question, tally: Tally
    ) -> None:
        model = question.model
        if fault.kind == "answer":
            raise _Stop(verbatim(fault))
        if fault.kind == "no_system" and question.system:
            raise dialect.no_system(model)
        if fault.kind == "must_think" and question.thoughtless:
            raise dialect.must_think(model)
        if fault.kind == "hang":
            closing = self._closing
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(fault.seconds or HANG_SECONDS):
                    await closing.wait()
            raise ApiError(500, "Internal Server Error", "internal_server_error")
        if fault.kind == "cut_before":
            if request.transport is not None:
                request.transport.abort()
            raise _Stop(web.Response())
        if fault.kind == "429":
            wait = fault.seconds if fault.seconds is not None else 2.0
            raise self._refused(Refusal("tokens", "minute", "TPM", 6000, 5900, 500, wait), model, "org_sandbox", tally)
        if fault.kind in PLAIN:
            status, text, what, code = PLAIN[fault.kind]
            raise ApiError(status, text.replace("MODEL", model), what, code)
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
