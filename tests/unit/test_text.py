"""Turkish folding and matching."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piyasad.language import text


@pytest.mark.parametrize(
    "written", ["İSTANBUL", "Istanbul", "ıstanbul", "İstanbul", "i\u0307stanbul", "ＩＳＴＡＮＢＵＬ"]
)
def test_all_the_i_letters_fold_to_one(written: str) -> None:
    assert text.fold(written) == "istanbul"


def test_hats_cedillas_and_curly_apostrophes_fold_away() -> None:
    assert text.fold("Kâr’ı ÇIĞ gibi büyüdü, Şişecam") == "kar'i cig gibi buyudu, sisecam"


def test_other_scripts_and_emoji_survive_and_invisible_signs_go() -> None:
    assert text.fold("Ры\u200bнок ❤\ufe0f né\u00ad") == "рынок ❤ ne"


@given(st.text(max_size=60))
def test_folding_twice_changes_nothing(written: str) -> None:
    once = text.fold(written)
    assert text.fold(once) == once


def test_case_follows_turkish_rules() -> None:
    assert text.lower_tr("IĞDIR İYİ") == "ığdır iyi"
    assert text.upper_tr("ığdır iyi") == "IĞDIR İYİ"


def test_words_keep_suffixes_and_figures_together() -> None:
    assert text.words("Ali'ye sor: %100'ü 3,5 geçti, saat 10:30!") == [
        "ali'ye",
        "sor",
        "100'u",
        "3,5",
        "gecti",
        "saat",
        "10:30",
    ]
    assert text.words("😀 …") == []


@pytest.mark.parametrize(
    "forms",
    [
        ("dolar", "dolara", "doları", "dolarlar", "dolarda", "dolardan", "doların"),
        ("THYAO", "THYAO'yu", "THYAOyu", "thyao'nun"),
        ("altın", "altını", "altından", "altının"),
        ("faiz", "faizi", "faizler", "faizlerde", "faizin"),
        ("enflasyon", "enflasyonu", "enflasyonun", "enflasyonda"),
        ("borsa", "borsada", "borsanın", "borsayı"),
        ("endeks", "endeksi", "endekste", "endeksin"),
    ],
)
def test_the_forms_of_a_word_share_a_stem(forms: tuple[str, ...]) -> None:
    assert len({text.stem(text.fold(form)) for form in forms}) == 1


def test_different_subjects_keep_different_stems() -> None:
    subjects = ["dolar", "faiz", "altin", "borsa", "enflasyon", "garan", "thyao", "bitcoin", "euro", "kripto"]
    assert len({text.stem(subject) for subject in subjects}) == len(subjects)


def test_a_stem_has_at_least_four_letters() -> None:
    assert text.stem("kar") == "kar"
    assert all(len(text.stem(word)) >= 4 for word in ("sasa", "eden", "lari", "dandan"))


@pytest.mark.parametrize("word", ["thyao", "thyao'yu", "thyaoyu", "thyaonun", "thyaodan"])
def test_a_term_is_found_with_its_endings(word: str) -> None:
    assert text.is_form_of(word, "thyao")


@pytest.mark.parametrize(
    ("word", "term"), [("garanti", "garan"), ("kararli", "kar"), ("thya", "thyao"), ("alici", "ali")]
)
def test_another_word_with_the_same_start_is_not_a_form(word: str, term: str) -> None:
    assert not text.is_form_of_name(word, term)


def test_a_ticker_is_not_found_in_a_longer_word() -> None:
    assert not text.is_form_of("garantor", "garan")
    assert not text.is_form_of("garanti", "garan")


@pytest.mark.parametrize(
    ("word", "is_it"), [("ali", True), ("ali'ye", True), ("aliye", True), ("alinin", True), ("alici", False)]
)
def test_a_first_name_takes_few_endings(word: str, is_it: bool) -> None:
    assert text.is_form_of_name(word, "ali") is is_it


def test_terms_of_several_words_are_whole() -> None:
    spoken = text.words("Bugün gram altından söz ettik")
    assert text.contains_term(spoken, ("gram", "altin"))
    assert not text.contains_term(spoken, ("ons", "altin"))
    assert not text.contains_term(spoken, ())


def test_handles_are_read_in_order() -> None:
    assert text.handles("@Ali_Bot ve @Cem_1, ama ne @a ne de e@x") == ["ali_bot", "cem_1"]
    assert text.handles("kimse yok") == []


@pytest.mark.parametrize(
    "line",
    [
        "destek@banka.com.tr adresine yazan oldu mu?",
        "https://example.org/@rig1_bot/yazi",
        "https://example.org/yazi?kim=@rig1_bot",
        "www.example.org/a,@rig1_bot",
        "a.b+c@rig1_bot.com",
        "42@100den aldım",
        "posta @gmail.com olan",
    ],
)
def test_the_at_sign_of_an_address_or_a_link_makes_no_handle(line: str) -> None:
    assert text.handles(line) == []


@pytest.mark.parametrize(
    "line", ["(@rig1_bot)", "👉@rig1_bot.", "bak:@rig1_bot!", "“@rig1_bot” dedi", "@rig1_bot, nasılsın"]
)
def test_signs_around_a_handle_are_not_part_of_it(line: str) -> None:
    assert text.handles(line) == ["rig1_bot"]


def test_a_command_may_name_the_bot_that_it_is_for() -> None:
    assert text.handles("/ban@Rig1_bot @cem_12") == ["rig1_bot", "cem_12"]


@pytest.mark.parametrize("line", ["Şüğöç", "Ayşe Scalper", "çeyrek", "Gülşah'ın görüşü", "İYİ IĞDIR", "Kâr’ı"])
def test_canonically_equal_is_equal(line: str) -> None:
    assert text.fold(unicodedata.normalize("NFD", line)) == text.fold(line)


def test_marks_that_no_letter_takes_and_bidi_signs_fold_away() -> None:
    assert text.fold("d\u030c\u0321olar \u202eto\u2063p\u200e") == "dolar top"


def test_sentences_do_not_end_inside_figures_ordinals_and_abbreviations() -> None:
    written = 'Faiz 3.5 oldu. 3. çeyrek vb. şeyler var mı? Evet! "Tamam." dedi…  Son\nYeni satır'
    assert text.sentences(written) == [
        "Faiz 3.5 oldu.",
        "3. çeyrek vb. şeyler var mı?",
        "Evet!",
        '"Tamam.',
        "dedi…",
        "Son",
        "Yeni satır",
    ]


def test_equal_after_normalising_means_the_same_words() -> None:
    assert text.normalise("  DOLAR, düştü!! 📉") == text.normalise("dolar düştü")
    assert text.normalise("dolar düştü") != text.normalise("dolar düşmedi")


def test_trigrams_have_the_edges_in_them() -> None:
    assert text.trigrams("Aş") == {" as", "as "}
    assert text.trigrams("") == frozenset()
