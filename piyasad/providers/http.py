"""What every HTTP dialect shares: the client, sending a request, reading waits, failing without showing a secret.

Used by `openai.py`, `gemini.py` and `anthropic.py`. Knows no dialect.
"""

from __future__ import annotations

import json
import re
from email.utils import parsedate_to_datetime
from typing import Any, Final

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from piyasad.providers.base import NotSent, Transient

MOST_CONNECTIONS: Final = 2_000  # httpx and aiohttp both stop at 100 unless told otherwise
_MOST_MESSAGE: Final = 300  # characters of a provider's message that we repeat

_AGAIN = re.compile(r"(?:try again|retry)[^.]{0,12} in ((?:\d+(?:\.\d+)?(?:ms|h|m|s))+)", re.IGNORECASE)
_PIECE = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_UNIT: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DAY = re.compile(r"per[ _-]?day|\b[RT]PD\b", re.IGNORECASE)
_MINUTE = re.compile(r"per[ _-]?min|\b[RT]PM\b", re.IGNORECASE)


def make_client(verify: bool = True) -> httpx.AsyncClient:
    """The client that all providers share: httpx over aiohttp, which carries 256 calls in flight at a tenth of the CPU.

    It has no timeout of its own: every call is bounded by its caller.
    """
    limits = httpx.Limits(max_connections=MOST_CONNECTIONS, max_keepalive_connections=None, keepalive_expiry=60.0)
    return httpx.AsyncClient(transport=AiohttpTransport(verify=verify, limits=limits), timeout=None, trust_env=False)  # noqa: S113


async def send(
    client: httpx.AsyncClient, name: str, method: str, url: httpx.URL, headers: dict[str, str], content: bytes | None
) -> httpx.Response:
    """One request. Raises `NotSent` when it surely did not leave, `Transient` when nobody knows."""
    try:
        return await client.request(method, url, content=content, headers=headers)
    except httpx.TransportError as error:
        # httpx-aiohttp calls a connection cut after the request "ConnectTimeout": only the cause tells them apart.
        cause = error.__cause__
        if isinstance(cause, aiohttp.ClientConnectorError) or type(error) is httpx.UnsupportedProtocol:
            raise NotSent(f"{name}: cannot connect ({type(cause).__name__})") from None
        raise Transient(f"{name}: connection lost ({type(cause or error).__name__})") from None
    except (httpx.DecodingError, aiohttp.ClientError) as error:
        raise Transient(f"{name}: broken answer ({type(error).__name__})") from None


def safe(message: str, key: str) -> str:
    """A provider's own words, short, without the key."""
    if key:
        message = message.replace(key, "…")
    return message if len(message) <= _MOST_MESSAGE else message[:_MOST_MESSAGE] + "…"


def wait_of(response: httpx.Response, message: str) -> float | None:
    """Seconds to wait: the longer of the header's and the body's word ("try again in 7m12.5s"); None: not said."""
    found = [seconds for seconds in (_header_wait(response), body_wait(message)) if seconds is not None]
    return max(found) if found else None


def window_of(message: str) -> str:
    """Which window a refusal is about: "day", "minute" or ""."""
    if _DAY.search(message):
        return "day"
    return "minute" if _MINUTE.search(message) else ""


def _header_wait(response: httpx.Response) -> float | None:
    headers = response.headers
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        value = headers.get("retry-after", "")
        if not value:
            return None
        if value.strip()[:1].isdigit():
            return max(0.0, float(value.strip().removesuffix("s")))
        then, now = parsedate_to_datetime(value), parsedate_to_datetime(headers.get("date", ""))
        return max(0.0, (then - now).total_seconds())
    except (ValueError, TypeError, IndexError):  # a header that says nothing we can read
        return None


def body_wait(message: str) -> float | None:
    match = _AGAIN.search(message)
    if match is None:
        return None
    return sum(float(number) * _UNIT[unit] for number, unit in _PIECE.findall(match[1]))


def json_object(content: bytes) -> dict[str, Any]:
    """The JSON object in a body; empty when it holds none."""
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def count_of(value: Any) -> int:
    """A count as a provider gives it; 0 for anything else."""
    return value if isinstance(value, int) and value > 0 else 0


def kind_of(response: httpx.Response) -> str:
    """What came instead of an answer: its content type and length, never its text."""
    kind = response.headers.get("content-type", "no content type").partition(";")[0]
    return f"{kind[:40]}, {len(response.content)} bytes"


def limit_headers(response: httpx.Response) -> dict[str, str]:
    """The rate limit headers, in lower case."""
    return {
        name.lower().decode(): value.decode("latin-1")
        for name, value in response.headers.raw
        if b"ratelimit" in name.lower()
    }
