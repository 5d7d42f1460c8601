"""The repetition guard: no bot says the same again, and the room does not echo."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from piyasad.chat.window import Line, Room
from piyasad.guards.repetition import RepetitionGuard, similar, worn_stems
from piyasad.language.text import normalise, signature, trigrams
from tests.cases import CHAT, case, line, persona

GUARD = RepetitionGuard(hours=12, similarity=0.85)
OTHER = persona(8, "Ayşe Scalper", "ayse_scalper_bot")
WORDS = st.sampled_from(
    [
        "kur",
        "faiz",
        "dolar",
        "bugün",
        "yatay",
        "sakin",
        "enflasyon",
        "veri",
        "bekliyor",
        "altın",
        "banka",
        "hacim",
        "düşük",
        "yüksek",
    ]
)
TEXTS = st.lists(WORDS, min_size=1, max_size=14).map(" ".join)


def room(*texts: str) -> tuple[Line, ...]:
    made = Room(CHAT)
    made.fill(line(number, text, bot=OTHER, at=float(number)) for number, text in enumerate(texts, 1))
    return made.view().lines


def test_an_equal_text_waits_twelve_hours_however_it_is_dressed() -> None:
    said = {normalise("Kur sakin, faiz bekliyor bugün."): 0.0}
    again = "KUR SAKİN faiz bekliyor... bugün!"
    assert GUARD.check(case(again, recent=said, now=12 * 3600 - 1)) is not None
    assert GUARD.check(case(again, recent=said, now=12 * 3600 + 1)) is None


def test_short_lines_may_repeat_but_only_two_an_hour() -> None:
    said = {normalise("Aynen öyle"): 0.0}
    assert GUARD.check(case("Aynen öyle", recent=said, short=[0.0], now=60)) is None
    assert GUARD.check(case("Aynen öyle", recent=said, short=[0.0, 30.0], now=60)) is not None
    assert GUARD.check(case("Aynen öyle", recent=said, short=[0.0, 30.0], now=3631)) is None


def test_a_line_opens_unlike_the_last_twenty() -> None:
    filler = [f"Satır {number} başka bir şeyden söz ediyor" for number in range(19)]
    heard = room("Bana kalırsa bugün hacim zayıf kaldı", *filler)
    found = GUARD.check(case("Bana kalırsa bugün altın konuşulur, kur değil.", lines=heard))
    assert found is not None
    assert found.rewrites == 2
    older = room("Bana kalırsa bugün hacim zayıf kaldı", *filler, "Yirminci satır da var artık")
    assert GUARD.check(case("Bana kalırsa bugün altın konuşulur, kur değil.", lines=older)) is None


def test_a_line_too_like_one_of_the_last_fifty_is_an_echo() -> None:
    heard = room("Enflasyon verisi geldi, piyasa bunu haftalardır bekliyordu zaten")
    echo = "Bence enflasyon verisi geldi, piyasa bunu haftalardır bekliyordu zaten"
    assert GUARD.check(case(echo, lines=heard)) is not None
    assert GUARD.check(case("Veri beklentiye yakın, asıl soru faiz tarafında", lines=heard)) is None


@given(TEXTS, TEXTS, st.floats(0.5, 0.95))
def test_the_fingerprint_never_hides_a_similar_line(one: str, other: str, threshold: float) -> None:
    first, second = trigrams(one), trigrams(other)
    alike = bool(first or second) and 2 * len(first & second) >= threshold * (len(first) + len(second))
    assert similar(first, second, threshold) == alike
    spare = len(first) - threshold * (len(first) + len(second)) / 2
    if alike:
        assert (signature(first) & ~signature(second)).bit_count() <= spare


def test_worn_words_are_those_in_over_a_fifth_of_the_last_lines() -> None:
    texts = [f"Bilanço dönemi satır {number}" if number % 3 == 0 else f"Söz {number} kurdan" for number in range(30)]
    worn = worn_stems(room(*texts))
    assert "bilanco" in worn
    assert worn_stems(room(*texts), frozenset({"bilanco"})).count("bilanco") == 0
    assert worn_stems(room(*texts[:5])) == []
