"""The tables of the store in memory: rows with the indexes that keep every call cheap. `in_memory.py` holds the rules.

A row is found by its key, in its room, among its bot's or by its member; nothing here scans a whole table but the
retention.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from piyasad.clock import DAY
from piyasad.model import ANYBODY, Grant, Kind, Message, State, StimulusKey

_Index = list[tuple[float, int]]  # (time, row id), sorted


@dataclass(slots=True)
class Daemon:
    """A row of `daemon`."""

    id: str
    shard: int
    shards: int
    host: str
    pid: int
    config_hash: str
    beat: float
    expiry: float
    drain: str = ""
    report: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Bot:
    """A row of `bot`."""

    id: int
    name: str
    username: str
    owner: str | None = None
    fence: int = 0
    update_offset: int = 0
    state: str = "active"
    state_reason: str = ""
    disclosed_at: float | None = None


@dataclass(slots=True)
class Chat:
    """A row of `chat`. `notice_older`: what the newest claim of its notice called too old."""

    id: int
    ear: int | None = None
    notice_at: float | None = None
    notice_older: float | None = None
    notice_message_id: int | None = None


@dataclass(slots=True)
class Row:
    """A row of `message`."""

    id: int
    chat_id: int
    bot_id: int | None
    author: str
    kind: Kind
    text: str
    state: State
    created_at: float
    user_id: int | None = None
    telegram_id: int | None = None
    reply_to: int | None = None
    thread_id: int | None = None
    fence: int | None = None
    turn_id: str | None = None
    reason: str = ""
    sent_at: float | None = None
    seen_at: float = 0.0
    stimulus: StimulusKey | None = None
    restated: bool = False
    said_hash: bytes = b""
    handle: str = ""

    @property
    def said_at(self) -> float:
        """When the line counts as said: claimed, or sent later than that."""
        return max(self.created_at, self.sent_at or 0.0)

    def message(self) -> Message:
        """The row as the upper floors know it."""
        return Message(
            self.id,
            self.chat_id,
            self.bot_id,
            self.author,
            self.kind,
            self.text,
            self.created_at if self.sent_at is None else self.sent_at,
            self.telegram_id,
            self.user_id,
            self.reply_to,
            self.thread_id,
        )


@dataclass(slots=True)
class SaidRow:
    """A row of `said`, by the id of its message."""

    hash: bytes
    bot_id: int
    chat_id: int
    telegram_id: int | None
    at: float


class Ledger:
    """The table `message`. A row is indexed once: when it is added, and in its room when it becomes visible."""

    def __init__(self) -> None:
        self.uncertain = 0
        self.rows: dict[int, Row] = {}
        self._ids = count(1)
        self._rooms: defaultdict[int, _Index] = defaultdict(list)
        self._seen: defaultdict[int, _Index] = defaultdict(list)
        self._claimed: defaultdict[int, _Index] = defaultdict(list)
        self._unsettled: defaultdict[int, dict[int, Row]] = defaultdict(dict)
        self._telegram: defaultdict[tuple[int, int], list[Row]] = defaultdict(list)

    def new_id(self) -> int:
        """The next row's id."""
        return next(self._ids)

    def add(self, row: Row) -> None:
        """A claim, or a member's message."""
        self.rows[row.id] = row
        self._index(row)

    def settle(self, row: Row, state: State, reason: str) -> None:
        """Change an unsettled row's state; its Telegram id and times are set before."""
        self.uncertain += (state is State.UNCERTAIN) - (row.state is State.UNCERTAIN)
        row.state, row.reason = state, reason
        if state not in {State.SENDING, State.UNCERTAIN}:
            self._unsettled[row.bot_id or 0].pop(row.id, None)
        if state is State.SENT:
            self._show(row)

    def at(self, chat_id: int, telegram_id: int) -> list[Row]:
        """The visible rows that are this message of Telegram's."""
        return self._telegram.get((chat_id, telegram_id), [])

    def unsettled(self, bot_id: int) -> list[Row]:
        """The bot's rows that are `sending` or `uncertain`, oldest first."""
        return list(self._unsettled.get(bot_id, {}).values())

    def recent(self, chat_id: int, limit: int) -> list[Row]:
        """The newest visible rows of a room."""
        return [self.rows[row_id] for _, row_id in self._rooms.get(chat_id, [])[-limit:]]

    def seen(self, chat_ids: Iterable[int], after: float, limit: int) -> list[Row]:
        """The newest rows that became visible at or after a time, newest first."""
        found: _Index = []
        for chat_id in set(chat_ids):
            index = self._seen.get(chat_id, [])
            found += index[max(bisect_left(index, (after, 0)), len(index) - limit) :]
        return [self.rows[row_id] for _, row_id in heapq.nlargest(limit, found)]

    def last(self, limit: int) -> list[Row]:
        """The newest visible rows of all rooms, newest first."""
        return self.seen(list(self._seen), 0.0, limit)

    def claimed(self, bot_id: int, since: float) -> Iterator[Row]:
        """The bot's rows claimed at or after a time, oldest first."""
        index = self._claimed.get(bot_id, [])
        return (self.rows[row_id] for _, row_id in index[bisect_left(index, (since, 0)) :])

    def forget(self, before: float) -> None:
        """Drop the rows older than that."""
        self.drop(lambda row: row.created_at < before)

    def drop(self, gone: Callable[[Row], bool]) -> int:
        """Drop those rows; how many there were."""
        kept = [row for row in self.rows.values() if not gone(row)]
        if dropped := len(self.rows) - len(kept):
            self._rebuild(kept)
        return dropped

    def _rebuild(self, kept: list[Row]) -> None:
        self.rows = {row.id: row for row in kept}
        self.uncertain = sum(row.state is State.UNCERTAIN for row in kept)
        for index in (self._rooms, self._seen, self._claimed, self._unsettled, self._telegram):
            index.clear()
        for row in kept:
            self._index(row)

    def _index(self, row: Row) -> None:
        if row.bot_id is not None:
            insort(self._claimed[row.bot_id], (row.created_at, row.id))
            if row.state in {State.SENDING, State.UNCERTAIN}:
                self._unsettled[row.bot_id][row.id] = row
        if row.state in {State.RECEIVED, State.SENT}:
            self._show(row)

    def _show(self, row: Row) -> None:
        insort(self._rooms[row.chat_id], (row.created_at, row.id))
        insort(self._seen[row.chat_id], (row.seen_at, row.id))
        if row.telegram_id is not None:
            self._telegram[(row.chat_id, row.telegram_id)].append(row)


