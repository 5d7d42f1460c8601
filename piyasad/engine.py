"""The engine: start, serve, drain. It runs the parts that `build.py` made and supervises their tasks.

`cli.py` and `demo.py` call `run`; the simulation runs an `Engine` with edges of its own. What a reload does stands in
`reload.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import os
import secrets
import sys
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import structlog
import uvloop

from piyasad import __version__
from piyasad.bots.forecast import forecast_words
from piyasad.bots.gauges import count_bots
from piyasad.bots.state import LiveState
from piyasad.build import Configuration, Edges, House, Pages, Private, build, build_gateway
from piyasad.clock import DAY
from piyasad.config import Settings
from piyasad.config.changes import unusable
from piyasad.config.load import ConfigError, Problem, overlay_of
from piyasad.config.secrets import all_secrets
from piyasad.gateway.gateway import Gateway
from piyasad.gateway.quota.budget import LONGEST_MONTH
from piyasad.metrics import Metrics
from piyasad.model import Usage
from piyasad.ops import log as logs
from piyasad.ops.readiness import Facts, Readiness, readiness
from piyasad.reload import Reload
from piyasad.sharding.presence import say_missing
from piyasad.store.embedded import DataDirError
from piyasad.store.interface import StoreError
from piyasad.supervise import STUCK_SECONDS, Outage, Supervisor, raise_if_cancelled

log = structlog.stdlib.get_logger(__name__)

REPORT_SECONDS = 10.0
"""How often the daemon tells the store how it is (`status` reads it)."""

TIDY_SECONDS = 3600.0
"""How often the store makes coming partitions and drops old ones."""

LAG_SECONDS = 0.1
USAGE_SECONDS = LONGEST_MONTH  # a day for the quotas, a month for the budget

LESSONS_SECONDS = 30 * DAY
"""What a provider taught is believed for so long without being taught again."""

SETTLE_SECONDS = 5.0
"""What is between claim and settlement when the drain's time is over gets so much longer."""

LEAVE_SECONDS = 5.0


def run(
    config: Path,
    *,
    shard: tuple[int, int] = (0, 1),
    data_dir: Path | None = None,
    listen: str | None = None,
    overlay: Mapping[str, Any] | None = None,
    at_once: bool = False,
) -> int:
    """Run the daemon until it is told to stop; the process's exit code. `at_once`: the first turns come without a wait.

    Raises:
        ConfigError: the configuration, the port or the data directory cannot be used; nothing was started.
    """
    from piyasad.system import read_configuration, system_edges

    env, over, salt = dict(os.environ), overlay_of(overlay, data_dir, listen), secrets.token_hex(8)
    read = functools.partial(read_configuration, config, env, over, salt)
    first = read()
    settings = first.settings
    if faults := unusable(first.snapshot, first.problem, starting=True):
        raise ConfigError(faults)
    if shard[1] > 1 and not settings.store.postgres:
        raise ConfigError([first.problem("store.postgres", "several shards need one database: set it to its address")])
    logs.setup(settings.daemon.log_format, settings.daemon.log_level, env)
    gc.collect()
    gc.disable()  # until it has started: see Engine._begin
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        edges = system_edges(settings, read, env, shard, exact_listen=listen is not None)
        try:
            return runner.run(Engine(first, shard, edges, at_once=at_once).run())
        except DataDirError as error:
            raise ConfigError([Problem(str(config), None, "store.data_dir", str(error))]) from error


