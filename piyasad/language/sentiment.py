"""The mood of a line by its words. Pure, on stems."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from piyasad.language.text import stem

# Folded words that tell a line's mood; they are compared by their stems.
_GOOD: Final = frozenset(
    map(stem, (
        "guzel", "super", "harika", "iyi", "sevindim", "sevindirici", "tebrikler", "bravo", "basarili",
        "umut", "umutlu", "mutlu", "keyifli", "keyif", "tesekkurler", "sagol", "eyvallah", "yukseldi",
        "yukselis", "toparladi", "toparlandi", "rekor", "guclu", "olumlu", "katiliyorum", "haklisin",
        "hakli", "sahane", "mukemmel", "kazandi",
    ))
)  # fmt: skip
_BAD: Final = frozenset(
    map(stem, (
        "kotu", "berbat", "uzgun", "uzuldum", "uzucu", "zarar", "zararda", "kayip", "kaybettim", "kaybetti",
        "dustu", "dusus", "cakildi", "coktu", "panik", "korku", "korkuyorum", "korkutuyor", "endise",
        "endiseli", "maalesef", "yazik", "stres", "stresli", "sikinti", "sikintili", "batti", "eridi",
        "kriz", "olumsuz", "sinirli", "kaygi", "kaygili",
    ))
)  # fmt: skip


def sentiment(stems: Iterable[str]) -> int:
    """The mood of a line by its stems: 1 good, -1 bad, 0 neither."""
    score = 0
    for word in stems:
        if word in _GOOD:
            score += 1
        elif word in _BAD:
            score -= 1
        elif word == "degil":
            score = -score
    return (score > 0) - (score < 0)
