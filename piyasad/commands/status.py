"""What `status`, `bots` and `chats` show, from what the daemons told the store. `cli.py` prints it.

It only reads. What runs is shown, as the daemons say it; where they read the file that is looked at, its own bots and
chats are added. Every time is in one zone, which is named.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from piyasad.clock import DAY
from piyasad.commands.database import NoDaemon, find, name_of
from piyasad.commands.view import View, look
from piyasad.config.snapshot import Item
from piyasad.model import BotRow, DaemonRow, Message
from piyasad.sharding.presence import counted_otherwise, missing
from piyasad.store.interface import Store

LAST_MESSAGES: Final = 10

ENDED_SHOWN: Final = 5
"""So many daemons that have ended are still shown."""

SAID: Final = frozenset({"sent", "uncertain"})
"""The outcomes of turns that ended with a line, or may have."""


def state_of(config: Path, data_dir: Path | None, dsn: str | None) -> dict[str, Any]:
    """Daemons, bots, limits, what became of the turns, last messages. `notes` are for whoever reads, not data.

    Raises:
        ConfigError: the configuration is broken and nothing else leads to a database.
        NoDaemon: no daemon's database can be reached.
    """
    place = find(config, data_dir, dsn, os.environ)

    async def read(store: Store) -> dict[str, Any]:
        return await state(store, await look(store, place.loaded, os.environ))

    return asyncio.run(place.look(read)) | {"notes": _notes(place.unreadable)}


async def state(store: Store, view: View) -> dict[str, Any]:
    """What `status` shows of a view, and what it asks the store besides."""
    since = await store.now() - DAY
    return {
        "zone": view.zone.key,
        "daemons": list(_daemons(view)),
        "missing": _missing(view),
        "bots": bots(view),
        "former": [_account(row) for row in view.former],
        "resting": list(_resting(view)),
        **_gateway(view),
        "counts": dict(await store.counts(since)),
        "silences": _silences(await store.outcomes(since)),
        "messages": [_message(view, message) for message in await store.last(LAST_MESSAGES)],
    }


def bots_of(config: Path, data_dir: Path | None, dsn: str | None) -> tuple[list[dict[str, Any]], list[str]]:
    """Each bot with its chats, hours and state; notes. Without a daemon the configuration's word alone."""
    view, notes = _view(config, data_dir, dsn)
    return bots(view), notes


def chats_of(config: Path, data_dir: Path | None, dsn: str | None) -> tuple[list[dict[str, Any]], list[str]]:
    """Each chat with its bots, its ear and its notice; notes. Without a daemon the configuration's word alone."""
    view, notes = _view(config, data_dir, dsn)
    return chats(view), notes


def _view(config: Path, data_dir: Path | None, dsn: str | None) -> tuple[View, list[str]]:
    place = find(config, data_dir, dsn, os.environ)

    async def read(store: Store) -> View:
        return await look(store, place.loaded, os.environ)

    try:
        return asyncio.run(place.look(read)), _notes(place.unreadable)
    except NoDaemon as error:
        if place.loaded is None:
            raise
        return View.of_file(place.loaded, os.environ), [f"{error} (what follows is the configuration's word alone)"]


def _notes(unreadable: str) -> list[str]:
    return [f"the configuration cannot be used, so that only what runs is shown: {unreadable}"] if unreadable else []


def stretch_words(stretch: float) -> str:
    """The stretch, in words."""
    if stretch <= 1:
        return "The room talks at its own pace: the day's quota lasts."
    return f"The room talks {stretch:.1f} times slower than configured, so that the day's quota lasts until its reset."


# --- daemons
def _daemons(view: View) -> Iterator[dict[str, Any]]:
    held = Counter(row.owner for row in view.rows if row.alive)
    speaking = {(each.shard, each.shards) for each in view.daemons if held[each.id]}
    ended = 0
    for each in view.daemons:
        ended += not each.alive
        if ended > ENDED_SHOWN and not each.alive:
            continue
        yield {
            "shard": f"{each.shard}/{each.shards}",
            "host": each.host,
            "pid": each.pid,
            "alive": each.alive,
            "role": _role(each, held[each.id], speaking),
            "bots": held[each.id],
            "beat": view.time(each.beat),
            "drain": each.drain,
        }


def _role(daemon: DaemonRow, held: int, speaking: set[tuple[int, int]]) -> str:
    if not daemon.alive:
        return "ended"
    if held:
        return "active"
    return "standby" if (daemon.shard, daemon.shards) in speaking else "without bots"


def _missing(view: View) -> list[str]:
    """Shards that nobody runs, and daemons that count them otherwise, in words."""
    living = [each for each in view.daemons if each.alive]
    if not living:
        return []
    (shards, _), *_ = Counter(each.shards for each in living).most_common()
    away = [f"{shard}/{shards}" for shard in missing(living, shards)]
    words = [f"missing: {', '.join(away)}; start piyasad run --shard {away[0]}, its bots are silent"] if away else []
    others = counted_otherwise(living, shards)
    if others:
        words.append(f"counted otherwise: {', '.join(others)}; all must be started with the same count")
    return words


# --- bots and chats
def _account(row: BotRow) -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "username": f"@{row.username}"}


