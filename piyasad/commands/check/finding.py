"""What `check` finds: the form that `check.py` and its online halves share."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad a finding is. An error keeps the daemon from running, a warning takes something away from it."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found: where it is, what it is, how to cure it."""

    level: Level
    where: str
    what: str
    cure: str = ""

    def as_json(self) -> dict[str, str]:
        """For `--json`."""
        return asdict(self) | {"level": self.level.value}
