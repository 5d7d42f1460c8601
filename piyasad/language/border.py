"""The border: what a text from outside may hold. A text is brought into form once, where it enters.

`providers/http.py` calls it for completions, whoever hears members may call it for their messages. After it a text can
be encoded, holds nothing that is not seen, and canonically equal texts are equal; nobody cleans it again. Pure, and
linear in the length, which is bounded before anything else is looked at.
"""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Final

MOST_MARKS: Final = 3
"""Combining marks on one letter: no writing system that we speak needs more, and piles of them hide what is under."""

_ROUNDS: Final = 4  # of entities in entities; what is still one then stays as it was written

# A literal backslash and what JSON, Python or a model that was trained on them writes after it.
_ESCAPE: Final = re.compile(r"\\{1,4}(?:([nrt])|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([\"'/]))")
_ESCAPED: Final = {"n": "\n", "r": "\n", "t": " "}
_AMPERSANDS: Final = re.compile(r"&(?:(?:amp|AMP|#0{0,6}38|#[xX]0{0,6}26);)+")
_ENTITY: Final = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_BREAK: Final = re.compile(r"<(?:br|/?p|/?div|/?li|/?[uo]l|/?h[1-6])(?:[ /][^<>]{0,100})?>", re.IGNORECASE)
_TAG: Final = re.compile(r"</?(?:b|i|u|s|em|strong|span|small|mark|sub|sup|a)(?: [^<>]{0,300})?>", re.IGNORECASE)
_LINE_END: Final = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_BLANK: Final = re.compile("[\t\u00a0\u1680\u2000-\u200a\u202f\u205f\u2800\u3000\u3164\uffa0\u115f\u1160]")

# Emoji and signs that take a variation selector or are joined into one picture.
_PICTURE: Final = "\u2190-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
_SIGN: Final = "\u00a9\u00ae\u203c\u2049\u2122\u2139"
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f"  # control
    "\u00ad\u034f\u061c\u17b4\u17b5\u180b-\u180f\u200b\u200c\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffc"  # invisible
    "\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidi
    "\ufe00-\ufe0e\U000e0000-\U000e0fff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # selectors, tags, musical
    "\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd\U00013430-\U0001343f"  # signs for figures
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff\ue000-\uf8ff\U000f0000-\U0010ffff]"  # no characters, private ones
    f"|\u200d(?![{_PICTURE}])|(?<![{_PICTURE}\ufe0f])\u200d"
    f"|(?<![{_PICTURE}{_SIGN}0-9#*])\ufe0f|(?<=[0-9#*])\ufe0f(?!\u20e3)"
)
_MARK: Final = "[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
_PILE: Final = re.compile(rf"({_MARK}{{{MOST_MARKS}}}){_MARK}+")

# What ends thinking aloud: of a text that is too long the answer is what comes after it.
_THOUGHT_ENDS: Final = (
    "</think>",
    "</thinking>",
    "</thought>",
    "</reasoning>",
    "[/THINK]",
    "◁/think▷",
    "<|message|>",
    "assistantfinal",
)


def received(text: str, most: int) -> str:
    """A person's text, `most` characters at most: canonical (NFC), nothing in it that is not seen."""
    return _plain(text[:most])


def completed(text: str, most: int) -> tuple[str, bool]:
    """A model's text, and whether it was longer than `most` characters and ends before its end.

    Entities, tags and escapes are resolved, too: a group is shown plain text.
    """
    cut = len(text) > most
    if cut:
        text = _after_thought(text)
        cut = len(text) > most
        text = text[:most]
    if "\\" in text:
        text = _ESCAPE.sub(_unescaped, text)
    if "&" in text:
        text = _without_entities(text)
    if "<" in text:
        text = _TAG.sub("", _BREAK.sub("\n", text))
    return _plain(text), cut


def _plain(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text.strip()
    # halves of a pair that stand side by side are one sign; those alone go
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    text = _UNSEEN.sub("", _BLANK.sub(" ", _LINE_END.sub("\n", text)))
    return unicodedata.normalize("NFC", _PILE.sub(r"\1", text)).strip()


def _after_thought(text: str) -> str:
    ends = [at + len(end) for end in _THOUGHT_ENDS if (at := text.rfind(end)) >= 0]
    return text[max(ends) :].lstrip() if ends else text


def _unescaped(match: re.Match[str]) -> str:
    plain, four, two, sign = match.groups()
    if plain:
        return _ESCAPED[plain]
    return chr(int(four or two, 16)) if four or two else str(sign)


def _without_entities(text: str) -> str:
    for _ in range(_ROUNDS):
        before = text
        text = _ENTITY.sub(_meant, _AMPERSANDS.sub("&", text))
        if text == before:
            break
    return text


def _meant(match: re.Match[str]) -> str:
    sign = html.unescape(match[0])
    return "" if sign == "\ufffd" else sign  # NUL, half a pair, out of range: no character was meant
