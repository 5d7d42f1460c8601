"""A persona, as the pure core sees it: the configured texts plus the keys that matching needs, computed once.

The engine builds one per bot at start and reload; behaviour, prompt and guards read it. It never changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from piyasad.config import BotSettings, EmotionSettings, HoldingSettings, StanceSettings, StyleSettings
from piyasad.language.text import fold, stem, words_of

_BEGINNER = (
    "acemi",
    "yeni basla",
    "caylak",
    "ogreniyor",
    "ogrenmeye",
    "merakli",
    "beginner",
    "newcomer",
    "yeni yatirimci",
)
_TERSE = ("kisa", "kesik", "oz ", "tek cumle", "short", "terse")
_WORDY = ("uzun", "ayrinti", "anlatir", "long", "wordy")
_EMPATHIC = 0.5  # above it, says the configuration


def _term(text: str) -> tuple[str, ...]:
    return tuple(stem(word) for word in words_of(fold(text)))


def _wordiness(style: str) -> float:
    if any(sign in style for sign in _TERSE):
        return 0.6
    return 1.4 if any(sign in style for sign in _WORDY) else 1.0


@dataclass(frozen=True, slots=True)
class Persona:
    """Who a bot is. Build it with `of`; the fields from `handle` on are derived from the configured ones."""

    bot_id: int
    name: str
    username: str
    tone: str
    risk_profile: str
    watchlist: tuple[str, ...]
    never_do: tuple[str, ...]
    style: StyleSettings
    emotion: EmotionSettings
    examples: tuple[str, ...]
    relations: Mapping[str, str]
    stances: tuple[StanceSettings, ...]
    holdings: tuple[HoldingSettings, ...]
    hint: str

    handle: str
    """The username in lower case."""
    first_name: str
    """The folded first word of the name."""
    name_words: tuple[str, ...]
    """The folded words of the name."""
    name_key: str
    """The folded name, by which relations know it."""
    watch_terms: tuple[tuple[str, ...], ...]
    """The stems of each watched symbol or subject; a line that has all stems of one names it."""
    interest_keys: tuple[tuple[str, float], ...]
    """Stems of what it cares about with their weights: stances most, then the watchlist, then holdings."""
    related: frozenset[str]
    """Folded names and usernames of the bots it has a relation to."""
    beginner: bool
    """A newcomer by its own description: it may ask more."""
    empathic: bool
    """It turns to lines in a low mood."""
    wordiness: float
    """How much longer than others it writes, by its style: about 0.6 for short lines, 1.4 for long ones."""

    @classmethod
    def of(cls, bot: BotSettings, bot_id: int) -> Persona:
        """The persona of a configured bot under its Telegram id."""
        persona = bot.persona
        name_words = tuple(words_of(fold(bot.name)))
        about = fold(f"{persona.hint} {persona.risk_profile} {persona.tone}")
        interests: dict[str, float] = {}
        for stance in bot.stances:
            for key in (*_term(stance.topic), *(fold(symbol) for symbol in stance.symbols)):
                interests[stem(key)] = interests.get(stem(key), 0.0) + 2.0 * stance.confidence
        for symbol in persona.watchlist:
            for key in _term(symbol):
                interests[key] = interests.get(key, 0.0) + 1.0
        for holding in bot.holdings:
            for key in _term(holding.symbol):
                interests[key] = interests.get(key, 0.0) + 0.5
        return cls(
            bot_id=bot_id,
            name=bot.name,
            username=bot.username,
            tone=persona.tone,
            risk_profile=persona.risk_profile,
            watchlist=persona.watchlist,
            never_do=persona.never_do,
            style=persona.style,
            emotion=persona.emotion,
            examples=persona.examples,
            relations=MappingProxyType({relation.bot: relation.text for relation in persona.relations}),
            stances=bot.stances,
            holdings=bot.holdings,
            hint=persona.hint,
            handle=bot.username.lower(),
            first_name=name_words[0] if name_words else "",
            name_words=name_words,
            name_key=fold(bot.name),
            watch_terms=tuple(term for term in map(_term, persona.watchlist) if term),
            interest_keys=tuple(interests.items()),
            related=frozenset(fold(relation.bot.removeprefix("@")) for relation in persona.relations),
            beginner=any(sign in about for sign in _BEGINNER),
            empathic=persona.emotion.empathy > _EMPATHIC,
            wordiness=_wordiness(fold(f"{persona.style.sentence} {persona.style.text}")),
        )

    def knows(self, other: Persona) -> bool:
        """Whether a relation to another bot is configured, by its name or its username."""
        return other.name_key in self.related or other.handle in self.related
