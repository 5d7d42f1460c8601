"""Topics: what a line is about, what a persona cares about, and which topic a bot opens next. Pure.

A chat's topics are names from the configuration; the words that belong to well-known ones stand here as data.
A topic of which a bot said three lines in an hour cools down for it: it neither opens nor continues it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from math import fsum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from piyasad.chat.window import RoomView
    from piyasad.personas.profile import Persona

COOL_AFTER: Final = 3
"""Lines of one bot on one topic …"""

COOL_SECONDS: Final = 3600.0
"""… in this time let the topic cool down for it (behaviour 3)."""

HEARD_LINES: Final = 30
"""How far back a topic counts as heard lately when a new one is drawn."""

CURRENT_LINES: Final = 6
"""The last lines that say what the room is talking about now."""


def cooling(view: RoomView, bot_id: int, now: float) -> dict[str, float]:
    """The topics in cooldown for a bot, with the time of its last line on each."""
    counts: dict[str, int] = {}
    last: dict[str, float] = {}
    for line in reversed(view.lines):
        message = line.message
        if message.at <= now - COOL_SECONDS:
            break
        if message.bot_id == bot_id and line.topics:
            topic = line.topics[0]
            counts[topic] = counts.get(topic, 0) + 1
            last.setdefault(topic, message.at)
    return {topic: last[topic] for topic, count in counts.items() if count >= COOL_AFTER}


def current(view: RoomView) -> str | None:
    """What the room is talking about: the topic of most of the last lines, newer ones counting more."""
    weights: dict[str, float] = {}
    for age, line in enumerate(reversed(view.lines[-CURRENT_LINES:])):
        for rank, topic in enumerate(line.topics[:2]):
            weights[topic] = weights.get(topic, 0.0) + 1.0 / (1 + age) / (1 + rank)
    if not weights:
        return None
    return max(weights, key=lambda topic: (weights[topic], -view.book.names.index(topic)))


def choose(
    persona: Persona, view: RoomView, rng: random.Random, now: float, *, cool: Mapping[str, float] | None = None
) -> str | None:
    """Draw the topic to open: what the persona cares about and what was not heard lately weigh more.

    Topics in cooldown for this bot are left out; when all are, the longest-cooled is taken. None where there are none.
    """
    names = view.book.names
    if not names:
        return None
    cold = cooling(view, persona.bot_id, now) if cool is None else cool
    free = [name for name in names if name not in cold]
    if not free:
        return min(names, key=lambda name: (cold[name], names.index(name)))
    heard: dict[str, int] = {}
    for line in view.lines[-HEARD_LINES:]:
        if line.topics:
            heard[line.topics[0]] = heard.get(line.topics[0], 0) + 1
    care = dict(zip(names, view.book.interests(persona.interest_keys), strict=True))
    weights = [(0.5 + min(care[name], 3.0)) / (1.0 + heard.get(name, 0)) for name in free]
    return pick(free, weights, rng)


def pick(options: Sequence[str], weights: Sequence[float], rng: random.Random) -> str:
    """One of the options, drawn by weight, with a single call of the generator."""
    mark = rng.random() * fsum(weights)
    for option, weight in zip(options, weights, strict=True):
        mark -= weight
        if mark < 0:
            return option
    return options[-1]
