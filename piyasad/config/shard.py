"""The name of a shard on the command line. Apart from `shards.py`, so that reading an option imports no store."""

from __future__ import annotations


def parse_shard(text: str) -> tuple[int, int]:
    """Read "i/n" with 1 ≤ i ≤ n.

    Raises:
        ValueError: with a message for the operator.
    """
    head, slash, tail = text.partition("/")
    if not (slash and head.isdecimal() and tail.isdecimal() and 1 <= int(head) <= int(tail)):
        raise ValueError(f'{text!r}: expected "i/n" with 1 ≤ i ≤ n, for example --shard 2/4')
    return int(head), int(tail)
