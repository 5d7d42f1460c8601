"""Turkish endings: every form in the table is what a careful writer writes."""

from __future__ import annotations

import pytest

from piyasad.language.suffix import Ending, inflect, spoken

# word, then the forms; "+" marks a third person possessive.
TABLE: dict[str, dict[Ending, str]] = {
    "THYAO": {"acc": "THYAO'yu", "dat": "THYAO'ya", "loc": "THYAO'da", "abl": "THYAO'dan", "gen": "THYAO'nun"},
    "GARAN": {"acc": "GARAN'ı", "dat": "GARAN'a", "loc": "GARAN'da", "gen": "GARAN'ın", "ins": "GARAN'la"},
    "EREGL": {"acc": "EREGL'i", "dat": "EREGL'e", "loc": "EREGL'de", "abl": "EREGL'den"},
    "SAHOL": {"acc": "SAHOL'u", "dat": "SAHOL'a", "loc": "SAHOL'da", "ki": "SAHOL'daki"},
    "SISE": {"acc": "SISE'yi", "dat": "SISE'ye", "loc": "SISE'de", "gen": "SISE'nin", "ins": "SISE'yle"},
    "KCHOL": {"loc": "KCHOL'da", "acc": "KCHOL'u"},
    "ASELS": {"loc": "ASELS'te", "abl": "ASELS'ten", "acc": "ASELS'i", "too": "ASELS de"},
    "TUPRS": {"loc": "TUPRS'ta", "acc": "TUPRS'ı"},
    "ISCTR": {"loc": "ISCTR'de", "acc": "ISCTR'yi"},
    "BIST": {"loc": "BIST'te", "acc": "BIST'i", "dat": "BIST'e", "ask": "BIST mi", "ki": "BIST'teki"},
    "BIST30": {"loc": "BIST30'da", "acc": "BIST30'u", "abl": "BIST30'dan"},
    "BIST100": {"loc": "BIST100'de", "acc": "BIST100'ü", "gen": "BIST100'ün"},
    "USDTRY": {"loc": "USDTRY'de", "acc": "USDTRY'yi", "dat": "USDTRY'ye", "too": "USDTRY de"},
    "BTC": {"loc": "BTC'de", "acc": "BTC'yi", "gen": "BTC'nin", "ask": "BTC mi"},
    "BTCUSDT": {"loc": "BTCUSDT'de", "acc": "BTCUSDT'yi"},
    "ETH": {"loc": "ETH'de", "dat": "ETH'ye"},
    "TCMB": {"gen": "TCMB'nin", "acc": "TCMB'yi", "abl": "TCMB'den"},
    "TÜFE": {"acc": "TÜFE'yi", "loc": "TÜFE'de"},
    "TÜİK": {"loc": "TÜİK'te", "dat": "TÜİK'e"},
    "Fed": {"gen": "Fed'in", "acc": "Fed'i", "loc": "Fed'de"},
    "PPK": {"loc": "PPK'da", "gen": "PPK'nın"},
    "ABD": {"loc": "ABD'de", "gen": "ABD'nin"},
    "TL": {"acc": "TL'yi", "loc": "TL'de"},
    "Merkez Bankası+": {"acc": "Merkez Bankası'nı", "dat": "Merkez Bankası'na", "gen": "Merkez Bankası'nın"},
    "Ali": {"dat": "Ali'ye", "acc": "Ali'yi", "gen": "Ali'nin", "ins": "Ali'yle"},
    "Mehmet": {"gen": "Mehmet'in", "loc": "Mehmet'te", "acc": "Mehmet'i"},
    "Ayşe": {"dat": "Ayşe'ye", "ins": "Ayşe'yle"},
    "Zeynep": {"acc": "Zeynep'i", "dat": "Zeynep'e", "abl": "Zeynep'ten"},
    "dolar": {"dat": "dolara", "acc": "doları", "loc": "dolarda", "pl": "dolarlar", "ask": "dolar mı"},
    "euro": {"acc": "euroyu", "loc": "euroda", "ins": "euroyla"},
    "altın": {"acc": "altını", "dat": "altına", "gen": "altının"},
    "gümüş": {"loc": "gümüşte", "acc": "gümüşü"},
    "petrol": {"acc": "petrolü", "dat": "petrole", "loc": "petrolde", "pl": "petroller"},
    "saat": {"acc": "saati", "dat": "saate", "loc": "saatte"},
    "hacim": {"acc": "hacmi", "dat": "hacme", "loc": "hacimde", "gen": "hacmin", "ins": "hacimle"},
    "sabır": {"acc": "sabrı", "loc": "sabırda"},
    "nakit": {"dat": "nakde", "abl": "nakitten"},
    "kaldıraç": {"dat": "kaldıraca", "abl": "kaldıraçtan"},
    "açık": {"acc": "açığı", "loc": "açıkta"},
    "grafik": {"dat": "grafiğe", "loc": "grafikte"},
    "destek": {"acc": "desteği", "gen": "desteğin"},
    "risk": {"acc": "riski", "dat": "riske", "loc": "riskte"},
    "stop": {"dat": "stopa", "loc": "stopta"},
    "faiz": {"acc": "faizi", "loc": "faizde"},
    "kâr": {"acc": "kârı", "dat": "kâra", "abl": "kârdan"},
    "temettü": {"acc": "temettüyü", "loc": "temettüde", "gen": "temettünün"},
    "net faiz marjı+": {"acc": "net faiz marjını", "dat": "net faiz marjına", "loc": "net faiz marjında"},
    "doluluk oranı+": {"gen": "doluluk oranının", "abl": "doluluk oranından", "ins": "doluluk oranıyla"},
    "2026": {"loc": "2026'da", "dat": "2026'ya"},
    "2001": {"loc": "2001'de"},
    "3": {"loc": "3'te", "acc": "3'ü"},
    "1000": {"acc": "1000'i"},
    "20": {"dat": "20'ye"},
    "40": {"loc": "40'ta"},
}  # fmt: skip

CASES = [(word, ending, form) for word, forms in TABLE.items() for ending, form in forms.items()]


def test_the_table_is_large_enough() -> None:
    assert len(CASES) >= 120


@pytest.mark.parametrize(("word", "ending", "form"), CASES)
def test_an_ending_is_written_as_it_is_spoken(word: str, ending: Ending, form: str) -> None:
    assert inflect(word.removesuffix("+"), ending, possessed=word.endswith("+")) == form


def test_the_nominative_is_the_word_itself() -> None:
    assert inflect("hacim", "nom") == "hacim"


@pytest.mark.parametrize(
    ("word", "read"),
    [
        ("0", "sıfır"),
        ("2000", "bin"),
        ("5000000", "milyon"),
        ("7000000000", "milyar"),
        ("300", "yüz"),
        ("70", "yetmiş"),
    ],
)
def test_numbers_are_read_to_their_last_word(word: str, read: str) -> None:
    assert spoken(word) == read
