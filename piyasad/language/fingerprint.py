"""The fingerprint of a line, by which `verify` knows it again long after the line itself is gone.

The store keeps it with what our bots sent, for years. So it stands alone: it must never change, whatever becomes of the
folding that the rest of the house compares words with.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

# Figures with their sign, words, and what is left of a line without either. Hyphens between figures are no signs.
_SIGNIFICANT = re.compile(r"(?:(?<![\w%])[+-]?%?|%)\d+(?:[.,:]\d+)*%?|[^\W\d_]+")
_SAME = str.maketrans("ı−–‒", "i---")


def fingerprint(text: str) -> bytes:
    """32 bytes, equal for texts of the same words and figures.

    Case, spacing, punctuation, emoji and Unicode's other ways to write a letter do not count; letters, figures and
    their signs do. A line without words or figures counts as it is written.
    """
    return hashlib.sha256(_key(text).encode("utf-8", "replace")).digest()


def _key(text: str) -> str:
    seen = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")
    plain = unicodedata.normalize("NFKC", seen).lower().replace("i\u0307", "i").translate(_SAME)
    return " ".join(_SIGNIFICANT.findall(plain)) or "".join(plain.split())
