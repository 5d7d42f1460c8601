"""The operator's pages over real HTTP: health, readiness, metrics, reload, and who is let in."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, Protocol
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio

from piyasad.config import Settings
from piyasad.config.load import ConfigError
from piyasad.metrics import Metrics
from piyasad.ops.http import HttpServer
from piyasad.ops.readiness import Readiness

ENV = {"ADMIN": "doğru-parola"}


class Daemon:
    """What the pages ask for, as the test says."""

    def __init__(self) -> None:
        self.state = Readiness(ready=True)
        self.reloads = 0

    def ready(self) -> Readiness:
        return self.state

    def publish(self) -> None:
        return None

    def ask_reload(self) -> None:
        self.reloads += 1


class Serve(Protocol):
    async def __call__(self, listen: str = ..., **http: Any) -> str: ...


def settings(listen: str, **http: Any) -> Settings:
    return Settings.model_validate({"gateway": {"route": ["offline"]}, "http": {"listen": listen, **http}})


def server(
    daemon: Daemon, listen: str, shard: tuple[int, int] = (0, 1), *, exact: bool = True, **http: Any
) -> HttpServer:
    return HttpServer(settings(listen, **http), shard, Metrics(), daemon, ENV, exact=exact)


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


@pytest_asyncio.fixture
async def serve(daemon: Daemon) -> AsyncIterator[Serve]:
    async with AsyncExitStack() as stack:

        async def start(listen: str = "127.0.0.1:0", **http: Any) -> str:
            pages = server(daemon, listen, **http)
            await pages.start()
            stack.push_async_callback(pages.stop)
            return pages.url

        yield start


@pytest_asyncio.fixture
async def web() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_health_metrics_and_index_are_there(serve: Serve, web: aiohttp.ClientSession) -> None:
    url = await serve()
    async with web.get(f"{url}/-/healthy") as answer:
        assert (answer.status, await answer.text()) == (200, "piyasad is healthy.\n")
    async with web.get(f"{url}/metrics") as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert "piyasad_lease_lost_total 0.0\n" in await answer.text()
    async with web.get(url) as answer:
        page = await answer.text()
    for path in ("/metrics", "/-/healthy", "/-/ready"):
        assert f'href="{path}"' in page


async def test_not_ready_is_503_and_says_why(serve: Serve, web: aiohttp.ClientSession, daemon: Daemon) -> None:
    url = await serve()
    async with web.get(f"{url}/-/ready") as answer:
        assert answer.status == 200
    daemon.state = Readiness(ready=False, reasons=["starting", "no <lease>"])
    async with web.get(f"{url}/-/ready") as answer:
        assert (answer.status, await answer.text()) == (503, "not ready: starting; no <lease>\n")
    async with web.get(url) as answer:
        assert "no &lt;lease&gt;" in await answer.text()


async def test_reload_is_a_post(serve: Serve, web: aiohttp.ClientSession, daemon: Daemon) -> None:
    url = await serve()
    async with web.get(f"{url}/-/reload") as answer:
        assert answer.status == 405
    assert daemon.reloads == 0
    async with web.post(f"{url}/-/reload") as answer:
        assert answer.status == 202
    assert daemon.reloads == 1


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:1", 200),
        ("LOCALHOST", 200),
        ("[::1]:9", 200),
        ("Watch.example", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("[::1", 403),
        ("", 403),
    ],
)
async def test_a_strange_host_is_refused(serve: Serve, web: aiohttp.ClientSession, host: str, status: int) -> None:
    url = await serve(hosts=["watch.example"])
    async with web.get(f"{url}/metrics", headers={"Host": host}) as answer:
        assert answer.status == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 202),
        ("http://{own}", 202),
        ("https://watch.example", 202),
        ("http://localhost:8420", 403),  # another page on this machine
        ("https://evil.example", 403),
        ("null", 403),
        ("http://[::1", 403),
    ],
)
async def test_posts_of_other_sites_are_refused(
    serve: Serve, web: aiohttp.ClientSession, daemon: Daemon, origin: str | None, status: int
) -> None:
    url = await serve(hosts=["watch.example"])
    headers = {} if origin is None else {"Origin": origin.replace("{own}", url.removeprefix("http://"))}
    async with web.post(f"{url}/-/reload", headers=headers) as answer:
        assert answer.status == status
    assert daemon.reloads == (status == 202)


async def test_the_token_guards_all_but_monitoring(serve: Serve, web: aiohttp.ClientSession, daemon: Daemon) -> None:
    url = await serve(admin_token_env="ADMIN")
    for path in ("/metrics", "/-/healthy", "/-/ready"):
        async with web.get(url + path) as answer:
            assert answer.status == 200
    for header in (None, "Bearer falsch", "Bearer", "Basic doğru-parola"):
        async with web.post(f"{url}/-/reload", headers={"Authorization": header} if header else {}) as answer:
            assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    async with web.get(url) as answer:
        assert answer.status == 401
    assert daemon.reloads == 0
    async with web.post(f"{url}/-/reload", headers={"Authorization": f"bearer {ENV['ADMIN']}"}) as answer:
        assert answer.status == 202


async def test_a_token_that_is_not_set_opens_nothing(serve: Serve, web: aiohttp.ClientSession, daemon: Daemon) -> None:
    url = await serve(admin_token_env="UNSET")
    for header in ({}, {"Authorization": "Bearer "}):
        async with web.post(f"{url}/-/reload", headers=header) as answer:
            assert (answer.status, await answer.text()) == (401, "no admin token is set\n")
    assert daemon.reloads == 0


def test_beyond_loopback_the_token_must_be_set(daemon: Daemon) -> None:
    with pytest.raises(ConfigError, match="can be reached by others"):
        server(daemon, "0.0.0.0:0", admin_token_env="UNSET")


async def test_listening_everywhere_the_address_connected_to_is_ours(serve: Serve, web: aiohttp.ClientSession) -> None:
    url = await serve("0.0.0.0:0", admin_token_env="ADMIN")
    port = url.rpartition(":")[2]
    async with web.get(f"http://127.0.0.2:{port}/metrics") as answer:
        assert answer.status == 200
    async with web.get(f"http://127.0.0.2:{port}/metrics", headers={"Host": "127.0.0.3"}) as answer:
        assert answer.status == 403


async def test_a_taken_port_is_a_configuration_error(daemon: Daemon) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"http\.listen: 127\.0\.0\.1:{port} .*in use.*--listen"):
            await server(daemon, f"127.0.0.1:{port}").start()


@pytest.mark.parametrize(
    ("shard", "exact", "plus"), [((0, 1), False, 0), ((0, 4), False, 0), ((3, 4), False, 3), ((3, 4), True, 0)], ids=str
)
def test_each_shard_has_a_port_of_its_own(daemon: Daemon, shard: tuple[int, int], exact: bool, plus: int) -> None:
    assert server(daemon, "127.0.0.1:9464", shard, exact=exact).address == ("127.0.0.1", 9464 + plus)


async def test_a_port_past_the_last_one_is_a_configuration_error(daemon: Daemon) -> None:
    with pytest.raises(ConfigError, match="65536"):
        await server(daemon, "127.0.0.1:65535", (1, 2), exact=False).start()


async def test_who_is_let_in_follows_a_reload(daemon: Daemon, web: aiohttp.ClientSession) -> None:
    pages = server(daemon, "127.0.0.1:0")
    await pages.start()
    async with web.post(f"{pages.url}/-/reload") as answer:
        assert answer.status == 202
    reloaded = settings("127.0.0.1:0", admin_token_env="ADMIN", hosts=["watch.example"])
    access = pages.prepare(reloaded)
    async with web.get(f"{pages.url}/metrics", headers={"Host": "watch.example"}) as answer:
        assert answer.status == 403  # prepared is not yet committed
    pages.commit(access)
    async with web.get(f"{pages.url}/metrics", headers={"Host": "watch.example"}) as answer:
        assert answer.status == 200
    async with web.post(f"{pages.url}/-/reload") as answer:
        assert answer.status == 401
    await pages.stop()


def test_a_reload_may_not_take_the_password_away_beyond_loopback(daemon: Daemon) -> None:
    pages = server(daemon, "0.0.0.0:0", admin_token_env="ADMIN")
    with pytest.raises(ConfigError, match="can be reached by others"):
        pages.prepare(settings("0.0.0.0:0", admin_token_env="UNSET"))


@pytest.mark.parametrize(
    "junk",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",  # somebody speaks TLS
        b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"POST /-/reload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: abc\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nA: " + b"x" * 10_000 + b"\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_refused_without_a_traceback_in_the_log(
    serve: Serve, caplog: pytest.LogCaptureFixture, junk: bytes
) -> None:
    address = urlsplit(await serve())
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(junk)
    async with asyncio.timeout(10):
        assert (await reader.read()).startswith(b"HTTP/1.0 400")
    writer.close()
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
