"""Rights: which of our bots hear a whole group, by what Telegram said, and which reactions a group allows.

`polling.py` asks before it chooses an ear. An answer holds until it is old or doubted, and while it is asked for anew.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from piyasad.bots.state import BotState, ChatState
from piyasad.clock import Clock
from piyasad.supervise import Supervisor
from piyasad.telegram.errors import BadToken, Failure
from piyasad.telegram.sender import Sender

log = structlog.stdlib.get_logger(__name__)

ASK_AGAIN_SECONDS = 600.0
"""An answer is old after that: somebody may have changed the bot's rights, and no update tells of its privacy mode."""

NOT_ASKED_SECONDS = 15.0
"""An answer that did not come is asked for again after that."""

AT_ONCE = 16
"""So many bots are asked about at once."""

TASK = "rights"


@dataclass(frozen=True, slots=True)
class _Answer:
    hears: bool
    old_at: float


class Rights:
    """`answered` is called when something new is known, `parked` for a bot whose token is refused."""

    def __init__(
        self,
        sender: Sender,
        supervisor: Supervisor,
        clock: Clock,
        answered: Callable[[], None],
        parked: Callable[[int], None],
    ) -> None:
        self._sender = sender
        self._supervisor = supervisor
        self._clock = clock
        self._answered = answered
        self._parked = parked
        self._answers: defaultdict[int, dict[int, _Answer]] = defaultdict(dict)  # by bot, then by chat
        self._asking: dict[tuple[int, int], None] = {}
        self._free = asyncio.Semaphore(AT_ONCE)

    def hears(self, bot_id: int, chat_id: int) -> bool | None:
        """Whether the bot hears the whole group; None while nobody knows."""
        answer = self._answers[bot_id].get(chat_id)
        return None if answer is None else answer.hears

    def doubt(self, bot_id: int, chat_id: int) -> None:
        """Its rights there changed: what is known holds only until it was asked for again."""
        answer = self._answers[bot_id].get(chat_id)
        if answer is not None:
            self._answers[bot_id][chat_id] = _Answer(answer.hears, float("-inf"))

    def forget(self, bot_id: int) -> None:
        """Not our bot any more: others know better."""
        self._answers.pop(bot_id, None)

    def refresh(self, bot: BotState, chat: ChatState) -> None:
        """Ask, beside what runs, where the answer is not known or old and nobody asks already."""
        answer, key = self._answers[bot.id].get(chat.id), (bot.id, chat.id)
        if key in self._asking or (answer is not None and self._clock.mono() < answer.old_at):
            return
        self._asking[key] = None
        self._supervisor.beside(TASK, self._ask(bot, chat))

    async def _ask(self, bot: BotState, chat: ChatState) -> None:
        try:
            async with self._free:
                hears = await self._hears(bot, chat)
        finally:
            self._asking.pop((bot.id, chat.id), None)
        before, now = self.hears(bot.id, chat.id), self._clock.mono()
        if isinstance(hears, bool):
            self._answers[bot.id][chat.id] = _Answer(hears, now + ASK_AGAIN_SECONDS)
            if not hears and before is not False:
                log.warning(
                    "ear.deaf",
                    chat=chat.id,
                    bot=bot.persona.name,
                    cure="make the bot an admin of the group, or its privacy mode off at @BotFather (/setprivacy)",
                )
        else:
            if isinstance(hears, BadToken):
                self._parked(bot.id)
            if before is None:
                log.info("ear.not_asked", chat=chat.id, bot=bot.persona.name, reason=hears.reason)
            self._answers[bot.id][chat.id] = _Answer(before or False, now + NOT_ASKED_SECONDS)
        self._answered()

    async def _hears(self, bot: BotState, chat: ChatState) -> bool | Failure:
        """With privacy off or as an admin. On the way the chat's reactions are learned."""
        hears = await self._sender.hears_all(bot.id)
        if hears is False:
            hears = await self._sender.is_admin(bot.id, chat.id)
        if hears is True:
            allowed = await self._sender.reactions(bot.id, chat.id)
            if allowed is None or isinstance(allowed, tuple):
                chat.reactions = allowed
        return hears
