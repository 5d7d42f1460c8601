"""Reactions: what mood a line is in, and which emoji of the chat's set fits it. Pure, on folded words.

A reaction is always one of the chat's allowed emoji; where none fits there is none, never an emoji as a message.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import Final

STANDARD: Final = (
    "👍", "👎", "❤", "🔥", "🥰", "👏", "😁", "🤔", "🤯", "😱", "🤬", "😢", "🎉", "🤩", "🤮", "💩", "🙏", "👌",
    "🕊", "🤡", "🥱", "🥴", "😍", "🐳", "❤‍🔥", "🌚", "🌭", "💯", "🤣", "⚡", "🍌", "🏆", "💔", "🤨", "😐", "🍓",
    "🍾", "💋", "🖕", "😈", "😴", "😭", "🤓", "👻", "👨‍💻", "👀", "🎃", "🙈", "😇", "😨", "🤝", "✍", "🤗", "🫡",
    "🎅", "🎄", "☃", "💅", "🤪", "🗿", "🆒", "💘", "🙉", "🦄", "😘", "💊", "🙊", "😎", "👾", "🤷‍♂", "🤷", "🤷‍♀",
    "😡",
)  # fmt: skip
"""The emoji of ReactionTypeEmoji in the Bot API documentation. 📈 is not among them."""

_FUN: Final = ("haha", "ahah", "ahaha", "sjsj", "jsjs", "😂", "🤣", "😄", ":)")
_THANKS: Final = frozenset({"tesekkur", "tesekkurler", "sagol", "sagolun", "eyvallah"})

_FITTING: Final = {
    "good": ("👍", "👏", "🔥", "❤", "🎉", "💯"),
    "bad": ("😢", "💔", "🙏", "🤔", "😐"),
    "fun": ("😁", "🤣", "🤪", "🙈"),
    "thanks": ("🙏", "❤", "🤝", "🤗", "👍"),
    "question": ("🤔", "👀", "🤨", "✍"),
    "plain": ("👍", "👌", "👀", "🤝", "🤔"),
}


def mood(folded: str, words: Collection[str], feeling: int, *, question: bool) -> str:
    """Which kind of reaction suits a line."""
    if any(sign in folded for sign in _FUN):
        return "fun"
    if any(word in _THANKS for word in words):
        return "thanks"
    if feeling:
        return "good" if feeling > 0 else "bad"
    return "question" if question else "plain"


def choose(kind: str, allowed: Collection[str] | None, rng: random.Random) -> str | None:
    """An allowed emoji for a kind of line; None when the chat allows no fitting one. `None` allows the standard set."""
    permitted: Collection[str] = STANDARD if allowed is None else allowed
    fitting = [emoji for emoji in _FITTING[kind] if emoji in permitted]
    return fitting[int(rng.random() * len(fitting))] if fitting else None