@dataclass(slots=True)
class StimulusRow:
    """A row of `stimulus`. `answer_id`: the ledger's row that answers it or is on its way to."""

    key: StimulusKey
    message_id: int
    user_id: int
    created_at: float
    state: str = "open"
    reason: str = ""
    taken_by: int | None = None
    taken_fence: int | None = None
    taken_at: float = 0.0
    grant: Grant | None = None
    answer_id: int | None = None
    tries: int = 0


class Stimuli:
    """The table `stimulus`."""

    def __init__(self) -> None:
        self.rows: dict[StimulusKey, StimulusRow] = {}
        self._waiting: defaultdict[tuple[int, int], dict[StimulusKey, StimulusRow]] = defaultdict(dict)
        self._granted: defaultdict[int, dict[StimulusKey, StimulusRow]] = defaultdict(dict)

    def add(self, row: StimulusRow) -> None:
        """A new one; nothing happens when the key is known."""
        if row.key not in self.rows:
            self.rows[row.key] = row
            self._waiting[_place(row.key)][row.key] = row

    def move(self, row: StimulusRow, state: str, reason: str = "") -> None:
        """Change its state; `open` and `taken` ones are found by `waiting`."""
        row.state, row.reason = state, reason
        waiting = self._waiting[_place(row.key)]
        if state in {"open", "taken"}:
            waiting[row.key] = row
        else:
            waiting.pop(row.key, None)

    def take(self, row: StimulusRow, bot_id: int, fence: int, grant: Grant | None, at: float) -> None:
        """It is that bot's now; `grant` where it counts for the member's budget."""
        row.taken_by, row.taken_fence, row.taken_at, row.grant = bot_id, fence, at, grant
        row.tries += 1
        self.move(row, "taken")
        if grant is not None:
            self._granted[row.user_id][row.key] = row

    def waiting(self, bot_ids: Collection[int], chat_ids: Collection[int]) -> Iterator[StimulusRow]:
        """Those `open` or `taken` for one of these bots, or for anybody in these chats."""
        places = {(0, bot_id) for bot_id in bot_ids if bot_id != ANYBODY} | {(chat_id, ANYBODY) for chat_id in chat_ids}
        return (row for place in places for row in self._waiting.get(place, {}).values())

    def granted(self, user_id: int, now: float) -> list[StimulusRow]:
        """The member's taken ones of the last day that were granted an answer or the polite line."""
        granted = self._granted[user_id]
        for row in [row for row in granted.values() if row.taken_at <= now - DAY]:
            del granted[row.key]
        return list(granted.values())

    def forget(self, before: float) -> None:
        """Drop the rows older than that."""
        self.drop(lambda row: row.created_at < before)

    def drop(self, gone: Callable[[StimulusRow], bool]) -> int:
        """Drop those rows; how many there were."""
        rows = [row for row in self.rows.values() if gone(row)]
        for row in rows:
            del self.rows[row.key]
            self._waiting[_place(row.key)].pop(row.key, None)
            self._granted[row.user_id].pop(row.key, None)
        return len(rows)


def _place(key: StimulusKey) -> tuple[int, int]:
    """Where one waits: with its bot, or in its chat."""
    return (key.chat_id, ANYBODY) if key.bot_id == ANYBODY else (0, key.bot_id)
