"""Telegram's limits as the sandbox holds them: exact sliding windows per token. Pure: the time is given.

`methods.py` asks before it takes a message. The windows are the strictest reading of what Telegram documents, so a
client that passes here passes there. This is the outside world's own arithmetic: it shares nothing with the daemon's.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, fields

PER_SECOND = 30
"""Messages a second of one bot (Bots FAQ, core.telegram.org/bots/faq, "My bot is hitting limits": about 30)."""

CHAT_PER_SECOND = 1
"""Messages a second in one chat (the same answer: avoid more than one; "short bursts" may pass: `chat_burst`)."""

GROUP_PER_MINUTE = 20
"""Messages a minute in one group (the same answer: not more than 20)."""

NEW_TOKENS_PER_MINUTE = 20
"""Tokens that one address may bring up in a minute (tdlib/telegram-bot-api, ClientManager.cpp, ClientManager::send:
`flood_control.add_limit(60, 20)`). The server does not count its own network; the sandbox counts when told to."""

OPEN = 10**6
"""A limit from here on is none; nothing is kept for it."""

VIOLATIONS_KEPT = 10_000


@dataclass(slots=True)
class Limits:
    """What one token may do. Changed while the server runs; a bench opens a limit by making it very large.

    `chat_burst` messages more than `chat_per_second` pass in a chat's second. `new_tokens_per_minute` 0 counts none.
    `hasty_polls`: a poll that asks for the same again at once is slowed down, as `polls.py` says.
    """

    per_second: float = PER_SECOND
    chat_per_second: float = CHAT_PER_SECOND
    chat_burst: float = 0
    group_per_minute: float = GROUP_PER_MINUTE
    new_tokens_per_minute: float = 0
    hasty_polls: float = 1

    def change(self, values: Mapping[str, object]) -> None:
        """Set limits by name, all or none.

        Raises:
            ValueError: an unknown name, or a value that is no number of 0 or more.
        """
        known = {field.name for field in fields(self)}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"no such limit: {name}; there are {', '.join(sorted(known))}")
            if not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise ValueError(f"{name}: a number of 0 or more is expected")
        for name, value in values.items():
            setattr(self, name, value)


@dataclass(frozen=True, slots=True)
class Excess:
    """A message too many: which limit, and how many seconds until it would pass."""

    limit: str
    wait: float


class Window:
    """Times of what was let through, as far back as `seconds`."""

    __slots__ = ("_times", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._times: deque[float] = deque()

    def wait(self, limit: float, now: float) -> float:
        """Seconds until one more makes no more than `limit` in any window; 0: it passes now."""
        times = self._times
        while times and now - times[0] >= self.seconds:
            times.popleft()
        room = int(limit)
        if len(times) < room:
            return 0.0
        # the newest of those that must have left the window; with no room at all there is none to wait for
        return times[len(times) - room] + self.seconds - now if room else self.seconds

    def add(self, now: float) -> None:
        """One was let through."""
        self._times.append(now)


class Traffic:
    """What each token sent lately."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._windows: dict[tuple[int, ...], Window] = {}
        self._known: set[str] = set()
        self._newcomers = Window(60.0)

    def admit(self, bot: int, chat: int, *, group: bool, now: float) -> Excess | None:
        """Count a message of `bot` in `chat`, or say which limit it breaks; what is refused is not counted."""
        limits = self.limits
        checks = [
            ("per_second", limits.per_second, (bot,), 1.0),
            ("chat_per_second", limits.chat_per_second + limits.chat_burst, (bot, chat), 1.0),
        ]
        if group:
            checks.append(("group_per_minute", limits.group_per_minute, (bot, chat, 60), 60.0))
        windows: list[Window] = []
        worst: Excess | None = None
        for name, limit, key, seconds in checks:
            if limit >= OPEN:
                continue
            window = self._windows.get(key)
            if window is None:
                window = self._windows[key] = Window(seconds)
            windows.append(window)
            wait = window.wait(limit, now)
            if wait > 0 and (worst is None or wait > worst.wait):
                worst = Excess(name, wait)
        if worst is None:
            for window in windows:
                window.add(now)
        return worst

    def greet(self, token: str, now: float) -> Excess | None:
        """Count a token that is used for the first time, or say how long it has to wait."""
        limit = self.limits.new_tokens_per_minute
        if not limit or token in self._known:
            return None
        wait = self._newcomers.wait(limit, now)
        if wait > 0:
            return Excess("new_tokens_per_minute", wait)
        self._newcomers.add(now)
        self._known.add(token)
        return None
