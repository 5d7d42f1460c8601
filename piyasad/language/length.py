"""What a length means in sentences and tokens. Prompts ask for it, providers are held to it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from piyasad.model import Length

# Sentences at most, tokens at most: a Turkish sentence of chat is about 25 tokens; room for one that runs long.
_PLANS: Final = {Length.SHORT: (2, 90), Length.MEDIUM: (3, 140), Length.LONG: (4, 200)}


@dataclass(frozen=True, slots=True)
class LengthPlan:
    """What the prompt asks for and the provider is held to."""

    sentences: int
    max_tokens: int


def plan(length: Length) -> LengthPlan:
    """Sentences and tokens of a length."""
    return LengthPlan(*_PLANS[length])
