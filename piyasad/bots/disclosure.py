"""Openly bots: the mark and description in a bot's profile, the notice in a chat, and the fixed honest texts.

`turn.py` calls `Discloser.before` ahead of every send: no bot's first line goes out before its profile and the chat's
notice say what it is. No text here is ever written by an LLM.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum

import structlog

from piyasad.bots.state import BotState, ChatState, LiveState
from piyasad.clock import Clock
from piyasad.delivery.delivery import Delivery, Events
from piyasad.model import Draft, Kind, Message
from piyasad.privacy.texts import DESCRIPTION, SHORT_DESCRIPTION, marked_name, says_it_is_ai
from piyasad.store.interface import Store
from piyasad.telegram.errors import BadToken, Done, Failure
from piyasad.telegram.sender import Sender

log = structlog.stdlib.get_logger(__name__)

AGAIN_SECONDS = 120.0
"""A bot whose profile could not be marked stays silent and tries again after that."""


class Disclosed(StrEnum):
    """How a bot stands in a chat before it speaks; the words are turn outcomes."""

    ALREADY = "disclosed"
    NOTICED = "noticed"
    NOT = "undisclosed"


class Discloser:
    """Sees to it that nobody speaks undisclosed."""

    def __init__(
        self, live: LiveState, store: Store, sender: Sender, delivery: Delivery, clock: Clock, events: Events
    ) -> None:
        self._events = events
        self._live = live
        self._store = store
        self._sender = sender
        self._delivery = delivery
        self._clock = clock
        self._locks: dict[int, asyncio.Lock] = {}
        self._tried: dict[int, float] = {}
        self._noticed: dict[int, float] = {}

    async def before(self, bot: BotState, chat: ChatState, until: float) -> Disclosed:
        """Mark the profile and post the notice where that is due, and say how it stands."""
        if not bot.disclosed and self._live.settings.disclosure.profile and not await self._profile(bot):
            return Disclosed.NOT
        bot.disclosed = True
        if self._is_due(chat):
            async with self._locks.setdefault(chat.id, asyncio.Lock()):
                if self._is_due(chat):
                    return await self._notice(bot, chat, until)
        return Disclosed.ALREADY

    async def _profile(self, bot: BotState) -> bool:
        now = self._clock.mono()
        if now < self._tried.get(bot.id, float("-inf")) + AGAIN_SECONDS:
            return False
        self._tried[bot.id] = now
        mark = self._live.settings.disclosure.name_mark
        profile = await self._sender.profile(bot.id)
        if not isinstance(profile, tuple):
            return self._silent(bot, profile)
        name, description, short = profile
        wanted = marked_name(name or bot.persona.name, mark)
        done = await self._sender.set_profile(
            bot.id,
            name=wanted if wanted != name else None,
            description=None if says_it_is_ai(description) else DESCRIPTION,
            short=None if says_it_is_ai(short) else SHORT_DESCRIPTION,
        )
        if not isinstance(done, Done):
            return self._silent(bot, done)
        await self._store.set_disclosed(bot.id, self._clock.wall())
        del self._tried[bot.id]
        return True

    def _silent(self, bot: BotState, failure: Failure) -> bool:
        """Nobody speaks undisclosed: say why this bot does not."""
        if isinstance(failure, BadToken):
            self._events.bad_token(bot.id)
        else:
            log.warning(
                "disclosure.profile",
                bot=bot.persona.name,
                reason=failure.reason,
                cure="the bot stays silent until its profile is marked; mark its name at @BotFather, or wait",
            )
        return False

    def _is_due(self, chat: ChatState) -> bool:
        at = self._noticed.get(chat.id)
        hours = self._live.settings.disclosure.notice_hours
        return at is None or (hours > 0 and self._clock.wall() - at >= hours * 3600)

    async def _notice(self, bot: BotState, chat: ChatState, until: float) -> Disclosed:
        rules = self._live.settings.disclosure
        now = self._clock.wall()
        older_than = now - rules.notice_hours * 3600 if rules.notice_hours else 0.0
        if not await self._store.claim_notice(chat.id, now, older_than):
            self._noticed[chat.id] = now  # another shard posted it, or it is young enough since before our start
            return Disclosed.ALREADY
        slot = chat.slots.reserve(now, urgent=True)
        draft = Draft(
            bot.id, 0, chat.id, Kind.NOTICE, rules.notice, bot.persona.name, thread_id=chat.settings.thread_id
        )
        delivered = await self._delivery.deliver(
            draft, typing=0.0, until=until, gate=lambda: chat.slots.take(slot, self._clock.wall())
        )
        if delivered.outcome not in {"sent", "uncertain"} or delivered.claim is None:
            chat.slots.cancel(slot)
            await self._store.release_notice(chat.id, now)
            return Disclosed.NOT
        self._noticed[chat.id] = now
        if delivered.telegram_id is None:
            return Disclosed.NOTICED
        self._live.hear(
            Message(
                id=delivered.claim.id,
                chat_id=chat.id,
                bot_id=bot.id,
                author=bot.persona.name,
                kind=Kind.NOTICE,
                text=rules.notice,
                at=delivered.at or now,
                telegram_id=delivered.telegram_id,
            )
        )
        if rules.pin:
            await self._sender.pin(bot.id, chat.id, delivered.telegram_id)
        return Disclosed.NOTICED
