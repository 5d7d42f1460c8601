"""A Telegram Bot API server of our own, over HTTP: tokens, parameters, faults, answers. `server.py` mounts it.

`methods.py` carries calls out, `polls.py` answers getUpdates. Wordings are those of the open-source Bot API server
(tdlib/telegram-bot-api, Client.cpp and ClientManager.cpp) where it is the one that speaks.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from piyasad.sandbox.faults import Fault, struck
from piyasad.sandbox.limits import Limits, Traffic
from piyasad.sandbox.methods import Methods, Refused, Tally, too_many
from piyasad.sandbox.objects import Bot
from piyasad.sandbox.polls import Polls
from piyasad.sandbox.world import World

__all__ = ["BotApi", "Fault", "Limits"]

TOKEN_MOST = 80
"""Characters of a token (ClientManager::send refuses more)."""

BAD_GATEWAY = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n"
    "<hr><center>nginx/1.18.0</center>\r\n</body>\r\n</html>\r\n"
)
"""What stands before the public server answers when that is away: no JSON."""


class BotApi:
    """The server. `world` is what it serves; `limits`, `faults` and `tally` may be changed and read at any time."""

    def __init__(self, world: World, *, seed: int = 0) -> None:
        self.world = world
        self.limits = Limits()
        self.faults: list[Fault] = []
        self.tally = Tally()
        self._traffic = Traffic(self.limits)
        self._polls = Polls(self.limits, self.tally)
        self._methods = Methods(world, self._traffic, self.tally)
        self._rng = random.Random(seed)

    def routes(self, app: web.Application) -> None:
        """Put the Bot API's paths into an application."""
        app.router.add_route("*", "/bot{token:[^/]*}{rest:.*}", self._handle)

    def close(self) -> None:
        """End every poll."""
        self._polls.close(self.world.bots.values())

    # --- one request
    async def _handle(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["rest"].lstrip("/").lower()
        try:
            bot = self._bot(request.match_info["token"])
            if name != "getupdates" and name not in self._methods.known:
                raise Refused(404, "Not Found: method not found")
            given = await _parameters(request)
            self.tally.requests[name] += 1
            hit = struck(self.faults, name, bot.id, given, self._rng) if self.faults else []
            for fault in hit:
                if (ended := await self._suffer(fault, request)) is not None:
                    return ended
            if name == "getupdates":
                result: Any = await self._polls.get(bot, given, lambda: _is_gone(request))
            else:
                result = self._methods.call(name, bot, given)
        except Refused as refused:
            return _answer(refused.body(), refused.code, refused.parameters.get("retry_after"))
        if any(fault.kind == "cut_after" for fault in hit):
            return _cut(request)
        return _answer({"ok": True, "result": result})

    def _bot(self, token: str) -> Bot:
        """The token's bot.

        The public server answers 404 to what cannot be a token and 401 to what is none (any more).
        """
        bot = self.world.tokens.get(token)
        if bot is None or token in self.world.revoked:
            head, colon, tail = token.partition(":")
            if not (colon and tail and head.isdecimal() and not head.startswith("0") and len(token) <= TOKEN_MOST):
                raise Refused(404, "Not Found")
            raise Refused(401, "Unauthorized")
        if excess := self._traffic.greet(token, time.monotonic()):
            raise too_many(self.tally, excess, bot.id, None)
        return bot

    async def _suffer(self, fault: Fault, request: web.Request) -> web.StreamResponse | None:
        """Play out a fault that strikes before the call is carried out; an answer ends the request."""
        match fault.kind:
            case "latency":
                await asyncio.sleep(fault.seconds)
            case "429":
                wait = max(1, math.ceil(fault.seconds))
                raise Refused(429, f"Too Many Requests: retry after {wait}", retry_after=wait)
            case "500":
                raise Refused(500, "Internal Server Error")
            case "502":
                return web.Response(status=502, text=BAD_GATEWAY, content_type="text/html")
            case "kicked":
                raise Refused(403, "Forbidden: bot was kicked from the supergroup chat")
            case "bad_token":
                raise Refused(401, "Unauthorized")
            case "cut_before":
                return _cut(request)
        return None


async def _parameters(request: web.Request) -> Mapping[str, Any]:
    """Query, JSON, urlencoded or multipart: as the real server, whichever comes."""
    given: dict[str, Any] = dict(request.query) if request.query_string else {}
    if not request.body_exists:
        return given
    if request.content_type == "application/json":
        try:
            body = json.loads(await request.read() or b"{}")
        except ValueError as error:
            raise Refused(400, "Bad Request: can't parse request body as JSON") from error
        if not isinstance(body, dict):
            raise Refused(400, "Bad Request: request body must be an object")
        return given | body if given else body
    try:
        return given | dict(await request.post())
    except ValueError as error:
        raise Refused(400, "Bad Request: can't parse the form") from error


def _answer(body: Mapping[str, Any], status: int = 200, retry_after: int | None = None) -> web.Response:
    """JSON; a 429 says the wait in its header too (HttpConnection::send_response)."""
    headers = {"Retry-After": str(retry_after)} if retry_after else None
    return web.Response(body=json.dumps(body).encode(), status=status, headers=headers, content_type="application/json")


def _is_gone(request: web.Request) -> bool:
    """Whether the client has hung up."""
    return request.transport is None or request.transport.is_closing()


def _cut(request: web.Request) -> web.Response:
    """End the connection; what is returned reaches nobody."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
