"""A store whose calls hang, fail or come late on command: what an asyncpg pool does when its server is in trouble."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, cast

from piyasad.store.interface import Store, StoreError

Hook = Callable[[], Awaitable[object]]


class Faults:
    """What is awaited before a call's effect and after it, by the method's name or "*"; and how often each was called."""

    def __init__(self) -> None:
        self.before: dict[str, Hook] = {}
        self.after: dict[str, Hook] = {}
        self.calls: Counter[str] = Counter()

    def clear(self) -> None:
        """All is well again."""
        self.before.clear()
        self.after.clear()


def faulty(store: Store) -> tuple[Store, Faults]:
    """The store behind faults that are set on the second."""
    faults = Faults()
    return cast(Store, _Faulty(store, faults)), faults


class _Faulty:
    def __init__(self, store: Store, faults: Faults) -> None:
        self._store = store
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        method, faults = getattr(self._store, name), self._faults
        if not asyncio.iscoroutinefunction(method):
            return method

        async def call(*args: Any, **keys: Any) -> Any:
            faults.calls[name] += 1
            if hook := faults.before.get(name) or faults.before.get("*"):
                await hook()
            result = await method(*args, **keys)
            if hook := faults.after.get(name) or faults.after.get("*"):
                await hook()
            return result

        return call


BOUND = 25.0
"""The store's own: a connection is waited for 10 s, a statement 15 s."""


async def hangs() -> None:
    """Until cancelled, or until the store's own bound."""
    await asyncio.sleep(BOUND)
    raise StoreError("the database did not answer in time")


async def fails() -> None:
    """At once."""
    raise StoreError("away")


def deaf(seconds: float) -> Hook:
    """Hangs, and answers its cancellation late and with another error, as the release of a connection may."""

    async def hang() -> None:
        try:
            await hangs()
        except asyncio.CancelledError:
            await asyncio.sleep(seconds)
            raise StoreError("the connection could not be given back") from None

    return hang
