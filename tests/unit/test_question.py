"""Which lines ask."""

from __future__ import annotations

import sys
import tomllib
import unicodedata
from pathlib import Path

import pytest

from piyasad.language.question import is_curious, is_open, is_question
from piyasad.language.text import fold

DATA = Path(__file__).parents[1] / "data"


def _lines(name: str) -> list[str]:
    return [line for line in (DATA / name).read_text("utf-8").splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("line", _lines("questions.txt"))
def test_these_ask_the_room(line: str) -> None:
    assert is_open(fold(line))


@pytest.mark.parametrize("line", _lines("statements.txt"))
def test_these_do_not_ask(line: str) -> None:
    assert not is_open(fold(line))


def test_the_lists_are_long_enough() -> None:
    assert len(_lines("questions.txt")) >= 40
    assert len(_lines("statements.txt")) >= 40


@pytest.mark.parametrize("line", ["", "😀", "?!", "...", "Ne alaka?", "Olur mu öyle şey"])
def test_nothing_and_rhetoric_want_no_answer(line: str) -> None:
    assert not is_open(fold(line))


def test_one_asking_sentence_makes_a_question() -> None:
    assert is_question(fold("Dolar düştü. Neden acaba. Bekliyorum."))


SPELLING = tomllib.loads((DATA / "spelling.toml").read_text("utf-8"))


@pytest.mark.parametrize("line", SPELLING["learn_asks"] + SPELLING["held_asks"])
def test_an_everyday_spelling_asks_too(line: str) -> None:
    assert is_open(fold(line))


@pytest.mark.parametrize("line", SPELLING["learn_tells"] + SPELLING["held_tells"])
def test_words_that_look_like_a_glued_particle_ask_nothing(line: str) -> None:
    assert not is_open(fold(line))


def test_a_question_without_composed_letters_is_the_same_question() -> None:
    for line in SPELLING["held_asks"]:
        assert is_open(fold(unicodedata.normalize("NFD", line)))


@pytest.mark.parametrize("unit", ["bu a a ", "geldimi ", "n'", "mi", "olurmu bot mu "])
def test_time_grows_no_faster_than_the_line(unit: str) -> None:
    """Counted in the interpreter's steps, not by a clock: four times the text, hardly more than four times the steps."""

    def steps(count: int) -> int:
        line, seen = unit * count, 0

        def step(_frame: object, _event: str, _argument: object) -> None:
            nonlocal seen
            seen += 1

        sys.setprofile(step)
        try:
            is_open(line)
        finally:
            sys.setprofile(None)
        return seen

    assert steps(800) <= 5 * steps(200) + 100


def test_curiosity_is_seen() -> None:
    assert is_curious(fold("Merak ediyorum, bunun sonu ne"))
    assert not is_curious(fold("Dolar düştü"))
