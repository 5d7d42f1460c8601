"""Brings a database's schema to this version: numbered files, each in a transaction, recorded with its checksum.

Called once by `PostgresStore.connect`; `reading` only checks. It never edits what was applied: a changed file or a
schema newer than the code is an error, said in words the operator can act on.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import asyncpg
import structlog

from piyasad.store.interface import StoreError

log = structlog.stdlib.get_logger(__name__)

_LOCK = 0x7069796173616401  # "piyasad" and 1: nobody else's advisory lock
_NAME = re.compile(r"(\d{4})_(\w+)\.sql")

_TABLE = """
CREATE TABLE schema_migration (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class SchemaError(StoreError):
    """The database's schema is not one that this version can work with."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """sha256 of the file, hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def load() -> list[Migration]:
    """The files shipped with this version, by number."""
    files = resources.files("piyasad.store").joinpath("migrations").iterdir()
    found = [
        Migration(int(match[1]), match[2], file.read_text(encoding="utf-8"))
        for file in files
        if (match := _NAME.fullmatch(file.name))
    ]
    return sorted(found, key=lambda migration: migration.version)


def pending(migrations: Sequence[Migration], applied: dict[int, str]) -> list[Migration]:
    """What is still to apply, given the applied versions with their checksums.

    Raises:
        SchemaError: an applied file was changed since, or the database is ahead of the code.
    """
    known = {migration.version: migration for migration in migrations}
    newest = max(known, default=0)
    for version, checksum in sorted(applied.items()):
        if version > newest:
            raise SchemaError(
                f"the database's schema is version {max(applied)}, this piyasad knows up to {newest}: "
                "it was used by a newer piyasad; install that version or restore a backup"
            )
        if version not in known or known[version].checksum != checksum:
            raise SchemaError(
                f"migration {version:04} was changed after it was applied to this database; "
                "restore the file as it was released"
            )
    return [migration for migration in migrations if migration.version not in applied]


async def _has_tables(connection: asyncpg.Connection) -> bool:
    # wherever the search path finds them: it may begin with a schema that is not ours
    return bool(await connection.fetchval("SELECT to_regclass('schema_migration') IS NOT NULL"))


async def check(connection: asyncpg.Connection) -> None:
    """See that the schema is just this version's, without changing it.

    Raises:
        SchemaError: no tables of ours, an older schema, or one of `pending`'s reasons.
    """
    if not await _has_tables(connection):
        raise SchemaError("the database has no tables of piyasad yet; start the daemon once")
    rows = await connection.fetch("SELECT version, checksum FROM schema_migration")
    if missing := pending(load(), {row["version"]: row["checksum"] for row in rows}):
        raise SchemaError(
            f"the database's schema is older than this piyasad (version {missing[0].version - 1}, "
            f"it needs {missing[-1].version}): start the new daemon once"
        )


async def migrate(connection: asyncpg.Connection, migrations: Sequence[Migration] | None = None) -> int:
    """Apply what is missing and return the schema's version. Daemons that start together wait for each other.

    Raises:
        SchemaError: see `pending`, and for a database whose encoding is not UTF-8.
    """
    encoding = await connection.fetchval("SHOW server_encoding")
    if encoding != "UTF8":
        raise SchemaError(f"the database's encoding is {encoding}; create it with ENCODING 'UTF8'")
    files = load() if migrations is None else list(migrations)
    await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
    try:
        if not await _has_tables(connection):
            await connection.execute(_TABLE)
        rows = await connection.fetch("SELECT version, checksum FROM schema_migration")
        for migration in pending(files, {row["version"]: row["checksum"] for row in rows}):
            async with connection.transaction():
                await connection.execute(migration.sql)
                await connection.execute(
                    "INSERT INTO schema_migration (version, name, checksum) VALUES ($1, $2, $3)",
                    migration.version,
                    migration.name,
                    migration.checksum,
                )
            log.info("store.migrated", version=migration.version, name=migration.name)
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)
    return max((migration.version for migration in files), default=0)
