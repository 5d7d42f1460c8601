"""The LLM providers in memory: the sandbox's writer behind the sandbox's counting, one account a key and model.

`Models` stands where a daemon opens HTTP clients (`gateway.endpoint.ProviderSource`). A request that a limit refuses is
an overrun of ours, so judges look at `overruns`; what was answered is in `calls`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NoReturn

from piyasad.clock import DAY, Clock
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
from piyasad.sandbox.llm_limits import Entry, Refusal, Window
from piyasad.sandbox.llm_text import MESSAGE_TOKENS, count_tokens, cut, write

SECONDS: Final = (0.6, 1.4)
"""How long an answer takes."""

METERS: Final = (
    ("rps", "requests", "second", 1.0),
    ("rpm", "requests", "minute", 60.0),
    ("rph", "requests", "hour", 3600.0),
    ("rpd", "requests", "day", DAY),
    ("tpm", "tokens", "minute", 60.0),
    ("itpm", "input tokens", "minute", 60.0),
    ("otpm", "output tokens", "minute", 60.0),
    ("tph", "tokens", "hour", 3600.0),
    ("tpd", "tokens", "day", DAY),
    ("tokens_per_month", "tokens", "month", 31 * DAY),
)
"""The limits that settings may name: what counts, and over which window. One that is no number is not enforced."""

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
        """The account of a key, by model where the provider counts so; a later daemon finds it as it is."""
        place = name, key, model if settings.quota_per_model else ""
        known = self._accounts.get(place)
        if known is None:
            known = self._accounts[place] = KeyAccount(settings, self.clock)
        return known

    def trouble(self, name: str) -> Trouble | None:
        """The fault that hits a call now."""
        for each in self.troubles:
            if each.provider in {"", name} and (each.share >= 1 or self.rng.random() < each.share):
                return each
        return None


class KeyAccount:
    """What a provider counts for a key: exact sliding windows, a day that begins when its settings say, a month."""

    def __init__(self, settings: ProviderSettings, clock: Clock) -> None:
        self.most = settings.max_concurrency
        self.under_way = 0
        self._clock = clock
        reset = settings.quota_reset
        self._reset = reset if reset not in {None, "rolling"} else None
        self._meters = [
            _Meter(name, what, per, limit, Window(seconds))
            for name, what, per, seconds in METERS
            if isinstance(limit := getattr(settings, name), int)
        ]
        self._renew()

    def admit(self, prompt: int, most: int) -> list[tuple[Window, Entry, bool]] | Refusal:
        """Count a request with its prompt and the most that it may write, or say which limit is in the way."""
        now, mono = self._clock.wall(), self._clock.mono()
        if now >= min(self._day_ends, self._month_ends):
            self._renew()
        for meter in self._meters:
            amount = meter.amount(prompt, most)
            meter.window.expire(mono)
            if meter.window.used + amount > meter.limit:
                large = amount > meter.limit
                wait = 0.0 if large else meter.window.wait(amount, meter.limit, mono)
                if meter.per == "day" and self._reset:
                    wait = min(wait, self._day_ends - now)
                used = meter.window.used
                return Refusal(
                    meter.what, meter.per, meter.name.upper(), meter.limit, used, amount, wait, too_large=large
                )
        return [(each.window, each.window.add(each.amount(prompt, most), mono), each.writes) for each in self._meters]

    def settle(self, entries: list[tuple[Window, Entry, bool]], difference: int) -> None:
        """What was written differs by so much from what was admitted."""
        for window, entry, writes in entries:
            if writes:
                window.correct(entry, difference)

    def _renew(self) -> None:
        """A day or a month began, as this provider counts them."""
        now = self._clock.wall()
        self._day_ends = next_reset(now, self._reset) if self._reset else float("inf")
        self._month_ends = _month_end(now)
        for meter in self._meters:
            if meter.per == "month" or (meter.per == "day" and self._reset):
                meter.window = Window(meter.window.seconds)


@dataclass(slots=True)
class _Meter:
    """One limit with what counts towards it."""

    name: str
    what: str
    per: str
    limit: int
    window: Window

    @property
    def writes(self) -> bool:
        """Whether what is written counts."""
        return self.what in {"tokens", "output tokens"}

    def amount(self, prompt: int, most: int) -> int:
        """What a request counts for it."""
        if self.what == "requests":
            return 1
        return (prompt if self.what != "output tokens" else 0) + (most if self.writes else 0)


def _month_end(now: float) -> float:
    """When the calendar month ends, in UTC."""
    then = datetime.fromtimestamp(now, UTC)
    year, month = divmod(then.year * 12 + then.month, 12)
    return datetime(year, month + 1, 1, tzinfo=UTC).timestamp()


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
        entries = account.admit(prompt, request.max_tokens)
        if isinstance(entries, Refusal):
            self._overrun(request, entries.short)
            raise Throttled(entries.text(self.model, "org"), entries.wait, entries.per)
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
        account.settle(entries, spent - request.max_tokens)
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
