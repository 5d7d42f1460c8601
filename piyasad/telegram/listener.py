"""The listener: long polls for one bot and hands what came in to its inbox before it confirms it.

`polling.py` runs one `Poller` per ear. An update is confirmed (by the next offset) only after the inbox has taken all
of its batch, so a crash in between means a redelivery, never a loss.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog
from aiogram.types import Chat, Message, Update

from piyasad.clock import Clock
from piyasad.model import Received
from piyasad.telegram.errors import BadToken, Conflict, Throttled
from piyasad.telegram.sender import Sender

log = structlog.stdlib.get_logger(__name__)

ALL_UPDATES = ("message", "edited_message", "my_chat_member")
IDLE_UPDATES = ("message", "my_chat_member")

CONFLICT_SECONDS = 5.0
"""After a 409: the older poll of two is ended after at most 3 s (Bot API server), so wait for longer than that."""

BACKOFF_FIRST, BACKOFF_MOST = 1.0, 60.0


class Inbox(Protocol):
    """Where updates go. What it raises brings the same batch again."""

    async def received(self, said: Received) -> None:
        """A member wrote in a group."""
        ...

    async def edited(self, chat_id: int, telegram_id: int, text: str) -> None:
        """A member changed a message."""
        ...

    async def witnessed(
        self, bot_id: int, chat_id: int, telegram_id: int, text: str, reply_to: int | None, at: float
    ) -> None:
        """Another bot's message came by (bot-to-bot mode); `bot_id` is its author."""
        ...

    async def membership(self, bot_id: int, chat_id: int, inside: bool) -> None:
        """The polling bot was added to a group or removed from it."""
        ...

    async def private(self, bot_id: int, chat_id: int) -> None:
        """Somebody wrote to the polling bot in private."""
        ...

    async def migrated(self, old: int, new: int) -> None:
        """A group became a supergroup."""
        ...


def is_group(chat: Chat) -> bool:
    """Whether a chat is a group of either kind."""
    return chat.type in {"group", "supergroup"}


def received_of(message: Message) -> Received | None:
    """A member's line; None for a service message, a channel's post or one without any text."""
    text = message.text or message.caption
    if not text:
        return None
    if message.sender_chat is not None:  # an anonymous administrator or a channel speaks as that chat
        user_id, author = message.sender_chat.id, message.sender_chat.title or "Yönetici"
    elif message.from_user is not None:
        user_id, author = message.from_user.id, message.from_user.full_name
    else:
        return None
    return Received(
        chat_id=message.chat.id,
        telegram_id=message.message_id,
        user_id=user_id,
        author=author,
        text=text,
        at=message.date.timestamp(),
        reply_to=message.reply_to_message.message_id if message.reply_to_message is not None else None,
        thread_id=message.message_thread_id if message.is_topic_message else None,
    )


async def dispatch(bot_id: int, update: Update, inbox: Inbox) -> None:
    """Hand one update on."""
    if update.my_chat_member is not None and is_group(update.my_chat_member.chat):
        inside = update.my_chat_member.new_chat_member.status not in {"left", "kicked"}
        await inbox.membership(bot_id, update.my_chat_member.chat.id, inside)
        return
    edited = update.edited_message
    if edited is not None and is_group(edited.chat):
        text = edited.text or edited.caption
        if text and not (edited.from_user is not None and edited.from_user.is_bot):
            await inbox.edited(edited.chat.id, edited.message_id, text)
        return
    message = update.message
    if message is None:
        return
    if message.migrate_to_chat_id is not None:
        await inbox.migrated(message.chat.id, message.migrate_to_chat_id)
    elif message.chat.type == "private":
        await inbox.private(bot_id, message.chat.id)
    elif is_group(message.chat):
        await _group_line(message, inbox)


async def _group_line(message: Message, inbox: Inbox) -> None:
    said = received_of(message)
    if said is None:
        return
    if message.from_user is not None and message.from_user.is_bot and message.sender_chat is None:
        await inbox.witnessed(message.from_user.id, said.chat_id, said.telegram_id, said.text, said.reply_to, said.at)
    else:
        await inbox.received(said)


class Poller:
    """Polls for one bot. `save` stores the offset; `parked` is called once when the token is refused."""

    def __init__(
        self,
        bot_id: int,
        sender: Sender,
        inbox: Inbox,
        clock: Clock,
        rng: random.Random,
        *,
        offset: int,
        save: Callable[[int, int], Awaitable[None]],
        parked: Callable[[int], None],
    ) -> None:
        self.bot_id = bot_id
        self.offset = offset
        self._sender = sender
        self._inbox = inbox
        self._clock = clock
        self._rng = rng
        self._save = save
        self._parked = parked
        self._backoff = BACKOFF_FIRST

    async def run(self, wait: float) -> None:
        """Long poll until cancelled or refused."""
        while await self.poll(wait, ALL_UPDATES):
            pass

    async def poll(self, wait: float, allowed: tuple[str, ...]) -> bool:
        """One poll and what it brought; False when the token is refused."""
        result = await self._sender.updates(self.bot_id, self.offset, wait, allowed)
        if isinstance(result, list):
            return await self._take(result)
        if isinstance(result, BadToken):
            self._parked(self.bot_id)
            return False
        if isinstance(result, Conflict):
            await self._conflict(result)
        else:
            await self._rest(result.retry_after if isinstance(result, Throttled) else 0.0, result.reason)
        return True

    async def _take(self, updates: list[Update]) -> bool:
        for update in updates:
            try:
                await dispatch(self.bot_id, update, self._inbox)
            except Exception as error:  # the batch comes again; the update is not lost
                log.warning("listener.inbox", bot=self.bot_id, update=update.update_id, exc_info=error)
                await self._rest(0.0, "the inbox failed")
                return True
            self.offset = update.update_id + 1
        self._backoff = BACKOFF_FIRST
        if updates:
            await self._save(self.bot_id, self.offset)
        return True

    async def _conflict(self, conflict: Conflict) -> None:
        if "webhook" in conflict.reason.lower():
            await self._sender.drop_webhook(self.bot_id)
            return
        log.warning(
            "listener.conflict",
            bot=self.bot_id,
            reason=conflict.reason,
            cure="another program polls with this token: stop it, or get a new token from @BotFather",
        )
        await asyncio.sleep(CONFLICT_SECONDS * (1 + self._rng.random()))

    async def _rest(self, at_least: float, reason: str) -> None:
        wait = max(at_least, self._backoff * (0.5 + self._rng.random()))
        self._backoff = min(self._backoff * 2, BACKOFF_MOST)
        log.info("listener.waits", bot=self.bot_id, seconds=round(wait, 1), reason=reason)
        await asyncio.sleep(wait)
