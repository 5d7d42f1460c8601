"""The listener: polls for one bot and hands what came in to the intake before it confirms it.

`polling.py` keeps one `Poller` for each bot that we hold. An update is confirmed (by the next offset) only after the
inbox has taken it, so a crash in between means a redelivery, never a loss. One poll a bot at a time, under its lease.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from aiogram.types import Update

from piyasad.clock import Clock
from piyasad.store.interface import StoreError
from piyasad.supervise import raise_if_cancelled
from piyasad.telegram.errors import BadToken, Conflict, Failure, Throttled
from piyasad.telegram.intake import Intake
from piyasad.telegram.sender import UPDATES_MOST, Sender

log = structlog.stdlib.get_logger(__name__)

ALL_UPDATES = ("message", "edited_message", "my_chat_member")
IDLE_UPDATES = ("message", "my_chat_member")

CONFLICT_SECONDS = 5.0
"""After a 409: the older poll of two is ended after at most 3 s (Bot API server), so wait for longer than that."""

STRANGER_SECONDS = 60.0
"""409s that go on for so long are no older poll of our own, left by a restart or a takeover: a stranger polls."""

ALONE_SECONDS = 300.0
"""Without a 409 for so long we are alone again."""

BACKOFF_FIRST, BACKOFF_MOST = 1.0, 30.0

SHORTEST_SECONDS = 1.0
"""An empty answer that comes sooner than this (and than it was asked to) is no reason to ask again at once."""

WAITED_SECONDS, WAITED_ANEW_SECONDS = 0.5, 5.0
"""An answer that comes later than this brings what happened just now, not a backlog. Longer for a poll that does not
follow on another long one: there is a backlog, and a connection to be made."""

FOLLOWS_SECONDS = 5.0
"""A poll that is asked so soon after the last was answered follows on it."""

FAILED_TRIES = 2
"""So many failures in a row are told; a single long poll that is cut is nothing."""

STUCK_TRIES = 5
"""So often an update is handed in that the store refuses; then those after it are tried, and when one of them goes in,
the fault is the update's own and it is dropped. While all are refused nothing is."""

BACKLOG_POLLS = 20
"""Full answers that one short poll takes at most, one after the other."""


@dataclass(frozen=True, slots=True)
class InboxFailed:
    """The store would not take an update; it comes again."""

    reason: str


@dataclass(frozen=True, slots=True)
class NoLease:
    """The bot is not ours now: no request was made."""

    reason: str = "the lease is gone"


Polled = int | Failure | InboxFailed | NoLease
"""How many updates a poll brought, or why there were none."""


