"""Whom a member's message speaks to. Pure; the engine calls it once for each message that comes in.

A bot is spoken to by its @username, its full name, a reply to one of its lines, or its first name used as an address;
the first name counts only when no known member bears it and the message replies to nobody else.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from piyasad.behaviour import topic
from piyasad.behaviour.people import to_a_person
from piyasad.language import question
from piyasad.language.text import HONORIFICS, fold, is_form_of_name, words_of

if TYPE_CHECKING:
    from piyasad.chat.window import Line, RoomView
    from piyasad.personas.profile import Persona

_GREETINGS: Final = frozenset(
    (
        "selam", "merhaba", "slm", "mrb", "hey", "ya", "yahu", "peki", "evet", "hayir", "gunaydin", "tesekkurler",
        "sagol", "tamam", "bak", "bence", "aynen", "hadi", "tebrikler", "bravo", "sayin", "sevgili", "lan", "ee", "e",
    )
)  # fmt: skip
"""Folded words that may stand before a first name that is an address."""

_CLAUSE: Final = re.compile(r"[.!?…,;:\n]+")

_REQUEST: Final = re.compile(
    r"\b(?:sor\w*|soyle\w*|anlat\w*|yorum\w*|fikr\w*|gorus\w*"
    r"|cevap\w*|acikla\w*|dinle\w*|katil\w+|ne d[ei][ry]\w*|bak\w*)\b"
)
"""Words beside which a first name with an ending is an address ("Ali'ye soralım", "Mehmet'in fikri")."""


def addressed(line: Line, view: RoomView, roster: Mapping[int, Persona]) -> tuple[int, ...]:
    """The bots that a member's message speaks to, by id, in the roster's order; empty for a bot's own line.

    Args:
        roster: all bots of the chat, also those that are asleep or belong to another shard.
    """
    message = line.message
    if message.bot_id is not None:
        return ()
    found: dict[int, None] = {}
    if line.answers is not None and line.answers.bot_id in roster:
        found[line.answers.bot_id or 0] = None
    for bot_id, persona in roster.items():
        if persona.handle in line.handles or _full_name(line.words, persona.name_words):
            found[bot_id] = None
    if not found and message.reply_to is None and not _mentions_others(line, roster):
        for bot_id, persona in roster.items():
            if _first_name(line, persona) and not _borne(persona.first_name, view):
                found[bot_id] = None
    return tuple(bot_id for bot_id in roster if bot_id in found)


def for_anybody(line: Line, roster: Mapping[int, Persona], spoken_to: Sequence[int]) -> bool:
    """Whether a member's message is a question to nobody: one bot answers it."""
    handles = frozenset(persona.handle for persona in roster.values())
    return (
        line.message.bot_id is None
        and not spoken_to
        and line.open_question
        and not line.message.text.startswith("/")
        and not to_a_person(line, handles)
    )


def best_bot(line: Line, view: RoomView, roster: Mapping[int, Persona], *, busy: Collection[int] = ()) -> int | None:
    """The bot that answers a question to nobody: by watched symbols, stances, topic; the longest silent wins a tie.

    Args:
        roster: the bots that could answer now.
        busy: bots that are answering somebody already; taken only when nobody else is there.
    """
    if not roster:
        return None
    last: dict[int, float] = {}
    for message in reversed(view.messages):
        if message.bot_id is not None:
            last.setdefault(message.bot_id, message.at)
    return min(
        roster,
        key=lambda bot_id: (bot_id in busy, -fitness(line, view, roster[bot_id]), last.get(bot_id, 0.0), bot_id),
    )


def fitness(line: Line, view: RoomView, persona: Persona) -> float:
    """How well a bot suits a question; about 2.5 a watched symbol, 1.5 a topic, 2 a stance on it."""
    points = 0.0
    keys = line.keys
    for term in persona.watch_terms:
        if all(word in keys for word in term):
            points += 2.5
    for key, weight in persona.interest_keys:
        if key in keys:
            points += min(weight, 2.0)
    if line.topics:
        care = dict(zip(view.book.names, view.book.interests(persona.interest_keys), strict=True))
        points += min(care.get(line.topics[0], 0.0), 3.0) * 0.5
    return points


def is_identity_question(line: Line) -> bool:
    """Whether the message asks if we are bots; it gets the fixed honest answer."""
    return line.message.bot_id is None and question.is_identity_question(line.folded)


def _mentions_others(line: Line, roster: Mapping[int, Persona]) -> bool:
    own = [persona.handle for persona in roster.values()]
    return any(handle not in own for handle in line.handles)


def _full_name(spoken: Sequence[str], name: Sequence[str]) -> bool:
    """The whole name in order; only its last word may carry an ending."""
    if len(name) < 2:
        return False
    last = len(name) - 1
    return any(
        tuple(spoken[at : at + last]) == tuple(name[:last]) and is_form_of_name(spoken[at + last], name[last])
        for at in range(len(spoken) - last)
    )


def _first_name(line: Line, persona: Persona) -> bool:
    """Whether the first name is used as an address: called out, or bent beside a question or a request."""
    name = persona.first_name
    if len(name) < 2 or name not in line.folded:
        return False
    for clause in _CLAUSE.split(line.folded):
        spoken = words_of(clause)
        for at, word in enumerate(spoken):
            if not is_form_of_name(word, name):
                continue
            if word == name:
                if _is_called(spoken, at, line):
                    return True
            elif line.question or _REQUEST.search(line.folded):
                return True
    return False


def _is_called(spoken: Sequence[str], at: int, line: Line) -> bool:
    """A bare name is called out when it stands alone but for greetings and titles, or at an end of a question."""
    after = at + 1
    titled = after < len(spoken) and spoken[after] in HONORIFICS
    rest = spoken[after + titled :]
    before = spoken[:at]
    greeted = all(word in _GREETINGS for word in before)
    if greeted and not rest:
        return True
    if not rest and line.question and len(before) <= 8:
        return True  # "dolar ne olur Ali"
    return greeted and (line.question or titled or bool(_REQUEST.search(line.folded)))


def _borne(first_name: str, view: RoomView) -> bool:
    """Whether a member in the window bears the first name."""
    seen: dict[str, None] = {}
    for message in view.messages:
        if message.bot_id is None:
            seen[message.author] = None
    return any(first_name in words_of(fold(author))[:1] for author in seen)


def topic_of(line: Line, view: RoomView) -> str | None:
    """The topic an answer stays in: the message's, else the room's."""
    return line.topics[0] if line.topics else topic.current(view)
