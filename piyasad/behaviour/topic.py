"""Topics: what a line is about, what a persona cares about, and which topic a bot opens next. Pure.

A chat's topics are names from the configuration; the words that belong to well-known ones stand here as data.
A topic of which a bot said three lines in an hour cools down for it: it neither opens nor continues it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import TYPE_CHECKING, Final

from piyasad.config import DEFAULT_SYMBOLS
from piyasad.text import fold, stem, words_of

if TYPE_CHECKING:
    from piyasad.personas.profile import Persona
    from piyasad.room import RoomView

COOL_AFTER: Final = 3
"""Lines of one bot on one topic …"""

COOL_SECONDS: Final = 3600.0
"""… in this time let the topic cool down for it (behaviour 3)."""

HEARD_LINES: Final = 30
"""How far back a topic counts as heard lately when a new one is drawn."""

CURRENT_LINES: Final = 6
"""The last lines that say what the room is talking about now."""

_CURRENCIES: Final = ("usd", "eur", "gbp", "chf", "jpy", "try", "dxy")

# Group: words by which a configured topic is recognised as this group, then further words of a line about it.
_GROUPS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "bist": (
        ("bist", "borsa", "hisse", "endeks", "bist30", "bist100", "xu100", "hisseler"),
        ("temettu", "bilanco", "halka", "arz", "banka", "sanayi", "tavan", "taban", "lot", "seans", "ticker", "sirket"),
    ),
    "fx": (
        ("fx", "doviz", "kur", "parite", "forex", "dolar", "euro"),
        ("avro", "sterlin", "frank", "yen", "lira", "kurlar", "dolarizasyon", "tl"),
    ),
    "kripto": (
        ("kripto", "crypto", "coin", "bitcoin", "blokzincir"),
        ("ethereum", "altcoin", "cuzdan", "halving", "btcusdt", "stablecoin", "token", "ether", "madencilik"),
    ),
    "makro": (
        ("makro", "macro", "ekonomi", "enflasyon", "faiz", "iktisat"),
        (
            "tcmb",
            "fed",
            "ppk",
            "merkez",
            "tufe",
            "ufe",
            "buyume",
            "issizlik",
            "gsyh",
            "butce",
            "cari",
            "resesyon",
            "tahvil",
        ),
    ),
    "altin": (
        ("altin", "gumus", "emtia", "ons", "gram", "maden", "kiymetli"),
        ("ceyrek", "xau", "xag", "petrol", "brent", "kulce"),
    ),
}


def _group_of_symbol(symbol: str) -> str:
    if "btc" in symbol or "eth" in symbol or symbol.endswith("usdt"):
        return "kripto"
    if symbol.startswith(("xau", "xag")):
        return "altin"
    if any(symbol.startswith(code) and len(symbol) in {3, 6} for code in _CURRENCIES):
        return "fx"
    return "bist"


@dataclass(frozen=True, slots=True)
class TopicBook:
    """A chat's topics with the words that point to them. Build it once per chat with `of`."""

    names: tuple[str, ...]
    index: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, topics: Sequence[str]) -> TopicBook:
        """The book of a chat's configured topics, in their order."""
        index: dict[str, list[int]] = {}
        groups: dict[str, int] = {}

        def point(word: str, position: int) -> None:
            places = index.setdefault(stem(word), [])
            if position not in places:
                places.append(position)

        for position, name in enumerate(topics):
            own = words_of(fold(name))
            for word in own:
                point(word, position)
                for group, (aliases, _) in _GROUPS.items():
                    if word in aliases:
                        groups.setdefault(group, position)
        if "altin" not in groups and "fx" in groups:
            groups["altin"] = groups["fx"]  # gold is talked about with currencies where it has no topic of its own
        named = tuple(index)
        for group, position in groups.items():
            for word in (*_GROUPS[group][0], *_GROUPS[group][1]):
                if stem(word) not in named:  # a topic called by that very word keeps it for itself
                    point(word, position)
        for symbol in map(fold, DEFAULT_SYMBOLS):
            if _group_of_symbol(symbol) in groups and stem(symbol) not in named:
                point(symbol, groups[_group_of_symbol(symbol)])
        return cls(tuple(topics), {word: tuple(places) for word, places in index.items()})

    def about(self, stems: Sequence[str]) -> tuple[str, ...]:
        """The topics that stems of a line point to, the strongest first."""
        index = self.index
        counts: dict[int, int] = {}
        for word in stems:
            for position in index.get(word, ()):
                counts[position] = counts.get(position, 0) + 1
        if not counts:
            return ()
        order = sorted(counts, key=lambda position: (-counts[position], position))
        return tuple(self.names[position] for position in order)

    def interests(self, persona: Persona) -> tuple[float, ...]:
        """How much a persona cares about each topic, in the order of `names`; 0 where nothing points to it."""
        weights = [0.0] * len(self.names)
        for key, weight in persona.interest_keys:
            for position in self.index.get(key, ()):
                weights[position] += weight
        return tuple(weights)


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
    care = dict(zip(names, view.book.interests(persona), strict=True))
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
