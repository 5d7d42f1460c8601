"""One coroutine per bot: when is its next turn. It wakes early on a stimulus and never decides what is said.

The engine starts a `BotLoop` per bot it holds the lease of. Timing comes from `behaviour/delays.py` through `Timing`;
the turn itself is `turn.py`. A bot's own typing, slot or LLM call delays only that bot.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, Protocol

from piyasad.clock import Clock
from piyasad.metrics import Metrics
from piyasad.model import Stimulus

RELOOK_SECONDS: Final = 300.0
"""A delay longer than this is looked at again so often: limits that ease or tighten count for what is left of it."""

INBOX_MOST: Final = 16
"""Stimuli that wait for one bot at most: more would be stale before their turn. The oldest goes; the store keeps it,
and whoever looks there for what waits finds it again."""

SHORTEST_SECONDS: Final = 0.001
"""A wait is never shorter: one that is too short to move the clock would be followed by another, for ever."""


class Timing(Protocol):
    """The bot's law of delays, with its settings, the rooms' heat and the limits' stretch filled in."""

    def first_delay(self) -> float:
        """Seconds from the start of the loop to the first turn; spread, so that bots do not start as one."""
        ...

    def next_delay(self) -> float:
        """Seconds from the start of a turn to the start of the next."""
        ...

    def drift(self) -> float:
        """How many times longer a delay is now than when it was drawn, or since this was last asked."""
        ...

    def closed_for(self) -> float:
        """Seconds until the bot's next active minute; 0 when it is active now."""
        ...


class Taker(Protocol):
    """One turn, from intent to settled message."""

    async def take(self, stimulus: Stimulus | None) -> None:
        """Take a turn: an answer to the stimulus, or an unprompted one."""
        ...


class BotLoop:
    """The life of one bot. `run` ends only by cancellation; whatever a turn raises passes through to the supervisor."""

    def __init__(self, timing: Timing, taker: Taker, clock: Clock, metrics: Metrics) -> None:
        self._timing = timing
        self._taker = taker
        self._clock = clock
        self._metrics = metrics
        self._inbox: deque[Stimulus] = deque(maxlen=INBOX_MOST)
        self._due = 0.0
        self._look = 0.0  # when the delay is looked at again
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._draining = False

    @property
    def due(self) -> float:
        """When the next unprompted turn is due (a reading of `mono()`)."""
        return self._due

    @property
    def waiting(self) -> int:
        """Stimuli not taken yet."""
        return len(self._inbox)

    def pending(self) -> list[Stimulus]:
        """The stimuli not taken yet, oldest first: a loop that is replaced hands them over."""
        return list(self._inbox)

    def wake(self, stimulus: Stimulus) -> None:
        """Something was said to this bot: its next turn answers it, at once."""
        if all((known.chat_id, known.telegram_id) != (stimulus.chat_id, stimulus.telegram_id) for known in self._inbox):
            self._inbox.append(stimulus)
            self._release()

    def act_now(self) -> None:
        """Take the next unprompted turn at once (the operator's `speak`)."""
        self._due = self._clock.mono()
        self._release()

    def hasten(self, factor: float) -> None:
        """The room got hotter by `factor` (> 1): what is left of the delay shrinks by it."""
        now = self._clock.mono()
        if factor > 1 and self._due > now and self._waiter is not None:
            self._due = now + (self._due - now) / factor
            self._arm()

    def drain(self) -> None:
        """Begin no new turn; `run` returns when the present one ends."""
        self._draining = True
        self._release()

    async def run(self) -> None:
        """Wait, take a turn, draw the next delay."""
        self._due = self._clock.mono() + self._timing.first_delay()
        ended = self._clock.mono()
        while not self._draining:
            await self._wait()
            if self._draining:
                return
            start = self._clock.mono()
            if self._inbox:
                await self._taker.take(self._inbox.popleft())
            elif start < self._due:
                self._relook(start)
                continue
            else:
                closed = self._timing.closed_for()
                if closed > 0:
                    self._due = start + closed + self._timing.first_delay()
                    continue
                self._metrics.turn_lateness.observe(max(0.0, start - max(self._due, ended)))
                await self._taker.take(None)
            ended = self._clock.mono()
            self._due = start + self._timing.next_delay()

    def _relook(self, now: float) -> None:
        """What is left of a long delay follows the limits as they are now."""
        if now >= self._look:
            self._due = now + (self._due - now) * self._timing.drift()

    async def _wait(self) -> None:
        if self._inbox or self._draining:
            return
        if self._due <= self._clock.mono():
            await asyncio.sleep(0)  # a loop of very short delays must still let others run
            return
        self._waiter = asyncio.get_running_loop().create_future()
        self._arm()
        try:
            await self._waiter
        finally:
            self._waiter = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop, now = asyncio.get_running_loop(), self._clock.mono()
        self._look = min(self._due, now + RELOOK_SECONDS)
        self._timer = loop.call_later(max(SHORTEST_SECONDS, self._look - now), self._release)

    def _release(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
