"""The intake: what an update says, and to whom it is handed. All pollers share one.

It reads updates for the `Inbox` (in `bots/`), notes what they show of Telegram's clock, and hands a group's move on
once, however many bots and messages tell it. It never polls and keeps no offset.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import structlog
from aiogram.types import Chat, ChatMemberRestricted, ChatMemberUpdated, Message, Update

from piyasad.clock import Clock
from piyasad.model import Received
from piyasad.supervise import Outage
from piyasad.telegram.skew import Skew

log = structlog.stdlib.get_logger(__name__)


class Inbox(Protocol):
    """Where updates go. A `StoreError` that it raises brings the same update again."""

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
        """The polling bot was added to a group, removed from it, or has other rights there."""
        ...

    async def private(self, bot_id: int, chat_id: int) -> None:
        """Somebody wrote to the polling bot in private."""
        ...

    async def migrated(self, old: int, new: int) -> None:
        """A group became a supergroup. Told once."""
        ...


class Intake:
    """One for all pollers. `standing(bot_id, chat_id)` is called when a bot's rights in a group changed."""

    def __init__(self, inbox: Inbox, skew: Skew, clock: Clock, standing: Callable[[int, int], None]) -> None:
        self._inbox = inbox
        self._skew = skew
        self._clock = clock
        self._standing = standing
        self._moved: dict[tuple[int, int], None] = {}
        self.polls = Outage("polling", clock)
        self.store = Outage("inbox", clock)

    def note(self, updates: Sequence[Update]) -> None:
        """These arrived while a poll waited: Telegram sent them as soon as it had them."""
        dates = [date for update in updates if (date := _date(update)) is not None]
        if dates and self._skew.note(self._clock.wall(), max(dates)):
            log.warning(
                "clock.off",
                ahead=round(self._skew.seconds),
                cure="set this machine's clock (timedatectl set-ntp true); until then ages go by Telegram's",
            )

    def answered(self, bot_id: int) -> None:
        """Telegram answered a poll of this bot."""
        self.polls.worked(of=bot_id)

    def forget(self, bot_id: int) -> None:
        """A bot polls no more: whether it could is nobody's trouble now."""
        self.polls.forget(bot_id)
        self.store.forget(bot_id)

    async def take(self, bot_id: int, update: Update) -> None:
        """Hand one update on."""
        change = update.my_chat_member
        if change is not None:
            if is_group(change.chat):
                self._standing(bot_id, change.chat.id)
                await self._inbox.membership(bot_id, change.chat.id, _is_inside(change))
        elif update.edited_message is not None:
            await self._edited(update.edited_message)
        elif update.message is not None:
            await self._message(bot_id, update.message)

    async def _edited(self, message: Message) -> None:
        text = message.text or message.caption
        if text and is_group(message.chat) and not _by_bot(message):
            await self._inbox.edited(message.chat.id, message.message_id, text)

    async def _message(self, bot_id: int, message: Message) -> None:
        if message.migrate_to_chat_id is not None:
            await self._migrated(message.chat.id, message.migrate_to_chat_id)
        elif message.migrate_from_chat_id is not None:
            await self._migrated(message.migrate_from_chat_id, message.chat.id)
        elif message.chat.type == "private":
            if not _by_bot(message):  # two bots would greet each other
                await self._inbox.private(bot_id, message.chat.id)
        elif is_group(message.chat) and (said := received_of(message)) is not None:
            if _by_bot(message) and message.from_user is not None:
                author = message.from_user.id
                await self._inbox.witnessed(author, said.chat_id, said.telegram_id, said.text, said.reply_to, said.at)
            else:
                await self._inbox.received(said)

    async def _migrated(self, old: int, new: int) -> None:
        if (old, new) in self._moved:
            return
        self._moved[old, new] = None
        try:
            await self._inbox.migrated(old, new)
        except BaseException:
            del self._moved[old, new]
            raise


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


def _date(update: Update) -> float | None:
    """When Telegram made an update; an edit's is its message's, which says nothing."""
    told = update.message or update.my_chat_member
    return told.date.timestamp() if told is not None else None


def _is_inside(change: ChatMemberUpdated) -> bool:
    member = change.new_chat_member
    if isinstance(member, ChatMemberRestricted):
        return member.is_member
    return member.status not in {"left", "kicked"}


def _by_bot(message: Message) -> bool:
    """Whether a bot wrote it. An anonymous administrator or a channel comes with a bot's name and is none."""
    return message.from_user is not None and message.from_user.is_bot and message.sender_chat is None
