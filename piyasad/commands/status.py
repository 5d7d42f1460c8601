"""What `status`, `bots` and `chats` show: read from the configuration and the running daemon's database.

It only reads, takes no lock of the daemon's, and never starts a database.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import asyncpg

from piyasad.config import BotSettings, Settings
from piyasad.config.load import load
from piyasad.config.secrets import Missing, bot_token
from piyasad.config.section import format_range
from piyasad.store.embedded import running_dsn

T = TypeVar("T")
_LAST_MESSAGES = 10
_CONNECT_SECONDS = 10.0


class NoDaemon(Exception):
    """There is no running daemon's database to read. The text says how to go on."""


def state_of(config: Path, data_dir: Path | None) -> dict[str, Any]:
    """Daemons, bots, counts by state, last messages.

    Raises:
        ConfigError: the configuration is broken.
        NoDaemon: no daemon's database can be reached.
    """
    settings = load(config)

    async def read(connection: asyncpg.Connection) -> dict[str, Any]:
        daemons = await connection.fetch(
            "SELECT shard || '/' || shards AS shard, host, pid, expiry > clock_timestamp() AS alive, beat, drain, "
            "report #>> '{gateway}' AS gateway FROM daemon ORDER BY beat DESC LIMIT 20"
        )
        gateway = [
            (row["shard"], json.loads(row["gateway"])) for row in reversed(daemons) if row["alive"] and row["gateway"]
        ]
        bots = await connection.fetch("SELECT name, username, state, owner, state_reason FROM bot ORDER BY name")
        counts = await connection.fetch(
            "SELECT state, count(*) AS number FROM message WHERE created_at > now() - interval '1 day' GROUP BY state"
        )
        zone = settings.zone
        last = await connection.fetch(
            "SELECT coalesce(sent_at, created_at) AS at, chat_id, author, text FROM message "
            "WHERE state IN ('sent', 'received') ORDER BY created_at DESC LIMIT $1",
            _LAST_MESSAGES,
        )
        return {
            "daemons": [{key: value for key, value in _plain(row).items() if key != "gateway"} for row in daemons],
            "limits": [_limit(shard, row, zone) for shard, report in gateway for row in report["limits"]],
            "forecast": next((report.get("forecast", []) for _, report in gateway), []),
            "stretch": max((report["stretch"] for _, report in gateway), default=None),
            "bots": [_plain(row) for row in bots],
            "counts": {row["state"]: row["number"] for row in counts},
            "messages": [_plain(row) | {"at": f"{row['at'].astimezone(zone):%d.%m. %H:%M:%S}"} for row in last],
        }

    return asyncio.run(_with(settings, config, data_dir, read))


def stretch_words(stretch: float) -> str:
    """The stretch, in words."""
    if stretch <= 1:
        return "The room talks at its own pace: the day's quota lasts."
    return f"The room talks {stretch:.1f} times slower than configured, so that the day's quota lasts until its reset."


def _limit(shard: str, row: Mapping[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    """A limit as it is shown: its source is the file, the preset, or the provider's word with the time of day."""
    source = row.get("source", "")
    if row.get("at"):
        source += f", {datetime.fromtimestamp(row['at'], zone):%d.%m. %H:%M}"
    shown = {key: row.get(key, "") for key in ("provider", "model", "state", "name", "limit", "left")}
    return {"shard": shard, **shown, "source": source}


def bots_of(config: Path, data_dir: Path | None) -> list[dict[str, Any]]:
    """Each configured bot, with its state where a daemon's database can be reached."""
    settings = load(config)
    known = _table_of(settings, config, data_dir, "SELECT name, state, state_reason FROM bot", "name")
    return [
        {
            "name": bot.name,
            "username": f"@{bot.username}",
            "chats": ", ".join(map(str, bot.chats)),
            "active_hours": ", ".join(map(format_range, bot.active_hours)) or "always",
            **_condition(settings, bot, known.get(bot.name, {})),
        }
        for bot in settings.bots
    ]


def _condition(settings: Settings, bot: BotSettings, row: Mapping[str, Any]) -> dict[str, Any]:
    """State and reason of a bot: what the configuration rules out, else what the database says."""
    if not bot.enabled:
        return {"state": "disabled", "reason": "enabled = false"}
    if row:  # the daemon may see secrets that this command does not
        return {"state": row["state"], "reason": row["state_reason"]}
    token = bot_token(settings, bot, os.environ)
    return (
        {"state": "parked", "reason": token.reason}
        if isinstance(token, Missing)
        else {"state": "unknown", "reason": ""}
    )


def chats_of(config: Path, data_dir: Path | None) -> list[dict[str, Any]]:
    """Each configured chat, with its ear and notice where a daemon's database can be reached."""
    settings = load(config)
    sql = "SELECT c.id, b.name AS ear, c.notice_at FROM chat c LEFT JOIN bot b ON b.id = c.ear"
    known = _table_of(settings, config, data_dir, sql, "id")
    return [
        {
            "id": chat.id,
            "title": chat.title,
            "enabled": "yes" if chat.enabled else "no",
            "bots": ", ".join(bot.name for bot in settings.bots if chat.id in bot.chats),
            "ear": known.get(chat.id, {}).get("ear"),
            "notice_at": known.get(chat.id, {}).get("notice_at"),
        }
        for chat in settings.chats
    ]


def _table_of(settings: Settings, config: Path, data_dir: Path | None, sql: str, key: str) -> dict[Any, dict[str, Any]]:
    async def read(connection: asyncpg.Connection) -> dict[Any, dict[str, Any]]:
        return {row[key]: _plain(row) for row in await connection.fetch(sql)}

    try:
        return asyncio.run(_with(settings, config, data_dir, read))
    except NoDaemon:  # the configuration alone is shown
        return {}


async def _with(
    settings: Settings, config: Path, data_dir: Path | None, work: Callable[[asyncpg.Connection], Awaitable[T]]
) -> T:
    folder = data_dir or Path(settings.store.data_dir or ".")
    dsn = settings.store.postgres or running_dsn(folder.expanduser().resolve())
    if not dsn:
        raise NoDaemon(f"no daemon runs on {folder}; start one with `piyasad run`, or name its folder with --data-dir")
    try:
        connection = await asyncpg.connect(dsn, timeout=_CONNECT_SECONDS, command_timeout=_CONNECT_SECONDS)
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        raise NoDaemon(f"the database cannot be reached ({type(error).__name__}); is the daemon running?") from error
    try:
        return await work(connection)
    except asyncpg.UndefinedTableError as error:
        raise NoDaemon("the database has no tables of piyasad yet; start the daemon once") from error
    finally:
        await connection.close(timeout=5)


def _plain(row: asyncpg.Record) -> dict[str, Any]:
    return {
        key: value.isoformat(timespec="seconds") if isinstance(value, datetime) else value for key, value in row.items()
    }
