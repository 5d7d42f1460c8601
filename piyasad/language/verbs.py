"""What the ending of a Turkish verb says: who, when, whether at all. On folded letters (`text.fold`).

The lexicon of the guards asks it: "kazandıramayacaksınız" is the root "kazandır", negated, future, spoken to "siz". It
knows endings, not words; whoever asks has the root. Pure; each answer is found by a bounded number of small patterns.
"""

from __future__ import annotations

import re
from functools import lru_cache, reduce
from operator import or_
from typing import Final

NEG: Final = 1 << 0
"""Negated: kazandırmaz, alma, girmedim."""
P1: Final = 1 << 1
"""First person, singular or plural."""
P2: Final = 1 << 2
"""Second person."""
PLURAL: Final = 1 << 3
PAST: Final = 1 << 4
TOLD: Final = 1 << 5
"""-miş: hearsay, or a finding."""
AORIST: Final = 1 << 6
NOW: Final = 1 << 7
"""-iyor."""
FUTURE: Final = 1 << 8
IF: Final = 1 << 9
MUST: Final = 1 << 10
"""-meli."""
CAN: Final = 1 << 11
"""-ebil, -eme."""
LET: Final = 1 << 12
"""-elim, -eyim."""
ORDER: Final = 1 << 13
"""Imperative to "sen" or "siz": al, alın, alsana."""
WISH: Final = 1 << 14
"""Imperative of the third person: alsın, alsınlar."""
NOUN: Final = 1 << 15
"""-mek, -me, -iş: the deed as a thing."""
WHO: Final = 1 << 16
"""-en, -dik, -ecek as an adjective or noun: the one who does."""
WHILE: Final = 1 << 17
"""-ip, -ince, -erek, -ken: not a sentence of its own."""
PASSIVE: Final = 1 << 18

VERB_BITS: Final = 19
"""Higher bits are the caller's."""

FINITE: Final = PAST | TOLD | AORIST | NOW | FUTURE | IF | MUST | LET | ORDER | WISH

_VOICE = r"(?:[dt][iu]r|t)?(?:(?P<passive>[iu]l|[iu]?n|l)(?=[^iu]|[iu](?:yo|p|nc|n\Z|niz\Z|r)|\Z))?"
_NO = r"(?:(?P<neg>m[ae])y?)?"
_CAN = r"(?P<can>y?[ae]bil)?"
_CANNOT = r"(?:(?P<neg>(?P<cannot>y?[ae])?m[ae])y?)?"
_CASES = r"(?:l[ae]r)?(?:[iu]m[iu]?z?|[iu]n[iu]?z?|s?[iu])?(?:n?[iu]n|[yn]?[iu]|[yn]?[ae]|n?[dt][ae]n?|y?l[ae])?(?:ki)?"
_WHO = r"(?P<p1>y?[iu]m|y?[iu]z|m|k)|(?P<p2>s[iu]n(?P<pl>[iu]z)?|n[iu]z|n)|l[ae]r"
_DIR = r"(?:[dt][iu]r)?"

_GROUPS: Final = {
    "neg": NEG,
    "can": CAN,
    "cannot": CAN,
    "p1": P1,
    "p2": P2,
    "pl": PLURAL,
    "passive": PASSIVE,
    "cond": IF,
}

