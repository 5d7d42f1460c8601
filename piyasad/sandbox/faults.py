"""Faults of the Bot API server that tests switch on while it runs. Pure; `telegram.py` plays them out."""

from __future__ import annotations

import random
from collections.abc import Mapping, MutableSequence
from dataclasses import dataclass
from typing import Any

KINDS = ("429", "500", "502", "latency", "cut_before", "cut_after", "kicked", "bad_token")


@dataclass(slots=True)
class Fault:
    """A fault. It hits calls that match `method`, `bot` and `chat` (None: any), with `probability`, `times` times
    (None: until it is taken away).

    `kind`: 429 (`seconds` is its retry_after), 500 and 502 (nothing was done), latency (`seconds` before anything is
    done), cut_before and cut_after (the connection ends before or after the call was carried out), kicked (403),
    bad_token (401).

    Raises:
        ValueError: an unknown kind, or a number that cannot be meant.
    """

    kind: str
    method: str | None = None
    bot: int | None = None
    chat: int | None = None
    probability: float = 1.0
    times: int | None = None
    seconds: float = 1.0

    def __post_init__(self) -> None:
        self.kind = str(self.kind)
        if self.kind not in KINDS:
            raise ValueError(f"no such fault: {self.kind}; there are {', '.join(KINDS)}")
        if not 0 <= self.probability <= 1 or self.seconds < 0 or (self.times is not None and self.times < 0):
            raise ValueError("probability is between 0 and 1; seconds and times are not negative")

    def hits(self, method: str, bot: int, given: Mapping[str, Any], rng: random.Random) -> bool:
        """Whether it hits this call; one of its `times` is used up then. `method` is in lower case."""
        if self.times == 0 or (self.method is not None and self.method.lower() != method):
            return False
        if self.bot not in {None, bot} or (self.chat is not None and str(given.get("chat_id")) != str(self.chat)):
            return False
        if self.probability < 1 and rng.random() >= self.probability:
            return False
        if self.times is not None:
            self.times -= 1
        return True


def struck(
    faults: MutableSequence[Fault], method: str, bot: int, given: Mapping[str, Any], rng: random.Random
) -> list[Fault]:
    """The faults that hit this call, oldest first; those that are used up are taken off the list."""
    hit = [fault for fault in faults if fault.hits(method, bot, given, rng)]
    if any(fault.times == 0 for fault in hit):
        faults[:] = [fault for fault in faults if fault.times != 0]
    return hit
