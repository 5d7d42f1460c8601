"""The language guard, first form: no foreign letters, no English sentence. Models slip into what they learnt most of.

Single foreign words and broken Turkish are not its matter yet; what was cut mid-word goes in the clean-up.
"""

from __future__ import annotations

import re
import unicodedata

from piyasad.guards.case import Case, Verdict

ENGLISH_WORDS = 3
"""So many English function words in one line are no borrowed term."""

# From Greek on, less the blocks that hold Latin letters in other shapes (phonetic, Vietnamese, full width, mathematical).
_FOREIGN = re.compile(
    "[\u0370-\u1cff\u1f00-\u1fff\u2c80-\ua71f\ua800-\ufaff\ufb13-\ufdff\ufe70-\ufefc\uff66-\uffdc\U00010000-\U00010fff\U00020000-\U0003ffff]"
)
_ALONE = re.compile(r"(?<!\w)[\u0370-\u03ff](?!\w)")  # β, Δ, σ are figures of the trade

# Left out are those that are Turkish words too: all, an, as, at, be, but, can, do, had, has, her, his, in, is, it, may,
# me, not, of, on, us.
_ENGLISH = re.compile(
    r"(?<![\w'])(?:the|and|are|was|were|with|that|this|these|those|there|they|them|their|we|our|you|your|he|she|what|which|when|where|"
    r"who|why|how|will|would|should|could|must|might|have|been|being|because|about|into|from|for|to|by|or|if|so|than|then|some|any|"
    r"more|most|very|just|only|also|after|before|while|does|did|(?:do|does|is|are|wo|ca)n't|(?:i|you|we|they)'(?:m|ve|re|ll)|"
    r"(?:it|that|let)'s|my|its|said|see|think|going|want|need|know)(?![\w'])"
)


class LanguageGuard:
    """Stops letters of other alphabets and, unless `english` is spoken in the house, lines that slip into English."""

    name = "language"

    def __init__(self, *, english: bool = False) -> None:
        self._english = english

    def check(self, case: Case) -> Verdict | None:
        """See the module. Names of people in the room may have any letters."""
        text = case.text
        if _FOREIGN.search(text):
            for author in {line.message.author for line in case.lines}:
                text = text.replace(author, " ")
            rest = _ALONE.sub(" ", text)
            if any(unicodedata.category(sign).startswith("L") for sign in _FOREIGN.findall(rest)):
                return self._verdict("letters of another alphabet")
        if not self._english:
            found = _ENGLISH.findall(text.lower().replace("’", "'"))  # lower case by English rules: THIS is this
            if len(found) >= ENGLISH_WORDS:
                return self._verdict("slips into English")
        return None

    def _verdict(self, reason: str) -> Verdict:
        return Verdict(self.name, reason, "Yalnızca Türkçe yaz; yabancı dilde söz ya da başka alfabeden harf kullanma.")
