"""What one model can do, as far as its refusals taught it: parameters, roles, how much it thinks.

`http.py` learns and asks, the gateway tells the log and remembers it over restarts. Shared by all keys that ask the
same model. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

FIRST_ALLOWANCE: Final = 256
MOST_ALLOWANCE: Final = 4_096
"""Output tokens beyond a text's own that a model may spend on thinking; who needs more is no model for a chat."""

_MOST_NAMES: Final = 20


@dataclass(slots=True)
class Abilities:
    """What was learned of a model. `without`: parameters that it does not take; `merged`: it knows no system role."""

    without: set[str] = field(default_factory=set)
    merged: bool = False
    thinking: str = ""  # the least thinking that it takes, in its dialect's word; "": as its name suggests
    allowance: int = 0  # output tokens that it spends before it writes
    proven: bool = False  # it answered as it is asked now: what it refuses next is about the text
    guessed: bool = False  # what it refused without a clear word was tried the bare way, in vain
    hopeless: bool = False  # no allowance is enough
    generation: int = 0  # grows with every change: a refusal of what was asked before it teaches nothing
    lessons: list[str] = field(default_factory=list)  # new ones, in words
    _before: dict[str, Any] | None = None  # what was known before the bare way was tried

    def drop(self, name: str) -> bool:
        """It does not take this parameter. False: that was known."""
        if name in self.without:
            return False
        self.without.add(name)
        return self._learned(f"does not take {name}")

    def merge(self) -> bool:
        """It knows no system role: its text goes before the user's. False: that was known."""
        if self.merged:
            return False
        self.merged = True
        return self._learned("knows no system role")

    def think(self, least: str) -> bool:
        """So little thinking it takes."""
        self.thinking = least
        return self._learned(f"thinks: {least}")

    def guess(self, optional: Collection[str]) -> bool:
        """It refused without a clear word, and never answered: try the bare way. False: it was tried.

        First without the `optional` parameters, then without the system role, too.
        """
        if self.proven or self.guessed:
            return False
        if self._before is None:
            self._before = self.known()
            self.without |= set(optional)
        elif not self.merged:
            self.merged = True
        else:
            return False
        self.generation += 1
        return True

    def answered(self) -> None:
        """It took what it was asked as it was asked."""
        self.proven = True
        if self._before is not None:
            self._before = None
            self._learned(f"is asked without {', '.join(sorted(self.without)) or 'a system role'}")
            self.proven = True

    def give_up(self) -> None:
        """The bare way helped no better: back to the usual one."""
        before, self._before = self._before, None
        if before is not None:
            self.without, self.merged, self.guessed = set(before["without"]), before["merged"], True
            self.generation += 1

    def thought(self, allowed: int) -> bool:
        """It spent its whole output, `allowed` tokens for thinking among it. False: no more is allowed."""
        if allowed < self.allowance:  # said of a call that was made before more was allowed
            return True
        if self.allowance >= MOST_ALLOWANCE:
            if not self.hopeless:
                self.hopeless = True
                self.lessons.append(
                    f"thinks more than {allowed} tokens before it writes: set model to one that thinks less"
                )
            return False
        self.allowance = min(MOST_ALLOWANCE, max(FIRST_ALLOWANCE, 2 * allowed))
        return self._learned(f"thinks first: {self.allowance} more output tokens")

    def take(self) -> list[str]:
        """What was learned since it was last asked."""
        found, self.lessons = self.lessons, []
        return found

    def known(self) -> dict[str, Any]:
        """Everything learned, as JSON keeps it."""
        return {
            "without": sorted(self.without),
            "merged": self.merged,
            "thinking": self.thinking,
            "allowance": self.allowance,
        }

    def recall(self, known: Mapping[str, Any]) -> None:
        """Take over what an earlier process learned; what cannot be meant is left out."""
        without, thinking, allowance = known.get("without"), known.get("thinking"), known.get("allowance")
        if isinstance(without, list):
            self.without |= {str(name)[:40] for name in without[:_MOST_NAMES]}
        self.merged = self.merged or known.get("merged") is True
        self.thinking = str(thinking)[:20] if isinstance(thinking, str) else self.thinking
        if isinstance(allowance, int) and not isinstance(allowance, bool):
            self.allowance = max(self.allowance, min(allowance, MOST_ALLOWANCE))

    def _learned(self, lesson: str) -> bool:
        self.proven = False
        self.generation += 1
        self.lessons.append(lesson)
        return True
