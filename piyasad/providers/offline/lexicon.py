"""What the offline grammar makes of a line it answers: subjects, question, mood, occasion, theme.

A lexicon and word matching, no understanding; `grammar.py` calls it. Lexicon and readings are immutable.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from piyasad.language.identity import is_identity_question
from piyasad.language.question import is_question
from piyasad.language.text import fold, is_form_of, lower_tr, words_of
from piyasad.providers.offline.template import Word

_SHORT_ENDINGS: Final = frozenset(
    ("", "u", "i", "un", "in", "a", "e", "da", "de", "dan", "den", "la", "le", "lar", "ler", "daki", "deki", "lari")
)
"""What a term of three letters may end in: "kuru" is a form of "kur", "kurum" is not."""

_Tag = tuple[str, str]

_LONGEST: Final = 14
_TOPICS: Final = 1000
_GREETING_WORDS: Final = 6
_SERIOUS: Final = frozenset({"loss", "joy", "beginner"})
_PARTICLE: Final = re.compile(r"m[iu](?:y\w+|s\w+|d\w+)?")
_GENITIVE: Final = re.compile(r"\w+[iu]n\Z")


@dataclass(frozen=True, slots=True)
class Subject:
    """Something the room can talk about. `says` are its names, the first the most usual."""

    key: str
    kind: str  # stock, index, fx, metal, crypto, macro, method or other
    says: tuple[Word, ...]
    facets: tuple[Word, ...]
    sector: Word
    define: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """A line as the grammar sees it. `question` is "" where none is asked; `mood` is -1, 0 or 1."""

    subjects: tuple[Subject, ...]
    facet: Word | None
    question: str
    social: str
    mood: int
    theme: str


class Lexicon:
    """The words of `market.toml`, ready for matching."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.subjects = {subject.key: subject for subject in _subjects(data)}
        self.technical = _words(data["technical"]["facets"])
        self.glossary: Mapping[str, str] = data["glossary"]
        self.topics = [
            (frozenset(map(fold, topic["words"])), str(topic["class"]), tuple(map(str, topic["subjects"])))
            for topic in data["topics"]
        ]
        self._common = {kind: _words(facets) for kind, facets in data["facets"].items()}
        self._terms: dict[str, Subject] = {}
        self._phrases: list[tuple[str, Subject]] = []
        for sector in data["sectors"].values():
            for symbol in sector["symbols"]:
                self._terms[fold(symbol)] = self.subjects[symbol]
        for entry in data["subjects"]:
            subject = self.subjects[entry["key"]]
            self._terms.update(dict.fromkeys(map(fold, entry["words"]), subject))
            self._phrases += [(f" {fold(phrase)}", subject) for phrase in entry.get("phrases", ())]
        every = {word.text: word for subject in self.subjects.values() for word in subject.facets}
        every |= {word.text: word for word in self.technical}
        longest_first = sorted(every.values(), key=lambda word: (-len(word.text), word.text))
        # a single common word ("plan", "tahta") says nothing about what is asked, unless it has a definition
        telling = [word for word in longest_first if " " in word.text or word.text in self.glossary]
        self._facets = [(f" {fold(word.text)}", word) for word in telling]
        self._tags = _Tags()
        for group in ("themes", "mood"):
            for name, entries in data[group].items():
                self._tags.add((group, name), [f"{entry}*" for entry in entries])
        for group in ("social", "questions"):
            for name, entries in data[group].items():
                self._tags.add((group, name), entries)
        self._kinds = tuple(data["questions"])
        self._occasions = tuple(data["social"])
        self._topic_of: dict[str, tuple[str, tuple[Subject, ...]]] = {}

    def made_up(self, name: str, kind: str) -> Subject:
        """A subject that the lexicon has not: a symbol of somebody's watchlist or a topic of the operator's."""
        word = Word(name)
        return Subject(name, kind, (word,), self._common[kind], Word("bu"))

    def topic(self, name: str) -> tuple[str, tuple[Subject, ...]]:
        """The kind of a configured topic and what one speaks of in it."""
        found = self._topic_of.get(name)
        if found is None:
            if len(self._topic_of) > _TOPICS:
                self._topic_of.clear()
            found = self._topic_of[name] = self._look_up(name)
        return found

    def _look_up(self, name: str) -> tuple[str, tuple[Subject, ...]]:
        key = set(words_of(fold(name)))
        for named, kind, subjects in self.topics:
            if key & named:
                return kind, tuple(self.subjects[subject] for subject in subjects)
        return "other", (self.made_up(_as_word(name), "other"),) if name.strip() else ()

    def named(self, name: str) -> Subject | None:
        """The subject that a watchlist entry means."""
        return self._terms.get(fold(name)) or self.subjects.get(name)

    def read(self, text: str) -> Reading:
        """See the module."""
        folded = fold(text)
        spoken = words_of(folded)
        key = f" {' '.join(spoken)} "
        subjects = self._found(key, spoken)
        heard = self._tags.found(key, spoken)
        question = self._kind(heard, spoken) if "?" in text or is_question(folded) else ""
        occasion = "bot" if is_identity_question(folded) else self._occasion(heard, question, subjects, len(spoken))
        mood = heard.get(("mood", "good"), 0) - heard.get(("mood", "bad"), 0)
        themes = [(-count, at, tag[1]) for at, (tag, count) in enumerate(heard.items()) if tag[0] == "themes"]
        return Reading(
            subjects=subjects,
            facet=next((word for name, word in self._facets if name in key), None),
            question=question,
            social=occasion,
            mood=(mood > 0) - (mood < 0),
            theme=min(themes)[2] if themes else "",
        )

    def _found(self, key: str, spoken: Sequence[str]) -> tuple[Subject, ...]:
        found: dict[str, Subject] = {}
        for phrase, subject in self._phrases:
            if phrase in key:
                found[subject.key] = subject
        before = ""
        for word in spoken:
            term = self._term(word)
            # "başlığının altına": under something, no gold
            if term and before != "sanal" and not (term == "altin" and word != term and _GENITIVE.match(before)):
                found.setdefault(self._terms[term].key, self._terms[term])
            before = word
        return tuple(found.values())

    def _term(self, word: str) -> str:
        for size in range(min(len(word), _LONGEST), 2, -1):
            head = word[:size]
            if head in self._terms:
                rest = word[size:]
                if rest.startswith("'") or (rest in _SHORT_ENDINGS if size < 4 else is_form_of(word, head)):
                    return head
        return ""

    def _kind(self, heard: Mapping[_Tag, int], spoken: Sequence[str]) -> str:
        kind: str
        for kind in self._kinds:
            if ("questions", kind) in heard:
                return kind
        return "yesno" if any(_PARTICLE.fullmatch(word) for word in spoken) else "other"

    def _occasion(self, heard: Mapping[_Tag, int], question: str, subjects: tuple[Subject, ...], size: int) -> str:
        name: str
        for name in self._occasions:
            if ("social", name) not in heard:
                continue
            asked = bool(question) and name != "how"  # "selam, dolar neden düştü?" is a question first
            chat = bool(subjects) and (name == "how" or (name in {"greet", "bye"} and size > _GREETING_WORDS))
            if name in _SERIOUS or not (asked or chat):
                return name
        return ""


