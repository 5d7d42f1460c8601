"""People first: bots step back while members talk, and never answer what one member says to another. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from piyasad.chat.window import Line, RoomView
    from piyasad.model import Message

EXCHANGE_MESSAGES: Final = 3
"""So many messages of two people or more …"""

EXCHANGE_SECONDS: Final = 180.0
"""… in this time are an exchange; bots hold back until this long after it."""

HELD_BACK: Final = 0.2
"""The part of unprompted turns that is left while people talk to each other."""

AROUND_SECONDS: Final = 600.0
"""While anybody spoke in this time, bots keep to `bot_share_max`."""


def talking(view: RoomView, now: float) -> bool:
    """Whether two people exchange three or more messages in 3 min, or did within the last 3 min."""
    people: list[Message] = []  # newest first
    for message in reversed(view.messages):
        if message.at <= now - 2 * EXCHANGE_SECONDS:
            break
        if message.bot_id is None:
            people.append(message)
    for at, newest in enumerate(people):
        if newest.at <= now - EXCHANGE_SECONDS:
            return False
        spoken = [each for each in people[at:] if each.at > newest.at - EXCHANGE_SECONDS]
        if len(spoken) >= EXCHANGE_MESSAGES and any(each.user_id != newest.user_id for each in spoken):
            return True
    return False


def share_reached(view: RoomView, now: float, share_max: float) -> bool:
    """Whether one more bot message would make the bots' share too great while people are about.

    The share is taken from the first message of the people's stretch on: what bots said among themselves before
    anybody spoke does not silence them. A stretch ends when nobody has spoken for ten minutes.
    """
    if share_max >= 1.0:
        return False
    bots = people = counted_bots = 0
    edge = now - AROUND_SECONDS
    for line in reversed(view.lines):
        message = line.message
        if message.at <= edge:
            break
        if message.bot_id is None:
            people += 1
            counted_bots = bots
            edge = message.at - AROUND_SECONDS
        else:
            bots += 1
    if not people:
        return False
    return counted_bots + 1 > share_max * (counted_bots + people + 1)


def to_a_person(line: Line, bot_handles: Collection[str]) -> bool:
    """Whether a member says it to another member: a reply to one, or an @mention of somebody who is no bot of ours."""
    if line.message.bot_id is not None:
        return False
    if line.answers is not None and line.answers.bot_id is None and line.answers.user_id != line.message.user_id:
        return True
    if line.message.reply_to is not None and line.answers is None:
        return True  # it replies to something we do not see: not for us to guess
    return any(handle not in bot_handles for handle in line.handles)
