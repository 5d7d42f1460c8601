"""What a store offers about people and about what outlives its ledger: forgetting, opting out, who said what.

A part of `Store` (`interface.py`). The chat's privacy commands and the commands `forget`, `verify` and `evidence` call
it; nothing of a turn does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from piyasad.model import Message, TurnTrace

FORGOTTEN_SECONDS = 86_400.0
"""So long the store remembers that it forgot somebody: by then no daemon holds anything of theirs in memory."""


@dataclass(frozen=True, slots=True)
class Saying:
    """A line that a bot of ours sent, as it is kept beyond the ledger. `bot` and `username` are its latest names.

    `hash` is its fingerprint as it was sent.
    """

    message_id: int
    bot_id: int
    bot: str
    username: str
    chat_id: int
    telegram_id: int | None
    at: float
    hash: bytes


@dataclass(frozen=True, slots=True)
class Held:
    """What is held on a member, for themselves to see.

    Attributes:
        names, handles: under which they wrote, newest first.
        messages: how many lines of theirs are kept; `first` and `last` say from when to when.
        newest: the last of them, newest first.
        memories: what bots remember of them, newest first.
        stimuli: how many notes there are that a line of theirs wants, or wanted, an answer.
    """

    user_id: int
    names: tuple[str, ...] = ()
    handles: tuple[str, ...] = ()
    messages: int = 0
    first: float | None = None
    last: float | None = None
    newest: tuple[Message, ...] = ()
    memories: tuple[str, ...] = ()
    stimuli: int = 0
    opted_out: bool = False

    @property
    def anything(self) -> bool:
        """Whether there are rows of theirs."""
        return bool(self.messages or self.memories or self.stimuli)


@dataclass(frozen=True, slots=True)
class Erased:
    """What became of forgetting: rows deleted and rows in which something was replaced, by table."""

    deleted: Mapping[str, int] = field(default_factory=dict)
    rewritten: Mapping[str, int] = field(default_factory=dict)

    @property
    def anything(self) -> bool:
        """Whether there was something of theirs."""
        return any(self.deleted.values()) or any(self.rewritten.values())


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything the ledger knows about one line, unmasked.

    Attributes:
        sent_at: when Telegram had it; None for a line that is not known to have arrived.
        handle: the @username of the member who wrote it.
        turn: the trace of the turn that wrote it, while that is kept.
        target: the line that it answers.
        notice: the newest notice in its chat that was posted before it.
        said: what is kept of it beyond the ledger.
        people: the names and handles under which members wrote in its chat, with their ids, oldest first.
    """

    message: Message
    state: str
    reason: str
    claimed_at: float
    sent_at: float | None
    handle: str = ""
    turn: TurnTrace | None = None
    target: Message | None = None
    notice: Message | None = None
    said: Saying | None = None
    people: tuple[tuple[int, str, str], ...] = ()


def id_in_texts(user_id: int | None, chats: Collection[int]) -> int | None:
    """The id to look for in texts, of who wrote in these chats: none where a group wrote as itself."""
    return None if user_id is not None and user_id < 0 and user_id in chats else user_id


class People(Protocol):
    """The part of `Store` about people. Every method may raise `StoreError`."""

    # --- what our bots said, beyond the retention
    async def sayings(self, fingerprint: bytes, limit: int = 100) -> list[Saying]:
        """The lines with this fingerprint (`language/fingerprint.py`) that our bots sent, newest first."""
        ...

    async def saying_at(self, chat_id: int, telegram_id: int) -> Saying | None:
        """The line of ours that is this message of Telegram's."""
        ...

    async def saying(self, message_id: int) -> Saying | None:
        """The line of ours with this id in the ledger."""
        ...

    async def evidence(self, message_id: int) -> Evidence | None:
        """Everything about one line of the ledger, a member's or a bot's; None when it is not kept (any longer)."""
        ...

    async def message_at(self, chat_id: int, telegram_id: int) -> Message | None:
        """The line of the ledger, a member's or a bot's, that is this message of Telegram's."""
        ...

    # --- a member's rights
    async def members(self, handle: str) -> list[int]:
        """The members who wrote under this @username (without @, any case), the one who did last first."""
        ...

    async def held_on(self, user_id: int, newest: int = 20) -> Held:
        """What is held on a member, with the `newest` lines of theirs."""
        ...

    async def forget(
        self, user_id: int | None, *, names: Collection[str] = (), handles: Collection[str] = ()
    ) -> Erased:
        """Delete a member's rows and replace what names or quotes them everywhere else.

        Their id, names and handles go everywhere; in our bots' lines and traces the name and the words quoted from
        them become "Üye"; other members' words stay; kept prompts of the chats that they wrote in go. What `said`
        holds and an opt-out stay, both hashes. Asked again it does the rest: what it cut short stays known until its
        end.

        Args:
            names: under which they are known, beside those of their lines.
            handles: @usernames of theirs, without @.
            user_id: None: only the handles are known.
        """
        ...

    async def forgotten(self, user_ids: Collection[int], since: float) -> set[int]:
        """Who of these was forgotten since then (store time, at most `FORGOTTEN_SECONDS` back).

        For daemons, so that their rooms, prompts and caches in memory follow whoever took the wish.
        """
        ...

    async def opt_out(self, user_id: int, *, out: bool = True) -> None:
        """A member wants no part in prompts and memory (or, `out` false, wants it again). Survives `forget`."""
        ...

    async def is_opted_out(self, user_id: int) -> bool:
        """Whether a member wants no part in it."""
        ...
