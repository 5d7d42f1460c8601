"""A Telegram Bot API server of our own: the methods that bots of a group need, worded and limited as the real one's.

`server.py` mounts `BotApi.app()`. Wordings are those of the open-source Bot API server (tdlib/telegram-bot-api,
telegram-bot-api/Client.cpp) and of the public one's error bodies; limits are cited beside their numbers.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from piyasad.sandbox.world import STANDARD_REACTIONS, Bot, Group, World, member

PER_SECOND = 30
"""Messages a second of one bot (Bot API FAQ, "My bot is hitting limits": about 30)."""

CHAT_PER_SECOND = 1
"""Messages a second in one chat (the same page: avoid more than one; short bursts may pass)."""

GROUP_PER_MINUTE = 20
"""Messages a minute in one group (the same page: not more than 20)."""

TEXT_MOST = 4096
"""Characters of a message (Bot API, sendMessage)."""

POLL_MOST_SECONDS = 50
"""A long poll waits no longer (tdlib/telegram-bot-api, Client.h: LONG_POLL_MAX_TIMEOUT)."""

UPDATES_MOST = 100
"""Updates in one answer (Bot API, getUpdates)."""

NAME_MOST, DESCRIPTION_MOST, SHORT_MOST = 64, 512, 120
"""Bot API, setMyName, setMyDescription, setMyShortDescription."""


class Refused(Exception):
    """The Bot API's "ok": false."""

    def __init__(self, code: int, description: str, **parameters: Any) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.parameters = parameters


@dataclass(slots=True)
class Limits:
    """Messages over sliding windows; what is opened for a bench is simply very large."""

    per_second: float = PER_SECOND
    chat_per_second: float = CHAT_PER_SECOND
    group_per_minute: float = GROUP_PER_MINUTE


@dataclass(slots=True)
class Fault:
    """A fault of the server. `kind`: 429, 500, latency, cut_before, cut_after, kicked, bad_token.

    It hits calls that match `method`, `bot` and `chat` (None: any) with `probability`, `times` times (None: always).
    `seconds` is the latency, or the 429's retry_after.
    """

    kind: str
    method: str | None = None
    bot: int | None = None
    chat: int | None = None
    probability: float = 1.0
    times: int | None = None
    seconds: float = 1.0


@dataclass(slots=True)
class Books:
    """What the server counted."""

    requests: Counter[str] = field(default_factory=Counter)
    throttled: int = 0
    conflicts: int = 0
    violations: list[dict[str, Any]] = field(default_factory=list)


class _Windows:
    """Times of accepted messages by key; a key's window answers how long it must rest."""

    def __init__(self) -> None:
        self._times: dict[tuple[int, ...], deque[float]] = {}

    def wait(self, key: tuple[int, ...], limit: float, seconds: float, now: float) -> float:
        times = self._times.get(key)
        if times is None:
            return 0.0
        while times and times[0] <= now - seconds:
            times.popleft()
        return times[0] + seconds - now if len(times) >= limit else 0.0

    def add(self, key: tuple[int, ...], now: float) -> None:
        self._times.setdefault(key, deque()).append(now)


