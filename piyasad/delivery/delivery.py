"""Delivery: claim, send, settle. Never twice, never silently lost.

`turn.py` and the fixed texts (notice, honest answer) hand a finished text in; nothing changes it here. A send is
claimed durably in the ledger before it is made, and what may have reached Telegram is never sent again. The part from
the claim to the settlement runs in a task of its own, so that cancelling a bot cannot tear it apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import structlog

from piyasad.clock import Clock
from piyasad.metrics import Metrics
from piyasad.model import Claim, Draft, State
from piyasad.sharding.leases import CLAIM_MARGIN_SECONDS, Leases
from piyasad.store.interface import Store, StoreError
from piyasad.telegram import errors
from piyasad.telegram.limits import SendLimits
from piyasad.telegram.sender import Sender

log = structlog.stdlib.get_logger(__name__)

SEND_TIMEOUT_SECONDS = 20.0
"""One sendMessage may take that long before it counts as uncertain."""

TYPING_REFRESH_SECONDS = 4.5
"""Telegram shows a chat action for 5 s or until the message comes (Bot API, sendChatAction)."""

RETRY_SECONDS = (0.5, 1.0, 2.0, 4.0)
"""Waits between tries of a send that surely did not reach Telegram."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """How a delivery ended. `outcome` is the metric's word; `telegram_id` and `at` are there when it was sent."""

    outcome: str  # sent, failed, uncertain, expired
    reason: str = ""
    claim: Claim | None = None
    telegram_id: int | None = None
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Events:
    """What Telegram told us about a bot or a chat while sending; the engine acts on it."""

    bad_token: Callable[[int], None]
    forbidden: Callable[[int, int, str], None]
    migrated: Callable[[int, int], None]


