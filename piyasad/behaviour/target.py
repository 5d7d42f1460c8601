"""Whom to reply to: the score of behaviour 2.3, and one of the best three drawn by weight. Pure.

Its only caller is `intent.py`; what may be replied to at all is decided there and by governor and people.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from math import fsum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from piyasad.chat.window import Line, RoomView
    from piyasad.personas.profile import Persona

LOOK_BACK: Final = 30
"""Only the last 30 messages are replied to."""

BEST: Final = 3

PERSON, BOT = 8.0, 2.5
AGES: Final = ((180.0, 3.0), (600.0, 2.0), (1800.0, 1.0))
OLDER: Final = -1.0
QUESTION_MARK, CURIOSITY, MENTIONS_ME = 4.0, 3.0, 15.0
SYMBOL, TOPIC, RELATION, LOW_MOOD, HAS_REPLY = 2.5, 1.5, 1.0, 2.0, -3.0

_LEAST_WEIGHT: Final = 0.1


def mentions(line: Line, persona: Persona) -> bool:
    """Whether a line names a bot: its @username or its full name."""
    if line.handles and persona.handle in line.handles:
        return True
    name = persona.name_words
    if len(name) < 2 or name[0] not in line.keys:
        return False
    return any(
        line.words[at : at + len(name) - 1] == name[:-1] and line.words[at + len(name) - 1].startswith(name[-1])
        for at in range(len(line.words) - len(name) + 1)
    )


def score(
    line: Line,
    persona: Persona,
    *,
    now: float,
    topics: Collection[str],
    roster: Mapping[int, Persona],
    bot_replies: int,
) -> float:
    """The score of one line as a target; the parts are the module's constants.

    Args:
        topics: the chat's topics that this persona cares about.
        bot_replies: replies of bots that the line already has.
    """
    message = line.message
    parts = [PERSON if message.bot_id is None else BOT, _age(now - message.at)]
    if "?" in message.text:
        parts.append(QUESTION_MARK)
    if line.curious:
        parts.append(CURIOSITY)
    if mentions(line, persona):
        parts.append(MENTIONS_ME)
    keys = line.keys
    for term in persona.watch_terms:
        if term[0] in keys and (len(term) == 1 or all(word in keys for word in term)):
            parts += (SYMBOL,)
    for topic in line.topics:
        if topic in topics:
            parts += (TOPIC,)
    if message.bot_id is not None:
        author = roster.get(message.bot_id)
        if author is not None and persona.related and persona.knows(author):
            parts.append(RELATION)
    if line.feeling < 0 and persona.empathic:
        parts.append(LOW_MOOD)
    if bot_replies:
        parts.append(HAS_REPLY * bot_replies)
    return fsum(parts)


def _age(seconds: float) -> float:
    for most, gain in AGES:
        if seconds < most:
            return gain
    return OLDER


def bot_replies(view: RoomView) -> dict[int, int]:
    """How many replies of bots each of the last `LOOK_BACK` messages has, by Telegram id.

    A reply comes after what it answers, so those messages' replies are among them.
    """
    counts: dict[int, int] = {}
    for message in view.messages[-LOOK_BACK:]:
        if message.reply_to is not None and message.bot_id is not None:
            counts[message.reply_to] = counts.get(message.reply_to, 0) + 1
    return counts


def draw(scored: Sequence[tuple[float, Line]], rng: random.Random) -> Line | None:
    """One of the three best, drawn by weight (its score, at least a little); newer wins a tie. None from nothing."""
    if not scored:
        return None
    best = sorted(scored, key=lambda pair: (-pair[0], -pair[1].message.at, -pair[1].message.id))[:BEST]
    weights = [max(points, _LEAST_WEIGHT) for points, _ in best]
    mark = rng.random() * fsum(weights)
    for weight, (_, line) in zip(weights, best, strict=True):
        mark -= weight
        if mark < 0:
            return line
    return best[-1][1]
