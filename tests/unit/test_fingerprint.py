"""The fingerprint of a line: what counts, what does not, and that it never changes."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piyasad.language.fingerprint import fingerprint

LINE = "Bence %2,5'lik düşüş abartılı; İSTANBUL'da altın 3.450 🙂"


@pytest.mark.parametrize(
    "other",
    [
        f"  {LINE}\n",
        LINE.replace(" ", "\u00a0"),
        LINE.lower(),
        LINE.upper(),
        unicodedata.normalize("NFD", LINE),
        LINE.replace("'", "’").replace(" 🙂", "").replace(";", " -"),
        LINE.replace("al", "a\u200bl"),
        "Bence ％２,５'lik düşüş abartılı; istanbul'da altın 3.450",
    ],
)
def test_case_spacing_signs_and_form_do_not_count(other: str) -> None:
    assert fingerprint(other) == fingerprint(LINE)


@pytest.mark.parametrize(
    "other",
    [
        LINE.replace("2,5", "25"),
        LINE.replace("%2,5", "2,5"),
        LINE.replace("%2,5", "-%2,5"),
        LINE.replace("abartılı", "abartısız"),
        LINE.replace("düşüş", "dusus"),
        f"{LINE} değil",
    ],
)
def test_a_changed_word_figure_or_sign_is_another_line(other: str) -> None:
    assert fingerprint(other) != fingerprint(LINE)


def test_a_hyphen_between_figures_is_no_sign_and_a_minus_is_one_however_it_is_written() -> None:
    assert fingerprint("3-4 gün") == fingerprint("3 - 4 gün".replace(" - ", "–"))
    assert fingerprint("faiz −5") == fingerprint("faiz -5") != fingerprint("faiz 5")


def test_a_line_of_emoji_alone_counts_as_it_is_written() -> None:
    assert fingerprint("👍") == fingerprint(" 👍 ") != fingerprint("👎")


def test_the_fingerprint_of_a_line_never_changes() -> None:
    """Rows of years ago hold it: if this fails, mend the code and not the test."""
    assert fingerprint(LINE).hex() == "790b6095cd25f21114f0aca566f04b3b2c480725b1515f33b7e7ef2801457ca7"


@given(st.text(st.characters(codec=None)))
def test_every_text_has_one(text: str) -> None:
    assert len(fingerprint(text)) == 32
