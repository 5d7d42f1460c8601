"""One machine of the fuzzer: the daemon on it is started, told, paused, killed and started again.

Every start is a process of its own with a name of its own, by which the world's record knows it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from piyasad.build import Configuration, Signals
from piyasad.config.problems import ConfigError, Problem
from piyasad.config.settings import Settings
from piyasad.engine import Engine
from piyasad.guards.case import Case, Guard, Verdict
from piyasad.guards.chosen import guards_of
from piyasad.metrics import Metrics
from piyasad.scheduler import BotLoop
from piyasad.simulation.fuzz.process import Process, ProcessClock
from piyasad.simulation.fuzz.record import Life, Look, Record
from piyasad.simulation.fuzz.scenario import File, settings_of
from piyasad.simulation.fuzz.store import FaultyStore, Link, Wire
from piyasad.simulation.outside import Outside, accounts_of, configuration_of
from piyasad.simulation.telegram import Client
from piyasad.store.interface import Store

SEED = 1


class Watched:
    """A guard whose looks are noted."""

    def __init__(self, guard: Guard, daemon: Daemon) -> None:
        self.name = guard.name
        self._guard = guard
        self._daemon = daemon

    def check(self, case: Case) -> Verdict | None:
        """What the guard says."""
        verdict = self._guard.check(case)
        daemon = self._daemon
        daemon.record.looks.append(
            Look(daemon.now(), daemon.name, self.name, case.persona.name, case.text, verdict is not None)
        )
        return verdict


class Daemon:
    """A machine with the shard that runs on it. `file` is the configuration's file as it stands there now."""

    def __init__(
        self, outside: Outside, wire: Wire, record: Record, every: Link, index: int, shard: tuple[int, int], file: File
    ) -> None:
        self.index = index
        self.shard = shard
        self.file = file
        self.broken = ""
        self.record = record
        self.link = Link()
        self.offset = 0.0
        self.name = ""
        self.process: Process | None = None
        self.client: Client | None = None
        self.store: FaultyStore | None = None
        self.engine: Engine | None = None
        self.metrics: Metrics | None = None
        self._outside = outside
        self._wire = wire
        self._every = every
        self._starts = 0
        self._signals: Signals | None = None
        self._clock: ProcessClock | None = None
        self._task: asyncio.Task[None] | None = None
        self.buried: list[Process] = []

    @property
    def life(self) -> Life:
        """The present start, or the last."""
        return self.record.lives[self.name]

    @property
    def up(self) -> bool:
        """Whether a process is there (it may be paused)."""
        return self.process is not None

    @property
    def ids(self) -> Mapping[str, int]:
        """The bots' ids by name."""
        return self._outside.accounts.ids

    @property
    def deeds_done(self) -> int:
        """How much the store has done so far."""
        return len(self._wire.done)

    def taken_since(self, since: int) -> set[int]:
        """The bots that this start has taken (again) since then."""
        deeds = (deed for deed in self._wire.done[since:] if deed.daemon == self.name and deed.name == "take")
        return {lease.bot_id for deed in deeds for lease in deed.result}

    def now(self) -> float:
        """The world's time."""
        return self._wire.now()

    def settings(self) -> Settings:
        """What the file says.

        Raises:
            ConfigError: it is broken.
        """
        if self.broken:
            raise ConfigError([Problem("fuzz.toml", 1, "", self.broken)])
        return settings_of(self.file)

    def configuration(self) -> Configuration:
        """The file as a daemon reads it; tokens and keys are the world's."""
        return configuration_of(accounts_of(self.settings()))

    # --- its lives
    def start(self) -> None:
        """Start the daemon."""
        if self.up:
            return
        self._starts += 1
        self.name = f"d{self.index}.{self._starts}"
        loop = self._wire.loop
        process = self.process = Process(loop, self.name)
        clock = self._clock = ProcessClock(loop, process, self._outside.clock.wall() - loop.time() + self.offset)
        self.client = Client(self._outside.telegram, self.name)
        configuration = self.configuration()
        self.record.lives[self.name] = Life(self.name, self.shard, self.now())
        watch = Watcher(self)
        edges = self._outside.edges(
            seed=SEED,
            name=self.name,
            clock=clock,
            read=self._read,
            store=self._open_store,
            telegram=self.client,
            signals=self._listens,
            metrics=self._counts,
            notify=watch,
            guards=self._guards,
        )
        self.engine = None

        async def live() -> None:
            life = self.life
            engine = self.engine = watch.engine = Engine(configuration, self.shard, edges)
            try:
                life.how = f"ended with {await engine.run()}"
            except ConfigError as error:
                life.how = f"ConfigError: {error}"
            except Exception as error:  # noqa: BLE001 - whatever it is, it ended the daemon
                life.how = f"{type(error).__name__}: {error}"
                self.record.faults.append(f"8: {self.name} raised {life.how}")
            self._over(process)

        self._task = process.start(live())

    def _over(self, process: Process) -> None:
        """The process has ended by itself."""
        self.life.ended = self.now()
        self._outside.telegram.hang_up(self.name)
        self.buried.append(process)
        if self.process is process:
            self.process = None

    def kill(self) -> None:
        """SIGKILL, or the power went."""
        process = self.process
        if process is None:
            return
        process.kill()
        if self.store is not None:
            self.store.gone = True
        self.life.asked, self.life.how = True, "killed"
        self._over(process)

    def stop(self) -> None:
        """SIGTERM."""
        if self.process is not None and self._signals is not None:
            self.life.asked = True
            self.process.call(self._signals.stop)

    def reload(self) -> None:
        """SIGHUP."""
        if self.process is not None and self._signals is not None:
            self.process.call(self._signals.ask_reload)

    def pause(self) -> None:
        """It gets no time."""
        if self.process is not None and not self.process.paused:
            self.life.pauses.append((self.now(), None))
            self.process.pause()

    def resume(self, *, suspended: bool) -> None:
        """It gets time again."""
        if self.process is not None and self.process.paused:
            since, _ = self.life.pauses.pop()
            self.life.pauses.append((since, self.now()))
            self.process.resume(suspended=suspended)

    def jump(self, seconds: float) -> None:
        """Somebody sets the machine's wall clock."""
        self.offset += seconds
        if self._clock is not None:
            self._clock.jump(seconds)

    # --- its edges
    async def _read(self) -> Configuration:
        return self.configuration()

    def _open_store(self) -> Store:
        self.store = FaultyStore(self._outside.open_store(), self.name, self._wire, (self._every, self.link))
        return self.store.typed()

    def _listens(self, signals: Signals) -> None:
        self._signals = signals

    def _counts(self, metrics: Metrics) -> None:
        self.metrics = metrics

    def _guards(self, settings: Settings) -> list[Guard]:
        return [Watched(guard, self) for guard in guards_of(settings)]