class Engine:
    """One daemon, from start to drain."""

    def __init__(
        self, configuration: Configuration, shard: tuple[int, int], edges: Edges, *, at_once: bool = False
    ) -> None:
        settings = configuration.settings
        self.configuration = configuration
        self.house: House | None = None
        self._shard = shard
        self._edges = edges
        self._clock = edges.clock
        self._at_once = at_once
        self._metrics = Metrics(redis=bool(settings.store.redis) and shard[1] > 1)
        self._supervisor: Supervisor
        self._private: Private | None = None
        self._stop = asyncio.Event()
        self._reload = asyncio.Event()
        self._state = "starting"
        self._forecast: list[str] = []
        self._holder = ""  # who holds bots that would be ours
        self._pages: Pages | None = None

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.configuration.settings

    async def run(self) -> int:
        """Start, serve until a signal or a vital task's death, drain. 0 after a clean drain, 1 after a failure.

        Raises:
            ConfigError: keys, route or pages cannot be used.
            DataDirError: the private database's folder cannot be used.
        """
        self._supervisor = Supervisor(self._clock)
        with self._edges.signals(self):
            # What can be wrong with the configuration is found before anything is opened.
            gateway = build_gateway(self.settings, self._shard, self._edges, self._metrics, self._used)
            pages = self._pages = self._edges.pages(self.settings, self._metrics, self)
            if pages is not None:
                await pages.start()
            failed = ""
            try:
                failed = await self._live(gateway)
            except StoreError as error:
                failed = str(error)
                if isinstance(error, DataDirError):
                    raise
                log.error("daemon.failed", reason=failed)
            finally:
                await self._drain(gateway, failed)
                if pages is not None:
                    await pages.stop()
        return 1 if failed else 0

    async def _live(self, gateway: Gateway) -> str:
        starting = asyncio.create_task(self._start(gateway))
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                return ""
            await starting
            return await self._serve(stopping)
        finally:
            for task in (starting, stopping):
                task.cancel()
            await asyncio.wait({starting, stopping})

    def _used(self, usage: Usage) -> None:
        if self.house is not None:
            self.house.store.add_usage([usage])

    # --- what the pages and the signals ask
    def ready(self) -> Readiness:
        """Whether a line could be said, and if not, why."""
        house = self.house
        if house is None or self._state != "running":
            return Readiness(ready=False, reasons=(self._state,))
        return readiness(self._facts(house))

    def _facts(self, house: House) -> Facts:
        settings = self.settings
        store_age, store_error = house.leases.beaten
        ours = house.pool.ours()
        held = [bot for bot in ours if bot.held]
        silent = dict(house.live.tokenless) | {
            bot.persona.name: why for bot in ours if (why := house.live.silenced(bot)) != ""
        }
        telegram = settings.telegram
        return Facts(
            state=self._state,
            active=settings.simulation.active,
            lease=house.leases.alive(),
            wanted=len(ours),
            held=len(held),
            able=sum(house.live.silenced(bot) == "" for bot in held),
            holder=self._holder,
            silent=silent,
            store_age=store_age,
            store_error=store_error,
            telegram_age=house.contact.age,
            telegram_error=house.contact.error,
            poll_seconds=telegram.poll_timeout_seconds if house.polling.listening else telegram.idle_poll_seconds,
            providers=house.gateway.usable(settings.gateway.route),
        )

    def publish(self) -> None:
        """Set the gauges that nobody sets as things happen; the pages call it before they are read."""
        if self.house is not None:
            count_bots(self.house.live, self._metrics)
            self.house.gateway.publish()

    def stop(self) -> None:
        """Drain and end."""
        self._stop.set()

    def ask_reload(self) -> None:
        """Read the configuration again soon."""
        self._reload.set()

    # --- start
    async def _start(self, gateway: Gateway) -> None:
        settings, metrics, edges = self.settings, self._metrics, self._edges
        logs.protect(*all_secrets(settings, edges.env))
        metrics.build_info.labels(__version__, ".".join(map(str, sys.version_info[:3]))).set(1)
        metrics.shard_info.labels(*map(str, self._shard)).set(1)
        metrics.reload_successful.set(1)
        metrics.reload_timestamp.set(self._clock.wall())
        live = LiveState(settings, self._shard, edges.seed)
        live.commit(await live.prepare(settings, self.configuration.tokens))
        store, self._private = await edges.open_store(settings, metrics)
        house = self.house = build(
            settings, self._shard, edges, metrics, store, live, gateway, self._supervisor, self._lease_lost
        )
        await house.leases.enter(alone=self._private is not None)
        await store.ensure_chats(list(house.live.chats))
        gateway.restore(await store.usage(self._clock.wall() - USAGE_SECONDS))
        gateway.recall(await store.lessons(self._clock.wall() - LESSONS_SECONDS))
        gateway.remember_with(lambda lesson: store.learn([lesson]))
        await house.pool.open()
        await self._begin(house)
        self._state = "running"
        self._warn_of_the_silent(house)
        self._tell_the_day(house)
        edges.notify.ready(self._status(house))
        log.info(
            "daemon.ready",
            bots=len(house.pool.held),
            chats=len(house.live.chats),
            shard="/".join(map(str, self._shard)),
            listen=self._pages.url if self._pages is not None else "",
        )

    async def _begin(self, house: House) -> None:
        """Start every task of the daemon."""
        vital = self._supervisor.vital
        if self._private is not None:
            vital("database", self._private.ended())
        vital("leases", house.leases.run(), turns_within=STUCK_SECONDS)
        if house.sharing is not None:
            vital("redis", house.sharing.run())
        if house.feed is not None:
            vital("feed", house.feed.run(), turns_within=STUCK_SECONDS)
        vital("polling", house.polling.run(), turns_within=STUCK_SECONDS)
        vital("pool", house.pool.run())
        vital("stimuli", house.stimuli.run())
        vital("report", self._report(house), turns_within=STUCK_SECONDS)
        vital("tidy", self._tidy(house))
        if self._edges.own_process:
            vital("watchdog", self._supervisor.watchdog(self._edges.notify.watchdog))
            vital("loop lag", self._watch_lag())
        await house.pool.start()
        if self._shard[1] > 1:
            self._supervisor.beside("presence", say_missing(house.store, self._shard[1]))
        if self._at_once:
            self._supervisor.beside("opening", house.pool.open_the_talk())
        if self._edges.own_process:
            gc.freeze()  # what lives as long as the daemon is not looked at again: a full collection stops the loop
            gc.set_threshold(20_000, 50, 100)
            gc.enable()

    def _status(self, house: House) -> str:
        if house.live.wanted() and not house.pool.held:
            return "standby"
        return f"{len(house.pool.held)} bots in {len(house.live.chats)} chats"

    def _tell_the_day(self, house: House) -> None:
        """What the day's quotas allow, in words."""
        self._forecast = forecast_words(self.settings, Counter(each.name for each in house.gateway.endpoints))
        for words in self._forecast:
            log.info("gateway.forecast", words=words)

    def _warn_of_the_silent(self, house: House) -> None:
        for problem in self.configuration.warnings:
            log.warning("config.odd", file=problem.file, line=problem.line, key=problem.key, reason=problem.message)
        for name, reason in house.live.tokenless.items():
            log.warning("bot.parked", bot=name, reason=reason)
        for chat in house.live.chats.values():
            if chat.settings.is_basic_group:
                log.warning(
                    "chat.basic_group",
                    chat=chat.id,
                    cure="replies and reactions between bots are off here; make it a supergroup (group settings → chat "
                    "history visible, or a public link) and put its new -100… id into the configuration",
                )

    # --- serve
    async def _serve(self, stopping: asyncio.Task[Any]) -> str:
        """Until told to stop: the reason for a failure, or an empty text."""
        while True:
            asked = asyncio.create_task(self._reload.wait())
            try:
                waiting: set[asyncio.Future[Any]] = {stopping, asked, self._supervisor.failed}
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            finally:
                asked.cancel()
            if self._supervisor.failed.done():
                return self._supervisor.failed.result()
            if stopping.done():
                return ""
            self._reload.clear()
            await self.reload()

    async def reload(self) -> bool:
        """Read the file again and apply what changed; False (and nothing changed) when it cannot be used."""
        house = self.house
        if house is None or self._state != "running":
            return False
        self._edges.notify.reloading()
        reload = Reload(house, self._edges, self._metrics, self._pages)
        done = await reload.run(self.configuration)
        if done is None:
            self._edges.notify.ready(f"{self._status(house)}; {reload.words}")
            return False
        self.configuration = done
        self._warn_of_the_silent(house)
        self._tell_the_day(house)
        self._edges.notify.ready(self._status(house))
        return True

    def _lease_lost(self) -> None:
        if self.house is not None:
            self.house.pool.silence()

    async def _report(self, house: House) -> None:
        """Tell the store how this daemon is."""
        outage = Outage("report", self._clock)
        while True:
            try:
                self._metrics.uncertain.set(await house.store.uncertain())
                report = {
                    "gateway": house.gateway.report() | {"forecast": self._forecast},
                    "configuration": self.configuration.packed,
                    "silent": self._facts(house).silent,
                    "resting": [
                        {"bot": bot.id, "chat": chat_id, "reason": why}
                        for bot in house.pool.ours()
                        for chat_id, why in bot.barred.items()
                    ],
                }
                await house.store.report(house.leases.daemon.id, report)
                self._holder = await self._held_by(house)
                outage.worked()
            except StoreError as error:
                raise_if_cancelled()
                outage.failed(error)
            await asyncio.sleep(REPORT_SECONDS)

    async def _held_by(self, house: House) -> str:
        """Who holds the bots that would be ours, in words."""
        missing = {bot.id for bot in house.pool.missing()}
        if not missing:
            return ""
        owners = {row.owner for row in await house.store.bots() if row.id in missing and row.alive}
        rows = [row for row in await house.store.daemons() if row.id in owners]
        return ", ".join(f"shard {row.shard}/{row.shards} on {row.host} (pid {row.pid})" for row in rows)

    async def _tidy(self, house: House) -> None:
        """Keep the store tidy."""
        while True:
            try:
                await house.store.maintain(self._clock.wall(), self.settings.store.retention_days)
            except StoreError as error:
                raise_if_cancelled()
                log.warning("tidy.store", error=str(error))
            await asyncio.sleep(TIDY_SECONDS)

    async def _watch_lag(self) -> None:
        while True:
            asked = self._clock.mono() + LAG_SECONDS
            await asyncio.sleep(LAG_SECONDS)
            self._metrics.loop_lag.observe(max(0.0, self._clock.mono() - asked))

    # --- drain
    async def _drain(self, gateway: Gateway, failed: str) -> None:
        """No new turns; what is under way ends or is handed back; everything settled; the store closed last."""
        began = self._clock.mono()
        self._state = "draining"
        self._edges.notify.stopping()
        house = self.house
        late: Collection[str] = ()
        if house is not None:
            house.stimuli.stop()
            await self._supervisor.stop(["polling", "feed", "pool"], 0.0)
            late = await house.pool.drain(self.settings.daemon.drain_seconds)
            await self._settle(house)
            await house.telegram.close()
        await self._supervisor.stop(list(self._supervisor.names), 0.0)
        await gateway.close()
        if house is not None:
            if house.sharing is not None:
                await house.sharing.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_SECONDS):
                    await self._leave(house, f"drained in {self._clock.mono() - began:.1f} s, cut off {len(late)}")
            await house.store.close()
        if self._private is not None:
            await self._private.stop()
        why = {"failed": failed} if failed else {}
        log.info("daemon.stopped", seconds=round(self._clock.mono() - began, 2), cut_off=len(late), **why)

    async def _settle(self, house: House) -> None:
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                await house.delivery.settled()
                await house.stimuli.settled()
        except TimeoutError:
            log.warning("drain.unsettled", note="rows still sending are found uncertain at the next start")

    async def _leave(self, house: House, summary: str) -> None:
        try:
            await house.leases.leave(summary)
        except StoreError as error:
            log.warning("drain.lease", error=str(error))
