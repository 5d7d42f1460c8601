"""The operator's pages: metrics, health, readiness, reload. Loopback unless told otherwise.

The engine starts it before anything slow, so that a starting daemon can already be asked. Host is checked against DNS
rebinding, Origin on posts; with an admin token everything but metrics and health needs it.
"""

from __future__ import annotations

import asyncio
import hmac
import html
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from piyasad.config import Settings
from piyasad.config.load import ConfigError, Problem
from piyasad.config.secrets import admin_token
from piyasad.config.section import split_address
from piyasad.metrics import Metrics
from piyasad.ops import exposition
from piyasad.ops.readiness import Readiness

OPEN_PATHS = frozenset({"/metrics", "/-/healthy", "/-/ready"})
"""What monitoring reads without the admin token."""

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on


class _Malformed(logging.Filter):
    """Keeps out what the server logs of requests that are none: whoever sends them has his 400, and no traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


_server_log = logging.getLogger(__name__)
_server_log.addFilter(_Malformed())


@dataclass(frozen=True, slots=True)
class Access:
    """Who is let in: the host names that may be asked for, the operator's own among them, and the password."""

    hosts: frozenset[str]
    friends: frozenset[str]
    token: str
    guarded: bool


class Daemon(Protocol):
    """What the pages ask of the engine."""

    def ready(self) -> Readiness:
        """Readiness now."""
        ...

    def publish(self) -> None:
        """Bring the gauges up to date: they are about to be read."""
        ...

    def ask_reload(self) -> None:
        """Begin a reload."""
        ...


class HttpServer:
    """The server on `[http] listen`: shard i of n > 1 takes the port plus i, unless the address is taken as given."""

    def __init__(
        self,
        settings: Settings,
        shard: tuple[int, int],
        metrics: Metrics,
        daemon: Daemon,
        env: Mapping[str, str],
        *,
        exact: bool,
    ) -> None:
        """Nothing is opened yet.

        Args:
            exact: the address is `--listen`'s.

        Raises:
            ConfigError: others could reach the pages without a password.
        """
        self._host, port = split_address(settings.http.listen)
        self._port = port if exact or shard[1] == 1 or port == 0 else port + shard[0]
        self._metrics = metrics
        self._daemon = daemon
        self._env = env
        self._runner: web.AppRunner | None = None
        self._access = self.prepare(settings)

    def prepare(self, settings: Settings) -> Access:
        """Who is to be let in after a reload; nothing has changed yet.

        Raises:
            ConfigError: others could reach the pages without a password.
        """
        friends = frozenset(name.lower() for name in settings.http.hosts)
        token = admin_token(settings, self._env)
        if token is None and not settings.http.is_loopback:
            raise _fault(
                "http.admin_token_env",
                f"http.listen = {settings.http.listen} can be reached by others: name an environment variable here "
                "that holds a password, or listen on 127.0.0.1",
            )
        return Access(
            hosts=LOOPBACK | {self._host.lower()} | friends,
            friends=friends,
            token=token.reveal() if token is not None else "",
            guarded=settings.http.admin_token_env is not None,
        )

    def commit(self, access: Access) -> None:
        """Let these in from now on."""
        self._access = access

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it listens on (the true port where 0 was asked for)."""
        if self._runner is not None and self._runner.addresses:
            host, port = self._runner.addresses[0][:2]
            return host, port
        return self._host, self._port

    @property
    def url(self) -> str:
        """The same as an operator opens it."""
        host, port = self.address
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    async def start(self) -> None:
        """Listen.

        Raises:
            ConfigError: the port is taken or may not be used.
        """
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/metrics", self._show_metrics)
        app.router.add_get("/-/healthy", self._healthy)
        app.router.add_get("/-/ready", self._ready)
        app.router.add_post("/-/reload", self._reload)
        app.router.add_get("/", self._index)
        self._runner = web.AppRunner(app, access_log=None, logger=_server_log, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except (OSError, OverflowError) as error:  # overflow: the port plus i is past 65535
            await self._runner.cleanup()
            reason = getattr(error, "strerror", None) or str(error)
            raise _fault(
                "http.listen",
                f"{self._host}:{self._port} cannot be listened on ({reason}); end the program that uses it, or give "
                "another address here or with --listen",
            ) from error

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if not self._is_ours(request):
            raise web.HTTPForbidden(text="this host name is not allowed; add it to [http] hosts\n")
        if request.method not in {"GET", "HEAD"} and not self._is_same_site(request):
            raise web.HTTPForbidden(text="requests from other sites are refused\n")
        if self._access.guarded and request.path not in OPEN_PATHS and not self._knows(request):
            cure = (
                "send the admin token: Authorization: Bearer …\n" if self._access.token else "no admin token is set\n"
            )
            raise web.HTTPUnauthorized(text=cure, headers={"WWW-Authenticate": "Bearer"})
        return await handler(request)

    def _is_ours(self, request: web.Request) -> bool:
        """Whether Host names us. A page of somebody else's name that resolves to this machine does not."""
        name = _name(request.host)
        if name in self._access.hosts:
            return True
        # listening everywhere: the address that was connected to is the listen address
        return self._host in WILDCARDS and request.transport is not None and name == _own_address(request.transport)

    def _is_same_site(self, request: web.Request) -> bool:
        """Whether a browser would call it so. Programs send no Origin."""
        origin = request.headers.get("Origin")
        if origin is None:
            return True
        netloc = origin.partition("://")[2].lower()
        return netloc == request.host.lower() or _name(netloc) in self._access.friends

    def _knows(self, request: web.Request) -> bool:
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        return (
            kind.lower() == "bearer"
            and self._access.token != ""
            and hmac.compare_digest(given.strip().encode(), self._access.token.encode())
        )

    async def _show_metrics(self, request: web.Request) -> web.Response:
        self._daemon.publish()
        body = await exposition.render(self._metrics)
        return web.Response(body=body, headers={"Content-Type": exposition.CONTENT_TYPE})

    async def _healthy(self, request: web.Request) -> web.Response:
        return web.Response(text="piyasad is healthy.\n")

    async def _ready(self, request: web.Request) -> web.Response:
        state = self._daemon.ready()
        if state.ready:
            return web.Response(text="piyasad is ready.\n")
        return web.Response(status=503, text=f"not ready: {'; '.join(state.reasons)}\n")

    async def _reload(self, request: web.Request) -> web.Response:
        self._daemon.ask_reload()
        return web.Response(
            status=202, text="reload begun; the log and piyasad_config_last_reload_successful tell its end\n"
        )

    async def _index(self, request: web.Request) -> web.Response:
        state = self._daemon.ready()
        word = "ready" if state.ready else "not ready: " + "; ".join(state.reasons)
        return web.Response(
            content_type="text/html",
            text=(
                "<!doctype html><html lang=en><meta charset=utf-8><title>piyasad</title>"
                f"<h1>piyasad</h1><p>{html.escape(word)}</p>"
                '<ul><li><a href="/metrics">metrics</a><li><a href="/-/healthy">healthy</a>'
                '<li><a href="/-/ready">ready</a></ul></html>'
            ),
        )


def _fault(key: str, message: str) -> ConfigError:
    return ConfigError([Problem("", None, key, message)])


def _name(netloc: str) -> str:
    """The host of "host:port", lower case, without IPv6 brackets."""
    try:
        return (urlsplit(f"//{netloc}").hostname or "").lower()
    except ValueError:  # "[::1": nobody's name
        return ""


def _own_address(transport: asyncio.BaseTransport) -> str:
    name = transport.get_extra_info("sockname")
    return str(name[0]) if name else ""
