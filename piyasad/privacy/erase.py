"""Forgetting in words: what names or quotes a member, taken out of texts that others wrote. Pure.

The store's `forget` asks an `Eraser` about every text that it keeps; nothing here knows tables. A word too many that
becomes "Üye" in an old line harms nobody, one too few is a broken promise: in doubt it is taken out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from piyasad.language.text import fold, lower_tr
from piyasad.privacy.contacts import HANDLE
from piyasad.privacy.harmony import reharmonise
from piyasad.privacy.names import SHORTEST, WORD, NameBook
from piyasad.privacy.people import members
from piyasad.privacy.plain import folded, plain

LABEL: Final = "Üye"
"""What stands in a bot's line where a forgotten member was named or quoted."""

PROMPTS: Final = frozenset({"prompt", "prompts", "request", "messages"})
"""Where a trace keeps what a model was sent: the whole room's words, masked, so that no search finds their author."""

RUN, RUN_TO_THEM = 4, 3
"""So many words in a row as they wrote them are a quotation; fewer in a line that answers them."""

ID_DIGITS = 6
"""Shorter ids are looked for where ids stand only: as a number in a text they could be anything."""

SHORT, KNOWN_MOST = 80, 10_000
"""Strings of JSON so short are remembered, so many of them."""

NUMBER_DIGITS = 9
"""Numbers of theirs of so many figures are repeated by nobody by chance."""

_TOKEN = re.compile(r"(\w+)(?:'\w+)?")
_ENDING = re.compile(r"['’‘ʼ´`]?(\w+)")
_QUOTED = re.compile(r"“([^”]{1,500})”|\"([^\"]{1,500})\"|«([^»]{1,500})»|‘([^’]{1,500})’|„([^“”]{1,500})[“”]")
_CONTACT = re.compile(
    r"[\w.+-]{1,64}@[\w-]{1,64}\.[\w.-]{1,64}|(?:https?://|www\.|t\.me/)\S{1,500}|\b(?:[a-z]{2})?\d(?:[ .()/-]{0,2}\d){8,33}\b"
)


class _Span(NamedTuple):
    start: int
    end: int
    label: str


