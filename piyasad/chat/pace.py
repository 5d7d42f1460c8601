"""The pace of one chat: exact sliding windows over the bots' messages, with reservations. Pure; times are handed in.

A turn reserves a slot, types, and asks `take` at the moment of sending; only `take` says yes, and it says it against
what was really sent. So the limit holds however late a sender wakes. Failed sends give their slot back; people's
messages are never in it.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import floor
from typing import Final

MINUTE: Final = 60.0

KEPT: Final = 2
"""Slots kept for answers to people (of six; fewer where the pace is slower)."""

_ULP: Final = 1e-6  # what adding and subtracting a window may lose at today's Unix times

_UNLIMITED: Final = 10_000.0  # beyond so many a minute nothing is counted


@dataclass(eq=False, slots=True)
class Reservation:
    """A place in the chat's pace. `at` may move later until `take` says 0: answers to people overtake."""

    at: float
    urgent: bool
    order: int = field(repr=False)
    pinned: bool = False
    sent: float | None = None


def share(per_minute: float, shard: int, shards: int) -> float:
    """A shard's part of a chat's pace when shards cannot see each other's sends.

    Whole messages are dealt out (6 over 4 shards: 2, 2, 1, 1), so that the sum is exact in every minute. Where a
    shard would get none, each gets an equal part below 1, kept over a longer window.

    Args:
        shard: from 0 to `shards` - 1.
    """
    whole = floor(per_minute)
    if whole < shards:
        return per_minute / shards
    return whole // shards + (1 if shard < whole % shards else 0)


class ChatPace:
    """At most `per_minute` bot messages in any 60 s, `KEPT` of them free for answers to people.

    The limit is floor(per_minute) messages in 60 s; below 1 it is one message in 60 ÷ per_minute seconds.
    """

    def __init__(self, per_minute: float, *, margin: float = 0.05) -> None:
        """
        Args:
            per_minute: bot messages a minute, over 0.
            margin: seconds by which the window is lengthened, for the way to the server.
        """
        self._margin = margin
        self._sent: list[float] = []
        self._sent_plain: list[float] = []  # the unprompted ones among them
        self._waiting: list[Reservation] = []
        self._order = 0
        self._set(per_minute)

    @property
    def limit(self) -> tuple[int, float]:
        """Messages and the window in seconds that they are counted over."""
        return self._limit, self._window

    def change(self, per_minute: float) -> None:
        """Another pace from now on. What was sent counts, and who waits is judged by it when its time comes."""
        self._set(per_minute)

    def refill(self, times: Iterable[tuple[float, bool]]) -> None:
        """Hold what the ledger says was sent, and nothing else: (time, whether it answered a person)."""
        self._sent.clear()
        self._sent_plain.clear()
        for at, urgent in times:
            self._note(at, urgent=urgent)

    def earliest(self, now: float, *, urgent: bool = False) -> float:
        """When a message reserved now could be sent."""
        if self._open:
            return now
        self._forget(now)
        return self._place(now, urgent, self._ahead_of(urgent))

    def reserve(self, now: float, *, urgent: bool = False) -> Reservation:
        """Take the earliest slot. An urgent one moves waiting unprompted ones later unless they are pinned."""
        self._forget(now)
        self._order += 1
        made = Reservation(now, urgent, self._order)
        if not self._open:
            made.at = self._place(now, urgent, self._ahead_of(urgent))
            self._waiting.append(made)
            if urgent:
                self._settle_waiting(now, keep=made)
        return made

    def pin(self, reservation: Reservation) -> None:
        """Its bot has begun to type: answers no longer overtake it (its slot may still move for lack of room)."""
        reservation.pinned = True

    def wait(self, reservation: Reservation, now: float) -> float:
        """Seconds until it may go, by what was sent till now; 0: now. Nothing is counted."""
        if self._open:
            return 0.0
        if reservation.at <= now:
            self._forget(now)
            reservation.at = max(now, self._free_after_sent(urgent=reservation.urgent))
        return reservation.at - now

    def take(self, reservation: Reservation, now: float) -> float:
        """At the moment of sending: 0 if it may go now (and counts from now on), else seconds to wait and ask again."""
        wait = self.wait(reservation, now)
        if wait > 0:
            return wait
        reservation.sent = now
        if not self._open:
            if reservation in self._waiting:
                self._waiting.remove(reservation)
            self._note(now, urgent=reservation.urgent)
            self._settle_waiting(now)
        return 0.0

    def cancel(self, reservation: Reservation) -> None:
        """Nothing was delivered: the slot is free again, taken or not. Twice does no harm; it may be taken again."""
        if reservation in self._waiting:
            self._waiting.remove(reservation)
        if reservation.sent is not None and not self._open:
            _drop(self._sent, reservation.sent)
            if not reservation.urgent:
                _drop(self._sent_plain, reservation.sent)
        reservation.sent = None

    def _set(self, per_minute: float) -> None:
        self._limit = max(1, floor(per_minute))
        self._window = max(MINUTE, MINUTE / per_minute) + self._margin
        self._kept = min(KEPT, self._limit // 3)
        self._open = per_minute > _UNLIMITED

    def _note(self, at: float, *, urgent: bool) -> None:
        if self._open:
            return
        insort(self._sent, at)
        if not urgent:
            insort(self._sent_plain, at)

    def _forget(self, now: float) -> None:
        for times in (self._sent, self._sent_plain):
            gone = bisect_right(times, now - self._window)
            if gone:
                del times[:gone]

    def _free_after_sent(self, *, urgent: bool) -> float:
        """When what was sent lets another message go."""
        free = 0.0
        if len(self._sent) >= self._limit:
            free = self._sent[-self._limit] + self._window
        plain = self._limit - self._kept
        if not urgent and len(self._sent_plain) >= plain:
            free = max(free, self._sent_plain[-plain] + self._window)
        return free

    def _ahead_of(self, urgent: bool) -> list[Reservation]:
        return [each for each in self._waiting if not urgent or each.urgent or each.pinned]

    def _place(self, wanted: float, urgent: bool, others: list[Reservation]) -> float:
        """The first time from `wanted` on at which one more message keeps every window."""
        every = sorted([*self._sent, *(each.at for each in others)])
        plain = sorted([*self._sent_plain, *(each.at for each in others if not each.urgent)])
        leaves = sorted(at + self._window for at in every)
        for at in (wanted, *leaves[bisect_right(leaves, wanted) :]):
            if self._fits(at, every, self._limit) and (urgent or self._fits(at, plain, self._limit - self._kept)):
                return at
        return max(wanted, every[-1] + self._window)

    def _fits(self, at: float, times: list[float], limit: int) -> bool:
        place = bisect_right(times, at)
        merged = [*times[max(0, place - limit) : place], at, *times[place : place + limit]]
        return all(merged[i + limit] - merged[i] >= self._window - _ULP for i in range(len(merged) - limit))

    def _settle_waiting(self, now: float, keep: Reservation | None = None) -> None:
        """Give every waiting reservation the first place that is left: answers first, then who came first."""
        placed: list[Reservation] = [] if keep is None else [keep]
        rest = [each for each in self._waiting if each is not keep]
        for each in sorted(rest, key=lambda one: (not (one.urgent or one.pinned), one.at, one.order)):
            each.at = self._place(max(each.at, now), each.urgent, placed)
            placed.append(each)


def _drop(times: list[float], at: float) -> None:
    if at in times:
        times.remove(at)