class Poller:
    """Polls for one bot, one poll at a time.

    `may_poll` is asked before each request, `save` stores the offset, `parked` is called when the token is refused.
    """

    def __init__(
        self,
        bot_id: int,
        sender: Sender,
        intake: Intake,
        clock: Clock,
        rng: random.Random,
        *,
        offset: int,
        may_poll: Callable[[], bool],
        save: Callable[[int, int], Awaitable[None]],
        parked: Callable[[int], None],
    ) -> None:
        self.bot_id = bot_id
        self.offset = offset
        self._sender = sender
        self._intake = intake
        self._clock = clock
        self._rng = rng
        self._may_poll = may_poll
        self._save = save
        self._parked = parked
        self._one = asyncio.Lock()
        self._backoff = BACKOFF_FIRST
        self._failures = 0
        self._answered_at = float("-inf")  # when a long poll was, and left nothing behind
        self._refused: dict[int, int] = {}
        self._conflicts = _Conflicts(bot_id)

    async def run(self, wait: Callable[[], float]) -> None:
        """Long poll until cancelled, refused or without a lease. `wait()`: whole seconds that a poll waits at most."""
        while True:
            began, seconds = self._clock.mono(), wait()
            result = await self.poll(seconds, ALL_UPDATES)
            if isinstance(result, BadToken | NoLease):
                return
            rest = self._rest(result, min(seconds, SHORTEST_SECONDS) - (self._clock.mono() - began))
            if rest > 0:
                await asyncio.sleep(rest)

    async def poll(self, wait: float, allowed: tuple[str, ...]) -> Polled:
        """One poll and what it brought. It never rests; another one of this bot is waited for.

        With `wait` 0 a backlog is taken to its end, a full answer after the other.
        """
        async with self._one:
            total = 0
            for _ in range(BACKLOG_POLLS):
                result = await self._ask(wait, allowed)
                if not isinstance(result, list):
                    return result
                failed = await self._take(result)
                if failed is not None:
                    return failed
                total += len(result)
                if wait > 0 or len(result) < UPDATES_MOST:
                    break
            return total

    async def _ask(self, wait: float, allowed: tuple[str, ...]) -> list[Update] | Failure | NoLease:
        """One request, and what it tells beside its updates."""
        if not self._may_poll():
            return NoLease()
        asked = self._clock.mono()
        result = await self._sender.updates(self.bot_id, self.offset, wait, allowed)
        now = self._clock.mono()
        if isinstance(result, list):
            self._failures = 0
            self._intake.answered(self.bot_id)
            self._conflicts.none(now)
            if wait > 0:
                follows = asked - self._answered_at < FOLLOWS_SECONDS
                if now - asked > (WAITED_SECONDS if follows else WAITED_ANEW_SECONDS):
                    self._intake.note(result)
                if len(result) < UPDATES_MOST:
                    self._answered_at = now
        elif isinstance(result, BadToken):
            self._parked(self.bot_id)
        elif isinstance(result, Conflict):
            await self._conflict(result, now)
        else:
            self._failures += 1
            if self._failures >= FAILED_TRIES:
                self._intake.polls.failed(result.reason, of=self.bot_id, bot=self.bot_id)
        return result

    async def _take(self, updates: list[Update]) -> InboxFailed | None:
        """Hand a batch in. The offset moves past what was taken or dropped, and so confirms it with the next poll."""
        before = self.offset
        stuck: list[int] = []
        failed = None
        for update in updates:
            try:
                await self._intake.take(self.bot_id, update)
            except StoreError as error:  # it is not lost, it comes again
                raise_if_cancelled()
                tries = self._refused[update.update_id] = self._refused.get(update.update_id, 0) + 1
                failed = InboxFailed(str(error))
                if tries < STUCK_TRIES:
                    break
                stuck.append(update.update_id)
                continue
            except Exception as error:  # noqa: BLE001 - a fault of ours with this update; the others have none
                raise_if_cancelled()
                log.error("listener.dropped", bot=self.bot_id, updates=[update.update_id], reason=_place(error))
                if stuck:
                    continue
            if stuck:
                log.error(
                    "listener.dropped", bot=self.bot_id, updates=stuck, reason="the store takes others, not these"
                )
            self.offset = update.update_id + 1
            stuck.clear()
            self._refused.clear()
            failed = None
        if failed is not None:
            self._intake.store.failed(failed.reason, of=self.bot_id)
        elif updates:
            self._intake.store.worked(of=self.bot_id)
        if self.offset != before:
            await self._save(self.bot_id, self.offset)
        return failed

    async def _conflict(self, conflict: Conflict, now: float) -> None:
        """409: a webhook stands in the way (it is ended), or another poll runs with our token."""
        if "webhook" in conflict.reason.lower():
            done = await self._sender.drop_webhook(self.bot_id)
            log.warning("listener.webhook", bot=self.bot_id, ended=done.ok)
        else:
            self._conflicts.one(conflict.reason, now)

    def _rest(self, result: int | Failure | InboxFailed, left: float) -> float:
        """Seconds until the next poll. `left`: what remains of the time in which nobody asks twice."""
        if isinstance(result, int):
            self._backoff = BACKOFF_FIRST
            return 0.0 if result else left
        if isinstance(result, Conflict):
            return CONFLICT_SECONDS * (1 + self._rng.random())
        at_least = result.retry_after if isinstance(result, Throttled) else 0.0
        rest = max(at_least, self._backoff * (0.5 + self._rng.random()))
        self._backoff = min(self._backoff * 2, BACKOFF_MOST)
        return rest


class _Conflicts:
    """A run of 409s: ours while it is short, a stranger's when it goes on."""

    def __init__(self, bot_id: int) -> None:
        self._bot_id = bot_id
        self._began = self._last = float("-inf")
        self._told = False

    def one(self, reason: str, now: float) -> None:
        """Another poll ended ours."""
        if now - self._last > ALONE_SECONDS:
            self._began = now
            log.info("listener.conflict", bot=self._bot_id, reason=reason, note="an older poll of ours, if it is short")
        self._last = now
        if now - self._began > STRANGER_SECONDS and not self._told:
            self._told = True
            log.error(
                "listener.stranger",
                bot=self._bot_id,
                cure="another program polls with this token: stop it, or get a new token from @BotFather (/token)",
            )

    def none(self, now: float) -> None:
        """A poll was answered."""
        if self._told and now - self._last > ALONE_SECONDS:
            self._told = False
            log.info("listener.alone", bot=self._bot_id)


def _place(error: Exception) -> str:
    """What broke and where, without the error's own words: they may quote a member's."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" at {trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace is not None else ""
    return type(error).__name__ + where
