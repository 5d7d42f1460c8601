"""A virtual day: one daemon, the real engine, on a world in memory and a virtual loop. What `simulate` runs.

The same settings, seed and script give the same day on every Python.
"""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, TextIO
from zoneinfo import ZoneInfo

from piyasad.bots.timing import BotTiming
from piyasad.build import House, Signals
from piyasad.clock import LoopClock
from piyasad.config.settings import Settings
from piyasad.engine import Engine
from piyasad.metrics import Metrics
from piyasad.model import TurnTrace
from piyasad.sandbox.objects import Line
from piyasad.simulation.journal import Journal
from piyasad.simulation.loop import VirtualLoop
from piyasad.simulation.outside import Outside, accounts_of, configuration_of
from piyasad.simulation.people import Entry, People
from piyasad.simulation.report import Report, Stretches, report_of
from piyasad.simulation.telegram import Arrival
from piyasad.store.in_memory import InMemoryStore
from piyasad.store.interface import Store

FIRST_DAY: Final = (2026, 11, 23)
"""A Monday. A simulation begins at its midnight, in the configuration's time zone."""

HOUR: Final = 3600.0
PROGRESS_SECONDS: Final = 60.0
SAMPLE_SECONDS: Final = 300.0
"""How often it is looked which limit holds each bot back."""

LEASE_SECONDS, BEAT_SECONDS = 600.0, 120.0
"""Nobody else could take a bot here, so leases are long."""


def midnight(settings: Settings) -> float:
    """When a simulation begins."""
    return datetime(*FIRST_DAY, tzinfo=ZoneInfo(settings.simulation.timezone)).timestamp()


class VirtualDay:
    """One simulated time. Everything that happened stands in `outside` and here when `run` has ended.

    Args:
        settings: as they were read; what they hold of secrets is not used.
        seed: of every choice, the world's and the bots'; 0 is 1.
        script: what members say.
        journal: where events are written as JSON lines.
        guest: more that happens meanwhile (the tests' own members); it gets this object.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        seed: int = 1,
        script: Sequence[Entry] = (),
        journal: TextIO | None = None,
        start: float | None = None,
        guest: Callable[[VirtualDay], Awaitable[None]] | None = None,
    ) -> None:
        self.settings = settings
        self.seed = seed or 1
        self.start = midnight(settings) if start is None else start
        self.said: list[Line] = []
        self.turns: list[TurnTrace] = []
        self.outside: Outside
        self.people: People
        self.clock: LoopClock
        self.engine: Engine
        self.metrics: Metrics
        self._script = script
        self._journal = Journal(journal, settings.zone) if journal is not None else None
        self._guest = guest
        self._outcomes: Counter[str] = Counter()
        self._stretches = Stretches()

    def run(self, hours: float, progress: Callable[[float], None] = lambda share: None) -> Report:
        """Live through it.

        Args:
            progress: is told now and then which share of the time has passed.

        Raises:
            ConfigError: the daemon would not start with these settings.
        """
        collecting = gc.isenabled()
        gc.disable()  # a day makes little garbage in cycles, and looking for it costs a fifth of the time
        try:
            with asyncio.Runner(loop_factory=VirtualLoop) as runner:
                return runner.run(self._live(hours, progress))
        finally:
            if collecting:
                gc.enable()

    @property
    def house(self) -> House:
        """The daemon's parts."""
        assert self.engine.house is not None  # noqa: S101 - it was built when the day began
        return self.engine.house

    async def _live(self, hours: float, progress: Callable[[float], None]) -> Report:
        self.clock = LoopClock(asyncio.get_running_loop(), self.start)
        outside = self.outside = Outside(accounts_of(self.settings), self.clock, self.seed)
        self.people = People(outside.telegram.world, outside.accounts.ids, self._said)
        if self._journal is not None:
            outside.telegram.on_arrival = self._arrived
            outside.models.on_call = self._journal.model
        daemon: list[Signals] = []
        edges = outside.edges(
            seed=self.seed,
            store=self._open_store,
            signals=daemon.append,
            metrics=self._counted,
            lease_seconds=LEASE_SECONDS,
            beat_seconds=BEAT_SECONDS,
        )
        self.engine = Engine(configuration_of(outside.accounts), (0, 1), edges)
        living = asyncio.create_task(self.engine.run())
        beside = [asyncio.create_task(self.people.run(self._script, self.clock)), asyncio.create_task(self._sample())]
        if self._guest is not None:
            beside.append(asyncio.ensure_future(self._guest(self)))
        await self._watch(hours * HOUR, [living, *beside], progress)
        for task in beside:
            task.cancel()
        for signals in daemon:
            signals.stop()
        await asyncio.gather(*beside, return_exceptions=True)
        await living
        return self._report(hours)

    async def _watch(
        self, seconds: float, tasks: Sequence[asyncio.Task[object]], progress: Callable[[float], None]
    ) -> None:
        """Until the time is over. Whatever ends with an error before that ends the simulation."""
        while (now := self.clock.mono()) < seconds:
            progress(now / seconds)
            await asyncio.sleep(min(PROGRESS_SECONDS, seconds - now))
            for task in tasks:
                if task.done():
                    task.result()
                    if task is tasks[0]:
                        return  # the daemon has ended by itself
        progress(1.0)

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            house = self.engine.house
            if house is None:
                continue
            now = self.clock.wall()
            for bot in house.live.bots.values():
                timing = BotTiming(bot, house.live, self.clock, house.gateway.stretch)
                if bot.settings.enabled and timing.closed_for() <= 0:
                    self._stretches.add(timing.stretches(now))

    def _report(self, hours: float) -> Report:
        outside = self.outside
        names = {bot_id: name for name, bot_id in outside.accounts.ids.items()}
        return report_of(
            outside.accounts.settings,
            hours,
            arrivals=outside.telegram.arrivals,
            people=self.said,
            calls=outside.models.calls,
            overruns=outside.models.overruns,
            outcomes=self._outcomes,
            stretches=self._stretches,
            names=names,
        )

    # --- what happens
    def _said(self, line: Line) -> None:
        self.said.append(line)
        if self._journal is not None:
            self._journal.person(line)

    def _arrived(self, arrival: Arrival) -> None:
        if self._journal is not None and arrival.message_id is not None:
            self._journal.message(arrival)

    def turned(self, traces: Sequence[TurnTrace]) -> None:
        """Turns ended."""
        self.turns += traces
        self._outcomes.update(f"{trace.intent}: {trace.outcome}" for trace in traces)
        if self._journal is not None:
            for trace in traces:
                self._journal.turn(trace, self.clock.wall())

    def _counted(self, metrics: Metrics) -> None:
        self.metrics = metrics

    def _open_store(self) -> Store:
        return _Traced(self)


class _Traced(InMemoryStore):
    """The store, with an ear for turns."""

    def __init__(self, day: VirtualDay) -> None:
        super().__init__(day.outside.database)
        self._day = day

    def record_turns(self, traces: Sequence[TurnTrace]) -> None:
        """Write traces."""
        super().record_turns(traces)
        self._day.turned(traces)
