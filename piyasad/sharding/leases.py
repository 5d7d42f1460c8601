"""Leases: the right to speak for our bots, prolonged by the store's clock and checked here against CLOCK_BOOTTIME.

The pool lets `Leases` take bots, delivery asks before every claim, the engine runs the beat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

import structlog

from piyasad.clock import Clock
from piyasad.metrics import Metrics
from piyasad.model import DaemonRow, Lease
from piyasad.store.interface import Store, StoreError

log = structlog.stdlib.get_logger(__name__)

LEASE_SECONDS = 12.0
"""How long a daemon's lease runs after a beat. A killed shard's bots are free that long after its last beat."""

BEAT_SECONDS = 3.0
"""How often the lease is prolonged: three beats may fail before it ends."""

CLAIM_MARGIN_SECONDS = 1.0
"""A send is not started when less than this is left of the lease."""


class Leases:
    """This process's right to speak for its bots: one lease for the daemon, one fence a bot.

    `lost` is called when the lease ran out while we lived; every bot must then fall silent at once, and may be taken
    again (with a new fence) by the next `take`.
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
        self._held: dict[int, Lease] = {}

    @property
    def held(self) -> Collection[int]:
        """The bots we hold (their Telegram ids)."""
        return self._held.keys()

    def alive(self, margin: float = 0.0) -> bool:
        """Whether the lease runs for at least `margin` seconds more, by CLOCK_BOOTTIME."""
        return self._clock.boot() + margin < self._until

    def fence(self, bot_id: int) -> int | None:
        """The bot's fence, if we may begin a send for it now."""
        lease = self._held.get(bot_id)
        return lease.fence if lease is not None and self.alive(CLAIM_MARGIN_SECONDS) else None

    async def enter(self, *, alone: bool) -> None:
        """Begin this daemon's lease. `alone`: the store is ours only, so every other lease is a dead process's."""
        asked = self._clock.boot()
        await self._store.enter(self.daemon, self._seconds)
        if alone:
            await self._store.expire_others(self.daemon.id)
        self._until = asked + self._seconds

    async def take(self, bots: Sequence[tuple[int, str, str]]) -> list[Lease]:
        """Try to take the bots (id, name, username) we do not hold; the ones we got."""
        missing = [bot for bot in bots if bot[0] not in self._held]
        if not missing or not self.alive():
            return []
        taken = await self._store.take(self.daemon.id, missing)
        for lease in taken:
            self._held[lease.bot_id] = lease
        return taken

    async def free(self, bot_ids: Collection[int]) -> None:
        """Give bots up."""
        for bot_id in bot_ids:
            self._held.pop(bot_id, None)
        await self._store.free(self.daemon.id, bot_ids)

    async def leave(self, summary: str) -> None:
        """End of the drain: everything is free for the next daemon."""
        self._held.clear()
        self._until = -1.0
        await self._store.leave(self.daemon.id, summary)

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            await asyncio.sleep(self._beat)
            await self.beat()

    async def beat(self) -> None:
        """Prolong the lease; when it is gone, say so, give the bots up and begin a new one."""
        asked = self._clock.boot()
        try:
            async with asyncio.timeout(self._beat):
                prolonged = await self._store.beat(self.daemon.id, self._seconds)
        except (StoreError, TimeoutError) as error:
            log.warning("lease.beat_failed", error=str(error) or "timeout", left=round(self._until - asked, 1))
            if not self.alive():
                self._lose()
            return
        if prolonged and not self._lapsed:
            self._until = asked + self._seconds
            return
        self._lose()
        try:
            async with asyncio.timeout(self._beat):
                await self._store.free(self.daemon.id, [bot.id for bot in await self._store.bots()])
                await self.enter(alone=False)
        except (StoreError, TimeoutError) as error:
            log.warning("lease.reenter_failed", error=str(error) or "timeout")
        else:
            self._lapsed = False

    def _lose(self) -> None:
        # A bot that fell silent may speak again only under a new fence, so nothing is kept even when the store
        # still calls us the owner.
        if self._lapsed:
            return
        self._lapsed = True
        self._held.clear()
        self._metrics.lease_lost.inc()
        log.error("lease.lost", cure="the database was away for too long; the bots are taken again when it is back")
        self._lost()
