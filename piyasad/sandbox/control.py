"""The sandbox's controls over HTTP: what people do, what is set up, what is counted, faults, limits, events.

`server.py` mounts them and keeps strangers out. Tests in the same process use `Sandbox` instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any

from aiohttp import web

from piyasad.sandbox.faults import Fault
from piyasad.sandbox.methods import TEXT_MOST
from piyasad.sandbox.objects import STANDARD_REACTIONS, Bot, Group, Line, Person, row
from piyasad.sandbox.telegram import BotApi
from piyasad.sandbox.visibility import units
from piyasad.sandbox.world import World

NAME_MOST = 64
STILL_HERE_SECONDS = 15.0
"""So often a silent event stream writes something, that a dead connection is noticed."""

Body = Mapping[str, Any]


class Control:
    """The handlers. What does not fit is answered with 400 and a sentence."""

    def __init__(self, world: World, api: BotApi) -> None:
        self._world = world
        self._api = api

    def routes(self, app: web.Application) -> None:
        """Put the controls under /sandbox/ of an application."""
        gets: dict[str, Callable[[web.Request], Any]] = {
            "world": self._get_world,
            "messages": self._get_messages,
            "stats": self._get_stats,
            "violations": lambda _: self._api.tally.violations,
            "polls": self._get_polls,
            "limits": lambda _: asdict(self._api.limits),
            "faults": lambda _: [asdict(fault) for fault in self._api.faults],
        }
        posts: dict[str, Callable[[Body], Any]] = {
            "bots": self._post_bots,
            "people": self._post_people,
            "chats": self._post_chats,
            "members": self._post_members,
            "migrate": self._post_migrate,
            "revoke": self._post_revoke,
            "say": self._post_say,
            "whisper": self._post_whisper,
            "edit": self._post_edit,
            "react": self._post_react,
            "limits": self._post_limits,
            "faults": self._post_faults,
        }
        app.add_routes(
            [
                *(web.get(f"/sandbox/{name}", _answering(give)) for name, give in gets.items()),
                *(web.post(f"/sandbox/{name}", _taking(take)) for name, take in posts.items()),
                web.delete("/sandbox/faults", _answering(self._delete_faults)),
                web.get("/sandbox/events", self._get_events),
            ]
        )

    # --- asked
    def _get_world(self, _: web.Request) -> Any:
        world = self._world
        shown = ("id", "name", "username", "colour", "description")
        return {
            "header": world.header,
            "bots": [{key: getattr(bot, key) for key in shown} for bot in world.bots.values()],
            "people": [{"id": who.id, "name": who.name} for who in world.people.values()],
            "chats": [
                {
                    "id": group.id,
                    "title": group.title,
                    "bots": [bot for bot, status in group.members.items() if status != "kicked"],
                    "pinned": group.pinned,
                    "pinned_text": group.lines[group.pinned].text if group.pinned in group.lines else None,
                }
                for group in world.groups.values()
                if group.moved_to is None
            ],
            "reactions": list(STANDARD_REACTIONS[:8]),
        }

    def _get_messages(self, request: web.Request) -> Any:
        query = request.query
        rows = self._world.rows(int(query["chat"]) if query.get("chat") else None)
        after, last = float(query.get("after", "0")), int(query.get("last", "0"))
        rows = [each for each in rows if each["at"] > after]
        return {"messages": rows[-last:] if last > 0 else rows}

    def _get_stats(self, _: web.Request) -> Any:
        tally = self._api.tally
        return {
            "requests": dict(tally.requests),
            "throttled": tally.throttled,
            "conflicts": tally.conflicts,
            "violations": tally.violations,
            "messages": sum(len(group.lines) for group in self._world.groups.values()),
        }

    def _get_polls(self, _: web.Request) -> Any:
        tally = self._api.tally
        waiting = [bot.id for bot in self._world.bots.values() if bot.waiter is not None]
        return {"conflicts": tally.conflicts, "conflicts_of": dict(tally.conflicts_of), "waiting": waiting}

    # --- set up
    def _post_bots(self, body: Body) -> Any:
        bot = self._world.bot_from(body)
        self._world.changed()
        return bot.user()

    def _post_people(self, body: Body) -> Any:
        return self._world.person(_name(body), body.get("id")).user()

    def _post_chats(self, body: Body) -> Any:
        group = self._world.group_from(body)
        self._world.changed()
        return group.chat()

    def _post_members(self, body: Body) -> Any:
        self._world.membership(self._group(body), self._bot(body), str(body.get("status", "member")))
        return {}

    def _post_migrate(self, body: Body) -> Any:
        return self._world.migrate(self._group(body), int(body["to"])).chat()

    def _post_revoke(self, body: Body) -> Any:
        token = self._bot(body).token
        if body.get("revoked", True):
            self._world.revoked[token] = None
        else:
            self._world.revoked.pop(token, None)
        return {}

    def _post_limits(self, body: Body) -> Any:
        self._api.limits.change(body)
        return asdict(self._api.limits)

    def _post_faults(self, body: Body) -> Any:
        self._api.faults.append(Fault(**body))
        return [asdict(fault) for fault in self._api.faults]

    def _delete_faults(self, _: web.Request) -> Any:
        self._api.faults.clear()
        return []

    # --- done by people
    def _post_say(self, body: Body) -> Any:
        group = self._group(body)
        text = _text(body)
        if body.get("mention") is not None:
            text = f"@{self._bot({'bot': body['mention']}).username} {text}"
        reply_to = self._line(group, {"id": body["reply_to"]}).id if body.get("reply_to") else None
        thread = int(body["thread"]) if body.get("thread") else None
        return row(self._world.say(group, self._person(body), text, reply_to, thread))

    def _post_whisper(self, body: Body) -> Any:
        return row(self._world.whisper(self._bot(body), self._person(body), _text(body)))

    def _post_edit(self, body: Body) -> Any:
        group = self._group(body)
        line = self._line(group, body)
        self._world.edit(group, line, _text(body))
        return row(line)

    def _post_react(self, body: Body) -> Any:
        group = self._group(body)
        line = self._line(group, body)
        emoji = body.get("emoji")
        allowed = STANDARD_REACTIONS if group.reactions is None else group.reactions
        if emoji is not None and emoji not in allowed:
            raise ValueError("this group does not know that reaction")
        self._world.react(group, line, self._person(body).id, emoji)
        return row(line)

    # --- who and where
    def _group(self, body: Body) -> Group:
        group = self._world.groups.get(int(body["chat"]))
        if group is None:
            raise ValueError("no such chat")
        return group

    def _line(self, group: Group, body: Body) -> Line:
        line = group.lines.get(int(body["id"]))
        if line is None:
            raise ValueError("no such message")
        return line

    def _bot(self, body: Body) -> Bot:
        """By id or username."""
        wanted = body["bot"]
        for bot in self._world.bots.values():
            if wanted in (bot.id, bot.username):
                return bot
        raise ValueError("no such bot")

    def _person(self, body: Body) -> Person:
        """By the id `user`, or by `name`, which makes one."""
        if body.get("user") is None:
            return self._world.person(_name(body))
        person = self._world.people.get(int(body["user"]))
        if person is None:
            raise ValueError("no such person")
        return person

    # --- the event stream
    async def _get_events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._world.listeners.append(queue)
        try:
            await response.write(b": here\n\n")
            async for event in _until_end(queue):
                data = json.dumps(event) if event else ""
                await response.write(f"data: {data}\n\n".encode() if data else b": still here\n\n")
        except ConnectionResetError:
            pass  # the page was closed
        finally:
            self._world.listeners.remove(queue)
        return response


def _answering(give: Callable[[web.Request], Any]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            return web.json_response(give(request))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise _unfit(error) from error

    return handle


def _taking(take: Callable[[Body], Any]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            return web.json_response(take(_object(await request.json())))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise _unfit(error) from error

    return handle


def _object(body: Any) -> Body:
    if not isinstance(body, dict):
        raise TypeError("a JSON object is expected")
    return body


def _unfit(error: Exception) -> web.HTTPBadRequest:
    text = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
    return web.HTTPBadRequest(text=text.encode(errors="replace").decode())


def _text(body: Body) -> str:
    """A message's text, as Telegram would take it. Raises ValueError."""
    text = str(body["text"]).strip()
    text.encode()  # half a surrogate pair is no text: UnicodeEncodeError is a ValueError
    if not text or units(text) > TEXT_MOST:
        raise ValueError(f"text has between 1 and {TEXT_MOST} characters")
    return text


def _name(body: Body) -> str:
    name = " ".join(str(body["name"]).split())[:NAME_MOST]
    name.encode()
    if not name:
        raise ValueError("name is empty")
    return name


async def _until_end(queue: asyncio.Queue[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    """Events as they come; an empty one after a silence, so that a dead connection is noticed."""
    while True:
        event: dict[str, Any] = {}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STILL_HERE_SECONDS):
                event = await queue.get()
        if event.get("type") == "end":
            return
        yield event
