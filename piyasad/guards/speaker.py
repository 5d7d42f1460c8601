"""The speaker guard: the bot speaks as itself, as a person in a chat would, and quotes nothing it was told."""

from __future__ import annotations

import re

from piyasad.guards.case import Case, Verdict
from piyasad.text import fold

_META = re.compile(
    r"\b(?:bir (?:dil|yapay zeka) modeli olarak|dil modeliyim|sistem mesaji|sistem talimati|system prompt|prompt(?:u|un|um)?|"
    r"talimatlar(?:im|ima|a gore)|verilen talimat|as an ai|language model|karakterim geregi|rolum geregi|"
    r"rol yap(?:iyorum|ma)|kullanici mesaji|asistan olarak|size nasil yardimci olabilirim|iste (?:bir )?(?:mesaj|yanit|cevap)|"
    r"mesajim su|tek mesaj|en cok \w+ cumle|sadece metin|yalnizca metin)\b"
)
_LABEL = re.compile(r"(?:\A|[\n.!?…]\s*)([^\s:.!?,]{2,24}(?: [^\s:.!?,]{2,24}){0,2})\s*[:：](?=\s)")
_QUOTE_WORDS = 9
"""So many words in a row taken from the prompt are a quotation, not a coincidence."""


def _verdict(reason: str) -> Verdict:
    return Verdict("speaker", reason, "Yalnızca kendi ağzından yaz; ad, etiket, talimat ya da açıklama ekleme.")


class SpeakerGuard:
    """Stops texts that speak as another bot, keep a "Name:", talk about the prompt or quote it."""

    name = "speaker"

    def check(self, case: Case) -> Verdict | None:
        """See the module."""
        if not case.text.strip():
            return _verdict("empty")
        folded = fold(case.text)
        if _META.search(folded):
            return _verdict("talks about its instructions")
        names = {fold(persona.name) for persona in case.roster.values()} | {
            fold(line.message.author) for line in case.lines
        }
        firsts = {name.split()[0] for name in names if name}
        for match in _LABEL.finditer(case.text):
            label = fold(match[1])
            if (
                label in names
                or label in firsts
                or label in {"bot", "asistan", "assistant", "kullanici", "user", "system"}
            ):
                return _verdict(f"a speaker's label: {label}")
        for persona in case.roster.values():
            if persona.bot_id == case.persona.bot_id:
                continue
            other = re.escape(fold(persona.name))
            if re.search(rf"\b(?:ben|adim|benim adim|ismim)[ ,]+{other}\b", folded):
                return _verdict("speaks as another bot")
        if case.system and self._quotes(folded, fold(case.system), case.persona.examples):
            return _verdict("quotes its prompt")
        return None

    def _quotes(self, folded: str, system: str, examples: tuple[str, ...]) -> bool:
        words = folded.split()
        own = [fold(example) for example in examples]
        for start in range(len(words) - _QUOTE_WORDS + 1):
            run = " ".join(words[start : start + _QUOTE_WORDS])
            # An example line is the persona's own way of speaking; repeating one is the repetition guard's matter.
            if run in system and not any(run in example for example in own):
                return True
        return False
