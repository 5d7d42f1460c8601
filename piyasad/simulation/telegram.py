"""Telegram in memory: the sandbox's rules without HTTP, the way there and back in virtual time, a record of it all.

A daemon reaches it through a `Client`, which is `telegram.client.TelegramClient`. A request that has left arrives,
whatever becomes of who sent it. The record is the world's own: judges of a run read it and nothing of the daemon's.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, NoReturn, cast

import aiohttp
from aiogram import Bot
from aiogram.exceptions import TelegramNetworkError
from aiogram.methods import GetUpdates, TelegramMethod
from aiogram.methods.base import TelegramType
from aiogram.types import Update
from pydantic import TypeAdapter

from piyasad.sandbox.faults import Fault, struck
from piyasad.sandbox.limits import NEW_TOKENS_PER_MINUTE, Limits, Traffic
from piyasad.sandbox.methods import Methods, Refused, Tally, too_many
from piyasad.sandbox.objects import Bot as Account
from piyasad.sandbox.polls import Polls
from piyasad.sandbox.world import World
from piyasad.telegram.client import SEND, LeanSession, Receipt
from piyasad.telegram.errors import UnknownBot
from piyasad.telegram.limits import NewTokens

WIRE_SECONDS: Final = (0.03, 0.12)
"""One way between a daemon and the server."""

NO_CONNECTION, CUT, LATE = -1, -2, -3
"""In place of an HTTP status: nothing left, the connection broke after the request had left, no answer in time."""

_CAUSES: Final[Mapping[int, Callable[[], Exception]]] = {
    NO_CONNECTION: aiohttp.ConnectionTimeoutError,
    CUT: aiohttp.ServerDisconnectedError,
    LATE: TimeoutError,
}


@dataclass(frozen=True, slots=True)
class Arrival:
    """A sendMessage that reached the server at `at`. `status` is 200 when it was delivered; `name` is the bot's by
    then; `left` is when the request left its daemon.
    """

    at: float
    left: float
    client: str
    bot: int
    name: str
    chat: int
    text: str
    reply_to: int | None
    status: int
    message_id: int | None


@dataclass(slots=True)
class Poll:
    """A getUpdates. It reached the server at `began` and was answered at `ended`; `conflict`: by a 409.

    From `left` until `over` its client wanted it: None is not yet.
    """

    client: str
    bot: int
    left: float
    began: float
    ended: float | None = None
    over: float | None = None
    conflict: bool = False


@dataclass(slots=True, eq=False)
class _Call:
    """A request under way. The answer is (status, result or body)."""

    client: str
    token: str
    name: str
    given: Mapping[str, Any]
    left: float
    back: float
    answer: asyncio.Future[tuple[int, Any]]
    faults: list[Fault] = field(default_factory=list)
    gone: bool = False
    poll: Poll | None = None


class Telegram:
    """The server. `world`, `limits`, `faults` may be changed and `arrivals`, `polls`, `tally` read at any time.

    Args:
        now: Unix time of the world, which nobody sets.
        mono: the same, for windows.
        seed: of the ways' lengths and of faults with a probability.
        public: whether new tokens are counted, as the public server does.
    """

    def __init__(
        self, now: Callable[[], float], mono: Callable[[], float], seed: int | str, *, public: bool = True
    ) -> None:
        self.world = World(now=now)
        self.limits = Limits(new_tokens_per_minute=NEW_TOKENS_PER_MINUTE if public else 0)
        self.faults: list[Fault] = []
        self.tally = Tally()
        self.arrivals: list[Arrival] = []
        self.polls: list[Poll] = []
        self.wire = WIRE_SECONDS
        self.on_arrival: Callable[[Arrival], None] | None = None
        self.public = public
        self._now, self._mono = now, mono
        self._traffic = Traffic(self.limits)
        self._polling = Polls(self.limits, self.tally)
        self._methods = Methods(self.world, self._traffic, self.tally, now=mono)
        self._rng = random.Random(f"telegram/{seed}")
        self._own = contextvars.copy_context()  # what happens here is nobody's doing: a daemon's end does not end it
        self._open: dict[_Call, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def hang_up(self, client: str) -> None:
        """A daemon's process is gone, and its connections with it. What it had sent still arrives."""
        for call in self._open:
            if call.client == client:
                self.end(call)

    def end(self, call: _Call) -> None:
        """The client waits for it no longer."""
        call.gone = True
        if call.poll is not None and call.poll.over is None:
            call.poll.over = self._now()

    # --- one request
    def request(
        self, client: str, token: str, name: str, given: Mapping[str, Any], timeout: float, *, reachable: bool
    ) -> _Call:
        """Let a request leave; its answer comes by itself, as a status and what was said."""
        loop = asyncio.get_running_loop()
        there, back = self._rng.uniform(*self.wire), self._rng.uniform(*self.wire)
        call = _Call(client, token, name, given, self._now(), back, loop.create_future())
        if not reachable:
            loop.call_later(there, self._say, call, NO_CONNECTION, None, context=self._own)
            return call
        if self.faults:
            bot = self.world.tokens.get(token)
            call.faults = struck(self.faults, name, bot.id if bot is not None else 0, given, self._rng)
            there += sum(fault.seconds for fault in call.faults if fault.kind == "latency")
        self._open[call] = None
        loop.call_later(there, self._arrive, call, context=self._own)
        waits = float(given.get("timeout") or 0) if name == "getupdates" else 0.0
        if there + waits + back > timeout:
            loop.call_later(timeout, self._say, call, LATE, None, context=self._own)
        return call

    def _arrive(self, call: _Call) -> None:
        try:
            bot = self._bot(call)
            self.tally.requests[call.name] += 1
            for fault in call.faults:
                self._suffer(fault)
            if call.name == "getupdates":
                task = asyncio.get_running_loop().create_task(self._poll(call, bot), context=self._own)
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                return
            result = self._methods.call(call.name, bot, call.given)
        except Refused as refused:
            self._note(call, refused.code, None)
            self._answer(call, refused.code, json.dumps(refused.body()))
        except _Cut:
            self._answer(call, CUT, None)
        else:
            self._note(call, HTTPStatus.OK, result)
            self._answer(call, HTTPStatus.OK, result)

    async def _poll(self, call: _Call, bot: Account) -> None:
        poll = call.poll = Poll(call.client, bot.id, call.left, self._now(), over=self._now() if call.gone else None)
        self.polls.append(poll)
        try:
            result = await self._polling.get(bot, call.given, lambda: call.gone)
        except Refused as refused:
            poll.conflict = True
            self._answer(call, refused.code, json.dumps(refused.body()))
        else:
            self._answer(call, HTTPStatus.OK, result)
        finally:
            poll.ended = self._now()

    def _answer(self, call: _Call, status: int, said: Any) -> None:
        if any(fault.kind == "cut_after" for fault in call.faults):
            status = CUT
        asyncio.get_running_loop().call_later(call.back, self._say, call, status, said, context=self._own)

    def _say(self, call: _Call, status: int, said: Any) -> None:
        self._open.pop(call, None)
        if not call.answer.done():
            call.answer.set_result((status, said))

    def _bot(self, call: _Call) -> Account:
        """Who calls."""
        bot = self.world.tokens.get(call.token)
        if bot is None or call.token in self.world.revoked:
            raise Refused(HTTPStatus.UNAUTHORIZED, "Unauthorized")
        if excess := self._traffic.greet(call.token, self._mono()):
            raise too_many(self.tally, excess, bot.id, None)
        if call.name != "getupdates" and call.name not in self._methods.known:
            raise Refused(HTTPStatus.NOT_FOUND, "Not Found: method not found")
        return bot

    def _suffer(self, fault: Fault) -> None:
        """Play out a fault that strikes before the call is carried out."""
        match fault.kind:
            case "429":
                wait = max(1, round(fault.seconds))
                raise Refused(HTTPStatus.TOO_MANY_REQUESTS, f"Too Many Requests: retry after {wait}", retry_after=wait)
            case "500" | "502":
                raise Refused(int(fault.kind), "Internal Server Error")
            case "kicked":
                raise Refused(HTTPStatus.FORBIDDEN, "Forbidden: bot was kicked from the supergroup chat")
            case "bad_token":
                raise Refused(HTTPStatus.UNAUTHORIZED, "Unauthorized")
            case "cut_before":
                raise _Cut

    def _note(self, call: _Call, status: int, result: Any) -> None:
        if call.name != "sendmessage":
            return
        bot, given = self.world.tokens.get(call.token), call.given
        arrival = Arrival(
            at=self._now(),
            left=call.left,
            client=call.client,
            bot=bot.id if bot is not None else 0,
            name=bot.name if bot is not None else "",
            chat=int(given["chat_id"]),
            text=str(given["text"]),
            reply_to=(given.get("reply_parameters") or {}).get("message_id"),
            status=status,
            message_id=result["message_id"] if status == HTTPStatus.OK else None,
        )
        self.arrivals.append(arrival)
        if self.on_arrival is not None:
            self.on_arrival(arrival)


