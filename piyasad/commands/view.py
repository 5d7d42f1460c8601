"""One look at the store and at what is configured, the daemons' word before the file's: what `status` shows."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from piyasad.commands.database import configuration_of
from piyasad.config.load import Loaded
from piyasad.config.snapshot import Item, Snapshot, snapshot
from piyasad.model import BotRow, ChatRow, DaemonRow
from piyasad.store.interface import Store


@dataclass(frozen=True)
class View:
    """What there is. `bots` and `chats` are what is configured.

    Attributes:
        told: a daemon said what it runs with; else it is the file's word.
        fresh: bots of the file that the daemons do not run with yet.
        gone: bots of the daemons that the file has no longer.
    """

    zone: ZoneInfo
    bots: Mapping[str, Item]
    chats: Mapping[str, Item]
    daemons: Sequence[DaemonRow] = ()
    rows: Sequence[BotRow] = ()
    chat_rows: Sequence[ChatRow] = ()
    told: bool = False
    fresh: frozenset[str] = field(default_factory=frozenset)
    gone: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of_file(cls, loaded: Loaded, env: Mapping[str, str]) -> View:
        """What the file says, for who has no daemon to ask."""
        own = snapshot(loaded.settings, env, salt="")
        return cls(_zone(own), own["bots"], own["chats"])

    def time(self, at: float | None) -> str | None:
        """A time as it is shown, in `zone`."""
        return None if at is None else f"{datetime.fromtimestamp(at, self.zone):%Y-%m-%d %H:%M:%S}"

    def row(self, name: str) -> BotRow | None:
        """What the store knows of a configured bot."""
        return self._matched.get(name)

    @property
    def strangers(self) -> list[BotRow]:
        """Bots that a living daemon holds and nobody configured."""
        return [row for row in self._others if row.alive]

    @property
    def former(self) -> list[BotRow]:
        """Bots that the store remembers and that are no longer configured."""
        return [row for row in self._others if not row.alive]

    @cached_property
    def silent(self) -> dict[str, str]:
        """Why a bot may not speak, as its daemon says it, by name."""
        reports = (each.report.get("silent") for each in self.daemons if each.alive)
        return {name: str(why) for report in reports if isinstance(report, dict) for name, why in report.items()}

    def reports(self, key: str) -> Iterator[dict[str, Any]]:
        """The rows that the living daemons report under a key."""
        for each in self.daemons:
            told = each.report.get(key) if each.alive else None
            yield from (row for row in told or () if isinstance(row, dict))

    @cached_property
    def _matched(self) -> dict[str, BotRow]:
        """Rows by the configured bot: told apart by account, else by username, else by name."""
        by_id = {row.id: row for row in self.rows}
        by_username = {row.username.lower(): row for row in self.rows}
        by_name = {row.name: row for row in self.rows}
        found = {}
        for name, item in self.bots.items():
            account = item["secrets"]["account"] if item["secrets"] is not None else 0
            username = str(item["shown"].get("username", "")).lower()
            row = by_id.get(account) if account else by_username.get(username) or by_name.get(name)
            if row is not None:
                found[name] = row
        return found

    @property
    def _others(self) -> list[BotRow]:
        known = {row.id for row in self._matched.values()}
        return [row for row in self.rows if row.id not in known]


async def look(store: Store, loaded: Loaded | None, env: Mapping[str, str]) -> View:
    """Ask the store for everything. `loaded`: the configuration, where it can be read."""
    daemons = await store.daemons()
    rows, chat_rows = await store.bots(), await store.chats()
    own = snapshot(loaded.settings, env, salt="") if loaded is not None else None
    told = _told(each for each in daemons if each.alive)
    configured = told or own or _told(daemons)
    bots: Mapping[str, Item] = configured["bots"] if configured is not None else {}
    chats: Mapping[str, Item] = configured["chats"] if configured is not None else {}
    fresh: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    if told is not None and own is not None and loaded is not None and told["file"] == os.path.realpath(loaded.file):
        fresh, gone = frozenset(own["bots"].keys() - bots.keys()), frozenset(bots.keys() - own["bots"].keys())
        bots = {name: bots.get(name, item) for name, item in own["bots"].items()} | dict(bots)  # in the file's order
        chats = {key: chats.get(key, item) for key, item in own["chats"].items()} | dict(chats)
    return View(
        zone=_zone(configured),
        bots=bots,
        chats=chats,
        daemons=daemons,
        rows=rows,
        chat_rows=chat_rows,
        told=told is not None,
        fresh=fresh,
        gone=gone,
    )


def _told(daemons: Iterable[DaemonRow]) -> Snapshot | None:
    """What the newest of these daemons that says so runs with."""
    return next((found for each in daemons if (found := configuration_of(each)) is not None), None)


def _zone(configured: Snapshot | None) -> ZoneInfo:
    return ZoneInfo(str(configured["settings"].get("simulation.timezone", "UTC")) if configured is not None else "UTC")
