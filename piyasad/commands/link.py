"""What an operator names on the command line: a message by its link or its id, a member by id, @username or a link.

`forget`, `verify` and `evidence` read their argument with it. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PRIVATE = re.compile(
    r"(?:https?://)?(?:t|telegram)\.(?:me|dog)/c/(\d{1,15})/(?:\d{1,15}/)?(\d{1,15})/?(?:\?\S*)?", re.I
)
_PUBLIC = re.compile(
    r"(?:https?://)?(?:t|telegram)\.(?:me|dog)/(?:s/)?([a-z]\w{2,31})/(?:\d{1,15}/)?(\d{1,15})/?(?:\?\S*)?", re.I | re.A
)
_APP = re.compile(r"tg://privatepost\?(?=\S*\bchannel=(\d{1,15})\b)(?=\S*\bpost=(\d{1,15})\b)\S*", re.I)
_LINKISH = re.compile(r"(?:https?://|tg://|(?:www\.)?(?:t|telegram)\.(?:me|dog)/)", re.I)
_HANDLE = re.compile(r"@?([a-z][a-z0-9_]{3,31})", re.I | re.A)
_PROFILE = re.compile(r"(?:https?://)?(?:t|telegram)\.(?:me|dog)/([a-z][a-z0-9_]{3,31})/?", re.I | re.A)
_ID = re.compile(r"-?\d{1,18}", re.A)


class BadArgument(ValueError):
    """What was named cannot be read. The text says how to name it."""


class Unknown(Exception):
    """What was named is not there. The text says so, and what to give instead."""


@dataclass(frozen=True, slots=True)
class Link:
    """A message's link. `chat_id` is None where it names a public group: Telegram's bots see no names of groups."""

    chat_id: int | None
    telegram_id: int
    group: str = ""


def is_link(text: str) -> bool:
    """Whether a text is meant as a link, a readable one or not."""
    return _LINKISH.match(text.strip()) is not None and len(text.split()) == 1


def parse_link(text: str, chat_id: int | None = None) -> Link:
    """A message's link, of a private group (`t.me/c/…`), a topic, or, with its `chat_id` given, a public group.

    Raises:
        BadArgument: it is none, or its group cannot be known.
    """
    text = text.strip()
    if found := _PRIVATE.fullmatch(text) or _APP.fullmatch(text):
        return Link(int(f"-100{found[1]}"), int(found[2]))
    if (found := _PUBLIC.fullmatch(text)) is None:
        raise BadArgument(f"{text!r} is no link to a message; it looks like https://t.me/c/1234567890/55")
    if chat_id is None:
        raise BadArgument(f"which chat @{found[1]} is cannot be told from its name: give its id, too (--chat -100…)")
    return Link(chat_id, int(found[2]), found[1])


def link_of(chat_id: int, telegram_id: int | None) -> str:
    """The link to a message; empty where there is none (a basic group's)."""
    inner = str(chat_id).removeprefix("-100")
    return f"https://t.me/c/{inner}/{telegram_id}" if telegram_id is not None and inner != str(chat_id) else ""


def parse_message(text: str, chat_id: int | None = None) -> int | Link:
    """A line, by the ledger's id or its link.

    Raises:
        BadArgument: it is neither.
    """
    if is_link(text):
        return parse_link(text, chat_id)
    if not re.fullmatch(r"\d{1,18}", text.strip(), re.A):
        raise BadArgument(f"{text!r} is neither the id of a message nor the link to one")
    return int(text)


def parse_member(text: str, chat_id: int | None = None) -> int | str | Link:
    """A member: their id, their @username (without @), or the link to a line of theirs or to an answer to one.

    Raises:
        BadArgument: it is none of these.
    """
    text = text.strip()
    if found := _PROFILE.fullmatch(text):
        return found[1]
    if is_link(text):
        return parse_link(text, chat_id)
    if _ID.fullmatch(text) and int(text):
        return int(text)
    if found := _HANDLE.fullmatch(text):
        return found[1]
    raise BadArgument(f"{text!r} is no member: give an id, an @username, or the link to a line of theirs")
