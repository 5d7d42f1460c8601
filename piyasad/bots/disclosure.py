"""Openly bots: the mark and description in a bot's profile, and the notice in a chat.

Turns and fixed answers call `Discloser.before` ahead of every line: nobody speaks before its name carries the mark and
the chat's notice is known to be posted. No text here is ever written by an LLM.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from enum import StrEnum
from typing import Any

import structlog

from piyasad.bots.state import BotState, ChatState, LiveState, NoticeState
from piyasad.clock import DAY, Clock
from piyasad.delivery.delivery import Delivered, Delivery, Events
from piyasad.delivery.slot import NoSlot, Slot, Slots
from piyasad.model import Draft, Kind
from piyasad.privacy.texts import DESCRIPTION, SHORT_DESCRIPTION, marked_name, says_it_is_ai
from piyasad.store.interface import NOTICE_AGAIN_SECONDS, Store, StoreError
from piyasad.telegram.errors import BadToken, Done, Failure, Throttled
from piyasad.telegram.sender import Sender

log = structlog.stdlib.get_logger(__name__)

MARK_AGAIN_SECONDS = 120.0
"""A bot whose name could not be marked stays silent and tries again after that."""

DESCRIBE_AGAIN_SECONDS = 600.0
"""A description that could not be set is tried again after that; it silences nobody."""

ASK_AGAIN_SECONDS = 5.0
"""So often the store is asked whether a notice that somebody else is posting, or that is uncertain, is posted now."""

SILENT_AFTER_SECONDS = DAY
"""A renewal may fail for so long before the chat falls silent."""


class Disclosed(StrEnum):
    """How a bot stands in a chat before it speaks; the words are turn outcomes."""

    ALREADY = "disclosed"
    NOTICED = "noticed"
    NOT = "undisclosed"


class Discloser:
    """Sees to it that nobody speaks undisclosed."""

    def __init__(
        self,
        live: LiveState,
        store: Store,
        sender: Sender,
        delivery: Delivery,
        slots: Slots,
        clock: Clock,
        events: Events,
    ) -> None:
        self._live = live
        self._store = store
        self._sender = sender
        self._delivery = delivery
        self._slots = slots
        self._clock = clock
        self._events = events
        self._locks: dict[int, asyncio.Lock] = {}  # by chat, and by bot while its name is not marked
        self._again: dict[int, float] = {}
        self._describe_at: dict[int, float] = {}
        self._beside: set[asyncio.Task[Any]] = set()

    async def before(self, bot: BotState, chat: ChatState, until: float) -> Disclosed:
        """Mark the name and post the notice where that is due, and say how it stands.

        Args:
            until: a reading of `mono()`; a notice that cannot be sent by then is not posted now.
        """
        if not await self._is_marked(bot):
            return Disclosed.NOT
        if self._is_known(chat.notice):
            return Disclosed.ALREADY
        lock = self._locks.setdefault(chat.id, asyncio.Lock())
        if chat.notice.known and lock.locked():
            return self._standing(chat.notice)  # somebody renews it now; that keeps nobody waiting
        async with lock:
            if self._is_known(chat.notice):
                return Disclosed.ALREADY
            if self._clock.mono() < chat.notice.ask_at:
                return self._standing(chat.notice)
            return await self._notice(bot, chat, until)

    # --- the profile
    async def _is_marked(self, bot: BotState) -> bool:
        if not self._live.settings.disclosure.profile:
            return True
        if not bot.disclosed:
            async with self._locks.setdefault(bot.id, asyncio.Lock()):
                bot.disclosed = bot.disclosed or await self._mark(bot)
            self._locks.pop(bot.id, None)
            if not bot.disclosed:
                return False
            self._describe_at[bot.id] = self._clock.mono()
        if self._describe_at.get(bot.id, float("inf")) <= self._clock.mono():
            self._describe_at[bot.id] = self._clock.mono() + DESCRIBE_AGAIN_SECONDS
            self._start(self._describe(bot))
        return True

    async def _mark(self, bot: BotState) -> bool:
        if self._clock.mono() < self._again.get(bot.id, float("-inf")):
            return False
        name = await self._sender.name(bot.id)
        if not isinstance(name, str):
            return self._stays_silent(bot, name)
        wanted = marked_name(name or bot.persona.name, self._live.settings.disclosure.name_mark)
        if wanted != name:
            done = await self._sender.set_profile(bot.id, name=wanted)
            if not isinstance(done, Done):
                return self._stays_silent(bot, done)
        self._again.pop(bot.id, None)
        return True

    def _stays_silent(self, bot: BotState, failure: Failure) -> bool:
        """Nobody speaks undisclosed: say why this bot does not."""
        wait = max(MARK_AGAIN_SECONDS, failure.retry_after if isinstance(failure, Throttled) else 0.0)
        self._again[bot.id] = self._clock.mono() + wait
        if isinstance(failure, BadToken):
            self._events.bad_token(bot.id)
        else:
            log.warning(
                "disclosure.name",
                bot=bot.persona.name,
                reason=failure.reason,
                again_in=wait,
                cure="the bot stays silent until its name is marked; mark it at @BotFather, or wait",
            )
        return False

    async def _describe(self, bot: BotState) -> None:
        """Set the descriptions where they do not say what the account is. Until both do, each start tries again."""
        done: Done | Failure
        found = await self._sender.descriptions(bot.id)
        if isinstance(found, tuple):
            long, short = found
            done = await self._sender.set_profile(
                bot.id,
                description=None if says_it_is_ai(long) else DESCRIPTION,
                short=None if says_it_is_ai(short) else SHORT_DESCRIPTION,
            )
        else:
            done = found
        if not isinstance(done, Done):
            wait = max(DESCRIBE_AGAIN_SECONDS, done.retry_after if isinstance(done, Throttled) else 0.0)
            self._describe_at[bot.id] = self._clock.mono() + wait
            log.warning(
                "disclosure.description",
                bot=bot.persona.name,
                reason=done.reason,
                again_in=wait,
                cure="set the description at @BotFather, or wait; the bot's name is marked, so it speaks",
            )
            return
        try:
            await self._store.set_disclosed(bot.id, self._clock.wall())
        except StoreError as error:
            log.warning("disclosure.store", bot=bot.persona.name, error=str(error))
        else:
            self._describe_at.pop(bot.id, None)

    # --- the notice
    def _is_known(self, notice: NoticeState) -> bool:
        """Whether the notice is known to be posted and no renewal is due."""
        hours = self._live.settings.disclosure.notice_hours
        return notice.known and not (hours > 0 and self._clock.wall() - notice.posted_at > hours * 3600)

    def _standing(self, notice: NoticeState) -> Disclosed:
        """How it stands while no notice can be posted: one that could not be renewed silences nobody for a day."""
        if not notice.known:
            return Disclosed.NOT
        if notice.late_since is None:
            notice.late_since = self._clock.mono()
        late = self._clock.mono() - notice.late_since
        return Disclosed.ALREADY if late < SILENT_AFTER_SECONDS else Disclosed.NOT

    async def _notice(self, bot: BotState, chat: ChatState, until: float) -> Disclosed:
        """Post the notice if the store says that it is ours to post, or learn that somebody did."""
        notice = chat.notice
        row = next((row for row in await self._store.chats() if row.id == chat.id), None)
        if row is None:  # the group moved, and the store was not told of its new id
            await self._store.ensure_chats([chat.id])
        elif row.notice_message_id is not None and row.notice_at is not None:
            notice.known, notice.posted_at = True, row.notice_at
            if self._is_known(notice):
                notice.late_since = None
                return Disclosed.ALREADY
        notice.ask_at = self._clock.mono() + ASK_AGAIN_SECONDS
        slot = await self._slots.reserve(bot.id, chat.id, until=until, pace=chat.limit, answer=True)
        if isinstance(slot, NoSlot):
            return self._standing(notice)
        delivered = None
        try:
            delivered = await self._post(bot, chat, slot, until)
        finally:
            if delivered is None:
                await self._slots.give_back(slot)
        return Disclosed.NOTICED if delivered is not None and delivered.outcome == "sent" else self._standing(notice)

    async def _post(self, bot: BotState, chat: ChatState, slot: Slot, until: float) -> Delivered | None:
        """None when it was not to be sent: no slot came, or somebody else posts it."""
        rules, thread = self._live.settings.disclosure, chat.settings.thread_id
        draft = Draft(bot.id, 0, chat.id, Kind.NOTICE, rules.notice, bot.persona.name, thread_id=thread)
        if not await self._delivery.ready(draft, slot, typing=0.0, until=until):
            return None
        now = self._clock.wall()
        if not await self._store.claim_notice(
            chat.id, now, now - rules.notice_hours * 3600 if rules.notice_hours else 0.0
        ):
            return None
        if chat.notice.known:
            chat.notice.ask_at = self._clock.mono() + NOTICE_AGAIN_SECONDS
        return await self._delivery.send(draft, slot, until=until, ended=lambda done: self._posted(bot, chat, done))

    def _posted(self, bot: BotState, chat: ChatState, delivered: Delivered) -> None:
        if delivered.outcome != "sent" or delivered.claim is None:
            log.warning(
                "disclosure.notice",
                chat=chat.id,
                bot=bot.persona.name,
                outcome=delivered.outcome,
                reason=delivered.reason,
                note="another is posted" if chat.notice.known else "nobody speaks here before it is posted",
            )
            return
        now = self._clock.wall()
        chat.notice.known, chat.notice.posted_at, chat.notice.late_since = True, now, None
        self._live.spoke(delivered.claim, now, telegram_id=delivered.telegram_id, at=delivered.at)
        if self._live.settings.disclosure.pin and delivered.telegram_id is not None:
            self._start(self._sender.pin(bot.id, delivered.claim.draft.chat_id, delivered.telegram_id))

    def _start(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run what nobody waits for: a pin is never a condition, and a description silences nobody."""
        task = asyncio.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)