class Eraser:
    """What is to be taken out for one member.

    Args:
        user_id: theirs; None where it is not known.
        names: under which they wrote, as shown.
        handles: their @usernames, with or without @.
        texts: their own lines, of which others' may hold quotations.
        bots: names of our bots: a word of one means the bot, but where it plainly addresses the member.
        is_word: whether a folded word is one of the language: a name that is one counts where it stands as a name.
    """

    def __init__(
        self,
        user_id: int | None,
        names: Iterable[str],
        handles: Iterable[str],
        texts: Iterable[str] = (),
        *,
        bots: Iterable[str] = (),
        is_word: Callable[[str], bool] = lambda word: False,
    ) -> None:
        self.user_id = user_id
        self._id = re.compile(rf"(?<!\d){user_id}(?!\d)") if len(str(user_id or "")) >= ID_DIGITS else None
        names = sorted({name for name in map(str.strip, names) if name})
        self._words = {word for name in names for word in WORD.findall(folded(plain(name))) if len(word) > 1}
        self._signs = sorted(
            (name for name in names if not any(map(str.isalnum, name))), key=lambda each: (-len(each), each)
        )
        self._book = NameBook(LABEL, known=lambda word: is_word(fold(word)))
        self._book.bots({f"bot{number}": name for number, name in enumerate(bots)})
        for number, name in enumerate(names):
            self._book.heard(number, name)
        self._handles = sorted({handle.lower().lstrip("@") for handle in handles} - {""})
        either = "|".join(map(re.escape, self._handles))
        self._handle = re.compile(rf"@?(?<![a-z0-9_])(?:{either})(?![a-z0-9_])") if either else None
        brief = "|".join(re.escape(plain(name)) for name in names if len(name) < SHORTEST and name.isalnum())
        self._brief = re.compile(rf"(?<!\w)(?:{brief})(?=['’,!])") if brief else None
        starts = "|".join(sorted({re.escape(word[:SHORTEST]) for word in self._words if len(word) >= SHORTEST}))
        self._starts = re.compile(starts) if starts else None
        self._known: dict[str, str] = {}
        self._learn(texts)

    def _learn(self, texts: Iterable[str]) -> None:
        contacts: set[str] = set()
        spoken: list[list[str]] = []
        for text in texts:
            low = folded(plain(text))
            contacts.update(map(_contact, _CONTACT.findall(low)))
            spoken.append(_TOKEN.findall(low))
        self._contacts = frozenset(contacts)
        self._runs = {n: {row for words in spoken for row in _runs(words, n)} for n in (RUN_TO_THEM, RUN)}
        self._begin = {n: {row[0] for row in runs} for n, runs in self._runs.items()}
        self._short = {tuple(words) for words in spoken if 2 <= len(words) < RUN_TO_THEM}
        self._spoken = "\n".join(f" {' '.join(words)} " for words in spoken)

    def ours(self, text: str, *, to_them: bool = False) -> str:
        """A text of our bots or of the machine: neither named nor quoted. `to_them`: it answers the member."""
        return self._erased(text, quoted=True, to_them=to_them, handle=LABEL)

    def theirs(self, text: str) -> str:
        """Another member's text: their words stay, the name becomes "Üye", the @username is masked."""
        return self._erased(text, quoted=False, to_them=False, handle=HANDLE)

    def value(self, value: Any, *, prompts: bool = False) -> Any:
        """JSON of ours, keys included. `prompts`: what a model was sent goes whole."""
        if isinstance(value, str):
            return self._short_or_long(value)
        if isinstance(value, dict):
            kept = ((key, item) for key, item in value.items() if not (prompts and key in PROMPTS))
            return {self._short_or_long(key): self.value(item, prompts=prompts) for key, item in kept}
        if isinstance(value, list):
            return [self.value(item, prompts=prompts) for item in value]
        if isinstance(value, int) and not isinstance(value, bool) and self._id is not None and value == self.user_id:
            return None
        return value

    @property
    def pattern(self) -> str:
        """A regular expression of PostgreSQL's that finds every text in which they may be named (and some others)."""
        found = [_loosely(word) for word in sorted(self._words | {folded(handle) for handle in self._handles})]
        found += [re.sub(r"(\W)", r"\\\1", sign) for sign in self._signs]
        if self._id is not None:
            found.append(str(self.user_id))
        return "|".join((*found, _STRANGE)) if found else r"\Z."

    def _short_or_long(self, text: str) -> str:
        """A string of JSON; the short ones come again and again."""
        if len(text) > SHORT:
            return self.ours(text, to_them=True)
        left = self._known.get(text)
        if left is None:
            if len(self._known) >= KNOWN_MOST:
                self._known.clear()
            left = self._known[text] = self.ours(text, to_them=True)
        return left

    def _erased(self, original: str, *, quoted: bool, to_them: bool, handle: str) -> str:
        text = plain(original)
        low = folded(text)
        spans = [] if self._handle is None else [_Span(*found.span(), handle) for found in self._handle.finditer(low)]
        if self._starts is not None and self._starts.search(low):
            spans += [_Span(*found) for found in members(text, low, self._book)]
        if self._brief is not None:
            spans += [_Span(*found.span(), LABEL) for found in self._brief.finditer(text)]
        if quoted:
            spans += self._quotations(text, low, to_them=to_them)
        if spans:
            text = _replaced(text, spans)
        for sign in self._signs:
            text = text.replace(plain(sign), LABEL)
        if self._id is not None:
            text = self._id.sub(LABEL, text)
        return original if text == plain(original) else text

    def _quotations(self, text: str, low: str, *, to_them: bool) -> Iterable[_Span]:
        """Runs of their words, what of theirs stands in quotation marks, their addresses and numbers."""
        if not self._spoken:
            return
        if self._contacts:
            for found in _CONTACT.finditer(low):
                if _contact(found[0]) in self._contacts:
                    yield _Span(*found.span(), LABEL)
        words = _TOKEN.findall(low)
        repeated = list(self._repeated(words, RUN_TO_THEM if to_them else RUN))
        if to_them and tuple(words) in self._short:
            repeated.append((0, len(words)))
        if repeated:
            tokens = list(_TOKEN.finditer(low))
            yield from (_Span(tokens[first].start(), tokens[end - 1].end(), LABEL) for first, end in repeated)
        for found in _QUOTED.finditer(text):
            start, end = found.span(found.lastindex or 0)
            inside = _TOKEN.findall(low[start:end])
            if (len(inside) > 1 or any(len(word) > 3 for word in inside)) and f" {' '.join(inside)} " in self._spoken:
                yield _Span(start, end, LABEL)

    def _repeated(self, words: Sequence[str], least: int) -> Iterable[tuple[int, int]]:
        """The longest runs of so many of their words, as (first, end)."""
        runs, begin = self._runs[least], self._begin[least]
        at = 0
        while at + least <= len(words):
            end = at + least
            if words[at] not in begin or tuple(words[at:end]) not in runs:
                at += 1
                continue
            while end < len(words) and tuple(words[end - least + 1 : end + 1]) in runs:
                end += 1
            yield at, end
            at = end


