"""Members' data is masked before a provider sees it, and names come back in the right harmony."""

from __future__ import annotations

import pytest

from piyasad.model import Kind, Message
from piyasad.privacy.mask import Faces, mask, reharmonise


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("beni 0532 123 45 67 ara", "beni [telefon] ara"),
        ("+90 532 123 45 67 numaram", "[telefon] numaram"),
        ("IBAN TR33 0006 1005 1978 6457 8413 26 lütfen", "IBAN [iban] lütfen"),
        ("TR330006100519786457841326", "[iban]"),
        ("kimliğim 10000000146 tamam mı", "kimliğim [kimlik no] tamam mı"),
        ("mail: ayse.k@ornek.com.tr olsun", "mail: [e-posta] olsun"),
        ("bak https://t.me/x/1 burada", "bak [bağlantı] burada"),
        ("ornek.com.tr sitesinde", "[bağlantı] sitesinde"),
        ("@veli_43 ne dersin", "[kullanıcı] ne dersin"),
        ("@mehmet_bot ne dersin", "@mehmet_bot ne dersin"),
        ("BIST 100 10.250,35 puanda, %5,25 arttı, 2026-11-23 12:30", None),
        ("20 yıldır 1.000.000 lira ile 15 hisse", None),
        ("dolar 41.25'ten 42.10'a geldi", None),
    ],
)
def test_what_identifies_a_member_is_masked_and_figures_stay(text: str, masked: str | None) -> None:
    assert mask(text, {"mehmet_bot"}) == (text if masked is None else masked)


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
