"""The sandbox's server: Telegram's Bot API, the LLM API, the page and the controls, all on one loopback address.

`piyasad sandbox` and the demo run `serve`; tests use `Sandbox` in their own process. Page and controls are for this
machine only, so that no other one and no web page elsewhere can reach them; the two APIs answer whoever reaches them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from aiohttp import web

from piyasad.sandbox.control import Control
from piyasad.sandbox.llm import LlmServer
from piyasad.sandbox.objects import Group, Line
from piyasad.sandbox.telegram import BotApi
from piyasad.sandbox.world import World

PAGE = Path(__file__).parent / "page"
SCRIPTS = ("app.js", "log.js", "compose.js")
PAGE_PATHS = frozenset({"/", "/style.css", *(f"/{name}" for name in SCRIPTS)})
CONTROLS = ("/sandbox/", "/llm/sandbox/")

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
        self.world.load({} if world is None else world)
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
            await self.stop()
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
        """Everything delivered to groups (or to one chat, by its id), in order, as the controls give it."""
        return self.world.rows(chat)

    @property
    def violations(self) -> list[dict[str, Any]]:
        """The messages that a limit refused."""
        return self.api.tally.violations

    # --- HTTP
    def _app(self) -> web.Application:
        app = web.Application(middlewares=[_guard], client_max_size=4 * 1024 * 1024)
        Control(self.world, self.api).routes(app)
        app.add_subapp("/llm/", self.llm.app())
        app.add_routes(
            [
                web.get("/", _file("index.html", "text/html")),
                web.get("/style.css", _file("style.css", "text/css")),
                *(web.get(f"/{name}", _file(name, "text/javascript")) for name in SCRIPTS),
            ]
        )
        self.api.routes(app)
        return app


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
    """The page and the controls answer to this machine only, under a loopback name, and take JSON only."""
    if request.path.startswith(CONTROLS) or request.path in PAGE_PATHS:
        if not (_is_loopback(request.remote or "") and _is_loopback(urlsplit(f"//{request.host}").hostname or "")):
            raise web.HTTPForbidden(text="this server answers this machine only, under a loopback name")
        origin = request.headers.get("Origin")
        if origin and not _is_loopback(urlsplit(origin).hostname or ""):
            raise web.HTTPForbidden(text="requests from other sites are refused")
        if request.method == "POST" and request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text="send JSON")
    response = await handler(request)
    if not response.prepared:
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY)
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
    return response


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _file(name: str, kind: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def give(request: web.Request) -> web.Response:
        text = await asyncio.to_thread((PAGE / name).read_text, encoding="utf-8")
        return web.Response(text=text, content_type=kind, charset="utf-8", headers={"Cache-Control": "no-cache"})

    return give
