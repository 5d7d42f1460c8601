"""Members' names in a text, and whether the words there mean them. Pure; `mask.py` calls it with a plain text.

A name that is nothing else goes wherever it stands. One that is a word too goes where somebody is meant: called, greeted,
asked, after @, before a title, with an apostrophe, as who says something. So "deniz kenarında" stays and "Deniz, sence?" goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from piyasad.language.text import lower_tr
from piyasad.language.vocative import GREETINGS, HAILS, is_deed, is_title, precedes_name, says_you, turns_to
from piyasad.privacy.digits import Find
from piyasad.privacy.names import WORD, Entry, NameBook, Sort, follows, is_fond, others, phrases

_BREAK: Final = re.compile(r"[.!?…,;:\n()\[\]\"“”«»—–]")
_STOP: Final = re.compile(r"[.!?…\n]")
_TURKISH: Final = re.compile("[çğışöüÇĞİŞÖÜ]")
_JOINS: Final = frozenset(("ve", "ile", "veya", "ya", "yada", "and", "or"))
_ANSWERS: Final = frozenset(("bence", "evet", "hayir", "ya", "peki", "aynen", "tamam", "e", "ee"))
_SHORT: Final = 4
_LONGEST_CALL: Final = 8
"""Words before a name at a clause's end that may still call its bearer."""


def members(text: str, low: str, book: NameBook) -> Iterator[Find]:
    """The members named in a text, from left to right, with their aliases.

    Args:
        low: `plain.folded` of the text.
    """
    line: _Line | None = None
    last: Find | None = None
    at = 0
    for match in WORD.finditer(low):
        if match.start() < at or not book.may_mean(match[0]):
            continue
        line = line or _Line(text, low)
        found = line.find(match.start(), book)
        if found is None:
            continue
        at = found.end
        if last is not None and found.label.rstrip("'") == last.label and low[last.end : found.start] == " ":
            found = found._replace(start=last.start)  # two of somebody's names side by side
        elif last is not None:
            yield last
        last = found if found.label else None
    if last is not None:
        yield last


