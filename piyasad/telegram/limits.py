"""Our own side of Telegram's limits: exact sliding windows per token, so that a 429 is never of our doing.

A slot (`delivery/slot.py`) takes a place right before every send and says when the answer came. Pure; times are
readings of one clock, handed in. A place counts from its taking until the answer moves it there, so a slow way to the
server cannot bring two sends closer together than the window; the margin is for what is under way at the same time.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable
from dataclasses import dataclass, field

SECOND = 1.0
MINUTE = 60.0

ACTION_SHARE = 0.5
"""Chat actions and reactions share the budget at lower rank: they go only while less than that of it is used."""

IDLE_SECONDS = 300.0
"""A token's windows are forgotten when it sent nothing for so long."""

LEDGER_SECONDS = 1.0
"""The ledger knows the claim's time and Telegram's date in whole seconds: the send was up to so much later."""

NEW_TOKENS_PER_MINUTE = 20
"""New tokens that the public API's server admits a minute from one address, about (design)."""

NEVER = float("-inf")


class Window:
    """At most `limit` events in any `seconds`; only those of the last `seconds` are kept."""

    __slots__ = ("_limit", "_seconds", "_times")

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._times: list[float] = []

    def change(self, limit: int, seconds: float) -> None:
        """Another limit. What a longer window would still have to know of the past was kept where it was in force."""
        self._limit, self._seconds = limit, seconds

    def wait(self, now: float) -> float:
        """Seconds until one more may go; 0: now."""
        times = self._times
        if times and times[0] <= now - self._seconds:
            del times[: bisect_right(times, now - self._seconds)]
        return max(0.0, times[-self._limit] + self._seconds - now) if len(times) >= self._limit else 0.0

    def add(self, at: float) -> None:
        """Count an event. Times may come out of order (a refill)."""
        insort(self._times, at)

    def remove(self, at: float) -> bool:
        """Count an event at exactly that time no more; whether there was one."""
        place = bisect_right(self._times, at) - 1
        if place < 0 or self._times[place] != at:
            return False
        del self._times[place]
        return True

    def used(self, now: float) -> int:
        """Events inside the window."""
        return len(self._times) - bisect_right(self._times, now - self._seconds)

    def last(self) -> float:
        """The newest event's time; minus infinity when there is none."""
        return self._times[-1] if self._times else NEVER


@dataclass(slots=True)
class _Chat:
    second: Window
    minute: Window
    paused: float = NEVER


@dataclass(slots=True)
class _Token:
    second: Window
    chats: dict[int, _Chat] = field(default_factory=dict)
    paused: float = NEVER


