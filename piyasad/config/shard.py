"""The name of a shard on the command line. Apart from `sharding/`, so that reading an option imports no store."""

from __future__ import annotations


def parse_shard(text: str) -> tuple[int, int]:
    """Read "i/n" with 0 ≤ i < n: which of n identical daemons this is, counted from 0.

    Raises:
        ValueError: with a message for the operator.
    """
    head, slash, tail = text.partition("/")
    if not (slash and head.isdecimal() and tail.isdecimal() and int(tail) > 0):
        raise ValueError(f'{text!r}: expected "i/n" with 0 ≤ i < n, for example --shard 0/4')
    index, count = int(head), int(tail)
    if index >= count:
        last = f"{count - 1}/{count}"
        raise ValueError(f'{text!r}: expected "i/n" with 0 ≤ i < n: of {count} shards the last is --shard {last}')
    return index, count
