"""Admission: which text goes through which endpoint now, which waits, and in what order. The gateway's front room.

It reserves before it lets anybody through, here and, where shards share quotas, with the others. It calls no provider.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence
from typing import Protocol

from piyasad.clock import Clock
from piyasad.gateway.endpoint import Endpoint
from piyasad.gateway.queue import Place, Queue
from piyasad.gateway.quota.quota import Ticket
from piyasad.gateway.route import Route
from piyasad.gateway.usage import Accounting
from piyasad.providers.interface import Expired, NoProvider, ProviderError, Request, Throttled


class Job:
    """A text on its way: what was tried, and where it stands in the queue."""

    __slots__ = ("calls", "chars", "error", "excluded", "future", "place", "queued", "request", "tried", "waited")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.chars = len(request.system) + len(request.user)
        self.calls = 0
        self.error: ProviderError | None = None
        self.tried: list[Endpoint] = []  # failed here; others first
        self.excluded: list[Endpoint] = []  # never again for this text
        self.future: asyncio.Future[tuple[Endpoint, Ticket | None]] | None = None
        self.queued = False
        self.place: Place | None = None  # of one that comes back into the queue
        self.waited = 0.0


class Sharer(Protocol):
    """What other shards have a say in (`sharing.py`)."""

    async def reserve(self, endpoint: Endpoint, ticket: Ticket, *, rank: int) -> bool:
        """Reserve with the others what was reserved here. False: not now; the quota knows when to ask again."""
        ...


class Admission:
    """The queue before the endpoints. One event loop."""

    def __init__(self, endpoints: Route, clock: Clock, accounting: Accounting) -> None:
        self._endpoints = endpoints
        self._clock = clock
        self._accounting = accounting
        self._queue: Queue[Job] = Queue()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self.sharer: Sharer | None = None

    @property
    def waiting(self) -> int:
        """Texts in the queue."""
        return len(self._queue)

    async def admit(self, job: Job) -> tuple[Endpoint, Ticket | None]:
        """An endpoint with what is reserved there for the text.

        Raises:
            Expired: its deadline passed first.
            NoProvider: nobody is left to ask.
            Throttled: no quota frees up before its deadline.
            ProviderError: what went wrong at an earlier call, in place of any of these.
        """
        while True:
            now = self._clock.mono()
            if now >= job.request.deadline:
                self._accounting.unasked("expired")
                raise job.error or Expired("the deadline passed before anybody could be asked")
            taken = None if self._queue else self._take(job, now, ())
            if taken is None:
                taken = await self._wait(job, now)
                job.waited += self._clock.mono() - now
            endpoint, ticket = taken
            if self.sharer is None or ticket is None or await self._shared(self.sharer, endpoint, ticket, job):
                return taken

    async def _shared(self, sharer: Sharer, endpoint: Endpoint, ticket: Ticket, job: Job) -> bool:
        granted = False
        try:
            granted = await sharer.reserve(endpoint, ticket, rank=job.request.klass.rank)
        finally:
            if not granted:
                self.give_back(endpoint, ticket)
        return granted

    def close(self) -> None:
        """Requests still waiting are refused."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for job in self._queue:
            if job.future is not None and not job.future.done():
                job.future.set_exception(NoProvider("the gateway is closed"))
        self._queue.clear()

    def eligible(self, job: Job) -> list[Endpoint]:
        """The endpoints that may still be asked for this text."""
        return [endpoint for endpoint in self._endpoints if not endpoint.out and endpoint not in job.excluded]

    def _take(self, job: Job, now: float, blocked: Sequence[Endpoint]) -> tuple[Endpoint, Ticket | None] | None:
        """The first endpoint of the route that admits the text now; one that failed it before only if no other does."""
        request = job.request
        rank = request.klass.rank
        for again in (False, True) if job.tried else (False,):
            for endpoint in self._endpoints:
                if (
                    endpoint.out
                    or endpoint in blocked
                    or (endpoint in job.tried) is not again
                    or endpoint in job.excluded
                ):
                    continue
                if not endpoint.breaker.admits(now):
                    continue
                quota = endpoint.quota
                ticket = None
                if quota is not None:
                    prompt, spent = endpoint.estimator.tokens(job.chars), request.max_tokens + endpoint.allowance
                    ticket = quota.reserve(prompt, spent, rank, endpoint.most_micros(prompt, spent))
                    if ticket is None:
                        continue
                endpoint.breaker.begin()
                return endpoint, ticket
        return None

    def soonest(self, job: Job, endpoints: Iterable[Endpoint], now: float) -> float:
        """Seconds until one of these endpoints may admit the text."""
        request, rank = job.request, job.request.klass.rank
        soonest = math.inf
        for endpoint in endpoints:
            wait = endpoint.breaker.wait(now)
            if endpoint.quota is not None and wait < soonest:
                prompt, spent = endpoint.estimator.tokens(job.chars), request.max_tokens + endpoint.allowance
                wait = max(wait, endpoint.quota.wait(prompt, spent, rank, endpoint.most_micros(prompt, spent)))
            soonest = min(soonest, wait)
        return soonest

    async def _wait(self, job: Job, now: float) -> tuple[Endpoint, Ticket | None]:
        """Stand in the queue until an endpoint admits the text, or its deadline."""
        eligible = self.eligible(job)
        if self._closed or not eligible:
            raise job.error or NoProvider("every key is out until the next reload")
        left = job.request.deadline - now
        soonest = self.soonest(job, eligible, now)
        if soonest >= left:
            self._accounting.unasked("throttled")
            raise job.error or Throttled(
                f"no quota frees up within the {left:.0f} s left" if soonest < math.inf else "larger than every limit",
                None if math.isinf(soonest) else soonest,
            )
        loop = asyncio.get_running_loop()
        job.future = loop.create_future()
        job.place = self._queue.add(job, job.request.klass.rank, job.request.bot_id, job.place)
        job.queued = True
        deadline = loop.call_later(left, self._expire, job)
        self.pump()
        try:
            return await job.future
        except asyncio.CancelledError:
            if job.future.done() and not job.future.cancelled() and job.future.exception() is None:
                self.give_back(*job.future.result())
            raise
        finally:
            deadline.cancel()
            self._leave(job)

    def _leave(self, job: Job) -> None:
        if job.queued:  # it left before its turn
            self._queue.remove(job)
            job.queued = False
            self.pump()
        job.future = None
        if not self._queue and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self, job: Job) -> None:
        if job.future is not None and not job.future.done():
            self._accounting.unasked("expired")
            job.future.set_exception(job.error or Expired("the deadline passed while waiting for quota"))

    def give_back(self, endpoint: Endpoint, ticket: Ticket | None) -> None:
        """Admitted, but nobody is there any more to make the call."""
        endpoint.breaker.abandon()
        if ticket is not None and endpoint.quota is not None:
            endpoint.quota.refund(ticket)
        self.pump()

    def pump(self) -> None:
        """Admit from the queue in order. Nobody overtakes at an endpoint that one before him waits for."""
        if not self._queue:
            return
        now = self._clock.mono()
        blocked: list[Endpoint] = []
        live = [endpoint for endpoint in self._endpoints if not endpoint.out]
        index, again = 0, math.inf
        while index < len(self._queue) and len(blocked) < len(live):
            job = self._queue.at(index)
            future = job.future
            eligible = self.eligible(job)
            if future is None or future.done() or not eligible:
                self._queue.drop(index)
                job.queued = False
                if future is not None and not future.done():
                    future.set_exception(job.error or NoProvider("every key is out until the next reload"))
                continue
            taken = self._take(job, now, blocked)
            if taken is not None:
                self._queue.admit(index)
                job.queued = False
                future.set_result(taken)
                continue
            again = min(again, self.soonest(job, (endpoint for endpoint in eligible if endpoint not in blocked), now))
            blocked += [endpoint for endpoint in eligible if endpoint not in blocked]
            index += 1
        self._alarm(now, again)

    def _alarm(self, now: float, seconds: float) -> None:
        """Look at the queue again after so long."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._queue and seconds < math.inf:
            self._timer = asyncio.get_running_loop().call_later(max(0.005, seconds), self.pump)
