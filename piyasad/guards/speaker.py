"""The speaker guard: the bot speaks as itself, as a person in a chat would, and quotes nothing it was told."""

from __future__ import annotations

import re
from functools import lru_cache

from piyasad.guards.case import Case, Verdict
from piyasad.guards.meta import leaves_marks, talks_about_itself
from piyasad.guards.reading import LONGEST, Reading, read
from piyasad.language.text import fold, words_of
from piyasad.personas.profile import Persona

# What `personas/prompt.py` says to a model, for models that repeat their orders instead of following them.
_ORDERS = re.compile(
    r"<<<|>>>|\b(?:son mesajlar|olarak yaz|karsisinda tavrin|soyle yazarsin|kurallar|risk anlayisin|arada bir kullandigin sozler|sanal portfoyun|"
    r"asla yapmadiklar(?:in|im)(?: \w+)?) ?:|\bbu konuda (?:daha once dediklerin|demistin) \(|"
    r"\b(?:simdi [\w ]{1,60}? olarak yaz|sana yazan kisiye yanit ver|su mesaja karsilik ver|sohbeti (?:\w+ konuda )?sen ac|yanit verir gibi yazma|"
    r"sohbeti kaldigi yerden surdur|onceki denemen uygun degil|su sozleri kullanma|cok gecti, kullanma|unutma, sen busun|soruyla bitir(?:me|ebilirsin)|"
    r"yapay zeka karakterisin|(?:pazartesi|sali|carsamba|persembe|cuma|cumartesi|pazar),? (?:saat )?\d\d:\d\d[.,] borsa|diye (?:hitap edersin|seslenirsin)|"
    r"tek mesaj, en cok|en cok \w+ cumle|(?:sadece|yalnizca) metin)\b|"
    r"\A(?:konu|ton|risk|uslup|ruh halin|bir anin|anlattiklarin|izlediklerin|goruslerin|otekiler): "
)
_HINT_OF_ORDERS = re.compile(
    r"[:<>]|yanit|mesaj|olarak yaz|sohbet|denemen|demistin|sozleri|kullanma|busun|bitir|karakterisin|seslenirsin|edersin|cumle|metin"
)
_NO_TOPIC = re.compile(r"\Akonu: yok\b")
_LABEL = re.compile(
    r"(?:\A|[\n.!?…;/|)]\s?|\d\)\s?)([^\s:.!?,()]{2,24}(?: [^\s:.!?,()]{2,24}){0,2})(?: \([^()]{0,40}\))?(?:,? \d{1,3} (?:dk|dakika|saat|sn) önce)?\s?(?:[:：](?=\s)|[→➜⇒]|->|=>| [-–—] )"
)
_ROLES = frozenset({"bot", "asistan", "assistant", "kullanici", "user", "system", "sistem"})
_INTRODUCES = re.compile(r"\b(?:ben|adim|ismim)[ ,]+(\w+(?: \w+){0,3})")
_SPEAKS_AS = re.compile(r"(\w+(?: \w+){0,2}) olarak (?:yaz|konus|soyl|cevap|yanit)\w*")

_SHORT_WORDS = 3
"""A description of so few words may be said by chance."""

_QUOTE_WORDS = 9
"""So many words in a row taken from the prompt are a quotation, not a coincidence …"""

_RULE_WORDS = 5
"""… and fewer of its rules."""

_ROOM_LINES = 20
"""Lines of the room in which quotations are looked for."""

_ROOM_WORDS = 4
"""So many words in a row from each of two lines, or …"""

_LINE_WORDS = 8
"""… so many from one, are a dump of the room."""


def _verdict(reason: str) -> Verdict:
    return Verdict("speaker", reason, "Yalnızca kendi ağzından yaz; ad, etiket, talimat ya da açıklama ekleme.")


@lru_cache(maxsize=20_000)  # a memo of a pure function: each bot's prompt and examples, at every line it says
def _key(folded: str) -> str:
    """The words alone: what the clean-up took away (bullets, quotes, line breaks) does not hide a quotation."""
    return f" {' '.join(words_of(folded))} "


@lru_cache(maxsize=20_000)
def _rules(system: str) -> str:
    """The words of the rules in a folded system text."""
    return _key(system.partition("kurallar:")[2].partition("\n")[0])


