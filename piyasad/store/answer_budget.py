"""How many answers one member gets: 6 in ten minutes and 40 a day, then one polite line, then silence. Pure.

`in_memory.py` decides with it when a stimulus is taken; on PostgreSQL the function `member_grant` says the same.
"""

from __future__ import annotations

from collections.abc import Iterable

from piyasad.clock import DAY
from piyasad.model import Grant
from piyasad.store.interface import ANSWERS_DAY, ANSWERS_SHORT, SHORT_SECONDS


def free_at(answers: Iterable[float]) -> float:
    """When the next answer is granted if none is given until then; `answers` as for `grant`."""
    newest = sorted(answers, reverse=True)
    short = newest[ANSWERS_SHORT - 1] + SHORT_SECONDS if len(newest) >= ANSWERS_SHORT else 0.0
    return max(short, newest[ANSWERS_DAY - 1] + DAY if len(newest) >= ANSWERS_DAY else 0.0)


def grant(answers: Iterable[float], polite: float | None, now: float) -> Grant:
    """What the member's next stimulus gets.

    Args:
        answers: when stimuli of this member were taken that count: those taken now and those answered.
        polite: when the newest one was taken that got the polite line and did not give it back.
        now: a store time; a window reaches back from it and leaves its far end out.
    """
    day = [at for at in answers if at > now - DAY]
    short = sum(at > now - SHORT_SECONDS for at in day)
    if short < ANSWERS_SHORT and len(day) < ANSWERS_DAY:
        return Grant.ANSWER
    # The line was said in this shortage if it came after the answer that used up the budget.
    return Grant.POLITE if polite is None or polite < max(day) else Grant.SILENCE
