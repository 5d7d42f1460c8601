"""What was said lately, as the offline grammar needs it: openings, sentences, subjects, pet phrases, emoji.

Works on a brief's history alone; what is kept between calls is pure work by text (a line stays in the history of many
turns), so the same brief always meets the same past.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from zlib import crc32

from piyasad.language.text import fold, words_of
from piyasad.providers.interface import Brief
from piyasad.providers.offline.lexicon import Lexicon, Reading

_OPENINGS: Final = 20
_OWN_LINES: Final = 6
_ALIKE: Final = 0.6
_SHORT: Final = 3
_SENTENCE: Final = re.compile(r"[^.!?…;]+")
_KEEP: Final = 4096

_BITS: Final = 1021
"""Words are compared by bits: two sentences of a chat share one by accident in about one word of a thousand."""


Part = tuple[int, float]
"""A sentence: bits of its words, and how many of them another sentence must share to be like it."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A line of the history, worked out once."""

    folded: str
    opening: tuple[str, ...]
    emoji: bool
    sentences: tuple[Part, ...]


@dataclass(slots=True)
class Past:
    """The room before this line, from the speaker's side."""

    lines: tuple[str, ...]
    own_last: bool
    pet_free: bool
    emoji_lately: bool
    openings: frozenset[tuple[str, ...]]
    sentences: tuple[Part, ...]
    read: Callable[[str], Reading]

    def heard(self, raw: str) -> bool:
        """Whether a sentence shares most of its words with one said lately."""
        for bits, enough in _parts(fold(raw)):
            for others, needed in self.sentences:
                if (bits & others).bit_count() >= (enough if enough < needed else needed):
                    return True
        return False

    def opens_alike(self, text: str) -> bool:
        """Whether a line begins with the three words of one of the last lines."""
        return tuple(words_of(fold(text))[:3]) in self.openings

    def subjects(self, count: int) -> list[str]:
        """The keys of what the last lines were about."""
        return [subject.key for line in self.lines[-count:] for subject in self.read(line).subjects]


class Recent:
    """Turns histories into pasts. Bounded caches by text."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        self._heard: dict[str, Heard] = {}
        self._readings: dict[str, Reading] = {}

    def key(self, name: str) -> str:
        """The key under which a name is compared."""
        return fold(name)

    def reading(self, text: str) -> Reading:
        """What a line says to the grammar."""
        known = self._readings.get(text)
        if known is None:
            if len(self._readings) >= _KEEP:
                self._readings.clear()
            known = self._readings[text] = self._lexicon.read(text)
        return known

    def past(self, brief: Brief) -> Past:
        """The past of a brief."""
        lines = [self._line(text) for _, text in brief.history]
        own = [line for (author, _), line in zip(brief.history, lines, strict=True) if author == brief.name]
        pets = [fold(phrase) for phrase in brief.pet_phrases]
        return Past(
            lines=tuple(text for _, text in brief.history),
            own_last=bool(brief.history) and brief.history[-1][0] == brief.name,
            pet_free=not any(pet in line.folded for line in own[-_OWN_LINES:] for pet in pets),
            emoji_lately=any(line.emoji for line in own[-2:]),
            openings=frozenset(line.opening for line in lines[-_OPENINGS:]),
            sentences=tuple(part for line in lines for part in line.sentences),
            read=self.reading,
        )

    def _line(self, text: str) -> Heard:
        known = self._heard.get(text)
        if known is None:
            if len(self._heard) >= _KEEP:
                self._heard.clear()
            folded = fold(text)
            known = self._heard[text] = Heard(
                folded, tuple(words_of(folded)[:3]), any(sign > "\u2500" for sign in text), _parts(folded)
            )
        return known


def _parts(folded: str) -> tuple[Part, ...]:
    """The sentences of a folded line; those too short to compare are left out."""
    found = []
    for text in _SENTENCE.findall(folded):
        words = set(words_of(text))
        if len(words) > _SHORT:
            bits = 0
            for word in words:
                bits |= 1 << (crc32(word.encode()) % _BITS)
            found.append((bits, _ALIKE * len(words)))
    return tuple(found)
