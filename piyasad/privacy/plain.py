"""Text as the masker reads it: canonical letters, plain digits, nothing invisible; and its folded twin of equal length.

Only the other files of this folder call it. What it returns goes to a model, never into a group.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_UNSEEN: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u20d0-\u20ff\u3164\ufe00-\ufe0f\ufeff\uffa0]"
)
_STRANGE: Final = re.compile(
    "[^\u0000-\u024f\u2010-\u203a\u20a0-\u20bf\u2190-\u2bff\ud800-\udfff\U0001f000-\U0001faff]"
)
"""Letters and digits beyond Latin ones; emoji, arrows and the usual signs are not among them."""

_FOLDS: Final = tuple(zip("ışğçöüâîûêôáéíóúàèìòùäëïÿñå’‘ʼ´`", "isgcouaiueoaeiouaeiouaeiyna'''''", strict=True))


def plain(text: str) -> str:
    """The text in composed form, digits of any script as 0–9, letters of other widths as usual ones, nothing invisible.

    Most lines come back as they are, the same object.
    """
    if text.isascii():
        return text
    if _UNSEEN.search(text):
        text = _UNSEEN.sub("", text)
    text = unicodedata.normalize("NFC", text).replace("i\u0307", "i")  # what other programs' lower case leaves of İ
    return _STRANGE.sub(_usual, text) if _STRANGE.search(text) else text


def _usual(match: re.Match[str]) -> str:
    sign = match[0]
    if sign.isdigit():
        return str(unicodedata.digit(sign))
    return unicodedata.normalize("NFKC", sign) if sign.isalpha() else sign


def folded(text: str) -> str:
    """Lower case with Turkish letters as ASCII ones, each sign in its place: offsets hold in both."""
    low = text.replace("İ", "i").lower()
    if low.isascii():
        return low
    for old, new in _FOLDS:
        low = low.replace(old, new)
    return low
