"""getUpdates: the long poll, its offset, and what becomes of two polls with one token.

Follows Client::process_get_updates_query, do_get_updates and fail_query_conflict of tdlib/telegram-bot-api
(Client.cpp). `telegram.py` is the only caller.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from piyasad.sandbox.limits import Limits
from piyasad.sandbox.methods import Refused, Tally, decoded, whole
from piyasad.sandbox.objects import Bot

POLL_MOST_SECONDS = 50
"""A long poll waits no longer (Client.h: LONG_POLL_MAX_TIMEOUT)."""

UPDATES_MOST = 100
"""Updates in one answer (Bot API, getUpdates)."""

CONFLICT_SECONDS = 3.0
"""The first of a row of conflicts is answered at once, each further one within this time so much later
(fail_query_conflict)."""

HASTY_SECONDS, HASTY_WAIT = 3.0, 3
"""A poll for the same offset within this time waits for so long at least (process_get_updates_query)."""

GREEDY_SECONDS = 0.5
"""A poll for the same offset within this time gets one update (process_get_updates_query)."""

CONFLICT = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"


@dataclass(slots=True)
class _Past:
    """What the token's last poll was, by the loop's clock."""

    offset: int = -1
    began: float = -100.0
    conflict_until: float = -100.0


class Polls:
    """All tokens' polls."""

    def __init__(self, limits: Limits, tally: Tally) -> None:
        self._limits = limits
        self._tally = tally
        self._past: dict[int, _Past] = {}
        self._closing = asyncio.Event()

    def close(self, bots: Iterable[Bot]) -> None:
        """End every poll with what it has: nothing."""
        self._closing.set()
        for bot in bots:
            _wake(bot.waiter, True)

    async def get(self, bot: Bot, given: Mapping[str, Any], gone: Callable[[], bool]) -> Any:
        """The updates; waits for some if there are none. `gone`: whether the client has hung up.

        Raises:
            Refused: 409 when another poll took this one's place.
        """
        offset = whole(given.get("offset"), 0)
        limit = min(max(whole(given.get("limit"), UPDATES_MOST), 1), UPDATES_MOST)
        timeout = min(max(whole(given.get("timeout"), 0), 0), POLL_MOST_SECONDS)
        if "allowed_updates" in given:  # "if not specified, the previous setting will be used"
            wanted = decoded(given["allowed_updates"], "allowed_updates") or []
            bot.allowed = tuple(each for each in wanted if isinstance(each, str))
        timeout, limit = self._slow_down(bot, offset, timeout, limit)
        forget(bot, offset)
        if not bot.updates and timeout and not self._closing.is_set():
            await self._wait(bot, timeout, gone)
        return [update for _, update in zip(range(limit), bot.updates, strict=False)]

    def _slow_down(self, bot: Bot, offset: int, timeout: int, limit: int) -> tuple[int, int]:
        past = self._past.setdefault(bot.id, _Past())
        now = asyncio.get_running_loop().time()
        if self._limits.hasty_polls and offset == past.offset:
            if timeout < HASTY_WAIT and now < past.began + HASTY_SECONDS:
                timeout = HASTY_WAIT
            if now < past.began + GREEDY_SECONDS:
                limit = 1
        past.offset, past.began = offset, now
        return timeout, limit

    async def _wait(self, bot: Bot, timeout: float, gone: Callable[[], bool]) -> None:
        """Wait for an update as the one poll of this token; a poll that waited before is ended."""
        _wake(bot.waiter, False)
        loop = asyncio.get_running_loop()
        waiter = bot.waiter = loop.create_future()
        timer = loop.call_later(timeout, _wake, waiter, True)
        try:
            kept = await waiter
        finally:
            timer.cancel()
            if bot.waiter is waiter:
                bot.waiter = None
        if not kept and not self._closing.is_set():
            await self._conflict(bot, gone)

    async def _conflict(self, bot: Bot, gone: Callable[[], bool]) -> None:
        past = self._past[bot.id]
        now = asyncio.get_running_loop().time()
        if not gone():  # a client that is gone tells nobody of its conflict
            self._tally.conflicts += 1
            self._tally.conflicts_of[bot.id] += 1
        if now >= past.conflict_until:
            past.conflict_until = now + CONFLICT_SECONDS
        else:
            try:
                async with asyncio.timeout(CONFLICT_SECONDS):
                    await self._closing.wait()
            except TimeoutError:
                pass  # nobody closed the server in the meantime
        raise Refused(409, CONFLICT)


def forget(bot: Bot, offset: int) -> None:
    """Drop what an offset confirms. A negative one keeps that many of the newest, one beyond the end all."""
    if offset < 0:
        while len(bot.updates) > -offset:
            bot.updates.popleft()
    elif offset <= bot.next_update:
        while bot.updates and bot.updates[0]["update_id"] < offset:
            bot.updates.popleft()


def _wake(waiter: asyncio.Future[bool] | None, kept: bool) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(kept)
