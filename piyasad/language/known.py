"""Known Turkish words: simplemma's table of forms, by their folded keys. The guard against broken language asks.

The table is read once a process (about two seconds of CPU): whoever starts a daemon calls `turkish` in a thread first.
It keeps fingerprints, not words: five bytes a form; one unknown word in four thousand passes for a known one.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from functools import lru_cache
from itertools import islice
from zlib import crc32

_AT_ONCE = 50_000

# As `text.fold`, on the bytes of the table, whose words hold no other letters: a second faster than word by word.
_FOLDS = tuple((old.encode(), new.encode()) for old, new in zip("ışğçöüâîûİ", "isgcouaiui", strict=True))


class KnownWords:
    """A set of words by their fingerprints."""

    def __init__(self, prints: array[int]) -> None:
        self._prints = prints

    def __len__(self) -> int:
        return len(self._prints)

    def __contains__(self, folded: str) -> bool:
        mark = crc32(folded.encode("utf-8", "replace"))
        at = bisect_left(self._prints, mark)
        return at < len(self._prints) and self._prints[at] == mark


@lru_cache(maxsize=1)  # a memo of a constant
def turkish() -> KnownWords:
    """The forms of Turkish words that simplemma knows."""
    from simplemma.strategies.dictionaries import StreamDictionaryFactory

    table = iter(StreamDictionaryFactory(cache_max_size=1).get_dictionary("tr"))
    prints = array("I")
    while some := "\n".join(islice(table, _AT_ONCE)):
        data = some.lower().encode()
        for old, new in _FOLDS:
            data = data.replace(old, new)
        prints.extend(map(crc32, data.split(b"\n")))
    return KnownWords(array("I", sorted(prints)))
