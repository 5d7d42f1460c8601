"""Whom a member's message speaks to. Pure; `inbound.py` calls it once for each message that comes in.

Telegram's own marks come first: a mention, a text_mention, a bot_command. Then a bot is spoken to by its full name, a
reply to one of its lines, or its first name used as an address; that counts only when no known member bears it and the
message replies to nobody else. A command is for whom it names: another bot's is nobody's business here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from piyasad.behaviour import topic
from piyasad.behaviour.people import to_a_person
from piyasad.language import identity
from piyasad.language.text import HONORIFICS, fold, is_form_of_name, words_of
from piyasad.language.vocative import GREETINGS

if TYPE_CHECKING:
    from piyasad.chat.window import Line, RoomView
    from piyasad.model import Message, Received
    from piyasad.personas.profile import Persona

_CLAUSE: Final = re.compile(r"[.!?…,;:\n]+")

_REQUEST: Final = re.compile(
    r"\b(?:sor\w*|soyle\w*|anlat\w*|yorum\w*|fikr\w*|gorus\w*"
    r"|cevap\w*|acikla\w*|dinle\w*|katil\w+|ne d[ei][ry]\w*|bak\w*)\b"
)
"""Words beside which a first name with an ending is an address ("Ali'ye soralım", "Mehmet'in fikri")."""


_COMMAND: Final = re.compile(r"(/[a-z0-9_]{1,32})(?:@([a-z0-9_]{3,32}))?(?!\w)", re.IGNORECASE)
"""A command at the start of a text, for messages that come without Telegram's marks."""


class Command(NamedTuple):
    """What a message orders: the command with its slash, and the bot that it names; both in lower case."""

    name: str
    handle: str = ""


def command_of(message: Message | Received) -> Command | None:
    """The command that a message begins with, whoever it is for; None where it begins with none."""
    for mention in message.mentions:
        if mention.command and not mention.offset:
            return Command(mention.command, mention.handle)
    found = None if message.mentions else _COMMAND.match(message.text)
    return Command(found[1].lower(), (found[2] or "").lower()) if found else None


def addressed(
    line: Line, view: RoomView, roster: Mapping[int, Persona], *, borne: Collection[str] = ()
) -> tuple[int, ...]:
    """The bots that a member's message speaks to, by id, in the roster's order; empty for a bot's own line.

    Args:
        roster: all bots of the chat, also those that are asleep or belong to another shard.
        borne: folded first names of members beyond those whom the window shows.
    """
    message = line.message
    if message.bot_id is not None:
        return ()
    order = command_of(message)
    if order is not None:
        return tuple(bot_id for bot_id, persona in roster.items() if persona.handle == order.handle)
    found = {bot_id for bot_id in roster if any(mention.user_id == bot_id for mention in message.mentions)}
    if line.answers is not None and line.answers.bot_id in roster:
        found.add(line.answers.bot_id or 0)
    for bot_id, persona in roster.items():
        if persona.handle in line.handles or _full_name(line.words, persona.name_words):
            found.add(bot_id)
    if not found and message.reply_to is None and not _mentions_others(line, roster):
        for bot_id, persona in roster.items():
            if _first_name(line, persona) and persona.first_name not in borne and not _borne(persona.first_name, view):
                found.add(bot_id)
    return tuple(bot_id for bot_id in roster if bot_id in found)


def for_anybody(line: Line, roster: Mapping[int, Persona], spoken_to: Sequence[int]) -> bool:
    """Whether a member's message is a question to nobody: one bot answers it."""
    handles = frozenset(persona.handle for persona in roster.values())
    return (
        line.message.bot_id is None
        and not spoken_to
        and line.open_question
        and command_of(line.message) is None
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
    """Whether the message asks if somebody is a bot; `asked_identity` tells whether it is asked of us."""
    return line.message.bot_id is None and identity.is_identity_question(line.folded)


def asked_identity(line: Line, view: RoomView, roster: Mapping[int, Persona], spoken_to: Sequence[int]) -> int | None:
    """The bot that gives the honest answer: the one that was asked, else the last that spoke; None: not asked of us.

    What members ask each other, and what other bots are ordered to do, is not asked of us.

    Args:
        roster: all bots of the chat.
        spoken_to: what `addressed` says of the message.
    """
    if not roster or not is_identity_question(line):
        return None
    if spoken_to:
        return spoken_to[0]
    handles = frozenset(persona.handle for persona in roster.values())
    if command_of(line.message) is not None or to_a_person(line, handles):
        return None
    for message in reversed(view.messages):
        if message.bot_id in roster:
            return message.bot_id
    return next(iter(roster))


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
    greeted = all(word in GREETINGS for word in before)
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
