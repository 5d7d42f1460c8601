"""What the sandbox's world is made of, and how the Bot API and the page are shown it. No rules, no I/O.

`world.py` keeps these and lets things happen to them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from piyasad.sandbox.visibility import entities

STANDARD_REACTIONS = (
    "👍", "👎", "❤", "🔥", "🥰", "👏", "😁", "🤔", "🤯", "😱", "🤬", "😢", "🎉", "🤩", "🤮",
    "💩", "🙏", "👌", "🕊", "🤡", "🥱", "🥴", "😍", "🐳", "❤‍🔥", "🌚", "🌭", "💯", "🤣", "⚡",
    "🍌", "🏆", "💔", "🤨", "😐", "🍓", "🍾", "💋", "🖕", "😈", "😴", "😭", "🤓", "👻", "👨‍💻",
    "👀", "🎃", "🙈", "😇", "😨", "🤝", "✍", "🤗", "🫡", "🎅", "🎄", "☃", "💅", "🤪", "🗿",
    "🆒", "💘", "🙉", "🦄", "😘", "💊", "🙊", "😎", "👾", "🤷‍♂", "🤷", "🤷‍♀", "😡",
)  # fmt: skip
"""ReactionTypeEmoji, Bot API documentation."""

OWNER = {"id": 1, "is_bot": False, "first_name": "Owner"}
STATUSES = frozenset({"member", "administrator", "left", "kicked"})

KEPT_UPDATES = 10_000

_RIGHTS = (
    *("can_be_edited", "is_anonymous", "can_manage_chat", "can_delete_messages", "can_manage_video_chats"),
    *("can_restrict_members", "can_promote_members", "can_change_info", "can_invite_users", "can_post_stories"),
    *("can_edit_stories", "can_delete_stories", "can_send_welcome_messages"),
)
"""ChatMemberAdministrator's compulsory fields."""


@dataclass(slots=True)
class Bot:
    """A bot account as its owner set it up, with the updates that wait for it.

    Update ids begin at the time of the start, so that they grow over restarts as the real ones do.
    """

    id: int
    token: str
    name: str
    username: str
    privacy: bool = True
    bot_to_bot: bool = False
    colour: str = ""
    description: str = ""
    short_description: str = ""
    updates: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=KEPT_UPDATES))
    next_update: int = 1
    allowed: tuple[str, ...] = ()
    waiter: asyncio.Future[bool] | None = None

    def user(self) -> dict[str, Any]:
        """The User object."""
        return {"id": self.id, "is_bot": True, "first_name": self.name, "username": self.username}


@dataclass(slots=True)
class Person:
    """A member who is no bot."""

    id: int
    name: str

    def user(self) -> dict[str, Any]:
        """The User object."""
        return {"id": self.id, "is_bot": False, "first_name": self.name}


@dataclass(slots=True)
class Line:
    """One message. `at` is the exact time, Unix seconds; Telegram shows whole ones."""

    id: int
    home: Group = field(repr=False)
    author: Bot | Person
    text: str
    at: float
    reply_to: int | None = None
    thread: int | None = None
    edited: bool = False
    reactions: dict[int, str] = field(default_factory=dict)

    @property
    def chat(self) -> int:
        """The chat's id."""
        return self.home.id

    @property
    def user(self) -> int:
        """The author's id."""
        return self.author.id


@dataclass(slots=True)
class Group:
    """A group, or a private chat of a bot with a person (`person` is set).

    `reactions` None allows all standard ones. `members` maps bots to member, administrator or kicked. `threads` are the
    topics of a forum.
    """

    id: int
    title: str
    members: dict[int, str] = field(default_factory=dict)
    reactions: tuple[str, ...] | None = None
    threads: frozenset[int] = frozenset()
    lines: dict[int, Line] = field(default_factory=dict)
    next_id: int = 1
    pinned: int | None = None
    moved_to: int | None = None
    last_bot: int | None = None
    person: Person | None = None

    @property
    def kind(self) -> str:
        """private, supergroup (its id begins with -100) or group."""
        if self.person is not None:
            return "private"
        return "supergroup" if self.id <= -(10**12) else "group"

    def chat(self) -> dict[str, Any]:
        """The Chat object."""
        if self.person is not None:
            return {"id": self.id, "first_name": self.title, "type": "private"}
        chat = {"id": self.id, "title": self.title, "type": self.kind}
        return chat | {"is_forum": True} if self.threads else chat


def message(line: Line, *, nested: bool = True) -> dict[str, Any]:
    """The Message object; `nested` False leaves out what it answers, as Telegram does inside another message."""
    made: dict[str, Any] = {
        "message_id": line.id,
        "from": line.author.user(),
        "chat": line.home.chat(),
        "date": int(line.at),
        "text": line.text,
    }
    if marks := entities(line.text):
        made["entities"] = marks
    if line.thread is not None:
        made |= {"message_thread_id": line.thread, "is_topic_message": True}
    if nested and line.reply_to is not None and line.reply_to in line.home.lines:
        made["reply_to_message"] = message(line.home.lines[line.reply_to], nested=False)
    return made


def row(line: Line) -> dict[str, Any]:
    """A message as the page, the tests and the record read it."""
    user = line.author.user()
    return {
        "type": "message" if line.home.person is None else "private",
        "id": line.id,
        "chat": line.chat,
        "user": line.user,
        "name": user["first_name"],
        "username": user.get("username", ""),
        "bot": user["is_bot"],
        "text": line.text,
        "date": int(line.at),
        "at": line.at,
        "reply_to": line.reply_to,
        "thread": line.thread,
        "edited": line.edited,
        "reactions": {str(who): emoji for who, emoji in line.reactions.items()},
    }


def member(bot: Bot, status: str) -> dict[str, Any]:
    """The ChatMember object; an administrator's has the rights that the type demands."""
    made: dict[str, Any] = {"user": bot.user(), "status": status}
    if status == "administrator":
        made |= dict.fromkeys(_RIGHTS, False) | {"can_manage_chat": True, "can_pin_messages": True}
    elif status == "kicked":
        made["until_date"] = 0
    return made