class _Cut(Exception):
    """The connection ends without an answer."""


class Client:
    """One daemon's way to the server. `reachable` False: no connection is made any more."""

    def __init__(self, telegram: Telegram, name: str = "") -> None:
        self.name = name
        self.reachable = True
        self._telegram = telegram
        self._tokens: dict[int, str] = {}
        self._new = NewTokens() if telegram.public else None
        self._session = LeanSession()  # for its reading of answers alone: it opens no connection
        self._adapters: dict[type[Any], TypeAdapter[Any]] = {}

    def add(self, bot_id: int, token: str) -> None:
        """Make a bot known, or give it a new token."""
        known = self._tokens.get(bot_id)
        self._tokens[bot_id] = token
        if known not in {None, token} and self._new is not None:
            self._new.forget(bot_id)

    def remove(self, bot_id: int) -> None:
        """Forget a bot."""
        self._tokens.pop(bot_id, None)

    def wait_new(self, bot_id: int) -> float:
        """0 when a call may be made as this bot; seconds while the server has seen too many new tokens."""
        return 0.0 if self._new is None else self._new.admit(bot_id, asyncio.get_running_loop().time())

    async def call(self, bot_id: int, method: TelegramMethod[TelegramType], timeout: float) -> TelegramType:
        """Make one call as a bot; `timeout` seconds for all of it."""
        result = await self.ask(bot_id, method, timeout)
        if isinstance(method, GetUpdates):
            return cast(TelegramType, [Update.model_validate(row) for row in result])
        if isinstance(result, bool):
            return cast(TelegramType, result)
        kind = cast(type[TelegramType], method.__returning__)
        adapter = self._adapters.setdefault(kind, TypeAdapter(kind))
        return cast(TelegramType, adapter.validate_python(result))

    async def ask(self, bot_id: int, method: TelegramMethod[Any], timeout: float) -> Any:
        """As `call`, but the result is plain JSON."""
        body = method.model_dump(mode="json", exclude_none=True, exclude_unset=True, warnings=False)
        return await self._request(bot_id, method, body, timeout)

    async def send_message(self, bot_id: int, body: dict[str, Any], timeout: float) -> Receipt:
        """Send one message."""
        result = await self._request(bot_id, SEND, body, timeout)
        return Receipt(result["message_id"], float(result["date"]))

    async def close(self) -> None:
        """Calls made later fail."""
        self._tokens.clear()

    async def _request(self, bot_id: int, method: TelegramMethod[Any], body: dict[str, Any], timeout: float) -> Any:
        token = self._tokens.get(bot_id)
        if token is None:
            raise UnknownBot(bot_id)
        name = method.__api_method__.lower()
        call = self._telegram.request(self.name, token, name, body, timeout, reachable=self.reachable)
        try:
            status, said = await call.answer
        finally:
            self._telegram.end(call)
        if status != HTTPStatus.OK:
            self._fail(method, status, said)
        return said

    def _fail(self, method: TelegramMethod[Any], status: int, said: str) -> NoReturn:
        """Raise what aiogram's session raises."""
        if status in _CAUSES:
            raise TelegramNetworkError(method=method, message="no answer") from _CAUSES[status]()
        self._session.check_response(cast(Bot, None), method, status, said)
        raise AssertionError("a refusal raises")
