"""The voices of the offline grammar: each a file of lines and habits. `grammar.py` picks one for a persona.

Four voices are written: patient, fast, scholar, newcomer. A persona that nobody foresaw gets the nearest by its own
description, its own pet phrases, emoji, watchlist and stances, and a part of the voice's lines that is its own.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from zlib import crc32

from piyasad.language.text import fold
from piyasad.providers.interface import Brief
from piyasad.providers.offline.template import Line, compile_line, slots_of

_EMOJI: Final = re.compile("[\u2600-\u27bf\u26a1\U0001f300-\U0001faff]")
_EMOJI_BY_EXAMPLE: Final = 0.15
_ASIDE: Final = frozenset(
    {"signs", "names", "address", "emoji", "pets", "vocatives", "emoji_share", "technical", "pet_share"}
)


@dataclass(frozen=True, slots=True)
class Wording:
    """One compiled line and which words it needs."""

    line: Line
    slots: frozenset[str]


@dataclass(frozen=True, slots=True)
class Voice:
    """A way of speaking. `pools` maps a rule ("view.stock", "theme.long") to its lines."""

    name: str
    signs: tuple[str, ...]
    names: tuple[str, ...]
    address: str
    emoji: tuple[str, ...]
    emoji_share: float
    technical: float
    pet_share: float
    pets: Mapping[str, tuple[str, ...]]
    vocatives: Mapping[str, tuple[str, ...]]
    sides: Mapping[str, int]
    pools: Mapping[str, tuple[Wording, ...]]

    @classmethod
    def of(cls, name: str, data: Mapping[str, Any]) -> Voice:
        """A voice from its file.

        Raises:
            ValueError: a line that cannot be read.
        """
        pools = {rule: tuple(map(_wording, lines)) for rule, lines in _rules(data, "")}
        return cls(
            name=name,
            signs=tuple(map(fold, data["signs"])),
            names=tuple(map(fold, data["names"])),
            address=data["address"],
            emoji=tuple(data["emoji"]),
            emoji_share=float(data["emoji_share"]),
            technical=float(data["technical"]),
            pet_share=float(data["pet_share"]),
            pets={fold(phrase): tuple(places) for phrase, places in data["pets"].items()},
            vocatives={fold(person): tuple(calls) for person, calls in data["vocatives"].items()},
            sides={theme: int(entry["side"]) for theme, entry in data["theme"].items()},
            pools=pools,
        )


def _wording(text: str) -> Wording:
    line = compile_line(text)
    return Wording(line, slots_of(line))


def _rules(data: Mapping[str, Any], above: str) -> Iterator[tuple[str, Sequence[str]]]:
    for key, value in data.items():
        if not above and key in _ASIDE:
            continue
        rule = f"{above}.{key}" if above else key
        if isinstance(value, Mapping):
            yield from _rules(value, rule)
        elif isinstance(value, list):
            yield rule.removesuffix(".lines"), value


@dataclass(frozen=True, slots=True)
class Manner:
    """A persona's own use of a voice."""

    voice: Voice
    siz: bool
    emoji: tuple[str, ...]
    emoji_share: float
    pets: tuple[tuple[str, tuple[str, ...]], ...]
    pet_keys: tuple[str, ...]
    pools: Mapping[str, tuple[Wording, ...]]


def manner(brief: Brief, voices: Sequence[Voice]) -> Manner:
    """How the persona of a brief speaks. Depends on the persona alone, so the caller may keep it."""
    name = fold(brief.persona or brief.name)
    voice, known = _nearest(brief, name, voices)
    emoji = tuple(dict.fromkeys(sign for example in brief.examples for sign in _EMOJI.findall(example)))
    if not brief.examples:
        emoji = voice.emoji
    pets = tuple((phrase, voice.pets.get(fold(phrase), ("tail",))) for phrase in brief.pet_phrases)
    return Manner(
        voice=voice,
        siz=(brief.address or voice.address) == "siz",
        emoji=emoji,
        emoji_share=(voice.emoji_share or _EMOJI_BY_EXAMPLE) if emoji else 0.0,
        pets=pets,
        pet_keys=tuple(fold(phrase) for phrase, _ in pets),
        pools=voice.pools if known else {rule: _own(name, pool) for rule, pool in voice.pools.items()},
    )


def _nearest(brief: Brief, name: str, voices: Sequence[Voice]) -> tuple[Voice, bool]:
    about = fold(" ".join((brief.tone, brief.risk_profile)))
    wider = fold(" ".join((*brief.examples, *brief.pet_phrases, *(text for _, text, _ in brief.stances))))

    def score(voice: Voice) -> float:
        own = sum(1.0 for sign in voice.signs if re.search(rf"\b{re.escape(sign)}", about))
        own += sum(0.2 for sign in voice.signs if re.search(rf"\b{re.escape(sign)}", wider))
        return own + 0.1 * (voice.address == brief.address) + 0.5 * any(name.startswith(known) for known in voice.names)

    # where nothing tells, the name decides, always in the same way
    first = crc32(name.encode()) % len(voices)
    order = [*voices[first:], *voices[:first]]
    voice = max(order, key=score)
    return voice, any(name.startswith(known) for known in voice.names)


def _own(name: str, pool: tuple[Wording, ...]) -> tuple[Wording, ...]:
    """The part of a pool that a persona uses: two that share a voice do not share all its lines."""
    if len(pool) < 4:
        return pool
    keep = max(3, round(len(pool) * 0.7))
    chosen = sorted(random.Random(f"{name}/{len(pool)}").sample(range(len(pool)), keep))
    return tuple(pool[index] for index in chosen)
