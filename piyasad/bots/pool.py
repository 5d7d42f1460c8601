"""The pool: the bots that are ours, from the lease to the loop. Takes them, starts, changes, silences and drains them.

The engine runs it, `reload.py` hands it what changed. It decides nothing about what is said and knows no SQL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping

import structlog

from piyasad.bots.polling import Polling
from piyasad.bots.state import BotState, LiveState
from piyasad.bots.stimuli import Stimuli
from piyasad.clock import Clock
from piyasad.metrics import Metrics
from piyasad.model import Lease, Stimulus
from piyasad.scheduler import BotLoop
from piyasad.sharding.assignment import assign
from piyasad.sharding.leases import Leases
from piyasad.store.interface import Store, StoreError
from piyasad.supervise import Outage, Supervisor, raise_if_cancelled
from piyasad.telegram.client import TelegramClient

log = structlog.stdlib.get_logger(__name__)

LOOK_SECONDS = 1.0
"""How often a bot that somebody else holds is looked at: a drained daemon's bots are free within that time."""

BOTS_AT_ONCE = 100
"""So many loops are begun before others get a turn: about 10 ms of work."""


class BotPool:
    """Our bots. `loop_of` makes a bot's loop, `recall` gives bots that became ours what they did before."""

    def __init__(
        self,
        live: LiveState,
        store: Store,
        leases: Leases,
        telegram: TelegramClient,
        polling: Polling,
        stimuli: Stimuli,
        supervisor: Supervisor,
        clock: Clock,
        metrics: Metrics,
        *,
        loop_of: Callable[[BotState], BotLoop],
        recall: Callable[[Collection[int]], Awaitable[None]],
    ) -> None:
        self._live = live
        self._store = store
        self._leases = leases
        self._telegram = telegram
        self._polling = polling
        self._stimuli = stimuli
        self._supervisor = supervisor
        self._clock = clock
        self._metrics = metrics
        self._loop_of = loop_of
        self._recall = recall
        self._new: dict[int, Lease] = {}  # ours, but not told yet what they did before
        self._loops: dict[int, BotLoop] = {}
        self._tasks: dict[int, str] = {}  # the name of each bot's newest task
        self._generation = 0
        self._assigned: tuple[tuple[int, ...], dict[int, int]] = ((), {})
        self._leaving: dict[int, None] = {}  # bots that are not wanted any more and still ours
        self._look = asyncio.Event()
        self._speaking = False

    @property
    def held(self) -> Collection[int]:
        """The bots we speak for."""
        return self._leases.held

    def loop(self, bot_id: int) -> BotLoop | None:
        """A bot's loop, if it runs here."""
        return self._loops.get(bot_id)

    # --- start
    async def open(self) -> None:
        """Take the bots that are free."""
        await self.take_free()

    async def start(self) -> None:
        """Let the bots speak."""
        self._speaking = True
        await self._begin_all(list(self._leases.held))
        self._stimuli.resume(list(self._loops))

    async def _begin_all(self, bot_ids: Collection[int]) -> None:
        for number, bot_id in enumerate(bot_ids, 1):
            bot = self._live.bots.get(bot_id)
            if bot is not None and bot.held and bot.settings.enabled:
                self._begin(bot)
            if number % BOTS_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def open_the_talk(self) -> None:
        """Somebody is watching: in each chat two bots that did not speak last take their first turn now."""
        await asyncio.sleep(0)  # the loops draw their first delays when they begin
        for chat in self._live.chats.values():
            last = chat.room.view().last
            free = [bot_id for bot_id in chat.roster if bot_id in self._loops and (not last or last.bot_id != bot_id)]
            for bot_id in free[:2]:
                self._loops[bot_id].act_now()

    # --- take and give up
    async def run(self) -> None:
        """Take what is free, give up what is not wanted; sleeps until somebody's lease ends or something changed."""
        outage = Outage("pool", self._clock)
        while True:
            self._look.clear()
            try:
                await self._give_up()
                await self._welcome()
                await self.take_free()
                missing = [bot.id for bot in self.missing()]
                wait = await self._store.free_in(missing) if missing else None
                outage.worked()
            except StoreError as error:
                raise_if_cancelled()
                outage.failed(error)
                wait, missing = None, [0]
            if not missing and not self._leaving:
                await self._look.wait()
                continue
            try:
                async with asyncio.timeout(LOOK_SECONDS if wait is None else max(0.0, min(LOOK_SECONDS, wait))):
                    await self._look.wait()
            except TimeoutError:
                continue

    def look(self) -> None:
        """Something changed that may let us take or give up bots."""
        self._look.set()

    def ours(self) -> list[BotState]:
        """The wanted bots that the assignment gives to this shard."""
        index, count = self._live.shard
        bots = self._live.wanted()
        ids = tuple(bot.id for bot in bots)
        if self._assigned[0] != ids:  # hashing a thousand bots every second would be work for nothing
            self._assigned = (ids, assign(ids, count))
        owner = self._assigned[1]
        return [bot for bot in bots if owner[bot.id] == index]

    def missing(self) -> list[BotState]:
        """Those of them that we do not hold."""
        held = self._leases.held
        return [bot for bot in self.ours() if bot.id not in held]

    async def take_free(self) -> None:
        """Take our share of the bots that nobody holds; start those that we got."""
        missing = self.missing()
        if not missing:
            return
        taken = await self._leases.take([(bot.id, bot.persona.name, bot.persona.username) for bot in missing])
        if not taken:
            return
        self._new |= {lease.bot_id: lease for lease in taken}
        await self._welcome()

    async def _welcome(self) -> None:
        """Bots became ours: they get what they did before, then they may speak."""
        leases = list(self._new.values())
        if not leases:
            return
        await self._recall([lease.bot_id for lease in leases])
        leases = [lease for lease in leases if self._new.get(lease.bot_id) is lease]  # or the lease was lost meanwhile
        await self._took(leases)
        for lease in leases:
            self._new.pop(lease.bot_id, None)
        if self._speaking:
            await self._begin_all([lease.bot_id for lease in leases])
            self._stimuli.resume([lease.bot_id for lease in leases])

    async def _took(self, leases: Collection[Lease]) -> None:
        """Bots became ours: their polls go on where they were."""
        for lease in leases:
            bot = self._live.bots.get(lease.bot_id)
            if bot is None:  # a reload took it away while the store was asked
                self._leaving[lease.bot_id] = None
                continue
            bot.held, bot.fence, bot.disclosed = True, lease.fence, lease.disclosed_at is not None
            self._telegram.add(bot.id, bot.token.reveal())
            self._polling.held(bot.id, lease.update_offset)
        for lease in leases:
            if lease.state == "parked":  # a token may have been renewed since: try it again
                await self._store.set_bot_state(lease.bot_id, "active", "")

    async def _give_up(self) -> None:
        """Free bots that are not wanted any more, once their last turn has ended."""
        ended = [bot_id for bot_id in self._leaving if not self._supervisor.runs(self._tasks.get(bot_id, ""))]
        if ended:
            await self._leases.free(ended)
            for bot_id in ended:
                self._leaving.pop(bot_id, None)

    # --- loops
    def _begin(self, bot: BotState) -> None:
        if bot.id in self._loops:
            return
        before = self._tasks.get(bot.id, "")
        self._generation += 1
        name = self._tasks[bot.id] = f"bot {bot.id} {self._generation}"
        loop = self._loops[bot.id] = self._loop_of(bot)

        async def live() -> None:
            await self._supervisor.ended(before)  # its last turn, begun under other settings or another fence
            await loop.run()

        self._supervisor.restarting(name, live, self._metrics.bot_restarts.inc)

    def commit(self, before: Mapping[int, BotState]) -> None:
        """The live state was changed: only bots that differ end their loop and begin another. Nothing is awaited."""
        for bot_id, old in before.items():
            now = self._live.bots.get(bot_id)
            if now is old:
                continue
            loop = self._loops.pop(bot_id, None)
            if loop is not None:
                loop.drain()
        for bot_id in list(self._leases.held):
            bot = self._live.bots.get(bot_id)
            if bot is None or not bot.settings.enabled:
                self._leaving[bot_id] = None
                self._polling.drop(bot_id)
                if (loop := self._loops.pop(bot_id, None)) is not None:
                    loop.drain()
                continue
            self._leaving.pop(bot_id, None)
            self._telegram.add(bot_id, bot.token.reveal())
            if self._speaking:
                self._begin(bot)
        self._stimuli.resume(list(self._loops))
        self._look.set()

    def wake(self, bot_id: int, stimulus: Stimulus) -> bool:
        """Something was said to one of our bots; False when it has no loop."""
        loop = self._loops.get(bot_id)
        if loop is not None:
            loop.wake(stimulus)
        return loop is not None

    def hasten(self, bot_id: int, factor: float) -> None:
        """A room of the bot got hotter by `factor`."""
        loop = self._loops.get(bot_id)
        if loop is not None:
            loop.hasten(factor)

    # --- end
    def silence(self) -> None:
        """The lease is lost: every bot stops at once; they are taken again with a new fence."""
        for bot_id, loop in list(self._loops.items()):
            loop.drain()
            self._polling.drop(bot_id)
            bot = self._live.bots.get(bot_id)
            if bot is not None:
                bot.held = False
            self._supervisor.cut(self._tasks[bot_id])
        self._loops.clear()
        self._new.clear()
        self._look.set()

    async def drain(self, seconds: float) -> list[str]:
        """No new turns; those under way get `seconds`, then are cancelled and hand back what they had taken."""
        self._speaking = False
        for loop in self._loops.values():
            loop.drain()
        names = [self._tasks[bot_id] for bot_id in self._loops]
        self._loops.clear()
        return await self._supervisor.stop(names, seconds)
