"""Leases: the right to speak for our bots, prolonged by the store's clock and checked here against CLOCK_BOOTTIME.

The pool lets `Leases` take bots, delivery asks before every claim, pollers before every poll; the engine runs the beat.
A lease that is not prolonged is lost at its very end here, whatever the store does meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

import structlog

from piyasad.clock import Clock
from piyasad.metrics import Metrics
from piyasad.model import DaemonRow, Lease
from piyasad.store.interface import Store, StoreError
from piyasad.supervise import Outage, raise_if_cancelled

log = structlog.stdlib.get_logger(__name__)

LEASE_SECONDS = 9.0
"""How long a daemon's lease runs after a beat. A killed shard's bots are free that long after its last beat."""

BEAT_SECONDS = 2.0
"""How often the lease is prolonged, and how long one try may take: three may fail before it ends."""

SHORTEST_SECONDS = 0.01
"""A wait for the lease's end is never shorter: the boot clock and the loop's differ in their last digits."""

CLAIM_MARGIN_SECONDS = 1.0
"""A send is not started when less than this is left of the lease."""


class Leases:
    """This process's right to speak for its bots: one lease for the daemon, one fence a bot.

    `lost` is called when the lease ran out while we lived; every bot must then fall silent at once, and may be taken
    again (with a new fence) by the next `take`. It is called once for each loss and must not wait for anything.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        metrics: Metrics,
        daemon: DaemonRow,
        lost: Callable[[], None],
        *,
        seconds: float = LEASE_SECONDS,
        beat: float = BEAT_SECONDS,
    ) -> None:
        self.daemon = daemon
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._lost = lost
        self._seconds = seconds
        self._beat = beat
        self._until = -1.0
        self._lapsed = False
        self._term = 0  # how often the lease was lost
        self._held: dict[int, Lease] = {}
        self._strays: dict[int, None] = {}  # perhaps ours in the store, surely not here
        self._changing = asyncio.Lock()
        self._outage = Outage("lease.beat", clock)

    @property
    def held(self) -> Collection[int]:
        """The bots we hold (their Telegram ids)."""
        return self._held.keys()

    @property
    def beaten(self) -> tuple[float | None, str]:
        """Seconds since the store last took a beat (None: never), and what went wrong since."""
        age = None if self._until < 0 else max(0.0, self._clock.boot() - (self._until - self._seconds))
        return age, self._outage.reason

    def alive(self, margin: float = 0.0) -> bool:
        """Whether the lease runs for at least `margin` seconds more, by CLOCK_BOOTTIME."""
        return self._clock.boot() + margin < self._until

    def fence(self, bot_id: int) -> int | None:
        """The bot's fence, if we may begin a send or a poll for it now."""
        lease = self._held.get(bot_id)
        return lease.fence if lease is not None and self.alive(CLAIM_MARGIN_SECONDS) else None

    async def enter(self, *, alone: bool) -> None:
        """Begin this daemon's lease. `alone`: the store is ours only, so every other lease is a dead process's."""
        asked = self._clock.boot()
        await self._store.enter(self.daemon, self._seconds)
        if alone:
            await self._store.expire_others(self.daemon.id)
        self._until = asked + self._seconds
        self._lapsed = False

    async def take(self, bots: Sequence[tuple[int, str, str]]) -> list[Lease]:
        """Try to take the bots (id, name, username) we do not hold; the ones we got.

        What a call took that failed, was cancelled or outlived the lease is given up before the next one: it would be
        ours in the store and nobody's here, and so silent.
        """
        async with self._changing:
            missing = [bot for bot in bots if bot[0] not in self._held]
            if not missing or not self.alive():
                return []
            await self._free_strays()
            term = self._term
            self._strays |= dict.fromkeys(bot[0] for bot in missing)
            taken = await self._store.take(self.daemon.id, missing)
            if term != self._term or not self.alive():
                return []
            for bot_id, *_ in missing:
                self._strays.pop(bot_id, None)
            for lease in taken:
                self._held[lease.bot_id] = lease
            return taken

    async def free(self, bot_ids: Collection[int]) -> None:
        """Give bots up: here at once, in the store before this returns or, when it fails, soon after."""
        for bot_id in bot_ids:
            self._held.pop(bot_id, None)
            self._strays[bot_id] = None
        async with self._changing:
            await self._free_strays()

    async def leave(self, summary: str) -> None:
        """End of the drain: everything is free for the next daemon."""
        self._held.clear()
        self._until = -1.0
        await self._store.leave(self.daemon.id, summary)

    async def run(self) -> None:
        """Beat until cancelled, and see the lease's end when no beat prolonged it."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            while True:
                asked = self._clock.boot()
                await self.beat()
                await asyncio.sleep(max(0.0, asked + self._beat - self._clock.boot()))

    async def _watch(self) -> None:
        """Beside the beats: a store that hangs may keep one of them longer than the lease runs."""
        while True:
            left = self._until - self._clock.boot()
            if left <= 0:
                self._lose()
            await asyncio.sleep(max(SHORTEST_SECONDS, left) if left > 0 else self._beat)

    async def beat(self) -> None:
        """Prolong the lease; when it is gone, say so, give the bots up and begin a new one."""
        asked = self._clock.boot()
        try:
            async with asyncio.timeout(self._beat):
                if await self._store.beat(self.daemon.id, self._seconds) and not self._lapsed and self.alive():
                    self._until = asked + self._seconds
                else:
                    self._lose()
                    await self._enter_anew()
        except (StoreError, TimeoutError) as error:
            raise_if_cancelled()
            self._outage.failed(str(error) or "no answer in time", left=round(self._until - asked, 1))
            return
        self._outage.worked()
        if self._strays and not self._changing.locked():
            await self._give_back()

    async def _enter_anew(self) -> None:
        """A bot that fell silent may speak again only under a new fence: none is kept, though the store may say so."""
        await self._store.free(self.daemon.id, [bot.id for bot in await self._store.bots()])
        await self.enter(alone=False)

    async def _give_back(self) -> None:
        try:
            async with asyncio.timeout(self._beat), self._changing:
                await self._free_strays()
        except (StoreError, TimeoutError):
            raise_if_cancelled()  # the next beat tries again

    async def _free_strays(self) -> None:
        strays = list(self._strays)
        if strays:
            await self._store.free(self.daemon.id, strays)
            for bot_id in strays:
                self._strays.pop(bot_id, None)

    def _lose(self) -> None:
        if self._lapsed:
            return
        self._lapsed = True
        self._term += 1
        self._until = -1.0
        self._held.clear()
        self._metrics.lease_lost.inc()
        log.error("lease.lost", cure="the database was away for too long; the bots are taken again when it is back")
        self._lost()
