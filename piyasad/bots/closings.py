"""Closings: which stimuli ended, until the store knows of it. `stimuli.py` keeps one `Closings`.

What a turn or a run tells is kept here and told to the store by a task that nobody cancels with a bot.
"""

from __future__ import annotations

import asyncio

from piyasad.model import StimulusKey
from piyasad.store.interface import Store

CLOSING_MOST = 5000
"""Closings that wait for the store; what is beyond stays open there, and is found by a later look."""


class Closings:
    """`key in closings`: the store is not told of that stimulus's end yet."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._closing: dict[StimulusKey, tuple[str, str]] = {}
        self._merging: dict[StimulusKey, None] = {}
        self._telling = asyncio.Lock()

    def __contains__(self, key: StimulusKey) -> bool:
        return key in self._closing or key in self._merging

    def __len__(self) -> int:
        return len(self._closing) + len(self._merging)

    def close(self, key: StimulusKey, state: str, reason: str = "") -> bool:
        """`dropped` with its reason, or `open` to give it back; False where too many wait already."""
        if len(self._closing) >= CLOSING_MOST and key not in self._closing:
            return False
        self._closing[key] = state, reason
        return True

    def merge(self, key: StimulusKey) -> None:
        """It is part of a later one."""
        self._merging[key] = None

    async def tell(self, most: int) -> None:
        """Tell the store, at most so many closings. What it could not be told is kept for the next time.

        Raises:
            StoreError: the store is away.
        """
        async with self._telling:
            if self._merging:
                merged = list(self._merging)[:CLOSING_MOST]
                await self._store.merge_stimuli(merged)
                for key in merged:
                    self._merging.pop(key, None)
            for key, (state, reason) in list(self._closing.items())[:most]:
                await self._store.close_stimulus(key, state, reason)
                if self._closing.get(key) == (state, reason):
                    del self._closing[key]
