"""The grammar behind the offline provider: one line of chat from a brief. No model, no chance but the brief's seed.

It plans a line as moves (open, answer, agree, differ, view, habit, aside, ask), picks wordings of the persona's voice,
and fills in what the answered line is about. Given the same brief it writes the same line.
"""

from __future__ import annotations

import random
import tomllib
from dataclasses import dataclass, field
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final

from piyasad.language.text import lower_tr
from piyasad.model import IntentKind, Length
from piyasad.providers.interface import Brief
from piyasad.providers.offline.lexicon import Lexicon, Reading, Subject
from piyasad.providers.offline.recent import Past, Recent
from piyasad.providers.offline.template import Forms, Word, Words, render, sentence
from piyasad.providers.offline.voices import Manner, Voice, Wording, manner

VOICES: Final = ("patient", "fast", "scholar", "newcomer")

_SENTENCES: Final = {Length.SHORT: (1, 2), Length.MEDIUM: (2, 3), Length.LONG: (3, 4)}
_TRIES: Final = 6
_CONTEXT_LINES: Final = 4
_FRESH_LINES: Final = 10
_LED: Final = ("view.", "more.", "theme.")
"""What a pet phrase may stand before."""

_VOCATIVE_SHARE: Final = 0.28
_ASK_SHARE: Final = 0.85
_STANCE_WORDS: Final = 8
"""Longer stances are never spoken whole: nine words of the prompt in a row are a quotation to the speaker guard."""

_WEIGHT: Final = MappingProxyType({"stock": 0, "method": 2, "paper": 2, "danger": 2})
_LIKE: Final = MappingProxyType({"paper": "method", "danger": "method", "anyone": "yesno"})
_TOOLS: Final = frozenset({"method", "paper", "danger"})
_TOOL_SHARE: Final = 0.4
"""How often a tool mentioned in passing ("mum", "defter") becomes what the answer is about."""

_PLAIN: Final = _TOOLS | {"other"}
"""Kinds of subjects whose facets are too general for a sentence without the subject's name."""

_SOCIAL_ONLY: Final = frozenset({"bot", "thanks", "bye", "sorry", "how", "greet"})
_COMFORT: Final = frozenset({"bot", "loss", "joy"})
"""Occasions after which nobody wants to hear of the market."""

_NOTHING: Final = Word("")
_NONE: Final = Reading((), None, "", "", 0, "")


@dataclass(slots=True)
class _Turn:
    """Everything about the line being written."""

    brief: Brief
    rng: random.Random
    manner: Manner
    past: Past
    reading: Reading
    subject: Subject
    said: list[str] = field(default_factory=list)  # raw sentences
    spent: set[str] = field(default_factory=set)  # facets named in this line
    named: bool = False  # the subject was named
    used: list[Wording] = field(default_factory=list)
    last: str = ""  # the rule of the newest sentence
    repeats: int = 0  # sentences that were said lately


