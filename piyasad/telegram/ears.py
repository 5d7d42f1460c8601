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
    shard asks before the first poll. Another shard's answers are not known here, so our own come first: each shard
    asks until one of them finds an ear, and none waits for a bot that its own shard knows to be deaf.
    """
    if is_heard(candidates, current):
        return current
    able = [each for each in candidates if each.ready and each.hears is not False]
    return min(able, key=lambda each: (not each.hears, not each.ours)).bot_id if able else None


def is_heard(candidates: Sequence[Candidate], ear: int | None) -> bool:
    """Whether the chat has an ear that is ready and may hear, as far as this shard knows."""
    return any(each.bot_id == ear and each.ready and each.hears is not False for each in candidates)


def stand_ins(candidates: Sequence[Candidate], ear: int | None) -> list[int]:
    """Our bots that poll while the chat has no ear: those that were asked; each hears at least what speaks to it."""
    if is_heard(candidates, ear):
        return []
    return [each.bot_id for each in candidates if each.ours and each.ready and each.hears is False]
