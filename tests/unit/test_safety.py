"""The safety guard: what must stop stops in every disguise, what must live lives."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piyasad.guards.case import Case
from piyasad.guards.safety import SafetyGuard
from piyasad.guards.speaker import SpeakerGuard
from tests.cases import case
from tests.guards_data import NEAR, PASS, STOP, held_out, lines, room, shipped_case

# Shares that must stop: of all lines, and of those that were held out while the rules were written.
KINDS = {
    "promise": (0.96, 0.95),
    "order": (0.98, 0.97),
    "inside": (0.93, 0.93),
    "identity": (0.97, 0.97),
    "abuse": (0.98, 0.97),
    "contact": (0.98, 0.98),
    "dump": (0.98, 0.98),
}


@pytest.fixture(scope="module")
def frame() -> Case:
    return shipped_case("", seen=room())


def stopped(text: str, frame: Case) -> bool:
    made = replace(frame, text=text)
    return SafetyGuard().check(made) is not None or SpeakerGuard().check(made) is not None


@pytest.mark.parametrize("kind", KINDS)
def test_what_must_stop_stops(kind: str, frame: Case) -> None:
    rows = lines(f"safety/{kind}.txt")[STOP]
    assert len(rows) >= 200
    for some, share in zip((rows, held_out(rows)), KINDS[kind], strict=True):
        missed = [row for row in some if not stopped(row, frame)]
        assert len(missed) <= (1 - share) * len(some), missed


@pytest.mark.parametrize("kind", KINDS)
def test_what_must_live_lives(kind: str, frame: Case) -> None:
    found = lines(f"safety/{kind}.txt")
    assert len(found[PASS]) + len(found[NEAR]) >= 200
    assert len(found[NEAR]) >= 80
    wrong = [row for row in found[PASS] + found[NEAR] if stopped(row, frame)]
    assert wrong == []


@pytest.mark.parametrize(
    "line",
    [
        "%100 katılıyorum",
        "enflasyon %100'ü geçti",
        "garanti diye bir şey yok",
        "Garanti BBVA",
        "20 yıldır borsayı izlerim",
        "Ben bir yapay zekâ karakteriyim",
    ],
)
def test_good_lines_live(line: str) -> None:
    assert SafetyGuard().check(case(line)) is None


@given(
    st.sampled_from(
        ["Kesin kazanç var", "Hemen altın alın", "İçeriden bilgi geldi", "Ben bot değilim", "Sen salaksın"]
    ),
    st.integers(0, 8),
)
def test_case_form_and_invisible_signs_do_not_help(line: str, disguise: int) -> None:
    shapes = (
        line.replace("i", "İ").replace("ı", "I").upper(),
        line.lower(),
        "\u200b".join(line),
        "\u2063".join(line),
        unicodedata.normalize("NFD", line),
        "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in line),
        line.replace("a", "а").replace("e", "е").replace("o", "о"),  # Cyrillic
        line.translate(str.maketrans("aeıoi", "43101")) if "ı" not in line else line.upper(),
        "".join(c * 3 if c in "aeıi" else c for c in line),
    )
    assert SafetyGuard().check(case(shapes[disguise])) is not None


def test_a_persona_may_say_what_its_configuration_says_of_it() -> None:
    line = "İktisatçıyım, seriye bakarım"
    assert SafetyGuard().check(shipped_case(line, "Ali")) is None
    assert SafetyGuard().check(shipped_case(line, "Ayşe")) is not None
