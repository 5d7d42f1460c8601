"""What a database's failure means (down, or a row's own fault) and how it is told: never with data or a password.

Used by the store and its writer, so that both say the same of the same failure.
"""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import asyncpg

from piyasad.store.interface import StoreError

KNOWN = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""Everything that talking to a database may raise; TimeoutError and every ConnectionError are OSErrors."""

RETRY = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
"""Rolled back by the database for reasons of order: doing it again is right."""

_DOWN = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
_BAD_DSN = (asyncpg.exceptions.ClientConfigurationError, ValueError)


def is_row_fault(error: BaseException) -> bool:
    """Whether the row itself was refused, by a constraint or because it cannot be stored: trying again is useless.

    Everything else (a cut connection, a full disk, a read-only standby) is the database's state and may pass.
    """
    return isinstance(error, asyncpg.DataError | asyncpg.IntegrityConstraintViolationError)


def is_down(error: BaseException) -> bool:
    """Whether the server is not there, or not there yet, so that waiting may help."""
    if isinstance(error, _BAD_DSN):
        return False
    return isinstance(error, _DOWN)


def tell(error: BaseException) -> str:
    """One line for the operator. Only the server's primary message: DETAIL quotes rows, that is people's words."""
    if isinstance(error, TimeoutError):
        return "the database did not answer in time"
    if isinstance(error, _BAD_DSN):
        return "the database address cannot be read (expected postgresql://user:password@host:port/name)"
    if isinstance(error, asyncpg.DataError):  # its text quotes the value
        return f"a value that the database cannot hold ({type(error).__name__})"
    if isinstance(error, asyncpg.PostgresError):
        return f"{type(error).__name__}: {error.args[0] if error.args else ''}"
    if isinstance(error, OSError):
        return f"no connection to the database: {error.strerror or type(error).__name__}"
    return f"{type(error).__name__} of the database connection"


def as_store_error(error: BaseException) -> StoreError:
    """The same failure as the upper floors know it."""
    return StoreError(tell(error))


def show_dsn(dsn: str) -> str:
    """Where a DSN points, without user, password or options."""
    try:
        parts = urlsplit(dsn)
        host = parts.hostname or parse_qs(parts.query).get("host", ["the default socket"])[0]
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "the configured address"
    return f"{host}{port}{parts.path}"
