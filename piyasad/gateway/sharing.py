"""One shard's part in quotas that all shards share: with the others while Redis answers, alone with 1/n while not.

`admission.py` asks it after its own reservation; the engine runs it. The moves between the two are such that all
shards together never use more than the limits:

- Together, every reservation is made in the shared buckets as well. Of n shards only those present (a heartbeat that
  lapses after TTL_SECONDS) share; each absent one's nth of every limit is left to it.
- Who loses Redis admits nothing until the others must have noticed and a minute's window has gone by, then takes its
  nth of every limit, and of the day's what `usage` says is left.
- Who comes back brings what it used meanwhile, then its heartbeat, then shares again.
- A server that was emptied is seeded from `usage`, and shared again when all who shared it are back or after a silent
  window: who shared may have used more than its nth of the last minute.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final
from uuid import uuid4

import structlog

from piyasad.clock import Clock
from piyasad.gateway.endpoint import Endpoint
from piyasad.gateway.quota.limits import Amounts
from piyasad.gateway.quota.meter import MINUTE, Daily, Meter, Sliding
from piyasad.gateway.quota.quota import Quota, Ticket
from piyasad.gateway.route import Route
from piyasad.model import Usage
from piyasad.store.buckets import Ask, Remembered, Shape, SharedBuckets, SharedEmptied, SharedLost

log = structlog.stdlib.get_logger(__name__)

BEAT_SECONDS: Final = 1.0
TTL_SECONDS: Final = 3.0
SILENT_SECONDS: Final = MINUTE + TTL_SECONDS + 2 * BEAT_SECONDS
"""After a loss: the others count us absent within the TTL and a beat, then a minute's window must pass."""

HOLD_MARGIN: Final = 5.0  # s; how much longer than the longest call a reservation of a dead process counts
TRY_SECONDS: Final = 0.5
LEAST_SECONDS: Final = 0.005
AGAIN_SECONDS: Final = 1.0  # a refused text asks again at the latest after so long: others give back, too


class State(StrEnum):
    """How this shard counts."""

    SILENT = "silent"  # nothing is admitted
    TOGETHER = "together"
    ALONE = "alone"


