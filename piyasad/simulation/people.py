"""The members of a simulated day: a script in TOML of who says what and when, and who speaks it.

A script is a list of lines:

    [[say]]
    at = "09:31"              # "HH:MM" or "HH:MM:SS" in the configuration's time zone
    day = 1                   # 1: the day on which the simulation begins (the default), 2: the next …
    who = "Deniz"             # a member's name; whoever is named is in the group
    text = "Dolar ne olur?"
    reply_to = "Ali Hoca"     # a bot or a member: the newest line of theirs is answered (without one: no reply)
    chat = -1001000000001     # only where the configuration has several chats

`simulate --people FILE` reads it. A fault is told with its file, line, entry and what was expected.
"""

from __future__ import annotations

import asyncio
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from piyasad.clock import Clock
from piyasad.config.lines import key_lines
from piyasad.config.problems import ConfigError, Problem
from piyasad.config.settings import Settings
from piyasad.sandbox.methods import TEXT_MOST
from piyasad.sandbox.objects import Group, Line
from piyasad.sandbox.visibility import units
from piyasad.sandbox.world import World

KEYS: Final = ("at", "day", "who", "text", "reply_to", "chat")

_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the script; `at` is Unix time."""

    at: float
    chat: int
    who: str
    text: str
    reply_to: str | None = None


def read(path: Path, settings: Settings, start: float) -> list[Entry]:
    """The script in the order of time.

    Args:
        start: Unix time at which the simulation begins.

    Raises:
        ConfigError: with every fault of the file.
    """
    try:
        text = path.read_bytes().decode().replace("\r\n", "\n")
        data = tomllib.loads(text)
    except OSError as error:
        raise ConfigError([Problem(str(path), None, "", f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(str(path), None, "", "not UTF-8; save the file as UTF-8")]) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([Problem(str(path), None, "", f"broken TOML: {error}")]) from error
    reader = _Reader(str(path), settings, start, key_lines(text))
    entries = reader.read(data)
    if reader.problems:
        raise ConfigError(reader.problems)
    return sorted(entries, key=lambda entry: entry.at)


class _Reader:
    """One script; `problems` fills as it is read."""

    def __init__(self, file: str, settings: Settings, start: float, lines: Mapping[tuple[str | int, ...], int]) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._settings = settings
        self._begins = datetime.fromtimestamp(start, settings.zone)
        self._lines = lines
        self._chats = [chat.id for chat in settings.chats if chat.enabled]
        self._names = {bot.name for bot in settings.bots}

    def read(self, data: Mapping[str, Any]) -> list[Entry]:
        for key in data:
            if key != "say":
                self._wrong((key,), "unknown key; a script is a list of [[say]] tables")
        rows = data.get("say", [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            self._wrong(("say",), "expected [[say]] tables, one for each line that is said")
            return []
        self._names |= {row["who"] for row in rows if isinstance(row.get("who"), str)}
        return [entry for n, row in enumerate(rows) if (entry := self._entry(n, row)) is not None]

    def _entry(self, number: int, row: Mapping[str, Any]) -> Entry | None:
        before = len(self.problems)
        for key in row:
            if key not in KEYS:
                self._wrong(("say", number, key), f"unknown key; known are {', '.join(KEYS)}")
        at = self._at(number, row)
        who = self._text(number, row, "who", 'a member\'s name, "…"')
        text = self._text(number, row, "text", 'what is said, "…"')
        if units(text) > TEXT_MOST:
            self._wrong(("say", number, "text"), f"expected at most {TEXT_MOST} characters, found {units(text)}")
        if any(bot.name == who for bot in self._settings.bots):
            self._wrong(("say", number, "who"), f"expected a member, found a bot: {who}")
        reply_to = self._text(number, row, "reply_to", "a name", needed=False) or None
        if reply_to is not None and reply_to not in self._names:
            known = ", ".join(sorted(self._names))
            self._wrong(("say", number, "reply_to"), f"expected a bot or who speaks here ({known}), found {reply_to!r}")
        chat = self._chat(number, row)
        return Entry(at, chat, who, text, reply_to) if len(self.problems) == before else None

    def _at(self, number: int, row: Mapping[str, Any]) -> float:
        written, day = row.get("at"), row.get("day", 1)
        clock = _CLOCK.fullmatch(written) if isinstance(written, str) else None
        if clock is None:
            self._wrong(("say", number, "at"), f'expected "HH:MM" or "HH:MM:SS", found {written!r}')
        if not isinstance(day, int) or isinstance(day, bool) or day < 1:
            self._wrong(("say", number, "day"), f"expected 1 (the first day) or more, found {day!r}")
        if clock is None or not isinstance(day, int):
            return 0.0
        hour, minute, second = (int(part or 0) for part in clock.groups())
        then = self._begins + timedelta(days=day - 1)
        return then.replace(hour=hour, minute=minute, second=second, microsecond=0).timestamp()

    def _text(self, number: int, row: Mapping[str, Any], key: str, expected: str, *, needed: bool = True) -> str:
        value = row.get(key)
        if value is None and not needed:
            return ""
        if not isinstance(value, str) or not value.strip():
            self._wrong(("say", number, key), f"expected {expected}, found {value!r}")
            return ""
        return value.strip()

    def _chat(self, number: int, row: Mapping[str, Any]) -> int:
        chat = row.get("chat")
        if chat is None and len(self._chats) == 1:
            return self._chats[0]
        if chat not in self._chats:
            known = ", ".join(map(str, self._chats))
            found = "nothing" if chat is None else repr(chat)
            self._wrong(("say", number, "chat"), f"expected one of the enabled chats ({known}), found {found}")
            return 0
        return int(chat)

    def _wrong(self, at: tuple[str | int, ...], message: str) -> None:
        line = next((self._lines[at[:n]] for n in range(len(at), 0, -1) if at[:n] in self._lines), None)
        key = str(at[0]) if len(at) == 1 else f"say[{int(at[1]) + 1}].{at[2]}"  # people count from one
        self.problems.append(Problem(self._file, line, key, message))


class People:
    """Who speaks the script. `on_line` is told of every line."""

    def __init__(self, world: World, names: Mapping[str, int], on_line: Callable[[Line], None]) -> None:
        self._world = world
        self._bots = names
        self._on_line = on_line

    async def run(self, entries: Iterable[Entry], clock: Clock) -> None:
        """Say each line when its time has come. What lies in the past is not said."""
        for entry in entries:
            wait = entry.at - clock.wall()
            if wait >= 0:
                await asyncio.sleep(wait)
                self.say(entry.chat, entry.who, entry.text, entry.reply_to)

    def say(self, chat: int, who: str, text: str, reply_to: str | int | None = None) -> Line:
        """A member says something now; `reply_to`: whose newest line it answers, or which message."""
        group = self._world.groups[chat]
        answered = self._newest(group, reply_to) if isinstance(reply_to, str) else reply_to
        line = self._world.say(group, self._world.person(who), text, answered)
        self._on_line(line)
        return line

    def _newest(self, group: Group, name: str) -> int | None:
        """The newest line of whom the name means."""
        bot = self._bots.get(name)
        for line in reversed(group.lines.values()):
            if line.user == bot if bot is not None else line.author.name == name:
                return line.id
        return None
