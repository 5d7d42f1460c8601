"""The shared types: what rooms, turns, the ledger and the wire speak about.

Everything here is immutable and knows no I/O. Times are Unix seconds (float) unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, NamedTuple


class State(StrEnum):
    """Where a message stands in the ledger."""

    RECEIVED = "received"
    SENDING = "sending"
    SENT = "sent"
    UNCERTAIN = "uncertain"
    FAILED = "failed"


class Kind(StrEnum):
    """What a message is. `PERSON` is a member's; the others are ours."""

    PERSON = "person"
    ANSWER = "answer"
    REPLY = "reply"
    CONTINUE = "continue"
    TOPIC = "topic"
    NOTICE = "notice"
    FIXED = "fixed"  # a fixed text that no LLM wrote: the honest answer, /gizlilik
    POLITE = "polite"  # the one line that ends a member's budget of answers and says when it goes on


class IntentKind(StrEnum):
    """What a turn decided to do, before any text exists."""

    SILENCE = "silence"
    REACT = "react"
    ANSWER = "answer"
    REPLY = "reply"
    CONTINUE = "continue"
    TOPIC = "topic"


class Grant(StrEnum):
    """What became of taking a stimulus: somebody else has it, or what its member gets."""

    GONE = "gone"  # not open: taken, answered, dropped, merged, or too many tries
    ANSWER = "answer"
    POLITE = "polite"
    SILENCE = "silence"  # the member's budget and its polite line are used up; the stimulus is dropped


class Length(StrEnum):
    """How long a line is to be."""

    SHORT = "short"
    MEDIUM = "medium"
    LONG = "long"


class Class(StrEnum):
    """The class of an LLM request; `rank` orders them, 0 first."""

    ANSWER = "answer"
    REPLY = "reply"
    TOPIC = "topic"
    HOUSEKEEPING = "housekeeping"

    @property
    def rank(self) -> int:
        """0 a person waits, 1 reply, 2 continue or topic, 3 housekeeping."""
        return _RANKS[self]


_RANKS: Final = {klass: rank for rank, klass in enumerate(Class)}


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A daily range in minutes after midnight; it wraps midnight when `end` <= `start`."""

    start: int
    end: int

    def contains(self, minute: float) -> bool:
        """Whether a minute of the day (0 ≤ minute < 1440) lies in the range; the end is outside."""
        if self.start < self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end


@dataclass(frozen=True, slots=True)
class Mention:
    """Whom a part of a message names, by Telegram's own mark on it (an entity), not by how its letters look.

    A `mention` is (handle); a `text_mention` (user_id, and the handle where that account has one); a `bot_command`
    (command, and the handle of the bot that it names, if it does). Handles and commands are in lower case, without @.
    """

    offset: int = 0  # of the part in the text, in UTF-16 units; a command counts at 0 only
    handle: str = ""
    user_id: int | None = None
    command: str = ""  # with its slash: "/privacy"


@dataclass(frozen=True, slots=True)
class Message:
    """One line of a room: a member's or a bot's.

    `id` is the ledger's; `telegram_id` is Telegram's message id inside the chat (None until known);
    `reply_to` is a Telegram message id; `author` is the display name without the bot mark;
    `user_id` is a member's Telegram id and None for our bots; `at` is when it was said; `mentions` is empty where
    Telegram marked nobody, or where nobody kept its marks.
    """

    id: int
    chat_id: int
    bot_id: int | None
    author: str
    kind: Kind
    text: str
    at: float
    telegram_id: int | None = None
    user_id: int | None = None
    reply_to: int | None = None
    thread_id: int | None = None
    mentions: tuple[Mention, ...] = ()

    @property
    def is_person(self) -> bool:
        """Whether a member said it."""
        return self.bot_id is None


@dataclass(frozen=True, slots=True)
class Intent:
    """A turn's decision. `target` is the message answered or reacted to; `mention` a bot's handle without @.

    `held` is the governor's rule that kept the bot from speaking or from the reply it had in mind, else empty.
    """

    kind: IntentKind
    chat_id: int
    reason: str
    target: Message | None = None
    topic: str | None = None
    emoji: str | None = None
    mention: str | None = None
    length: Length = Length.SHORT
    ask: bool = False  # whether the line may end in a question
    held: str = ""


ANYBODY: Final = 0
"""The `bot_id` of a stimulus that speaks to nobody in particular."""


class StimulusKey(NamedTuple):
    """A stimulus in the store: the member's message, and the bot that it speaks to (`ANYBODY`: whoever fits)."""

    chat_id: int
    telegram_id: int
    bot_id: int


