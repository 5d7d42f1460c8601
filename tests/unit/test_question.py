"""Which lines ask."""

from __future__ import annotations

from pathlib import Path

import pytest

from piyasad.language.question import is_curious, is_identity_question, is_open, is_question
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


@pytest.mark.parametrize(
    "line",
    [
        "Bot musun",
        "sen bot musun?",
        "gerçek misin",
        "Gerçek bir insan mısın?",
        "insan mısın",
        "İNSAN MISINIZ",
        "yapay zeka mısın",
        "Yapay zekâ mısınız?",
        "bot musunuz siz",
        "sen robot musun",
        "bot mu bu",
        "Ali sen bot musun ya",
        "insan mı bot mu",
        "are you a bot?",
        "bot değil misin",
        "gerçek kişi misin",
        "botmusun",
        "Siz bot musunuz yoksa insan mı",
        "sen yapay zekasın değil mi",
        "karşımdaki bot mu",
        "sahte hesap mısın",
    ],
)
def test_who_asks_if_we_are_bots_is_understood(line: str) -> None:
    assert is_identity_question(fold(line))


@pytest.mark.parametrize(
    "line",
    [
        "Bu haber gerçek mi",
        "Bu yükseliş gerçek mi sizce",
        "bot hesaplar çoğaldı",
        "insan bazen yoruluyor mu",
        "Botlar hacmi şişiriyor mu",
        "yapay zeka hisseleri alınır mı",
        "Robot süpürge alsam mı",
        "gerçek faiz eksi mi",
        "al sat botu kullanıyor musun",
        "Bot alınır mı kışın",
    ],
)
def test_talk_about_bots_and_truth_is_not_that_question(line: str) -> None:
    assert not is_identity_question(fold(line))


def test_curiosity_is_seen() -> None:
    assert is_curious(fold("Merak ediyorum, bunun sonu ne"))
    assert not is_curious(fold("Dolar düştü"))