class SendLimits:
    """The limits of every token of this daemon.

    Around each send: `take`, the send, then `arrived` or `returned` with the time of the taking.

    Args:
        per_second: messages a second of one bot, over all chats (Bot API FAQ: about 30).
        chat_per_second: messages a second of one bot in one chat (Bot API FAQ: 1; short bursts pass, we make none).
        group_per_minute: messages a minute of one bot in one group (Bot API FAQ: 20); kept in every chat.
        margin: seconds added to every window.
    """

    def __init__(self, per_second: int, chat_per_second: int, group_per_minute: int, margin: float) -> None:
        self._per_second = per_second
        self._chat_per_second = chat_per_second
        self._group_per_minute = group_per_minute
        self._margin = margin
        self._tokens: dict[int, _Token] = {}
        self._swept = NEVER

    def change(self, per_second: int, chat_per_second: int, group_per_minute: int, margin: float) -> None:
        """Take other limits; what was sent still counts."""
        self._per_second = per_second
        self._chat_per_second = chat_per_second
        self._group_per_minute = group_per_minute
        self._margin = margin
        for token in self._tokens.values():
            token.second.change(per_second, SECOND + margin)
            for chat in token.chats.values():
                chat.second.change(chat_per_second, SECOND + margin)
                chat.minute.change(group_per_minute, MINUTE + margin)

    def __len__(self) -> int:
        """How many tokens' windows are kept."""
        return len(self._tokens)

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

    def paused(self, bot_id: int, chat_id: int, now: float) -> float:
        """Seconds that a 429 still asks this bot to wait in this chat; 0: none does."""
        token = self._tokens.get(bot_id)
        if token is None:
            return 0.0
        chat = token.chats.get(chat_id)
        return max(0.0, token.paused - now, chat.paused - now if chat is not None else 0.0)

    def take(self, bot_id: int, chat_id: int, now: float) -> float:
        """0 when the send may be made now (and counts from now on), else seconds to wait and ask again."""
        free = self.wait(bot_id, chat_id, now)
        if free > 0:
            return free
        if now - self._swept > IDLE_SECONDS:
            self._sweep(now)
        self._count(bot_id, chat_id, now)
        return 0.0

    def arrived(self, bot_id: int, chat_id: int, taken: float, now: float) -> None:
        """The answer to a send taken at `taken` is here, whatever it says: Telegram counted it before now, so it counts
        from now.
        """
        self._move(bot_id, chat_id, taken, now)

    def returned(self, bot_id: int, chat_id: int, taken: float) -> None:
        """A send taken at `taken` surely never left: its place is free again."""
        self._move(bot_id, chat_id, taken, None)

    def try_action(self, bot_id: int, chat_id: int, now: float) -> bool:
        """Whether a chat action or a reaction may be made now; it then counts. Messages go first."""
        token = self._token(bot_id)
        chat = token.chats.get(chat_id)
        if now < token.paused or (chat is not None and now < chat.paused):
            return False
        if token.second.used(now) >= int(self._per_second * ACTION_SHARE):
            return False
        token.second.wait(now)  # drops what is past
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

    def pauses(self, bot_id: int, now: float) -> int:
        """In how many chats a 429 keeps this bot waiting."""
        token = self._tokens.get(bot_id)
        return sum(chat.paused > now for chat in token.chats.values()) if token is not None else 0

    def restore(self, bot_ids: Iterable[int], sends: Iterable[tuple[int, int, float]]) -> None:
        """After a start or a takeover these bots' windows hold the ledger's sends (bot, chat, time on the clock of the
        other calls) and nothing else; pauses stay.
        """
        for bot_id in bot_ids:
            token = self._tokens.pop(bot_id, None)
            if token is None:
                continue
            self._token(bot_id).paused = token.paused
            for chat_id, chat in token.chats.items():
                if chat.paused > NEVER:
                    self.pause(bot_id, chat_id, chat.paused)
        for bot_id, chat_id, at in sends:
            self._count(bot_id, chat_id, at + LEDGER_SECONDS)

    def move(self, old: int, new: int) -> None:
        """A group became a supergroup: what was sent to it counts under its new id."""
        for token in self._tokens.values():
            chat = token.chats.pop(old, None)
            if chat is not None:
                token.chats.setdefault(new, chat)

    def _sweep(self, now: float) -> None:
        """Forget tokens that were idle for long."""
        self._swept = now
        for bot_id, token in list(self._tokens.items()):
            chats = token.chats.values()
            newest = max(token.second.last(), token.paused, *(max(c.minute.last(), c.paused) for c in chats), NEVER)
            if newest < now - IDLE_SECONDS:
                del self._tokens[bot_id]

    def _move(self, bot_id: int, chat_id: int, taken: float, to: float | None) -> None:
        token = self._tokens.get(bot_id)
        chat = token.chats.get(chat_id) if token is not None else None
        if token is None or chat is None:
            return
        for window in (token.second, chat.second, chat.minute):
            if window.remove(taken) and to is not None:
                window.add(to)

    def _count(self, bot_id: int, chat_id: int, at: float) -> None:
        token = self._token(bot_id)
        token.second.add(at)
        chat = self._chat(token, chat_id)
        chat.second.add(at)
        chat.minute.add(at)

    def _token(self, bot_id: int) -> _Token:
        token = self._tokens.get(bot_id)
        if token is None:
            token = self._tokens[bot_id] = _Token(Window(self._per_second, SECOND + self._margin))
        return token

    def _chat(self, token: _Token, chat_id: int) -> _Chat:
        chat = token.chats.get(chat_id)
        if chat is None:
            second = Window(self._chat_per_second, SECOND + self._margin)
            minute = Window(self._group_per_minute, MINUTE + self._margin)
            chat = token.chats[chat_id] = _Chat(second, minute)
        return chat


class NewTokens:
    """At most so many tokens that a server did not know before, in any minute. For the public API."""

    def __init__(self, per_minute: int = NEW_TOKENS_PER_MINUTE) -> None:
        self._window = Window(per_minute, MINUTE)
        self._known: set[int] = set()

    def admit(self, bot_id: int, now: float) -> float:
        """0 when the bot may call (from then on it always may), else seconds to wait and ask again."""
        if bot_id in self._known:
            return 0.0
        wait = self._window.wait(now)
        if wait <= 0:
            self._window.add(now)
            self._known.add(bot_id)
        return wait

    def forget(self, bot_id: int) -> None:
        """The bot has another token now."""
        self._known.discard(bot_id)
