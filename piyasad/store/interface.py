"""What every store offers. The daemon's upper floors know this interface and nothing of SQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from piyasad.model import (
    BotRow,
    ChatRow,
    Claim,
    DaemonRow,
    Draft,
    Grant,
    Lease,
    Lesson,
    Message,
    Received,
    Said,
    State,
    Stimulus,
    StimulusKey,
    TurnTrace,
    Usage,
)
from piyasad.store.people import People

ANSWERS_SHORT, SHORT_SECONDS = 6, 600.0
"""A member gets so many answers in ten minutes (behaviour 2.1) …"""

ANSWERS_DAY = 40
"""… and so many a day, then one polite line, then silence."""

TRIES_MOST = 3
"""A stimulus is taken so often at most: what failed three times is not tried for ever."""

NOTICE_SECONDS = 60.0
"""A claimed notice that is not known to be posted after so long is posted by another (two are allowed, behaviour 5)."""

NOTICE_AGAIN_SECONDS = 600.0
"""A renewal that failed is tried again after so long (behaviour 5)."""

WITNESS_BEFORE_SECONDS = 180.0
"""A message seen may have been claimed that long before Telegram's date: waiting, retries and a slow request …"""

WITNESS_AFTER_SECONDS = 5.0
"""… or after it, when the clocks of Telegram and the store differ."""

LATE_SECONDS = 600.0
"""A row is sent at most so long after its claim: how far `said` looks back for rows that were sent late."""


class StoreError(Exception):
    """The store could not do it: the connection is down or the database refused. The text is safe to show."""


