"""What several shards share of a quota: the bucket interface of which `store/redis.py` is the form over Redis.

`sharing.py` uses it on behalf of the gateway. Nothing here waits, decides or knows Redis. Times are seconds; "now" is
always the server's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


class SharedLost(Exception):
    """The shared buckets cannot be reached within the command timeout, or do not answer what they should."""


class SharedEmptied(Exception):
    """The server answers, but what it knew is gone (it was restarted or flushed): seed it before it is used again."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How one limit counts.

    `until` = 0: an amount counts for `seconds` (a sliding window, kept in slots of `grain` seconds, each forgotten when
    its last moment is out of the window). Else `until` is the Unix time of the next reset: an amount counts till then,
    and the meter of the day after is another one.
    """

    meter: str  # which: "groq/1a2b3c4d/tpm"
    seconds: float
    grain: float
    until: int = 0


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request wants of one limit: `amount` must fit into `limit` less `kept`, with all that counts already."""

    shape: Shape
    amount: int
    limit: int
    kept: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to a reservation. `used` is what counts of each limit now (in the order asked), in flight included.

    Granted: `hold` is to be handed to `settle`. Refused: nothing was reserved; `wait` is how long until it may fit
    (a short guess when only reservations in flight stand in the way; inf: never).
    """

    granted: bool
    wait: float
    used: tuple[int, ...]
    present: int  # shards that were seen lately


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the server remembers. `new`: another memory than the one known before; `age`: since when, in seconds."""

    new: bool
    age: float


class SharedBuckets(Protocol):
    """All limits of all keys, counted by one server for every shard. Any call may raise SharedLost or SharedEmptied."""

    async def reserve(self, ticket: str, asks: Sequence[Ask], *, hold: float) -> Verdict:
        """Reserve on every limit or on none, in one round trip. Unsettled, it counts as used after `hold` seconds.

        After SharedLost or a cancellation nobody knows whether it was reserved: if it was, it counts as used then.
        """
        ...

    async def settle(self, ticket: str, shapes: Sequence[Shape], used: Sequence[int], *, age: float) -> None:
        """End a reservation: this was used, `age` seconds ago, but not before it was admitted. It may be more or 0.

        `shapes` as they were asked for. Idempotent; after `hold` it changes nothing more, on no limit.
        """
        ...

    async def charge(self, shape: Shape, amounts: Mapping[float, int]) -> None:
        """Count what was used without a reservation: amounts by age in seconds."""
        ...

    async def at_least(self, shape: Shape, amounts: Mapping[float, int]) -> None:
        """Make the meter count at least these amounts by age (what `usage` knows); never lowers it.

        What is missing is counted at the youngest of these ages, so that it counts the longest.
        """
        ...

    async def beat(self, shard: str, *, ttl: float) -> int:
        """This shard is present for `ttl` more seconds; how many are, of all."""
        ...

    async def close(self) -> None:
        """Give connections back; calls under way are lost."""
        ...

    async def begin(self) -> Remembered:
        """Adopt the server's memory."""
        ...
