"""How many answers one member gets: 6 in 10 min and 40 a day, then one polite line, then silence. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

SHORT_ANSWERS: Final = 6
SHORT_SECONDS: Final = 600.0
DAY_ANSWERS: Final = 40
DAY_SECONDS: Final = 86400.0


class Grant(StrEnum):
    """What a member's next message gets."""

    ANSWER = "answer"
    POLITE = "polite"
    SILENCE = "silence"


class AnswerBudget:
    """The answers of all bots of a daemon to each member, over sliding windows. A polite line ends with the window."""

    def __init__(self) -> None:
        self._answers: dict[int, list[float]] = {}
        self._polite: dict[int, float] = {}

    def ask(self, user_id: int, now: float) -> Grant:
        """What the member gets now; asking changes nothing."""
        times = self._recent(user_id, now)
        short = len(times) - bisect_right(times, now - SHORT_SECONDS)
        if short < SHORT_ANSWERS and len(times) < DAY_ANSWERS:
            return Grant.ANSWER
        # The line was said in this shortage if it came after the answer that used up the budget.
        said = self._polite.get(user_id)
        return Grant.POLITE if said is None or said < times[-1] else Grant.SILENCE

    def answered(self, user_id: int, at: float) -> None:
        """An answer was sent (or is surely about to be)."""
        times = self._answers.setdefault(user_id, [])
        times.insert(bisect_right(times, at), at)

    def was_polite(self, user_id: int, at: float) -> None:
        """The polite line was sent."""
        self._polite[user_id] = at

    def refill(self, answers: Iterable[tuple[int, float, bool]]) -> None:
        """Take over (member, time, whether it was the polite line) of the last day's answers from the ledger."""
        for user_id, at, polite in answers:
            if polite:
                self.was_polite(user_id, max(at, self._polite.get(user_id, at)))
            else:
                self.answered(user_id, at)

    def forget(self, now: float) -> None:
        """Drop members without an answer in the last day, so that the table stays small."""
        for user_id in list(self._answers):
            if not self._recent(user_id, now):
                del self._answers[user_id]
                self._polite.pop(user_id, None)

    def _recent(self, user_id: int, now: float) -> list[float]:
        times = self._answers.get(user_id, [])
        gone = bisect_right(times, now - DAY_SECONDS)
        if gone:
            del times[:gone]
        return times
