"""The connection to the Bot API: one aiohttp session for all bots, aiogram's types and errors over it.

A session per bot would cost 692 KiB and 21 ms each (`parts.md`); here a bot is a small object. Requests go as JSON with
only the fields that are set, and of an answer only what is used is read into aiogram's types: validating the whole
reply of every sent message would cost more than sending it.
"""

from __future__ import annotations

import datetime
from typing import Any, cast

import aiohttp
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import PRODUCTION, TelegramAPIServer
from aiogram.exceptions import ClientDecodeError, TelegramNetworkError
from aiogram.methods import SendMessage, TelegramMethod
from aiogram.methods.base import TelegramType
from aiogram.types import Chat, Message

PUBLIC_API = "https://api.telegram.org"

CONNECT_SECONDS = 10.0
"""A connection that is not there by then was never made: such a request is surely not delivered."""

SPARE_CONNECTIONS = 100
"""Connections beside one for each long poll."""


class LeanSession(AiohttpSession):
    """aiogram's session with JSON bodies and a short way for the reply to `sendMessage`."""

    async def make_request(
        self, bot: Bot, method: TelegramMethod[TelegramType], timeout: int | None = None
    ) -> TelegramType:
        """One request; errors are aiogram's, with the transport's own as `__cause__`."""
        session = await self.create_session()
        body = method.model_dump(mode="json", exclude_none=True, exclude_unset=True, warnings=False)
        total = self.timeout if timeout is None else timeout
        try:
            async with session.post(
                self.api.api_url(token=bot.token, method=method.__api_method__),
                json=body,
                timeout=aiohttp.ClientTimeout(total=total, sock_connect=min(CONNECT_SECONDS, total)),
            ) as answer:
                text = await answer.text()
        except TimeoutError as error:
            raise TelegramNetworkError(method=method, message="the request timed out") from error
        except aiohttp.ClientError as error:
            raise TelegramNetworkError(method=method, message=type(error).__name__) from error
        if isinstance(method, SendMessage) and answer.status == 200:
            return cast(TelegramType, self._sent(text))
        response = self.check_response(bot=bot, method=method, status_code=answer.status, content=text)
        return cast(TelegramType, response.result)

    def _sent(self, text: str) -> Message:
        try:
            result: dict[str, Any] = self.json_loads(text)["result"]
            date = datetime.datetime.fromtimestamp(result["date"], datetime.UTC)
            chat = Chat.model_construct(id=result["chat"]["id"], type=result["chat"]["type"])
            return Message.model_construct(message_id=int(result["message_id"]), date=date, chat=chat)
        except (ValueError, KeyError, TypeError) as error:
            raise ClientDecodeError("not a sent message", error, None) from error


class Clients:
    """Every bot's door to the Bot API. `bot` is cheap; `close` ends the shared session."""

    def __init__(self, api_base: str, pollers: int) -> None:
        server = PRODUCTION if api_base == PUBLIC_API else TelegramAPIServer.from_base(api_base)
        self._session = LeanSession(api=server, limit=pollers + SPARE_CONNECTIONS)
        self._bots: dict[int, Bot] = {}

    def add(self, bot_id: int, token: str) -> None:
        """Make a bot known, or give it a new token."""
        known = self._bots.get(bot_id)
        if known is None or known.token != token:
            self._bots[bot_id] = Bot(token, session=self._session)

    def remove(self, bot_id: int) -> None:
        """Forget a bot."""
        self._bots.pop(bot_id, None)

    async def call(self, bot_id: int, method: TelegramMethod[TelegramType], timeout: float) -> TelegramType:
        """Make one call as a bot; `timeout` seconds for all of it.

        Raises:
            KeyError: the bot is not known.
            Exception: what `errors.classify` understands.
        """
        bot = self._bots[bot_id]
        return await self._session.make_request(bot, method, timeout=cast(int, timeout))

    async def close(self) -> None:
        """Close the shared session."""
        await self._session.close()
