"""The sandbox's world: bots, groups, people, what was said, and who gets to see it. No HTTP here.

Visibility follows the Bot API documentation (Privacy mode, Bot-to-bot communication): a bot never sees its own
messages; another bot's only with bot-to-bot mode on and privacy off or admin rights; a person's always when privacy is
off or it is an admin, else only commands, mentions and replies to it. Every event can be kept in a JSON-lines file and
is replayed from it, so that message ids go on after a restart.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

STANDARD_REACTIONS = (
    "👍", "👎", "❤", "🔥", "🥰", "👏", "😁", "🤔", "🤯", "😱", "🤬", "😢", "🎉", "🤩", "🤮", "💩", "🙏", "👌", "🕊", "🤡", "🥱",
    "🥴", "😍", "🐳", "❤‍🔥", "🌚", "🌭", "💯", "🤣", "⚡", "🍌", "🏆", "💔", "🤨", "😐", "🍓", "🍾", "💋", "🖕", "😈", "😴", "😭",
    "🤓", "👻", "👨‍💻", "👀", "🎃", "🙈", "😇", "😨", "🤝", "✍", "🤗", "🫡", "🎅", "🎄", "☃", "💅", "🤪", "🗿", "🆒", "💘", "🙉",
    "🦄", "😘", "💊", "🙊", "😎", "👾", "🤷‍♂", "🤷", "🤷‍♀", "😡",
)  # fmt: skip
"""ReactionTypeEmoji, Bot API documentation."""

_MENTION = re.compile(r"@([A-Za-z][A-Za-z0-9_]{3,31})")
_KEPT_UPDATES = 10_000


@dataclass(slots=True)
class Bot:
    """A bot account as its owner set it up."""

    id: int
    token: str
    name: str
    username: str
    privacy: bool = True
    bot_to_bot: bool = False
    colour: str = ""
    description: str = ""
    short_description: str = ""
    updates: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_KEPT_UPDATES))
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
    """One message of a group."""

    id: int
    chat: int
    user: int
    text: str
    date: int
    at: float
    reply_to: int | None = None
    thread: int | None = None
    edited: bool = False
    reactions: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class Group:
    """A group. `reactions` None allows all standard ones. `members` maps bots to member, administrator or kicked."""

    id: int
    title: str
    members: dict[int, str] = field(default_factory=dict)
    reactions: tuple[str, ...] | None = None
    lines: dict[int, Line] = field(default_factory=dict)
    next_id: int = 1
    pinned: int | None = None
    moved_to: int | None = None

    def chat(self) -> dict[str, Any]:
        """The Chat object."""
        kind = "supergroup" if self.id <= -(10**12) else "group"
        return {"id": self.id, "title": self.title, "type": kind}


class World:
    """All of it. One event loop; `listeners` get every event as it happens (the page)."""

    def __init__(self, state: Path | None = None) -> None:
        self.bots: dict[int, Bot] = {}
        self.tokens: dict[str, Bot] = {}
        self.groups: dict[int, Group] = {}
        self.people: dict[int, Person] = {}
        self.header = ""
        self.revoked: dict[str, None] = {}
        self.listeners: list[asyncio.Queue[dict[str, Any]]] = []
        self._state = state
        self._file: IO[str] | None = None

    # --- making it
    def load(self, world: Mapping[str, Any]) -> None:
        """Add what a world file describes, then replay the state file."""
        self.header = str(world.get("header", ""))
        for bot in world.get("bots", ()):
            self.add_bot(**bot)
        for person in world.get("people", ()):
            self.person(str(person["name"]), int(person["id"]))
        for chat in world.get("chats", ()):
            self.add_group(**chat)
        self.replay()

    def add_bot(
        self,
        id: int,
        token: str,
        name: str,
        username: str,
        *,
        privacy: bool = False,
        bot_to_bot: bool = False,
        colour: str = "",
    ) -> Bot:
        """A new bot, or the same one set up anew."""
        bot = Bot(id, token, name, username, privacy, bot_to_bot, colour)
        self.bots[id] = bot
        self.tokens[token] = bot
        return bot

    def add_group(
        self,
        id: int,
        title: str,
        *,
        bots: Iterable[int] = (),
        admins: Iterable[int] = (),
        reactions: Iterable[str] | None = None,
    ) -> Group:
        """A new group with its bots."""
        group = Group(id, title, reactions=None if reactions is None else tuple(reactions))
        self.groups[id] = group
        for bot in bots:
            group.members[bot] = "member"
        for bot in admins:
            group.members[bot] = "administrator"
        return group

    def person(self, name: str, id: int | None = None) -> Person:
        """The member of that name; a new one if there is none."""
        for known in self.people.values():
            if known.name == name and id in {None, known.id}:
                return known
        made = Person(id if id is not None else 500 + len(self.people) + 1, name)
        self.people[made.id] = made
        return made

    # --- what happens in it
    def send(self, bot: Bot, group: Group, text: str, reply_to: int | None, thread: int | None) -> Line:
        """A bot says something; those who may see it get an update."""
        line = self._line(group, bot.id, text, reply_to, thread)
        if any(self.bots[other].bot_to_bot for other in group.members if other in self.bots and other != bot.id):
            update = {"message": self.message(line)}
            for other_id, status in group.members.items():
                other = self.bots.get(other_id)
                if other is not None and other is not bot and other.bot_to_bot and _hears_all(other, status):
                    self.push(other, update)
        return line

    def say(self, group: Group, person: Person, text: str, reply_to: int | None = None) -> Line:
        """A person says something."""
        line = self._line(group, person.id, text, reply_to, None)
        answered = group.lines.get(reply_to) if reply_to is not None else None
        named = {name.lower() for name in _MENTION.findall(text)}
        update = {"message": self.message(line)}
        for bot_id, status in group.members.items():
            bot = self.bots.get(bot_id)
            if bot is None or status == "kicked":
                continue
            spoken_to = bot.username.lower() in named or (answered is not None and answered.user == bot_id)
            if _hears_all(bot, status) or spoken_to or text.startswith("/"):
                self.push(bot, update)
        return line

    def whisper(self, bot: Bot, person: Person, text: str) -> None:
        """A person writes to a bot in private."""
        message = {
            "message_id": bot.next_update,
            "from": person.user(),
            "chat": {"id": person.id, "type": "private", "first_name": person.name},
            "date": int(time.time()),
            "text": text,
        }
        self.push(bot, {"message": message})

    def edit(self, group: Group, line: Line, text: str) -> None:
        """A person changes a message."""
        line.text, line.edited = text, True
        self._tell({"type": "edit", "chat": group.id, "id": line.id, "text": text})
        update = {"edited_message": self.message(line) | {"edit_date": int(time.time())}}
        for bot_id, status in group.members.items():
            if bot_id in self.bots and _hears_all(self.bots[bot_id], status):
                self.push(self.bots[bot_id], update)

    def react(self, group: Group, line: Line, user: int, emoji: str | None) -> None:
        """Set or take back a reaction."""
        if emoji is None:
            line.reactions.pop(user, None)
        else:
            line.reactions[user] = emoji
        name = self.user(user)["first_name"]
        self._tell({"type": "reaction", "chat": group.id, "id": line.id, "user": user, "name": name, "emoji": emoji})

    def pin(self, group: Group, line: Line) -> None:
        """Pin a message."""
        group.pinned = line.id
        self._tell({"type": "pin", "chat": group.id, "id": line.id, "text": line.text})

    def typing(self, bot: Bot, group: Group) -> None:
        """A chat action; it is shown and not kept."""
        self._show({"type": "typing", "chat": group.id, "user": bot.id})

    def rename(self, bot: Bot, **what: str) -> None:
        """Change a bot's name or descriptions."""
        for key, value in what.items():
            setattr(bot, key, value)
        self._tell({"type": "profile", "user": bot.id, **what})

    def membership(self, group: Group, bot: Bot, status: str) -> None:
        """Add, promote, remove or kick a bot; it gets a my_chat_member update."""
        old = group.members.get(bot.id, "left")
        if status == "left":
            group.members.pop(bot.id, None)
        else:
            group.members[bot.id] = status
        owner = {"id": 1, "is_bot": False, "first_name": "Owner"}
        change = {
            "chat": group.chat(),
            "from": owner,
            "date": int(time.time()),
            "old_chat_member": member(bot, old),
            "new_chat_member": member(bot, status),
        }
        self.push(bot, {"my_chat_member": change})

    def push(self, bot: Bot, update: Mapping[str, Any]) -> None:
        """Queue an update for a bot, if its allowed_updates have that kind, and wake its poll."""
        if bot.allowed and next(iter(update)) not in bot.allowed:
            return
        bot.updates.append({"update_id": bot.next_update, **update})
        bot.next_update += 1
        if bot.waiter is not None and not bot.waiter.done():
            bot.waiter.set_result(True)

    # --- showing it
    def user(self, user_id: int) -> dict[str, Any]:
        """The User object of anybody."""
        known = self.bots.get(user_id) or self.people.get(user_id)
        return known.user() if known is not None else {"id": user_id, "is_bot": False, "first_name": "?"}

    def message(self, line: Line, *, nested: bool = True) -> dict[str, Any]:
        """The Message object."""
        group = self.groups[line.chat]
        made: dict[str, Any] = {
            "message_id": line.id,
            "from": self.user(line.user),
            "chat": group.chat(),
            "date": line.date,
            "text": line.text,
        }
        if line.thread is not None:
            made |= {"message_thread_id": line.thread, "is_topic_message": True}
        if nested and line.reply_to is not None and line.reply_to in group.lines:
            made["reply_to_message"] = self.message(group.lines[line.reply_to], nested=False)
        return made

    def row(self, line: Line) -> dict[str, Any]:
        """A message as the page and the tests read it."""
        user = self.user(line.user)
        return {
            "type": "message",
            "id": line.id,
            "chat": line.chat,
            "user": line.user,
            "name": user["first_name"],
            "username": user.get("username", ""),
            "bot": user["is_bot"],
            "text": line.text,
            "date": line.date,
            "at": line.at,
            "reply_to": line.reply_to,
            "edited": line.edited,
            "reactions": {str(who): emoji for who, emoji in line.reactions.items()},
        }

    # --- keeping it
    def replay(self) -> None:
        """Read the state file, then go on writing to it."""
        if self._state is None:
            return
        if self._state.exists():
            with self._state.open(encoding="utf-8", errors="replace") as rows:
                for row in rows:
                    try:
                        event = json.loads(row)
                    except ValueError:  # the last line of a killed process
                        continue
                    self._again(event)
        self._file = self._state.open("a", encoding="utf-8", buffering=1)

    def close(self) -> None:
        """Close the state file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _again(self, event: Mapping[str, Any]) -> None:
        kind = event.get("type")
        if kind == "profile" and (bot := self.bots.get(event["user"])) is not None:
            for key in ("name", "description", "short_description"):
                if key in event:
                    setattr(bot, key, event[key])
            return
        group = self.groups.get(event.get("chat", 0))
        if group is None:
            return
        if kind == "message":
            if not event["bot"]:
                self.person(event["name"], event["user"])
            line = Line(
                event["id"], group.id, event["user"], event["text"], event["date"], event["at"], event["reply_to"]
            )
            group.lines[line.id] = line
            group.next_id = max(group.next_id, line.id + 1)
        elif kind == "pin":
            group.pinned = event["id"]
        elif (found := group.lines.get(event.get("id", 0))) is None:
            return
        elif kind == "edit":
            found.text, found.edited = event["text"], True
        elif kind == "reaction":
            if event["emoji"] is None:
                found.reactions.pop(event["user"], None)
            else:
                found.reactions[event["user"]] = event["emoji"]

    def _line(self, group: Group, user: int, text: str, reply_to: int | None, thread: int | None) -> Line:
        now = time.time()
        line = Line(group.next_id, group.id, user, text, int(now), now, reply_to, thread)
        group.next_id += 1
        group.lines[line.id] = line
        self._tell(self.row(line))
        return line

    def _tell(self, event: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(event, ensure_ascii=False) + "\n")
        self._show(event)

    def _show(self, event: dict[str, Any]) -> None:
        for queue in self.listeners:
            if queue.qsize() < 1000:  # a page that does not read is left behind; it reloads when it comes back
                queue.put_nowait(event)


def _hears_all(bot: Bot, status: str) -> bool:
    return status != "kicked" and (not bot.privacy or status == "administrator")


def member(bot: Bot, status: str) -> dict[str, Any]:
    """The ChatMember object; an administrator's has the rights that the type demands."""
    made: dict[str, Any] = {"user": bot.user(), "status": status}
    if status == "administrator":
        rights = (
            "can_be_edited is_anonymous can_manage_chat can_delete_messages can_manage_video_chats can_restrict_members "
            "can_promote_members can_change_info can_invite_users can_post_stories can_edit_stories can_delete_stories "
            "can_send_welcome_messages"
        ).split()
        made |= dict.fromkeys(rights, False) | {"can_manage_chat": True, "can_pin_messages": True}
    elif status == "kicked":
        made["until_date"] = 0
    return made
