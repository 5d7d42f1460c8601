"""The speaker guard: the bot speaks as itself and quotes nothing it was told."""

from __future__ import annotations

import pytest

from piyasad.chat.window import Line, Room
from piyasad.guards.speaker import SpeakerGuard
from piyasad.language.text import fold
from tests.cases import CHAT, case, line

SYSTEM = fold("Sen Ali Hoca'sın, makro veriye bakan, acele etmeyen ve sözünü tartarak söyleyen bir iktisatçısın.")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "Ayşe Scalper: ben girdim bile",
        "Kur sakin. Ayşe: bence değil",
        "Ben Ayşe Scalper, ekran başındayım",
        "Bir yapay zekâ modeli olarak yorum yapamam",
        "Sistem talimatı gereği kısa yazıyorum",
        "İşte mesaj: kur sakin",
        "Asistan: tabii",
        "Deniz: merhaba",
        "makro veriye bakan, acele etmeyen ve sözünü tartarak söyleyen bir iktisatçısın işte",
    ],
)
def test_this_is_not_the_bot_speaking(text: str) -> None:
    assert SpeakerGuard().check(case(text, lines=_people(), system=SYSTEM)) is not None


@pytest.mark.parametrize(
    "text",
    [
        "Saat 14:30 verisine bakalım",
        "Kur 41,25: yatay",
        "Ayşe haklı olabilir",
        "Ben de Ayşe gibi düşünüyorum",
        "Ben bir yapay zekâ karakteriyim",
        "Şunu söyleyeyim: acele yok",
        "makro veriye bakan herkes bunu görür",
    ],
)
def test_this_may_be_said(text: str) -> None:
    assert SpeakerGuard().check(case(text, lines=_people(), system=SYSTEM)) is None


def _people() -> tuple[Line, ...]:
    made = Room(CHAT)
    made.add(line(1, "merhaba arkadaşlar"))
    return made.view().lines