class _Line:
    """A text's words with what lies between them; made only where a word begins like a name."""

    def __init__(self, text: str, low: str) -> None:
        self.text = text
        self.low = low
        spans = [match.span() for match in WORD.finditer(low)]
        self.spans = spans
        self.words = [low[start:end] for start, end in spans]
        self.index = {start: at for at, (start, _) in enumerate(spans)}
        self.shouts = text.isupper()
        self.turkish = _TURKISH.search(text) is not None

    def find(self, start: int, book: NameBook) -> Find | None:
        """The member named from here on; with an empty label where a bot is."""
        at = self.index[start]
        for row, entry in book.rows(self.words[at]):
            last = self._row_end(at, row)
            if last is not None:
                if entry is None:
                    return Find(start, self.spans[last][1], "")
                if self._is_meant(at, last, entry, self._rest(last, row[-1]), book):
                    return self._found(at, last, len(row[-1]), entry, book)
        looked = book.lookup(self.words[at])
        if looked is None:
            return None
        base, entry = looked
        rest = self.words[at][len(base) :]
        if rest and entry.sort is not Sort.NAME and is_title(self.words[at]):
            return None  # "Hanım" is no form of Han
        meant = (
            self._is_certain(at, base, rest, entry, book)
            if entry.sort is Sort.NAME
            else self._is_meant(at, at, entry, rest, book)
        )
        return self._found(at, at, len(base), entry, book) if meant else None

    # --- where it is

    def _row_end(self, at: int, row: tuple[str, ...]) -> int | None:
        """The index of the last word of a name of several words that begins at a word; None: it does not stand there."""
        last = at + len(row) - 1
        if last >= len(self.words) or tuple(self.words[at:last]) != row[:-1]:
            return None
        if any(len(self._gap(each)) > 3 or _STOP.search(self._gap(each)) for each in range(at, last)):
            return None
        word = self.words[last]
        if not word.startswith(row[-1]):
            return None
        rest = word[len(row[-1]) :]
        return last if follows(row[-1], rest) else None

    def _gap(self, at: int) -> str:
        """What lies between a word and the next."""
        after = self.spans[at + 1][0] if at + 1 < len(self.spans) else len(self.low)
        return self.low[self.spans[at][1] : after]

    def _rest(self, last: int, base: str) -> str:
        return self.words[last][len(base) :]

    def _found(self, at: int, last: int, base: int, entry: Entry, book: NameBook) -> Find:
        start, end = self.spans[at][0], self.spans[last][0] + base
        alias = book.called(entry.number)
        if end < self.spans[last][1]:
            alias += "'"
        if start and self.text[start - 1] == "@":
            start -= 1
        return Find(start, end, alias)

    # --- whether it is one

    def _is_certain(self, at: int, base: str, rest: str, entry: Entry, book: NameBook) -> bool:
        """A name that is nothing else, if these are its letters: "alın" is no form of Ali, "asli" none of Aslı."""
        following = self.words[at + 1] if at + 1 < len(self.words) else ""
        if any(self.words[at] == first and following.startswith(then) for first, then in phrases()):
            return False
        start, end = self.spans[at]
        written = self.text[start:end]
        if written[0].islower() and self._is_doubled(at):
            return False
        if written[0].isupper() and not self._begins_sentence(at):
            return True
        lower = lower_tr(written)
        if rest == "m" and written[0].islower() and book.known(lower):
            return False  # "alim"
        if any(entry.is_spelt(each, len(base), lazily=entry.kept) for each in (lower, written.lower())):
            return entry.kept or not rest or not book.known(lower)
        undotted = lower.replace("ı", "i")
        if entry.kept and len(base) > _SHORT and any(undotted == each.replace("ı", "i") for each in entry.spellings):
            return True  # "ıbrahım": only its dots are wrong
        return not self.turkish or not book.known(lower)

    def _is_doubled(self, at: int) -> bool:
        """ "ışıl ışıl": a word said twice is a manner, not a name."""
        word = self.words[at]
        return (at > 0 and self.words[at - 1] == word) or (at + 1 < len(self.words) and self.words[at + 1] == word)

    def _is_meant(self, at: int, last: int, entry: Entry, rest: str, book: NameBook) -> bool:
        """Whether words that have another meaning, too, mean their bearer here."""
        start, end = self.spans[at][0], self.spans[last][1]
        if start and self.low[start - 1] == "@":
            return True
        if entry.sort is Sort.NAME:
            return True  # a row with a word in it that is nothing but a name
        if last == at and self._is_another_word(at, len(self.words[at]) - len(rest), entry, book):
            return False
        given = entry.sort in {Sort.GIVEN, Sort.BOT}
        after = self._clause_after(last)
        if (rest and is_fond(rest)) or self._is_titled(at, last, entry):
            return True
        marked = self.low[end : end + 1] == "'" and end + 1 < len(self.low) and self.low[end + 1].isalnum()
        if entry.sort is not Sort.BOT and self._is_written_as_name(at, last, marked=marked, given=given):
            return True
        if rest or marked:
            return False
        before = self._clause_before(at)
        if entry.sort is Sort.GIVEN and after and is_deed(after[0]):
            return True
        return entry.calls and self._is_called(at, last, before, after, given=given)

    def _is_another_word(self, at: int, size: int, entry: Entry, book: NameBook) -> bool:
        """Whether a word only looks like the name: "sen" is no Şen, "şuna" no Suna; "umit" is a lazy Ümit."""
        written = lower_tr(self.text[self.spans[at][0] : self.spans[at][1]])
        if entry.is_spelt(written, size):
            return False
        return written[:size] in others() if entry.is_spelt(written, size, lazily=True) else book.known(written)

    def _is_titled(self, at: int, last: int, entry: Entry) -> bool:
        nearby = self._gap(last).strip(" ")
        if not nearby and last + 1 < len(self.words) and is_title(self.words[last + 1]):
            return True
        return bool(at) and precedes_name(self.words[at - 1]) and self._gap(at - 1) in {" ", ". ", "."}

    def _is_written_as_name(self, at: int, last: int, *, marked: bool, given: bool) -> bool:
        """Capital letters amid small ones, or the apostrophe of a proper name."""
        if self.shouts:
            return False
        capital = all(self.text[self.spans[each][0]].isupper() for each in range(at, last + 1))
        if given and marked:
            return True
        if capital and last > at and given:
            return True
        if not capital or self._begins_sentence(at):
            return False
        if last > at:
            return True
        left = self._is_capital(at - 1) and not self._begins_sentence(at - 1)
        return given and not left and not (self._gap(last) == " " and self._is_capital(last + 1))

    def _is_capital(self, at: int) -> bool:
        return 0 <= at < len(self.spans) and self.text[self.spans[at][0]].isupper()

    def _begins_sentence(self, at: int) -> bool:
        if at == 0 or _STOP.search(self._gap(at - 1)):
            return True
        start = self.spans[at - 1][0]
        return start > 0 and self.text[start - 1] == "@"

    def _is_called(self, at: int, last: int, before: list[str], after: list[str], *, given: bool) -> bool:
        if not before and not after:
            return self._stands_alone(at, last, given=given)
        hailed = bool(before) and all(word in HAILS for word in before)
        if hailed:
            return True
        if not after:
            if not given or len(before) > _LONGEST_CALL:
                return False
            answers = before[-1] in _ANSWERS and not self._is_capital(at)
            return not answers and (before[-1] in GREETINGS or any(map(says_you, before)))
        return given and all(word in GREETINGS for word in before) and turns_to(after)

    def _stands_alone(self, at: int, last: int, *, given: bool) -> bool:
        """A clause of nothing but the name: a call, unless it is an item of a list or an answer."""
        ahead = last + 1 < len(self.words)
        if not ahead and at == 0:
            return given
        if ahead and "," in self._gap(last) and (at == 0 or not self._gap(at - 1).strip().startswith(",")):
            following = self._clause_after(last + 1)
            spoken = [self.words[last + 1], *following]
            if turns_to(self._sentence_after(last)):
                return given or any(says_you(word) for word in spoken[1:]) or says_you(spoken[0])
            return given and len(spoken) > 1 and not any(word in _JOINS for word in spoken[:3])
        if at and "," in self._gap(at - 1) and not ahead:
            earlier = [self.words[at - 1], *self._clause_before(at - 1)]
            return any(map(says_you, earlier)) or all(word in HAILS for word in earlier)
        return given and not (ahead and "," in self._gap(last))

    def _clause_before(self, at: int) -> list[str]:
        found: list[str] = []
        while at and not _BREAK.search(self._gap(at - 1)) and len(found) <= _LONGEST_CALL:
            at -= 1
            found.append(self.words[at])
        return found[::-1]

    def _clause_after(self, last: int) -> list[str]:
        found: list[str] = []
        while last + 1 < len(self.words) and not _BREAK.search(self._gap(last)) and len(found) <= 2 * _LONGEST_CALL:
            last += 1
            found.append(self.words[last])
        return found

    def _sentence_after(self, last: int) -> list[str]:
        found: list[str] = []
        while last + 1 < len(self.words) and not _STOP.search(self._gap(last)) and len(found) <= 2 * _LONGEST_CALL:
            last += 1
            found.append(self.words[last])
        return found
