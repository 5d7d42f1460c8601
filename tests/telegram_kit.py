"""A raw HTTP server for tests of the Bot API client: it sees what was sent and breaks the answer wherever it is told.

The sandbox behaves; this does not.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from piyasad.metrics import Metrics
from piyasad.telegram.client import Clients
from piyasad.telegram.sender import Sender

BOT, CHAT = 7200000001, -1001000000001
TOKEN = f"{BOT}:AbCdEfGhIjKlMnOpQrStUvWxYz_0123456-"

SENT = {"ok": True, "result": {"message_id": 17, "date": 1795424400, "chat": {"id": CHAT, "type": "supergroup"}}}


@dataclass
class Request:
    """What came in."""

    path: str
    body: dict[str, Any]


Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class RawServer:
    """Takes requests and answers them as `answer` says; `requests` is what was read of them to the end."""

    answer: Answer
    url: str = ""
    connections: int = 0
    requests: list[Request] = field(default_factory=list)
    before_reading: bool = False
    _read: asyncio.Queue[Request] = field(default_factory=asyncio.Queue)

    async def request(self) -> Request:
        """Wait for the next request."""
        async with asyncio.timeout(10):
            return await self._read.get()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, as many requests as come."""
        self.connections += 1
        try:
            while True:
                if self.before_reading:
                    await self.answer(writer)
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next(
                    int(line.partition(":")[2]) for line in head.lower().splitlines() if line.startswith("content-len")
                )
                body = json.loads(await reader.readexactly(length))
                self.requests.append(Request(head.split()[1], body))
                self._read.put_nowait(self.requests[-1])
                await self.answer(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def reply(
    status: int = 200,
    content: Any = None,
    *,
    kind: str = "application/json",
    headers: str = "",
    length: int | None = None,
) -> Answer:
    """An ordinary answer; `content` as JSON unless it is bytes. A `length` larger than the content cuts it short."""
    body = content if isinstance(content, bytes) else json.dumps(SENT if content is None else content).encode()

    async def answer(writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {length or len(body)}\r\n{headers}\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        if length is not None:
            writer.transport.abort()

    return answer


def refusal(status: int, description: str, **parameters: Any) -> Answer:
    """An answer as Telegram words refusals."""
    body: dict[str, Any] = {"ok": False, "error_code": status, "description": description}
    return reply(status, body | ({"parameters": parameters} if parameters else {}))


async def cut(writer: asyncio.StreamWriter) -> None:
    """End the connection at once."""
    writer.transport.abort()


async def silence(writer: asyncio.StreamWriter) -> None:
    """Say nothing until the other side has had enough."""
    await asyncio.sleep(60)


@asynccontextmanager
async def raw_server(answer: Answer, *, before_reading: bool = False) -> AsyncIterator[RawServer]:
    """A server on a free port of loopback."""
    tasks: set[asyncio.Task[None]] = set()
    raw = RawServer(answer, before_reading=before_reading)

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(raw.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    raw.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield raw
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def sender_to(url: str, *bots: tuple[int, str]) -> AsyncIterator[tuple[Sender, Metrics]]:
    """A sender whose bots talk to that address; `BOT` unless others are named."""
    clients, metrics = Clients(url, pollers=len(bots)), Metrics()
    for bot_id, token in bots or ((BOT, TOKEN),):
        clients.add(bot_id, token)
    try:
        yield Sender(clients, metrics), metrics
    finally:
        await clients.close()
