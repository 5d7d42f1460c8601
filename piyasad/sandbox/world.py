"""The sandbox's world: bots, groups, people, what was said, and the updates that wait for each bot. No HTTP here.

`methods.py` acts in it for bots, `control.py` for people and tests; `visibility.py` says who sees what. Each event goes
to the listeners (the page) and, with a state file, to the record, so that message ids go on after a restart.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from piyasad.sandbox.objects import OWNER, STATUSES, Bot, Group, Line, Person, member, message, row
from piyasad.sandbox.record import Record
from piyasad.sandbox.visibility import Said, readers

_LISTENER_BEHIND = 1000


class World:
    """All of it. One event loop; `listeners` get every event as it happens, and {"type": "end"} when they are to go."""

    def __init__(self, state: Path | None = None, *, now: Callable[[], float] = time.time) -> None:
        self.bots: dict[int, Bot] = {}
        self.tokens: dict[str, Bot] = {}
        self.groups: dict[int, Group] = {}
        self.people: dict[int, Person] = {}
        self.private: dict[tuple[int, int], Group] = {}
        self.header = ""
        self.revoked: dict[str, None] = {}
        self.listeners: list[asyncio.Queue[dict[str, Any]]] = []
        self.bots_hear_either = False
        self.record = Record(state)
        self._bots_hear = False
        self._now = now

    # --- making it
    def load(self, world: Mapping[str, Any]) -> None:
        """Add what a world file describes, then what the state file kept, and go on writing to that.

        Raises:
            OSError: the state file cannot be used.
            ValueError: the world is not described as it should be.
        """
        try:
            self.header = str(world.get("header", ""))
            for bot in world.get("bots", ()):
                self.bot_from(bot)
            for person in world.get("people", ()):
                self.person(str(person["name"]), int(person["id"]))
            for chat in world.get("chats", ()):
                self.group_from(chat)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"not the description of a world: {error!r}") from error
        kept = list(self.record.rows())
        for event in kept:
            self._again(event)
        for bot in self.bots.values():  # each row was one update of a bot at most: no id is given twice
            bot.next_update += len(kept)
        self.record.start()

    def bot_from(self, described: Mapping[str, Any]) -> Bot:
        """A bot as a world file and the controls describe it: `add_bot`'s arguments by name.

        Raises:
            KeyError, TypeError, ValueError: it is not described as it should be.
        """
        for key, kind in (("id", int), ("token", str), ("name", str), ("username", str)):
            if not isinstance(described[key], kind) or not described[key]:
                raise ValueError(f"a bot's {key} is {described[key]!r}")
        return self.add_bot(**described)

    def group_from(self, described: Mapping[str, Any]) -> Group:
        """A group as a world file and the controls describe it: `add_group`'s arguments by name.

        Raises:
            KeyError, TypeError, ValueError: it is not described as it should be.
        """
        if not isinstance(described["id"], int) or described["id"] >= 0 or not isinstance(described["title"], str):
            raise ValueError(f"a chat has a negative id and a title: {described['id']!r}")
        for bot in (*described.get("bots", ()), *described.get("admins", ())):
            if bot not in self.bots:
                raise ValueError(f"chat {described['id']} has a bot that is not there: {bot!r}")
        return self.add_group(**described)

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
        """A new bot, or one that is there set up anew."""
        bot = self.bots.get(id)
        if bot is None:
            # From the clock's milliseconds on: a sandbox restarted at once goes on above the ids it gave before.
            bot = self.bots[id] = Bot(id, token, name, username, next_update=int(self._now() * 1000))
        self.tokens.pop(bot.token, None)
        self.tokens[token] = bot
        bot.token, bot.name, bot.username, bot.colour = token, name, username, colour
        bot.privacy, bot.bot_to_bot = privacy, bot_to_bot
        self._bots_hear = any(each.bot_to_bot for each in self.bots.values()) if self._bots_hear else bot_to_bot
        keys = {"privacy": privacy, "bot_to_bot": bot_to_bot, "colour": colour}
        self.record.keep({"type": "bot", "id": id, "token": token, "name": name, "username": username, **keys})
        return bot

    def add_group(
        self,
        id: int,
        title: str,
        *,
        bots: Iterable[int] = (),
        admins: Iterable[int] = (),
        reactions: Iterable[str] | None = None,
        threads: Iterable[int] = (),
    ) -> Group:
        """A new group with its bots, or one that is there with its members and rules anew; what was said stays."""
        group = self.groups.setdefault(id, Group(id, title))
        group.title = title
        group.reactions = None if reactions is None else tuple(reactions)
        group.threads = frozenset(threads)
        group.members = dict.fromkeys(bots, "member") | dict.fromkeys(admins, "administrator")
        inside = [bot for bot, status in group.members.items() if status == "member"]
        rulers = [bot for bot, status in group.members.items() if status == "administrator"]
        allowed = None if group.reactions is None else list(group.reactions)
        keys = {"bots": inside, "admins": rulers, "reactions": allowed, "threads": sorted(group.threads)}
        self.record.keep({"type": "chat", "id": id, "title": title, **keys})
        return group

    def person(self, name: str, id: int | None = None) -> Person:
        """The member of that name; a new one if there is none."""
        if id is not None and id in self.people:
            if self.people[id].name != name:
                self.people[id].name = name
                self.record.keep({"type": "person", "id": id, "name": name})
            return self.people[id]
        for known in self.people.values():
            if known.name == name and id is None:
                return known
        if id is None:
            id = max(self.people, default=500) + 1
        made = self.people[id] = Person(id, name)
        self.record.keep({"type": "person", "id": id, "name": name})
        return made

    # --- what happens in it
    def send(self, bot: Bot, group: Group, text: str, reply_to: int | None, thread: int | None) -> Line:
        """A bot says something; those who may see it get an update."""
        line = self._line(group, bot, text, reply_to, thread)
        group.last_bot = bot.id
        self._deliver(group, line, "message")
        return line

    def say(
        self, group: Group, person: Person, text: str, reply_to: int | None = None, thread: int | None = None
    ) -> Line:
        """A person says something in a group."""
        line = self._line(group, person, text, reply_to, thread)
        self._deliver(group, line, "message")
        return line

    def whisper(self, bot: Bot, person: Person, text: str) -> Line:
        """A person writes to a bot in private, which also allows the bot to answer."""
        line = self._line(self.dialogue(bot, person), person, text, None, None)
        self.push(bot, {"message": message(line)})
        return line

    def dialogue(self, bot: Bot, person: Person) -> Group:
        """The private chat of the two; it is there from now on."""
        return self.private.setdefault(
            (bot.id, person.id), Group(person.id, person.name, {bot.id: "member"}, person=person)
        )

    def edit(self, group: Group, line: Line, text: str) -> None:
        """A person changes a message."""
        if text == line.text:
            return
        line.text, line.edited = text, True
        self._tell({"type": "edit", "chat": group.id, "id": line.id, "text": text})
        self._deliver(group, line, "edited_message")

    def react(self, group: Group, line: Line, user: int, emoji: str | None) -> None:
        """Set or take back a reaction."""
        if emoji is None:
            line.reactions.pop(user, None)
        else:
            line.reactions[user] = emoji
        name = self.user(user)["first_name"]
        self._tell({"type": "reaction", "chat": group.id, "id": line.id, "user": user, "name": name, "emoji": emoji})

    def pin(self, group: Group, line: Line, by: int | None = None) -> None:
        """Pin a message; the service message about it has an id of its own, and all bots see it."""
        group.pinned = line.id
        self._tell({"type": "pin", "chat": group.id, "id": line.id, "text": line.text})
        author = OWNER if by is None else self.user(by)
        self._serve(group, author, {"pinned_message": message(line, nested=False)})

    def migrate(self, group: Group, new_id: int) -> Group:
        """The owner makes a basic group a supergroup: same members, another id, no messages."""
        made = self.add_group(new_id, group.title, reactions=group.reactions)
        made.members = dict(group.members)
        group.moved_to = new_id
        self._tell({"type": "moved", "chat": group.id, "to": new_id, "members": made.members})
        self._serve(group, OWNER, {"migrate_to_chat_id": new_id})
        self._serve(made, OWNER, {"migrate_from_chat_id": group.id})
        return made

    def typing(self, bot: Bot, group: Group) -> None:
        """A chat action; it is shown and not kept."""
        if group.person is None:
            self._show({"type": "typing", "chat": group.id, "user": bot.id})

    def rename(self, bot: Bot, **what: str) -> None:
        """Change a bot's name or descriptions."""
        for key, value in what.items():
            setattr(bot, key, value)
        self._tell({"type": "profile", "user": bot.id, **what})

    def membership(self, group: Group, bot: Bot, status: str) -> None:
        """Add, promote, remove or kick a bot; it gets a my_chat_member update."""
        old = group.members.get(bot.id, "left")
        self.set_member(group, bot.id, status)
        self._tell({"type": "member", "chat": group.id, "user": bot.id, "status": status})
        change = {
            "chat": group.chat(),
            "from": OWNER,
            "date": int(self._now()),
            "old_chat_member": member(bot, old),
            "new_chat_member": member(bot, status),
        }
        self.push(bot, {"my_chat_member": change})

    def set_member(self, group: Group, bot_id: int, status: str) -> None:
        """Note a bot's standing in a group; nobody is told."""
        if status not in STATUSES:
            raise ValueError(f"no such status: {status}; there are {', '.join(sorted(STATUSES))}")
        if status == "left":
            group.members.pop(bot_id, None)
        else:
            group.members[bot_id] = status

    def push(self, bot: Bot, update: Mapping[str, Any]) -> None:
        """Queue an update for a bot, if its allowed_updates have that kind, and wake its poll."""
        if bot.allowed and next(iter(update)) not in bot.allowed:
            return
        bot.updates.append({"update_id": bot.next_update, **update})
        bot.next_update += 1
        if bot.waiter is not None and not bot.waiter.done():
            bot.waiter.set_result(True)

    # --- showing it
    def rows(self, chat: int | None = None) -> list[dict[str, Any]]:
        """What was said in all groups, or in one chat (a person's id: all private ones with that person), in order.

        Raises:
            KeyError: no such chat.
        """
        if chat is None:
            homes = list(self.groups.values())
        elif chat in self.people:
            homes = [home for (_, person), home in self.private.items() if person == chat]
        else:
            homes = [self.groups[chat]]
        found = [row(line) for home in homes for line in home.lines.values()]
        return sorted(found, key=lambda each: (each["at"], each["id"]))

    def changed(self) -> None:
        """Tell the listeners that there are other bots or chats now."""
        self._show({"type": "world"})

    def user(self, user_id: int) -> dict[str, Any]:
        """The User object of anybody."""
        known = self.bots.get(user_id) or self.people.get(user_id)
        return known.user() if known is not None else {"id": user_id, "is_bot": False, "first_name": "?"}

    def close(self) -> None:
        """Let go of the state file."""
        self.record.close()

    # --- inside
    def _line(self, home: Group, author: Bot | Person, text: str, reply_to: int | None, thread: int | None) -> Line:
        line = Line(home.next_id, home, author, text, self._now(), reply_to, thread)
        home.next_id += 1
        home.lines[line.id] = line
        if self.record.open or self.listeners:
            made = row(line)
            if home.person is not None:
                self.record.keep(made | {"with": next(iter(home.members))})
            else:
                self._tell(made)
        return line

    def _deliver(self, group: Group, line: Line, kind: str) -> None:
        """Put a message, new or edited, into the queues of those who may see it."""
        by_bot = isinstance(line.author, Bot)
        if by_bot and not self._bots_hear:
            return
        answered = group.lines.get(line.reply_to) if line.reply_to is not None else None
        last_bot = group.last_bot if not by_bot else None
        said = Said(line.user, by_bot, line.text, answered.user if answered is not None else None, last_bot)
        seen = readers(said, group.members, self.bots, either=self.bots_hear_either)
        if not seen:
            return
        update = {kind: message(line)}
        if kind == "edited_message":
            update[kind]["edit_date"] = int(self._now())
        for bot_id in seen:
            self.push(self.bots[bot_id], update)

    def _serve(self, group: Group, author: Mapping[str, Any], what: Mapping[str, Any]) -> None:
        """A service message: all bots of the group get it, whatever their privacy mode, also the one that caused it."""
        made = {"message_id": group.next_id, "from": author, "chat": group.chat(), "date": int(self._now()), **what}
        group.next_id += 1
        self.record.keep({"type": "service", "chat": group.id, "id": made["message_id"]})
        for bot_id, status in group.members.items():
            if bot_id in self.bots and status != "kicked":
                self.push(self.bots[bot_id], {"message": made})

    def _tell(self, event: dict[str, Any]) -> None:
        self.record.keep(event)
        self._show(event)

    def _show(self, event: dict[str, Any]) -> None:
        for queue in self.listeners:
            if queue.qsize() < _LISTENER_BEHIND:
                queue.put_nowait(event)
            elif queue.qsize() == _LISTENER_BEHIND:  # a page that does not read is sent away; it comes back and reloads
                queue.put_nowait({"type": "end"})

    # --- after a restart
    def _again(self, event: Mapping[str, Any]) -> None:
        """Let an event of the record happen again; one that makes no sense in this world is passed over."""
        try:
            self._happen(event)
        except (AttributeError, KeyError, TypeError, ValueError):
            return

    def _happen(self, event: Mapping[str, Any]) -> None:
        match event["type"]:
            case "bot":
                self.add_bot(**{key: value for key, value in event.items() if key != "type"})
            case "chat":
                self.add_group(**{key: value for key, value in event.items() if key != "type"})
            case "person":
                self.person(str(event["name"]), int(event["id"]))
            case "profile":
                for key in ("name", "description", "short_description"):
                    if key in event:
                        setattr(self.bots[event["user"]], key, str(event[key]))
            case "private":
                person = self.person(event["name"], event["user"]) if not event["bot"] else self.people[event["chat"]]
                self._put_back(self.dialogue(self.bots[event["with"]], person), event)
            case _:
                self._happen_in(self.groups[event["chat"]], event)

    def _happen_in(self, group: Group, event: Mapping[str, Any]) -> None:
        match event["type"]:
            case "message":
                self._put_back(group, event)
            case "member":
                self.set_member(group, int(event["user"]), event["status"])
            case "moved":
                group.moved_to = int(event["to"])
                self.groups[group.moved_to].members = {int(who): what for who, what in event["members"].items()}
            case "pin":
                group.pinned = event["id"]
            case "service":
                group.next_id = max(group.next_id, event["id"] + 1)
            case "edit":
                line = group.lines[event["id"]]
                line.text, line.edited = event["text"], True
            case "reaction":
                reactions = group.lines[event["id"]].reactions
                if event["emoji"] is None:
                    reactions.pop(event["user"], None)
                else:
                    reactions[event["user"]] = event["emoji"]

    def _put_back(self, home: Group, event: Mapping[str, Any]) -> None:
        author: Bot | Person | None = self.bots.get(event["user"]) if event["bot"] else None
        author = author or self.person(str(event["name"]), int(event["user"]))
        line = Line(event["id"], home, author, event["text"], event["at"], event["reply_to"], event.get("thread"))
        home.lines[line.id] = line
        home.next_id = max(home.next_id, line.id + 1)
        if event["bot"]:
            home.last_bot = author.id
