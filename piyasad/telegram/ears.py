"""Which bot hears a chat. Pure: `polling.py` asks every second and after anything that changes the answer.

One ear per chat: an admin bot, or one with privacy off, hears the whole group and alone long-polls. Where no bot
qualifies, every bot of the chat polls, and each hears what speaks to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """A bot of the chat. `hears` is None while Telegram has not been asked; `ready`: alive, not parked, in the chat."""

    bot_id: int
    ready: bool
    ours: bool
    hears: bool | None


def choose(candidates: Sequence[Candidate], current: int | None) -> int | None:
    """The chat's ear: the present one while it is ready and may hear, else the first ready one that may.

    Candidates come in the order of the configuration. One that was not asked yet counts as one that may hear: its
    shard asks before the first poll.
    """
    able = [each for each in candidates if each.ready and each.hears is not False]
    if any(each.bot_id == current for each in able):
        return current
    best = [each for each in able if each.hears] or able
    return best[0].bot_id if best else None


def deaf(candidates: Sequence[Candidate]) -> bool:
    """Whether every ready bot was asked and none hears the whole group: then all of them poll."""
    ready = [each for each in candidates if each.ready]
    return bool(ready) and all(each.hears is False for each in ready)