def _contact(found: str) -> str:
    """An address or a number as it is compared: numbers by their figures, however they are spaced."""
    figures = re.sub(r"\D", "", found)
    return figures if len(figures) >= NUMBER_DIGITS and not set(found) & {"@", ":"} else found


def _runs(words: Sequence[str], n: int) -> Iterable[tuple[str, ...]]:
    return (tuple(words[at : at + n]) for at in range(len(words) - n + 1))


def _replaced(text: str, spans: Iterable[_Span]) -> str:
    """The text with the spans replaced; what overlaps, or has only blanks in between, becomes one."""
    merged: list[_Span] = []
    for span in sorted(spans):
        before = merged[-1] if merged else _Span(0, -1, "")
        alike = span.label[0] == before.label[:1] and not text[before.end : span.start].strip()
        if span.start < before.end or alike:
            merged[-1] = _Span(
                before.start, max(span.end, before.end), span.label if span.end > before.end else before.label
            )
        else:
            merged.append(span)
    for start, end, label in reversed(merged):
        ending = _ENDING.match(text, end) if label.startswith(LABEL) else None
        if ending is None:
            text = text[:start] + label + text[end:]
        else:
            text = text[:start] + _with(ending[1]) + text[ending.end() :]
    return text


def _with(ending: str) -> str:
    """The label with a name's ending, in its own harmony; letters that were only drawn out are none."""
    drawn_out = len(ending) > 1 and len(set(ending)) == 1
    return LABEL if drawn_out else f"{LABEL}'{reharmonise(LABEL, lower_tr(ending))}"


_BETWEEN: Final = "[\u00ad\u034f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufe00-\ufe0f\u0300-\u036f]*"
_STRANGE: Final = "[\uff10-\uff5a\u2460-\u24ff\U0001d400-\U0001d7ff]"
"""Letters of other widths and shapes: a text that holds one is always looked at."""


@cache
def _forms() -> dict[str, str]:
    """By folded letter, the letters that are folded to it."""
    forms: dict[str, str] = {}
    for code in (*range(0x21, 0x250), *range(0x1E00, 0x1F00)):
        letter = chr(code)
        if letter.isalnum():
            forms[folded(letter)] = forms.get(folded(letter), "") + letter
    return forms


def _loosely(word: str) -> str:
    """A pattern for a folded word: any case, letters and marks, drawn out, softened at its end, invisible signs inside."""
    softer = {"t": "td", "p": "pb", "k": "kg"}
    classes = []
    for at, letter in enumerate(word):
        options = softer.get(letter, letter) if at == len(word) - 1 else letter
        forms = "".join(_forms().get(each) or each + each.upper() for each in options)
        classes.append(f"[{forms}]+" if letter.isalnum() else f"\\{letter}")
    return _BETWEEN.join(classes)
