"""Which shard wants which bot: rendezvous hashing with bounded loads. Pure.

The pool asks; the lease, not the assignment, decides who may speak, so a wrong or changed count costs nothing but a
wait.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection


def _weight(shard: int, key: int) -> bytes:
    return hashlib.sha256(f"{shard}/{key}".encode()).digest()


def _turn(key: int) -> bytes:
    """Where a key stands in the queue: apart from the weights, else one shard would be the last wish of the first."""
    return hashlib.sha256(f"turn/{key}".encode()).digest()


def assign(keys: Collection[int], shards: int) -> dict[int, int]:
    """Rendezvous hashing with bounded loads: every key to a shard 0 … n−1, each with ⌊N/n⌋ or ⌈N/n⌉ of them.

    Every key prefers the shard with the highest hash; keys choose in the order of their own hash, and a full shard
    sends them on to their next preference. The result depends on nothing but the set of keys and `shards`.

    Raises:
        ValueError: `shards` is less than 1.
    """
    if shards < 1:
        raise ValueError("shards must be at least 1")
    unique = sorted(set(keys), key=lambda key: (_turn(key), key))
    floor, extras = divmod(len(unique), shards)
    load = dict.fromkeys(range(shards), 0)
    owner: dict[int, int] = {}
    for key in unique:
        for shard in sorted(load, key=lambda shard: _weight(shard, key), reverse=True):
            if load[shard] < floor or (load[shard] == floor and extras > 0):
                extras -= load[shard] == floor
                load[shard] += 1
                owner[key] = shard
                break
    return owner
