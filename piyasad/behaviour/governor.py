"""The governor: what keeps bots from talking themselves into a loop. Pure; each refusal has a counted reason."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from piyasad.chat.window import Line, RoomView

MAX_DEPTH: Final = 6
"""Replies of bots to bots in one chain without a person."""

PAIR_RUN: Final = 4
"""Lines that a pair of bots may alternate in a row."""

PAIR_PER_WINDOW: Final = 8
"""Replies between a pair of bots in `WINDOW` seconds."""

WINDOW: Final = 600.0

ANSWER_SHARE: Final = 0.7
"""Share of bot messages that may answer a bot, over `WINDOW` seconds without a person."""


class Reason(StrEnum):
    """Why a bot may not speak, or not reply to that line: the label of `piyasad_governor_total`."""

    TWICE = "twice"
    DEPTH = "depth"
    PAIR_RUN = "pair_run"
    PAIR_RATE = "pair_rate"
    ANSWER_SHARE = "answer_share"
    PEOPLE_TALK = "people_talk"
    BOT_SHARE = "bot_share"


def may_speak(view: RoomView, bot_id: int, now: float, *, bots: int) -> Reason | None:
    """Whether a bot may say anything unprompted; None when it may.

    Args:
        bots: how many bots of the chat could speak now, this one included. A lone bot may follow itself.
    """
    lines = view.lines
    if bots < 2 or not lines:
        return None
    if lines[-1].message.bot_id == bot_id:
        return Reason.TWICE
    if bots > 2 and _alternating(view, bot_id, now) >= PAIR_RUN:
        return Reason.PAIR_RUN  # a third can speak, so these two let it
    return None


def may_reply(view: RoomView, bot_id: int, target: Line, now: float, *, share_left: bool) -> Reason | None:
    """Whether a bot may reply to a line; None when it may. A person's line may always be replied to.

    Args:
        share_left: what `replies_allowed` says of the room.
    """
    other = target.message.bot_id
    if other is None:
        return None
    if not share_left:
        return Reason.ANSWER_SHARE
    if target.depth >= MAX_DEPTH:
        return Reason.DEPTH
    between = 0
    run: int | None = None
    for line in reversed(view.lines):
        if line.message.at <= now - WINDOW:
            break
        if _between(line, bot_id, other):
            between += 1
        elif run is None:
            run = between
    if (between if run is None else run) >= PAIR_RUN:
        return Reason.PAIR_RUN
    if between >= PAIR_PER_WINDOW:
        return Reason.PAIR_RATE
    return None


def replies_allowed(view: RoomView, now: float) -> bool:
    """Whether one more reply to a bot keeps the share of such replies; free while people are about."""
    bots = answers = 0
    since = now - WINDOW
    for line in reversed(view.lines):
        message = line.message
        if message.at <= since:
            break
        if message.bot_id is None:
            return True
        bots += 1
        if line.answers is not None and line.answers.bot_id is not None:
            answers += 1
    return answers + 1 <= ANSWER_SHARE * (bots + 1)


def _between(line: Line, one: int, other: int) -> bool:
    speaker = line.message.bot_id
    if line.answers is None or speaker not in (one, other):
        return False
    return line.answers.bot_id == (other if speaker == one else one)


def _alternating(view: RoomView, bot_id: int, now: float) -> int:
    """How many lines at the end are this bot and one other, by turns."""
    other: int | None = None
    count = 0
    for line in reversed(view.lines):
        speaker = line.message.bot_id
        if speaker is None or line.message.at <= now - WINDOW:
            break
        if count % 2 == 0:
            if other is None and speaker != bot_id:
                other = speaker
            elif speaker != other:
                break
        elif speaker != bot_id:
            break
        count += 1
        if count >= PAIR_RUN:
            break
    return count
