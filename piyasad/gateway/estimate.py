"""How many tokens a prompt will be, before the provider counts it. Each endpoint learns its own. Pure."""

from __future__ import annotations

import math


class Estimator:
    """How many tokens a prompt will be, learned from what the provider counted; never far below the truth.

    It follows the highest ratio of tokens to characters seen, and forgets it slowly.
    """

    __slots__ = ("_ratio",)

    FIRST = 0.5  # tokens a character before anything was learned: Turkish takes about 0.3
    MARGIN = 1.03
    FORGET = 0.02
    MOST = 1.5  # no tokenizer takes more for a text: who counts more counts something else
    EXTRA = 12  # tokens that a chat's form costs besides its text

    def __init__(self) -> None:
        self._ratio: float | None = None

    def tokens(self, chars: int) -> int:
        """An upper estimate for a prompt of so many characters."""
        ratio = self.FIRST if self._ratio is None else self._ratio * self.MARGIN
        return math.ceil(chars * ratio) + self.EXTRA

    def learn(self, chars: int, tokens: int) -> None:
        """A prompt of so many characters was counted as so many tokens."""
        if chars < 40 or tokens <= 0:
            return
        seen = min(tokens / chars, self.MOST)
        if self._ratio is None or seen >= self._ratio:
            self._ratio = seen
        else:
            self._ratio -= (self._ratio - seen) * self.FORGET

    @property
    def chars_per_token(self) -> float:
        """For display."""
        return 1 / (self.FIRST if self._ratio is None else self._ratio)
