"""The HTTP client that all providers share: httpx over aiohttp, one request, an answer read whole and bounded.

`http.py` calls it. It knows no provider and no timeout: every call is bounded by its caller.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Final

import httpx
from httpx_aiohttp import AiohttpTransport

from piyasad.providers.answer import Answer

MOST_CONNECTIONS: Final = 2_000  # httpx and aiohttp both stop at 100 unless told otherwise
MOST_ANSWERED: Final = 1 << 20  # bytes of an answer; a line of chat and what was thought before it take a fiftieth


class TooMuch(Exception):
    """An answer that no text needs."""


class Client(httpx.AsyncClient):
    """httpx's client with a short way for calls that need no cookies, redirects or merged headers: half the CPU."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        super().__init__(transport=transport, timeout=None, trust_env=False)
        self._way = transport

    async def ask(
        self,
        method: str,
        url: httpx.URL,
        content: bytes | None,
        headers: Mapping[str, str],
        *,
        most: int = MOST_ANSWERED,
    ) -> Answer:
        """One request, its answer read whole, up to `most` bytes packed and unpacked. Raises what the transport does.

        Raises:
            TooMuch: the answer is longer, or packed in a way that was not asked for.
        """
        response = await self._way.handle_async_request(httpx.Request(method, url, content=content, headers=headers))
        try:
            data = bytearray()
            async for chunk in response.aiter_raw():
                data += chunk
                if len(data) > most:
                    raise TooMuch(f"more than {most:,} bytes")
        finally:
            await response.aclose()
        return Answer(response.status_code, response.headers, _unpacked(bytes(data), response.headers, most))


def make_client(verify: bool = True) -> Client:
    """The client that all providers share: httpx over aiohttp, which carries 256 calls in flight at a tenth of the CPU.

    It has no timeout of its own: every call is bounded by its caller.
    """
    limits = httpx.Limits(max_connections=MOST_CONNECTIONS, max_keepalive_connections=None, keepalive_expiry=60.0)
    return Client(AiohttpTransport(verify=verify, limits=limits))


def _unpacked(data: bytes, headers: httpx.Headers, most: int) -> bytes:
    packing = headers.get("content-encoding", "").strip().lower()
    if packing in {"", "identity"}:
        return data
    if packing not in {"gzip", "x-gzip", "deflate"}:
        raise TooMuch(f"packed as {packing[:20]}")
    for bits in (47, -15):  # gzip and zlib by their first bytes; then deflate without any
        unpacker = zlib.decompressobj(bits)
        try:
            found = unpacker.decompress(data, most + 1)
        except zlib.error:
            continue
        if len(found) > most:
            raise TooMuch(f"more than {most:,} bytes")
        return found
    raise TooMuch("broken packing")
