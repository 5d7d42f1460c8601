"""Following the other shards: each chat's tail in PostgreSQL, once a second, so that every bot hears the whole room.

Only with n > 1 shards. The engine runs `FeedReader.run` as a vital task; what it finds goes the way of every message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from piyasad.clock import Clock
from piyasad.metrics import Metrics
from piyasad.model import Message
from piyasad.store.interface import Store, StoreError
from piyasad.supervise import Outage, raise_if_cancelled

EVERY_SECONDS = 1.0

OVERLAP_SECONDS = 5.0
"""Rows become visible in the order of their commits, not of their times: the last seconds are read again."""

FIRST_SECONDS = 60.0
"""So far back the first look goes: the rooms were read a while ago, before many bots were taken."""


class FeedReader:
    """Reads what others wrote. `heard` must ignore what it knows already (a room does, by ledger id)."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        metrics: Metrics,
        chats: Callable[[], Collection[int]],
        heard: Callable[[Message], None],
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._chats = chats
        self._heard = heard
        self._after: float | None = None
        self._outage = Outage("feed", clock)

    async def run(self) -> None:
        """Follow until cancelled; a database that is away is waited for."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                await self.step()
                self._outage.worked()
            except StoreError as error:
                raise_if_cancelled()
                self._outage.failed(error)

    async def step(self) -> None:
        """Read the tail once."""
        chats = list(self._chats())
        if not chats:
            return
        now = await self._store.now()
        after = self._after if self._after is not None else now - FIRST_SECONDS
        for message in await self._store.tail(chats, after):
            self._metrics.feed_lag.observe(max(0.0, now - message.at))
            self._heard(message)
        self._after = now - OVERLAP_SECONDS
