"""Where a daemon's database is, for the commands that look on beside it: they take no lock and start nothing.

A readable configuration helps to find it and is not needed: `--dsn` and `--data-dir` say it, too.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from piyasad.clock import SystemClock
from piyasad.config.load import ConfigError, Loaded, default_data_dir, read
from piyasad.config.secrets import barred_words, is_barred
from piyasad.config.snapshot import Snapshot, unpack
from piyasad.model import DaemonRow
from piyasad.store.embedded import running_dsn
from piyasad.store.interface import Store, StoreError
from piyasad.store.postgres import PostgresStore

T = TypeVar("T")


class NoDaemon(Exception):
    """There is no running daemon's database to read. The text says how to go on."""


@dataclass(frozen=True, slots=True)
class Place:
    """A database's address, and the configuration where the file can be read. One of the two may be missing.

    `absent` says why there is no address, `unreadable` why there is no configuration although there is a file.
    """

    dsn: str
    loaded: Loaded | None
    absent: str = ""
    unreadable: str = ""

    async def look(self, work: Callable[[Store], Awaitable[T]]) -> T:
        """Do something with the store, which only reads.

        Raises:
            NoDaemon: it cannot be asked.
        """
        return await self._with_store(work, changes=False)

    async def change(self, work: Callable[[Store], Awaitable[T]]) -> T:
        """Do something with the store that changes what stands in it, beside the daemons that run.

        Raises:
            NoDaemon: it cannot be asked.
        """
        return await self._with_store(work, changes=True)

    async def _with_store(self, work: Callable[[Store], Awaitable[T]], *, changes: bool) -> T:
        if not self.dsn:
            raise NoDaemon(self.absent)
        try:
            store = await PostgresStore.reading(self.dsn, SystemClock(), changes=changes)
            try:
                return await work(store)
            finally:
                await store.close()
        except StoreError as error:
            raise NoDaemon(f"{error}; is the daemon running?") from error


def find(config: Path, data_dir: Path | None, dsn: str | None, env: Mapping[str, str]) -> Place:
    """The database that the options, the file or the usual place lead to.

    Raises:
        ConfigError: the file cannot be used, and nothing else leads to a database.
    """
    loaded, error = None, None
    try:
        loaded = read(config, env, secrets=False)
    except ConfigError as caught:
        error = caught
    unreadable = str(error) if error is not None and os.path.lexists(config) else ""
    if dsn:
        return Place(dsn, loaded, unreadable=unreadable)
    if data_dir is None and loaded is not None and loaded.settings.store.postgres:
        return Place(loaded.settings.store.postgres, loaded)
    usual = loaded.settings.store.data_dir if loaded is not None else default_data_dir(env)
    folder = Path(os.path.abspath((data_dir or usual).expanduser()))
    found = running_dsn(folder)
    if error is not None and data_dir is None and not found:
        raise error
    return Place(found or "", loaded, absent="" if found else _nobody(folder), unreadable=unreadable)


def _nobody(folder: Path) -> str:
    inside = folder / "postgres" / "postmaster.pid"
    if is_barred(inside):
        return (
            f"whether a daemon runs on {folder} cannot be seen: {barred_words(inside)}; or name its database by --dsn"
        )
    return f"no daemon runs on {folder}; start one with `piyasad run`, or name its --data-dir, or its database by --dsn"


def configuration_of(daemon: DaemonRow) -> Snapshot | None:
    """What a daemon says that it runs with; None when it is of a version that does not, or says nothing yet."""
    try:
        return unpack(str(daemon.report.get("configuration", "")))
    except ValueError:
        return None


def name_of(daemon: DaemonRow) -> str:
    """A daemon as an operator finds it: shard, host, process."""
    return f"{daemon.shard}/{daemon.shards} {daemon.host} {daemon.pid}"
