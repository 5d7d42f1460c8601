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
    Lease,
    Message,
    Received,
    State,
    Stimulus,
    TurnTrace,
    Usage,
)


class StoreError(Exception):
    """The store could not do it: the connection is down or the database refused. The text is safe to show."""


class Store(Protocol):
    """Durable state. Every method may raise `StoreError`."""

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

    async def expire_others(self, daemon_id: str) -> None:
        """End every other daemon's lease at once. Only for a store that is ours alone (embedded, locked)."""
        ...

    async def take(self, daemon_id: str, bots: Sequence[tuple[int, str, str]]) -> list[Lease]:
        """Take the bots (id, name, username) that nobody owns or whose owner's lease has ended.

        Each taken bot's fence grows by one and its `sending` rows of older fences become `uncertain`,
        in one transaction. Bots owned by a living daemon (this one included) are left out of the answer.
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
        """Set `notice_at` to `now` if it is null or before `older_than`; True for the one who may post the notice."""
        ...

    async def release_notice(self, chat_id: int, at: float) -> None:
        """The notice claimed at `at` was not delivered: the next one may try."""
        ...

    async def rekey_chat(self, old: int, new: int) -> None:
        """A group became a supergroup: move its rows' settings to the new id."""
        ...

    # --- the ledger
    async def claim(self, draft: Draft) -> Claim | None:
        """Insert a `sending` row, durably, if `draft.fence` is still the bot's; None when it is not."""
        ...

    async def settle(
        self, claim: Claim, state: State, *, telegram_id: int | None = None, at: float | None = None, reason: str = ""
    ) -> None:
        """End a claim: `sent` (with id and time), `failed` or `uncertain`. Durable when it returns."""
        ...

    async def receive(self, rows: Sequence[Received]) -> list[Message | None]:
        """Store members' messages; None in the place of each that was there already."""
        ...

    async def edit(self, chat_id: int, telegram_id: int, text: str) -> None:
        """A member edited a message: keep the new text."""
        ...

    async def witness(
        self, bot_id: int, chat_id: int, telegram_id: int, text: str, reply_to: int | None, at: float
    ) -> bool:
        """Another bot saw our bot's message: settle its `sending` or `uncertain` row as `sent`. True if one was."""
        ...

    async def recent(self, chat_id: int, limit: int) -> list[Message]:
        """The last messages of a chat (received or sent), oldest first."""
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

    async def sends(self, bot_ids: Collection[int], since: float) -> list[tuple[int, int, str, float]]:
        """(bot, chat, kind, time) of every send that was or may have been made since then, oldest first."""
        ...

    async def answers(self, bot_ids: Collection[int], since: float, polite: str) -> list[tuple[int, float, bool]]:
        """(member, time, whether it was the `polite` text) of every answer to a member since then."""
        ...

    # --- stimuli
    async def open_stimulus(self, chat_id: int, telegram_id: int, slot: int, message_id: int, at: float) -> bool:
        """Note that a message wants an answer from `slot` (a bot id, or 0: anybody). False when it was noted before."""
        ...

    async def take_stimulus(self, chat_id: int, telegram_id: int, slot: int, bot_id: int) -> bool:
        """Claim it for a bot. Exactly one caller ever gets True, until it is given back."""
        ...

    async def close_stimulus(self, chat_id: int, telegram_id: int, slot: int, state: str) -> None:
        """`answered`, `dropped`, or `open` to give it back.

        Works on what is open or was taken through this store; what another daemon took over meanwhile is its own.
        """
        ...

    async def open_stimuli(self, bot_ids: Collection[int], since: float) -> list[Stimulus]:
        """Unanswered ones for these bots (slot 0 included); taken ones of a dead fence count as open."""
        ...

    # --- traces and figures
    async def record_turns(self, traces: Sequence[TurnTrace]) -> None:
        """Write traces; may be grouped and late, never blocks a turn."""
        ...

    async def add_usage(self, rows: Sequence[Usage]) -> None:
        """Add to the hour's figures."""
        ...

    async def usage(self, since: float) -> list[Usage]:
        """Figures by provider, key, model and hour since then."""
        ...

    async def counts(self, since: float) -> Mapping[str, int]:
        """Messages by state since then."""
        ...

    async def maintain(self, now: float, retention_days: int) -> None:
        """Make the partitions of the coming days and drop those older than the retention."""
        ...
