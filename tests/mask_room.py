"""A room whose members bear plain names, names that are words, and a bot's; for the tests of the masker."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Final

import simplemma

from piyasad.privacy.mask import Masker
from piyasad.privacy.names import NameBook

DATA: Final = Path(__file__).parent / "data"

MEMBERS: Final = (
    "Ahmet Yılmaz", "Ayşenur Öztürk", "Deniz Arslan", "Barış", "Altın", "Dolar", "Umut Kaya", "Fatma Şahin", "Ali Veli", "Su",
    "Işıl Çelik", "Mustafa Kemal Aksoy", "Gülşah", "Can Demir", "Emre", "Hüseyin Çağrı Doğan", "Kripto Kralı", "İbrahim",
    "Zeynep Güneş", "Burak 🚀", "Selin_Trader", "Ivan Petrov", "Özgür Barut", "Ece", "Kişi1", "Al", "Merve Nur", "Tarık Ünlü",
    "Mehmet Demirtaş", "Serkan",
)  # fmt: skip

BOTS: Final = {
    "ali_hoca_bot": "Ali Hoca",
    "mehmet_bot": "Mehmet Yatırımcı",
    "ayse_bot": "Ayşe Scalper",
    "zeynep_bot": "Zeynep Yeni",
}

_PLACEHOLDER: Final = r"(?:Üye \d+|\[[^\]]+\])(?:['’]\w+)?['’]?"


@cache
def is_word(word: str) -> bool:
    """Whether the table of Turkish words has it."""
    return simplemma.is_known(word, lang="tr")


def book() -> NameBook:
    """The room's names: member n (from 0) is user 1000 + n, Fatma Şahin is @fatma_s."""
    names = NameBook("Üye {n}", known=is_word)
    names.bots(BOTS)
    for number, name in enumerate(MEMBERS):
        names.heard(1000 + number, name, "fatma_s" if name == "Fatma Şahin" else "")
    return names


def masker() -> Masker:
    """A masker of that room."""
    return Masker(book())


def lines(name: str) -> list[str]:
    """The lines of a file in tests/data, in composed letters where `go` compares them."""
    text = (DATA / name).read_text("utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def unmarked(line: str) -> str:
    """A line as it is typed."""
    return line.replace("«", "").replace("»", "")


def expected(line: str) -> re.Pattern[str]:
    """What a marked line may become: a placeholder for each mark, every other letter as it was."""
    parts = re.split(r"«([^»]*)»", unicodedata.normalize("NFC", line))
    shape = "".join(_PLACEHOLDER if at % 2 else re.escape(part) for at, part in enumerate(parts))
    return re.compile(shape.replace("@" + _PLACEHOLDER, "@?" + _PLACEHOLDER))
