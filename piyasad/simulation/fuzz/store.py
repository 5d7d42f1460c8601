"""A daemon's way to its store, with faults on it, and the record of everything that was asked and done there.

A call that has left is carried out by the world at its time, whatever becomes of the daemon; what the store did and
what the daemon was told are two things. Judges read the deeds.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, cast

from piyasad.simulation.fuzz.process import ProcessLoop
from piyasad.store.interface import Store, StoreError

WELL, DOWN, HANGS, SLOW, FLAKY = "well", "down", "hangs", "slow", "flaky"
MODES: Final = (DOWN, HANGS, SLOW, FLAKY)

QUICK_SECONDS: Final = (0.0005, 0.006)
SLOW_SECONDS: Final = (0.2, 4.0)
BOUND_SECONDS: Final = 12.0
"""A store gives up a call that hangs after so long (`interface.Store`)."""

FLAKY_SHARE: Final = 0.3

WRITTEN: Final = frozenset({"claim", "settle"})
"""These go through the store's writer: once handed in they are written, also when who waits is cancelled."""

PLAIN: Final = frozenset({"learn", "record_turns", "add_usage"})
"""What is not waited for: it is written a moment late, or dies with its daemon."""

LATE_SECONDS: Final = 0.5


@dataclass(slots=True, eq=False)
class Deed:
    """One call. Times are the world's Unix time; `done` is None while, or if, the store did nothing of it.

    `result` is what the store answered; `failed` what the store refused with; `told`: the daemon got to know.
    """

    daemon: str
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    asked: float
    done: float | None = None
    result: Any = None
    failed: str = ""
    told: bool = False
    dropped: bool = False


@dataclass(slots=True)
class Link:
    """The way of one daemon, or of all, to the store. `only` names the calls that the fault is about; None: all."""

    mode: str = WELL
    only: frozenset[str] | None = None

    def now(self, name: str) -> str:
        """How a call of that name fares."""
        return self.mode if self.only is None or name in self.only else WELL


@dataclass
class Wire:
    """What all ways share: the record, chance, the world's clock. `held`: the store is a real server."""

    loop: ProcessLoop
    now: Callable[[], float]
    rng: random.Random
    held: bool = False
    deeds: list[Deed] = field(default_factory=list)
    done: list[Deed] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._own = contextvars.copy_context()  # the world's: no daemon's end ends what is under way
        self._tasks: dict[asyncio.Task[None], None] = {}

    def later(self, seconds: float, work: Callable[..., object], *args: Any) -> None:
        """Do something in the world's name."""
        self.loop.call_later(seconds, work, *args, context=self._own)

    def carry_out(self, deed: Deed, work: Coroutine[Any, Any, Any], then: Callable[[], object]) -> None:
        """Let the store do it now."""
        if deed.dropped:
            work.close()
            return
        if self.held:
            task = self.loop.create_task(self._outside(deed, work, then), context=self._own)
            self._tasks[task] = None
            task.add_done_callback(lambda done: self._tasks.pop(done, None))
            return
        try:
            while True:
                work.send(None)  # a store in memory waits for nothing but a turn of the loop
        except StopIteration as done:
            self._did(deed, done.value)
        except StoreError as error:
            deed.failed = str(error)
        then()

    async def _outside(self, deed: Deed, work: Coroutine[Any, Any, Any], then: Callable[[], object]) -> None:
        with self.loop.outside():
            try:
                self._did(deed, await work)
            except StoreError as error:
                deed.failed = str(error)
        then()

    def _did(self, deed: Deed, result: Any) -> None:
        deed.done, deed.result = self.now(), result
        self.done.append(deed)


class FaultyStore:
    """`Store` for one start of a daemon. `links` may be changed at any time."""

    def __init__(self, inner: Store, daemon: str, wire: Wire, links: tuple[Link, ...]) -> None:
        self._inner = inner
        self._daemon = daemon
        self._wire = wire
        self._links = links
        self.gone = False
        self._late: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        work = getattr(self._inner, name)
        if name in PLAIN:
            return lambda *args: self._note(name, args)

        def call(*args: Any, **kwargs: Any) -> Awaitable[Any]:
            return self._through(name, work, args, kwargs)

        return call

    async def close(self) -> None:
        """Nothing of what is late is lost."""
        self._write()
        await self._inner.close()

    def _note(self, name: str, args: tuple[Any, ...]) -> None:
        wire = self._wire
        deed = Deed(self._daemon, name, args, {}, wire.now())
        wire.deeds.append(deed)
        if not self._late:
            wire.later(LATE_SECONDS, self._write)
        self._late.append((name, args))

    def _write(self) -> None:
        late, self._late = self._late, []
        for name, args in late if not self.gone else ():
            getattr(self._inner, name)(*args)

    async def _through(
        self, name: str, work: Callable[..., Coroutine[Any, Any, Any]], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        wire, rng = self._wire, self._wire.rng
        deed = Deed(self._daemon, name, args, kwargs, wire.now())
        wire.deeds.append(deed)
        mode = next((mode for link in self._links if (mode := link.now(name)) != WELL), WELL)
        if self.gone or mode == DOWN:
            await asyncio.sleep(0.002)
            raise StoreError("connection refused")
        there = rng.uniform(*(SLOW_SECONDS if mode == SLOW else QUICK_SECONDS))
        arrives = mode not in {HANGS, FLAKY} or rng.random() < 0.5
        answers = mode != HANGS and not (mode == FLAKY and rng.random() < FLAKY_SHARE)
        answer: asyncio.Future[None] = wire.loop.create_future()

        def tell() -> None:
            if answers and not answer.done():
                answer.set_result(None)

        if arrives or answers:
            wire.later(there, lambda: wire.carry_out(deed, work(*args, **kwargs), lambda: wire.later(there / 2, tell)))
        try:
            if answers:
                await answer
            else:
                await asyncio.sleep(BOUND_SECONDS if mode == HANGS else there * 2)
                raise StoreError("no answer within its time" if mode == HANGS else "the connection broke")
        except asyncio.CancelledError:
            if name not in WRITTEN and rng.random() < 0.5:
                deed.dropped = True  # the server heard of the cancellation in time
            raise
        deed.told = True
        if deed.failed:
            raise StoreError(deed.failed)
        return deed.result

    def typed(self) -> Store:
        """As what it stands for."""
        return cast(Store, self)
