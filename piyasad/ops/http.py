"""The operator's pages: metrics, health, readiness, reload. Loopback unless told otherwise.

The engine starts it before anything slow, so that a starting daemon can already be asked. Host is checked against DNS
rebinding, Origin on posts; with an admin token everything but metrics and health needs it.
"""

from __future__ import annotations

import hmac
import html
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from piyasad.config import Settings
from piyasad.config.base import split_address
from piyasad.config.secrets import admin_token
from piyasad.configload import ConfigError, Problem
from piyasad.metrics import Metrics

OPEN_PATHS = frozenset({"/metrics", "/-/healthy", "/-/ready"})
"""What monitoring reads without the admin token."""

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether bots speak; `reasons` say why not."""

    ready: bool
    reasons: Sequence[str] = ()


class Daemon(Protocol):
    """What the pages ask of the engine."""

    def ready(self) -> Readiness:
        """Readiness now."""
        ...

    def ask_reload(self) -> None:
        """Begin a reload."""
        ...


class HttpServer:
    """The server on `[http] listen`; the port plus i - 1 … for shard i unless the address is taken as given."""

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
        self._host, port = split_address(settings.http.listen)
        self._port = port if exact or shard[1] == 1 or port == 0 else port + shard[0]
        self._metrics = metrics
        self._daemon = daemon
        token = admin_token(settings, env)
        self._token = token.reveal() if token is not None else ""
        self._hosts = LOOPBACK | {self._host} | {name.lower() for name in settings.http.hosts}
        self._runner: web.AppRunner | None = None
        if self._host not in LOOPBACK and not self._token:
            raise ConfigError(
                [
                    Problem(
                        "",
                        None,
                        "http.admin_token_env",
                        f"http.listen = {settings.http.listen} is open to others: name an environment variable that holds "
                        "a password, or listen on 127.0.0.1",
                    )
                ]
            )

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
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigError(
                [
                    Problem(
                        "",
                        None,
                        "http.listen",
                        f"{self._host}:{self._port} cannot be listened on ({error.strerror or error}); end the program "
                        "that uses it, or give another address with --listen",
                    )
                ]
            ) from error

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        host = urlsplit(f"//{request.host}").hostname or ""
        if host.lower() not in self._hosts:
            raise web.HTTPForbidden(text="this host name is not allowed; add it to [http] hosts\n")
        if request.method == "POST" and (origin := request.headers.get("Origin")):
            if (urlsplit(origin).hostname or "").lower() not in self._hosts:
                raise web.HTTPForbidden(text="requests from other sites are refused\n")
        if self._token and request.path not in OPEN_PATHS and not self._knows(request):
            raise web.HTTPUnauthorized(text="send the admin token: Authorization: Bearer …\n")
        return await handler(request)

    def _knows(self, request: web.Request) -> bool:
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        return kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token.encode())

    async def _show_metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

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
