"""One seed: two virtual hours of daemons, faults and people, judged after every step. What `make fuzz` runs many of."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import io
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from piyasad.ops import log
from piyasad.simulation.fuzz.judges import Court
from piyasad.simulation.fuzz.process import ProcessLoop
from piyasad.simulation.fuzz.scenario import scenario_of
from piyasad.simulation.fuzz.steps import step
from piyasad.simulation.fuzz.universe import Universe

HOURS: Final = 2.0
STEP_SECONDS: Final = 75.0
"""Mean time between two steps."""

RESTART_SECONDS: Final = 5.0
"""The service manager starts what ended by itself."""

REST_SECONDS: Final = 240.0
"""After everything is healed, all comes to rest within that time."""

MIDNIGHT: Final = datetime(2026, 11, 23, tzinfo=ZoneInfo("Europe/Istanbul")).timestamp()
MOST_FOUND: Final = 20


@dataclass
class Outcome:
    """What became of a seed. `found` is empty when all is well; `steps` tells what happened."""

    seed: int
    found: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    delivered: int = 0
    digest: str = ""


def run(seed: int, *, hours: float = HOURS, say: Callable[[str], None] = lambda words: None) -> Outcome:
    """Run a seed. The same seed is the same run, in every process and on every Python."""
    loop = ProcessLoop()
    stream = _Log()
    log.setup("json", "info", {}, stream=stream)
    collecting = gc.isenabled()
    gc.disable()
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(_Seed(seed, loop, stream, say).live(hours))
    finally:
        asyncio.set_event_loop(None)
        loop.close()
        if collecting:
            gc.enable()


class _Log(io.StringIO):
    """Where the daemons' log lines go."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def write(self, text: str) -> int:
        if text.strip():
            self.lines.append(text)
        return len(text)


class _Seed:
    def __init__(self, seed: int, loop: ProcessLoop, stream: _Log, say: Callable[[str], None]) -> None:
        self._loop = loop
        self._say = say
        self._universe = Universe(scenario_of(seed, MIDNIGHT), loop)
        self._universe.record.log = stream.lines
        self._court = Court(self._universe.record)
        self._outcome = Outcome(seed)
        loop.set_exception_handler(self._uncaught)

    async def live(self, hours: float) -> Outcome:
        universe, outcome = self._universe, self._outcome
        self._tell(f"{len(universe.daemons)} daemons {universe.scenario.layout}, busy: {universe.scenario.busy}")
        for daemon in universe.daemons:
            universe.wire.later(universe.rng.uniform(0, 3), daemon.start)
        await asyncio.sleep(30.0)
        end = universe.clock.mono() + hours * 3600
        while universe.clock.mono() < end and len(outcome.found) < MOST_FOUND:
            self._tell(step(universe))
            await self._pass(universe.rng.expovariate(1 / STEP_SECONDS))
            self._judge()
        universe.heal()
        self._tell("everything is healed")
        await self._pass(REST_SECONDS)
        outcome.found += await self._court.end(universe.books, universe.clock.wall())
        arrivals = universe.record.arrivals
        outcome.delivered = sum(arrival.status == 200 for arrival in arrivals)
        outcome.digest = hashlib.sha256(repr(arrivals).encode()).hexdigest()
        await self._bury()
        return outcome

    async def _pass(self, seconds: float) -> None:
        """Let time pass; what ended by itself is started again."""
        until = self._universe.clock.mono() + seconds
        while (left := until - self._universe.clock.mono()) > 0:
            await asyncio.sleep(min(left, RESTART_SECONDS))
            for daemon in self._universe.daemons:
                if not daemon.up and daemon.name and not daemon.life.asked:
                    daemon.start()

    def _judge(self) -> None:
        for words in self._court.look(self._universe.clock.wall()):
            self._outcome.found.append(words)
            self._tell(f"WRONG {words}")

    def _tell(self, words: str) -> None:
        at = datetime.fromtimestamp(self._universe.clock.wall(), ZoneInfo("Europe/Istanbul")).strftime("%H:%M:%S.%f")
        line = f"{at[:-3]} {words}"
        self._outcome.steps.append(line)
        self._say(line)

    def _uncaught(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._universe.record.faults.append(f"8: nobody caught: {context.get('message')}: {context.get('exception')!r}")

    async def _bury(self) -> None:
        """End all processes, the killed ones too, so that no task complains of its end."""
        self._loop.set_exception_handler(lambda loop, context: None)
        for daemon in self._universe.daemons:
            if daemon.process is not None:
                daemon.kill()
            for process in daemon.buried:
                process.bury()
        for _ in range(3):
            mine = asyncio.current_task()
            tasks = [task for task in asyncio.all_tasks() if task is not mine]
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=30.0)
        sys.unraisablehook = lambda unraisable: None
