"""Who is meant: the names that members have in one chat, found in a text by look-up of its words.

A book per chat; `mask.py` asks it. Its cost does not grow with the number of members. Pure but for what it is told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final, NamedTuple

from piyasad.language.text import lower_tr
from piyasad.language.vocative import is_title
from piyasad.privacy.plain import folded, plain

PEOPLE_MOST: Final = 10_000
"""Members that a book remembers; beyond it those who were not heard for longest go."""

NAMES_MOST: Final = 8
"""Names of one member that are remembered, the newest."""

SHORTEST: Final = 3
"""Shorter words are masked as an author only: "su", "al"."""


class Sort(IntEnum):
    """What else the letters of a name may mean."""

    NAME = 0  # hardly anything: masked wherever it stands
    GIVEN = 1  # a name and an everyday word (Deniz, Barış): masked where somebody is meant
    WORD = 2  # a word of every line that somebody has for a name (Altın, Güzel): masked where it plainly calls
    BOT = 3  # a word of a bot's name: masked as a member's address


class Entry(NamedTuple):
    """Whose a word or a row of words is."""

    number: int
    sort: Sort
    spellings: tuple[str, ...] = ()  # in lower case, as it is rightly written
    kept: bool = False  # it stands in our own list
    calls: bool = True  # people are called by it: any word of a name but a surname

    def is_spelt(self, written: str, size: int, *, lazily: bool = False) -> bool:
        """Whether a word's first letters are the name's own; its last may have softened before an ending.

        Args:
            written: in lower case.
            lazily: a Turkish letter of the name may be written as its ASCII one ("saban" for Şaban, not "şuna" for Suna).
        """
        for right in self.spellings:
            pairs = list(zip(written[:size], right, strict=False))
            last, own = pairs.pop()
            if all(a == b or (lazily and a == folded(b)) for a, b in pairs) and (
                last == own or folded(last) == _SOFT.get(own) or (lazily and last == folded(own))
            ):
                return True
        return False


@dataclass(slots=True)
class _Person:
    number: int
    names: dict[str, None]
    handle: str = ""


WORD: Final = re.compile(r"\w+")

# What may follow a name without an apostrophe, on folded letters: "Ahmetcim", "Ahmetlere", "Ayşenin", "Alidenmiş".
_OF_ALL: Final = (
    r"(?:ki(?:l[ae]r)?)?(?:d[iu]r|t[iu]r|y?d[iu]|t[iu]|y?m[iu]s|y?s[ae]|m[iu]|ym[iu]s|m[iu]s[iu]n)?|s[iu]z|l[iu]k"
)
_AFTER_VOWEL: Final = re.compile(
    rf"(?:c[iu]g[iu]m|c[iu]m|l[ae]r|g[iu]l)?(?:y[ae]|y[iu]|n[iu]n|d[ae]n?|yl[ae]|nl[ae])?(?:{_OF_ALL})"
    r"|m|l[ae]r(?:[iu]n?|[ae])|c[iu][gm][iu]?m?(?:[iu]n?|[ae]|d[ae]n?)"
)
_AFTER_CONSONANT: Final = re.compile(
    rf"(?:c[iu]g[iu]m|c[iu]m|[iu]m|l[ae]r|g[iu]l)?(?:[ae]|[iu]n?|[dt][ae]n?|l[ae]|[iu]nl[ae])?(?:{_OF_ALL})"
)
_FOND: Final = re.compile(r"c[iu](?:m|g[iu]m)\w{0,3}")
_VOWELS: Final = frozenset("aeiou")
_SOFT: Final = MappingProxyType({"t": "d", "p": "b", "k": "g"})
_DRAWN_OUT: Final = re.compile(r"(\w)\1{2,}")


@cache
def _lists() -> Mapping[str, Sort]:
    """The kept names by their folded letters; `_spelt` has their spelling."""
    return MappingProxyType({folded(name): sort for name, sort in _kept()})


@cache
def _spelt() -> Mapping[str, str]:
    return MappingProxyType({folded(name): name for name, _ in _kept()})


@cache
def phrases() -> frozenset[tuple[str, str]]:
    """Turns of speech in which the letters of a name are none: the word, and how the next begins."""
    rows = _section("phrases").splitlines()
    return frozenset((first, rest) for first, _, rest in (row.partition(" ") for row in rows))


@cache
def others() -> frozenset[str]:
    """Words that look like a name written without its Turkish signs, and are words of their own."""
    return frozenset(_section("others").split())


def _kept() -> Iterable[tuple[str, Sort]]:
    for section, sort in (("names", Sort.NAME), ("words", Sort.GIVEN), ("common", Sort.WORD)):
        for name in _section(section).split():
            yield name, sort


@cache
def _section(name: str) -> str:
    text = files("piyasad.privacy").joinpath("names.txt").read_text("utf-8")
    return text.partition(f"[{name}]\n")[2].partition("\n[")[0].strip()


def follows(base: str, rest: str) -> bool:
    """Whether folded letters after a folded name are endings of it, or a title written with it ("ahmetabi")."""
    if not rest:
        return True
    shape = _AFTER_VOWEL if base[-1] in _VOWELS else _AFTER_CONSONANT
    return shape.fullmatch(rest) is not None or (len(rest) > 2 and is_title(rest))


def is_fond(rest: str) -> bool:
    """Whether an ending calls somebody ("Umutcum", "Denizciğim") or is a title."""
    return _FOND.fullmatch(rest) is not None or (len(rest) > 2 and is_title(rest))


class NameBook:
    """The members of one chat by all names that they have or had in it, and our bots there.

    `version` grows with every change that could mask a text otherwise. A member's number stays while the book knows
    the member.

    Args:
        people_as: what members are called, with {n} for the number.
        known: whether a word (lower case, Turkish spelling) is a word of the language. Names may be among its words.
    """

    def __init__(self, people_as: str = "Üye {n}", *, known: Callable[[str], bool] = lambda word: False) -> None:
        self.people_as = people_as
        self.known = known
        self.version = 0
        self.ours: frozenset[str] = frozenset()
        self._people: dict[int, _Person] = {}
        self._by_number: dict[int, int] = {}
        self._next = 1
        self._bots: tuple[tuple[str, ...], ...] = ()
        self._bot_words: frozenset[str] = frozenset()
        self._handles: dict[str, int] = {}
        self._single: dict[str, Entry] = {}
        self._soft: dict[str, str] = {}
        self._whole: dict[str, list[tuple[tuple[str, ...], Entry | None]]] = {}
        self._sizes: dict[str, tuple[int, ...]] = {}  # by the first letters: how long the names are that begin so

    # --- what it is told

    def bots(self, names: Mapping[str, str]) -> None:
        """Our bots in this chat: their names by their handles. Those stay as they are in every text."""
        ours = frozenset(handle.lower() for handle in names)
        rows = tuple(tuple(WORD.findall(folded(plain(name)))) for name in names.values())
        if (ours, rows) != (self.ours, self._bots):
            self.ours, self._bots = ours, rows
            self._bot_words = frozenset(word for row in rows for word in row)
            self._index()

    def heard(self, user_id: int, name: str, handle: str = "") -> None:
        """A member spoke, or is known to be here, under this display name (and @handle)."""
        person = self._people.pop(user_id, None)
        if person is None:
            person = _Person(self._next, {})
            self._by_number[self._next] = user_id
            self._next += 1
        self._people[user_id] = person  # the newest heard stands last
        handle = handle.lower().removeprefix("@")
        if name in person.names and handle in {"", person.handle}:
            return
        person.names[name] = None
        person.handle = handle or person.handle
        if len(person.names) > NAMES_MOST or len(self._people) > PEOPLE_MOST:
            if len(person.names) > NAMES_MOST:
                del person.names[next(iter(person.names))]
            if len(self._people) > PEOPLE_MOST:
                self._drop(next(iter(self._people)))
            self._index()
            return
        self._enter(person, name)
        self.version += 1

    def forget(self, user_id: int) -> None:
        """The member asked to be forgotten: no name of theirs stays here."""
        if user_id in self._people:
            self._drop(user_id)
            self._index()

    # --- what it is asked

    def alias(self, user_id: int | None, name: str = "") -> str:
        """What a model sees as this author: "Üye 3"; a member whom the book does not know yet is entered."""
        if user_id is None:
            entry = self._whole_of(name)
            return self.called(entry.number) if entry else self.people_as.replace("{n}", "").strip() or "?"
        if user_id not in self._people:
            self.heard(user_id, name)
        return self.called(self._people[user_id].number)

    def called(self, number: int) -> str:
        """The alias of a number."""
        return self.people_as.replace("{n}", str(number))

    def name_of(self, number: int) -> str | None:
        """The newest display name behind a number."""
        person = self._people.get(self._by_number.get(number, 0))
        return next(reversed(person.names), None) if person else None

    def first_names(self) -> frozenset[str]:
        """The folded first words of all members' names: who is called by one may be a member, not a bot."""
        rows = (WORD.findall(folded(plain(name))) for person in self._people.values() for name in person.names)
        return frozenset(row[0] for row in rows if row)

    def by_handle(self, handle: str) -> int | None:
        """The number of the member with a handle (lower case, without @)."""
        return self._handles.get(handle)

    def may_mean(self, word: str) -> bool:
        """Whether a name may begin with this folded word: cheap, and no for nearly all words."""
        return word in self._whole or self.lookup(word) is not None

    def rows(self, word: str) -> Sequence[tuple[tuple[str, ...], Entry | None]]:
        """The names of several words that begin with a word, the longest first; None: a bot's."""
        return self._whole.get(word, ())

    def lookup(self, word: str) -> tuple[str, Entry] | None:
        """The name that a folded word is a form of, and whose it is; the longest such name."""
        sizes = self._sizes.get(word[:SHORTEST])
        if sizes is None:
            return None
        for end in sizes:
            base = word[:end]
            entry = self._single.get(base)
            if entry is not None and follows(base, word[end:]):
                return base, entry
            hard = self._soft.get(base)
            if hard is not None and word[end : end + 1] in _VOWELS and follows(hard, word[end:]):
                return base, self._single[hard]
        if _DRAWN_OUT.search(word) is None:
            return None
        drawn = _DRAWN_OUT.sub(r"\1", word)
        return self.lookup(drawn) if len(drawn) >= SHORTEST else None

    # --- how it is built

    def _index(self) -> None:
        self._handles, self._single, self._soft, self._whole, self._sizes = {}, {}, {}, {}, {}
        for row in self._bots:
            if len(row) > 1:
                self._add_row(row, None)
        for person in self._people.values():
            for name in person.names:
                self._enter(person, name)
        self.version += 1

    def _enter(self, person: _Person, name: str) -> None:
        if person.handle:
            self._handles[person.handle] = person.number
            self._add_word(person.handle, Entry(person.number, Sort.NAME, (person.handle,), kept=True))
        name = plain(name)
        written = [lower_tr(word) for word in WORD.findall(name)]
        row = tuple(WORD.findall(folded(name)))
        if not row or len(written) != len(row):
            return
        entries = [self._entry(person.number, word, low) for word, low in zip(row, written, strict=True)]
        if len(row) > 1:
            entries[-1] = entries[-1]._replace(calls=False)
        if len(row) > 1:
            self._add_row(row, Entry(person.number, self._sort_of_row(row, entries)))
        for word, entry in zip(row, entries, strict=True):
            if len(word) >= SHORTEST:
                self._add_word(word, entry)

    def _entry(self, number: int, word: str, written: str) -> Entry:
        right = _spelt().get(word)
        spellings = (written, right) if right and right != written else (written,)
        if word in self._bot_words:
            return Entry(number, Sort.BOT, spellings)
        kept = _lists().get(word)
        if kept is not None:
            return Entry(number, kept, spellings, kept=True)
        common = word.isdigit() or self.known(written) or self.known(word)
        return Entry(number, Sort.GIVEN if common else Sort.NAME, spellings)

    def _sort_of_row(self, row: tuple[str, ...], entries: Sequence[Entry]) -> Sort:
        """A name and a surname side by side are a person, even of two words; "Altın Dolar" need not be one."""
        sorts = [_lists().get(word) for word in row]
        if Sort.NAME in (*sorts, *(entry.sort for entry in entries)) or (None not in sorts and Sort.WORD not in sorts):
            return Sort.NAME
        return Sort.WORD if Sort.WORD in sorts else Sort.GIVEN

    def _add_word(self, word: str, entry: Entry) -> None:
        if word not in self._single or (entry.calls and not self._single[word].calls):
            self._single[word] = entry
        start, size = word[:SHORTEST], len(word)
        sizes = self._sizes.get(start, ())
        if size not in sizes:
            self._sizes[start] = tuple(sorted((*sizes, size), reverse=True))
        soft = _SOFT.get(word[-1])
        if soft and len(word) > SHORTEST:
            self._soft.setdefault(word[:-1] + soft, word)

    def _add_row(self, row: tuple[str, ...], entry: Entry | None) -> None:
        rows = self._whole.setdefault(row[0], [])
        if all(known != row for known, _ in rows):
            rows.append((row, entry))
            rows.sort(key=lambda each: -len(each[0]))

    def _drop(self, user_id: int) -> None:
        self._by_number.pop(self._people.pop(user_id).number, None)

    def _whole_of(self, name: str) -> Entry | None:
        row = tuple(WORD.findall(folded(plain(name))))
        if len(row) == 1:
            return self._single.get(row[0])
        return next((entry for known, entry in self._whole.get(row[0], ()) if known == row), None) if row else None
