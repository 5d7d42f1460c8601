"""`check --online`: asks Telegram who the bots are and whether they are in their chats. Sends nothing to any chat.

`doctor.py` calls it with the tokens that it found. At most 20 new tokens a minute are shown to the public API, whose
server admits about that many per address. Answers and errors never carry a token.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import aiohttp

from piyasad.config.persona import BotSettings
from piyasad.config.secrets import Secret
from piyasad.config.settings import Settings

NEW_TOKENS_PER_MINUTE: Final = 20
_TIMEOUT: Final = aiohttp.ClientTimeout(total=20)

Words = tuple[str, str, str, str]  # level, where, what, cure


async def ask(settings: Settings, tokens: list[tuple[BotSettings, Secret]]) -> list[Words]:
    """What is wrong with the bots' accounts and their places in the chats."""
    found: list[Words] = []
    base = settings.telegram.api_base
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        for number, (bot, token) in enumerate(tokens):
            if number >= NEW_TOKENS_PER_MINUTE and base == "https://api.telegram.org":
                await asyncio.sleep(60 / NEW_TOKENS_PER_MINUTE)
            found += await _bot(session, base, bot, token)
    return found


async def _bot(session: aiohttp.ClientSession, base: str, bot: BotSettings, token: Secret) -> list[Words]:
    where = f"bot {bot.name}"
    me, error = await _call(session, base, token, "getMe")
    if me is None:
        return [("warning", where, f"getMe: {error}", "copy the token from @BotFather again (/token)")]
    found: list[Words] = []
    if str(me.get("username", "")).lower() != bot.username.lower():
        cure = f'write username = "{me.get("username", "")}", or use the other bot\'s token'
        found.append(("warning", where, f"the token is that of @{me.get('username', '')}, not @{bot.username}", cure))
    for chat_id in bot.chats:
        member, error = await _call(session, base, token, "getChatMember", chat_id=chat_id, user_id=me.get("id"))
        status = member.get("status") if member else None
        if status not in {"creator", "administrator", "member", "restricted"}:
            what = f"is not in {chat_id}: {error or status}"
            found.append(("warning", where, what, "add the bot to the group, or take the id out of its `chats`"))
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
