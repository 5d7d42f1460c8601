"""Delivery: wait, claim, send, settle. Never twice, never silently lost.

Turns, the notice and the fixed answers hand a finished text and its slot in; nothing changes the text here. A send is
claimed durably in the ledger before it is made, and what may have reached Telegram is never sent again. From the claim
to the end of the turn (`ended`) all runs in a task of its own: cancelling a bot cannot tear it apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import structlog

from piyasad.clock import Clock
from piyasad.delivery.slot import Slot, Slots
from piyasad.metrics import Metrics
from piyasad.model import Claim, Draft, State
from piyasad.sharding.leases import CLAIM_MARGIN_SECONDS, Leases
from piyasad.store.interface import Store, StoreError
from piyasad.telegram import errors
from piyasad.telegram.sender import Sender

log = structlog.stdlib.get_logger(__name__)

SEND_TIMEOUT_SECONDS = 20.0
"""One sendMessage may take that long before it counts as uncertain."""

TYPING_REFRESH_SECONDS = 4.5
"""Telegram shows a chat action for 5 s or until the message comes (Bot API, sendChatAction)."""

SHORTEST_SECONDS = 0.001
"""A wait is never shorter: one that is too short to move the clock would be followed by another, for ever."""

SETTLE_AGAIN_SECONDS, SETTLE_AGAIN_MOST_SECONDS = 0.2, 5.0
"""A settlement that the store does not take is handed in again after so long, then ever less often."""

RETRY_SECONDS = (0.5, 1.0, 2.0, 4.0)
"""Waits between tries of a send that surely did not reach Telegram."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """How a delivery ended. `telegram_id` and `at` are there when it was sent.

    `claim` holds the draft as it was sent: after a migration in another chat, without a reply to what is gone.
    `again`: it failed for a reason that passes (a lease, a store, a limit), so another try later may succeed.
    """

    outcome: str  # sent, failed, uncertain
    reason: str = ""
    claim: Claim | None = None
    telegram_id: int | None = None
    at: float | None = None
    again: bool = False

    @property
    def may_stand(self) -> bool:
        """Whether the message stands in the chat, or may."""
        return self.outcome != "failed"


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
        slots: Slots,
        leases: Leases,
        clock: Clock,
        metrics: Metrics,
        events: Events,
    ) -> None:
        self._store = store
        self._sender = sender
        self._slots = slots
        self._leases = leases
        self._clock = clock
        self._metrics = metrics
        self._events = events
        self._ending: set[asyncio.Task[Delivered]] = set()
        self._typing: set[asyncio.Task[Any]] = set()

    def may_send(self, bot_id: int) -> bool:
        """Whether we hold the bot and the lease has time left: without that no text need be written."""
        return self._leases.fence(bot_id) is not None

    async def ready(self, draft: Draft, slot: Slot, *, typing: float, until: float) -> bool:
        """Wait for the slot while typing; False when it does not come before `until` (a reading of `mono()`).

        Args:
            typing: seconds to show the typing indicator before the text (0: none).
        """
        self._slots.pin(slot)
        wait = max(typing, self._slots.wait(slot))
        while wait > 0:
            moment = self._clock.mono() + wait
            if moment > until:
                self._count(draft, "expired")
                return False
            await self._type_until(draft, moment, show=typing > 0)
            wait = self._slots.wait(slot)
        return True

    async def send(self, draft: Draft, slot: Slot, *, until: float, ended: Callable[[Delivered], None]) -> Delivered:
        """Claim, send, settle, then `ended`: once begun all of it happens, also when the caller is cancelled.

        The slot is this method's from here on: it is given back when nothing was delivered.
        """
        task = asyncio.create_task(self._to_the_end(draft, slot, until, ended))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return await asyncio.shield(task)

    async def settled(self) -> None:
        """Wait until nothing is between claim and end (the drain bounds it)."""
        while self._ending:
            await asyncio.wait(self._ending)

    async def _to_the_end(
        self, draft: Draft, slot: Slot, until: float, ended: Callable[[Delivered], None]
    ) -> Delivered:
        delivered = await self._commit(draft, slot, until)
        if not delivered.may_stand:
            await self._slots.give_back(slot)
        self._count(delivered.claim.draft if delivered.claim is not None else draft, delivered.outcome)
        ended(delivered)
        return delivered

    async def _type_until(self, draft: Draft, moment: float, *, show: bool) -> None:
        while (left := moment - self._clock.mono()) > 0:
            if show and self._slots.try_action(draft.bot_id, draft.chat_id):
                # the indicator is decoration: it goes its own way beside the wait, and its failure changes nothing
                action = asyncio.create_task(self._show_typing(draft))
                self._typing.add(action)
                action.add_done_callback(self._typing.discard)
            await asyncio.sleep(max(SHORTEST_SECONDS, min(left, TYPING_REFRESH_SECONDS)))

    async def _show_typing(self, draft: Draft) -> None:
        shown = await self._sender.typing(draft.bot_id, draft.chat_id, draft.thread_id)
        if isinstance(shown, errors.Throttled):
            self._slots.throttled(draft.bot_id, draft.chat_id, shown.retry_after)

    async def _commit(self, draft: Draft, slot: Slot, until: float) -> Delivered:
        fence = self._leases.fence(draft.bot_id)
        if fence is None:
            return Delivered("failed", "the lease is gone", again=True)
        try:
            claim = await self._store.claim(replace(draft, fence=fence))
        except StoreError as error:
            return Delivered("failed", f"not claimed: {error}", again=True)
        if claim is None:
            return Delivered("failed", "another daemon speaks for this bot, or another bot answers", again=True)
        return await self._send(claim, slot, until)

    async def _send(self, claim: Claim, slot: Slot, until: float) -> Delivered:
        draft = claim.draft
        reason = ""
        for attempt in range(len(RETRY_SECONDS) + 1):
            # The place is taken at the moment of the send: what the claim took of time cannot bring two sends together.
            while (wait := await self._slots.take(slot)) > 0:
                if self._clock.mono() + wait > until:
                    return await self._fail(claim, f"{reason}; no time to try again" if reason else "no slot in time")
                await asyncio.sleep(max(SHORTEST_SECONDS, wait))
            if not self._leases.alive(CLAIM_MARGIN_SECONDS):
                return await self._fail(claim, "the lease ended before the send")
            result = await self._sender.send(
                draft.bot_id,
                draft.chat_id,
                draft.text,
                reply_to=draft.reply_to,
                thread_id=draft.thread_id,
                timeout=SEND_TIMEOUT_SECONDS,
            )
            if not isinstance(result, errors.NotSent):
                self._slots.arrived(slot)
            if not isinstance(result, errors.Sent | errors.Uncertain):
                await self._slots.give_back(slot)
            match result:
                case errors.Sent():
                    return await self._settle(claim, State.SENT, telegram_id=result.message_id, at=result.date)
                case errors.Uncertain():
                    return await self._settle(claim, State.UNCERTAIN, result.reason)
                case errors.NotSent() | errors.Throttled() if attempt < len(RETRY_SECONDS):
                    reason = result.reason
                    if isinstance(result, errors.Throttled):
                        self._slots.throttled(draft.bot_id, draft.chat_id, result.retry_after)
                    else:
                        await asyncio.sleep(RETRY_SECONDS[attempt])
                case errors.NotSent() | errors.Throttled():
                    return await self._fail(claim, result.reason)
                case errors.ReplyGone() if draft.reply_to is not None:
                    await self._settle(claim, State.FAILED, result.reason)
                    return await self._commit(replace(draft, reply_to=None), slot, until)
                case errors.Migrated():
                    await self._settle(claim, State.FAILED, result.reason)
                    self._events.migrated(draft.chat_id, result.new_chat_id)
                    slot.chat_id = result.new_chat_id
                    # the new group numbers its messages anew, so nothing there is what was answered here
                    return await self._commit(replace(draft, chat_id=result.new_chat_id, reply_to=None), slot, until)
                case errors.BadToken():
                    self._events.bad_token(draft.bot_id)
                    return await self._settle(claim, State.FAILED, result.reason)
                case errors.Forbidden():
                    self._events.forbidden(draft.bot_id, draft.chat_id, result.reason)
                    return await self._settle(claim, State.FAILED, result.reason)
                case _:
                    return await self._settle(claim, State.FAILED, result.reason)
        raise AssertionError("every last attempt settles")

    async def _fail(self, claim: Claim, reason: str) -> Delivered:
        """It was not delivered, for a reason that passes."""
        return replace(await self._settle(claim, State.FAILED, reason), again=True)

    async def _settle(
        self, claim: Claim, state: State, reason: str = "", *, telegram_id: int | None = None, at: float | None = None
    ) -> Delivered:
        wait = SETTLE_AGAIN_SECONDS
        while True:
            try:
                await self._store.settle(claim, state, telegram_id=telegram_id, at=at, reason=reason)
                break
            except StoreError as error:
                # What happened has happened; only the ledger does not know yet. If this process dies first, the row
                # is still `sending` and the next owner marks it uncertain.
                if wait == SETTLE_AGAIN_SECONDS:
                    log.warning("delivery.settle_waits", message=claim.id, state=state, error=str(error))
                await asyncio.sleep(wait)
                wait = min(wait * 2, SETTLE_AGAIN_MOST_SECONDS)
        if state is not State.SENT:
            log.warning("delivery.not_sent", message=claim.id, bot=claim.draft.bot_id, state=state, reason=reason)
        return Delivered(str(state), reason, claim, telegram_id, at)

    def _count(self, draft: Draft, outcome: str) -> None:
        self._metrics.messages.labels(str(draft.chat_id), str(draft.kind), outcome).inc()