class Watcher:
    """The service manager of one start: it sees when the daemon is ready, and what a reload did to the bots' loops."""

    def __init__(self, daemon: Daemon) -> None:
        self.engine: Engine | None = None
        self._daemon = daemon
        self._before: tuple[Settings, dict[int, BotLoop], int] | None = None

    def ready(self, status: str) -> None:
        """Started, or a reload has ended."""
        daemon = self._daemon
        life = daemon.life
        if life.ready is None:
            life.ready = daemon.now()
        engine = self.engine
        if engine is None:
            return
        inside = {chat.id for chat in engine.settings.chats if chat.enabled}
        for chat in inside:
            life.listed[chat] = None
        for chat, gone in life.listed.items():
            if chat not in inside and gone is None:
                life.listed[chat] = daemon.now()
        if self._before is not None:
            self._compare(*self._before, engine)
            self._before = None

    def reloading(self) -> None:
        """A reload begins."""
        engine = self.engine
        if engine is not None and engine.house is not None:
            self._before = engine.settings, self._loops(engine), self._daemon.deeds_done

    def stopping(self) -> None:
        """The drain begins."""
        self._before = None

    def watchdog(self) -> None:
        """Nobody asks for it here."""

    def _loops(self, engine: Engine) -> dict[int, BotLoop]:
        house = engine.house
        if house is None:
            return {}
        loops = ((bot_id, house.pool.loop(bot_id)) for bot_id in list(house.pool.held))
        return {bot_id: loop for bot_id, loop in loops if loop is not None}

    def _compare(self, old: Settings, before: dict[int, BotLoop], since: int, engine: Engine) -> None:
        """Bots whose settings are the same keep their loop, with its timers and what waits in it."""
        house, ids = engine.house, self._daemon.ids
        if house is None:
            return
        anew = self._daemon.taken_since(since)
        after = self._loops(engine)
        was = {bot.name: bot for bot in old.bots}
        for bot in engine.settings.bots:
            bot_id = ids[bot.name]
            kept = was.get(bot.name) == bot and bot_id in before and bot_id in house.pool.held and bot_id not in anew
            if kept and after.get(bot_id) is not before[bot_id]:
                self._daemon.record.faults.append(f"8: a reload of {self._daemon.name} restarted {bot.name}")
