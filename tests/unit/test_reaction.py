"""Moods and the emoji that fit them."""

from __future__ import annotations

import random

import pytest

from piyasad.behaviour import reaction
from piyasad.language.sentiment import sentiment
from piyasad.language.text import fold, stem, words

RNG = random.Random(1)


def _mood(line: str) -> str:
    spoken = words(line)
    return reaction.mood(fold(line), spoken, sentiment(map(stem, spoken)), question="?" in line)


@pytest.mark.parametrize(
    ("line", "mood"),
    [
        ("Harika bir gün, endeks rekor kırdı", "good"),
        ("Zarardayım, çok üzüldüm", "bad"),
        ("Kötü değil", "good"),
        ("Hahaha yine mi", "fun"),
        ("Teşekkürler hocam", "thanks"),
        ("Dolar ne olur?", "question"),
        ("Yarın veri var", "plain"),
    ],
)
def test_the_mood_of_a_line(line: str, mood: str) -> None:
    assert _mood(line) == mood


@pytest.mark.parametrize("mood", ["good", "bad", "fun", "thanks", "question", "plain"])
def test_every_mood_has_standard_emoji(mood: str) -> None:
    for _ in range(30):
        assert reaction.choose(mood, None, RNG) in reaction.STANDARD


def test_only_the_chats_emoji_are_used_and_none_where_none_fits() -> None:
    assert {reaction.choose("good", ["🔥", "💩"], RNG) for _ in range(20)} == {"🔥"}
    assert reaction.choose("good", ["💩"], RNG) is None
    assert reaction.choose("good", [], RNG) is None


def test_the_chart_is_no_telegram_reaction() -> None:
    assert "📈" not in reaction.STANDARD
    assert len(set(reaction.STANDARD)) == len(reaction.STANDARD) == 73
