"""How long a line is to be, and whether it may end in a question. Pure; intents carry the result, prompts obey it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from piyasad.config import ConversationSettings
from piyasad.model import IntentKind, Length

if TYPE_CHECKING:
    from piyasad.chat.window import RoomView
    from piyasad.personas.profile import Persona

QUESTION_SHARE: Final = 0.25
"""At most one line in four ends in a question …"""

BEGINNER_SHARE: Final = 0.5
"""… of a beginner's two (behaviour 3)."""

_RECENT_OWN: Final = 8


def _bent(persona: Persona, kind: IntentKind, *, explains: bool) -> float:
    """How much longer than usual: below 1 for a plain reply or a terse persona, above for an answered question."""
    bend = 1.0
    if kind is IntentKind.REPLY:
        bend *= 0.7
    if explains:
        bend *= 1.8
    return bend * persona.wordiness


def draw(
    rng: random.Random,
    conversation: ConversationSettings,
    persona: Persona,
    kind: IntentKind,
    *,
    explains: bool = False,
) -> Length:
    """Draw a length from the configured shares, bent by the occasion and the persona.

    Args:
        explains: the line answers a question or tells news.
    """
    bend = _bent(persona, kind, explains=explains)
    shares = conversation.length
    short, medium, long = shares.short, shares.medium * bend, shares.long * bend * bend
    mark = rng.random() * (short + medium + long)
    if mark < short:
        return Length.SHORT
    return Length.MEDIUM if mark < short + medium else Length.LONG


def may_ask(persona: Persona, view: RoomView, rng: random.Random) -> bool:
    """Whether the line may end in a question: the persona's share over its last lines is kept, by count."""
    share = BEGINNER_SHARE if persona.beginner else QUESTION_SHARE
    mark = rng.random()
    if mark >= 2 * share:
        return False
    own = asked = 0
    for line in reversed(view.lines):
        if line.message.bot_id == persona.bot_id:
            own += 1
            asked += line.question
            if own == _RECENT_OWN:
                break
    return asked + 1 <= share * (own + 1) if own else mark < share
