"""A text as the guards read it: disguises undone, folded, in sentences and clauses. Read once, for all of them.

Case, accents, look-alike letters, digits for letters, letters spelled apart, signs inside words and drawn-out letters do
not hide a word. Pure; the work is linear in the text, whose length is bounded here.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from piyasad.language.text import fold

LONGEST: Final = 4096
"""Characters that are read; a guard refuses what is longer."""

# Cyrillic, Greek, small capitals and others that look like a Latin letter.
_LOOKALIKES: Final = str.maketrans(
    "аеорсухікмтвнАЕОРСУХІКМТВНԁԛԝѕјһαεοικντρυχɑɡɩɪʟɴʀᴀᴄᴅᴇᴋᴍᴏᴘᴛᴜᴠᴢꜱʙʜɢꜰʏᴊᴡıΑΒΕΗΙΚΜΝΟΡΤΥΧΖ",
    "aeopcyxikmtbhaeopcyxikmtbhdqwsjhaeoikvtpuxagiilnracdekmoptuvzsbhgfyjwıABEHIKMNOPTYXZ",
)
_LEET: Final = str.maketrans("013457@$€!|", "oieastaseil")
_INNER_LEET: Final = str.maketrans("!|", "il", "._*·-")
# Control signs, soft hyphens, combining marks that no letter took, invisible and bidi signs, blank fillers, tags, private use.
_HIDDEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u0300-\u036f\u0483-\u0489\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u1ab0-\u1aff\u1dc0-\u1dff"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u20d0-\u20ff\u2800\u3164\ud800-\uf8ff\ufe00-\ufe0f\ufe20-\ufe2f\ufeff\uffa0\ufff0-\uffff"
    "\U0001d173-\U0001d17a\U000e0000-\U0010ffff]"
)
_EMOJI_SIGNS: Final = frozenset("\u200d\ufe0f\u20e3\ufe0e")
_EMOJI_BEFORE: Final = range(0x2000, 0x20000)
_NOT_LATIN: Final = re.compile(r"[^\x00-\u024f\u2000-\u206f\u20a0-\u20bf\u2190-\u27ff\ufe0f\U0001f000-\U0001ffff]")

_SPELLED: Final = re.compile(r"(?<!\w)[^\W\d](?:[ .\-_*·/]{1,2}[^\W\d](?!\w)){2,}")
_IS_SPELLED: Final = re.compile(r"[ .\-_*·/][^\W\d][ .\-_*·/]{1,2}[^\W\d](?!\w)")
_INNER: Final = re.compile(r"[!|._*·\-](?<=[a-z].)(?=[a-z])")
_IS_MIXED: Final = re.compile(r"[\d@$€](?:[a-z]|(?<=[a-z].))")
_MIXED: Final = re.compile(r"(?<![\w@$€])(?:[a-z]+[\d@$€]|[\d@$€]{1,3}[a-z])[a-z\d@$€]*(?![\w@$€])")
_FIGURE: Final = re.compile(r"[a-z]{1,6}\d+|\d+[a-z]{1,6}")
_SIGNS: Final = re.compile(r"[ .\-_*·/]")
_TOKEN: Final = re.compile(r"\d+(?:[.,:]\d+)+(?:'\w+)?|\w+(?:'\w+)?|[.!?…;:,\n()\"“”«»–—\-/]")
_ENDS: Final = frozenset(".!?…;\n")
_TURNS: Final = frozenset(
    ("ama fakat ancak lakin cunku oysa oysaki halbuki yoksa but because however although though yet").split()
)


@dataclass(frozen=True, slots=True)
class Span:
    """Words from `start` to `end` of a reading; `asks`: a question mark ends its sentence."""

    start: int
    end: int
    asks: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """A text read. `words` are folded and undisguised; spans point into them.

    A sentence ends with a full stop and its like, a clause also with "ama", a breath also with a comma or a dash.
    """

    text: str
    plain: str
    words: tuple[str, ...]
    sentences: tuple[Span, ...]
    clauses: tuple[Span, ...]
    breaths: tuple[Span, ...]
    hidden: bool


@lru_cache(maxsize=512)  # a memo of a pure function: each guard reads the same text
def read(text: str) -> Reading:
    """The reading of a text, of its first `LONGEST` characters."""
    text = text[:LONGEST]
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    hidden = _hides(text)
    plain = undisguised(text)
    spans = _Spans()
    spans.take(plain)
    if _INNER.search(plain) or _IS_MIXED.search(plain):
        spans.take(_otherwise(plain))
    sentences, clauses, breaths = map(tuple, spans.cuts)
    return Reading(text, plain, tuple(spans.words), sentences, clauses, breaths, hidden)


class _Spans:
    """Words and where sentences, clauses and breaths of them end."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.cuts: tuple[list[Span], list[Span], list[Span]] = ([], [], [])
        self._starts = [0, 0, 0]

    def take(self, plain: str) -> None:
        """Read on."""
        words = self.words
        for chunk in plain.replace("\n", " ; ").split():
            if chunk.isalnum():
                if chunk in _TURNS:
                    self._cut(2)
                words.append(chunk)
                continue
            tokens = _TOKEN.findall(chunk)
            for at, token in enumerate(tokens):
                if token[0].isalnum() or token[0] == "_":
                    if token in _TURNS:
                        self._cut(2)
                    words.append(token)
                elif token in _ENDS:
                    self._cut(3, asks=token == "?")
                elif token not in "-/" or at in (0, len(tokens) - 1):  # "al-sat" is one breath
                    self._cut(1)
        self._cut(3)

    def _cut(self, levels: int, *, asks: bool = False) -> None:
        end = len(self.words)
        for level in range(3 - levels, 3):
            if self._starts[level] < end:
                self.cuts[level].append(Span(self._starts[level], end, asks))
                self._starts[level] = end


def undisguised(text: str) -> str:
    """The folded text with its disguises undone."""
    if not text.isascii() and _NOT_LATIN.search(text):
        text = text.translate(_LOOKALIKES)
    plain = fold(text)
    if "%" in plain:
        plain = plain.replace("%", " yuzde ")
    if _IS_SPELLED.search(plain):
        plain = _SPELLED.sub(lambda run: _SIGNS.sub("", run[0]), plain)
    if _IS_MIXED.search(plain):
        plain = _MIXED.sub(lambda word: word[0] if _FIGURE.fullmatch(word[0]) else word[0].translate(_LEET), plain)
    return plain


def _otherwise(plain: str) -> str:
    """The plain text read another way: signs inside words as nothing or as a letter, figures as letters."""
    other = _INNER.sub(lambda sign: sign[0].translate(_INNER_LEET), plain)
    return _MIXED.sub(lambda word: word[0].translate(_LEET), other)


def _hides(text: str) -> bool:
    """Whether a text holds signs that nobody sees; the joiners and variants inside an emoji are seen."""
    return any(
        not (found[0] in _EMOJI_SIGNS and found.start() and ord(text[found.start() - 1]) in _EMOJI_BEFORE)
        for found in _HIDDEN.finditer(text)
    )
