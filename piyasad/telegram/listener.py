"""The listener: long polls for one bot and hands what came in to its inbox before it confirms it.

`polling.py` runs one `Poller` per ear. An update is confirmed (by the next offset) only after the inbox has taken all
of its batch, so a crash in between means a redelivery, never a loss.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import structlog
from aiogram.types import Chat, ChatMemberRestricted, ChatMemberUpdated, Message, Update

from piyasad.clock import Clock
from piyasad.model import Received
from piyasad.telegram.errors import BadToken, Conflict, Failure, Throttled
from piyasad.telegram.sender import UPDATES_MOST, Sender

log = structlog.stdlib.get_logger(__name__)

ALL_UPDATES = ("message", "edited_message", "my_chat_member")
IDLE_UPDATES = ("message", "my_chat_member")

CONFLICT_SECONDS = 5.0
"""After a 409: the older poll of two is ended after at most 3 s (Bot API server), so wait for longer than that."""

BACKOFF_FIRST, BACKOFF_MOST = 1.0, 30.0

SHORTEST_SECONDS = 1.0
"""An empty answer that comes sooner than this (and than it was asked to) is no reason to ask again at once."""

STUCK_TRIES = 5
"""So often an update is handed in that the inbox refuses; then those after it are tried, and when one of them goes in,
the fault is the update's own and it is dropped. While all are refused nothing is."""

BACKLOG_POLLS = 20
"""Full answers that one short poll takes at most, one after the other."""


@dataclass(frozen=True, slots=True)
class InboxFailed:
    """The inbox would not take an update; it comes again."""

    reason: str


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
        handle = message.sender_chat.username
    elif message.from_user is not None:
        user_id, author = message.from_user.id, message.from_user.full_name
        handle = message.from_user.username
    else:
        return None
    return Received(
        chat_id=message.chat.id,
        telegram_id=message.message_id,
        user_id=user_id,
        author=author,
        text=text,
        at=message.date.timestamp(),
        reply_to=_answered(message),
        thread_id=message.message_thread_id if message.is_topic_message else None,
        handle=handle or "",
    )


def _answered(message: Message) -> int | None:
    """The message that this one replies to. In a topic every line "replies" to the topic's first, and means nobody."""
    target = message.reply_to_message
    if target is None or (message.is_topic_message and target.message_id == message.message_thread_id):
        return None
    return target.message_id


async def dispatch(bot_id: int, update: Update, inbox: Inbox) -> None:
    """Hand one update on."""
    if update.my_chat_member is not None and is_group(update.my_chat_member.chat):
        await inbox.membership(bot_id, update.my_chat_member.chat.id, _is_inside(update.my_chat_member))
        return
    edited = update.edited_message
    if edited is not None and is_group(edited.chat):
        text = edited.text or edited.caption
        if text and not _by_bot(edited):
            await inbox.edited(edited.chat.id, edited.message_id, text)
        return
    message = update.message
    if message is None:
        return
    if message.migrate_to_chat_id is not None:
        await inbox.migrated(message.chat.id, message.migrate_to_chat_id)
    elif message.migrate_from_chat_id is not None:
        await inbox.migrated(message.migrate_from_chat_id, message.chat.id)
    elif message.chat.type == "private":
        if not _by_bot(message):  # two bots would greet each other
            await inbox.private(bot_id, message.chat.id)
    elif is_group(message.chat):
        await _group_line(message, inbox)


def _is_inside(change: ChatMemberUpdated) -> bool:
    member = change.new_chat_member
    if isinstance(member, ChatMemberRestricted):
        return member.is_member
    return member.status not in {"left", "kicked"}


def _by_bot(message: Message) -> bool:
    """Whether a bot wrote it. An anonymous administrator or a channel comes with a bot's name and is none."""
    return message.from_user is not None and message.from_user.is_bot and message.sender_chat is None


