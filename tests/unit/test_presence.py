"""Which shards are missing: by the living daemons' rows, said once, half a minute after the start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from structlog.testing import capture_logs
from structlog.typing import EventDict

from piyasad.clock import LoopClock
from piyasad.model import DaemonRow
from piyasad.sharding.presence import counted_otherwise, missing, say_missing
from piyasad.store.interface import Store, StoreError
from tests.virtual import run_virtual


def daemon(shard: int, shards: int, *, alive: bool = True) -> DaemonRow:
    return DaemonRow(f"{shard}/{shards}", shard, shards, "evim", 1, "hash", 0.0, alive, "")


def test_a_shard_is_there_when_a_living_daemon_of_the_same_count_is() -> None:
    rows = [daemon(0, 4), daemon(2, 4, alive=False), daemon(1, 2), daemon(3, 4)]
    assert missing(rows, 4) == [1, 2]
    assert missing([], 2) == [0, 1]
    assert missing([daemon(0, 1)], 1) == []


def test_a_dead_row_beside_a_living_one_is_nothing() -> None:
    assert missing([daemon(0, 2, alive=False), daemon(0, 2), daemon(1, 2)], 2) == []


def test_daemons_counted_from_1_or_with_another_count_are_told() -> None:
    rows = [daemon(0, 4), daemon(4, 4), daemon(1, 2), daemon(3, 3, alive=False)]
    assert counted_otherwise(rows, 4) == ["1/2", "4/4"]


class Rows:
    """A store of which only the daemons are asked; down for the first `down` times."""

    def __init__(self, rows: Sequence[DaemonRow], down: int = 0) -> None:
        self.rows = rows
        self.down = down

    async def daemons(self) -> list[DaemonRow]:
        self.down -= 1
        if self.down >= 0:
            raise StoreError("away")
        return list(self.rows)


def said(rows: Sequence[DaemonRow], shards: int, down: int = 0) -> tuple[list[EventDict], float]:
    async def work(clock: LoopClock) -> float:
        await say_missing(cast(Store, Rows(rows, down)), shards)
        return clock.mono()

    with capture_logs() as logs:
        at = run_virtual(work)
    return list(logs), round(at)


def test_the_missing_are_named_with_the_cure() -> None:
    [line], at = said([daemon(0, 4), daemon(2, 4)], 4)
    assert (line["event"], line["shards"], at) == ("shards.missing", ["1/4", "3/4"], 30)
    assert "--shard 1/4" in line["cure"]


def test_the_complete_are_told_and_a_lone_daemon_says_nothing() -> None:
    [line], _ = said([daemon(0, 2), daemon(1, 2)], 2)
    assert line["event"] == "shards.complete"
    assert said([daemon(0, 1)], 1)[0] == []


def test_a_store_that_is_away_is_asked_again() -> None:
    [line], at = said([daemon(0, 2)], 2, down=2)
    assert (line["shards"], at) == (["1/2"], 90)
