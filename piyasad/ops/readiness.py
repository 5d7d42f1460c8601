"""Whether a line could be said now, active and quiet hours aside; and if not, each reason in words. Pure.

The engine gathers the facts when `/-/ready` or the index page is asked; nothing here asks anybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

STORE_SECONDS: Final = 10.0
"""Leases are prolonged every few seconds; a store that took no write for so long is away, or its disk is full."""

_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether bots speak; `reasons` say why not."""

    ready: bool
    reasons: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """What the parts of a daemon know. Ages are seconds; None: never yet. Errors are safe to show, "" after a success.

    Attributes:
        state: "running"; or what it does instead ("starting", "draining").
        active: `simulation.active`.
        lease: this daemon's lease runs.
        wanted: enabled bots with a token that this daemon would hold, were it alone on its shard.
        held: those that it holds.
        able: those of them that may speak in some listed chat: neither parked nor resting everywhere.
        holder: who holds the bots that are not held here, by shard, host and pid; "" when nobody does.
        silent: why a bot of this shard may not speak, by name: no token, parked, resting.
        store_age: since the last write that was committed (a beat, a claim, a settlement).
        store_error: the last failure since then.
        telegram_age: since the last call of any method that succeeded.
        telegram_error: the last failure since then.
        poll_seconds: how long this daemon's most frequent poll waits: an ear's, else the round of the idle bots.
        providers: each of the route, and why it cannot be used ("" when it can).
    """

    state: str
    active: bool
    lease: bool
    wanted: int
    held: int
    able: int
    holder: str
    silent: Mapping[str, str]
    store_age: float | None
    store_error: str
    telegram_age: float | None
    telegram_error: str
    poll_seconds: float
    providers: Mapping[str, str]


def readiness(facts: Facts) -> Readiness:
    """Whether a line could be said, and every reason why not."""
    if facts.state != "running":
        return Readiness(ready=False, reasons=(facts.state,))
    reasons = tuple(_reasons(facts))
    return Readiness(not reasons, reasons)


def _reasons(facts: Facts) -> Iterator[str]:
    if not facts.active:
        yield "nobody speaks: simulation.active is false"
    yield from _store(facts)
    if not facts.lease:
        yield "no lease: the store does not prolong it, so others may take the bots"
    yield from _bots(facts)
    if facts.held:  # a standby neither polls nor sends
        yield from _telegram(facts)
    if not any(why == "" for why in facts.providers.values()):
        yield _with("no LLM provider can be used", _few(facts.providers))


def _store(facts: Facts) -> Iterator[str]:
    if facts.store_age is None:
        yield _with("the store has not been written to yet", facts.store_error)
    elif facts.store_age > STORE_SECONDS:
        yield _with(f"the store has taken no write for {facts.store_age:.0f} s", facts.store_error)


def _bots(facts: Facts) -> Iterator[str]:
    if not facts.wanted:
        yield _with("there is no enabled bot with a token on this shard", _few(facts.silent))
    elif not facts.held:
        yield f"standby: the bots are held by {facts.holder}" if facts.holder else "no bot is held yet"
    elif not facts.able:
        yield _with("no bot may speak", _few(facts.silent))


def _telegram(facts: Facts) -> Iterator[str]:
    if facts.telegram_age is None:
        yield _with("Telegram has not answered yet", facts.telegram_error)
    elif facts.telegram_age > 2 * facts.poll_seconds:
        yield _with(f"Telegram has not answered for {facts.telegram_age:.0f} s", facts.telegram_error)


def _with(words: str, why: str) -> str:
    return f"{words}: {why}" if why else words


def _few(reasons: Mapping[str, str]) -> str:
    """The first of them by name, and how many more there are."""
    named = [f"{name}: {why}" for name, why in list(reasons.items())[:_NAMED]]
    more = len(reasons) - len(named)
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")