class Delivery:
    """The one way a text leaves the house."""

    def __init__(
        self,
        store: Store,
        sender: Sender,
        limits: SendLimits,
        leases: Leases,
        clock: Clock,
        metrics: Metrics,
        events: Events,
    ) -> None:
        self._store = store
        self._sender = sender
        self._limits = limits
        self._leases = leases
        self._clock = clock
        self._metrics = metrics
        self._events = events
        self._committing: set[asyncio.Task[Delivered]] = set()
        self._typing: set[asyncio.Task[Any]] = set()

    async def deliver(
        self,
        draft: Draft,
        *,
        typing: float,
        until: float,
        gate: Callable[[], float] | None = None,
    ) -> Delivered:
        """Wait for the slot while typing, then claim, send and settle.

        Args:
            typing: seconds to show the typing indicator before the text (0: none).
            until: a reading of the clock's `mono()`; a text that cannot be sent by then is dropped as expired.
            gate: asked right before the claim (the chat's pace); 0 accounting the send, more are seconds to wait.
        """
        show = typing > 0
        wait = max(typing, self._limits.wait(draft.bot_id, draft.chat_id, self._clock.mono()))
        while True:
            moment = self._clock.mono() + wait
            if moment > until:
                return self._count(draft, Delivered("expired", "no slot before the deadline"))
            await self._type_until(draft, moment, show)
            wait = self._limits.wait(draft.bot_id, draft.chat_id, self._clock.mono())
            if wait <= 0 and gate is not None:
                wait = gate()
            if wait <= 0:
                break
        task = asyncio.create_task(self._commit(draft, until))
        self._committing.add(task)
        task.add_done_callback(self._committing.discard)
        return self._count(draft, await asyncio.shield(task))

    async def settled(self) -> None:
        """Wait until nothing is between claim and settlement (the drain bounds it)."""
        while self._committing:
            await asyncio.wait(self._committing)

    async def _type_until(self, draft: Draft, moment: float, show: bool) -> None:
        while (left := moment - self._clock.mono()) > 0:
            if show and self._limits.try_action(draft.bot_id, draft.chat_id, self._clock.mono()):
                # the indicator is decoration: it goes its own way beside the wait, and its failure changes nothing
                action = asyncio.create_task(self._sender.typing(draft.bot_id, draft.chat_id, draft.thread_id))
                self._typing.add(action)
                action.add_done_callback(self._typing.discard)
            await asyncio.sleep(min(left, TYPING_REFRESH_SECONDS))

    async def _commit(self, draft: Draft, until: float) -> Delivered:
        fence = self._leases.fence(draft.bot_id)
        if fence is None:
            return Delivered("failed", "the lease is gone")
        try:
            claim = await self._store.claim(replace(draft, fence=fence))
        except StoreError as error:
            return Delivered("failed", f"not claimed: {error}")
        if claim is None:
            return Delivered("failed", "another daemon speaks for this bot")
        return await self._send(claim, until)

    async def _send(self, claim: Claim, until: float) -> Delivered:
        draft = claim.draft
        for attempt in range(len(RETRY_SECONDS) + 1):
            # The place is taken at the moment of the send: what the claim took of time cannot bring two sends together.
            while (wait := self._limits.take(draft.bot_id, draft.chat_id, self._clock.mono())) > 0:
                if self._clock.mono() + wait > until:
                    return await self._settle(claim, State.FAILED, "no slot before the deadline")
                await asyncio.sleep(wait)
            if not self._leases.alive(CLAIM_MARGIN_SECONDS):
                return await self._settle(claim, State.FAILED, "the lease ended before the send")
            result = await self._sender.send(
                draft.bot_id,
                draft.chat_id,
                draft.text,
                reply_to=draft.reply_to,
                thread_id=draft.thread_id,
                timeout=SEND_TIMEOUT_SECONDS,
            )
            if isinstance(result, errors.NotSent):
                self._limits.returned(draft.bot_id, draft.chat_id)
            else:  # Telegram counted it before the answer came: however slow the way, the next one keeps its distance
                self._limits.arrived(draft.bot_id, draft.chat_id, self._clock.mono())
            match result:
                case errors.Sent():
                    return await self._settle(claim, State.SENT, telegram_id=result.message_id, at=result.date)
                case errors.Uncertain():
                    return await self._settle(claim, State.UNCERTAIN, result.reason)
                case errors.NotSent() if attempt < len(RETRY_SECONDS):
                    pause = RETRY_SECONDS[attempt]
                case errors.Throttled() if attempt < len(RETRY_SECONDS):
                    pause = result.retry_after
                    self._limits.pause(draft.bot_id, draft.chat_id, self._clock.mono() + pause)
                case errors.ReplyGone() if draft.reply_to is not None:
                    await self._settle(claim, State.FAILED, result.reason)
                    return await self._commit(replace(draft, reply_to=None), until)
                case errors.Migrated():
                    await self._settle(claim, State.FAILED, result.reason)
                    self._events.migrated(draft.chat_id, result.new_chat_id)
                    return await self._commit(replace(draft, chat_id=result.new_chat_id, reply_to=None), until)
                case errors.BadToken():
                    self._events.bad_token(draft.bot_id)
                    return await self._settle(claim, State.FAILED, result.reason)
                case errors.Forbidden():
                    self._events.forbidden(draft.bot_id, draft.chat_id, result.reason)
                    return await self._settle(claim, State.FAILED, result.reason)
                case _:
                    return await self._settle(claim, State.FAILED, result.reason)
            if self._clock.mono() + pause > until:
                return await self._settle(claim, State.FAILED, f"{result.reason}; no time to try again")
            await asyncio.sleep(pause)
        raise AssertionError("every last attempt settles")

    async def _settle(
        self, claim: Claim, state: State, reason: str = "", *, telegram_id: int | None = None, at: float | None = None
    ) -> Delivered:
        wait = 0.2
        while True:
            try:
                await self._store.settle(claim, state, telegram_id=telegram_id, at=at, reason=reason)
                break
            except StoreError as error:
                # What happened has happened; only the ledger does not know yet. If this process dies first, the row
                # is still `sending` and the next owner marks it uncertain.
                log.warning("delivery.settle_waits", message=claim.id, state=state, error=str(error))
                await asyncio.sleep(wait)
                wait = min(wait * 2, 5.0)
        if state is not State.SENT:
            log.warning("delivery.not_sent", message=claim.id, bot=claim.draft.bot_id, state=state, reason=reason)
        return Delivered(str(state), reason, claim, telegram_id, at)

    def _count(self, draft: Draft, delivered: Delivered) -> Delivered:
        self._metrics.messages.labels(str(draft.chat_id), str(draft.kind), delivered.outcome).inc()
        return delivered
