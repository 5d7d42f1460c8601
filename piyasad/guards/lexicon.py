"""Words by what they mean to one rule, in any of their forms. Each rule of the guards keeps a lexicon beside it.

A term is a verb's root ("kazan~", any ending), a noun ("risk+", any case, plural, possessive) or a word as it stands
("kesin"); terms of several words are joined by "_". A word's tag is an int of bits: the classes it belongs to and what
its ending says (`language/verbs.py`). Pure; what a word is found to mean is kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from piyasad.guards.reading import Reading, Span
from piyasad.language import verbs
from piyasad.language.text import fold

TO: Final = 1 << verbs.VERB_BITS
"""Dative: altına, GARAN'a."""
FROM: Final = 1 << (verbs.VERB_BITS + 1)
"""Ablative: borsadan."""
AT: Final = 1 << (verbs.VERB_BITS + 2)
"""Locative: BTC'de."""
_HEAD: Final = 1 << (verbs.VERB_BITS + 3)
_FIRST: Final = verbs.VERB_BITS + 4

MOST_KEPT: Final = 50_000
"""Words whose meaning a lexicon remembers."""

_PIECE: Final = 4
"""A shorter word may be a piece of one …"""

_SHORT: Final = frozenset(
    (
        "acik ad al alt ama an ara at ay az ben bes bi bir biz bu cok da de dip dis diz do dun el en er es et ev "
        "fon gel git gun her hic ic iki il ile in is iyi kac kar kez ki kim kot kur lot mi mu ne o on ok olan ona "
        "onu ort oy oz pay pek rus sat saz sen ses siz son su sun tam tek tl ton tum uc un us usd var ve vs ya "
        "yan yas yaz yen yil yok yol yon yuz zam a i is it no of or so to the and for you"
    ).split()
)
"""… unless it is one of these."""

_TWO_WORDS: Final = 7
_DRAWN: Final = re.compile(r"([a-z])\1{2,}")

_NOUN_ENDING: Final = re.compile(
    r"(?:(?:c[iu]|l[iu]k?)?(?:l[ae]r)?(?:(?P<mine>[iu]?m(?:[iu]z)?)|[iu]?n(?:[iu]z)?|s?[iu])?"
    r"(?:(?P<to>[yn]?[ae])|(?P<from>n?[dt][ae]n)|(?P<at>n?[dt][ae](?:ki(?:l[ae]r)?\w{0,3})?)|[yn]?[iu]|n?[iu]n|y?l[ae]|c[ae])?"
    r"(?:(?P<p1>y?[iu]m|y?[iu]z)|(?P<p2>s[iu]n(?:[iu]z)?))?(?:y?[dm][iu]s?|[dt][iu]r|ys[ae])?)\Z"
)
_SOFT: Final = {"k": "g", "p": "b", "t": "d"}


# --- what several rules ask for
DENIES: Final = """değil değiliz değilim değilsin değildir yok yoktur hayır hiçbir hiçbiri kimse kimsenin kimseye ne_al
  not no never none nobody nothing isn't doesn't don't won't can't cannot cant dont wont aren't wasn't neither nor without"""
ASKS: Final = """mı mi mu mü mıdır midir mıyım miyim muyum mısın misin musun mısınız misiniz musunuz mıydı miydi acaba niye neden nasıl
  should why"""
MAYBE: Final = """belki olabilir sanırım galiba muhtemelen umarım inşallah keşke herhalde sanki bazen kimi nadiren sanıp sanıyor sanan+ hayal+ hayali
  varsayalım diyelim perhaps maybe might could may probably sometimes"""
SAID: Final = """diye diyen+ diyor diyorlar diyorsa der derler derlerdi dedi dediler denir deniyor denen denilen dediğin lafı lafını lafına sözü_var iddia_eden+ iddiası
  vaat_eden+ vadeden+ vaadi vaadiyle vaadine vaat+ says said who_promises anyone_who someone_says"""