class Grammar:
    """Writes lines. Keeps only caches of pure work; lines depend on the brief alone."""

    def __init__(self, lexicon: Lexicon, voices: tuple[Voice, ...]) -> None:
        self._lexicon = lexicon
        self._voices = voices
        self._forms = Forms()
        self._memory = Recent(lexicon)
        self._manners: dict[tuple[Any, ...], Manner] = {}

    @classmethod
    def load(cls) -> Grammar:
        """The grammar with the lines that ship in the package."""
        folder = files("piyasad.providers.offline") / "lines"

        def data(name: str) -> dict[str, Any]:
            return tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8"))

        return cls(Lexicon(data("market")), tuple(Voice.of(name, data(name)) for name in VOICES))

    def write(self, brief: Brief) -> str:
        """One line of chat. It repeats no opening and no sentence of the history while it can find another."""
        rng = random.Random(brief.seed)
        how = self._manner(brief)
        past = self._memory.past(brief)
        reading = self._memory.reading(brief.target_text) if brief.target_text else _NONE
        best, fewest = "", _TRIES
        for _ in range(_TRIES):
            turn = _Turn(brief, rng, how, past, reading, self._subject(brief, reading, past, rng))
            text = self._line(turn)
            faults = turn.repeats + past.opens_alike(text)
            if not faults:
                return text
            if faults < fewest:
                best, fewest = text, faults
        return best or text

    def _manner(self, brief: Brief) -> Manner:
        key = (
            brief.persona,
            brief.name,
            brief.tone,
            brief.risk_profile,
            brief.pet_phrases,
            brief.examples,
            brief.address,
        )
        how = self._manners.get(key)
        if how is None:
            if len(self._manners) > 10_000:
                self._manners.clear()
            how = self._manners[key] = manner(brief, self._voices)
        return how

    # --- what the line is about

    def _subject(self, brief: Brief, reading: Reading, past: Past, rng: random.Random) -> Subject:
        found = _weightiest(reading)
        if found and (found.kind not in _TOOLS or reading.question or rng.random() < _TOOL_SHARE):
            return found
        if brief.intent is not IntentKind.TOPIC:
            for line in reversed(past.lines[-_CONTEXT_LINES:]):
                before = _weightiest(self._memory.reading(line))
                if before and before.kind not in _TOOLS and rng.random() < 0.75:
                    return before
        return found or self._of_topic(brief, past, rng)

    def _of_topic(self, brief: Brief, past: Past, rng: random.Random) -> Subject:
        kind, subjects = self._lexicon.topic(brief.topic)
        options: dict[str, tuple[Subject, float]] = {subject.key: (subject, 1.0) for subject in subjects}
        for entry in brief.watchlist:
            subject = self._lexicon.named(entry) or self._lexicon.made_up(
                entry, "stock" if entry.isupper() else "method"
            )
            fits = kind == "other" or not subjects or subject.kind == kind or {subject.kind, kind} == {"stock", "index"}
            if fits and kind != "other":
                options[subject.key] = (subject, 4.0)
        if not options:
            return self._lexicon.made_up("piyasa", "other")
        heard = past.subjects(_FRESH_LINES)
        weighed = [(subject, weight / (1 + 3 * heard.count(key))) for key, (subject, weight) in options.items()]
        mark = rng.random() * sum(weight for _, weight in weighed)
        for subject, weight in weighed:
            mark -= weight
            if mark < 0:
                return subject
        return weighed[-1][0]

    # --- the moves of a line

    def _line(self, turn: _Turn) -> str:
        brief, rng = turn.brief, turn.rng
        least, most = _SENTENCES[brief.length]
        wanted = least if rng.random() < 0.5 else most
        closed = self._begin(turn)
        asks = brief.ask and not closed and rng.random() < _ASK_SHARE
        while not closed and len(turn.said) < wanted - asks:
            before = len(turn.said)
            self._go_on(turn)
            if len(turn.said) == before:
                break
        if not closed and len(turn.said) < most:
            self._pet(turn, room=most - len(turn.said) - asks)
        if asks:
            self._ask(turn)
        return self._finish(turn)

    def _begin(self, turn: _Turn) -> bool:
        """The first sentence; True when nothing may follow it."""
        brief, reading, rng = turn.brief, turn.reading, turn.rng
        if brief.intent is IntentKind.TOPIC or not (brief.target_text or turn.past.lines):
            self._say(turn, f"open.{turn.subject.kind}")
            return False
        if brief.intent is IntentKind.CONTINUE or not brief.target_text:
            self._continue(turn)
            return False
        start = len(turn.said)
        closed = self._respond(turn, reading)
        call = self._call(turn)
        if call and len(turn.said) > start and rng.random() < _VOCATIVE_SHARE:
            turn.said[start] = f"{call}, {turn.said[start]}"
        return closed

    def _respond(self, turn: _Turn, reading: Reading) -> bool:
        if reading.social and (turn.brief.target_is_person or reading.social == "bot"):
            self._say(turn, f"social.{reading.social}")
            if reading.social in _COMFORT - {"bot"} and turn.brief.length is not Length.SHORT:
                self._say(turn, "aside.any")
            return reading.social in _COMFORT or (reading.social in _SOCIAL_ONLY and not reading.subjects)
        if reading.question:
            self._reply_to_question(turn, reading)
        elif turn.brief.target_is_person and not reading.theme:
            feeling = {1: "react.good", -1: "react.bad"}.get(reading.mood, "social.remark")
            self._say(turn, feeling)
        else:
            self._take_side(turn, reading)
        return False

    def _reply_to_question(self, turn: _Turn, reading: Reading) -> None:
        kind = reading.question
        if kind == "define":
            word, text = self._definition(turn, reading)
            if text:
                self._say(turn, "answer.define", Word(word.text, word.possessed), Word(text))
                turn.named = True
                return
            kind = "other"
        self._say(turn, f"answer.{kind}")

    def _definition(self, turn: _Turn, reading: Reading) -> tuple[Word, str]:
        facet = reading.facet
        if facet is not None and facet.text in self._lexicon.glossary:
            turn.spent.add(facet.text)
            return facet, self._lexicon.glossary[facet.text]
        for subject in reading.subjects:
            if subject.define:
                return subject.says[0], subject.define[int(turn.rng.random() * len(subject.define))]
        return _NOTHING, ""

    def _take_side(self, turn: _Turn, reading: Reading) -> None:
        """Agree, differ or add, by what the persona holds of the matter."""
        rng = turn.rng
        if reading.theme and rng.random() < 0.6:
            self._say(turn, f"theme.{reading.theme}")
            return
        leaning = self._leaning(turn) * reading.mood or turn.manner.voice.sides.get(reading.theme, 0)
        agree = {1: 0.7, -1: 0.05}.get(leaning, 0.3)
        differ = {1: 0.05, -1: 0.7}.get(leaning, 0.25)
        mark = rng.random()
        self._say(turn, "react.agree" if mark < agree else "react.differ" if mark < agree + differ else "react.extend")

    def _leaning(self, turn: _Turn) -> int:
        """1 for, -1 against the subject, by the persona's stances on its topic."""
        for topic, _, side in turn.brief.stances:
            if self._same_field(self._lexicon.topic(topic)[0], turn.subject.kind) and side != "neutral":
                return 1 if side == "for" else -1
        return 0

    def _same_field(self, one: str, other: str) -> bool:
        fields = {"stock": "index", "metal": "fx"}
        return fields.get(one, one) == fields.get(other, other)

    def _continue(self, turn: _Turn) -> None:
        rng, past = turn.rng, turn.past
        last = self._memory.reading(past.lines[-1]) if past.lines and not past.own_last else _NONE
        mark = rng.random()
        if last.question and mark < 0.6:
            turn.reading = last
            turn.subject = _weightiest(last) or turn.subject
            self._reply_to_question(turn, last)
        elif last.theme and mark < 0.4:
            self._say(turn, f"theme.{last.theme}")
        elif mark < 0.55 and last is not _NONE:
            self._say(turn, "react.extend" if rng.random() < 0.6 else "react.agree")
        else:
            self._go_on(turn)

    def _go_on(self, turn: _Turn) -> None:
        """One more sentence: a view while the subject is fresh, else a habit, an aside or the persona's own stance."""
        mark = turn.rng.random()
        view = 0.3 if turn.named else 0.85
        if mark < view:
            self._say(turn, f"view.{turn.subject.kind}")
        elif mark < view + (1 - view) * 0.14 and self._stance(turn):
            return
        elif turn.named and mark < view + (1 - view) * 0.58 and turn.subject.kind not in _PLAIN:
            self._say(turn, "more.any")
        elif mark < view + (1 - view) * 0.78:
            self._say(turn, "habit.any")
        else:
            self._say(turn, "aside.any")

    def _stance(self, turn: _Turn) -> bool:
        fitting = [
            text
            for topic, text, _ in turn.brief.stances
            if len(text.split()) <= _STANCE_WORDS and self._same_field(self._lexicon.topic(topic)[0], turn.subject.kind)
        ]
        if not fitting:
            return False
        text = fitting[int(turn.rng.random() * len(fitting))].rstrip(" .!")
        first = text.partition(" ")[0]
        if not (len(first) > 1 and first.isupper()) and "'" not in first:
            text = lower_tr(text[:1]) + text[1:]
        return self._say(turn, "stance.frames", stance=Word(text))

    def _ask(self, turn: _Turn) -> None:
        to_author = turn.brief.target_text and not turn.reading.question and turn.rng.random() < 0.45
        if turn.said and turn.rng.random() < 0.35 and not to_author and turn.brief.intent is not IntentKind.TOPIC:
            to_author = bool(turn.brief.target_text)
        before = len(turn.said)
        self._say(turn, "ask.author" if to_author else f"ask.{turn.subject.kind}")
        if len(turn.said) > before:
            pets = [phrase for phrase, places in turn.manner.pets if "question" in places]
            if pets and turn.past.pet_free and turn.rng.random() < 0.3:
                turn.said[-1] = f"{pets[0]}, {turn.said[-1]}"

    def _pet(self, turn: _Turn, room: int) -> None:
        """A pet phrase, seldom: not while one of the persona's last lines had one."""
        how, rng = turn.manner, turn.rng
        if (
            not how.pets
            or not turn.past.pet_free
            or (turn.reading.social and turn.brief.target_is_person)
            or rng.random() >= how.voice.pet_share
        ):
            return
        phrase, places = how.pets[int(rng.random() * len(how.pets))]
        place = places[int(rng.random() * len(places))]
        if place == "lead" and turn.last.startswith(_LED):
            turn.said[-1] = f"{phrase}, {turn.said[-1]}"
        elif place == "tail" and room > 0:
            turn.said.append(phrase)

    def _call(self, turn: _Turn) -> str:
        """How the answered one is addressed; "" when the name cannot be said."""
        brief = turn.brief
        if brief.mention or not brief.target_author:
            return ""
        name = " ".join(brief.target_author.split())
        if brief.target_is_person:
            speakable = len(name) <= 24 and all(letter.isalnum() or letter == " " for letter in name)
            return name if speakable else ""
        known = turn.manner.voice.vocatives.get(self._memory.key(name))
        if known:
            return known[int(turn.rng.random() * len(known))]
        words = [word for word in name.split() if word.isalpha()]
        return "Hocam" if words[-1:] == ["Hoca"] else words[0] if words else ""

    # --- from rule to sentence

    def _say(
        self, turn: _Turn, rule: str, named: Word | None = None, text: Word = _NOTHING, *, stance: Word = _NOTHING
    ) -> bool:
        """Add a sentence of a rule's pool; nothing is added when the pool is empty."""
        pool = self._pool(turn.manner, rule)
        sector = turn.subject.sector.text != "bu"
        if not pool:
            return False
        for attempt in range(4):
            wording = pool[int(turn.rng.random() * len(pool))]
            if any(wording is used for used in turn.used) or (not sector and "X" in wording.slots):
                continue
            words = self._words(turn, named, text, stance)
            raw = render(wording.line, words, turn.rng, self._forms, siz=turn.manner.siz)
            raw = self._admit(turn, raw, wording, words)
            if not raw:
                continue
            repeats = turn.past.heard(raw)
            if attempt == 3 or not repeats:
                turn.repeats += repeats
                turn.said.append(raw)
                turn.used.append(wording)
                turn.last = rule
                turn.named = turn.named or "S" in wording.slots
                turn.spent.update(words[slot].text for slot in ("F", "G") if slot in wording.slots)
                return True
        return False

    def _pool(self, how: Manner, rule: str) -> tuple[Wording, ...]:
        """The lines of a rule. What no voice has lines of its own for falls back to what it is most like."""
        move, _, kind = rule.partition(".")
        for like in (kind, _LIKE.get(kind, "other"), "other"):
            pool = how.pools.get(f"{move}.{like}")
            if pool:
                return pool
        return ()

    def _admit(self, turn: _Turn, raw: str, wording: Wording, words: Words) -> str:
        """The sentence, cut to what may be said now: no question unless asked for; asked words must have an answer."""
        if raw.endswith("?"):
            if not turn.brief.ask and ";" in raw:
                return raw.rpartition(";")[0]
            asked = "F" in wording.slots and ("nedir" in raw or "ne demek" in raw)
            if not turn.brief.ask or (asked and words["F"].text not in self._lexicon.glossary):
                return ""
        return raw

    def _words(self, turn: _Turn, named: Word | None, text: Word, stance: Word) -> dict[str, Word]:
        rng, subject = turn.rng, turn.subject
        says = subject.says
        name = named or says[0 if rng.random() < 0.5 else int(rng.random() * len(says))]
        pool = subject.facets
        if rng.random() < turn.manner.voice.technical and subject.kind != "method":
            pool = self._lexicon.technical
        first = turn.reading.facet
        foreign = first in self._lexicon.technical and not turn.manner.voice.technical
        if first is None or foreign or first.text in turn.spent or rng.random() < 0.4:
            first = self._facet(turn, pool, "")
        return {
            "S": name, "F": first, "G": self._facet(turn, pool, first.text), "X": subject.sector, "D": text, "Z": stance
        }  # fmt: skip

    def _facet(self, turn: _Turn, pool: tuple[Word, ...], other: str) -> Word:
        word = pool[0]
        for _ in range(4):
            word = pool[int(turn.rng.random() * len(pool))]
            if word.text != other and word.text not in turn.spent:
                break
        return word

    def _finish(self, turn: _Turn) -> str:
        text = " ".join(map(sentence, turn.said))
        how, rng = turn.manner, turn.rng
        if how.emoji and not turn.past.emoji_lately and rng.random() < how.emoji_share and turn.reading.social != "bot":
            sign = how.emoji[int(rng.random() * len(how.emoji))]
            text = f"{text.removesuffix('.')} {sign}"
        return f"@{turn.brief.mention} {text}" if turn.brief.mention else text


def _weightiest(reading: Reading) -> Subject | None:
    """What a line is most about: of "GARAN'da faiz" the company, of "dolar grafiği" the dollar."""
    return min(reading.subjects, key=lambda subject: _WEIGHT.get(subject.kind, 1), default=None)