class Store(People, Protocol):
    """Durable state, as one daemon sees it. Every method may raise `StoreError`. What is about people: `people.py`.

    A call ends within a bounded time, and a cancelled one with `CancelledError`, also while the server hangs.
    """

    async def close(self) -> None:
        """Flush the writer and close connections."""
        ...

    # --- daemons and leases
    async def enter(self, daemon: DaemonRow, ttl: float) -> None:
        """Insert this process's daemon row; its lease runs `ttl` seconds by the store's clock."""
        ...

    async def beat(self, daemon_id: str, ttl: float) -> bool:
        """Prolong the lease. False when it had already run out (others may own our bots now)."""
        ...

    async def report(self, daemon_id: str, report: Mapping[str, Any]) -> None:
        """Keep what this daemon says of itself, for `status`: plain JSON."""
        ...

    async def leave(self, daemon_id: str, summary: str) -> None:
        """Free every bot of this daemon, end its lease, keep the drain summary."""
        ...

    async def free_in(self, bot_ids: Collection[int]) -> float | None:
        """Seconds until the first lease of another daemon that holds one of these bots ends; None when none does.

        0 when one has ended already: `take` gets that bot. "Another" is whoever did not `enter` here. A standby sleeps
        until then instead of looking every second.
        """
        ...

    async def expire_others(self, daemon_id: str) -> None:
        """End every other daemon's lease at once. Only for a store that is ours alone (embedded, locked)."""
        ...

    async def take(self, daemon_id: str, bots: Sequence[tuple[int, str, str]]) -> list[Lease]:
        """Take the bots (id, name, username) that nobody owns or whose owner's lease has ended.

        Each taken bot's fence grows by one, its `sending` rows of older fences become `uncertain` and their stimuli
        `answered`, in one transaction. Bots owned by a living daemon (this one included) are left out of the answer.
        """
        ...

    async def free(self, daemon_id: str, bot_ids: Collection[int]) -> None:
        """Give bots up (they are ours only if `owner` is still this daemon)."""
        ...

    async def bots(self) -> list[BotRow]:
        """All bots known, by id."""
        ...

    async def daemons(self) -> list[DaemonRow]:
        """Daemons seen in the last day, newest first."""
        ...

    async def set_bot_state(self, bot_id: int, state: str, reason: str) -> None:
        """`active`, `parked`, …, with the reason shown to the operator."""
        ...

    async def set_disclosed(self, bot_id: int, at: float) -> None:
        """The bot's profile was marked as a bot's at that time."""
        ...

    async def set_offset(self, bot_id: int, fence: int, offset: int) -> None:
        """The bot's next `getUpdates` offset; ignored when the fence is old."""
        ...

    # --- chats
    async def chats(self) -> list[ChatRow]:
        """All chats known."""
        ...

    async def ensure_chats(self, chat_ids: Collection[int]) -> None:
        """Insert rows for chats not known yet."""
        ...

    async def set_ear(self, chat_id: int, old: int | None, new: int | None) -> bool:
        """Compare and set the chat's ear; False when somebody was faster."""
        ...

    async def claim_notice(self, chat_id: int, now: float, older_than: float) -> bool:
        """Set `notice_at` to `now` if a notice is due; True for the one who may post it.

        Due: never claimed; claimed before `older_than` (a renewal); or claimed over `NOTICE_SECONDS` ago and none is
        known to be posted yet. The settlement of a `Kind.NOTICE` row as `sent` sets `notice_message_id`, in its own
        transaction; as `failed` it sets `notice_at` back to null where none was ever posted, else to
        `NOTICE_AGAIN_SECONDS` before the renewal is due again.
        """
        ...

    async def rekey_chat(self, old: int, new: int) -> None:
        """A group became a supergroup: move its row's settings to the new id. Its messages and stimuli keep the old."""
        ...

    # --- the ledger
    async def claim(self, draft: Draft) -> Claim | None:
        """Insert a `sending` row, durably, if `draft.fence` is still the bot's; None when it is not.

        With `draft.stimulus` the row is refused, too, unless that stimulus is taken by this bot under this fence and
        no other row is on its way to answer it: so nobody is answered twice. Where an earlier row of this bot for it
        failed and nobody took it since, the claim takes it again, if the member's budget still grants the same.
        """
        ...

    async def settle(
        self, claim: Claim, state: State, *, telegram_id: int | None = None, at: float | None = None, reason: str = ""
    ) -> None:
        """End a claim: `sent` (with id and time), `failed` or `uncertain`. Durable when it returns.

        In the same transaction the stimulus of the draft becomes `answered` (`sent`, `uncertain`) or `open` again
        (`failed`), and a notice becomes known to be posted. Only a row that is `sending` or `uncertain` moves: a second
        settlement changes nothing, but for proof about an uncertain one. `sent` without Telegram's id is an error, and
        the row then is `uncertain`.
        """
        ...

    async def receive(self, rows: Sequence[Received]) -> list[Message | None]:
        """Store members' messages and, in the same statement, an `open` stimulus for each of `to`; None in the place
        of each message that was there already.
        """
        ...

    async def edit(self, chat_id: int, telegram_id: int, text: str) -> None:
        """A member edited a message: keep the new text."""
        ...

    async def witness(
        self, bot_id: int, chat_id: int, telegram_id: int, text: str, reply_to: int | None, at: float
    ) -> bool:
        """Another bot saw our bot's message: settle its `sending` or `uncertain` row as `sent`. True if one was.

        `at` is Telegram's date; the row nearest to it is meant, within `WITNESS_BEFORE_SECONDS` and
        `WITNESS_AFTER_SECONDS` of its claim. A message that the ledger knows settles no second row.
        """
        ...

    async def recent(self, chat_id: int, limit: int) -> list[Message]:
        """The last messages of a chat (received or sent, by when they were received or claimed), oldest first."""
        ...

    async def tail(self, chat_ids: Collection[int], after: float, limit: int = 1000) -> list[Message]:
        """Messages received or settled `sent` at or after a store time, oldest first; the newest `limit` of them.

        A commit may show up a moment after its own time: ask from a few seconds before the last `now()` and drop
        what is known already.
        """
        ...

    async def now(self) -> float:
        """The store's own clock, Unix seconds."""
        ...

    async def said(self, bot_ids: Collection[int], since: float) -> list[Said]:
        """What these bots said or may have said since then, in all chats, oldest first; `at` is the later one of its
        claim and Telegram's date.
        """
        ...

    # --- stimuli: open → taken → answered | dropped; open → merged. `receive` and `settle` move them, too.
    async def merge_stimuli(self, keys: Collection[StimulusKey]) -> None:
        """A run went on: these open stimuli of its earlier messages are part of a later one."""
        ...

    async def take_stimulus(self, key: StimulusKey, bot_id: int, *, counts: bool) -> Grant:
        """Take an open stimulus for a bot that we hold (`GONE` when we do not); nobody else gets it until it is given
        back.

        `counts`: it counts for the member's budget (`ANSWERS_SHORT` in `SHORT_SECONDS`, `ANSWERS_DAY` in `DAY`, over
        all chats and shards; stimuli that are taken now or were answered count, what was given back does not). Then
        one `POLITE`, then `SILENCE`, which drops it with the reason `budget`. A taken one whose taker's lease or
        fence has ended is open, unless a row that answers it is `sending`, `sent` or `uncertain`. After `TRIES_MOST`
        takes it is dropped with the reason `failed` and `GONE` is the answer. What this bot has taken and nothing is on
        its way for, it may take again: so a take whose answer was lost with the connection is simply repeated.
        """
        ...

    async def answers_free_at(self, user_id: int) -> float:
        """When the member's budget gives the next answer, as it stands (a store time); the past when it does now."""
        ...

    async def close_stimulus(self, key: StimulusKey, state: str, reason: str = "") -> None:
        """`dropped` with its reason, or `open` to give it back.

        Only what is open, or was taken by one of our bots, or by one whose lease or fence has ended since.
        Nothing happens where a row is on its way to answer it: that row's settlement decides.
        """
        ...

    async def open_stimuli(self, bot_ids: Collection[int], chat_ids: Collection[int], since: float) -> list[Stimulus]:
        """What waits since then (the store's time of storing) for one of these bots, or for anybody in these chats.

        With its message as it reads now, and only while that is kept.

        Taken ones whose taker is gone count as open (see `take_stimulus`). Oldest first.
        """
        ...

    # --- traces and figures
    def record_turns(self, traces: Sequence[TurnTrace]) -> None:
        """Write traces; grouped and a moment late, never waited for."""
        ...

    def add_usage(self, rows: Sequence[Usage]) -> None:
        """Add to the hour's figures; written soon, never waited for."""
        ...

    async def usage(self, since: float) -> list[Usage]:
        """Figures by provider, key, model and hour since then."""
        ...

    def learn(self, lessons: Sequence[Lesson]) -> None:
        """Keep what providers taught, in place of what was known of the same; written soon, never waited for."""
        ...

    async def lessons(self, since: float) -> list[Lesson]:
        """What was learned since then."""
        ...

    async def uncertain(self) -> int:
        """How many rows are `uncertain` now. Cheap: an index holds just these."""
        ...

    async def counts(self, since: float) -> Mapping[str, int]:
        """Messages by state since then. It counts rows: for `status`, not for every second."""
        ...

    async def outcomes(self, since: float) -> list[tuple[int, str, str, int]]:
        """(bot, intent, outcome, number) of the turns since then; a trace whose detail has `times` is so many."""
        ...

    async def last(self, limit: int) -> list[Message]:
        """The messages of all chats that were received or settled `sent` last, newest first."""
        ...

    async def maintain(self, now: float, retention_days: int) -> None:
        """Make the partitions of the coming days and drop those older than the retention."""
        ...
