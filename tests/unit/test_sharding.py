"""Assignment: rendezvous hashing with bounded loads."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piyasad.config.shard import parse_shard
from piyasad.sharding.assignment import assign

KEYS = st.sets(st.integers(1, 10**10), max_size=300)


@given(KEYS, st.integers(1, 16))
def test_every_shard_has_floor_or_ceiling(keys: set[int], shards: int) -> None:
    owner = assign(keys, shards)
    assert owner.keys() == keys
    loads = Counter(owner.values())
    floor, extras = divmod(len(keys), shards)
    counts = sorted((loads[shard] for shard in range(shards)), reverse=True)
    assert counts == [floor + 1] * extras + [floor] * (shards - extras)


@given(KEYS, st.integers(1, 16))
def test_the_answer_depends_on_the_set_alone(keys: set[int], shards: int) -> None:
    assert assign(sorted(keys), shards) == assign(sorted(keys, reverse=True), shards)


def test_a_new_shard_moves_about_its_share_and_no_more() -> None:
    keys = range(7_000_000_000, 7_000_001_000)
    before, after = assign(keys, 4), assign(keys, 5)
    moved = sum(before[key] != after[key] for key in keys)
    assert 200 <= moved <= 400  # 200 must move; unbounded rendezvous would move just these


@pytest.mark.parametrize("text", ["", "1", "4/4", "5/4", "a/b", "1/0", "0/0", "1/4/2", "-1/4", "²/4"])
def test_a_bad_shard_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(ValueError, match="i/n"):
        parse_shard(text)


def test_shards_are_counted_from_0() -> None:
    assert [parse_shard(f"{index}/4") for index in range(4)] == [(index, 4) for index in range(4)]
    assert parse_shard("0/1") == (0, 1)


def test_one_past_the_last_is_told_the_last() -> None:
    with pytest.raises(ValueError, match=r"0 ≤ i < n.*--shard 3/4"):
        parse_shard("4/4")


def test_the_spare_bot_is_as_likely_one_shard_s_as_another_s() -> None:
    """Of five bots over four shards each shard has one, and any of them the fifth."""
    loads: Counter[int] = Counter()
    for number in range(1000):
        loads.update(assign(range(5 * number, 5 * number + 5), 4).values())
    assert all(1190 <= loads[shard] <= 1310 for shard in range(4)), loads
