"""Members' data before it leaves the machine: people become "Üye n", what identifies them is masked.

`prompt.py` uses it for every line that a person wrote; `Faces.name` turns a model's "Üye 2" back into the name the
room knows, before the guards look at the text.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from piyasad.model import Message

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_LINK = re.compile(
    r"(?:https?://|www\.|t\.me/|tg://)\S+|\b[\w-]+\.(?:com|net|org|io|me|co|tr|xyz|info)(?:\.tr)?(?:/\S*)?\b", re.I
)
_IBAN = re.compile(
    r"\bTR\s?\d{2}(?:[ -]?\d{4}){5}[ -]?\d{2}\b|\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){3,7}(?:[ -]?[A-Z0-9]{1,4})?\b"
)
_PHONE = re.compile(
    r"(?<![\d.,])(?:\+|00)\d{1,3}[ .-]?(?:\(?\d{2,4}\)?[ .-]?){2,5}\d{2,4}|(?<![\d.,])\(?0?5\d{2}\)?[ .-]?\d{3}[ .-]?\d{2}[ .-]?\d{2}(?!\d)"
)
_NATIONAL_ID = re.compile(r"(?<![\d.,])[1-9]\d{10}(?![\d.,]?\d)")
_HANDLE = re.compile(r"(?<![\w@])@([A-Za-z][A-Za-z0-9_]{3,31})")


def mask(text: str, known_handles: Collection[str] = ()) -> str:
    """The text without e-mail addresses, links, IBANs, phone numbers, national ids and handles.

    `known_handles` (lower case, without @) are our bots' and stay.
    """
    text = _EMAIL.sub("[e-posta]", text)
    text = _LINK.sub("[bağlantı]", text)
    text = _IBAN.sub("[iban]", text)
    text = _PHONE.sub("[telefon]", text)
    text = _NATIONAL_ID.sub("[kimlik no]", text)
    return _HANDLE.sub(lambda match: match[0] if match[1].lower() in known_handles else "[kullanıcı]", text)


class Faces:
    """Who is "Üye n" in one prompt: people are numbered in the order in which they speak in it."""

    def __init__(self, lines: Iterable[Message], template: str) -> None:
        self._template = template
        self._number: dict[int | None, int] = {}
        self._author: dict[int, str] = {}
        for line in lines:
            self.of(line)

    def of(self, line: Message) -> str:
        """The name under which a model sees the author: a bot's own, or "Üye n"."""
        if not line.is_person:
            return line.author
        number = self._number.setdefault(line.user_id, len(self._number) + 1)
        self._author.setdefault(number, line.author)
        return self._template.replace("{n}", str(number))

    def hide(self, text: str) -> str:
        """The text with the names of the people seen so far replaced (a bot may have called one by name)."""
        for number, author in self._author.items():
            if len(author) >= 3:
                text = re.sub(rf"(?<!\w){re.escape(author)}(?!\w)", self._template.replace("{n}", str(number)), text)
        return text

    def reveal(self, text: str) -> str:
        """A model's "Üye 2'ye" becomes the person's name again, its suffix in the harmony of that name."""
        pattern = re.escape(self._template).replace(r"\{n\}", r"(\d+)") + r"(?:['’](\w+))?"

        def name(match: re.Match[str]) -> str:
            author = self._author.get(int(match[1]))
            if author is None:
                return "arkadaş"
            return author + ("'" + reharmonise(author, match[2]) if match[2] else "")

        return re.sub(pattern, name, text)


_VOWELS = "aeıioöuüâîû"
_FOURFOLD = {
    "a": "ı",
    "ı": "ı",
    "e": "i",
    "i": "i",
    "o": "u",
    "u": "u",
    "ö": "ü",
    "ü": "ü",
    "â": "ı",
    "î": "i",
    "û": "u",
}
_SUFFIXES = (
    (re.compile(r"y?[ae]\Z"), "y", "A"),  # to
    (re.compile(r"y?[ıiuü]\Z"), "y", "I"),  # object
    (re.compile(r"n?[ıiuü]n\Z"), "n", "In"),  # of
    (re.compile(r"[dt][ae]\Z"), "", "DA"),  # at
    (re.compile(r"[dt][ae]n\Z"), "", "DAn"),  # from
    (re.compile(r"y?l[ae]\Z"), "y", "lA"),  # with
)


def reharmonise(word: str, suffix: str) -> str:
    """One case suffix in the vowel harmony of another word: ("Ahmet", "ya") → "e". Unknown suffixes stay."""
    lowered = word.replace("I", "ı").replace("İ", "i").lower()
    vowels = [letter for letter in lowered if letter in _VOWELS]
    if not vowels:
        return suffix
    last, ends_in_vowel = vowels[-1], lowered[-1] in _VOWELS
    low = "a" if last in "aıouâû" else "e"
    hard = lowered[-1] in "çfhkpsşt"
    for shape, buffer, form in _SUFFIXES:
        if shape.match(suffix):
            body = form.replace("A", low).replace("I", _FOURFOLD[last]).replace("D", "t" if hard else "d")
            return (buffer if ends_in_vowel else "") + body
    return suffix
