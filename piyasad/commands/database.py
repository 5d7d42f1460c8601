"""Where a daemon's database is, for the commands that look on beside it: they take no lock and start nothing.

A readable configuration helps to find it and is not needed: `--dsn` and `--data-dir` say it, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from piyasad.config.load import ConfigError, Loaded, default_data_dir, read
from piyasad.config.secrets import barred_words
from piyasad.config.snapshot import Snapshot, unpack
from piyasad.model import DaemonRow
from piyasad.store.embedded import running_dsn


class NoDaemon(Exception):
    """There is no running daemon's database to read. The text says how to go on."""


@dataclass(frozen=True, slots=True)
class Place:
    """A database's address and, where the file can be read and names it, the configuration.

    `unreadable` says why there is none although there is a file.
    """

    dsn: str
    loaded: Loaded | None
    unreadable: str = ""


def find(config: Path, data_dir: Path | None, dsn: str | None, env: Mapping[str, str]) -> Place:
    """The database that the options, the file or the usual place lead to.

    Raises:
        ConfigError: the file cannot be used, and nothing else leads to a database.
        NoDaemon: no daemon runs there.
    """
    loaded, unreadable, error = None, "", None
    try:
        loaded = read(config, env, secrets=False)
    except ConfigError as caught:
        error, unreadable = caught, str(caught) if config.exists() else ""
    if dsn:
        return Place(dsn, loaded, unreadable)
    if data_dir is None and loaded is not None and loaded.settings.store.postgres:
        return Place(loaded.settings.store.postgres, loaded)
    usual = loaded.settings.store.data_dir if loaded is not None else default_data_dir(env)
    folder = (data_dir or usual).expanduser().resolve()
    found = running_dsn(folder)
    if found:
        return Place(found, loaded, unreadable)
    if error is not None and data_dir is None:
        raise error
    raise NoDaemon(_nobody(folder))


def _nobody(folder: Path) -> str:
    barred = barred_words(folder / "postgres")
    if barred:
        return f"whether a daemon runs on {folder} cannot be seen: {barred}"
    return (
        f"no daemon runs on {folder}; start one with `piyasad run`, or name its folder with --data-dir, or its database "
        "with --dsn"
    )


def configuration_of(daemon: DaemonRow) -> Snapshot | None:
    """What a daemon says that it runs with; None when it is of a version that does not, or says nothing yet."""
    told = daemon.report.get("configuration")
    try:
        return unpack(told) if isinstance(told, str) else told
    except ValueError:
        return None