class BotApi:
    """The server. `world` is what it serves."""

    def __init__(self, world: World, *, seed: int = 0) -> None:
        self.world = world
        self.limits = Limits()
        self.faults: list[Fault] = []
        self.books = Books()
        self._rng = random.Random(seed)
        self._windows = _Windows()
        self._closing = asyncio.Event()
        self._methods: dict[str, Callable[[Bot, Mapping[str, Any]], Awaitable[Any]]] = {
            "getme": self._get_me,
            "getupdates": self._get_updates,
            "sendmessage": self._send_message,
            "sendchataction": self._send_chat_action,
            "setmessagereaction": self._set_message_reaction,
            "getchat": self._get_chat,
            "getchatmember": self._get_chat_member,
            "getmyname": self._get_my_name,
            "setmyname": self._set_my_name,
            "getmydescription": self._get_my_description,
            "setmydescription": self._set_my_description,
            "getmyshortdescription": self._get_my_short,
            "setmyshortdescription": self._set_my_short,
            "pinchatmessage": self._pin,
            "leavechat": self._leave,
            "deletewebhook": self._true,
            "getwebhookinfo": self._webhook_info,
        }

    def routes(self, app: web.Application) -> None:
        """Put the Bot API's paths into an application."""
        app.router.add_route("*", "/bot{token}/{method}", self._handle)

    def close(self) -> None:
        """End every poll."""
        self._closing.set()
        for bot in self.world.bots.values():
            if bot.waiter is not None and not bot.waiter.done():
                bot.waiter.set_result(False)

    # --- one request
    async def _handle(self, request: web.Request) -> web.Response:
        name = request.match_info["method"].lower()
        try:
            bot = self._bot(request.match_info["token"])
            method = self._methods.get(name)
            if method is None:
                raise Refused(404, "Not Found: method not found")
            given = await _parameters(request)
            self.books.requests[name] += 1
            after = await self._faults_before(request, bot, name, given)
            result = await method(bot, given)
            if after:
                _cut(request)
            return web.json_response({"ok": True, "result": result})
        except Refused as refused:
            if refused.code == 409 and request.transport is not None and not request.transport.is_closing():
                self.books.conflicts += 1  # a poll whose client is gone tells nobody of its conflict
            body: dict[str, Any] = {"ok": False, "error_code": refused.code, "description": refused.description}
            if refused.parameters:
                body["parameters"] = refused.parameters
            return web.json_response(body, status=refused.code)

    def _bot(self, token: str) -> Bot:
        bot = self.world.tokens.get(token)
        if bot is None or token in self.world.revoked:
            head, colon, tail = token.partition(":")
            raise Refused(401, "Unauthorized") if colon and head.isdecimal() and tail else Refused(404, "Not Found")
        return bot

    async def _faults_before(self, request: web.Request, bot: Bot, name: str, given: Mapping[str, Any]) -> bool:
        """Apply the faults that hit this call; True when the connection is to be cut after it was taken."""
        cut_after = False
        for fault in list(self.faults):
            if not self._hits(fault, bot, name, given):
                continue
            match fault.kind:
                case "latency":
                    await asyncio.sleep(fault.seconds)
                case "429":
                    wait = max(1, math.ceil(fault.seconds))
                    raise Refused(429, f"Too Many Requests: retry after {wait}", retry_after=wait)
                case "500":
                    raise Refused(500, "Internal Server Error")
                case "kicked":
                    raise Refused(403, "Forbidden: bot was kicked from the supergroup chat")
                case "bad_token":
                    raise Refused(401, "Unauthorized")
                case "cut_before":
                    _cut(request)
                case "cut_after":
                    cut_after = True
        return cut_after

    def _hits(self, fault: Fault, bot: Bot, name: str, given: Mapping[str, Any]) -> bool:
        if fault.method is not None and fault.method.lower() != name:
            return False
        if fault.bot is not None and fault.bot != bot.id:
            return False
        if fault.chat is not None and str(given.get("chat_id")) != str(fault.chat):
            return False
        if fault.probability < 1 and self._rng.random() >= fault.probability:
            return False
        if fault.times is not None:
            if fault.times <= 0:
                return False
            fault.times -= 1
        return True

    # --- methods
    async def _get_me(self, bot: Bot, given: Mapping[str, Any]) -> Any:
        return bot.user() | {
            "can_join_groups": True,
            "can_read_all_group_messages": not bot.privacy,
            "supports_inline_queries": False,
        }

    async def _get_updates(self, bot: Bot, given: Mapping[str, Any]) -> Any:
        offset = _whole(given.get("offset"), 0)
        limit = min(max(_whole(given.get("limit"), UPDATES_MOST), 1), UPDATES_MOST)
        timeout = min(max(_whole(given.get("timeout"), 0), 0), POLL_MOST_SECONDS)
        if "allowed_updates" in given:  # "if not specified, the previous setting will be used"
            bot.allowed = tuple(_json(given["allowed_updates"]) or ())
        if bot.waiter is not None and not bot.waiter.done():
            bot.waiter.set_result(False)  # the older of two polls is ended
        while bot.updates and bot.updates[0]["update_id"] < offset:
            bot.updates.popleft()
        if not bot.updates and timeout and not self._closing.is_set():
            waiter = bot.waiter = asyncio.get_running_loop().create_future()
            timer = asyncio.get_running_loop().call_later(timeout, _wake, waiter)
            try:
                woken = await waiter
            finally:
                timer.cancel()
                if bot.waiter is waiter:
                    bot.waiter = None
            if not woken and not self._closing.is_set():
                raise Refused(
                    409,
                    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
                )
        return list(bot.updates)[:limit]

    async def _send_message(self, bot: Bot, given: Mapping[str, Any]) -> Any:
        text = given.get("text")
        if not isinstance(text, str) or not text.strip():
            raise Refused(400, "Bad Request: message text is empty")
        if len(text.encode("utf-16-le")) // 2 > TEXT_MOST:
            raise Refused(400, "Bad Request: message is too long")
        chat_id = _whole(given.get("chat_id"), 0)
        private = self.world.people.get(chat_id)
        if private is not None:
            self._count(bot, chat_id, group=False)
            return {
                "message_id": int(time.time() * 1000) % 2**31,
                "from": bot.user(),
                "chat": {"id": private.id, "type": "private", "first_name": private.name},
                "date": int(time.time()),
                "text": text,
            }
        group = self._group(bot, chat_id)
        reply = _json(given.get("reply_parameters")) or {}
        reply_to = _whole(reply.get("message_id", given.get("reply_to_message_id")), 0) or None
        if reply_to is not None and reply_to not in group.lines:
            if not _true(reply.get("allow_sending_without_reply")):
                raise Refused(400, "Bad Request: message to be replied not found")
            reply_to = None
        self._count(bot, chat_id, group=True)
        thread = _whole(given.get("message_thread_id"), 0) or None
        line = self.world.send(bot, group, text.strip(), reply_to, thread)
        return self.world.message(line)

    async def _send_chat_action(self, bot: Bot, given: Mapping[str, Any]) -> Any:
        group = self._group(bot, _whole(given.get("chat_id"), 0))
        if given.get("action") != "typing":
            raise Refused(400, "Bad Request: wrong parameter action in request")
        self.world.typing(bot, group)
        return True

    async def _set_message_reaction(self, bot: Bot, given: Mapping[str, Any]) -> Any:
        group = self._group(bot, _whole(given.get("chat_id"), 0))
        line = group.lines.get(_whole(given.get("message_id"), 0))
        if line is None:
            raise Refused(400, "Bad Request: message to react not found")
        wanted = _json(given.get("reaction")) or []
        if len(wanted) > 1:  # "bots can have up to one reaction per message" (Bot API, setMessageReaction)
            raise Refused(400, "Bad Request: REACTIONS_TOO_MANY")
        emoji = wanted[0].get("emoji") if wanted else None
        allowed = STANDARD_REACTIONS if group.reactions is None else group.reactions
        if emoji is not None and emoji not in allowed:
            raise Refused(400, "Bad Request: REACTION_INVALID")
        self.world.react(group, line, bot.id, emoji)
        return True

    async def _get_chat(self, bot: Bot, given: Mapping[str, Any]) -> Any:
        group = self._group(bot, _whole(given.get("chat_id"), 0))
        full = group.chat() | {"accent_color_id": 0, "max_reaction_count": 11, "accepted_gift_types": _GIFTS}
        if group.reactions is not None:
            full["available_reactions"] = [{"type": "emoji", "emoji": emoji} for emoji in group.reactions]
        if group.pinned is not None:
            full["pinned_message"] = self.world.message(group.lines[group.pinned], nested=False)
        return full

    async def _get_chat_member(self, bot: Bot, given: Mapping[str, Any]) -> Any:
        group = self._group(bot, _whole(given.get("chat_id"), 0))
        user_id = _whole(given.get("user_id"), 0)
        other = self.world.bots.get(user_id)
        if other is not None:
            return member(other, group.members.get(user_id, "left"))
        person = self.world.people.get(user_id)
        if person is None:
            raise Refused(400, "Bad Request: PARTICIPANT_ID_INVALID")
        return {"user": person.user(), "status": "member"}

    async def _get_my_name(self, bot: Bot, given: Mapping[str, Any]) -> Any:
        return {"name": bot.name}

    async def _set_my_name(self, bot: Bot, given: Mapping[str, Any]) -> Any:
        self.world.rename(bot, name=_short(given.get("name"), NAME_MOST, "name") or bot.name)
        return True

    async def _get_my_description(self, bot: Bot, given: Mapping[str, Any]) -> Any:
        return {"description": bot.description}

    async def _set_my_description(self, bot: Bot, given: Mapping[str, Any]) -> Any:
        self.world.rename(bot, description=_short(given.get("description"), DESCRIPTION_MOST, "description"))
        return True

    async def _get_my_short(self, bot: Bot, given: Mapping[str, Any]) -> Any:
        return {"short_description": bot.short_description}

    async def _set_my_short(self, bot: Bot, given: Mapping[str, Any]) -> Any:
        text = _short(given.get("short_description"), SHORT_MOST, "short description")
        self.world.rename(bot, short_description=text)
        return True

    async def _pin(self, bot: Bot, given: Mapping[str, Any]) -> Any:
        group = self._group(bot, _whole(given.get("chat_id"), 0))
        line = group.lines.get(_whole(given.get("message_id"), 0))
        if line is None:
            raise Refused(400, "Bad Request: message to pin not found")
        if group.members.get(bot.id) != "administrator":
            raise Refused(400, "Bad Request: not enough rights to manage pinned messages in the chat")
        self.world.pin(group, line)
        return True

    async def _leave(self, bot: Bot, given: Mapping[str, Any]) -> Any:
        self.world.membership(self._group(bot, _whole(given.get("chat_id"), 0)), bot, "left")
        return True

    async def _true(self, bot: Bot, given: Mapping[str, Any]) -> Any:
        return True

    async def _webhook_info(self, bot: Bot, given: Mapping[str, Any]) -> Any:
        return {"url": "", "has_custom_certificate": False, "pending_update_count": len(bot.updates)}

    # --- rules
    def _group(self, bot: Bot, chat_id: int) -> Group:
        group = self.world.groups.get(chat_id)
        if group is None:
            raise Refused(400, "Bad Request: chat not found")
        if group.moved_to is not None:
            raise Refused(
                400,
                "Bad Request: group chat was upgraded to a supergroup chat",
                migrate_to_chat_id=group.moved_to,
            )
        status = group.members.get(bot.id)
        kind = group.chat()["type"]
        if status == "kicked":
            raise Refused(403, f"Forbidden: bot was kicked from the {kind} chat")
        if status is None:
            raise Refused(403, f"Forbidden: bot is not a member of the {kind} chat")
        return group

    def _count(self, bot: Bot, chat_id: int, *, group: bool) -> None:
        """Admit one message or refuse it with 429; a refusal is a violation by the client."""
        now = time.monotonic()
        checks = [
            ((bot.id,), self.limits.per_second, 1.0, "per_second"),
            ((bot.id, chat_id, 1), self.limits.chat_per_second, 1.0, "chat_per_second"),
        ]
        if group:
            checks.append(((bot.id, chat_id, 60), self.limits.group_per_minute, 60.0, "group_per_minute"))
        for key, limit, seconds, name in checks:
            wait = self._windows.wait(key, limit, seconds, now)
            if wait > 0:
                retry = max(1, math.ceil(wait))
                self.books.throttled += 1
                self.books.violations.append({"bot": bot.id, "chat": chat_id, "limit": name, "wait": round(wait, 3)})
                raise Refused(429, f"Too Many Requests: retry after {retry}", retry_after=retry)
        for key, limit, _, _ in checks:
            if limit < 10**6:
                self._windows.add(key, now)


_GIFTS = dict.fromkeys(
    ("unlimited_gifts", "limited_gifts", "unique_gifts", "premium_subscription", "gifts_from_channels"), False
)


async def _parameters(request: web.Request) -> Mapping[str, Any]:
    """Query, JSON, urlencoded or multipart: as the real server, whichever comes."""
    given: dict[str, Any] = dict(request.query)
    if not request.can_read_body:
        return given
    if request.content_type == "application/json":
        try:
            body = await request.json()
        except ValueError as error:
            raise Refused(400, "Bad Request: can't parse request body as JSON") from error
        if not isinstance(body, dict):
            raise Refused(400, "Bad Request: request body must be an object")
        return given | body
    return given | dict(await request.post())


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
    raise asyncio.CancelledError  # nobody is left to answer


def _wake(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_result(True)


def _whole(value: Any, default: int) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return default


def _true(value: Any) -> bool:
    return value is True or str(value).lower() in {"true", "1"}


def _json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise Refused(400, "Bad Request: can't parse a parameter as JSON") from error


def _short(value: Any, most: int, what: str) -> str:
    text = str(value or "")
    if len(text) > most:
        raise Refused(400, f"Bad Request: bot {what} is too long")
    return text
