"""The inbox: where the pollers' updates go. Members' words to `inbound.py`, bad news to `refusals.py`.

`polling.py` hands updates in; an update is confirmed to Telegram only after this returned.
"""

from __future__ import annotations

import structlog

from piyasad.bots.inbound import Inbound
from piyasad.bots.refusals import Refusals
from piyasad.bots.state import LiveState
from piyasad.clock import Clock
from piyasad.model import Received
from piyasad.privacy.texts import PRIVATE_LINE
from piyasad.store.interface import Store
from piyasad.telegram.limits import SendLimits
from piyasad.telegram.sender import Sender

log = structlog.stdlib.get_logger(__name__)

PRIVATE_SECONDS = 10.0
"""The one line in a private chat may take that long."""


class TelegramInbox:
    """`telegram.listener.Inbox` for all our bots."""

    def __init__(
        self,
        live: LiveState,
        store: Store,
        sender: Sender,
        limits: SendLimits,
        inbound: Inbound,
        refusals: Refusals,
        clock: Clock,
    ) -> None:
        self._live = live
        self._store = store
        self._sender = sender
        self._limits = limits
        self._inbound = inbound
        self._refusals = refusals
        self._clock = clock
        self._greeted: dict[tuple[int, int], None] = {}

    async def received(self, said: Received) -> None:
        """A member wrote."""
        await self._inbound.received(said)

    async def edited(self, chat_id: int, telegram_id: int, text: str) -> None:
        """A member changed a message."""
        await self._inbound.edited(chat_id, telegram_id, text)

    async def witnessed(
        self, bot_id: int, chat_id: int, telegram_id: int, text: str, reply_to: int | None, at: float
    ) -> None:
        """One of our bots was seen to say something: proof for a row that was uncertain."""
        if bot_id in self._live.bots:
            await self._store.witness(bot_id, chat_id, telegram_id, text, reply_to, at)

    async def membership(self, bot_id: int, chat_id: int, inside: bool) -> None:
        """A bot was added or removed. From a group that is not listed it goes without a word."""
        bot = self._live.bots.get(bot_id)
        if bot is None:
            return
        if not inside:
            self._refusals.forbidden(bot_id, chat_id, "it was removed from the group")
        elif chat_id in self._live.chats and chat_id in bot.settings.chats:
            if bot.barred.pop(chat_id, None) is not None:
                log.info("bot.returned", bot=bot.persona.name, chat=chat_id)
        else:
            log.warning("bot.leaves", bot=bot.persona.name, chat=chat_id, reason="the group is not listed")
            await self._sender.leave(bot_id, chat_id)

    async def private(self, bot_id: int, chat_id: int) -> None:
        """One polite line in a private chat, then nothing."""
        now = self._clock.mono()
        if (bot_id, chat_id) in self._greeted or self._limits.take(bot_id, chat_id, now) > 0:
            return
        self._greeted[bot_id, chat_id] = None
        await self._sender.send(bot_id, chat_id, PRIVATE_LINE, reply_to=None, thread_id=None, timeout=PRIVATE_SECONDS)
        self._limits.arrived(bot_id, chat_id, now, self._clock.mono())

    async def migrated(self, old: int, new: int) -> None:
        """A group became a supergroup."""
        self._refusals.migrated(old, new)
