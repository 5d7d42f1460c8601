"""The connection to the Bot API: one aiohttp session for all bots, aiogram's types and errors over it.

A session per bot would cost 692 KiB and 21 ms each (`parts.md`); here a bot is a small object. Requests go as JSON with
only the fields that are set. Of the reply to a sent message only its id and date are read: building aiogram's `Message`
from it costs twice what sending it does. `sender.py` is the only caller.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Protocol, cast

import aiohttp
import structlog
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import PRODUCTION, TelegramAPIServer
from aiogram.exceptions import ClientDecodeError, TelegramNetworkError
from aiogram.methods import GetUpdates, Response, SendMessage, TelegramMethod
from aiogram.methods.base import TelegramType
from aiogram.types import Update
from pydantic import ValidationError

from piyasad.telegram.errors import UnknownBot
from piyasad.telegram.limits import NewTokens

log = structlog.stdlib.get_logger(__name__)

PUBLIC_API = "https://api.telegram.org"

CONNECT_SECONDS = 10.0
"""A connection that is not there by then was never made: such a request is surely not delivered."""

SPARE_CONNECTIONS = 100
"""Connections beside one for each long poll."""

SEND: Final = SendMessage(chat_id=0, text="-")
"""Stands for the method in aiogram's errors; what is sent is handed in as it goes over the wire."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is used of the answer to `sendMessage`: the message's id and date (Unix seconds)."""

    message_id: int
    date: float


class TelegramClient(Protocol):
    """The way to a Bot API for many bots: `Clients` over HTTP, the simulation's world in memory.

    What the calls raise is what `errors.classify` understands.
    """

    def add(self, bot_id: int, token: str) -> None:
        """Make a bot known, or give it a new token."""
        ...

    def remove(self, bot_id: int) -> None:
        """Forget a bot."""
        ...

    def wait_new(self, bot_id: int) -> float:
        """0 when a call may be made as this bot; seconds while the server has seen too many new tokens."""
        ...

    async def call(self, bot_id: int, method: TelegramMethod[TelegramType], timeout: float) -> TelegramType:
        """Make one call as a bot; `timeout` seconds for all of it."""
        ...

    async def ask(self, bot_id: int, method: TelegramMethod[Any], timeout: float) -> Any:
        """As `call`, but the result is plain JSON."""
        ...

    async def send_message(self, bot_id: int, body: dict[str, Any], timeout: float) -> Receipt:
        """Send one message."""
        ...

    async def close(self) -> None:
        """End every connection; calls made later fail."""
        ...


class LeanSession(AiohttpSession):
    """aiogram's session with JSON bodies, and a way past its models for the call that is made all day."""

    async def make_request(
        self, bot: Bot, method: TelegramMethod[TelegramType], timeout: int | None = None
    ) -> TelegramType:
        """One request; errors are aiogram's, with the transport's own as `__cause__`."""
        total = self.timeout if timeout is None else timeout
        if isinstance(method, GetUpdates):
            return cast(TelegramType, self._updates(bot, await self.ask(bot, method, total)))
        status, text = await self._post(bot, method, _body(method), total)
        response = self.check_response(bot=bot, method=method, status_code=status, content=text)
        return cast(TelegramType, response.result)

    async def ask(
        self, bot: Bot, method: TelegramMethod[Any], timeout: float, body: dict[str, Any] | None = None
    ) -> Any:
        """As `make_request`, but the result is what the JSON says, held against no model.

        Args:
            body: what to send in place of the method's own fields.
        """
        status, text = await self._post(bot, method, _body(method) if body is None else body, timeout)
        if status != HTTPStatus.OK:
            self.check_response(bot=bot, method=method, status_code=status, content=text)
        try:
            return self.json_loads(text)["result"]
        except (ValueError, KeyError, TypeError) as error:
            raise ClientDecodeError("not an answer of the Bot API", error, None) from error

    def check_response(
        self, bot: Bot, method: TelegramMethod[TelegramType], status_code: int, content: str
    ) -> Response[TelegramType]:
        """As aiogram's, but a refusal that does not say why (a proxy's) is none of the Bot API's."""
        if status_code != HTTPStatus.OK and not self._is_worded(content):
            raise ClientDecodeError("not an answer of the Bot API", ValueError(f"HTTP {status_code}"), None)
        return super().check_response(bot, method, status_code, content)

    def _is_worded(self, content: str) -> bool:
        try:
            answer = self.json_loads(content)
        except ValueError:
            return False
        return isinstance(answer, dict) and isinstance(answer.get("description"), str)

    def _updates(self, bot: Bot, rows: Any) -> list[Update]:
        """Each update by itself: one that aiogram cannot read must not hold back the others for ever."""
        try:
            numbers = [int(row["update_id"]) for row in rows]
        except (ValueError, KeyError, TypeError) as error:
            raise ClientDecodeError("not a list of updates", error, None) from error
        found: list[Update] = []
        for number, row in zip(numbers, rows, strict=True):
            try:
                found.append(Update.model_validate(row, context={"bot": bot}))
            except ValidationError as error:
                log.warning("telegram.update_unreadable", update=number, fields=[e["loc"] for e in error.errors()][:5])
                found.append(Update(update_id=number))
        return found

    async def send_message(self, bot: Bot, body: dict[str, Any], timeout: float) -> Receipt:
        """`sendMessage` with this body; the same errors as `make_request`."""
        result = await self.ask(bot, SEND, timeout, body)
        try:
            return Receipt(int(result["message_id"]), float(result["date"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ClientDecodeError("not a sent message", error, None) from error

    async def _post(self, bot: Bot, method: TelegramMethod[Any], body: dict[str, Any], total: float) -> tuple[int, str]:
        """One request, never a second one; the status and the text that came back."""
        session = await self.create_session()
        # Waiting for a free connection counts as connecting: a request that never got one was never made.
        limits = aiohttp.ClientTimeout(total=total, connect=min(CONNECT_SECONDS, total / 2))
        url = self.api.api_url(token=bot.token, method=method.__api_method__)
        try:
            async with session.post(url, json=body, timeout=limits, allow_redirects=False) as answer:
                return answer.status, await answer.text("utf-8", "replace")
        except TimeoutError as error:
            raise TelegramNetworkError(method=method, message="the request timed out") from error
        except aiohttp.ClientError as error:
            raise TelegramNetworkError(method=method, message=type(error).__name__) from error


def _body(method: TelegramMethod[Any]) -> dict[str, Any]:
    """The fields that are set, as they travel."""
    return method.model_dump(mode="json", exclude_none=True, exclude_unset=True, warnings=False)


class Clients:
    """Every bot's way to the Bot API. `add` is cheap; `close` ends the shared session."""

    def __init__(self, api_base: str, pollers: int) -> None:
        server = PRODUCTION if api_base == PUBLIC_API else TelegramAPIServer.from_base(api_base)
        self._session = LeanSession(api=server, limit=pollers + SPARE_CONNECTIONS)
        self._bots: dict[int, Bot] = {}
        self._new = NewTokens() if api_base == PUBLIC_API else None

    def add(self, bot_id: int, token: str) -> None:
        """Make a bot known, or give it a new token."""
        known = self._bots.get(bot_id)
        if known is None or known.token != token:
            self._bots[bot_id] = Bot(token, session=self._session)
            if known is not None and self._new is not None:
                self._new.forget(bot_id)

    def remove(self, bot_id: int) -> None:
        """Forget a bot."""
        self._bots.pop(bot_id, None)

    def wait_new(self, bot_id: int) -> float:
        """0 when a call may be made as this bot; seconds while the public API has seen too many new tokens."""
        return 0.0 if self._new is None else self._new.admit(bot_id, asyncio.get_running_loop().time())

    async def call(self, bot_id: int, method: TelegramMethod[TelegramType], timeout: float) -> TelegramType:
        """Make one call as a bot; `timeout` seconds for all of it.

        Raises:
            Exception: what `errors.classify` understands.
        """
        return await self._session.make_request(self._bot(bot_id), method, timeout=cast(int, timeout))

    async def ask(self, bot_id: int, method: TelegramMethod[Any], timeout: float) -> Any:
        """As `call`, but the result is plain JSON: for objects that grow required fields with every Bot API."""
        return await self._session.ask(self._bot(bot_id), method, timeout)

    async def send_message(self, bot_id: int, body: dict[str, Any], timeout: float) -> Receipt:
        """Send one message; raises as `call` does."""
        return await self._session.send_message(self._bot(bot_id), body, timeout)

    async def close(self) -> None:
        """Close the shared session; calls made later fail."""
        self._bots.clear()
        await self._session.close()

    def _bot(self, bot_id: int) -> Bot:
        bot = self._bots.get(bot_id)
        if bot is None:
            raise UnknownBot(bot_id)
        return bot
