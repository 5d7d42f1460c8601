"""Connections to PostgreSQL: the first one, which is waited for, and the writer's own. Used by `postgres.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import asyncpg
import structlog

from piyasad.clock import Clock
from piyasad.store.failure import KNOWN, is_down, show_dsn, tell
from piyasad.store.interface import StoreError

log = structlog.stdlib.get_logger(__name__)

SESSION: Mapping[str, str] = {"application_name": "piyasad", "timezone": "UTC"}
"""What every connection of ours sets."""

LEAVE_SECONDS = 2.0
"""A server that does not take leave of a connection within that time is left without a word."""

SAY_SECONDS = 5.0
"""While the database is waited for, the log says so that often."""


async def wait_for(dsn: str, clock: Clock, start_timeout: float) -> asyncpg.Connection:
    """The first connection, waiting for a server that is not up yet and saying so every five seconds."""
    started = clock.mono()
    said = -SAY_SECONDS
    while True:
        waited = clock.mono() - started
        try:
            return await asyncpg.connect(
                dsn,
                timeout=min(10.0, max(1.0, start_timeout - waited)),
                command_timeout=60,
                server_settings=dict(SESSION),
            )
        except (*KNOWN, ValueError) as error:
            if not is_down(error):
                raise StoreError(f"the database at {show_dsn(dsn)} refused: {tell(error)}") from None
            waited = clock.mono() - started
            if waited >= start_timeout:
                raise StoreError(f"no database at {show_dsn(dsn)} after {start_timeout:.0f} s: {tell(error)}") from None
            if waited - said >= SAY_SECONDS:
                said = waited
                log.warning("store.waiting", database=show_dsn(dsn), error=tell(error), seconds=round(waited))
        await asyncio.sleep(min(0.5, max(0.05, start_timeout - waited)))


async def for_writing(dsn: str) -> asyncpg.Connection:
    """The writer's connection: commits reach the disk, plans are made once."""
    # One generic plan: planning every group anew over all partitions would cost more than writing it.
    settings = {**SESSION, "plan_cache_mode": "force_generic_plan"}
    connection = await asyncpg.connect(dsn, timeout=5, command_timeout=30, server_settings=settings)
    await connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )
    return connection


async def hang_up(connection: asyncpg.Connection) -> None:
    """Close politely, or at once when the server does not answer."""
    try:
        await connection.close(timeout=LEAVE_SECONDS)
    except KNOWN:
        connection.terminate()
