"""The order in which waiting texts are admitted: by class, in rounds over the bots of a class, then by arrival.

The gateway owns one. Pure: it holds and orders, and knows neither quotas nor time.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")

Place = tuple[int, float, int]
"""A place in the order: class, round, arrival."""


class Queue(Generic[Item]):
    """A bot's second text waits for the others' first; so no bot crowds out the rest of its class."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, float, int, Item]] = []
        self._arrivals = 0
        self._round: dict[int, float] = {}  # class → how far its rounds have come
        self._next: dict[tuple[int, int], float] = {}  # (class, bot) → the round of its next text

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Item]:
        return iter([row[3] for row in self._rows])

    def at(self, index: int) -> Item:
        """The one at that place, 0 first."""
        return self._rows[index][3]

    def add(self, item: Item, rank: int, bot: int, place: Place | None = None) -> Place:
        """Put it where it belongs, or back to its `place`; the place that it has."""
        if place is not None:
            insort(self._rows, (*place, item))
            return place
        turn = max(self._round.get(rank, 0.0), self._next.get((rank, bot), 0.0))
        self._next[rank, bot] = turn + 1
        self._arrivals += 1  # no two rows are equal up to here, so items are never compared
        insort(self._rows, (rank, turn, self._arrivals, item))
        return rank, turn, self._arrivals

    def admit(self, index: int) -> None:
        """The one at that place has its turn: the round moves on."""
        rank, turn, _, _ = self._rows.pop(index)
        self._round[rank] = max(self._round.get(rank, 0.0), turn)
        self._forget()

    def drop(self, index: int) -> None:
        """The one at that place does not wait any more."""
        del self._rows[index]
        self._forget()

    def remove(self, item: Item) -> None:
        """This one does not wait any more."""
        self._rows = [row for row in self._rows if row[3] is not item]
        self._forget()

    def clear(self) -> None:
        """Nobody waits."""
        self._rows.clear()
        self._forget()

    def _forget(self) -> None:
        if not self._rows:
            self._round.clear()
            self._next.clear()
