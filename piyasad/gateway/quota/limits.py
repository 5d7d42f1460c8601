"""The limits of a key as types: which there are, what each counts, and what of them is only assumed. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

REQUESTS, TOKENS, INPUT, OUTPUT, MONEY = range(5)
METERS: Final = (
    ("rps", REQUESTS),
    ("rpm", REQUESTS),
    ("tpm", TOKENS),
    ("itpm", INPUT),
    ("otpm", OUTPUT),
    ("rph", REQUESTS),
    ("tph", TOKENS),
    ("rpd", REQUESTS),
    ("tpd", TOKENS),
    ("tokens_per_month", TOKENS),
)
KINDS: Final = dict(METERS)

Amounts = tuple[int, int, int, int, int]
"""Requests, tokens, input tokens, output tokens, millionths of a US dollar."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a key may use; None: no limit. `reset` is "rolling" or "HH:MM TZ"."""

    rps: int | None = None
    rpm: int | None = None
    rph: int | None = None
    rpd: int | None = None
    tpm: int | None = None
    tph: int | None = None
    tpd: int | None = None
    itpm: int | None = None
    otpm: int | None = None
    tokens_per_month: int | None = None
    concurrency: int | None = None
    counts_cached: bool = True
    reset: str = "rolling"
    assumed: Mapping[str, str] = field(default_factory=dict)  # daily limits that nobody tells, with from what they are

    def shared(self, share: float) -> Limits:
        """One shard's part. Rounded down: a limit too small to be shared leaves nothing."""
        if share >= 1:
            return self
        names = (*KINDS, "concurrency")
        return replace(self, **{n: math.floor(getattr(self, n) * share) for n in names if getattr(self, n) is not None})
