"""Polling: which of our bots long-poll now, and which are only asked now and then.

The engine runs `Polling.run` as a vital task. Ears are chosen by `telegram/ears.py`; the store's `chat.ear` makes the
choice one for all shards. Each bot has at most one poll, under its lease.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace

import structlog

from piyasad.bots.state import BotState, ChatState, LiveState
from piyasad.clock import Clock
from piyasad.store.interface import Store, StoreError
from piyasad.telegram.ears import Candidate, choose, is_heard, stand_ins
from piyasad.telegram.errors import BadToken
from piyasad.telegram.listener import IDLE_UPDATES, Inbox, Poller
from piyasad.telegram.sender import Sender

log = structlog.stdlib.get_logger(__name__)

EVERY_SECONDS = 1.0
"""How often the ears are looked at: a lost one is replaced within 5 s of its lease's end (design)."""

ASK_AGAIN_SECONDS = 600.0
"""A bot that could not hear a chat is asked again after that: somebody may have made it an admin."""


class Polling:
    """Keeps a poller for every ear that is ours, and the slow round of all other bots."""

    def __init__(
        self,
        live: LiveState,
        store: Store,
        sender: Sender,
        inbox: Inbox,
        clock: Clock,
        rng: random.Random,
        parked: Callable[[int], None],
    ) -> None:
        self._live = live
        self._store = store
        self._sender = sender
        self._inbox = inbox
        self._clock = clock
        self._rng = rng
        self._parked = parked
        self._pollers: dict[int, asyncio.Task[None]] = {}
        self._offsets: dict[int, int] = {}
        self._hears: dict[tuple[int, int], tuple[bool, float]] = {}
        self._idle_due: dict[int, float] = {}

    def held(self, bot_id: int, offset: int) -> None:
        """A bot became ours; its updates go on from `offset`."""
        self._offsets[bot_id] = offset

    def drop(self, bot_id: int) -> None:
        """A bot is not ours any more: its poll ends."""
        task = self._pollers.pop(bot_id, None)
        if task is not None:
            task.cancel()
        self._offsets.pop(bot_id, None)
        self._idle_due.pop(bot_id, None)

    @property
    def polling(self) -> int:
        """How many of our bots long-poll."""
        return len(self._pollers)

    async def run(self) -> None:
        """Choose ears, start and end polls, until cancelled."""
        try:
            while True:
                try:
                    await self.step()
                except StoreError as error:
                    log.warning("polling.store", error=str(error))
                await asyncio.sleep(EVERY_SECONDS)
        finally:
            await self.stop()

    async def stop(self) -> None:
        """End every poll and wait for it."""
        tasks = list(self._pollers.values())
        self._pollers.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=5.0)

    async def step(self) -> None:
        """Look at every chat once."""
        ears = {row.id: row.ear for row in await self._store.chats()}
        alive = await self._alive()
        wanted: dict[int, None] = {}
        for chat in list(self._live.chats.values()):
            for bot_id in await self._listeners(chat, ears.get(chat.id), alive):
                wanted[bot_id] = None
        for bot_id in [known for known in self._pollers if known not in wanted or self._pollers[known].done()]:
            self._pollers.pop(bot_id).cancel()
        for bot_id in wanted:
            if bot_id not in self._pollers and bot_id in self._offsets:
                self._pollers[bot_id] = asyncio.create_task(self._poller(bot_id).run(self._wait()))
        await self._ask_one_idle(wanted)

    async def _alive(self) -> set[int]:
        """The bots that some living daemon speaks for. A lone shard need not ask who else there is."""
        if self._live.shard[1] == 1:
            return {bot.id for bot in self._live.bots.values() if bot.held}
        return {row.id for row in await self._store.bots() if row.alive and row.state != "parked"}

    async def _listeners(self, chat: ChatState, ear: int | None, alive: set[int]) -> list[int]:
        """Which of our bots must poll for this chat; asks Telegram about a candidate before its first poll."""
        candidates = self._candidates(chat, alive)
        chosen = choose(candidates, ear)
        while chosen is not None and self._is_ours(chosen):
            if (known := self._known(chat.id, chosen)) is None:
                known = await self._ask(self._live.bots[chosen], chat)
            if known:
                break
            candidates = [replace(each, hears=False) if each.bot_id == chosen else each for each in candidates]
            chosen = choose(candidates, ear)
        if chosen is not None and self._is_ours(chosen):
            if chosen != ear and not await self._store.set_ear(chat.id, ear, chosen):
                return []
            return [chosen]
        if ear is not None and not is_heard(candidates, ear):
            await self._store.set_ear(chat.id, ear, None)
        return stand_ins(candidates, ear)

    def _candidates(self, chat: ChatState, alive: set[int]) -> list[Candidate]:
        return [
            Candidate(
                bot_id,
                ready=bot_id in alive and not bot.parked and chat.id not in bot.barred,
                ours=self._is_ours(bot_id),
                hears=self._known(chat.id, bot_id),
            )
            for bot_id in chat.roster
            if (bot := self._live.bots.get(bot_id)) is not None
        ]

    def _is_ours(self, bot_id: int) -> bool:
        bot = self._live.bots.get(bot_id)
        return bot is not None and bot.held and not bot.parked

    def _known(self, chat_id: int, bot_id: int) -> bool | None:
        found = self._hears.get((chat_id, bot_id))
        if found is None or (not found[0] and self._clock.mono() - found[1] > ASK_AGAIN_SECONDS):
            return None
        return found[0]

    async def _ask(self, bot: BotState, chat: ChatState) -> bool:
        """Ask Telegram whether a bot hears the whole group, and learn the chat's reactions on the way."""
        hears = await self._sender.hears_all(bot.id)
        if hears is False:
            hears = await self._sender.is_admin(bot.id, chat.id)
        if isinstance(hears, BadToken):
            self._parked(bot.id)
        if not isinstance(hears, bool):
            log.info("ear.not_asked", bot=bot.persona.name, chat=chat.id, reason=hears.reason)
            self._hears[chat.id, bot.id] = (False, self._clock.mono() - ASK_AGAIN_SECONDS + 15.0)  # soon again
            return False
        self._hears[chat.id, bot.id] = (hears, self._clock.mono())
        if hears:
            allowed = await self._sender.reactions(bot.id, chat.id)
            if allowed is None or isinstance(allowed, tuple):
                chat.reactions = allowed
            log.info("ear.chosen", chat=chat.id, bot=bot.persona.name)
        else:
            log.warning(
                "ear.deaf",
                chat=chat.id,
                bot=bot.persona.name,
                cure="make the bot an admin of the group, or switch its privacy mode off at @BotFather (/setprivacy)",
            )
        return hears

    def _poller(self, bot_id: int) -> Poller:
        return Poller(
            bot_id,
            self._sender,
            self._inbox,
            self._clock,
            self._rng,
            offset=self._offsets[bot_id],
            save=self._save,
            parked=self._parked,
        )

    async def _save(self, bot_id: int, offset: int) -> None:
        self._offsets[bot_id] = offset
        fence = self._fence(bot_id)
        if fence is not None:
            try:
                await self._store.set_offset(bot_id, fence, offset)
            except StoreError as error:  # the updates are in the ledger; asked again they collide there
                log.warning("polling.offset", bot=bot_id, error=str(error))

    def _fence(self, bot_id: int) -> int | None:
        bot = self._live.bots.get(bot_id)
        return bot.fence if bot is not None and bot.held else None

    async def _ask_one_idle(self, listening: dict[int, None]) -> None:
        """One short poll a second at most, for the bot whose round it is: private lines, being added or removed."""
        now = self._clock.mono()
        every = self._live.settings.telegram.idle_poll_seconds
        due: list[tuple[float, int]] = []
        for bot_id in self._offsets:
            if bot_id in listening or not self._is_ours(bot_id):
                continue
            at = self._idle_due.setdefault(bot_id, now + every * self._rng.random())
            if at <= now:
                due.append((at, bot_id))
        for _, bot_id in sorted(due)[: max(1, round(len(self._offsets) / every))]:
            self._idle_due[bot_id] = now + every
            await self._poller(bot_id).poll(0, IDLE_UPDATES)

    def _wait(self) -> float:
        return self._live.settings.telegram.poll_timeout_seconds
