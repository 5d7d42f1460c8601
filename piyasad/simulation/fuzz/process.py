"""Processes on one virtual loop: each can be killed and paused while the world goes on.

What runs on behalf of a process is known by its context: a task inherits it, and so does every callback. A killed
process runs nothing more, not even its `finally`; a paused one finds everything where it was, later.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar, TypeVarTuple

from piyasad.simulation.loop import Timer, VirtualLoop

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_OWNER: ContextVar[Process | None] = ContextVar("process", default=None)


class Process:
    """One process: `start` begins its main task. Its clocks are `ProcessClock`'s."""

    def __init__(self, loop: ProcessLoop, name: str) -> None:
        self.name = name
        self.alive = True
        self.paused = False
        self.slept = 0.0  # seconds for which the machine was suspended under it
        self._loop = loop
        self._ready: list[asyncio.Handle] = []
        self._timers: list[Timer] = []
        self._paused_at = 0.0
        self._tasks: dict[asyncio.Task[Any], None] = {}

    @property
    def runs(self) -> bool:
        """Whether its callbacks run now."""
        return self.alive and not self.paused

    def start(self, main: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine as this process."""
        context = copy_context()
        context.run(_OWNER.set, self)
        task = self._loop.create_task(main, context=context)
        self._tasks[task] = None
        return task

    def call(self, function: Callable[[], object]) -> None:
        """Call something as this process, as a signal handler would; not while it does not run."""
        context = copy_context()
        context.run(_OWNER.set, self)
        self._loop.call_soon(function, context=context)

    def kill(self) -> None:
        """SIGKILL: nothing of it runs any more. What it had waiting is kept, lest its collection runs a `finally`."""
        if self.runs:
            self._ready, self._timers = self._loop.take_away(self)
        self.alive = False

    def bury(self) -> None:
        """All is over: let a killed or paused one end in an orderly way, so that nobody complains of its tasks."""
        self.alive, self.paused = True, False
        self._loop.give_back(self._ready, self._timers, 0.0)
        self._ready, self._timers = [], []
        for task in self._tasks:
            task.cancel()

    def pause(self) -> None:
        """Its callbacks and timers wait from now on."""
        if self.runs:
            self._paused_at = self._loop.time()
            self._ready, self._timers = self._loop.take_away(self)
            self.paused = True

    def resume(self, *, suspended: bool) -> None:
        """It goes on. `suspended`: the whole machine slept, so its timers know nothing of the time that passed."""
        if not self.paused:
            return
        self.paused = False
        passed = self._loop.time() - self._paused_at
        if suspended:
            self.slept += passed
        self._loop.give_back(self._ready, self._timers, passed if suspended else 0.0)
        self._ready, self._timers = [], []

    def keep(self, handle: asyncio.Handle) -> None:
        """Something became due while it does not run."""
        self._ready.append(handle)


class ProcessLoop(VirtualLoop):
    """A virtual loop that runs what processes run, while they run."""

    _ready: deque[asyncio.Handle]

    def __init__(self) -> None:
        super().__init__()
        self._nothing = asyncio.Handle(lambda: None, (), self)
        self._nothing.cancel()

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """As every loop's, but for a process that does not run: what it would do waits, or is dropped with it."""
        owner = _OWNER.get() if context is None else context.get(_OWNER)
        if owner is None or owner.runs:
            return super().call_soon(callback, *args, context=context)
        handle = asyncio.Handle(callback, args, self, context)
        owner.keep(handle)
        return handle

    def take_away(self, process: Process) -> tuple[list[asyncio.Handle], list[Timer]]:
        """All that a process has waiting here."""
        ready = []
        for place, handle in enumerate(self._ready):
            if _owner(handle) is process and not handle.cancelled():
                ready.append(handle)
                self._ready[place] = self._nothing  # the loop counted what it runs in this turn
        timers = [timer for timer in self._scheduled if _owner(timer) is process]
        self._scheduled = [timer for timer in self._scheduled if _owner(timer) is not process]
        heapq.heapify(self._scheduled)
        return ready, sorted(timer for timer in timers if not timer.cancelled())

    def give_back(self, ready: list[asyncio.Handle], timers: list[Timer], later: float) -> None:
        """What was taken away goes on, timers `later` by so much."""
        self._ready.extend(handle for handle in ready if not handle.cancelled())
        for timer in timers:
            if not timer.cancelled():
                timer._when += later
                heapq.heappush(self._scheduled, timer)


def _owner(handle: asyncio.Handle) -> Process | None:
    context: Context = handle._context  # type: ignore[attr-defined]  # no loop tells whose a callback is
    return context.get(_OWNER)


class ProcessClock:
    """A process's clocks: the wall may be set, the monotonic one stands still while the machine is suspended."""

    def __init__(self, loop: ProcessLoop, process: Process, start: float) -> None:
        self._loop = loop
        self._process = process
        self._start = start

    def wall(self) -> float:
        return self._start + self._loop.time()

    def mono(self) -> float:
        return self._loop.time() - self._process.slept

    def boot(self) -> float:
        return self._loop.time()

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self._start += seconds