class _Tags:
    """Words, word beginnings ("x*") and phrases, each with what it is a sign of."""

    def __init__(self) -> None:
        self._whole: dict[str, list[_Tag]] = {}
        self._starts: dict[str, list[_Tag]] = {}
        self._phrases: list[tuple[str, _Tag]] = []
        self._sizes: list[int] = []

    def add(self, tag: _Tag, entries: Iterable[str]) -> None:
        """Let entries be signs of a tag."""
        for entry in entries:
            sign = fold(entry.removesuffix("*"))
            if " " in sign:
                self._phrases.append((f" {sign}", tag))
            else:
                (self._starts if entry.endswith("*") else self._whole).setdefault(sign, []).append(tag)
        self._sizes = sorted({len(sign) for sign in self._starts})

    def found(self, key: str, spoken: Sequence[str]) -> dict[_Tag, int]:
        """How often each tag shows in a line, in the order of its signs."""
        heard: dict[_Tag, int] = {}
        for word in spoken:
            for tag in self._whole.get(word, ()):
                heard[tag] = heard.get(tag, 0) + 1
            for size in self._sizes:
                if size > len(word):
                    break
                for tag in self._starts.get(word[:size], ()):
                    heard[tag] = heard.get(tag, 0) + 1
        for phrase, tag in self._phrases:
            if phrase in key:
                heard[tag] = heard.get(tag, 0) + 1
        return heard


def _words(written: Iterable[str]) -> tuple[Word, ...]:
    return tuple(map(Word.of, written))


def _as_word(name: str) -> str:
    """A topic as it stands inside a sentence: "Emlak" as "emlak", "FX" as it is."""
    name = " ".join(name.split())
    return name if name.upper() == name or " " in name else lower_tr(name)


def _subjects(data: Mapping[str, Any]) -> Iterable[Subject]:
    facets = data["facets"]
    for sector in data["sectors"].values():
        # the sector's own first and twice: they tell its companies from others
        own = _words([*sector["facets"], *sector["facets"], *facets["stock"]])
        for symbol in sector["symbols"]:
            yield Subject(symbol, "stock", (Word(symbol),), own, Word(sector["name"]))
    for entry in data["subjects"]:
        says = _words(entry["say"])
        names = {word.text for word in says}
        own = tuple(word for word in _words(entry.get("facets", facets[entry["class"]])) if word.text not in names)
        yield Subject(entry["key"], entry["class"], says, own, Word("bu"), tuple(entry.get("define", ())))
