"""Polling: which of our bots long-poll now, and which are only asked now and then.

The engine runs `Polling.run` as a vital task. Ears are chosen by `telegram/ears.py`; the store's `chat.ear` makes the
choice one for all shards. Each bot has at most one poll, under its lease. No answer is waited for here.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Callable, Collection
from functools import partial

import structlog

from piyasad.bots.rights import TASK as RIGHTS
from piyasad.bots.rights import Rights
from piyasad.bots.state import BotState, ChatState, LiveState
from piyasad.clock import Clock
from piyasad.sharding.leases import Leases
from piyasad.store.interface import Store, StoreError
from piyasad.supervise import Outage, Supervisor, raise_if_cancelled
from piyasad.telegram.ears import Candidate, choose, is_heard, stand_ins
from piyasad.telegram.intake import Inbox, Intake
from piyasad.telegram.listener import IDLE_UPDATES, Poller
from piyasad.telegram.sender import Sender
from piyasad.telegram.skew import Skew

log = structlog.stdlib.get_logger(__name__)

EVERY_SECONDS, EVERY_ALONE_SECONDS = 2.0, 4.0
"""How often the ears are looked at, with several shards and alone: a lost one is replaced within 5 s (design)."""

OWNERS_SECONDS = 30.0
"""How often the store is asked whose each bot is, while the same daemons live; theirs are many rows."""

AT_ONCE = 16
"""So many short polls are under way at once."""

SHORTEST_SECONDS = 0.01
"""A wait is never shorter: one that is too short to move the clock would be followed by another, for ever."""

ROUND = "round of polls"


class Polling:
    """Keeps a poller for every ear that is ours, and the slow round of all other bots."""

    def __init__(
        self,
        live: LiveState,
        store: Store,
        leases: Leases,
        sender: Sender,
        inbox: Inbox,
        skew: Skew,
        supervisor: Supervisor,
        clock: Clock,
        rng: random.Random,
        parked: Callable[[int], None],
    ) -> None:
        self._live = live
        self._store = store
        self._leases = leases
        self._sender = sender
        self._supervisor = supervisor
        self._clock = clock
        self._rng = rng
        self._parked = parked
        self._intake = Intake(inbox, skew, clock, self._ask_anew)
        self._pollers: dict[int, Poller] = {}
        self._listening: dict[int, None] = {}
        self._rights = Rights(sender, supervisor, clock, self.look, parked)
        self._speakers = _Speakers(live, store, clock)
        self._due: dict[int, float] = {}  # when a bot is polled if it does not listen
        self._round: list[tuple[float, int]] = []  # the same as a heap; what is not in `_due` is void
        self._free = asyncio.Semaphore(AT_ONCE)
        self._look = asyncio.Event()
        self._joined = asyncio.Event()
        self._outage = Outage("polling.store", clock)

    def held(self, bot_id: int, offset: int) -> None:
        """A bot became ours, under the fence of its state; its updates go on from `offset`."""
        self.drop(bot_id)  # whoever polled for it did so under another fence
        fence = self._live.bots[bot_id].fence
        self._pollers[bot_id] = Poller(
            bot_id,
            self._sender,
            self._intake,
            self._clock,
            self._rng,
            offset=offset,
            may_poll=lambda: self._leases.fence(bot_id) == fence,
            save=partial(self._save, fence),
            parked=self._parked,
        )
        self._poll_at(bot_id, self._clock.mono() + self._idle_seconds * self._rng.random())
        self._joined.set()
        self.look()

    def drop(self, bot_id: int) -> None:
        """A bot is not ours any more: its poll ends."""
        self._pollers.pop(bot_id, None)
        self._listening.pop(bot_id, None)
        self._due.pop(bot_id, None)
        self._rights.forget(bot_id)
        self._supervisor.cut(_task(bot_id))
        self._intake.forget(bot_id)
        self.look()

    def look(self) -> None:
        """Something changed that may change who listens."""
        self._look.set()

    @property
    def listening(self) -> Collection[int]:
        """Our bots that long-poll."""
        return self._listening.keys()

    async def run(self) -> None:
        """Choose ears, start and end polls, ask the others in turn, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._go_round())
                await self._choose_ears()
        finally:
            await self._supervisor.stop([RIGHTS, ROUND, *map(_task, self._listening)], 0.0)
            self._listening.clear()

    # --- ears
    async def _choose_ears(self) -> None:
        while True:
            self._look.clear()
            try:
                await self.step()
                self._outage.worked()
            except StoreError as error:
                raise_if_cancelled()
                self._outage.failed(error)
            await _wait(self._look, EVERY_SECONDS if self._live.shard[1] > 1 else EVERY_ALONE_SECONDS)

    async def step(self) -> None:
        """Look at every chat once. What must be asked of Telegram is asked beside; its answers come later."""
        if not self._pollers:
            return  # a standby has nobody to choose, and must not undo what others chose
        ears = {row.id: row.ear for row in await self._store.chats()}
        alive = await self._speakers.alive({ear for chat in self._live.chats if (ear := ears.get(chat)) is not None})
        wanted: dict[int, None] = {}
        for chat in list(self._live.chats.values()):
            wanted |= dict.fromkeys(await self._listeners(chat, ears.get(chat.id), alive))
        for bot_id in [known for known in self._listening if known not in wanted]:
            del self._listening[bot_id]
            self._supervisor.cut(_task(bot_id))
        for bot_id in wanted:
            poller = self._pollers.get(bot_id)
            if poller is not None and not self._supervisor.runs(_task(bot_id)):
                self._listening[bot_id] = None
                self._supervisor.restarting(_task(bot_id), partial(poller.run, self._wait), lambda: None)

    async def _listeners(self, chat: ChatState, ear: int | None, alive: Collection[int]) -> list[int]:
        """Which of our bots must poll for this chat; a candidate is asked about before its first poll."""
        bots = self._live.bots
        if ear is not None and self._is_good(chat, ear, alive):
            if not self._is_ours(ear):
                return []
            self._rights.refresh(bots[ear], chat)
            return [ear]
        candidates = self._candidates(chat, alive)
        chosen = choose(candidates, ear)
        for each in candidates:
            if each.ours and each.ready and (each.hears is False or each.bot_id == chosen):
                self._rights.refresh(bots[each.bot_id], chat)
        if chosen is not None and self._is_ours(chosen):
            if not self._rights.hears(chosen, chat.id):
                return stand_ins(candidates, None)  # until it is known
            if chosen != ear and not await self._store.set_ear(chat.id, ear, chosen):
                return []
            log.info("ear.chosen", chat=chat.id, bot=bots[chosen].persona.name)
            return [chosen]
        if ear is not None and not is_heard(candidates, ear):
            await self._store.set_ear(chat.id, ear, None)
        return stand_ins(candidates, ear)

    def _is_good(self, chat: ChatState, ear: int, alive: Collection[int]) -> bool:
        """Whether the chat's ear may stay, without a look at the other candidates: so it is nearly always."""
        bot = self._live.bots.get(ear)
        if bot is None or ear not in chat.roster or not self._is_ready(bot, chat, alive):
            return False
        hears = self._rights.hears(ear, chat.id)
        return hears is True if self._is_ours(ear) else hears is not False

    def _candidates(self, chat: ChatState, alive: Collection[int]) -> list[Candidate]:
        return [
            Candidate(
                bot_id,
                ready=self._is_ready(bot, chat, alive),
                ours=self._is_ours(bot_id),
                hears=self._rights.hears(bot_id, chat.id),
            )
            for bot_id in chat.roster
            if (bot := self._live.bots.get(bot_id)) is not None
        ]

    def _is_ready(self, bot: BotState, chat: ChatState, alive: Collection[int]) -> bool:
        return bot.id in alive and not bot.parked and chat.id not in bot.barred

    def _is_ours(self, bot_id: int) -> bool:
        bot = self._live.bots.get(bot_id)
        return bot is not None and bot.held and not bot.parked

    def _ask_anew(self, bot_id: int, chat_id: int) -> None:
        """The bot's rights there changed."""
        self._rights.doubt(bot_id, chat_id)
        self.look()

    async def _save(self, fence: int, bot_id: int, offset: int) -> None:
        if self._leases.fence(bot_id) == fence:
            try:
                await self._store.set_offset(bot_id, fence, offset)
            except StoreError as error:  # the updates are in the ledger; asked again they collide there
                raise_if_cancelled()
                self._outage.failed(error, of="offset")
            else:
                self._outage.worked(of="offset")

    # --- all others
    async def _go_round(self) -> None:
        """A short poll for each bot that does not listen, once in `idle_poll_seconds`: private lines, being added."""
        while True:
            self._joined.clear()
            now = self._clock.mono()
            while self._round and self._round[0][0] <= now:
                at, bot_id = heapq.heappop(self._round)
                if self._due.get(bot_id) != at:
                    continue
                self._poll_at(bot_id, now + self._idle_seconds)
                if bot_id not in self._listening and self._is_ours(bot_id):
                    await self._free.acquire()
                    self._supervisor.beside(ROUND, self._poll_once(bot_id))
            await _wait(self._joined, self._round[0][0] - now if self._round else self._idle_seconds)

    async def _poll_once(self, bot_id: int) -> None:
        try:
            poller = self._pollers.get(bot_id)
            if poller is not None:
                await poller.poll(0, IDLE_UPDATES)
        finally:
            self._free.release()

    def _poll_at(self, bot_id: int, at: float) -> None:
        self._due[bot_id] = at
        heapq.heappush(self._round, (at, bot_id))

    @property
    def _idle_seconds(self) -> float:
        return self._live.settings.telegram.idle_poll_seconds

    def _wait(self) -> float:
        return self._live.settings.telegram.poll_timeout_seconds


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Wait for the event, so long at most; it is set afterwards."""
    timer = asyncio.get_running_loop().call_later(max(SHORTEST_SECONDS, seconds), event.set)
    try:
        await event.wait()
    finally:
        timer.cancel()


def _task(bot_id: int) -> str:
    return f"poll {bot_id}"


class _Speakers:
    """The bots that some living daemon speaks for. A lone shard need not ask who else there is."""

    def __init__(self, live: LiveState, store: Store, clock: Clock) -> None:
        self._live = live
        self._store = store
        self._clock = clock
        self._daemons: frozenset[str] = frozenset()
        self._owners: dict[int, str] = {}
        self._asked = float("-inf")

    async def alive(self, ears: Collection[int]) -> Collection[int]:
        """Their ids. Owners are asked for anew when the daemons changed, or one of the `ears` seems to be gone."""
        ours = {bot.id for bot in self._live.bots.values() if bot.held}
        if self._live.shard[1] == 1:
            return ours
        daemons = frozenset(row.id for row in await self._store.daemons() if row.alive)
        now = self._clock.mono()
        if daemons != self._daemons or now - self._asked > OWNERS_SECONDS or not self._known(daemons).issuperset(ears):
            rows = await self._store.bots()
            self._owners = {row.id: row.owner for row in rows if row.owner is not None and row.state != "parked"}
            self._daemons, self._asked = daemons, now
        return self._known(daemons) | ours

    def _known(self, daemons: frozenset[str]) -> set[int]:
        return {bot_id for bot_id, owner in self._owners.items() if owner in daemons}
