"""Which guards the settings switch on, in their order. `build.py` and a reload ask."""

from __future__ import annotations

from piyasad.config import Settings
from piyasad.guards.case import Guard
from piyasad.guards.language import LanguageGuard
from piyasad.guards.repetition import RepetitionGuard
from piyasad.guards.safety import SafetyGuard
from piyasad.guards.speaker import SpeakerGuard


def guards_of(settings: Settings) -> list[Guard]:
    """The guards that the settings switch on."""
    rules = settings.guards
    english = any(settings.conversation_for(chat.id).language == "en" for chat in settings.chats)
    guards: list[Guard] = [
        SpeakerGuard(),
        RepetitionGuard(rules.repetition_hours, rules.similarity),
        LanguageGuard(english=english),
    ]
    if rules.safety:
        guards.append(SafetyGuard())
    return guards