async def _group_line(message: Message, inbox: Inbox) -> None:
    said = received_of(message)
    if said is None:
        return
    if _by_bot(message) and message.from_user is not None:
        await inbox.witnessed(message.from_user.id, said.chat_id, said.telegram_id, said.text, said.reply_to, said.at)
    else:
        await inbox.received(said)


class Poller:
    """Polls for one bot. `save` stores the offset; `parked` is called when the token is refused."""

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
        self._refused: dict[int, int] = {}

    async def run(self, wait: float) -> None:
        """Long poll until cancelled or refused. `wait`: seconds (whole ones count) that a poll waits at most."""
        while True:
            began = self._clock.mono()
            result = await self.poll(wait, ALL_UPDATES)
            if isinstance(result, BadToken):
                return
            rest = self._rest(result, min(wait, SHORTEST_SECONDS) - (self._clock.mono() - began))
            if rest > 0:
                await asyncio.sleep(rest)

    async def poll(self, wait: float, allowed: tuple[str, ...]) -> int | Failure | InboxFailed:
        """One poll and what it brought: how many updates, or why there were none. It never rests.

        With `wait` 0 a backlog is taken to its end, a full answer after the other.
        """
        total = 0
        for _ in range(BACKLOG_POLLS):
            result = await self._sender.updates(self.bot_id, self.offset, wait, allowed)
            if isinstance(result, BadToken):
                self._parked(self.bot_id)
            if isinstance(result, Conflict):
                return await self._conflict(result)
            if not isinstance(result, list):
                return result
            failed = await self._take(result)
            if failed is not None:
                return failed
            total += len(result)
            if wait > 0 or len(result) < UPDATES_MOST:
                break
        return total

    async def _take(self, updates: list[Update]) -> InboxFailed | None:
        """Hand a batch in. The offset moves past what was taken, and so confirms it with the next poll."""
        before = self.offset
        stuck: list[int] = []
        failed = None
        for update in updates:
            try:
                await dispatch(self.bot_id, update, self._inbox)
            except Exception as error:  # whatever it is: the update is not lost, it comes again
                tries = self._refused[update.update_id] = self._refused.get(update.update_id, 0) + 1
                log.warning("listener.inbox", bot=self.bot_id, update=update.update_id, tries=tries, exc_info=error)
                failed = InboxFailed("the inbox failed")
                if tries < STUCK_TRIES:
                    break
                stuck.append(update.update_id)
                continue
            if stuck:
                log.error("listener.dropped", bot=self.bot_id, updates=stuck, reason="others are taken, these never")
            self.offset = update.update_id + 1
            stuck.clear()
            self._refused.clear()
            failed = None
        if self.offset != before:
            await self._save(self.bot_id, self.offset)
        return failed

    async def _conflict(self, conflict: Conflict) -> int | Failure:
        """409: a webhook stands in the way (it is ended), or another poll runs with our token (it is told)."""
        if "webhook" in conflict.reason.lower():
            done = await self._sender.drop_webhook(self.bot_id)
            log.warning("listener.webhook", bot=self.bot_id, ended=done.ok)
        else:
            log.warning(
                "listener.conflict",
                bot=self.bot_id,
                reason=conflict.reason,
                cure="another program polls with this token: stop it, or get a new token from @BotFather",
            )
        return conflict

    def _rest(self, result: int | Failure | InboxFailed, left: float) -> float:
        """Seconds until the next poll. `left`: what remains of the time in which nobody asks twice."""
        if isinstance(result, int):
            self._backoff = BACKOFF_FIRST
            return 0.0 if result else left
        if isinstance(result, Conflict):
            return CONFLICT_SECONDS * (1 + self._rng.random())
        at_least = result.retry_after if isinstance(result, Throttled) else 0.0
        rest = max(at_least, self._backoff * (0.5 + self._rng.random()))
        self._backoff = min(self._backoff * 2, BACKOFF_MOST)
        log.info("listener.waits", bot=self.bot_id, seconds=round(rest, 1), reason=result.reason)
        return rest