@dataclass(frozen=True, slots=True)
class Stimulus:
    """Something said to us that one bot should answer: `bot_id`, or whoever fits best where that is `ANYBODY`."""

    chat_id: int
    telegram_id: int
    bot_id: int
    message: Message

    @property
    def key(self) -> StimulusKey:
        """How the store knows it."""
        return StimulusKey(self.chat_id, self.telegram_id, self.bot_id)


@dataclass(frozen=True, slots=True)
class Draft:
    """A text about to be claimed in the ledger and sent."""

    bot_id: int
    fence: int
    chat_id: int
    kind: Kind
    text: str
    author: str
    reply_to: int | None = None
    thread_id: int | None = None
    turn_id: str | None = None
    stimulus: StimulusKey | None = None  # what it answers: closed by the settlement of this row
    restated: bool = False  # the persona was restated in its prompt


@dataclass(frozen=True, slots=True)
class Claim:
    """A durable claim: the ledger row of a send that may now be made."""

    id: int
    created_at: float
    draft: Draft


@dataclass(frozen=True, slots=True)
class Received:
    """A member's message as Telegram delivered it. `at` is Telegram's `date`.

    `to`: the bots that it speaks to, `ANYBODY` for a question to nobody; each becomes an open stimulus with the row.
    """

    chat_id: int
    telegram_id: int
    user_id: int
    author: str
    text: str
    at: float
    reply_to: int | None = None
    thread_id: int | None = None
    to: tuple[int, ...] = ()
    mentions: tuple[Mention, ...] = ()
    handle: str = ""  # the member's @username, without @


@dataclass(frozen=True, slots=True)
class Said:
    """What a bot said, or may have said: a row of the ledger that is `sending`, `sent` or `uncertain`."""

    bot_id: int
    chat_id: int
    kind: Kind
    text: str
    at: float
    restated: bool
    reply_to: int | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to speak for a bot. `fence` grows with every change of hands."""

    bot_id: int
    fence: int
    update_offset: int
    state: str
    disclosed_at: float | None


@dataclass(frozen=True, slots=True)
class BotRow:
    """A bot as the store knows it. `alive` says whether its owner's lease runs."""

    id: int
    name: str
    username: str
    owner: str | None
    alive: bool
    fence: int
    state: str
    state_reason: str


@dataclass(frozen=True, slots=True)
class ChatRow:
    """A chat as the store knows it. `notice_at`: when its notice was last claimed; `notice_message_id`: the newest
    notice that is known to be posted.
    """

    id: int
    ear: int | None
    notice_at: float | None
    notice_message_id: int | None = None


@dataclass(frozen=True, slots=True)
class DaemonRow:
    """A daemon as the store knows it: shard `shard` of 0 … `shards` − 1. `alive` says whether its lease runs."""

    id: str
    shard: int
    shards: int
    host: str
    pid: int
    config_hash: str
    beat: float
    alive: bool
    drain: str
    report: Mapping[str, Any] = field(default_factory=dict)  # what it says of itself, see `Store.report`


@dataclass(frozen=True, slots=True)
class TurnTrace:
    """Why a turn ended as it did; written to the `turn` table."""

    id: str
    bot_id: int
    chat_id: int
    at: float
    intent: str
    outcome: str
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a provider taught, kept over restarts: of a model, or of a key's limits. The newest of each counts.

    `key` is a fingerprint, "" for what holds for every key; `model` is "" for what holds for every model. `about` says
    what `what` is (JSON): "abilities" or "limits".
    """

    provider: str
    key: str
    model: str
    about: str
    what: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Usage:
    """What one LLM call used; added up by hour in the `usage` table. `cost` is in US dollars."""

    provider: str
    key: str
    model: str
    at: float
    requests: int
    prompt: int
    cached: int
    completion: int
    cost: float

    def plus(self, other: Usage) -> Usage:
        """Both together, at this one's time."""
        return replace(
            self,
            requests=self.requests + other.requests,
            prompt=self.prompt + other.prompt,
            cached=self.cached + other.cached,
            completion=self.completion + other.completion,
            cost=self.cost + other.cost,
        )
