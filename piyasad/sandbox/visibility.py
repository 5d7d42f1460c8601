"""Who in a group gets to see a message. Pure; `world.py` asks.

Sources: Bots FAQ ("What messages will my bot get?"), Bot Features ("Privacy mode", "Bot-to-bot communication"). Where
the documentation leaves a choice, it is named here and the stricter reading is the default.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

MEMBERS = frozenset({"member", "administrator"})

_MENTION = re.compile(r"(?<!\w)@([A-Za-z][A-Za-z0-9_]{3,31})\b")
_COMMAND = re.compile(r"(?<![\w/@.:])/([A-Za-z0-9_]{1,64})(?:@([A-Za-z][A-Za-z0-9_]{3,31}))?\b")


class Seer(Protocol):
    """What is asked of a bot."""

    id: int
    username: str
    privacy: bool
    bot_to_bot: bool


@dataclass(frozen=True, slots=True)
class Said:
    """What matters of a message: `answered` is the author of the message it replies to, `last_bot` the bot that spoke
    last in the group."""

    author: int
    by_bot: bool
    text: str
    answered: int | None = None
    last_bot: int | None = None


def hears_all(bot: Seer, status: str) -> bool:
    """Whether it gets every message of people: as administrator, or with privacy mode off."""
    return status == "administrator" or (status == "member" and not bot.privacy)


def hears_bots(bot: Seer, status: str, *, either: bool = False) -> bool:
    """Whether it gets other bots' messages. The documentation names administrator rights and privacy mode off without
    saying whether one is enough: both are asked for, unless `either`."""
    if not bot.bot_to_bot or status not in MEMBERS:
        return False
    rights, open_ears = status == "administrator", not bot.privacy
    return (rights or open_ears) if either else (rights and open_ears)


def readers(said: Said, members: Mapping[int, str], bots: Mapping[int, Seer], *, either: bool = False) -> list[int]:
    """The bots that get an update for this message, in the order of the members. Never its author."""
    meant: set[int] | None = None
    found: list[int] = []
    for bot_id, status in members.items():
        bot = bots.get(bot_id)
        if bot is None or bot_id == said.author or status not in MEMBERS:
            continue
        if said.by_bot:
            if hears_bots(bot, status, either=either):
                found.append(bot_id)
            continue
        if not hears_all(bot, status):
            if meant is None:
                meant = _meant(said, (bots[each] for each in members if each in bots))
            if bot_id not in meant:
                continue
        found.append(bot_id)
    return found


def _meant(said: Said, bots: Iterable[Seer]) -> set[int]:
    """The bots that a person's message is for although they keep privacy mode.

    A reply goes to the answered bot and to no other ("each particular message can only be available to one
    privacy-enabled bot at a time […] replies have the highest priority"); then commands: `/do@this_bot` to that bot,
    `/do` to the bot that spoke last; then mentions by username, which the FAQ does not list and the servers deliver.
    """
    names = {bot.username.lower(): bot.id for bot in bots}
    if said.answered is not None and said.answered in names.values():
        return {said.answered}
    for _, handle in _COMMAND.findall(said.text):
        if not handle:
            return {said.last_bot} if said.last_bot is not None else set()
        if handle.lower() in names:
            return {names[handle.lower()]}
    return {names[name.lower()] for name in _MENTION.findall(said.text) if name.lower() in names}


def entities(text: str) -> list[dict[str, Any]]:
    """The MessageEntity objects of mentions and commands; offsets count UTF-16 units, as Telegram's do."""
    if "@" not in text and "/" not in text:
        return []
    found = [("mention", match) for match in _MENTION.finditer(text)]
    commands = [("bot_command", match) for match in _COMMAND.finditer(text)]
    inside = [match.span() for _, match in commands]
    found = [(kind, m) for kind, m in found if not any(a <= m.start() < b for a, b in inside)] + commands
    return [
        {"type": kind, "offset": units(text[: match.start()]), "length": units(match.group())}
        for kind, match in sorted(found, key=lambda each: each[1].start())
    ]


def units(text: str) -> int:
    """Length in UTF-16 code units: what Telegram counts."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
