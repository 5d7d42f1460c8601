"""Forgetting in words: what goes, what stays."""

from __future__ import annotations

import re
import time
import unicodedata

import pytest

from piyasad.privacy.erase import Eraser

ID = 5012345678
THEIRS = (
    "Kız kardeşim Nilüfer'in düğünü için gram altın biriktiriyorum",
    "IBAN: TR330006100519786457841326, ara beni 05321234567",
    "emekli oldum ya",
    "Zürafa!",
)


def eraser(name: str = "Zehra Korkmaz", *more: str, **kinds: object) -> Eraser:
    return Eraser(ID, (name, *more), ("zehra_k",), THEIRS, bots=("Ali Hoca", "Ayşe Scalper"), **kinds)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("Zehra Korkmaz haklı.", "Üye haklı."),
        ("zehra korkmaz haklı", "Üye haklı"),
        ("ZEHRA KORKMAZ'a katılıyorum", "Üye'ye katılıyorum"),
        ("Zehra, sence de öyle değil mi?", "Üye, sence de öyle değil mi?"),
        ("Zehra'nın dediği gibi", "Üye'nin dediği gibi"),
        ("zehraya sor", "Üye'ye sor"),
        ("Zehraaa nerdesin", "Üye nerdesin"),
        ("Korkmaz Hanım", "Üye Hanım"),
        (unicodedata.normalize("NFD", "Zehra Korkmaz'ın sözü"), "Üye'nin sözü"),
        ("Zeh\u200bra haklı", "Üye haklı"),
        ("@zehra_k bakar mısın", "Üye bakar mısın"),
        ("https://t.me/Zehra_K yazdı", "https://t.me/Üye yazdı"),
        (f"tg://user?id={ID}", "tg://user?id=Üye"),
        ("korkmazsan al", "korkmazsan al"),  # another word
        (f"1{ID} lot", f"1{ID} lot"),
    ],
)
def test_a_bots_line_names_them_no_more(said: str, left: str) -> None:
    assert unicodedata.normalize("NFC", eraser().ours(said)) == left


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("Hani “gram altın biriktiriyorum” demiştin", "Hani “Üye” demiştin"),
        ("kız kardeşim nilüferin düğünü için diyordu, güzel", "kız kardeşim nilüferin düğünü için diyordu, güzel"),
        ("Kız kardeşim Nilüfer'in düğünü için demek", "Üye demek"),
        ("“Zürafa!” mı dedin", "“Üye” mı dedin"),
        ("Numarası 0532 123 45 67 imiş", "Numarası Üye imiş"),
        ("Numarası 0532 123 45 68 imiş", "Numarası 0532 123 45 68 imiş"),
        ("TR33 0006 1005 1978 6457 8413 26'ya", "Üye'ye"),
        ("gram altın biriktiriyorum", "gram altın biriktiriyorum"),  # three words are nobody's
        ("“altın” pahalı", "“Üye” pahalı"),
    ],
)
def test_a_bots_line_quotes_them_no_more(said: str, left: str) -> None:
    assert eraser().ours(said) == left


def test_a_line_that_answers_them_is_read_more_strictly() -> None:
    assert eraser().ours("Gram altın biriktiriyorum diyorsun.", to_them=True) == "Üye diyorsun."
    assert eraser("Deniz").ours("Bence Deniz iyi der", to_them=True) == "Bence Üye iyi der"


def test_a_bots_name_stays_where_it_addresses_nobody() -> None:
    ali = eraser("Ali Kara")
    assert ali.ours("Ali Hoca'ya göre öyle, bence Ali haklı") == "Ali Hoca'ya göre öyle, bence Ali haklı"
    assert ali.ours("Ali, haklısın; Ali Kara da öyle der") == "Üye, haklısın; Üye da öyle der"


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("deniz kenarında altın aldım", "deniz kenarında altın aldım"),
        ("Deniz bugün dalgalı", "Deniz bugün dalgalı"),
        ("bence Deniz haklı", "bence Üye haklı"),
        ("Deniz'e sor", "Üye'ye sor"),
        ("deniz abi ne dersin", "Üye abi ne dersin"),
        ("Deniz, sen al", "Üye, sen al"),
        ("deniz kaya dedi", "Üye dedi"),
        ("Kaya gibi sağlam", "Kaya gibi sağlam"),
    ],
)
def test_a_name_that_is_a_word_goes_where_it_stands_as_a_name(said: str, left: str) -> None:
    assert eraser("Deniz Kaya").theirs(said) == left