_SHAPES: Final = tuple(
    (re.compile(rf"{_VOICE}{shape}\Z"), flags)
    for shape, flags in (
        (rf"{_CANNOT}s[ae]n(?:[iu]z)?[ae]", ORDER | P2),  # alsana
        (rf"(?P<neg>m)?{_CAN}[iu]yo(?:r(?:d[iu]|(?P<cond>s[ae])|mus)?)?(?:{_WHO}|n|z)?{_DIR}", NOW),
        (rf"y?[ae]m[iu]yo(?:r(?:d[iu]|(?P<cond>s[ae]))?)?(?:{_WHO})?", NOW | NEG | CAN),
        (rf"(?P<cannot>y?[ae])?(?P<neg>m[ae])z(?:d[iu]|(?P<cond>s[ae])|mis)?(?:{_WHO})?", AORIST),
        (r"(?P<cannot>y?[ae])?(?P<neg>m[ae])(?P<p1>m|y[iu]z)", AORIST),
        (rf"{_CAN}[aeiu]?r(?:d[iu]|(?P<cond>s[ae])|m[iu]s)?(?:{_WHO})?", AORIST),
        (rf"{_CANNOT}{_CAN}y?[ae]c[ae][kg](?:t[iu]|(?P<cond>s[ae])|m[iu]s)?(?:{_WHO})?{_DIR}", FUTURE),
        (r"(?:[iu]?c[ae](?:(?P<p1>m|z)|(?P<p2>n|ks[iu]n|n[iu]z)|k))", FUTURE),  # alcam, napcaz
        (rf"{_CANNOT}{_CAN}[dt][iu](?P<cond>ys[ae])?(?:{_WHO})?", PAST),
        (rf"{_CANNOT}{_CAN}m[iu]s(?:t[iu])?(?:{_WHO})?{_DIR}", TOLD),
        (rf"{_CANNOT}{_CAN}s[ae](?:yd[iu])?(?:{_WHO})?", IF),
        (rf"{_CANNOT}m[ae]l[iu](?:yd[iu])?(?:y?(?:{_WHO}))?{_DIR}", MUST),
        (rf"{_CANNOT}y?[ae](?:l[iu]m|y[iu]m)", LET | P1),
        (rf"{_CANNOT}s[iu]n(?:l[ae]r)?", WISH),
        (rf"{_NO}y?[iu]n(?P<pl>[iu]z)?", ORDER | P2),
        (r"(?P<neg>m[ae])?", ORDER | P2),
        (r"(?P<neg>m[ae]d[ae]n)", WHILE),
        (rf"{_CANNOT}m[ae](?:n(?:[iu]z)?|m(?:[iu]z)?|k(?:t[ae]n?|t[ae]y[iu]m|s[iu]z[iu]n|l[ae])?|[gy][ae]|y[iu]|{_CASES})", NOUN),
        (rf"[iu]s{_CASES}", NOUN),
        (rf"{_CANNOT}y?[ae]n{_CASES}", WHO),
        (rf"{_CANNOT}(?:[dt][iu]|y?[ae]c[ae])[kg]{_CASES}", WHO),
        (rf"{_CANNOT}y?(?:[iu]p|[iu]nc[ae]|[ae]r[ae]k|[ae]l[iu])", WHILE),
        (r"(?:[aeiu]?r|m[ae]z)ken", WHILE),
        (rf"{_NO}[dt][iu]kc[ae]", WHILE),
    )
)  # fmt: skip


_NEGATED: Final = re.compile(
    r"\w{2,}?(?:m[iu]yo|m[ae]z(?:\Z|s[iu]n|l[ae]r|d[iu])|m[ae]m\Z|m[ae]y[iu]z\Z|m[ae](?:d[iu]|m[iu]s|y[ae]c[ae]|y[iu]n|y[ae]n|d[ae]n\Z|l[iu]y|s[iu]n))"
)


_TOLD: Final = re.compile(r"\w{2,}?m[iu]s(?:l[ae]r)?")
_NOT_TOLD: Final = frozenset({"gumus", "gecmis", "yetmis", "altmis", "yemis", "ermis", "humus"})


@lru_cache(maxsize=20_000)  # a memo of a pure function
def ending(tail: str) -> int:
    """The flags of a verb's ending; −1 when it is none. "" is the order to "sen". The first reading counts."""
    if len(tail) > 18:
        return -1
    for shape, flags in _SHAPES:
        found = shape.match(tail)
        if found is None:
            continue
        said = [_GROUPS[name] for name, text in found.groupdict().items() if text is not None]
        return reduce(or_, said, flags)
    return -1


def look(word: str) -> int:
    """What an unknown folded word looks like: `NEG` or `TOLD` when it ends as such a verb does, else 0."""
    if len(word) < 5:
        return 0
    if _NEGATED.match(word):
        return NEG
    return TOLD if _TOLD.fullmatch(word) and word not in _NOT_TOLD else 0