class Sharing:
    """`admission.Sharer` over shared buckets. One event loop.

    Args:
        usage: what all daemons used in the last day and month, from the store.
        changed: called when texts that wait should be looked at again.
        up: told whether the shared buckets answer.
    """

    def __init__(
        self,
        buckets: SharedBuckets,
        endpoints: Route,
        clock: Clock,
        *,
        shard: int,
        shards: int,
        longest_call: float,
        usage: Callable[[], Awaitable[list[Usage]]],
        changed: Callable[[], None],
        up: Callable[[bool], None],
    ) -> None:
        self._buckets = buckets
        self._endpoints = endpoints
        self._clock = clock
        self._name = str(shard)
        self._shards = shards
        self._hold = longest_call + HOLD_MARGIN
        self._usage = usage
        self._changed = changed
        self._up = up
        self._present = shards
        self._expected = shards  # shards that shared when we last did
        self._seen_at = clock.mono()  # when the others may last have counted on us
        self._brought = False  # whether the server knows what we used without it
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self.state = State.SILENT
        self._quieten()

    # --- a text
    async def reserve(self, endpoint: Endpoint, ticket: Ticket, *, rank: int) -> bool:
        """Reserve with the others what was reserved here."""
        quota = endpoint.quota
        if quota is None or self.state is State.ALONE:
            return True
        if self.state is State.SILENT:
            quota.pause(AGAIN_SECONDS)  # a reload may have brought a quota that is not paused yet
            return False
        meters = [(name, meter, kind) for name, meter, kind in ticket.meters if ticket.amounts[kind]]
        asks = [self._ask(quota, name, meter, ticket.amounts[kind], rank) for name, meter, kind in meters]
        if not asks:
            return True
        name = uuid4().hex
        try:
            verdict = await self._buckets.reserve(name, asks, hold=self._hold)
        except (SharedLost, SharedEmptied) as error:
            self._lose(error)
            return False
        if self.state is not State.TOGETHER:  # lost meanwhile: it lapses
            return False
        self._present = verdict.present
        now = self._clock.mono()
        for (_, meter, kind), used in zip(meters, verdict.used, strict=True):
            if meter.long:
                meter.mirror(used if verdict.granted else used + ticket.amounts[kind], now)
        if not verdict.granted:
            quota.pause(min(max(verdict.wait, LEAST_SECONDS), AGAIN_SECONDS))
            return False
        shapes, kinds = [ask.shape for ask in asks], [kind for _, _, kind in meters]

        def settle(used: Amounts, age: float) -> None:
            self._spawn(self._settle(name, shapes, [used[kind] for kind in kinds], age))

        if ticket.open:
            ticket.on_close = settle
        else:  # its turn was cancelled meanwhile
            settle((0, 0, 0, 0, 0), 0.0)
        return True

    async def _settle(self, ticket: str, shapes: list[Shape], used: list[int], age: float) -> None:
        if self.state is not State.TOGETHER:
            return  # it lapses as used
        try:
            await self._buckets.settle(ticket, shapes, used, age=age)
        except (SharedLost, SharedEmptied) as error:
            self._lose(error)

    def _ask(self, quota: Quota, name: str, meter: Meter, amount: int, rank: int) -> Ask:
        away = self._shards - min(self._present, self._shards)
        limit = math.floor(meter.limit * (1 - away / self._shards))
        kept = meter.kept(self._clock.mono()) if rank and quota.paced and meter.long else 0
        return Ask(self._shape(quota, name, meter), amount, limit, min(kept, limit))

    def _shape(self, quota: Quota, name: str, meter: Meter) -> Shape:
        return _shape(f"{'budget' if name.startswith('usd_') else self._endpoints.name_of(quota)}/{name}", meter)

    # --- the state
    async def run(self) -> None:
        """Keep the heartbeat; leave and come back. Until cancelled."""
        while True:
            try:
                if self.state is State.TOGETHER:
                    await self._be_present()
                else:
                    await self._join()
            except (SharedLost, SharedEmptied) as error:
                self._lose(error)
                if self.state is State.SILENT and self._clock.mono() - self._seen_at >= SILENT_SECONDS:
                    with contextlib.suppress(SharedLost):  # the store does not answer either: stay silent
                        await self._go_alone()
            self._wake.clear()
            try:
                async with asyncio.timeout(BEAT_SECONDS if self.state is State.TOGETHER else TRY_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                pass  # the usual beat

    async def close(self) -> None:
        """Wait for what is still to be settled, a moment at most."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)

    def _lose(self, error: Exception) -> None:
        if self.state is State.TOGETHER:
            self.state = State.SILENT
            self._seen_at = self._clock.mono()
            self._quieten()
            log.warning("redis.lost", reason=str(error), consequence="silent until it is back, or alone after a minute")
            self._wake.set()
        self._brought = False
        self._up(False)

    def _quieten(self) -> None:
        for quota in self._endpoints.quotas():
            quota.pause(math.inf)

    async def _go_alone(self) -> None:
        rows = await self._usage()
        self.state = State.ALONE
        part = 1.0 / self._shards
        self._endpoints.count_anew(rows, share=part, concurrent=part, sharing=1)
        self._release()
        log.warning("redis.alone", share=f"1/{self._shards}", note="until Redis is back")

    async def _be_present(self) -> None:
        self._seen_at = self._clock.mono()
        self._present = await self._buckets.beat(self._name, ttl=TTL_SECONDS)

    async def _join(self) -> None:
        """Bring what was used, be present, share."""
        memory = await self._buckets.begin()
        before = self.state
        if memory.new or not self._brought:
            await self._bring(memory)
        await self._be_present()
        if memory.age < SILENT_SECONDS and self._present < self._expected:
            return  # who shared before the server was emptied may have used more than its part: wait for it
        rows = await self._usage()
        self._endpoints.count_anew(rows, share=1.0, concurrent=1.0 / self._shards, sharing=self._shards)
        self.state = State.TOGETHER
        self._expected = self._present
        self._release()
        self._up(True)
        log.info("redis.together", before=str(before), present=self._present)

    async def _bring(self, memory: Remembered) -> None:
        """Tell the server what was used without it. When that fails nothing has changed here."""
        before = self.state
        if before is State.ALONE:  # what is used from here on would be seen by nobody
            self.state = State.SILENT
            self._quieten()
        try:
            for (name, meter), amounts in self._endpoints.spent(await self._usage()).items():
                await self._buckets.at_least(_shape(name, meter), amounts)
            since = math.inf if memory.new else self._clock.mono() - self._seen_at
            for name, short in self._short():
                ages = short.recent(self._clock.mono())
                if recent := {age: amount for age, amount in ages.items() if age <= since}:
                    await self._buckets.charge(_shape(name, short), recent)
        except (SharedLost, SharedEmptied):
            if before is State.ALONE:
                self.state = before
                self._release()
            raise
        self._brought = True

    def _short(self) -> list[tuple[str, Sliding]]:
        return [
            (f"{self._endpoints.name_of(quota)}/{name}", meter)
            for quota in self._endpoints.quotas()
            for name, meter, _ in quota.meters
            if isinstance(meter, Sliding) and not meter.long
        ]

    def _release(self) -> None:
        for quota in self._endpoints.quotas():
            quota.pause(0.0)
        self._changed()

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _shape(name: str, meter: Meter) -> Shape:
    if isinstance(meter, Daily):
        return Shape(name, meter.longest, 0.0, math.ceil(meter.reset))
    if isinstance(meter, Sliding):
        return Shape(name, meter.seconds, meter.grain)
    raise TypeError(f"{name}: no meter that can be shared")
