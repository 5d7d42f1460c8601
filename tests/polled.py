"""Telegram as the pollers see it, in virtual time: updates that wait for a poll, rights, and faults on command."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

from aiogram.types import ChatMemberAdministrator, Update

from piyasad.clock import LoopClock
from piyasad.model import Received
from piyasad.telegram.errors import Conflict, Done, Failure
from piyasad.telegram.sender import Sender
from tests.cases import CHAT

MEMBER = {"id": 5, "is_bot": False, "first_name": "Deniz"}


@dataclass
class Inbox:
    """Writes down what comes, with the time; `refuse` is asked before each."""

    clock: LoopClock
    events: list[tuple[Any, ...]] = field(default_factory=list)
    refuse: Callable[[tuple[Any, ...]], None] = lambda event: None
    hold: Callable[[], Awaitable[object]] | None = None

    async def _note(self, *event: Any) -> None:
        if self.hold is not None:
            await self.hold()
        self.refuse(event)
        self.events.append(event)

    async def received(self, said: Received) -> None:
        await self._note("received", said.text)

    async def edited(self, chat_id: int, telegram_id: int, text: str) -> None:
        await self._note("edited", text)

    async def witnessed(
        self, bot_id: int, chat_id: int, telegram_id: int, text: str, reply_to: int | None, at: float
    ) -> None:
        await self._note("witnessed", bot_id, text)

    async def membership(self, bot_id: int, chat_id: int, inside: bool) -> None:
        await self._note("membership", bot_id, chat_id, inside)

    async def private(self, bot_id: int, chat_id: int) -> None:
        await self._note("private", bot_id)

    async def migrated(self, old: int, new: int) -> None:
        await self._note("migrated", old, new)

    @property
    def texts(self) -> list[str]:
        """What members said."""
        return [event[1] for event in self.events if event[0] == "received"]


class Telegram:
    """Stands for a `Sender`. `ahead`: seconds by which our clock runs ahead of its own."""

    def __init__(self, clock: LoopClock, ahead: float = 0.0) -> None:
        self.clock = clock
        self.ahead = ahead
        self.admins: set[tuple[int, int]] = set()
        self.asked: list[tuple[float, int, str]] = []
        self.polling: dict[int, int] = defaultdict(int)
        self.most = 0
        self.doubles = 0
        self.fault: Callable[[int, float], Failure | None] = lambda bot_id, wait: None
        self.rights: Callable[[], Awaitable[object]] | None = None
        self.latency = 0.1
        self._waiting: dict[int, list[Update]] = defaultdict(list)
        self._news = asyncio.Event()
        self._ids = itertools.count(1)

    @property
    def sender(self) -> Sender:
        """As the pollers know it."""
        return cast(Sender, self)

    def now(self) -> float:
        """Telegram's own clock: whole seconds."""
        return int(self.clock.wall() - self.ahead)

    def put(self, bot_id: int, **update: Any) -> None:
        """An update for a bot."""
        self._waiting[bot_id].append(Update.model_validate({"update_id": next(self._ids)} | update))
        self._news.set()

    def say(self, bot_id: int, text: str | None = "x", chat: int = CHAT, **keys: Any) -> None:
        """A member's line in a group, heard by a bot."""
        self.put(bot_id, message=self.message(text, chat) | keys)

    def message(self, text: str | None, chat: int = CHAT) -> dict[str, Any]:
        """A member's line as Telegram words it."""
        where = {"id": chat, "type": "supergroup", "title": "Piyasa"}
        return {"message_id": next(self._ids), "date": self.now(), "chat": where, "from": MEMBER, "text": text}

    def standing(self, bot_id: int, status: str, chat: int = CHAT) -> None:
        """The bot's own standing in a group changes."""
        (self.admins.add if status == "administrator" else self.admins.discard)((chat, bot_id))
        me = {"id": bot_id, "is_bot": True, "first_name": "Bot"}
        rights = [
            name for name in ChatMemberAdministrator.model_fields if name.startswith("can_")
        ]  # all of this aiogram
        old: dict[str, Any] = {"user": me, "status": "member"}
        new: dict[str, Any] = {"user": me, "status": status, "until_date": 0}
        if status == "administrator":
            new |= {"is_anonymous": False, **dict.fromkeys(rights, True)}
        change = {"chat": {"id": chat, "type": "supergroup"}, "from": MEMBER, "date": self.now()}
        self.put(bot_id, my_chat_member=change | {"old_chat_member": old, "new_chat_member": new})

    def polls(self, bot_id: int) -> int:
        """How often a bot polled."""
        return sum(1 for _, known, what in self.asked if known == bot_id and what.startswith("poll"))

    async def updates(self, bot_id: int, offset: int, wait: float, allowed: Any) -> list[Update] | Failure:
        self.asked.append((self.clock.mono(), bot_id, "poll" if wait else "poll short"))
        self.polling[bot_id] += 1
        self.doubles += self.polling[bot_id] > 1
        self.most = max(self.most, sum(self.polling.values()))
        try:
            await asyncio.sleep(self.latency)
            failure = self.fault(bot_id, wait)
            if failure is not None:
                return failure
            until = self.clock.mono() + wait
            self._waiting[bot_id] = [each for each in self._waiting[bot_id] if each.update_id >= offset]
            while not self._waiting[bot_id] and self.clock.mono() < until:
                self._news.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(until - self.clock.mono()):
                        await self._news.wait()
            return list(self._waiting[bot_id])
        finally:
            self.polling[bot_id] -= 1

    async def hears_all(self, bot_id: int) -> bool | Failure:
        self.asked.append((self.clock.mono(), bot_id, "hears_all"))
        if self.rights is not None:
            found = await self.rights()
            if found is not None:
                return cast(Failure, found)
        return False

    async def is_admin(self, bot_id: int, chat_id: int) -> bool | Failure:
        return (chat_id, bot_id) in self.admins

    async def reactions(self, bot_id: int, chat_id: int) -> None:
        return None

    async def drop_webhook(self, bot_id: int) -> Done:
        return Done()


CONFLICT = Conflict("Conflict: terminated by other getUpdates request")
