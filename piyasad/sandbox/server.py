"""The sandbox's server: Telegram's Bot API, the LLM API, the page and the controls, all on one loopback address.

`piyasad sandbox` and the demo run `serve`; tests use `Sandbox` in their own process. Control calls are taken from
loopback only, as JSON only, and under a loopback host name only, so that no web page elsewhere can reach them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from aiohttp import web

from piyasad.sandbox.llm import LlmServer
from piyasad.sandbox.objects import STANDARD_REACTIONS, Group, Line, row
from piyasad.sandbox.telegram import BotApi, Fault
from piyasad.sandbox.world import World

PAGE = Path(__file__).parent / "page"
SCRIPTS = ("app.js", "log.js", "compose.js")
PAGE_PATHS = frozenset({"/", "/style.css", *(f"/{name}" for name in SCRIPTS)})
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

CONTENT_SECURITY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:"


class Sandbox:
    """Both servers over one `World`. `async with Sandbox() as box:` listens on a free port."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        world: Mapping[str, Any] | None = None,
        state: Path | None = None,
        llm: LlmServer | None = None,
    ) -> None:
        self.world = World(state)
        self.world.load(world or {})
        self.api = BotApi(self.world)
        self.llm = llm or LlmServer()
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """Where everything is; the page is at its root, the Bot API's base is this without the slash."""
        return f"http://{self._host}:{self._port}/"

    @property
    def telegram_url(self) -> str:
        """`[telegram] api_base`."""
        return self.url.rstrip("/")

    def llm_url(self, dialect: str = "openai") -> str:
        """`base_url` of a provider."""
        return f"{self.url}llm/{dialect}/v1"

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        self._runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, backlog=1024)
        try:
            await site.start()
        except OSError:
            await self._runner.cleanup()
            raise
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """End every poll and stop listening."""
        self.api.close()
        for queue in self.world.listeners:
            queue.put_nowait({"type": "end"})
        if self._runner is not None:
            await self._runner.cleanup()
        self.world.close()

    # --- in-process use
    def add_bot(self, id: int, name: str, username: str, **keys: Any) -> str:
        """A bot; its token."""
        token = f"{id}:{username.ljust(35, 'x')[:35]}"
        self.world.add_bot(id, token, name, username, **keys)
        return token

    def add_chat(self, id: int, title: str = "Piyasa", **keys: Any) -> Group:
        """A group with its bots."""
        return self.world.add_group(id, title, **keys)

    def say(self, chat: int, name: str, text: str, reply_to: int | None = None) -> Line:
        """A person writes."""
        return self.world.say(self.world.groups[chat], self.world.person(name), text, reply_to)

    def messages(self, chat: int | None = None) -> list[dict[str, Any]]:
        """Everything delivered, in order, as the control API gives it."""
        groups: Iterable[Group] = self.world.groups.values() if chat is None else [self.world.groups[chat]]
        rows = [row(line) for group in groups for line in group.lines.values()]
        return sorted(rows, key=lambda row: (row["at"], row["id"]))

    # --- HTTP
    def _app(self) -> web.Application:
        app = web.Application(middlewares=[_guard], client_max_size=4 * 1024 * 1024)
        self.api.routes(app)
        app.add_subapp("/llm/", self.llm.app())
        app.add_routes(
            [
                web.get("/", _file("index.html", "text/html")),
                web.get("/style.css", _file("style.css", "text/css")),
                *(web.get(f"/{name}", _file(name, "text/javascript")) for name in SCRIPTS),
                web.get("/sandbox/world", self._get_world),
                web.get("/sandbox/messages", self._get_messages),
                web.get("/sandbox/stats", self._get_stats),
                web.get("/sandbox/events", self._get_events),
                web.post("/sandbox/bots", self._post_bots),
                web.post("/sandbox/chats", self._post_chats),
                web.post("/sandbox/say", self._post_say),
                web.post("/sandbox/edit", self._post_edit),
                web.post("/sandbox/react", self._post_react),
                web.post("/sandbox/members", self._post_members),
                web.post("/sandbox/limits", self._post_limits),
                web.post("/sandbox/faults", self._post_faults),
                web.delete("/sandbox/faults", self._delete_faults),
            ]
        )
        return app

    async def _get_world(self, request: web.Request) -> web.Response:
        world = self.world
        return web.json_response(
            {
                "header": world.header,
                "bots": [
                    {
                        "id": bot.id,
                        "name": bot.name,
                        "username": bot.username,
                        "colour": bot.colour,
                        "description": bot.description,
                    }
                    for bot in world.bots.values()
                ],
                "people": [{"id": who.id, "name": who.name} for who in world.people.values()],
                "chats": [
                    {
                        "id": group.id,
                        "title": group.title,
                        "bots": list(group.members),
                        "pinned": group.pinned,
                        "pinned_text": group.lines[group.pinned].text if group.pinned in group.lines else None,
                    }
                    for group in world.groups.values()
                ],
                "reactions": list(STANDARD_REACTIONS[:8]),
            }
        )

    async def _get_messages(self, request: web.Request) -> web.Response:
        chat = request.query.get("chat")
        rows = self.messages(int(chat) if chat else None)
        after = float(request.query.get("after", "0"))
        last = int(request.query.get("last", "0"))
        rows = [row for row in rows if row["at"] > after]
        return web.json_response({"messages": rows[-last:] if last else rows})

    async def _get_stats(self, request: web.Request) -> web.Response:
        books = self.api.books
        return web.json_response(
            {
                "requests": dict(books.requests),
                "throttled": books.throttled,
                "conflicts": books.conflicts,
                "violations": books.violations,
                "messages": sum(len(group.lines) for group in self.world.groups.values()),
            }
        )

    async def _get_events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.world.listeners.append(queue)
        try:
            await response.write(b": here\n\n")
            async for event in _until_end(queue):
                data = json.dumps(event, ensure_ascii=False) if event else ""
                await response.write(f"data: {data}\n\n".encode() if data else b": still here\n\n")
        except ConnectionResetError:
            pass  # the page was closed
        finally:
            self.world.listeners.remove(queue)
        return response

    async def _post_bots(self, request: web.Request) -> web.Response:
        bot = self.world.add_bot(**await _body(request))
        return web.json_response(bot.user())

    async def _post_chats(self, request: web.Request) -> web.Response:
        group = self.world.add_group(**await _body(request))
        return web.json_response(group.chat())

    async def _post_say(self, request: web.Request) -> web.Response:
        body = await _body(request)
        group = self._group(body)
        text = str(body.get("text", "")).strip()
        name = str(body.get("name", "")).strip()[:64]
        if not text or not name or len(text) > 4096:
            raise web.HTTPBadRequest(text="name and text (at most 4,096 characters) are needed")
        reply_to = int(body["reply_to"]) if body.get("reply_to") else None
        line = self.world.say(group, self.world.person(name), text, reply_to)
        return web.json_response(row(line))

    async def _post_edit(self, request: web.Request) -> web.Response:
        body = await _body(request)
        group = self._group(body)
        line = self._line(group, body)
        self.world.edit(group, line, str(body["text"]))
        return web.json_response(row(line))

    async def _post_react(self, request: web.Request) -> web.Response:
        body = await _body(request)
        group = self._group(body)
        line = self._line(group, body)
        self.world.react(group, line, self.world.person(str(body["name"])).id, body.get("emoji"))
        return web.json_response(row(line))

    async def _post_members(self, request: web.Request) -> web.Response:
        body = await _body(request)
        bot = self.world.bots.get(int(body["bot"]))
        if bot is None:
            raise web.HTTPBadRequest(text="no such bot")
        self.world.membership(self._group(body), bot, str(body["status"]))
        return web.json_response({})

    async def _post_limits(self, request: web.Request) -> web.Response:
        for key, value in (await _body(request)).items():
            if key not in {"per_second", "chat_per_second", "group_per_minute"}:
                raise web.HTTPBadRequest(text=f"no such limit: {key}")
            setattr(self.api.limits, key, float(value))
        return web.json_response(asdict(self.api.limits))

    async def _post_faults(self, request: web.Request) -> web.Response:
        self.api.faults.append(Fault(**await _body(request)))
        return web.json_response([asdict(fault) for fault in self.api.faults])

    async def _delete_faults(self, request: web.Request) -> web.Response:
        self.api.faults.clear()
        return web.json_response([])

    def _group(self, body: Mapping[str, Any]) -> Group:
        group = self.world.groups.get(int(body.get("chat", 0)))
        if group is None:
            raise web.HTTPBadRequest(text="no such chat")
        return group

    def _line(self, group: Group, body: Mapping[str, Any]) -> Line:
        line = group.lines.get(int(body.get("id", 0)))
        if line is None:
            raise web.HTTPBadRequest(text="no such message")
        return line


