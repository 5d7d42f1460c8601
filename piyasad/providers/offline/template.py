"""The little language of the grammar's lines: choices, forms of address, slots with case endings.

`(a|b)` is one of them, `[sen|siz]` goes by the form of address, `{S.acc}` is a slot with an ending of `suffix.py`.
`compile_line` parses a line once; `render` writes it. Pure: the generator is handed in, a fault in the data is a
`ValueError` at load and never at run time.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from piyasad.language.suffix import ENDINGS, Ending, inflect
from piyasad.language.text import upper_tr

SLOTS: Final = frozenset("SFGXDZ")
"""Subject, two things to say of it, its sector, a definition, the speaker's own stance."""

_TOKEN: Final = re.compile(r"\{([A-Z])((?:\.\w+)*)\}|([()\[\]|])|([^{}()\[\]|]+)")


@dataclass(frozen=True, slots=True)
class Word:
    """What a slot is filled with. `possessed`: it ends in a third person possessive."""

    text: str
    possessed: bool = False

    @classmethod
    def of(cls, written: str) -> Word:
        """A word of the data: a "+" behind it marks a possessive."""
        return cls(written.removesuffix("+"), written.endswith("+"))


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for a word, with the endings it takes there."""

    name: str
    endings: tuple[Ending, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several continuations."""

    options: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Address:
    """Two continuations: for "sen" and for "siz"."""

    sen: Line
    siz: Line


Line = tuple["str | Slot | Choice | Address", ...]
Words = Mapping[str, Word]


class Forms:
    """Words with endings, each worked out once. Bounded: it starts anew when full."""

    LIMIT: Final = 20_000

    def __init__(self) -> None:
        self._known: dict[tuple[str, bool, tuple[Ending, ...]], str] = {}

    def of(self, word: Word, endings: tuple[Ending, ...]) -> str:
        """The word with its endings, in order."""
        key = (word.text, word.possessed, endings)
        form = self._known.get(key)
        if form is None:
            form, possessed = word.text, word.possessed
            for ending in endings:
                form, possessed = inflect(form, ending, possessed=possessed), False
            if len(self._known) >= self.LIMIT:
                self._known.clear()
            self._known[key] = form
        return form


def compile_line(text: str) -> Line:
    """Parse one line.

    Raises:
        ValueError: brackets that do not match, an unknown slot or ending.
    """
    tokens = list(_TOKEN.finditer(text))
    if "".join(token[0] for token in tokens) != text:
        raise ValueError(f"cannot be read: {text!r}")
    line, at = _alternatives(tokens, 0, "", text)
    if at != len(tokens) or len(line) != 1:
        raise ValueError(f"brackets do not match: {text!r}")
    return line[0]


def _alternatives(tokens: Sequence[re.Match[str]], at: int, close: str, text: str) -> tuple[list[Line], int]:
    """The lines between "|" up to the closing bracket, and where it stands."""
    lines: list[list[str | Slot | Choice | Address]] = [[]]
    while at < len(tokens):
        token = tokens[at]
        name, endings, sign, plain = token[1], token[2], token[3], token[4]
        if plain is not None:
            lines[-1].append(plain)
        elif name is not None:
            lines[-1].append(_slot(name, endings, text))
        elif sign == "|" and close:
            lines.append([])
        elif sign in {"(", "["}:
            inner, at = _alternatives(tokens, at + 1, ")" if sign == "(" else "]", text)
            if at >= len(tokens) or (sign == "[" and len(inner) != 2):
                raise ValueError(f"brackets do not match: {text!r}")
            lines[-1].append(Choice(tuple(inner)) if sign == "(" else Address(inner[0], inner[1]))
        elif sign == close:
            break
        else:
            raise ValueError(f"brackets do not match: {text!r}")
        at += 1
    return [tuple(line) for line in lines], at


def _slot(name: str, endings: str, text: str) -> Slot:
    wanted = tuple(endings.split(".")[1:])
    if name not in SLOTS or not ENDINGS.issuperset(wanted):
        raise ValueError(f"no such slot or ending in {text!r}: {name}{endings}")
    known: tuple[Ending, ...] = tuple(ending for ending in sorted(ENDINGS) if ending in wanted)
    return Slot(name, tuple(sorted(known, key=wanted.index)))


def render(line: Line, words: Words, rng: random.Random, forms: Forms, *, siz: bool) -> str:
    """One wording of a line, spaces put right; not yet a sentence."""
    out: list[str] = []
    _render(line, words, rng, forms, siz, out)
    text = "".join(out)
    if "  " in text or " ," in text or " ;" in text:
        text = " ".join(text.split()).replace(" ,", ",").replace(" ;", ";")
    return text.strip()


def _render(line: Line, words: Words, rng: random.Random, forms: Forms, siz: bool, out: list[str]) -> None:
    for part in line:
        if isinstance(part, str):
            out.append(part)
        elif isinstance(part, Slot):
            word = words[part.name]
            out.append(forms.of(word, part.endings) if part.endings else word.text)
        elif isinstance(part, Choice):
            _render(part.options[int(rng.random() * len(part.options))], words, rng, forms, siz, out)
        else:
            _render(part.siz if siz else part.sen, words, rng, forms, siz, out)


def slots_of(line: Line) -> frozenset[str]:
    """The names of the slots in a line, wherever they stand."""
    found: set[str] = set()
    for part in line:
        if isinstance(part, Slot):
            found.add(part.name)
        elif isinstance(part, Choice):
            found.update(*map(slots_of, part.options))
        elif isinstance(part, Address):
            found.update(slots_of(part.sen), slots_of(part.siz))
    return frozenset(found)


def sentence(text: str) -> str:
    """A line as a sentence: a capital at its head (i becomes İ), a full stop where no mark ends it."""
    head = text[:1]
    if head.islower():
        text = upper_tr(head) + text[1:]
    return text if text[-1:] in ".!?…" else f"{text}."
