"""What every HTTP dialect shares: the client, one call, a refused parameter, waits, failing without showing a secret.

`openai.py`, `gemini.py` and `anthropic.py` build on `HttpProvider`. Knows no dialect.
"""

from __future__ import annotations

import asyncio
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from piyasad.providers.interface import (
    BadKey,
    BadRequest,
    Completion,
    NotSent,
    ProviderError,
    Request,
    Throttled,
    TimedOut,
    Transient,
)
from piyasad.providers.limit_facts import Fact, of_headers, of_refusal

MOST_CONNECTIONS: Final = 2_000  # httpx and aiohttp both stop at 100 unless told otherwise
_MOST_MESSAGE: Final = 300  # characters of a provider's message that we repeat

_AGAIN = re.compile(r"(?:try again|retry)[^.]{0,12} in ((?:\d+(?:\.\d+)?(?:ms|h|m|s))+)", re.IGNORECASE)
_PIECE = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_UNIT: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_UNSUPPORTED = re.compile(r"unsupported|not support|unknown|unrecognized|deprecated|not permitted|extra", re.IGNORECASE)
_DAY = re.compile(r"per[ _-]?day|\b[RT]PD\b", re.IGNORECASE)
_MINUTE = re.compile(r"per[ _-]?min|\b[RT]PM\b", re.IGNORECASE)


