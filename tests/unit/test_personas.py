"""The shipped personas: rich enough to be told apart, compact enough for a prompt, and lawful."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import combinations

import pytest

from piyasad.config import BotSettings, Settings
from piyasad.config.load import default_config, load
from piyasad.language.text import fold, stem, words
from piyasad.personas.profile import Persona
from piyasad.personas.prompt import CHARS_PER_TOKEN, system_text

NAMES = ("Mehmet Yatırımcı", "Ayşe Scalper", "Ali Hoca", "Zeynep Yeni")
HOURS = {
    "Mehmet Yatırımcı": ((9, 12), (14, 17), (20, 22)),
    "Ayşe Scalper": ((9, 18),),
    "Ali Hoca": ((10, 13), (15, 18), (21, 23)),
    "Zeynep Yeni": ((8, 23),),
}
# The rules that every persona's prompt carries; not the persona's own share.
RULES_START, RULES_END = "Kurallar:", "Yalnızca Türkçe yazarsın."


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load(default_config(), env={})


@pytest.fixture(scope="module")
def bots(settings: Settings) -> Mapping[str, BotSettings]:
    return {bot.name: bot for bot in settings.bots}


def texts(bot: BotSettings) -> list[str]:
    """Every text of a persona that somebody could read."""
    persona = bot.persona
    return [
        persona.hint,
        persona.tone,
        persona.risk_profile,
        *persona.never_do,
        *persona.style.pet_phrases,
        *persona.emotion.anecdotes,
        *persona.examples,
        *(relation.text for relation in persona.relations),
        *(stance.text for stance in bot.stances),
        *(held.note for held in bot.holdings),
    ]


def test_the_four_personas_are_there_with_their_hours(bots: Mapping[str, BotSettings]) -> None:
    assert tuple(bots) == NAMES
    for name, ranges in HOURS.items():
        assert [(hours.start, hours.end) for hours in bots[name].active_hours] == [(a * 60, b * 60) for a, b in ranges]


def test_ayse_is_the_fastest_with_twenty_seconds(bots: Mapping[str, BotSettings]) -> None:
    means = {name: bot.pace.mean_delay_seconds or 0.0 for name, bot in bots.items()}
    assert means["Ayşe Scalper"] == 20
    assert min(means, key=lambda name: means[name]) == "Ayşe Scalper"
    assert max(means, key=lambda name: means[name]) == "Ali Hoca"


@pytest.mark.parametrize("name", NAMES)
def test_every_persona_is_complete(bots: Mapping[str, BotSettings], name: str) -> None:
    bot = bots[name]
    persona = bot.persona
    assert all((persona.hint, persona.tone, persona.risk_profile, persona.watchlist, persona.emotion.tone))
    assert all((persona.style.register, persona.style.sentence, persona.style.emoji))
    assert 2 <= len(persona.style.pet_phrases) <= 3
    assert 3 <= len(persona.examples) <= 5
    assert len(persona.never_do) >= 3
    assert persona.emotion.anecdotes
    assert {relation.bot for relation in persona.relations} == set(NAMES) - {name}
    assert {stance.topic for stance in bot.stances} == {"BIST", "FX", "Kripto", "Makro"}
    assert all(stance.contradicts for stance in bot.stances)
    assert bot.holdings
    assert all("sanal" in held.note for held in bot.holdings)


@pytest.mark.parametrize("name", NAMES)
def test_a_personas_share_of_the_prompt_is_small(bots: Mapping[str, BotSettings], name: str) -> None:
    text = system_text(Persona.of(bots[name], 1))
    rules = text[text.index(RULES_START) : text.index(RULES_END) + len(RULES_END)]
    assert (len(text) - len(rules)) / CHARS_PER_TOKEN <= 450


def test_their_opinions_contradict_each_other(bots: Mapping[str, BotSettings]) -> None:
    for one, other in combinations(NAMES, 2):
        against = [stance for name in (one, other) for stance in bots[name].stances]
        sides = {topic: {s.side for s in against if s.topic == topic} for topic in ("BIST", "FX", "Kripto", "Makro")}
        assert any(len(found) > 1 for found in sides.values()), (one, other)
    said = {fold(stance.text) for bot in bots.values() for stance in bot.stances}
    denied = {fold(text) for bot in bots.values() for stance in bot.stances for text in stance.contradicts}
    assert len(said & denied) >= 2  # word for word, so that the stance guard and the room have something to rub against


def test_a_stance_is_short_enough_to_be_spoken(bots: Mapping[str, BotSettings]) -> None:
    for bot in bots.values():
        for stance in bot.stances:
            assert len(stance.text.split()) <= 8, stance.text  # nine words in a row would count as quoting the prompt


def test_symbols_are_on_the_allow_list(settings: Settings) -> None:
    allowed = set(settings.guards.allowed_symbols)
    for bot in settings.bots:
        named = [symbol for stance in bot.stances for symbol in stance.symbols] + [h.symbol for h in bot.holdings]
        assert set(named) <= allowed


def test_nothing_promises_orders_or_names_a_price(bots: Mapping[str, BotSettings]) -> None:
    forbidden = re.compile(
        r"\bgaranti(?!\w)|\bkesin kaz|\brisksiz|\bkacirma|\bhemen (?:al|sat)\b|\bhedef \d|https?|t\.me|@|% ?\d"
        r"|\d+ ?(?:tl|lira|\$|%)"
    )
    for bot in bots.values():
        for text in texts(bot):
            assert not forbidden.search(fold(text)), text


def test_they_are_told_apart_by_their_words(bots: Mapping[str, BotSettings]) -> None:
    spoken = {
        name: {stem(word) for text in (*bot.persona.examples, *bot.persona.style.pet_phrases) for word in words(text)}
        for name, bot in bots.items()
    }
    for one, other in combinations(NAMES, 2):
        shared = len(spoken[one] & spoken[other]) / min(len(spoken[one]), len(spoken[other]))
        assert shared <= 0.25, (one, other, spoken[one] & spoken[other])


def test_only_two_of_them_use_emoji_and_none_the_same(bots: Mapping[str, BotSettings]) -> None:
    emoji = {name: {c for line in bot.persona.examples for c in line if c > "\u2500"} for name, bot in bots.items()}
    assert [name for name in NAMES if emoji[name]] == ["Ayşe Scalper", "Zeynep Yeni"]
    assert not emoji["Ayşe Scalper"] & emoji["Zeynep Yeni"]
