"""What the world of a fuzzed seed saw: everything that judges read, and nothing that they could share with a daemon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from piyasad.simulation.fuzz.store import Deed
from piyasad.simulation.model import Call, Overrun
from piyasad.simulation.telegram import Arrival, Poll


@dataclass(frozen=True, slots=True)
class Line:
    """What a member wrote. `to` is the bot that it names by its @username, else 0; `mark` is private."""

    at: float
    chat: int
    message_id: int
    who: int
    name: str
    text: str
    mark: str
    to: int


@dataclass(frozen=True, slots=True)
class Look:
    """A guard looked at a text: it objected or not."""

    at: float
    daemon: str
    guard: str
    persona: str
    text: str
    objected: bool


@dataclass(slots=True)
class Life:
    """One start of a daemon: when it was ready, when and how it ended. `asked`: it was told to stop, or killed.

    `pauses` are (from, to); `to` is None while it lasts.
    """

    daemon: str
    shard: tuple[int, int]
    began: float
    ready: float | None = None
    ended: float | None = None
    asked: bool = False
    how: str = ""
    pauses: list[tuple[float, float | None]] = field(default_factory=list)
    listed: dict[int, float | None] = field(default_factory=dict)  # chats, and since when not any more

    def rested(self, begin: float, end: float) -> bool:
        """Whether it was paused, or gone, at some moment between."""
        if self.ended is not None and self.ended <= end:
            return True
        return any(since <= end and (until is None or until >= begin) for since, until in self.pauses)


@dataclass(frozen=True, slots=True)
class Row:
    """A bot's row of the ledger as it stands in the end."""

    id: int
    bot: int
    chat: int
    state: str
    reason: str
    text: str
    telegram_id: int | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A stimulus as it stands in the end."""

    chat: int
    message_id: int
    bot: int
    state: str
    reason: str


class Books(Protocol):
    """The store's tables, read for the judges alone."""

    async def rows(self) -> Sequence[Row]:
        """Every row of a bot."""
        ...

    async def stimuli(self) -> Sequence[Asked]:
        """Every stimulus."""
        ...

    async def received(self) -> Sequence[tuple[int, int]]:
        """(chat, Telegram's message id) of every member's line."""
        ...


@dataclass
class Record:
    """All of it, in the order in which it happened."""

    notice: str
    mark: str
    listed: frozenset[int]
    secrets: tuple[str, ...]
    forbidden: tuple[str, ...]
    arrivals: Sequence[Arrival] = ()
    polls: Sequence[Poll] = ()
    done: Sequence[Deed] = ()
    """What the store did, in its order."""

    calls: Sequence[Call] = ()
    overruns: Sequence[Overrun] = ()
    violations: Sequence[dict[str, Any]] = ()
    lines: list[Line] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    lives: dict[str, Life] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """What was seen at once to be wrong: a reload that touched others, an exception that nobody caught."""
