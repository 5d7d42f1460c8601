"""`check --online`: asks Telegram who the bots are and whether they are in their chats. Sends nothing to any chat.

`check.py` calls it with the tokens that it found. In no minute are more than 20 new tokens shown to the public API,
whose server admits about that many per address. Answers and errors never carry a token.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import aiohttp

from piyasad.clock import Clock
from piyasad.commands.check.finding import Finding, Level
from piyasad.config.persona import BotSettings
from piyasad.config.secrets import Secret
from piyasad.config.service import TelegramSettings
from piyasad.config.settings import Settings

NEW_TOKENS_PER_MINUTE: Final = 20
WINDOW_SECONDS: Final = 61.0  # a minute, and a second to spare: nobody knows how the server rounds
_TIMEOUT: Final = aiohttp.ClientTimeout(total=20)

T = TypeVar("T")


async def ask(settings: Settings, tokens: Sequence[tuple[BotSettings, Secret]], clock: Clock) -> list[Finding]:
    """What is wrong with the bots' accounts and their places in the chats."""
    base = settings.telegram.api_base
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        work = [partial(_bot, session, base, bot, token) for bot, token in tokens]
        found = await paced(work, clock, most_a_minute(base) or len(work))
    return [finding for of_bot in found for finding in of_bot]


def most_a_minute(base: str) -> int | None:
    """How many new tokens a Bot API server admits in a minute; None: one of our own, any number."""
    return NEW_TOKENS_PER_MINUTE if base == TelegramSettings().api_base else None


async def paced(work: Sequence[Callable[[], Awaitable[T]]], clock: Clock, most: int) -> list[T]:
    """Do one after the other; each begins only when `until_next` says so."""
    ends: deque[float] = deque(maxlen=most)
    found: list[T] = []
    for each in work:
        await asyncio.sleep(until_next(ends, clock.mono(), most))
        found.append(await each())
        ends.append(clock.mono())
    return found


def until_next(ends: Sequence[float], now: float, most: int) -> float:
    """Seconds until one more may begin so that no sliding minute sees more than `most`.

    A server counts a request somewhere between its beginning and its end, so the last `most` count from their ends.
    """
    return max(0.0, ends[-most] + WINDOW_SECONDS - now) if len(ends) >= most else 0.0


async def _bot(session: aiohttp.ClientSession, base: str, bot: BotSettings, token: Secret) -> list[Finding]:
    where = f"bot {bot.name}"
    me, error = await _call(session, base, token, "getMe")
    if me is None:
        return [Finding(Level.WARNING, where, f"getMe: {error}", "copy the token from @BotFather again (/token)")]
    found: list[Finding] = []
    username = str(me.get("username", ""))
    if username.lower() != bot.username.lower():
        cure = f'write username = "{username}", or use the other bot\'s token'
        found.append(Finding(Level.WARNING, where, f"the token is that of @{username}, not @{bot.username}", cure))
    for chat_id in bot.chats:
        member, error = await _call(session, base, token, "getChatMember", chat_id=chat_id, user_id=me.get("id"))
        status = member.get("status") if member else None
        if status not in {"creator", "administrator", "member", "restricted"}:
            what = f"is not in {chat_id}: {error or status}"
            cure = "add the bot to the group, or take the id out of its `chats`"
            found.append(Finding(Level.WARNING, where, what, cure))
    return found


async def _call(
    session: aiohttp.ClientSession, base: str, token: Secret, method: str, **parameters: Any
) -> tuple[dict[str, Any] | None, str]:
    """The result, or None and why not. The address holds the token, so no error's own text is passed on."""
    try:
        async with session.post(f"{base}/bot{token.reveal()}/{method}", json=parameters) as response:
            answer = await response.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        return None, f"Telegram cannot be reached ({type(error).__name__})"
    if not isinstance(answer, dict) or not answer.get("ok") or not isinstance(answer.get("result"), dict):
        words = answer.get("description") if isinstance(answer, dict) else None
        return None, str(words or "no answer that makes sense")
    return answer["result"], ""
