"""Names of models: whether a provider lists one under this or a dated name, and which listed ones are nearest. Pure.

`providers.py` asks when a model is not found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

# A listed name may carry a date or a revision where the configured one does not ("…-20261001", "…-2026-10-01",
# "…-001"); Ollama adds ":latest".
_REVISION: Final = re.compile(r"-(\d{8}|\d{4}-\d{2}-\d{2}|\d{3})|:latest")
_LAST: Final = re.compile(rf"(?:{_REVISION.pattern})$")
_PIECE: Final = re.compile(r"[a-z]+|\d+(?:\.\d+)*")
_NO_CHAT: Final = frozenset(  # words of models that write no text; they are near only to their like
    {"audio", "dall", "embed", "embedding", "guard", "image", "imagen", "live", "moderation", "realtime", "rerank"}
    | {"transcribe", "tts", "veo", "whisper"}
)
_ENOUGH: Final = 0.6
_FAR: Final = 1_000.0


@dataclass(frozen=True, slots=True)
class _Name:
    """A model's name without its owner, in its words and its first number: gemini-2.5-flash is gemini flash, 2.5."""

    text: str
    words: tuple[str, ...]
    version: float | None

    @classmethod
    def of(cls, name: str) -> _Name:
        text = name.lower().rpartition("/")[2]  # names of models are ASCII
        pieces = _PIECE.findall(text)
        numbers = [piece for piece in pieces if piece[0].isdigit()]
        version = float(".".join(numbers[0].split(".")[:2])) if numbers else None
        return cls(text, tuple(piece for piece in pieces if piece[0].isalpha()), version)


def is_listed(model: str, names: Iterable[str]) -> bool:
    """Whether a provider's list has this model."""
    wanted = model.removeprefix("models/")
    return any(
        name == wanted or (name.startswith(wanted) and _REVISION.fullmatch(name, len(wanted)) is not None)
        for name in names
    )


def nearest(model: str, names: Iterable[str], most: int = 3) -> list[str]:
    """The listed models most like a name: first those of the same words, among them those of the nearest version."""
    wanted = _Name.of(model)
    listed = set(names)
    found = []
    for name in listed:
        other = _Name.of(name)
        if _LAST.sub("", name) in listed - {name}:
            continue  # the same model with its date
        if _NO_CHAT.intersection(other.words) - set(wanted.words):
            continue
        words = SequenceMatcher(None, wanted.words, other.words).ratio()
        signs = SequenceMatcher(None, wanted.text, other.text).ratio()
        likeness = 0.6 * words + 0.4 * signs
        if likeness >= _ENOUGH:
            found.append((words < 1, _apart(wanted.version, other.version) if words == 1 else 0.0, -likeness, name))
    return [name for *_, name in sorted(found)[:most]]


def _apart(one: float | None, other: float | None) -> float:
    return abs(one - other) if one is not None and other is not None else _FAR