async def serve(
    *,
    host: str,
    port: int,
    world: Path | None,
    state: Path | None,
    on_ready: Callable[[str], None],
    until: asyncio.Event,
) -> None:
    """Run a sandbox until `until` is set.

    Args:
        world: a JSON file with bots, people and chats; None: an empty world, to be filled through the controls.
        state: a JSON-lines file that keeps what was said over restarts.
        on_ready: told the address when the server listens.

    Raises:
        OSError: the port is taken, or a file cannot be read.
        ValueError: the world file is not what it should be.
    """
    described: dict[str, Any] = json.loads(world.read_text(encoding="utf-8")) if world is not None else {}
    async with Sandbox(host=host, port=port, world=described, state=state) as box:
        on_ready(box.url)
        await until.wait()


@web.middleware
async def _guard(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """The page and the controls answer under a loopback name only, and take JSON only."""
    if request.path.startswith("/sandbox/") or request.path in PAGE_PATHS:
        if (urlsplit(f"//{request.host}").hostname or "") not in LOOPBACK:
            raise web.HTTPForbidden(text="this server answers under a loopback name only")
        origin = request.headers.get("Origin")
        if origin and (urlsplit(origin).hostname or "") not in LOOPBACK:
            raise web.HTTPForbidden(text="requests from other sites are refused")
        if request.method == "POST" and request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text="send JSON")
    response = await handler(request)
    if not response.prepared:
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY)
    return response


def _file(name: str, kind: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def give(request: web.Request) -> web.Response:
        text = await asyncio.to_thread((PAGE / name).read_text, encoding="utf-8")
        return web.Response(text=text, content_type=kind, charset="utf-8", headers={"Cache-Control": "no-cache"})

    return give


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError as error:
        raise web.HTTPBadRequest(text="not JSON") from error
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text="an object is expected")
    return body


async def _until_end(queue: asyncio.Queue[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    """Events as they come; an empty one every 15 s, so that a dead connection is noticed."""
    while True:
        event: dict[str, Any] = {}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(15):
                event = await queue.get()
        if event.get("type") == "end":
            return
        yield event
