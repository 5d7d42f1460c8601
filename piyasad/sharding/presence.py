"""Which of the shards 0 … n−1 are there. Each daemon says it once, when all had time to start; `status` shows it.

The engine runs `say_missing` beside its other tasks. Who may speak is not decided here but by the leases.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog

from piyasad.model import DaemonRow
from piyasad.store.interface import Store, StoreError

log = structlog.stdlib.get_logger(__name__)

START_SECONDS = 30.0
"""Daemons that are started together are all there after so long."""


def missing(daemons: Iterable[DaemonRow], shards: int) -> list[int]:
    """Which of 0 … `shards` − 1 no living daemon of that count is: their share of the bots is silent."""
    present = {row.shard for row in daemons if row.alive and row.shards == shards}
    return [shard for shard in range(shards) if shard not in present]


def counted_otherwise(daemons: Iterable[DaemonRow], shards: int) -> list[str]:
    """The living daemons that are none of 0/n … n−1/n: started with another count, or counted from 1."""
    return sorted(
        f"{row.shard}/{row.shards}" for row in daemons if row.alive and (row.shards != shards or row.shard >= shards)
    )


async def say_missing(store: Store, shards: int) -> None:
    """Say once which shards are missing, half a minute after the start; a store that is away is asked again."""
    while True:
        await asyncio.sleep(START_SECONDS)
        try:
            daemons = await store.daemons()
        except StoreError:
            continue  # the leases' line tells it
        break
    away, others = missing(daemons, shards), counted_otherwise(daemons, shards)
    if away:
        names = [f"{shard}/{shards}" for shard in away]
        log.warning(
            "shards.missing", shards=names, cure=f"their bots are silent: start piyasad run --shard {names[0]} …"
        )
    elif shards > 1:
        log.info("shards.complete", shards=shards)
    if others:
        log.warning(
            "shards.counted_otherwise",
            shards=others,
            cure=f"all must be started with the same count: stop them, then start 0/{shards} … {shards - 1}/{shards}",
        )
