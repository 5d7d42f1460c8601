"""The walk over one table that `forget` makes: every text and every JSON in it is read, and rewritten where it must be.

`postgres_people.py` walks over all tables with it. Rows are streamed and judged in Python, some at a time;
what changes is written where the row still reads as it was read, else the table is walked over again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import asyncpg

from piyasad.privacy.erase import Eraser
from piyasad.store.calls import Connection, transaction
from piyasad.store.plain_text import clean_json

PREFETCH = 50
"""Rows judged in one go: a millisecond or two of the loop's time."""

TRIES = 5
"""So often a table is walked over whose rows changed meanwhile."""

NOT_THEIRS = frozenset({"schema_migration", "member_salt", "usage"})
"""Tables that hold nothing of a member's."""

OURS: Mapping[str, frozenset[str]] = {
    "bot": frozenset({"name", "username", "state", "owner"}),
    "message": frozenset({"author", "handle", "kind", "state", "turn_id"}),
    "stimulus": frozenset({"state", "granted"}),
}
"""Columns that hold a bot's name, another member's, or a word of the program's."""


_Change = tuple[str, list[str | None], list[str | None]]  # the row's place, its texts as they are and are to be


@dataclass(frozen=True, slots=True)
class Part:
    """A table, or one day of it: its name as SQL writes it, and its columns. `texts`: those to read, with types."""

    table: str
    name: str
    texts: tuple[tuple[str, str], ...]
    all: frozenset[str]

    @classmethod
    def of(cls, row: asyncpg.Record) -> Part:
        """A row of the catalog (`sql_people.PARTS`)."""
        ours = OURS.get(row["table"], frozenset())
        columns = zip(row["columns"], row["types"], strict=True)
        texts = () if row["table"] in NOT_THEIRS else tuple(each for each in columns if each[0] not in ours)
        return cls(row["table"], row["part"], texts, frozenset(row["all"]))


@dataclass(frozen=True, slots=True)
class Sweep:
    """What to look for and where.

    Attributes:
        chats: where the member wrote.
        places: (chat, Telegram's id) of their lines.
        since: their first line; nobody quoted them before.
        later: only rows of the growing tables that are of then or later; 0: all.
    """

    eraser: Eraser
    user_id: int | None
    chats: frozenset[int]
    places: frozenset[tuple[int, int]]
    since: float
    later: float = 0.0

    def after(self, at: float) -> Sweep:
        """The same for what was written since then."""
        return replace(self, later=at)

    async def walk(self, connection: Connection, part: Part) -> int:
        """Rewrite what must be in one part; how many rows that were."""
        rows = 0
        for _ in range(TRIES if part.texts else 0):
            changes = await self._read(connection, part)
            written = await _write(connection, part, changes) if changes else 0
            rows += written
            if written == len(changes):
                break
        return rows

    async def _read(self, connection: Connection, part: Part) -> list[_Change]:
        """The rows that must be rewritten."""
        changes = []
        statement, args = self._statement(part)
        async with transaction(connection):
            async for row in connection.cursor(statement, *args, prefetch=PREFETCH):
                olds = [row[f"text{at}"] for at in range(len(part.texts))]
                news = [
                    None if old is None else self._judge(part, row, column, type_, old)
                    for (column, type_), old in zip(part.texts, olds, strict=True)
                ]
                if news != olds:
                    changes.append((row["ctid"], olds, news))
        return changes

    def _statement(self, part: Part) -> tuple[str, tuple[Any, ...]]:
        texts = ", ".join(f"{column}::text AS text{at}" for at, (column, _) in enumerate(part.texts))
        chats, pattern = list(self.chats), self.eraser.pattern
        if part.table == "message":
            return (
                f"""SELECT ctid::text, bot_id, user_id, chat_id, reply_to, {texts} FROM ONLY {part.name}
                WHERE created_at >= to_timestamp($4) AND (user_id IS NULL OR user_id IS DISTINCT FROM $5)
                    AND (bot_id IS NOT NULL AND chat_id = ANY ($1::bigint[]) AND created_at >= to_timestamp($3)
                        OR concat_ws(' ', {", ".join(column for column, _ in part.texts)}) ~ $2)""",  # noqa: S608
                (chats, pattern, self.since, self.later, self.user_id),
            )
        if part.table == "turn":
            return (
                f"""SELECT ctid::text, chat_id, {texts} FROM ONLY {part.name}
                WHERE created_at >= to_timestamp($3) AND (chat_id = ANY ($1::bigint[]) OR detail::text ~ $2)""",  # noqa: S608
                (chats, pattern, self.later),
            )
        return f"SELECT ctid::text, {texts} FROM ONLY {part.name}", ()  # noqa: S608

    def _judge(self, part: Part, row: asyncpg.Record, column: str, type_: str, old: str) -> str:
        """The text as it is to be."""
        if type_ in {"json", "jsonb"}:
            told = json.loads(old)
            left = self.eraser.value(told, prompts=part.table == "turn" and row["chat_id"] in self.chats)
            return old if left == told else clean_json(left)
        if part.table == "message" and column == "text":
            if row["bot_id"] is None:
                return self.eraser.theirs(old)
            return self.eraser.ours(old, to_them=(row["chat_id"], row["reply_to"]) in self.places)
        return self.eraser.ours(old)


async def _write(connection: Connection, part: Part, changes: list[_Change]) -> int:
    """Put the new texts in place of the old ones, where the rows still stand and read so; how many did."""
    numbered = list(enumerate(part.texts))
    arrays = ", ".join(f"${2 + at}::text[]" for at in range(2 * len(numbered)))
    olds, news = ", ".join(f"old{at}" for at, _ in numbered), ", ".join(f"new{at}" for at, _ in numbered)
    puts = ", ".join(f"{column} = n.new{at}::{type_}" for at, (column, type_) in numbered)
    same = " AND ".join(f"t.{column}::text IS NOT DISTINCT FROM n.old{at}" for at, (column, _) in numbered)
    done = await connection.execute(
        f"""UPDATE ONLY {part.name} AS t SET {puts}
        FROM unnest($1::text[], {arrays}) AS n(place, {olds}, {news})
        WHERE t.ctid = n.place::tid AND {same}""",  # noqa: S608
        [place for place, _, _ in changes],
        *([change[1][at] for change in changes] for at, _ in numbered),
        *([change[2][at] for change in changes] for at, _ in numbered),
    )
    return int(done.rpartition(" ")[2])
