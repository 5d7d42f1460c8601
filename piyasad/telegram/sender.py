"""The one async sender: each call makes at most one request and says what became of it. It never retries.

`delivery.py` calls `send` between claim and settlement; typing, reactions and the profile are thin. It knows nothing of
the ledger. Plain text, no parse mode, link previews off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from aiogram.enums import ReactionTypeType
from aiogram.exceptions import AiogramError
from aiogram.methods import (
    DeleteWebhook,
    GetChat,
    GetChatMember,
    GetMe,
    GetMyDescription,
    GetMyName,
    GetMyShortDescription,
    GetUpdates,
    LeaveChat,
    PinChatMessage,
    SendChatAction,
    SendMessage,
    SetMessageReaction,
    SetMyDescription,
    SetMyName,
    SetMyShortDescription,
    TelegramMethod,
)
from aiogram.methods.base import TelegramType
from aiogram.types import ReactionTypeEmoji, Update

from piyasad.metrics import Metrics
from piyasad.telegram.client import TelegramClient
from piyasad.telegram.errors import Done, Failure, Sent, Throttled, Uncertain, UnknownBot, classify

T = TypeVar("T")

CALL_SECONDS = 15.0
"""Calls that are no message may take that long."""

UPDATES_MOST = 100
"""Updates in one answer (Bot API, getUpdates: limit)."""

SLOT_METHODS = frozenset({SendMessage.__api_method__, SendChatAction.__api_method__, SetMessageReaction.__api_method__})
"""Their 429s are the slot's business (`delivery/slot.py`); another method's pauses that method of that bot, here."""

TYPING_SECONDS = 4.0
"""A chat action that takes longer is of no use any more."""


class Sender:
    """Bot API calls as outcomes instead of exceptions."""

    def __init__(
        self, clients: TelegramClient, metrics: Metrics, told: Callable[[str], None] = lambda error: None
    ) -> None:
        """`told` hears how every call ended: "" for a success, else what became of it."""
        self._clients = clients
        self._metrics = metrics
        self._told = told
        self._paused: dict[tuple[int, str], float] = {}

    async def send(
        self, bot_id: int, chat_id: int, text: str, *, reply_to: int | None, thread_id: int | None, timeout: float
    ) -> Sent | Failure:
        """Send one message, as a reply where `reply_to` is given; the answered message must exist."""
        body: dict[str, Any] = {"chat_id": chat_id, "text": text, "link_preview_options": {"is_disabled": True}}
        if thread_id is not None:
            body["message_thread_id"] = thread_id
        if reply_to is not None:
            body["reply_parameters"] = {"message_id": reply_to, "allow_sending_without_reply": False}
        result = await self._try(
            bot_id, SendMessage.__api_method__, lambda: self._clients.send_message(bot_id, body, timeout)
        )
        return Sent(result[0].message_id, result[0].date) if isinstance(result, tuple) else result

    async def typing(self, bot_id: int, chat_id: int, thread_id: int | None) -> Done | Failure:
        """Show "typing …" for five seconds or until the message comes. Decoration: a failure matters to nobody."""
        action = SendChatAction(chat_id=chat_id, action="typing", message_thread_id=thread_id)
        return await self._done(bot_id, action, TYPING_SECONDS)

    async def react(self, bot_id: int, chat_id: int, message_id: int, emoji: str) -> Done | Failure:
        """Set this bot's reaction to a message."""
        # `type` is said although it is the default: only fields that are set travel, and Telegram demands this one
        reaction = ReactionTypeEmoji(type=ReactionTypeType.EMOJI, emoji=emoji)
        method = SetMessageReaction(chat_id=chat_id, message_id=message_id, reaction=[reaction])
        return await self._done(bot_id, method)

    async def pin(self, bot_id: int, chat_id: int, message_id: int) -> Done | Failure:
        """Pin a message without notifying everybody."""
        return await self._done(
            bot_id, PinChatMessage(chat_id=chat_id, message_id=message_id, disable_notification=True)
        )

    async def leave(self, bot_id: int, chat_id: int) -> Done | Failure:
        """Leave a chat."""
        return await self._done(bot_id, LeaveChat(chat_id=chat_id))

    async def name(self, bot_id: int) -> str | Failure:
        """The bot's display name."""
        name = await self.call(bot_id, GetMyName(), CALL_SECONDS)
        return name[0].name if isinstance(name, tuple) else name

    async def descriptions(self, bot_id: int) -> tuple[str, str] | Failure:
        """The bot's description and short description."""
        long = await self.call(bot_id, GetMyDescription(), CALL_SECONDS)
        if not isinstance(long, tuple):
            return long
        short = await self.call(bot_id, GetMyShortDescription(), CALL_SECONDS)
        if not isinstance(short, tuple):
            return short
        return long[0].description, short[0].short_description

    async def set_profile(
        self, bot_id: int, *, name: str | None = None, description: str | None = None, short: str | None = None
    ) -> Done | Failure:
        """Change what is given; the first failure ends it."""
        wanted: list[TelegramMethod[bool]] = []
        if name is not None:
            wanted.append(SetMyName(name=name))
        if description is not None:
            wanted.append(SetMyDescription(description=description))
        if short is not None:
            wanted.append(SetMyShortDescription(short_description=short))
        for method in wanted:
            done = await self._done(bot_id, method)
            if not done.ok:
                return done
        return Done()

    async def hears_all(self, bot_id: int) -> bool | Failure:
        """Whether privacy mode is off for the bot (getMe, can_read_all_group_messages)."""
        me = await self.call(bot_id, GetMe(), CALL_SECONDS)
        return bool(me[0].can_read_all_group_messages) if isinstance(me, tuple) else me

    async def username(self, bot_id: int) -> str | Failure:
        """Whose account the token is (getMe)."""
        me = await self.call(bot_id, GetMe(), CALL_SECONDS)
        return me[0].username or "" if isinstance(me, tuple) else me

    async def is_admin(self, bot_id: int, chat_id: int) -> bool | Failure:
        """Whether the bot is an administrator of the chat."""
        member = await self._ask(bot_id, GetChatMember(chat_id=chat_id, user_id=bot_id))
        return member[0].get("status") in {"administrator", "creator"} if isinstance(member, tuple) else member

    async def reactions(self, bot_id: int, chat_id: int) -> tuple[str, ...] | Failure | None:
        """The chat's allowed reaction emoji; None when it allows all standard ones."""
        chat = await self._ask(bot_id, GetChat(chat_id=chat_id))
        if not isinstance(chat, tuple):
            return chat
        allowed = chat[0].get("available_reactions")
        if not isinstance(allowed, list):
            return None
        return tuple(each["emoji"] for each in allowed if isinstance(each, dict) and "emoji" in each)

    async def drop_webhook(self, bot_id: int) -> Done | Failure:
        """End a webhook that stands in the way of polling; what waits there is kept."""
        return await self._done(bot_id, DeleteWebhook(drop_pending_updates=False))

    async def updates(self, bot_id: int, offset: int, wait: float, allowed: Sequence[str]) -> list[Update] | Failure:
        """One poll; `wait` whole seconds at most, 0 for a short one. `offset` 0: all that waits at Telegram."""
        method = GetUpdates(offset=offset or None, timeout=int(wait), limit=UPDATES_MOST, allowed_updates=list(allowed))
        result = await self.call(bot_id, method, wait + CALL_SECONDS)
        return result[0] if isinstance(result, tuple) else result

    async def call(
        self, bot_id: int, method: TelegramMethod[TelegramType], timeout: float
    ) -> tuple[TelegramType] | Failure:
        """One request; its result in a tuple, or what became of it."""
        return await self._try(bot_id, method.__api_method__, lambda: self._clients.call(bot_id, method, timeout))

    async def _ask(self, bot_id: int, method: TelegramMethod[Any]) -> tuple[dict[str, Any]] | Failure:
        """One request whose result is read as plain JSON."""
        result = await self._try(bot_id, method.__api_method__, lambda: self._clients.ask(bot_id, method, CALL_SECONDS))
        if isinstance(result, tuple) and not isinstance(result[0], dict):
            return Uncertain("the answer is not the Bot API's")
        return result

    async def _done(self, bot_id: int, method: TelegramMethod[bool], timeout: float = CALL_SECONDS) -> Done | Failure:
        result = await self.call(bot_id, method, timeout)
        return Done() if isinstance(result, tuple) else result

    async def _try(self, bot_id: int, name: str, request: Callable[[], Awaitable[T]]) -> tuple[T] | Failure:
        # What must wait is answered as Telegram would, so that nobody waits here with a lease running.
        wait = self._clients.wait_new(bot_id)
        if wait > 0:
            return Throttled(wait, f"too many new tokens this minute; wait {wait:.0f} s")
        wait = self._paused.get((bot_id, name), 0.0) - asyncio.get_running_loop().time()
        if wait > 0:
            return Throttled(wait, f"Telegram asked not to call {name}; wait {wait:.0f} s")
        try:
            result = await request()
        except (AiogramError, UnknownBot, TimeoutError, OSError) as error:
            return self._failed(bot_id, name, error)
        self._metrics.telegram_requests.labels(name, "ok").inc()
        self._told("")
        return (result,)

    def _failed(self, bot_id: int, name: str, error: Exception) -> Failure:
        failure = classify(error)
        self._told(failure.reason)
        self._metrics.telegram_requests.labels(name, type(failure).__name__.lower()).inc()
        if isinstance(failure, Throttled):
            self._metrics.telegram_retry_after.set(failure.retry_after)
            if name not in SLOT_METHODS:
                now = asyncio.get_running_loop().time()
                self._paused = {key: until for key, until in self._paused.items() if until > now}
                self._paused[bot_id, name] = now + failure.retry_after
        return failure
