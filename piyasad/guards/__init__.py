"""The guards: pure checks on the text exactly as it would be sent. `check` stops at the first no."""

from __future__ import annotations

from collections.abc import Sequence

from piyasad.guards.case import Case, Guard, Verdict

__all__ = ["Case", "Guard", "Verdict", "check"]


def check(case: Case, guards: Sequence[Guard]) -> Verdict | None:
    """The first objection, or None when every guard lets the text pass."""
    for guard in guards:
        verdict = guard.check(case)
        if verdict is not None:
            return verdict
    return None