@lru_cache(maxsize=20_000)
def _runs(words: tuple[str, ...], size: int) -> frozenset[str]:
    return frozenset(f" {' '.join(words[at : at + size])} " for at in range(len(words) - size + 1))


class SpeakerGuard:
    """Stops texts that speak as another bot, keep a "Name:", talk about the prompt, quote it or dump the room."""

    name = "speaker"

    def check(self, case: Case) -> Verdict | None:
        """See the module."""
        if not case.text.strip():
            return _verdict("empty")
        if len(case.text) > LONGEST:
            return _verdict("too long")
        reading = read(case.text)
        if self._orders(reading) or talks_about_itself(reading):
            return _verdict("talks about its instructions")
        if leaves_marks(reading, case.people_as):
            return _verdict("shows a mark of the mask or the template")
        label = self._label(case)
        if label:
            return _verdict(f"a speaker's label: {label}")
        if self._is_another(reading, case):
            return _verdict("speaks as another bot")
        if case.system and self._quotes(reading.words, case.system, case.persona):
            return _verdict("quotes its prompt")
        if len(reading.words) >= _LINE_WORDS and self._dumps(reading.words, case):
            return _verdict("dumps the room")
        return None

    def _orders(self, reading: Reading) -> bool:
        plain = reading.plain
        return bool(_HINT_OF_ORDERS.search(plain) and _ORDERS.search(plain)) and not _NO_TOPIC.search(plain)

    def _label(self, case: Case) -> str:
        if not any(sign in case.text for sign in ":：→➜⇒>-–—"):
            return ""
        for match in _LABEL.finditer(case.text):
            label = fold(match[1])
            if label in _ROLES or self._is_name(label, case):
                return label
        return ""

    def _is_name(self, label: str, case: Case) -> bool:
        """Whether a label is somebody's name or first name: a bot's, or a member's of the window."""
        names = [" ".join(persona.name_words) for persona in case.roster.values()]
        names += dict.fromkeys(fold(line.message.author) for line in case.lines)
        return any(label == name or label == name.partition(" ")[0] for name in names)

    def _is_another(self, reading: Reading, case: Case) -> bool:
        plain = reading.plain
        if not ("ben" in plain or "adim" in plain or "ismim" in plain or "olarak" in plain):
            return False
        said = [tuple(match[1].split()) for match in _INTRODUCES.finditer(plain)]
        said += [tuple(match[1].split()) for match in _SPEAKS_AS.finditer(plain)]
        return any(
            words[: len(persona.name_words)] == persona.name_words
            for words in said
            for persona in case.roster.values()
            if persona.bot_id != case.persona.bot_id
        )

    def _quotes(self, words: tuple[str, ...], system: str, persona: Persona) -> bool:
        spoken = f" {' '.join(words)} "
        for told in (persona.hint, persona.tone, persona.emotion.tone, persona.style.text, persona.style.register):
            about = _key(fold(told))  # what is said about the bot, it does not say itself, however short
            if len(about.split()) >= _SHORT_WORDS and about in spoken:
                return True
        rules = _rules(system)
        if any(run in rules for run in _runs(words, _RULE_WORDS)):
            return True
        if len(words) < _QUOTE_WORDS:
            return False
        told = _key(system)
        # An example line is the persona's own way of speaking; repeating one is the repetition guard's matter.
        own = [_key(fold(example)) for example in persona.examples]
        return any(run in told and not any(run in example for example in own) for run in _runs(words, _QUOTE_WORDS))

    def _dumps(self, words: tuple[str, ...], case: Case) -> bool:
        """Whether a text repeats lines of others, word for word."""
        own = frozenset(words)
        quoted = 0
        for line in case.lines[-_ROOM_LINES:]:
            if line.message.bot_id == case.persona.bot_id or len(own.intersection(line.words)) < _ROOM_WORDS:
                continue
            said = _runs(line.words, _ROOM_WORDS)
            hits = sum(1 for run in _runs(words, _ROOM_WORDS) if run in said)
            quoted += 2 * hits > len(said)  # most of the line, not a turn of phrase that both use
            if quoted > 1 or (hits > _LINE_WORDS - _ROOM_WORDS and line.message.is_person):
                return True
        return False
