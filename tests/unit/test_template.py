"""The grammar's line language: what it writes, and that faults in the data are found at load."""

from __future__ import annotations

import random

import pytest

from piyasad.providers.offline.template import Forms, Word, compile_line, render, sentence, slots_of


def write(text: str, *, siz: bool = False, seed: int = 1) -> str:
    words = {"S": Word("THYAO"), "F": Word.of("kâr marjı+"), "G": Word("dış talep")}
    return render(compile_line(text), words, random.Random(seed), Forms(), siz=siz)


def test_slots_take_their_endings_in_order() -> None:
    assert write("{S.loc} {F.dat} {G.acc} bak") == "THYAO'da kâr marjına dış talebi bak"
    assert write("{F.acc.too}, {F.ask}") == "kâr marjını da, kâr marjı mı"


def test_address_chooses_between_its_two_forms() -> None:
    assert write("bak[|ın] [sana|size]") == "bak sana"
    assert write("bak[|ın] [sana|size]", siz=True) == "bakın size"


def test_choices_nest_and_empty_ones_leave_no_double_space() -> None:
    seen = {write("çok (|(az|öz)) söz", seed=seed) for seed in range(40)}
    assert seen == {"çok söz", "çok az söz", "çok öz söz"}
    assert {write("bak( (hele|)|), dur", seed=seed) for seed in range(40)} == {"bak hele, dur", "bak, dur"}


def test_slots_are_found_wherever_they_stand() -> None:
    assert slots_of(compile_line("({S}|[{F}|x]) {G.dat}")) == {"S", "F", "G"}


@pytest.mark.parametrize("broken", ["(a|b", "a)", "[a|b|c]", "{Q}", "{S.xyz}", "[a", "a|b", "{S"])
def test_a_fault_in_a_line_is_found_when_it_is_loaded(broken: str) -> None:
    with pytest.raises(ValueError, match=r"not|no such|cannot"):
        compile_line(broken)


@pytest.mark.parametrize(
    ("raw", "written"), [("ilk iş bu", "İlk iş bu."), ("ısrar et!", "Israr et!"), ("THYAO mu?", "THYAO mu?")]
)
def test_a_sentence_has_a_turkish_capital_and_an_end(raw: str, written: str) -> None:
    assert sentence(raw) == written


def test_forms_start_anew_when_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Forms, "LIMIT", 2)
    forms = Forms()
    assert [forms.of(Word(word), ("loc",)) for word in ("altın", "dolar", "euro", "altın")] == [
        "altında",
        "dolarda",
        "euroda",
        "altında",
    ]
