"""Supervision: a bot that crashes is started again with backoff; a vital task that dies ends the daemon.

The engine owns one `Supervisor`. Nothing here knows what the tasks do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any

import structlog

from piyasad.clock import Clock

log = structlog.stdlib.get_logger(__name__)

FIRST_BACKOFF_SECONDS = 1.0
LONGEST_BACKOFF_SECONDS = 60.0
HEALTHY_AFTER_SECONDS = 600.0
"""A task that ran so long begins again with the first backoff."""


class VitalTaskDied(Exception):
    """A task without which the daemon must not go on has ended."""


class Supervisor:
    """Runs named tasks. `failed` is set to the reason when a vital one ended."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def names(self) -> Collection[str]:
        """The names of the tasks that run."""
        return self._tasks.keys()

    def runs(self, name: str) -> bool:
        """Whether a task of that name runs (or still ends)."""
        return name in self._tasks

    async def ended(self, name: str) -> None:
        """Wait until the task of that name has ended; at once where there is none."""
        task = self._tasks.get(name)
        if task is not None:
            await asyncio.wait({task})

    def cut(self, name: str) -> None:
        """Cancel a task and do not wait for it."""
        task = self._tasks.get(name)
        if task is not None:
            task.cancel()

    def vital(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run a task that must not end before it is cancelled."""
        self._refuse_a_second(name, work)
        self._start(name, self._vital(name, work))

    def restarting(self, name: str, work: Callable[[], Awaitable[None]], crashed: Callable[[], None]) -> None:
        """Run `work()` until it returns; when it raises, call `crashed`, wait and run it again."""
        self._refuse_a_second(name, None)
        self._start(name, self._restarting(name, work, crashed))

    def beside(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run a task once; a failure is logged and changes nothing else."""
        self._refuse_a_second(name, work)
        self._start(name, self._beside(name, work))

    async def stop(self, names: Collection[str], grace: float) -> list[str]:
        """Wait up to `grace` seconds for these tasks to end, then cancel them; the names of those cancelled."""
        tasks = {self._tasks[name]: name for name in names if name in self._tasks}
        if not tasks:
            return []
        _, late = await asyncio.wait(tasks, timeout=grace) if grace > 0 else (None, set(tasks))
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=5.0)
        return [tasks[task] for task in late]

    def _refuse_a_second(self, name: str, work: Coroutine[Any, Any, None] | None) -> None:
        if name in self._tasks:
            if work is not None:
                work.close()
            raise ValueError(f"a task named {name} runs already")

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks[name] = task
        task.add_done_callback(lambda done: self._ended(name, done))

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(name) is task:
            del self._tasks[name]

    async def _vital(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        reason = "it returned"
        try:
            await work
        except Exception as error:
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
            log.error("task.failed", task=name, exc_info=error)
