"""The virtual loop: an event loop whose time jumps to the next timer, the same way under every Python.

`simulate`, the fuzzer and the tests run on it. Timers of one moment fire in the order in which they were set, and a
function handed to an executor runs at once, so that nothing depends on a heap's shape or on a thread's speed.
"""

from __future__ import annotations

import asyncio
import heapq
import selectors
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import Any, Final, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

RESOLUTION: Final = 1e-6
"""What is due within that many seconds fires now. Smaller ones vanish beside a month of seconds in a float."""

LOOK_SECONDS: Final = 1.0
"""Real seconds that a wait for a socket lasts before it is looked again whether it is still wanted."""


class Timer(asyncio.TimerHandle):
    """A timer with its number: of two that are due at the same moment the older one fires first."""

    __slots__ = ("_number",)

    _when: float
    _loop: VirtualLoop

    def __init__(
        self,
        number: int,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: VirtualLoop,
        context: Context | None,
    ) -> None:
        super().__init__(when, callback, args, loop, context)
        self._number = number

    def _run(self) -> None:
        """It may fire a little early: it is its moment now, or who waits for the rest of it would wait for ever."""
        self._loop.reach(self._when)
        super()._run()

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Timer):
            return NotImplemented
        return self._when < other._when or (self._when == other._when and self._number < other._number)


class _Selector(selectors.DefaultSelector):
    """Never waits for the clock: it says `jump` in its place. Waits for sockets only while an outside call is made."""

    def __init__(self, jump: Callable[[], None]) -> None:
        super().__init__()
        self.calls = 0
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        idle = timeout is None or timeout > 0
        if idle and (self.calls or timeout is None):  # what is awaited comes from outside: time stands still
            return super().select(LOOK_SECONDS)
        found = super().select(0) if len(self.get_map()) > 1 else []  # beside the loop's own pipe
        if idle and not found:
            self._jump()
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time. It begins at 0; only timers move it."""

    _scheduled: list[Timer]

    def __init__(self) -> None:
        self._elapsed = 0.0
        self._numbers = 0
        self._waits = _Selector(self._jump)
        super().__init__(self._waits)
        self._clock_resolution = RESOLUTION

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._elapsed

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """As every loop's, with a place among the timers of the same moment."""
        self._numbers += 1
        timer = Timer(self._numbers, when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True  # type: ignore[attr-defined]  # the base loop counts those that are cancelled by it
        return timer

    def run_in_executor(self, executor: object, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Run the function now, here: a thread would end at another virtual moment every time."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to who awaits it
            done.set_exception(error)
        return done

    @contextmanager
    def outside(self) -> Iterator[None]:
        """While a real server is asked: time stands still until its answer is read."""
        self._waits.calls += 1
        try:
            yield
        finally:
            self._waits.calls -= 1

    def reach(self, when: float) -> None:
        """Let it be that late, if it is not yet."""
        self._elapsed = max(self._elapsed, when)

    def _jump(self) -> None:
        self.reach(self._scheduled[0]._when)
