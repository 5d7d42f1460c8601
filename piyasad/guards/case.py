"""What a guard is shown and what it may say. Guards never change a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from piyasad.chat.window import Line
from piyasad.personas.profile import Persona


@dataclass(frozen=True, slots=True)
class Case:
    """One text before it is sent.

    `lines` are the room's last messages, oldest first; `own_recent` maps the speaker's own normalised texts of the
    last hours to when they were last said; `own_short` are the times of its lines of three words or fewer in the last
    hour; `system` is the stable part of the prompt, folded, for the check that nothing of it is quoted.
    """

    text: str
    persona: Persona
    roster: Mapping[int, Persona]
    lines: Sequence[Line]
    own_recent: Mapping[str, float]
    own_short: Sequence[float]
    now: float
    system: str = ""
    people_as: str = "Üye {n}"
    figures: frozenset[float] | None = None
    language: str = "tr"


@dataclass(frozen=True, slots=True)
class Verdict:
    """An objection. `hint` is the Turkish instruction for the rewrite; `rewrites` how often this guard may ask for one."""

    guard: str
    reason: str
    hint: str
    rewrites: int = 1


class Guard(Protocol):
    """One rule of behaviour 4."""

    name: str

    def check(self, case: Case) -> Verdict | None:
        """None when the text may be sent."""
        ...