def test_a_display_name_of_everyday_words_takes_none_of_them_from_others() -> None:
    they = eraser("Küçük Gemici", is_word={"kucuk", "gemici"}.__contains__)
    assert they.theirs("küçük bir pozisyon, gemici düğümü gibi") == "küçük bir pozisyon, gemici düğümü gibi"
    assert they.ours("Sence Küçük Gemici haklı mı, Küçük Gemici'ye sor") == "Sence Üye haklı mı, Üye'ye sor"


def test_other_members_words_stay_and_their_mention_is_masked() -> None:
    said = "@zehra_k Zehra, sen gram altın biriktiriyorum dedin; kız kardeşim Nilüfer'in düğünü için demiştin"
    assert eraser().theirs(said) == (
        "[kullanıcı] Üye, sen gram altın biriktiriyorum dedin; kız kardeşim Nilüfer'in düğünü için demiştin"
    )


def test_json_loses_names_quotations_ids_and_prompts_and_keeps_its_form() -> None:
    detail = {
        "reason": "Zehra Korkmaz asked",
        "user_id": ID,
        "times": 3,
        "ok": True,
        "verdicts": ["speaker: says 'gram altın biriktiriyorum'", None, 0.5],
        "Zehra": {"handle": "zehra_k"},
        "prompt": {"system": "Sen Ali'sin", "user": "Üye 1: emekli oldum"},
        "prompt_tokens": 700,
    }
    cleared = {
        "reason": "Üye asked",
        "user_id": None,
        "times": 3,
        "ok": True,
        "verdicts": ["speaker: says 'Üye'", None, 0.5],
        "Üye": {"handle": "Üye"},
        "prompt_tokens": 700,
    }
    assert eraser().value(detail, prompts=True) == cleared
    assert eraser().value(detail)["prompt"] == detail["prompt"]


def test_a_name_without_letters_and_one_of_two_letters_go_too() -> None:
    assert eraser("🦅🔥").ours("Bravo 🦅🔥!") == "Bravo Üye!"
    assert eraser("Su").ours("su içtim, Su'ya sordum") == "su içtim, Üye'ye sordum"


def test_the_databases_pattern_finds_whatever_is_replaced() -> None:
    """Python's own engine stands in for PostgreSQL's here; the store's tests ask the real one."""
    they = eraser("Zehra Işık", "🦅", "İlke Çağ")
    found = re.compile(they.pattern)
    for said in (
        "ZEHRA ISIK",
        "Zeeehra",
        "Ｚｅｈｒａ",
        "zehra ışık",
        "işik",
        "ZEHRA_K",
        str(ID),
        "🦅",
        "ilke cag",
        "Ze\u200bhra",
        "I\u0307lke",
    ):
        assert found.search(said), said
    assert not found.search("bambaşka bir söz")
    assert not re.search(Eraser(None, (), ()).pattern.replace(r"\Z.", r"\Z(?=.)"), "söz")


def test_long_and_odd_texts_cost_no_more_than_their_length() -> None:
    they = eraser("Deniz Kaya")
    times = []
    for size in (2_000, 8_000):
        texts = ("deniz " * size, "." * size, "“" * size, "a@" * size, "\u0301" * size, "Deniz " + " " * size)
        began = time.process_time()
        for text in texts:
            they.ours(text, to_them=True)
            they.theirs(text)
        times.append(time.process_time() - began)
    assert times[1] < 10 * times[0] + 0.1
