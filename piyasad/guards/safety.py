"""The safety guard: no promise of gain, no order to trade, no inside knowledge, no denial of being an AI, no insult, no
contact data. Each rule is a room of its own; all read the same undisguised words (`reading.py`).
"""

from __future__ import annotations

from functools import lru_cache

from piyasad.guards.abuse import abuses
from piyasad.guards.case import Case, Verdict
from piyasad.guards.contact import gives_contact
from piyasad.guards.identity import claims_identity
from piyasad.guards.inside import claims_inside
from piyasad.guards.order import orders
from piyasad.guards.promise import promises
from piyasad.guards.reading import read
from piyasad.language.text import fold, stem, words_of
from piyasad.personas.profile import Persona


class SafetyGuard:
    """See the module. Needs no state."""

    name = "safety"

    def check(self, case: Case) -> Verdict | None:
        """The first rule that the text breaks."""
        reading = read(case.text)
        if promises(reading):
            return self._verdict("promises a gain", "Kazanç ya da kesinlik vaat etme.")
        if orders(reading):
            return self._verdict("orders a trade", "Kimseye al ya da sat deme; yalnızca kendi görüşünü anlat.")
        if claims_inside(reading):
            return self._verdict("claims inside knowledge", "İçeriden bilgi iddia etme.")
        if claims_identity(reading, lambda: biography(case.persona)):
            return self._verdict(
                "denies being an AI", "Yapay zekâ karakteri olduğunu inkâr etme, gerçek bir hayat anlatma."
            )
        if abuses(reading):
            return self._verdict("insults", "Kimseyi aşağılama.")
        if gives_contact(reading, {persona.handle for persona in case.roster.values()}):
            return self._verdict("link or contact data", "Bağlantı, kullanıcı adı ya da iletişim bilgisi yazma.")
        return None

    def _verdict(self, reason: str, hint: str) -> Verdict:
        return Verdict(self.name, reason, hint)


def biography(persona: Persona) -> frozenset[str]:
    """The stems of what a persona's configuration says of it: this much of a life it may claim."""
    return _stems(
        (
            persona.hint,
            persona.tone,
            persona.style.text,
            *persona.emotion.anecdotes,
            *persona.examples,
            persona.risk_profile,
        )
    )


@lru_cache(maxsize=20_000)  # a memo of a pure function: each bot's texts
def _stems(texts: tuple[str, ...]) -> frozenset[str]:
    return frozenset(stem(word) for text in texts for word in words_of(fold(text)))
