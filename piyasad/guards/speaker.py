"""The speaker guard: the bot speaks as itself, as a person in a chat would, and quotes nothing it was told."""

from __future__ import annotations

import re
from functools import lru_cache

from piyasad.guards.case import Case, Verdict
from piyasad.language.text import fold, words_of
from piyasad.personas.profile import Persona

_META = re.compile(
    r"\b(?:bir (?:dil|yapay zeka) modeli olarak|dil modeliyim|sistem mesaji|sistem talimati|system prompt|prompt(?:u|un|um)?|"
    r"talimatlar(?:im|ima|a gore)|verilen talimat|as an ai|language model|karakterim geregi|rolum geregi|"
    r"rol yap(?:iyorum|ma)|kullanici mesaji|asistan olarak|size nasil yardimci olabilirim|iste (?:bir )?(?:mesaj|yanit|cevap)|"
    r"mesajim su|tek mesaj|en cok \w+ cumle|sadece metin|yalnizca metin)\b"
)
# What `personas/prompt.py` says to a model, for models that repeat their orders instead of following them.
_ORDERS = re.compile(
    r"<<<|>>>|\b(?:son mesajlar:|olarak yaz:|sana yazan kisiye yanit ver|su mesaja karsilik ver|sohbeti (?:\w+ konuda )?sen ac|"
    r"yanit verir gibi yazma|sohbeti kaldigi yerden surdur|onceki denemen uygun degil|bu konuda (?:daha once dediklerin|demistin) \(|"
    r"su sozleri kullanma|cok gecti, kullanma|unutma, sen busun|soruyla bitir(?:me\b|ebilirsin)|karsisinda tavrin:|yapay zeka karakterisin|"
    r"(?:pazartesi|sali|carsamba|persembe|cuma|cumartesi|pazar),? (?:saat )?\d\d:\d\d[.,] borsa|diye (?:hitap edersin|seslenirsin)|"
    r"soyle yazarsin:|kurallar:|risk anlayisin:|arada bir kullandigin sozler:|sanal portfoyun:|asla yapmadiklarin:)|"
    r"\A(?:konu|ton|risk|uslup|ruh halin|bir anin|anlattiklarin|izlediklerin|goruslerin|otekiler): "
)
_LABEL = re.compile(r"(?:\A|[\n.!?…]\s*)([^\s:.!?,]{2,24}(?: [^\s:.!?,]{2,24}){0,2})\s*[:：](?=\s)")
_ROLES = frozenset({"bot", "asistan", "assistant", "kullanici", "user", "system", "sistem"})
_INTRODUCES = re.compile(r"\b(?:ben|adim|ismim)[ ,]+(\w+(?: \w+){0,3})")
_SHORT_WORDS = 3
"""A description of so few words may be said by chance."""

_QUOTE_WORDS = 9
"""So many words in a row taken from the prompt are a quotation, not a coincidence."""


def _verdict(reason: str) -> Verdict:
    return Verdict("speaker", reason, "Yalnızca kendi ağzından yaz; ad, etiket, talimat ya da açıklama ekleme.")


@lru_cache(maxsize=20_000)  # a memo of a pure function: each bot's prompt and examples, at every line it says
def _key(folded: str) -> str:
    """The words alone: what the clean-up took away (bullets, quotes, line breaks) does not hide a quotation."""
    return f" {' '.join(words_of(folded))} "


class SpeakerGuard:
    """Stops texts that speak as another bot, keep a "Name:", talk about the prompt or quote it."""

    name = "speaker"

    def check(self, case: Case) -> Verdict | None:
        """See the module."""
        if not case.text.strip():
            return _verdict("empty")
        folded = fold(case.text)
        if _META.search(folded) or _ORDERS.search(folded):
            return _verdict("talks about its instructions")
        for match in _LABEL.finditer(case.text):
            label = fold(match[1])
            if label in _ROLES or self._is_name(label, case):
                return _verdict(f"a speaker's label: {label}")
        for match in _INTRODUCES.finditer(folded):
            said = tuple(match[1].split())
            for persona in case.roster.values():
                if persona.bot_id != case.persona.bot_id and said[: len(persona.name_words)] == persona.name_words:
                    return _verdict("speaks as another bot")
        if case.system and self._quotes(folded, case.system, case.persona):
            return _verdict("quotes its prompt")
        return None

    def _is_name(self, label: str, case: Case) -> bool:
        """Whether a label is somebody's name or first name: a bot's, or a member's of the window."""
        names = [" ".join(persona.name_words) for persona in case.roster.values()]
        names += dict.fromkeys(fold(line.message.author) for line in case.lines)
        return any(label == name or label == name.partition(" ")[0] for name in names)

    def _quotes(self, folded: str, system: str, persona: Persona) -> bool:
        words = words_of(folded)
        about = _key(fold(persona.hint))  # what is said about the bot, it does not say itself, however short
        if len(about.split()) > _SHORT_WORDS and about in f" {' '.join(words)} ":
            return True
        if len(words) < _QUOTE_WORDS:
            return False
        told = _key(system)
        # An example line is the persona's own way of speaking; repeating one is the repetition guard's matter.
        own = [_key(fold(example)) for example in persona.examples]
        for start in range(len(words) - _QUOTE_WORDS + 1):
            run = f" {' '.join(words[start : start + _QUOTE_WORDS])} "
            if run in told and not any(run in example for example in own):
                return True
        return False
