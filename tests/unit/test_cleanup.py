"""Clean-up takes away what models put around a line and leaves the line alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piyasad.guards.cleanup import clean

NAMES = ("Ali Hoca", "ali_hoca_bot", "Ali")


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        ("<think>Önce düşüneyim.</think>Enflasyon katı.", "Enflasyon katı."),
        ("<think>Hiç kapanmayan düşünce", ""),
        ("Düşüncem bitti.</think> Kur sakin.", "Kur sakin."),
        ('"Kur sakin."', "Kur sakin."),
        ("“Kur sakin.”", "Kur sakin."),
        ('"Kur" dedi, "sakin"', '"Kur" dedi, "sakin"'),
        ("**Kur** sakin, _bence_.", "Kur sakin, bence."),
        ("# Başlık\nKur sakin.", "Başlık Kur sakin."),
        ("- Kur sakin.\n- Altın da.", "Kur sakin. Altın da."),
        ("Kur sakin. #BIST #FX", "Kur sakin."),
        ("#BIST bugün yatay.", "BIST bugün yatay."),
        ("Ali Hoca: Kur sakin.", "Kur sakin."),
        ("🤖 Ali Hoca: Kur sakin.", "Kur sakin."),
        ("@ali_hoca_bot: Kur sakin.", "Kur sakin."),
        ("Tabii ki! kur sakin.", "Kur sakin."),
        ("Tabii ki! ihracat artıyor.", "İhracat artıyor."),
        ("Kur sakin. Yatırım tavsiyesi değildir.", "Kur sakin."),
        ("Kur sakin. (YTD)", "Kur sakin."),
        ("Kur   sakin \n\n bugün .", "Kur sakin bugün."),
        ("`THYAO` uçtu", "THYAO uçtu"),
        ("[haber](https://x.example/a) okudum", "haber okudum"),
        ("THYAO_2026 raporu ve 3 * 4 = 12", "THYAO_2026 raporu ve 3 * 4 = 12"),
        ("%100 katılıyorum, 2.5'lik hareket", "%100 katılıyorum, 2.5'lik hareket"),
        ("Ali'ye katılıyorum", "Ali'ye katılıyorum"),
    ],
)
def test_only_the_wrapping_goes(raw: str, line: str) -> None:
    assert clean(raw, NAMES) == line


@given(st.text(max_size=200))
def test_cleaning_twice_changes_nothing_more(raw: str) -> None:
    once = clean(raw, NAMES)
    assert clean(once, NAMES) == once


@given(
    st.lists(st.sampled_from(["kur", "sakin", "İhracat", "ığdır", "THYAO'yu", "%5", "bence"]), min_size=1, max_size=12)
)
def test_a_plain_sentence_is_left_as_it_is(words: list[str]) -> None:
    line = " ".join(words).capitalize() + " bugün"
    assert clean(line, NAMES) == line
