"""The LLM providers in memory: the sandbox's writer behind the sandbox's counting, one account a key and model.

`Models` stands where a daemon opens HTTP clients (`gateway.endpoint.ProviderSource`). A request that a limit refuses is
an overrun of ours, so judges look at `overruns`; what was answered is in `calls`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn

from piyasad.clock import DAY, Clock
from piyasad.config.presets import day_limit
from piyasad.config.providers import ProviderSettings
from piyasad.gateway.quota.quota import next_reset
from piyasad.model import Class
from piyasad.providers.interface import (
    BadKey,
    Completion,
    NotSent,
    Provider,
    Refused,
    Request,
    ServerFault,
    Throttled,
    TimedOut,
    Transient,
)
from piyasad.sandbox.llm_limits import Account, Limits, Refusal, Window
from piyasad.sandbox.llm_text import MESSAGE_TOKENS, count_tokens, cut, write

SECONDS: Final = (0.6, 1.4)
"""How long an answer takes."""

WIRE_SECONDS: Final = 0.03
"""One way to the provider: it counts a request so much after it has left."""


@dataclass(frozen=True, slots=True)
class Call:
    """One answer: when it was asked for, how long it took, to whom, and what it cost."""

    at: float
    seconds: float
    bot_id: int
    klass: Class
    provider: str
    model: str
    prompt: int
    completion: int
    system: str
    user: str
    text: str


@dataclass(frozen=True, slots=True)
class Overrun:
    """A request that a limit refused: our own pace was wrong."""

    at: float
    provider: str
    limit: str
    klass: Class


@dataclass(slots=True)
class Trouble:
    """A fault of providers: it hits calls to `provider` ("": any) with probability `share` while it is in `troubles`.

    `kind`: server (5xx), cut (counted, and no answer), no_connection, hang (no answer in time), throttled (a 429 that
    no limit explains; `seconds` is its wait), refused (content), bad_key, empty (an answer without text), slow
    (`seconds` more).
    """

    kind: str
    provider: str = ""
    share: float = 1.0
    seconds: float = 5.0


class Models:
    """All providers of the outside, and their accounts. One event loop.

    Args:
        clock: the world's, which nobody sets.
        seed: of what is written and how long it takes.
    """

    def __init__(self, clock: Clock, seed: int | str) -> None:
        self.calls: list[Call] = []
        self.overruns: list[Overrun] = []
        self.troubles: list[Trouble] = []
        self.seconds = SECONDS
        self.write: Callable[[str, random.Random], str] = write
        self.on_call: Callable[[Call], None] | None = None
        self.clock = clock
        self.rng = random.Random(f"models/{seed}")
        self._accounts: dict[tuple[str, str, str], KeyAccount] = {}

    def open(self, name: str, settings: ProviderSettings, key: str) -> Provider:
        """The provider with one key. Every provider writes alike; what differs is what it admits."""
        return _Memory(self, name, settings, key)

    async def close(self) -> None:
        """Nothing is open."""

    def account(self, name: str, settings: ProviderSettings, key: str, model: str) -> KeyAccount:
        """The account of a key with a model; a daemon that comes later finds it as it is."""
        known = self._accounts.get((name, key, model))
        if known is None:
            known = self._accounts[name, key, model] = KeyAccount(settings, self.clock)
        return known

    def trouble(self, name: str) -> Trouble | None:
        """The fault that hits a call now."""
        for each in self.troubles:
            if each.provider in {"", name} and (each.share >= 1 or self.rng.random() < each.share):
                return each
        return None


class KeyAccount:
    """What a provider counts for a key; its day begins when its settings say."""

    def __init__(self, settings: ProviderSettings, clock: Clock) -> None:
        self.most = settings.max_concurrency
        self.under_way = 0
        self._clock = clock
        # where nobody tells a daily limit, the world has the one that is assumed
        rpd, tpd = (day_limit(settings, key, written=False).amount for key in ("rpd", "tpd"))
        self._account = Account(Limits(rpm=settings.rpm, tpm=settings.tpm, rpd=rpd, tpd=tpd))
        self._reset = settings.quota_reset if settings.quota_reset not in {None, "rolling"} else None
        self._renews = next_reset(clock.wall(), self._reset) if self._reset else 0.0

    def admit(self, tokens: int) -> Callable[[int], None] | Refusal:
        """Count a request; what is returned takes the difference to the tokens that were really used."""
        now = self._clock.wall()
        if self._reset and now >= self._renews:
            self._account.requests_day, self._account.tokens_day = Window(DAY), Window(DAY)
            self._renews = next_reset(now, self._reset)
        admitted = self._account.admit(tokens, self._clock.mono())
        if not isinstance(admitted, Refusal):
            return lambda difference: self._account.settle(admitted, difference)
        if self._reset and admitted.per == "day":
            admitted.wait = min(admitted.wait, self._renews - now)
        return admitted


class _Memory:
    """A provider with one key, as the gateway sees it."""

    def __init__(self, models: Models, name: str, settings: ProviderSettings, key: str) -> None:
        self.name = name
        self.model = settings.model or name
        self._models = models
        self._settings = settings
        self._key = key

    def use_model(self, model: str) -> None:
        """From now on another one is asked."""
        self.model = model

    async def close(self) -> None:
        """Nothing is open."""

    async def complete(self, request: Request, *, timeout: float) -> Completion:
        """An answer within `timeout`, or what the provider's limits and troubles make of it."""
        models = self._models
        trouble = models.trouble(self.name)
        kind = trouble.kind if trouble is not None else ""
        wait = trouble.seconds if trouble is not None else 0.0
        left = timeout - WIRE_SECONDS
        await asyncio.sleep(WIRE_SECONDS)
        if kind in {"no_connection", "server", "throttled", "refused", "bad_key"}:
            _fail(kind, wait)
        account = models.account(self.name, self._settings, self._key, self.model)
        prompt = sum(count_tokens(text) + MESSAGE_TOKENS for text in (request.system, request.user))
        if account.most is not None and account.under_way >= account.most:
            self._overrun(request, "concurrency")
            raise Throttled("too many requests at once", 1.0, "")
        settle = account.admit(prompt + request.max_tokens)
        if isinstance(settle, Refusal):
            self._overrun(request, settle.short)
            raise Throttled(settle.text(self.model, "org"), settle.wait, settle.per)
        asked = models.clock.wall()
        account.under_way += 1
        try:
            takes = models.rng.uniform(*models.seconds) + (wait if kind == "slow" else 0.0)
            text, finish = cut(models.write(request.user, models.rng), request.max_tokens)
            await asyncio.sleep(min(takes, left))
            if kind == "hang" or takes > left:
                await asyncio.sleep(max(0.0, left - takes))
                raise TimedOut(f"no answer within {timeout:.0f} s")
            if kind == "cut":
                raise Transient("the connection broke")
        finally:
            account.under_way -= 1
        text = "" if kind == "empty" else text
        spent = count_tokens(text)
        settle(spent - request.max_tokens)
        call = Call(
            asked, models.clock.wall() - asked, request.bot_id, request.klass, self.name, self.model, prompt, spent,
            request.system, request.user, text,
        )  # fmt: skip
        models.calls.append(call)
        if models.on_call is not None:
            models.on_call(call)
        return Completion(text, self.name, self.model, prompt, 0, spent, finish=finish)

    def _overrun(self, request: Request, limit: str) -> None:
        self._models.overruns.append(Overrun(self._models.clock.wall(), self.name, limit, request.klass))


def _fail(kind: str, wait: float) -> NoReturn:
    match kind:
        case "no_connection":
            raise NotSent("no connection")
        case "server":
            raise ServerFault("500: internal server error")
        case "throttled":
            raise Throttled("429: too many requests", wait)
        case "refused":
            raise Refused("the content was refused")
        case _:
            raise BadKey("401: invalid API key")