REJECTS: Final = """inanma inanmayın inanmayınız inanmam inanmıyorum inanmayız kanma kanmayın kanmayınız kanmam uzak_dur~ dolandırıcı+ dolandırıcılık+ dolandırıcıdır
  masal+ tuzak+ saçma saçmalık+ güvenme güvenmeyin güvenmem temkinli ürkerim hatırlatırım suç suçtur yasak yasaktır diyemem diyemeyiz demem demiyorum demedim
  demeyelim sırt+_dön~ itibar_etmeyin prim_vermem katılmam katılmıyorum scam scams illegal beware stay_away run fake"""


class Lexicon:
    """The words of one rule. `bit` names a class; `tag` reads words. `blurred`: a capital I may stand for an l."""

    def __init__(self, *, blurred: bool = False, **classes: str) -> None:
        self._bits: dict[str, int] = {}
        self._exact: dict[str, int] = {}
        self._roots: dict[str, int] = {}
        self._nouns: dict[str, int] = {}
        self._terms: dict[str, list[tuple[tuple[str, ...], int]]] = {}
        self._known: dict[str, int] = {}
        self._blurred = blurred
        for number, (name, terms) in enumerate(classes.items()):
            self._bits[name] = 1 << (_FIRST + number)
            for term in fold(terms).split():
                self._add(term, self._bits[name])

    def bit(self, *names: str) -> int:
        """The bit of a class, or the bits of several together."""
        return together([self._bits[name] for name in names])

    def each(self, *names: str) -> tuple[int, ...]:
        """The bits of some classes, one by one."""
        return tuple(self._bits[name] for name in names)

    def tag(self, words: Sequence[str]) -> list[int]:
        """What each of some folded words means; a term of several words marks them all."""
        known = self._known
        tags = [known[word] if word in known else self._learn(word) for word in words]
        for at, tag in enumerate(tags):
            if tag & _HEAD:
                self._phrases(words, tags, at)
            elif not tag and at + 1 < len(tags) and len(words[at]) < _PIECE and words[at] not in _SHORT:
                self._mend(words, tags, at)
        return tags

    def _add(self, term: str, bit: int) -> None:
        parts = term.split("_")
        if len(parts) > 1:
            for form in _forms(parts[0].rstrip("+~")):
                self._terms.setdefault(form, []).append((tuple(parts), bit))
            self._add(parts[0], _HEAD)
        elif term[-1] in "+~":
            table = self._roots if term[-1] == "~" else self._nouns
            root = term[:-1]
            for form in _forms(root):
                table[form] = table.get(form, 0) | bit
        else:
            self._exact[term] = self._exact.get(term, 0) | bit

    def _learn(self, word: str) -> int:
        tag = self._meaning(word) or self._meaning_in_disguise(word) or verbs.look(word)
        if len(self._known) >= MOST_KEPT:
            self._known.clear()
        self._known[word] = tag
        return tag

    def _meaning_in_disguise(self, word: str) -> int:
        """What a word means with its drawn-out letters shortened, or as two words run together."""
        if _DRAWN.search(word):
            return self._meaning(_DRAWN.sub(r"\1", word)) or self._meaning(_DRAWN.sub(r"\1\1", word))
        if self._blurred and len(word) > _PIECE:
            for at, letter in enumerate(word):
                if letter == "i" and (
                    tag := self._exact.get(other := f"{word[:at]}l{word[at + 1 :]}", 0) | self._nouns.get(other, 0)
                ):
                    return tag
        if len(word) < _TWO_WORDS or not word.isalpha():
            return 0
        for at in range(3, len(word) - 1):
            head = self._exact.get(word[:at], 0) | self._nouns.get(word[:at], 0) | self._roots.get(word[:at], 0)
            if head >> _FIRST and (tail := self._meaning(word[at:])) >> _FIRST:
                return (head | tail) & ~_HEAD
        return 0

    def _mend(self, words: Sequence[str], tags: list[int], at: int) -> None:
        """A word with a blank inside: "ka zanç"."""
        whole = words[at] + words[at + 1]
        if len(whole) >= _PIECE + 1 and not tags[at + 1]:
            tags[at + 1] = self._known[whole] if whole in self._known else self._learn(whole)

    def _meaning(self, word: str) -> int:
        tag = self._exact.get(word, 0)
        head, mark, tail = word.partition("'")
        if mark:
            tag |= self._exact.get(head, 0) | self._form(head, tail, self._nouns.get(head, 0), "'")
        for end in range(len(head), 1, -1):
            root, rest = head[:end], head[end:]
            found = self._form(root, rest, self._nouns.get(root, 0), "+")
            if mark:  # a name: "KAP'ta" is no verb
                if found:
                    return tag | found
                continue
            if root in self._roots:
                found |= self._verb(rest, self._roots[root])
            if not rest or head[end - 1] in "aeiou":
                pass
            elif root + "e" in self._roots or root + "a" in self._roots:  # söylüyor: the root's last vowel gives way
                bits = self._roots.get(root + "e", 0) | self._roots.get(root + "a", 0)
                if re.match(r"m?[iu]yo", rest):
                    found |= self._verb(rest, bits)
            if found:
                return tag | found
        return tag

    def _verb(self, rest: str, bits: int) -> int:
        ending = verbs.ending(rest)
        return 0 if ending < 0 else bits | ending

    def _form(self, root: str, rest: str, bits: int, kind: str) -> int:
        if not bits:
            return 0
        case = _case(rest)
        if case < 0:
            return bits if kind == "'" else 0
        return bits | case

    def _phrases(self, words: Sequence[str], tags: list[int], at: int) -> None:
        head = words[at].partition("'")[0]
        for key in (*((words[at],) if words[at] != head else ()), *(head[:end] for end in range(len(head), 0, -1))):
            for parts, bit in self._terms.get(key, ()):
                if at + len(parts) > len(words):
                    continue
                endings = [self._is(part, word) for part, word in zip(parts, words[at:], strict=False)]
                if all(ending >= 0 for ending in endings):
                    for step, ending in enumerate(endings):
                        tags[at + step] |= bit
                        if ending > 0:
                            tags[at + step] |= ending
                    tags[at + len(parts) - 1] |= bit

    def _is(self, part: str, word: str) -> int:
        """The ending's flags of a word that is a form of a part of a term; −1 when it is none."""
        if part[-1] not in "+~":
            return 0 if word == part or word.partition("'")[0] == part else -1
        word = word.replace("'", "")
        for form in _forms(part[:-1]):
            if word.startswith(form):
                rest = word[len(form) :]
                return verbs.ending(rest) if part[-1] == "~" else _case(rest)
        return -1


