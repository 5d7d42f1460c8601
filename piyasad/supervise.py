"""Supervision: a bot that crashes is started again with backoff; a vital task that dies ends the daemon.

The engine owns one `Supervisor`. Nothing here knows what the tasks do. Loops that go on over failures tell them through
an `Outage`, and call `raise_if_cancelled` after each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Generator, Hashable
from typing import Any

import structlog

from piyasad.clock import Clock

log = structlog.stdlib.get_logger(__name__)

FIRST_BACKOFF_SECONDS = 1.0
LONGEST_BACKOFF_SECONDS = 60.0
HEALTHY_AFTER_SECONDS = 600.0
"""A task that ran so long begins again with the first backoff."""

ENDING_SECONDS = 10.0
"""A task that was cancelled may take so long to end; then its successor begins beside it."""

STUCK_SECONDS = 180.0
"""A vital task that says that it turns, and did not for so long, is stuck: longer than any call's own bound."""

FEED_SECONDS = 1.0
"""How often the watchdog is fed."""


def raise_if_cancelled() -> None:
    """End this task where its cancellation was swallowed: a connection's release may turn it into another error.

    To be called where a failure was caught that the task would live on after, outside of any `asyncio.timeout`.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class Outage:
    """One line when something begins to fail and one when it works again, however often it is tried between.

    Several users of one thing (`of`) share an outage: it begins with the first that fails and ends when none does.
    The lines are `<event>.down` with the reason and `<event>.up`.
    """

    def __init__(self, event: str, clock: Clock, **words: Any) -> None:
        self._event = event
        self._clock = clock
        self._words = words
        self._failing: dict[Hashable, None] = {}
        self._began = 0.0
        self._reason = ""
        self._failures = 0

    def __bool__(self) -> bool:
        return bool(self._failing)

    @property
    def reason(self) -> str:
        """The last failure; "" while it works."""
        return self._reason if self._failing else ""

    def failed(self, reason: object, *, of: Hashable = None, **words: Any) -> None:
        """It failed (again). `words` go into the first line only."""
        if not self._failing:
            self._began, self._failures = self._clock.mono(), 0
            log.warning(f"{self._event}.down", reason=str(reason), **self._words, **words)
        self._failures += 1
        self._reason = str(reason)
        self._failing[of] = None

    def worked(self, *, of: Hashable = None) -> None:
        """It works for this user."""
        if of in self._failing:
            del self._failing[of]
            if not self._failing:
                seconds = round(self._clock.mono() - self._began, 1)
                log.info(f"{self._event}.up", seconds=seconds, failures=self._failures, **self._words)

    def forget(self, of: Hashable) -> None:
        """This user is gone; whether it would work now nobody knows, so nothing is told."""
        self._failing.pop(of, None)


class _Turning(Generator[Any, Any, Any], Coroutine[Any, Any, Any]):
    """A coroutine that knows when it was last resumed."""

    def __init__(self, work: Coroutine[Any, Any, None], clock: Clock) -> None:
        self._work = work
        self._clock = clock
        self.at = clock.mono()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self

    def send(self, value: Any) -> Any:
        self.at = self._clock.mono()
        return self._work.send(value)

    def throw(self, kind: Any, value: Any = None, trace: Any = None) -> Any:
        self.at = self._clock.mono()
        return self._work.throw(kind if value is None else value)

    def close(self) -> None:
        self._work.close()


class Supervisor:
    """Runs named tasks. `failed` is set to the reason when a vital one ended."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._beside_them: dict[asyncio.Task[None], str] = {}
        self._turning: dict[str, tuple[_Turning, float]] = {}
        self.failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def names(self) -> Collection[str]:
        """The names of the tasks that run."""
        return dict.fromkeys([*self._tasks, *self._beside_them.values()]).keys()

    def runs(self, name: str) -> bool:
        """Whether a vital or restarting task of that name runs, or still ends."""
        return name in self._tasks

    async def ended(self, name: str) -> None:
        """Wait until the task of that name has ended; one that was cancelled and does not end is given up."""
        task = self._tasks.get(name)
        while task is not None and not task.done():
            await asyncio.wait([task], timeout=ENDING_SECONDS)
            if not task.done() and task.cancelling():
                log.error("task.will_not_end", task=name, note="its successor begins beside it")
                return

    def cut(self, name: str) -> None:
        """Cancel a task and do not wait for it."""
        task = self._tasks.get(name)
        if task is not None:
            task.cancel()

    def vital(self, name: str, work: Coroutine[Any, Any, None], *, turns_within: float | None = None) -> None:
        """Run a task that must not end before it is cancelled.

        `turns_within`: it is resumed at least once in so many seconds, else it is stuck and the watchdog starves.
        """
        self._refuse_a_second(name, work)
        if turns_within is not None:
            work = turning = _Turning(work, self._clock)
            self._turning[name] = turning, turns_within
        self._tasks[name] = self._start(name, self._vital(name, work), work)

    def restarting(self, name: str, work: Callable[[], Awaitable[None]], crashed: Callable[[], None]) -> None:
        """Run `work()` until it returns; when it raises, call `crashed`, wait and run it again."""
        self._refuse_a_second(name, None)
        self._tasks[name] = self._start(name, self._restarting(name, work, crashed))

    def beside(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run a task once; a failure is logged and changes nothing else. Several may bear one name."""
        self._beside_them[self._start(name, self._beside(name, work), work)] = name

    async def stop(self, names: Collection[str], grace: float) -> list[str]:
        """Wait up to `grace` seconds for these tasks to end, then cancel them; the names of those cancelled.

        One that lives on is cancelled once more, then given up.
        """
        tasks = late = [self._tasks[name] for name in names if name in self._tasks] + [
            task for task, name in self._beside_them.items() if name in names
        ]
        if grace > 0:
            late = await _pending(tasks, grace)
        cut = [task.get_name() for task in late]
        for _ in range(2):
            for task in late:
                task.cancel()
            late = await _pending(late, ENDING_SECONDS / 2)
        for task in late:
            log.error("task.will_not_end", task=task.get_name())
        return cut

    def stuck(self) -> list[str]:
        """The vital tasks that should have turned and did not."""
        now = self._clock.mono()
        return [name for name, (work, within) in self._turning.items() if now - work.at > within]

    async def watchdog(self, feed: Callable[[], None]) -> None:
        """Feed while the loop turns and no vital task is stuck, until cancelled. It waits for nobody's answer."""
        told = False
        while True:
            stuck = self.stuck()
            if not stuck:
                feed()
            elif not told:
                log.error("watchdog.starves", stuck=stuck)
            told = bool(stuck)
            await asyncio.sleep(FEED_SECONDS)

    def _refuse_a_second(self, name: str, work: Coroutine[Any, Any, None] | None) -> None:
        if name in self._tasks:
            if work is not None:
                work.close()
            raise ValueError(f"a task named {name} runs already")

    def _start(
        self, name: str, work: Coroutine[Any, Any, None], inner: Coroutine[Any, Any, None] | None = None
    ) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)

        def ended(done: asyncio.Task[None]) -> None:
            if inner is not None:
                inner.close()  # one that was cancelled before it began was never awaited
            self._beside_them.pop(done, None)
            if self._tasks.get(name) is done:
                del self._tasks[name]
                self._turning.pop(name, None)

        task.add_done_callback(ended)
        return task

    async def _vital(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        reason = "it returned"
        try:
            await work
        except Exception as error:
            raise_if_cancelled()
            reason = f"{type(error).__name__}: {error}"
            log.error("task.died", task=name, exc_info=error)
        if not self.failed.done():
            self.failed.set_result(f"{name}: {reason}")

    async def _restarting(self, name: str, work: Callable[[], Awaitable[None]], crashed: Callable[[], None]) -> None:
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            began = self._clock.mono()
            try:
                await work()
            except Exception as error:
                raise_if_cancelled()
                if self._clock.mono() - began > HEALTHY_AFTER_SECONDS:
                    backoff = FIRST_BACKOFF_SECONDS
                crashed()
                log.error("task.crashed", task=name, again_in=backoff, exc_info=error)
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, LONGEST_BACKOFF_SECONDS)
            else:
                return

    async def _beside(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:
            raise_if_cancelled()
            log.error("task.failed", task=name, exc_info=error)


async def _pending(tasks: list[asyncio.Task[None]], timeout: float) -> list[asyncio.Task[None]]:
    """Wait for these; those that still run after `timeout` seconds, in their order."""
    if tasks:
        await asyncio.wait(tasks, timeout=timeout)
    return [task for task in tasks if not task.done()]
