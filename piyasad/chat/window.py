"""The room: the live window of one chat. The engine adds every message; turns and the scheduler read views.

A line is folded and classified once, when it comes in. A view is cheap and immutable; it copies nothing while the
room has not changed. No I/O, no clock: times come in with the messages.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from piyasad.chat import heat as heating
from piyasad.language.question import is_curious, is_open, is_question
from piyasad.language.sentiment import sentiment
from piyasad.language.text import base, fold, handles, signature, stem, trigrams_of, words_of
from piyasad.language.topics import TopicBook
from piyasad.model import Message

WINDOW = 200
"""Lines a view shows at most."""

REMEMBERED = 2000
"""Message ids kept beyond the window, so that a late redelivery is still recognised."""


@dataclass(frozen=True, slots=True)
class Line:
    """A message with what the decisions need of it, computed once.

    `keys` are stems and bare forms of its words, for membership only; `handles` are the accounts it names; `depth`
    counts the replies of bots to bots that lead to it since a person last spoke in that chain; `answers` is what it
    replies to, where the room knows it; `signature` and `grams` are the fingerprint and the number of its trigrams,
    `content` its longer stems, all three for the repetition guard.
    """

    message: Message
    folded: str
    words: tuple[str, ...]
    stems: tuple[str, ...]
    keys: frozenset[str]
    handles: tuple[str, ...]
    topics: tuple[str, ...]
    question: bool
    open_question: bool
    curious: bool
    feeling: int
    signature: int = 0
    grams: int = 0
    content: frozenset[str] = frozenset()
    depth: int = 0
    answers: Message | None = None

    @classmethod
    def of(cls, message: Message, book: TopicBook, parent: Line | None = None) -> Line:
        """Fold and classify a message; `parent` is the line it replies to."""
        folded = fold(message.text)
        spoken = tuple(words_of(folded))
        stems = tuple(map(stem, spoken))
        question = is_question(folded)
        grams = trigrams_of(spoken)
        bot_to_bot = parent is not None and not message.is_person and not parent.message.is_person
        return cls(
            message=message,
            folded=folded,
            words=spoken,
            stems=stems,
            keys=frozenset((*stems, *map(base, spoken))),
            handles=_meant(message),
            topics=book.about(stems),
            question=question,
            open_question=question and is_open(folded),
            curious=is_curious(folded),
            feeling=sentiment(stems),
            signature=signature(grams),
            grams=len(grams),
            content=frozenset(word for word in stems if len(word) > 3),
            depth=parent.depth + 1 if bot_to_bot and parent is not None else 0,
            answers=None if parent is None else parent.message,
        )


@dataclass(frozen=True, slots=True)
class RoomView:
    """A room at one moment: immutable, shared, cheap. Lines are oldest first, at most `WINDOW`."""

    chat_id: int
    lines: tuple[Line, ...]
    book: TopicBook
    messages: tuple[Message, ...]
    warmth: heating.Warmth = heating.COLD

    @property
    def last(self) -> Message | None:
        """The newest message."""
        return self.lines[-1].message if self.lines else None

    @property
    def last_at(self) -> float | None:
        """When the newest message was said."""
        return self.lines[-1].message.at if self.lines else None

    def silent_for(self, now: float) -> float:
        """Seconds since the last message; infinite in an empty room."""
        return now - self.lines[-1].message.at if self.lines else float("inf")

    def last_person_at(self) -> float | None:
        """When a person last spoke, as far as the window shows."""
        for line in reversed(self.lines):
            if line.message.is_person:
                return line.message.at
        return None

    def since(self, at: float) -> list[Line]:
        """The lines later than a time, newest first."""
        found: list[Line] = []
        for line in reversed(self.lines):
            if line.message.at <= at:
                break
            found.append(line)
        return found

    def line(self, telegram_id: int | None) -> Line | None:
        """The line with a Telegram message id, if the window has it."""
        if telegram_id is not None:
            for line in reversed(self.lines):
                if line.message.telegram_id == telegram_id:
                    return line
        return None

    def heat(self, now: float, burstiness: float) -> float:
        """By what delays are divided now: above 1 when people have just spoken, below 1 in the lull after."""
        return self.warmth.heat(now, burstiness)


class Room:
    """The live window of one chat. Not shared between threads; all calls are synchronous."""

    def __init__(self, chat_id: int, topics: Sequence[str] = ()) -> None:
        self.chat_id = chat_id
        self._book = TopicBook.of(topics)
        self._lines: deque[Line] = deque(maxlen=WINDOW)
        self._known: OrderedDict[int, None] = OrderedDict()  # Telegram ids
        self._rows: OrderedDict[int, None] = OrderedDict()  # ledger ids
        self._warmth = heating.COLD
        self._view: RoomView | None = None

    def __len__(self) -> int:
        return len(self._lines)

    def known(self, telegram_id: int) -> bool:
        """Whether a message of that Telegram id was added before."""
        return telegram_id in self._known

    def add(self, message: Message) -> bool:
        """Add a message; False if it is known already. Late ones (another shard's) go where their time puts them."""
        if (message.telegram_id is not None and message.telegram_id in self._known) or message.id in self._rows:
            return False
        _remember(self._rows, message.id)
        if message.telegram_id is not None:
            _remember(self._known, message.telegram_id)
        parent = self._find(message.reply_to)
        line = Line.of(message, self._book, parent)
        if self._lines and message.at < self._lines[-1].message.at:
            self._insert(line)
        else:
            self._lines.append(line)
        self._warmth = self._warmth.after(
            message.at,
            person=message.is_person,
            question=line.question,
            reply=parent is not None and parent.message.is_person and message.at - parent.message.at < heating.FRESH,
        )
        self._view = None
        return True

    def fill(self, messages: Iterable[Message]) -> None:
        """Add many, oldest first (from the ledger at start)."""
        for message in messages:
            self.add(message)

    def replace_text(self, telegram_id: int, text: str) -> bool:
        """A message was edited; False if the window does not have it."""
        for at in range(len(self._lines) - 1, -1, -1):
            line = self._lines[at]
            if line.message.telegram_id == telegram_id:
                parent = self._find(line.message.reply_to)
                self._lines[at] = Line.of(replace(line.message, text=text), self._book, parent)
                self._view = None
                return True
        return False

    def move(self, chat_id: int) -> None:
        """The group has a new id, and numbers its messages anew: what was said is remembered, not replied to."""
        self.chat_id = chat_id
        self._known.clear()
        self._lines = deque(
            (
                replace(line, message=replace(line.message, chat_id=chat_id, telegram_id=None, reply_to=None))
                for line in self._lines
            ),
            maxlen=self._lines.maxlen,
        )
        self._view = None

    def retopic(self, topics: Sequence[str]) -> None:
        """The chat's topics changed: sort the window's lines anew."""
        if tuple(topics) == self._book.names:
            return
        self._book = TopicBook.of(topics)
        self._lines = deque(
            (replace(line, topics=self._book.about(line.stems)) for line in self._lines), maxlen=self._lines.maxlen
        )
        self._view = None

    def news(self, at: float) -> None:
        """A headline reached the room: it heats it."""
        self._warmth = self._warmth.after(at, news=True)
        self._view = None

    def view(self, now: float | None = None) -> RoomView:
        """The room as it is. The same object until something changes; `now` plays no part in it."""
        if self._view is None:
            lines = tuple(self._lines)
            messages = tuple([line.message for line in lines])
            self._view = RoomView(self.chat_id, lines, self._book, messages, self._warmth)
        return self._view

    def _find(self, telegram_id: int | None) -> Line | None:
        if telegram_id is None or telegram_id not in self._known:
            return None
        for line in reversed(self._lines):
            if line.message.telegram_id == telegram_id:
                return line
        return None

    def _insert(self, line: Line) -> None:
        if len(self._lines) == self._lines.maxlen and line.message.at <= self._lines[0].message.at:
            return
        place = len(self._lines)
        while place and self._lines[place - 1].message.at > line.message.at:
            place -= 1
        if len(self._lines) == self._lines.maxlen:
            self._lines.popleft()
            place -= 1
        self._lines.insert(place, line)


def _meant(message: Message) -> tuple[str, ...]:
    """The accounts that a message names: by Telegram's marks where it has any, else by the @handles in its text.

    An account without a handle stands as its id after a #: that is nobody's handle.
    """
    if not message.mentions:
        return tuple(handles(message.text))
    return tuple(each.handle or f"#{each.user_id}" for each in message.mentions if each.handle or not each.command)


def _remember(ids: OrderedDict[int, None], key: int) -> None:
    ids[key] = None
    if len(ids) > REMEMBERED:
        ids.popitem(last=False)