def _case(rest: str) -> int:
    """What the ending of a noun says; −1 when it is none."""
    found = _NOUN_ENDING.match(rest)
    if found is None:
        return -1
    bits = 0
    for name, bit in _CASES:
        if found[name]:
            bits |= bit
    return bits


_CASES: Final = (
    ("to", TO), ("from", FROM), ("at", AT), ("p1", verbs.P1), ("mine", verbs.P1), ("p2", verbs.P2)
)  # fmt: skip


def _forms(root: str) -> tuple[str, ...]:
    """A root as it stands and softened before a vowel: kazanç is folded already, kâğıt is kâğıd-, emek is emeğ-."""
    soft = root[:-1] + _SOFT.get(root[-1], root[-1])
    return (root,) if soft == root else (root, soft)


@dataclass(frozen=True, slots=True)
class Part:
    """Some words of a reading with what they mean, one by one and together."""

    words: tuple[str, ...]
    tags: list[int]
    union: int
    asks: bool

    @classmethod
    def of(cls, reading: Reading, tags: list[int], span: Span) -> Part:
        """The words of a span; `tags` are the whole reading's."""
        own = tags[span.start : span.end]
        return cls(reading.words[span.start : span.end], own, together(own), span.asks)

    def has(self, bits: int, form: int) -> bool:
        """Whether one word is of a class and in a form."""
        return any(tag & bits and tag & form for tag in self.tags)


def together(tags: Sequence[int]) -> int:
    """All bits of some tags."""
    union = 0
    for tag in tags:
        union |= tag
    return union
