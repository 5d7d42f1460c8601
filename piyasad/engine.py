"""The engine: start, serve, reload, drain. Builds the parts, hands them to each other and supervises their tasks.

`cli.py` and `demo.py` call `run`. Everything that waits is handed the same clock; every bot's chance comes from the one
seed. A changed file is applied all or nothing, and nobody that it does not concern is touched.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import random
import secrets
import signal
import socket
import sys
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
import uvloop

from piyasad import __version__
from piyasad.bots.forecast import forecast_words
from piyasad.bots.pool import BotPool
from piyasad.bots.state import LiveState
from piyasad.clock import Clock, SystemClock
from piyasad.config import Settings
from piyasad.config.changes import diff
from piyasad.config.load import ConfigError, Problem, load, overlay_of
from piyasad.config.secrets import all_secrets
from piyasad.gateway import gateway
from piyasad.gateway.quota.budget import LONGEST_MONTH
from piyasad.metrics import Metrics
from piyasad.model import DaemonRow, Usage
from piyasad.ops import log as logs
from piyasad.ops.http import HttpServer, Readiness
from piyasad.ops.notify import Notifier
from piyasad.sharding.leases import Leases
from piyasad.store.embedded import DataDirError, Embedded
from piyasad.store.interface import StoreError
from piyasad.store.postgres import PostgresStore
from piyasad.store.server import ServerError
from piyasad.supervise import Supervisor

if TYPE_CHECKING:
    from piyasad.sharding.redis import RedisSharing

log = structlog.stdlib.get_logger(__name__)

TICK_SECONDS = 1.0
REPORT_SECONDS = 5.0
LAG_SECONDS = 0.1
USAGE_SECONDS = LONGEST_MONTH  # a day for the quotas, a month for the budget


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
    env = dict(os.environ)
    over = overlay_of(overlay, data_dir, listen)
    settings = load(config, env=env, overlay=over)
    if shard[1] > 1 and not settings.store.postgres:
        raise ConfigError(
            [Problem(str(config), None, "store.postgres", "several shards need one database: set it to its address")]
        )
    logs.setup(settings.daemon.log_format, settings.daemon.log_level, env)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        engine = Engine(settings, config, over, env, shard, SystemClock(), exact_listen=listen is not None)
        engine.at_once = at_once
        return runner.run(engine.run())


class Engine:
    """One daemon, from start to drain."""

    def __init__(
        self,
        settings: Settings,
        path: Path,
        overlay: Mapping[str, Any],
        env: Mapping[str, str],
        shard: tuple[int, int],
        clock: Clock,
        *,
        exact_listen: bool,
    ) -> None:
        self.settings = settings
        self._path = path
        self._overlay = overlay
        self._env = env
        self._shard = shard
        self._clock = clock
        self._exact_listen = exact_listen
        self._metrics = Metrics(redis=bool(settings.store.redis) and shard[1] > 1)
        self._notify = Notifier(env)
        self._live = LiveState(settings, shard, settings.simulation.seed or secrets.randbits(32))
        self._supervisor: Supervisor
        self._embedded: Embedded | None = None
        self._store: PostgresStore | None = None
        self._leases: Leases | None = None
        self._gateway: gateway.Gateway | None = None
        self._redis_sharing: RedisSharing | None = None
        self._pool: BotPool | None = None
        self._stop = asyncio.Event()
        self._reload = asyncio.Event()
        self._state = "starting"
        self._forecast: list[str] = []
        self.at_once = False

    async def run(self) -> int:
        """Start, serve until a signal or a vital task's death, drain. 0 after a clean drain, 1 after a failure."""
        self._supervisor = Supervisor(self._clock)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload.set)
        # What can be wrong with the configuration is found before anything is opened.
        door = self._gateway = gateway.build(
            self.settings, self._env, self._clock, self._metrics, on_usage=self._used, share=1.0 / self._shard[1]
        )
        http = HttpServer(self.settings, self._shard, self._metrics, self, self._env, exact=self._exact_listen)
        await http.start()
        failed = ""
        try:
            starting = asyncio.create_task(self._start(door))
            stopping = asyncio.create_task(self._stop.wait())
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                stopping.cancel()
                await starting
                failed = await self._serve()
            else:
                starting.cancel()
                await asyncio.wait({starting})
        except DataDirError as error:
            failed = str(error)
            raise ConfigError([Problem(str(self._path), None, "store.data_dir", failed)]) from error
        except (StoreError, ServerError) as error:
            failed = str(error)
            log.error("daemon.failed", reason=failed)
        finally:
            await self._drain(failed)
            await http.stop()
        return 1 if failed else 0

    def _used(self, usage: Usage) -> None:
        if self._store is not None:
            self._store.writer.add([usage])

    # --- what the HTTP pages ask
    def ready(self) -> Readiness:
        """Whether bots speak, and if not, why."""
        reasons = []
        if self._state != "running":
            reasons.append(self._state)
        if self._leases is None or not self._leases.alive():
            reasons.append("no lease")
        elif self._pool is not None and not self._pool.held and self._live.wanted():
            reasons.append("standby: the bots are another daemon's")
        return Readiness(not reasons, reasons)

    def ask_reload(self) -> None:
        """As SIGHUP."""
        self._reload.set()

    def _asked_to_stop(self) -> None:
        if self._stop.is_set():  # a second signal means now
            log.warning("daemon.exits_now", note="what was under way is found uncertain at the next start")
            os._exit(130)
        self._stop.set()

    # --- start
    async def _start(self, door: gateway.Gateway) -> None:
        settings, metrics = self.settings, self._metrics
        logs.protect(*all_secrets(settings, self._env))
        metrics.build_info.labels(__version__, ".".join(map(str, sys.version_info[:3]))).set(1)
        metrics.shard_info.labels(str(self._shard[0]), str(self._shard[1])).set(1)
        metrics.reload_successful.set(1)
        metrics.reload_timestamp.set(self._clock.wall())
        self._live.set(settings, self._env)
        store = await self._open_store()
        leases = self._leases = Leases(store, self._clock, metrics, self._daemon_row(), self._lease_lost)
        await leases.enter(alone=self._embedded is not None)
        chats = [chat.id for chat in settings.chats]
        await store.ensure_chats(chats)
        door.restore(await store.usage(self._clock.wall() - USAGE_SECONDS))
        self._pool = BotPool(self._live, store, door, leases, self._clock, metrics, self._supervisor, self._rng())
        await self._pool.open()
        vital = self._supervisor.vital
        if self._embedded is not None:
            vital("database", self._embedded.ended())
        vital("leases", leases.run())
        if settings.store.redis and self._shard[1] > 1:
            from piyasad.sharding.redis import RedisSharing  # only here: the library takes long to load

            self._redis_sharing = RedisSharing(settings, self._shard, store, door, self._clock, self._metrics)
            vital("redis", self._redis_sharing.run())
        vital("tick", self._tick(self._pool, store, door))
        vital("loop lag", self._watch_lag())
        self._pool.start(at_once=self.at_once)
        gc.collect()
        gc.freeze()  # what lives as long as the daemon is not looked at again: a full collection would stop the loop
        gc.set_threshold(20_000, 50, 100)
        self._state = "running"
        self._warn_about_the_silent()
        self._tell_the_day(door)
        self._notify.ready(f"{len(self._pool.held)} bots in {len(self._live.chats)} chats")
        log.info(
            "daemon.ready",
            bots=len(self._pool.held),
            chats=len(self._live.chats),
            shard="/".join(map(str, self._shard)),
            listen=settings.http.listen,
        )

    async def _open_store(self) -> PostgresStore:
        settings = self.settings.store
        timeout = self.settings.daemon.start_timeout_seconds
        dsn = settings.postgres
        if not dsn:
            self._embedded = await Embedded.start(settings.data_dir, timeout=min(timeout, 60.0))
            dsn = self._embedded.dsn
        query = self._metrics.store_query
        self._store = await PostgresStore.connect(
            dsn,
            self._clock,
            start_timeout=timeout,
            on_query=lambda name, seconds: query.labels(name).observe(seconds),
        )
        return self._store

    def _daemon_row(self) -> DaemonRow:
        return DaemonRow(
            id=secrets.token_hex(8),
            shard=self._shard[0],
            shards=self._shard[1],
            host=socket.gethostname(),
            pid=os.getpid(),
            config_hash=self.settings.config_hash,
            beat=0.0,
            alive=True,
            drain="",
        )

    def _rng(self) -> random.Random:
        return random.Random(f"{self._live.seed}/engine/{self._shard[0]}")

    def _tell_the_day(self, door: gateway.Gateway) -> None:
        """What the day's quotas allow, in words."""
        self._forecast = forecast_words(self.settings, Counter(each.name for each in door.endpoints))
        for words in self._forecast:
            log.info("gateway.forecast", words=words)

    def _warn_about_the_silent(self) -> None:
        for name, reason in self._live.tokenless.items():
            log.warning("bot.parked", bot=name, reason=reason)
        for chat in self._live.chats.values():
            if chat.settings.is_basic_group:
                log.warning(
                    "chat.basic_group",
                    chat=chat.id,
                    cure="replies and reactions between bots are off here; make it a supergroup (group settings → chat "
                    "history visible, or a public link) and put its new -100… id into the configuration",
                )

    # --- serve
    async def _serve(self) -> str:
        """Until told to stop: the reason for a failure, or an empty text."""
        stop = asyncio.create_task(self._stop.wait())
        while True:
            reload = asyncio.create_task(self._reload.wait())
            waiting: set[asyncio.Future[Any]] = {stop, reload, self._supervisor.failed}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if self._supervisor.failed.done():
                stop.cancel()
                reload.cancel()
                return self._supervisor.failed.result()
            if stop.done():
                reload.cancel()
                return ""
            self._reload.clear()
            await self.reload()

    async def reload(self) -> bool:
        """Read the file again and apply what changed; False (and nothing changed) when it cannot be used."""
        pool, door = self._pool, self._gateway
        if pool is None or door is None:
            return False  # not started yet
        self._notify.reloading()
        try:
            new = await asyncio.to_thread(functools.partial(load, self._path, env=self._env, overlay=self._overlay))
            door.apply(new)
        except ConfigError as error:
            for problem in error.problems:
                log.error(
                    "reload.refused", file=problem.file, line=problem.line, key=problem.key, reason=problem.message
                )
            self._metrics.reload_successful.set(0)
            self._notify.ready(f"reload refused: {error.problems[0].message}")
            return False
        changes = diff(self.settings, new)
        self.settings = new
        logs.protect(*all_secrets(new, self._env))
        await pool.change(new, self._env)
        for key in changes.restart:
            log.warning("reload.needs_restart", key=key)
        self._metrics.reload_successful.set(1)
        self._metrics.reload_timestamp.set(self._clock.wall())
        log.info(
            "reload.done",
            added=list(changes.bots.added),
            changed=list(changes.bots.changed),
            removed=list(changes.bots.removed),
            unchanged=len(changes.bots.unchanged),
            settings=list(changes.settings),
        )
        self._warn_about_the_silent()
        self._tell_the_day(door)
        self._notify.ready(f"{len(pool.held)} bots in {len(self._live.chats)} chats")
        return True

    def _lease_lost(self) -> None:
        if self._pool is not None:
            self._pool.silence()

    async def _tick(self, pool: BotPool, store: PostgresStore, door: gateway.Gateway) -> None:
        """Every second: bots that are free are taken, gauges are set; every hour the store is kept tidy."""
        tidied = reported = float("-inf")
        while True:
            now = self._clock.mono()
            try:
                await pool.take_free()
                self._metrics.uncertain.set((await store.counts(self._clock.wall() - 86_400)).get("uncertain", 0))
                if now - reported > REPORT_SECONDS and self._leases is not None:
                    reported = now
                    await store.report(
                        self._leases.daemon.id, {"gateway": door.report() | {"forecast": self._forecast}}
                    )
                if now - tidied > 3600:
                    tidied = now
                    await store.maintain(self._clock.wall(), self.settings.store.retention_days)
                    self._live.budget.forget(self._clock.wall())
            except StoreError as error:
                log.warning("tick.store", error=str(error))
            pool.count()
            door.publish()
            self._notify.watchdog()
            await asyncio.sleep(TICK_SECONDS)

    async def _watch_lag(self) -> None:
        while True:
            asked = self._clock.mono() + LAG_SECONDS
            await asyncio.sleep(LAG_SECONDS)
            self._metrics.loop_lag.observe(max(0.0, self._clock.mono() - asked))

    # --- drain
    async def _drain(self, failed: str) -> None:
        """No new turns; what is under way ends or is handed back; everything settled; the store closed last."""
        began = self._clock.mono()
        self._state = "draining"
        self._notify.stopping()
        summary = {"failed": failed} if failed else {}
        late: Collection[str] = ()
        if self._pool is not None:
            late = await self._pool.drain(self.settings.daemon.drain_seconds)
            await self._pool.close()
        await self._supervisor.stop(list(self._supervisor.names), 0.0)
        if self._gateway is not None:
            await self._gateway.close()
        if self._redis_sharing is not None:
            await self._redis_sharing.close()
        if self._store is not None:
            if self._leases is not None:
                try:
                    async with asyncio.timeout(5):
                        await self._leases.leave(f"drained in {self._clock.mono() - began:.1f} s, cut off {len(late)}")
                except (StoreError, TimeoutError) as error:
                    log.warning("drain.lease", error=str(error) or "timeout")
            await self._store.close()
        if self._embedded is not None:
            await self._embedded.stop()
        log.info("daemon.stopped", seconds=round(self._clock.mono() - began, 2), cut_off=len(late), **summary)
