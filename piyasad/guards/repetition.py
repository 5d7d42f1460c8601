"""The repetition guard: no bot says the same again, and the room does not echo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain

from piyasad.chat.window import Line
from piyasad.guards.case import Case, Verdict
from piyasad.language.text import normalise, signature, trigrams, words

WINDOW_LINES = 50
"""Similarity and worn words are looked for in the last 50 lines of the chat (behaviour 4)."""

OPENING_LINES = 20
"""No line opens with the same three words as one of the last 20."""

SHORT_WORDS = 3
"""Lines of three words or fewer may repeat …"""

SHORT_PER_HOUR = 2
"""… but a bot says at most two of them an hour."""

WORN_SHARE = 0.20
"""A content stem in more than a fifth of the last 50 lines is worn out."""

WORN_MIN_LINES = 10
"""Below so many lines a share says nothing."""


class RepetitionGuard:
    """Stops equal texts of one bot within `hours` and texts too like the room's last lines (`similarity` from 0 to 1)."""

    name = "repetition"

    def __init__(self, hours: float, similarity: float) -> None:
        self._seconds = hours * 3600
        self._similarity = similarity

    def check(self, case: Case) -> Verdict | None:
        """See the module."""
        spoken = words(case.text)
        key = normalise(case.text)
        if len(spoken) <= SHORT_WORDS:
            recent = sum(1 for at in case.own_short if at > case.now - 3600)
            return self._verdict("too many short lines", "") if recent >= SHORT_PER_HOUR else None
        said = case.own_recent.get(key)
        if said is not None and case.now - said < self._seconds:
            return self._verdict("the same text again", case.text)
        lines = case.lines[-WINDOW_LINES:]
        opening = tuple(spoken[:3])
        for line in lines[-OPENING_LINES:]:
            if line.words[:3] == opening:
                return self._verdict("opens like a recent line", line.message.text)
        grams = trigrams(case.text)
        mark = signature(grams)
        for line in reversed(lines):
            # what the fingerprints differ in already rules most lines out, exactly and for almost nothing
            spare = len(grams) - self._similarity * (len(grams) + line.grams) / 2
            if (mark & ~line.signature).bit_count() > spare:
                continue
            if similar(grams, trigrams(line.message.text), self._similarity):
                return self._verdict("too like a recent line", line.message.text)
        return None

    def _verdict(self, reason: str, like: str) -> Verdict:
        shown = f" Şuna çok benziyor: “{like}”" if like else ""
        return Verdict("repetition", reason, f"Bunu başka sözlerle, başka bir girişle söyle.{shown}", rewrites=2)


def similar(one: frozenset[str], other: frozenset[str], threshold: float) -> bool:
    """Whether the Dice coefficient of two sets of character trigrams reaches the threshold."""
    total = len(one) + len(other)
    if not total or 2 * min(len(one), len(other)) < threshold * total:
        return False
    return 2 * len(one & other) >= threshold * total


def worn_stems(lines: Sequence[Line], keep: frozenset[str] = frozenset()) -> list[str]:
    """Content stems heard in more than a fifth of the last 50 lines, most frequent first; `keep` are never listed."""
    lines = lines[-WINDOW_LINES:]
    if len(lines) < WORN_MIN_LINES:
        return []
    heard = Counter(chain.from_iterable(line.content for line in lines))
    worn = [(count, word) for word, count in heard.items() if count > WORN_SHARE * len(lines) and word not in keep]
    return [word for count, word in sorted(worn, key=lambda pair: (-pair[0], pair[1]))][:8]
