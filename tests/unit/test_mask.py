"""What leaves for a provider: no name, no number, no address of a member; and names come back for the group."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piyasad.language.suffix import Ending, inflect
from piyasad.language.text import lower_tr, upper_tr
from piyasad.model import Kind, Message
from piyasad.privacy import names as kept
from piyasad.privacy.harmony import reharmonise
from piyasad.privacy.mask import REMEMBERED, Faces, Masker, Part, mask, shows_placeholder
from piyasad.privacy.names import PEOPLE_MOST, NameBook
from piyasad.privacy.plain import folded, plain
from tests.mask_room import MEMBERS, expected, is_word, lines, masker, unmarked

ROOM = masker()
GO, STAY = lines("mask_go.txt"), lines("mask_stay.txt")
CASES: tuple[Ending, ...] = ("acc", "dat", "loc", "abl", "gen", "ins")


@pytest.mark.parametrize("line", GO)
def test_what_is_a_members_goes_and_nothing_else_of_the_line(line: str) -> None:
    assert expected(line).fullmatch(ROOM.text(unmarked(line)))


@pytest.mark.parametrize("line", STAY)
def test_what_is_nobodys_stays_to_the_letter(line: str) -> None:
    assert ROOM.text(line) == line


def test_there_are_three_hundred_lines_of_each() -> None:
    assert len(set(GO)) >= 300
    assert len(set(STAY)) >= 300


# --- names


@pytest.mark.parametrize("name", kept._section("names").split()[::9])
def test_a_name_goes_in_every_case_with_every_ending_with_and_without_turkish_letters(name: str) -> None:
    names = NameBook(known=is_word)
    capital = upper_tr(name[0]) + name[1:]
    names.heard(1, f"{capital} Yıldızhan")
    room = Masker(names)
    forms = [capital, *(inflect(capital, case) for case in CASES)]
    forms += [form.replace("'", "") for form in forms]
    forms += [change(form) for form in forms for change in (upper_tr, lower_tr, folded)]
    for form in forms:
        for frame in ("dün {} aynısını yazmıştı", "dun {} aynisini yazmisti", "{} dedi", "sonra {}"):
            assert "Üye 1" in room.text(frame.format(form)), form


@pytest.mark.parametrize("form", [f"{name} bunu yazdı" for name in MEMBERS if len(name) > 2])
def test_a_full_name_of_any_kind_goes_as_author(form: str) -> None:
    user = 1000 + MEMBERS.index(form.removesuffix(" bunu yazdı"))
    assert ROOM.part(Part("selam", author=MEMBERS[user - 1000], user_id=user)) == f"Üye {user - 999}: selam"


def test_a_word_with_some_of_a_names_letters_is_no_form_of_it() -> None:
    names = NameBook(known=is_word)
    for user, name in enumerate(("Ümit Şen", "Suna Çam", "Ali Işık", "Aslı Han", "Sinan")):
        names.heard(user, name)
    room = Masker(names)
    for line in (
        "sen ne dersin",
        "şuna bak",
        "cam kırıldı",
        "alım yaptım",
        "alın teri",
        "ışık hızı",
        "asli görev",
        "Ayşe Hanım",
        "sınandı sabrımız",
    ):
        assert room.text(line) == line
    assert room.text("selam umit, suna ve sınan haklı") == "selam Üye 1, Üye 2 ve Üye 5 haklı"


def test_a_short_name_is_masked_as_author_only() -> None:
    assert ROOM.text("su iç, al bunu") == "su iç, al bunu"
    assert ROOM.part(Part("al", author="Al", user_id=1025)) == "Üye 26: al"


def test_a_former_name_and_one_gone_from_the_window_still_go() -> None:
    names = NameBook()
    names.heard(1, "Merve")
    names.heard(1, "Melisa")
    assert Masker(names).text("Merve ile Melisa aynı kişi") == "Üye 1 ile Üye 1 aynı kişi"


def test_a_bots_word_means_the_bot_but_not_as_a_members_address_or_full_name() -> None:
    assert ROOM.text("Ali'ye katılıyorum, Ali Hoca haklı") == "Ali'ye katılıyorum, Ali Hoca haklı"
    assert ROOM.text("Ali abi sen ne dersin") == "Üye 9 abi sen ne dersin"
    assert ROOM.text("Ali hocam ne dersiniz") == "Ali hocam ne dersiniz"
    assert ROOM.text("Ali Veli yazmış") == "Üye 9 yazmış"


def test_a_bots_own_lines_and_every_part_that_is_not_ours_are_masked() -> None:
    parts = (
        Part("Son mesajlar: Ahmet\n", ours=True),
        Part("Ahmet'e katılıyorum", author="Ali Hoca", is_bot=True),
        Part("\n", ours=True),
        Part("0532 123 45 67", author="Yeni Üye Kerem", user_id=77),
        Part(" Ahmet, Fatma"),
    )
    sent = masker().request(parts)
    assert sent == "Son mesajlar: Ahmet\nAli Hoca: Üye 1'e katılıyorum\nÜye 31: [telefon] Üye 1, Üye 8"


def test_an_author_without_an_id_is_known_by_name_or_is_nobody_in_particular() -> None:
    assert ROOM.part(Part("selam", author="Ahmet Yılmaz")) == "Üye 1: selam"
    assert ROOM.part(Part("selam", author="Kimse Bilmez")) == "Üye: selam"


def test_our_bots_handles_stay_and_a_members_becomes_the_member() -> None:
    assert ROOM.text("@Ali_Hoca_Bot @fatma_s @veli_43 @Deniz") == "@Ali_Hoca_Bot Üye 8 [kullanıcı] Üye 3"


# --- the book


def test_numbers_stay_and_the_version_grows_with_what_could_mask_otherwise() -> None:
    names = NameBook()
    names.heard(5, "Kerem")
    version = names.version
    names.heard(5, "Kerem")
    assert names.version == version
    names.heard(6, "Selim")
    assert names.version > version
    assert [names.alias(5), names.alias(6)] == ["Üye 1", "Üye 2"]


def test_a_new_member_masks_what_was_remembered() -> None:
    names = NameBook()
    room = Masker(names)
    assert room.text("Kerem haklı") == "Kerem haklı"
    names.heard(5, "Kerem")
    assert room.text("Kerem haklı") == "Üye 1 haklı"


def test_who_is_forgotten_leaves_no_name_and_no_masked_text() -> None:
    room = masker()
    room.text("Ahmet haklı")
    room.forget(1000)
    assert room.text("Ahmet haklı") == "Ahmet haklı"
    assert room.reveal("Üye 1 haklı") == "arkadaş haklı"
    assert "ahmet" not in room.book.first_names()


def test_the_memory_of_masked_texts_is_bounded() -> None:
    room = Masker(NameBook(), remembered=3)
    for number in range(10):
        room.text(f"satır {number}")
    assert len(room._known) == 3
    assert REMEMBERED >= 200


def test_a_book_is_bounded_and_keeps_whom_it_heard_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "PEOPLE_MOST", 3)
    names = NameBook()
    for user, name in enumerate(("Kerem", "Selim", "Merve")):
        names.heard(user, name)
    names.heard(0, "Kerem")
    names.heard(9, "Burcu")
    room = Masker(names)
    assert room.text("Kerem, Selim, Merve, Burcu") == "Üye 1, Selim, Üye 3, Üye 4"
    assert PEOPLE_MOST >= 1000


# --- what comes back


def test_a_completion_names_people_again_with_their_own_ending() -> None:
    assert ROOM.reveal("Üye 1'ye katılıyorum, Üye 8'ın dediği doğru.") == (
        "Ahmet Yılmaz'a katılıyorum, Fatma Şahin'in dediği doğru."
    )


@pytest.mark.parametrize("alias", ["üye 5", "Üye5", "ÜYE 5", "Uye 5", "Üye-5", "Üye #5", "uye  5", "Üye_5"])
def test_an_alias_is_known_however_a_model_writes_it(alias: str) -> None:
    assert ROOM.reveal(f"Bence {alias} haklı") == "Bence Altın haklı"
    assert ROOM.shows_mask(f"Bence {alias} haklı")


def test_an_alias_of_nobody_is_a_friend_and_plain_talk_stays() -> None:
    assert ROOM.reveal("Üye 700 kim?") == "arkadaş kim?"
    assert ROOM.reveal("Üye sayısı arttı, üyeler 3 kişi") == "Üye sayısı arttı, üyeler 3 kişi"


@pytest.mark.parametrize("name", ["t.me/kanal", "0532 123 45 67", "😀", "\u202egizli\u202c @handle_x", "a" * 60])
def test_a_name_that_carries_an_address_or_nothing_is_not_said_in_the_group(name: str) -> None:
    names = NameBook()
    names.heard(1, name)
    assert Masker(names).reveal("Üye 1 haklı") == "arkadaş haklı"


def test_a_placeholder_is_seen_for_what_it_is() -> None:
    assert shows_placeholder("beni [TELEFON] ara")
    assert shows_placeholder("[KİMLİK NO]")
    assert not shows_placeholder("[şaka] telefon et")
    assert not ROOM.shows_mask("Bugün sakin")


def test_another_alias_is_configured() -> None:
    names = NameBook("Kişi {n}")
    names.heard(1, "Kerem")
    room = Masker(names)
    assert room.text("Kerem haklı") == "Kişi 1 haklı"
    assert room.reveal("kişi 1'ye sor") == "Kerem'e sor"


# --- whatever comes in


@given(st.text(max_size=200))
def test_masking_takes_anything_and_says_the_same_twice(text: str) -> None:
    once = ROOM.text(text)
    assert ROOM.text(text) == once
    assert len(folded(plain(text))) == len(plain(text))


@given(st.text(alphabet="AhmetYılz '.,@\u0301\u200b\u202e!", max_size=60))
def test_a_name_among_odd_signs_never_leaks(text: str) -> None:
    assert "Ahmet" not in ROOM.text(f"{text} Ahmet Yılmaz {text}").replace(text, "").replace(plain(text), "")


@pytest.mark.parametrize(
    "unit",
    ["0 ", "1 ", "12 ", "0532 ", "a.", "@a ", "a@", "tr12 ", "a1b", "[at] ", "nokta com ", "sifir ", "Deniz, ", "ali ", "a\u0301", "#a "],
)  # fmt: skip
def test_time_grows_no_faster_than_the_text(unit: str) -> None:
    """Counted in calls, not by a clock: four times the text, hardly more than four times the calls."""
    assert _calls(lambda: masker_of_text(unit, 4000)) <= 5 * _calls(lambda: masker_of_text(unit, 1000)) + 200


def masker_of_text(unit: str, size: int) -> None:
    ROOM._known.clear()
    ROOM.text((unit * size)[:size])


def _calls(work: Callable[[], object]) -> int:
    seen = 0

    def step(_frame: object, _event: str, _argument: object) -> None:
        nonlocal seen
        seen += 1

    sys.setprofile(step)
    try:
        work()
    finally:
        sys.setprofile(None)
    return seen


def test_the_books_cost_does_not_grow_with_its_members() -> None:
    def of(count: int) -> int:
        names = NameBook()
        for number in range(count):
            names.heard(number, f"Qx{number:04} Zw{number:04}")
        room = Masker(names)
        return _calls(lambda: [room.text(line) for line in STAY[:50]])

    assert of(2000) <= 1.1 * of(20)


# --- without a book: what guards ask


def test_a_text_alone_is_masked_by_form_and_keeps_names() -> None:
    assert (
        mask("Ahmet 0532 123 45 67 @veli_43 @mehmet_bot", {"mehmet_bot"}) == "Ahmet [telefon] [kullanıcı] @mehmet_bot"
    )


@pytest.mark.parametrize(
    ("word", "suffix", "result"),
    [
        ("Ahmet", "ya", "e"),
        ("Ayla", "e", "ya"),
        ("Deniz", "nın", "in"),
        ("Uğur", "yi", "u"),
        ("Gül", "da", "de"),
        ("Mehmet", "den", "ten"),
        ("Burak", "le", "la"),
        ("Ayşe", "in", "nin"),
        ("Işıl", "ye", "a"),
        ("Ahmet", "cığım", "cığım"),
    ],
)
def test_a_suffix_follows_the_new_name(word: str, suffix: str, result: str) -> None:
    assert reharmonise(word, suffix) == result


# --- faces, until the door masks


def line(user: int, author: str, text: str = "selam") -> Message:
    return Message(1, -1, None, author, Kind.PERSON, text, 0.0, user_id=user)


def test_people_are_numbered_in_the_order_they_speak() -> None:
    faces = Faces([line(7, "Ayla"), line(9, "Veli"), line(7, "Ayla")], "Üye {n}")
    assert faces.of(line(9, "Veli")) == "Üye 2"
    assert faces.hide("Ayla haklı, Ayla'ya katılıyorum") == "Üye 1 haklı, Üye 1'ya katılıyorum"


def test_a_bot_keeps_its_name() -> None:
    faces = Faces([], "Üye {n}")
    assert faces.of(Message(1, -1, 5, "Ali Hoca", Kind.REPLY, "x", 0.0)) == "Ali Hoca"


def test_names_come_back_with_their_own_suffix() -> None:
    faces = Faces([line(7, "Ahmet"), line(9, "Ayla")], "Üye {n}")
    assert (
        faces.reveal("Üye 1'e katılıyorum, Üye 2'nin dediği de doğru.")
        == "Ahmet'e katılıyorum, Ayla'nın dediği de doğru."
    )
    assert faces.reveal("Üye 7 kim?") == "arkadaş kim?"


def test_a_name_in_the_lower_case_of_other_languages_is_a_name() -> None:
    names = NameBook()
    names.heard(1, "İlkay Işıkçı")
    assert Masker(names).text("i\u0307lkay dedi ki") == "Üye 1 dedi ki"