def bots(view: View) -> list[dict[str, Any]]:
    """The configured bots, and those that a living daemon holds."""
    owners = {each.id: name_of(each) for each in view.daemons}
    found = []
    for name, item in view.bots.items():
        row = view.row(name)
        state, reason = _condition(view, name, item, row)
        found.append(
            {
                "id": row.id if row is not None else _account_of(item),
                "name": name,
                "username": f"@{item['shown'].get('username', '')}",
                "chats": ", ".join(map(str, item["shown"].get("chats", ()))),
                "active_hours": ", ".join(item["shown"].get("active_hours", ())) or "always",
                "state": state,
                "owner": owners.get(row.owner or "", "") if row is not None and row.alive else "",
                "reason": reason,
            }
        )
    return found + [
        _account(row)
        | {"chats": "", "active_hours": "", "state": row.state, "owner": owners.get(row.owner or "", "")}
        | {"reason": "held, but in no configuration that is known here"}
        for row in view.strangers
    ]


def _account_of(item: Item) -> int | None:
    return (item["secrets"]["account"] or None) if item["secrets"] is not None else None


def _condition(view: View, name: str, item: Item, row: BotRow | None) -> tuple[str, str]:
    """State and reason of a bot: what the configuration rules out, what the daemons say, what the store knows."""
    missing = item["secrets"]["missing"] if item["secrets"] is not None else ""
    if not item["enabled"]:
        return "disabled", "enabled = false"
    if name in view.fresh:
        return "new", "not loaded yet: piyasad reload"
    if missing and (view.told or row is None):  # a daemon may see secrets that this command does not
        return "parked", missing
    if row is not None and row.state not in {"active", "", "free"}:
        return row.state, row.state_reason
    if name in view.silent:
        return "silent", view.silent[name]
    if row is None or not row.alive:
        return "free", "no daemon holds it" if view.daemons else ""
    return row.state or "active", "no longer in the file: piyasad reload" if name in view.gone else row.state_reason


def _resting(view: View) -> Iterator[dict[str, Any]]:
    """Where a bot may not write for a while, as the daemons say it."""
    for each in view.reports("resting"):
        name = next((row.name for row in view.rows if row.id == each.get("bot")), "")
        yield {
            "bot": name,
            "id": each.get("bot"),
            "chat": each.get("chat"),
            "until": view.time(each.get("until")),
            "reason": each.get("reason", ""),
        }


def chats(view: View) -> list[dict[str, Any]]:
    """The configured chats."""
    return [_chat(view, int(chat_id), item) for chat_id, item in view.chats.items()]


def _chat(view: View, chat_id: int, item: Item) -> dict[str, Any]:
    row = next((row for row in view.chat_rows if row.id == chat_id), None)
    ear = next((bot for bot in view.rows if row is not None and bot.id == row.ear), None)
    notice = "" if row is None or row.notice_at is None else view.time(row.notice_at)
    return {
        "id": chat_id,
        "title": item["shown"].get("title", ""),
        "enabled": "yes" if item["enabled"] else "no",
        "bots": ", ".join(name for name, bot in view.bots.items() if chat_id in bot["shown"].get("chats", ())),
        "ear": f"{ear.name} ({ear.id})" if ear is not None else "",
        "notice_at": notice,
        "notice": ("never" if not notice else "posted" if row and row.notice_message_id else "not known to be posted"),
    }


# --- limits, turns, messages
def _gateway(view: View) -> dict[str, Any]:
    told = [(name_of(each), each.report.get("gateway")) for each in view.daemons if each.alive]
    reports = [(name, report) for name, report in reversed(told) if isinstance(report, dict)]
    return {
        "limits": [_limit(view, name, row) for name, report in reports for row in report.get("limits", ())],
        "forecast": next((report.get("forecast", []) for _, report in reports), []),
        "stretch": max((report["stretch"] for _, report in reports if "stretch" in report), default=None),
    }


def _limit(view: View, name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A limit as it is shown: its source is the file, the preset, or the provider's word with the time of day."""
    source = row.get("source", "")
    if row.get("at"):
        source += f", {view.time(row['at'])}"
    shown = {key: row.get(key, "") for key in ("provider", "model", "state", "name", "limit", "left")}
    return {"shard": name.partition(" ")[0], **shown, "source": source}


def _silences(outcomes: Sequence[tuple[int, str, str, int]]) -> list[dict[str, Any]]:
    """The turns that ended without a line, by what was meant and why not, the most frequent first."""
    found: Counter[tuple[str, str]] = Counter()
    for _, intent, outcome, number in outcomes:
        if outcome not in SAID:
            found[intent, outcome] += number
    ordered = sorted(found.items(), key=lambda each: (-each[1], each[0]))
    return [{"intent": intent, "reason": reason, "turns": number} for (intent, reason), number in ordered]


def _message(view: View, message: Message) -> dict[str, Any]:
    item = view.chats.get(str(message.chat_id))
    return {
        "at": view.time(message.at),
        "chat": message.chat_id,
        "title": item["shown"].get("title", "") if item is not None else "",
        "author": message.author,
        "text": message.text,
    }
