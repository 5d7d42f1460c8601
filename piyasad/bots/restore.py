"""Restoring: bots that became ours know again what they said before, whoever said it for them.

The pool calls `restore` after a start and a takeover, before the bots speak. What it finds in the ledger takes the
place of what is in memory, so that taking a bot twice counts nothing twice. It lets the loop turn after every bot.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Sequence

from piyasad.behaviour.delays import HOUR
from piyasad.bots.state import FIXED_KINDS, BotState, LiveState
from piyasad.clock import Clock
from piyasad.delivery.slot import Slots
from piyasad.language.text import normalise
from piyasad.model import Kind, Said
from piyasad.store.interface import Store
from piyasad.telegram.limits import MINUTE

BOTS_AT_ONCE = 50
"""The ledger is read for so many bots at a time: a large room's twelve hours are more rows than fit well in memory."""

ROOM_LINES = 200
"""Lines of a room that are read from the ledger."""

PACE_KINDS = frozenset({Kind.ANSWER, Kind.POLITE, Kind.NOTICE})
"""What overtakes in a chat's pace. A fixed text is outside of it."""

UNCOUNTED = frozenset({Kind.NOTICE, Kind.FIXED})
"""What the hourly limit does not count."""


async def restore(live: LiveState, store: Store, slots: Slots, clock: Clock, bot_ids: Collection[int]) -> None:
    """Give these bots their hourly counts, texts, short lines, refresh counters and Telegram's windows, and the chats
    their rooms and the pace of all bots that we hold (these included). What they answered, or may have, stays answered.

    Raises:
        StoreError: the ledger cannot be read. Bots done by then are as they should be; call it again for all.
    """
    await _restore_rooms(live, store)
    now = clock.wall()
    back = max(HOUR, live.settings.guards.repetition_hours * HOUR)
    ids = [bot_id for bot_id in bot_ids if bot_id in live.bots]
    for first in range(0, len(ids), BOTS_AT_ONCE):
        part = ids[first : first + BOTS_AT_ONCE]
        rows: dict[int, list[Said]] = defaultdict(list)
        for said in await store.said(part, now - back):
            rows[said.bot_id].append(said)
        for bot_id in part:
            theirs = rows.get(bot_id, [])
            slots.restore([bot_id], [(bot_id, each.chat_id, each.at) for each in theirs if each.at > now - MINUTE])
            if (bot := live.bots.get(bot_id)) is not None:
                remind(bot, theirs, now, back)
            for each in theirs:
                if (chat := live.chats.get(each.chat_id)) is not None:
                    chat.claim(each.reply_to)
            await asyncio.sleep(0)
    await _restore_pace(live, store, clock, ids)


def remind(bot: BotState, said: Sequence[Said], now: float, keep_seconds: float) -> None:
    """Make a bot's memory what the ledger says, oldest first, and nothing else."""
    bot.hourly.refill(each.at for each in said if each.at > now - HOUR and each.kind not in UNCOUNTED)
    bot.said.clear()
    bot.short.clear()
    bot.since_refresh = 0
    for each in said:
        if each.kind in FIXED_KINDS:
            continue
        bot.since_refresh += 1
        if each.restated:
            bot.since_refresh, bot.refreshed_at = 0, each.at
        bot.remember(normalise(each.text), each.at, keep_seconds)


async def _restore_rooms(live: LiveState, store: Store) -> None:
    """A daemon that stood by heard nothing: its rooms hear what was said meanwhile."""
    for chat in live.chats.values():
        for message in await store.recent(chat.id, ROOM_LINES):
            live.hear(message)
        await asyncio.sleep(0)


async def _restore_pace(live: LiveState, store: Store, clock: Clock, taken: Collection[int]) -> None:
    """A chat's pace is all our bots': those that we held before count with those taken now."""
    held = [bot.id for bot in live.bots.values() if bot.held and bot.id not in taken] if taken else []
    longest = max((chat.limit.limit[1] for chat in live.chats.values()), default=MINUTE)
    behind = clock.wall() - clock.mono()
    sent: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for said in await store.said([*taken, *held], clock.wall() - longest):
        if said.kind is not Kind.FIXED:
            sent[live.moved.get(said.chat_id, said.chat_id)].append((said.at - behind, said.kind in PACE_KINDS))
    for chat in live.chats.values():
        chat.limit.refill(sent[chat.id])
        await asyncio.sleep(0)