class Client(httpx.AsyncClient):
    """httpx's client with a short way for calls that need no cookies, redirects or merged headers: half the CPU."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        super().__init__(transport=transport, timeout=None, trust_env=False)
        self._way = transport

    async def ask(
        self, method: str, url: httpx.URL, content: bytes | None, headers: Mapping[str, str]
    ) -> httpx.Response:
        """One request, its answer read whole. Raises what the transport does."""
        response = await self._way.handle_async_request(httpx.Request(method, url, content=content, headers=headers))
        try:
            await response.aread()
        except BaseException:
            await response.aclose()
            raise
        return response


def make_client(verify: bool = True) -> Client:
    """The client that all providers share: httpx over aiohttp, which carries 256 calls in flight at a tenth of the CPU.

    It has no timeout of its own: every call is bounded by its caller.
    """
    limits = httpx.Limits(max_connections=MOST_CONNECTIONS, max_keepalive_connections=None, keepalive_expiry=60.0)
    return Client(AiohttpTransport(verify=verify, limits=limits))


class RefusedParameter(BadRequest):
    """The model does not take this parameter."""

    def __init__(self, message: str, parameter: str) -> None:
        super().__init__(message)
        self.parameter = parameter


class HttpProvider(ABC):
    """One model of one API with one key. `client` is shared and not closed here.

    One call either gives a text or raises one of the failure classes of `base.py`; it never waits and never tries
    again, but for a parameter that the model refuses: that is dropped, the call repeated, and remembered.
    """

    optional: tuple[str, ...] = ()  # parameters that may be dropped
    listing = ""  # the query by which GET /models gives all of them at once
    requests_a_day = False  # plain `x-ratelimit-*-requests` headers are about the day

    def __init__(
        self,
        name: str,
        base_url: str,
        key: str,
        model: str,
        client: Client,
        *,
        temperature: float | None = None,
    ) -> None:
        self.name = name
        self.model = model
        self._key = key
        self._client = client
        self._temperature = temperature
        self._base = base_url.rstrip("/")
        # what httpx can read without further libraries, whatever aiohttp would ask for
        self._headers = {"Content-Type": "application/json", "Accept-Encoding": "gzip, deflate"}
        self._dropped: set[str] = set()

    @property
    def allowance(self) -> int:
        """Output tokens asked for beyond the request's, because the model thinks first."""
        return 0

    def use_model(self, model: str) -> None:
        """Go on with another model; what the old one refused is forgotten."""
        self.model = model
        self._dropped.clear()

    async def complete(self, request: Request, *, timeout: float) -> Completion:
        """Make one call within `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                for _ in self.optional:
                    try:
                        return await self._call(request)
                    except RefusedParameter as refused:
                        self.forgo(refused.parameter)
                return await self._call(request)
        except TimeoutError:
            raise TimedOut(f"{self.name}: no answer within {timeout:.1f} s") from None

    async def models(self, *, timeout: float = 10.0) -> list[str]:
        """The models that this key may use, for `check --online`."""
        try:
            async with asyncio.timeout(timeout):
                response = await self._send("GET", httpx.URL(f"{self._base}/models{self.listing}"), None)
        except TimeoutError:
            raise TimedOut(f"{self.name}: no answer within {timeout:.1f} s") from None
        if response.status_code != 200:
            raise self.failure(response, {})
        return sorted(self.names_in(json_object(response.content)))

    async def close(self) -> None:  # noqa: B027 - nothing to override: the client is shared, so nothing is given back
        """Nothing to give back."""

    def forgo(self, parameter: str) -> None:
        """Remember what this model refuses."""
        self._dropped.add(parameter)

    def names_in(self, listing: dict[str, Any]) -> list[str]:
        """The models named in the answer to GET /models."""
        rows = listing.get("data")
        rows = rows if isinstance(rows, list) else []
        return [str(row["id"]) for row in rows if isinstance(row, dict) and "id" in row]

    @abstractmethod
    def url(self) -> httpx.URL:
        """Where texts are asked for."""

    @abstractmethod
    def body(self, request: Request) -> dict[str, Any]:
        """The request in this dialect, without what the model refuses."""

    @abstractmethod
    def completion(self, response: httpx.Response) -> Completion:
        """The text in a response with status 200."""

    @abstractmethod
    def failure(self, response: httpx.Response, body: dict[str, Any]) -> ProviderError:
        """The class of a response that is no answer."""

    def temperature(self, request: Request) -> float:
        """What the configuration says, else what the request asks for."""
        return request.temperature if self._temperature is None else self._temperature

    def shown(self, response: httpx.Response, message: str) -> str:
        """A failure in words that are safe to show."""
        if self._key:
            message = message.replace(self._key, "…")
        if len(message) > _MOST_MESSAGE:
            message = message[:_MOST_MESSAGE] + "…"
        return f"{self.name}: {response.status_code} {message or kind_of(response)}"

    async def _call(self, request: Request) -> Completion:
        body = self.body(request)
        response = await self._send("POST", self.url(), json.dumps(body, ensure_ascii=False).encode())
        if response.status_code == 200:
            return self.completion(response)
        error = self.failure(response, body)
        error.facts += self.facts(response)
        if isinstance(error, Throttled):
            error.facts += of_refusal(response.text, error.retry_after)
        elif isinstance(error, BadRequest) and not isinstance(error, RefusedParameter):
            error.facts += of_refusal(response.text)
        raise error

    def facts(self, response: httpx.Response) -> tuple[Fact, ...]:
        """What a response's headers say about limits."""
        return of_headers(response.headers.raw, requests_a_day=self.requests_a_day)

    async def _send(self, method: str, url: httpx.URL, content: bytes | None) -> httpx.Response:
        """One request. Raises `NotSent` when it surely did not leave, `Transient` when nobody knows."""
        try:
            return await self._client.ask(method, url, content, self._headers)
        except httpx.TransportError as error:
            # httpx-aiohttp calls a connection cut after the request "ConnectTimeout": only the cause tells them apart.
            cause = error.__cause__
            if isinstance(cause, aiohttp.ClientConnectorError) or type(error) is httpx.UnsupportedProtocol:
                raise NotSent(f"{self.name}: cannot connect ({type(cause).__name__})") from None
            raise Transient(f"{self.name}: connection lost ({type(cause or error).__name__})") from None
        except UnicodeEncodeError:
            raise BadKey(f"{self.name}: the key holds a character that no key has") from None
        except (httpx.DecodingError, aiohttp.ClientError) as error:
            raise Transient(f"{self.name}: broken answer ({type(error).__name__})") from None


def refused_parameter(message: str, body: dict[str, Any], optional: tuple[str, ...]) -> str | None:
    """The optional parameter of ours that a refusal is about, if it is about one."""
    if _UNSUPPORTED.search(message):
        return next((name for name in optional if name in body and name in message), None)
    return None


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
