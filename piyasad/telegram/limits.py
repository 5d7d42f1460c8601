"""Our own side of Telegram's limits: exact sliding windows per token, so that a 429 is never of our doing.

`delivery.py` takes a place right before every send. Pure; times are readings of one clock, handed in. The windows keep
the last L send times of each limit and are lengthened by a margin for the way to the server.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

SECOND = 1.0
MINUTE = 60.0

ACTION_SHARE = 0.5
"""Chat actions and reactions share the budget at lower rank: they go only while less than that of it is used."""

IDLE_SECONDS = 300.0
"""A token's windows are forgotten when it sent nothing for so long."""


class Window:
    """At most `limit` events in any `seconds`; only the last `limit` times are kept."""

    __slots__ = ("_seconds", "_times")

    def __init__(self, limit: int, seconds: float) -> None:
        self._seconds = seconds
        self._times: deque[float] = deque(maxlen=limit)

    def wait(self, now: float) -> float:
        """Seconds until one more may go; 0: now."""
        if len(self._times) < (self._times.maxlen or 0):
            return 0.0
        return max(0.0, self._times[0] + self._seconds - now)

    def add(self, at: float) -> None:
        """Count an event. Times may come out of order (a refill); the window stays sorted."""
        if self._times and at < self._times[-1]:
            kept = sorted([*self._times, at])[-(self._times.maxlen or 0) :]
            self._times.clear()
            self._times.extend(kept)
        else:
            self._times.append(at)

    def used(self, now: float) -> int:
        """Events inside the window."""
        return sum(1 for at in self._times if at > now - self._seconds)

    def last(self) -> float:
        """The newest event's time; minus infinity when there is none."""
        return self._times[-1] if self._times else float("-inf")


@dataclass(slots=True)
class _Chat:
    second: Window
    minute: Window
    paused: float = float("-inf")


@dataclass(slots=True)
class _Token:
    second: Window
    chats: dict[int, _Chat] = field(default_factory=dict)
    paused: float = float("-inf")


class SendLimits:
    """The limits of every token of this daemon.

    Args:
        per_second: messages a second of one bot, over all chats (Bot API FAQ: about 30).
        chat_per_second: messages a second of one bot in one chat (Bot API FAQ: 1; short bursts pass, we make none).
        group_per_minute: messages a minute of one bot in one group (Bot API FAQ: 20).
        margin: seconds added to every window.
    """

    def __init__(self, per_second: int, chat_per_second: int, group_per_minute: int, margin: float) -> None:
        self._per_second = per_second
        self._chat_per_second = chat_per_second
        self._group_per_minute = group_per_minute
        self._margin = margin
        self._tokens: dict[int, _Token] = {}

    def wait(self, bot_id: int, chat_id: int, now: float) -> float:
        """Seconds until this bot may send to this chat; 0: now."""
        token = self._tokens.get(bot_id)
        if token is None:
            return 0.0
        chat = token.chats.get(chat_id)
        free = max(token.second.wait(now), token.paused - now, 0.0)
        if chat is not None:
            free = max(free, chat.second.wait(now), chat.minute.wait(now), chat.paused - now)
        return free

    def take(self, bot_id: int, chat_id: int, now: float) -> float:
        """0 when the send may be made now (and counts from now on), else seconds to wait and ask again."""
        free = self.wait(bot_id, chat_id, now)
        if free > 0:
            return free
        self._count(bot_id, chat_id, now)
        return 0.0

    def try_action(self, bot_id: int, chat_id: int, now: float) -> bool:
        """Whether a chat action or a reaction may be made now; it then counts. Never delays a message."""
        token = self._token(bot_id)
        chat = token.chats.get(chat_id)
        if now < token.paused or (chat is not None and now < chat.paused):
            return False
        if token.second.used(now) >= max(1, int(self._per_second * ACTION_SHARE)):
            return False
        token.second.add(now)
        return True

    def pause(self, bot_id: int, chat_id: int | None, until: float) -> None:
        """A 429 came: stop what it is about, that bot in that chat, or (chat None) that bot."""
        token = self._token(bot_id)
        if chat_id is None:
            token.paused = max(token.paused, until)
        else:
            chat = self._chat(token, chat_id)
            chat.paused = max(chat.paused, until)

    def restore(self, sends: Iterable[tuple[int, int, float]]) -> None:
        """Count the ledger's sends (bot, chat, time on the clock of the other calls) after a start or a takeover."""
        for bot_id, chat_id, at in sends:
            self._count(bot_id, chat_id, at)

    def forget(self, now: float) -> None:
        """Drop windows of tokens that were idle for long."""
        for bot_id, token in list(self._tokens.items()):
            newest = max((chat.second.last() for chat in token.chats.values()), default=token.second.last())
            paused = max((chat.paused for chat in token.chats.values()), default=float("-inf"))
            if newest < now - IDLE_SECONDS and max(paused, token.paused) < now:
                del self._tokens[bot_id]

    def _count(self, bot_id: int, chat_id: int, at: float) -> None:
        token = self._token(bot_id)
        token.second.add(at)
        chat = self._chat(token, chat_id)
        chat.second.add(at)
        chat.minute.add(at)

    def _token(self, bot_id: int) -> _Token:
        token = self._tokens.get(bot_id)
        if token is None:
            token = self._tokens[bot_id] = _Token(Window(self._kept(self._per_second), SECOND + self._margin))
        return token

    def _chat(self, token: _Token, chat_id: int) -> _Chat:
        chat = token.chats.get(chat_id)
        if chat is None:
            second = Window(self._kept(self._chat_per_second), SECOND + self._margin)
            minute = Window(self._kept(self._group_per_minute), MINUTE + self._margin)
            chat = token.chats[chat_id] = _Chat(second, minute)
        return chat

    def _kept(self, limit: int) -> int:
        # a limit opened for a bench is no ring of 10^12 places
        return min(limit, 100_000)
