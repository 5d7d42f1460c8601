"""The daemon's edges: the machine's clocks, PostgreSQL, the Bot API over HTTP, signals, systemd, the pages.

`engine.run` hands them to the engine. Everything here is thin; what it does when is decided above.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from piyasad.build import Configuration, Edges, Private, Signals
from piyasad.clock import SystemClock
from piyasad.config import Settings
from piyasad.config.load import read
from piyasad.config.secrets import bot_tokens
from piyasad.config.snapshot import pack, snapshot
from piyasad.gateway.endpoint import HttpProviders
from piyasad.metrics import Metrics
from piyasad.ops.http import HttpServer
from piyasad.ops.notify import Notifier
from piyasad.store.buckets import SharedBuckets
from piyasad.store.embedded import Embedded
from piyasad.store.interface import Store
from piyasad.store.postgres import PostgresStore
from piyasad.telegram.client import Clients

PRIVATE_START_SECONDS = 60.0
"""The private PostgreSQL may take that long to start."""


def read_configuration(path: Path, env: Mapping[str, str], overlay: Mapping[str, Any], salt: str) -> Configuration:
    """The configuration with its tokens. It reads files: not on the loop.

    Raises:
        ConfigError: with every fault found.
    """
    found = read(path, env=env, overlay=overlay)
    settings = found.settings
    tokens = bot_tokens(settings, env)
    seen = snapshot(settings, env, salt=salt, file=str(path.resolve()), overlay=overlay)
    return Configuration(settings, found.warnings, found.problem, tokens, seen, pack(seen))


def system_edges(
    settings: Settings,
    read_again: Callable[[], Configuration],
    env: Mapping[str, str],
    shard: tuple[int, int],
    *,
    exact_listen: bool,
) -> Edges:
    """The edges of a daemon on this machine. `exact_listen`: the pages' address is `--listen`'s and taken as given."""
    clock = SystemClock()

    async def open_store(settings: Settings, metrics: Metrics) -> tuple[Store, Private | None]:
        private, dsn = None, settings.store.postgres
        timeout = settings.daemon.start_timeout_seconds
        if not dsn:
            private = await Embedded.start(settings.store.data_dir, timeout=min(timeout, PRIVATE_START_SECONDS))
            dsn = private.dsn
        query = metrics.store_query
        try:
            store = await PostgresStore.connect(
                dsn,
                clock,
                start_timeout=timeout,
                on_query=lambda name, seconds: query.labels(name).observe(seconds),
            )
        except BaseException:
            if private is not None:
                await private.stop()
            raise
        return store, private

    def open_buckets(address: str) -> SharedBuckets:
        from piyasad.store.redis import RedisBuckets  # only here: the library takes long to load

        return RedisBuckets(address)

    return Edges(
        clock=clock,
        env=env,
        seed=settings.simulation.seed or secrets.randbits(32),
        new_id=lambda: secrets.token_hex(8),
        host=socket.gethostname(),
        pid=os.getpid(),
        read=lambda: asyncio.to_thread(read_again),
        providers=lambda: HttpProviders(clock.wall),
        open_store=open_store,
        open_telegram=lambda settings: Clients(settings.telegram.api_base, pollers=len(settings.bots)),
        open_buckets=open_buckets,
        pages=lambda settings, metrics, daemon: HttpServer(settings, shard, metrics, daemon, env, exact=exact_listen),
        signals=signals,
        notify=Notifier(env),
    )


@contextlib.contextmanager
def signals(daemon: Signals) -> Iterator[None]:
    """SIGTERM and SIGINT stop, SIGHUP reloads, while the context runs; a second stop exits at once."""
    loop = asyncio.get_running_loop()
    told = False

    def stop() -> None:
        nonlocal told
        if told:  # a second signal means now: what was under way is found uncertain at the next start
            os._exit(130)
        told = True
        daemon.stop()

    handlers = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: daemon.ask_reload}
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
