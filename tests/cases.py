"""Builders that tests share: personas, rooms and guard cases, as small as a test needs them."""

from __future__ import annotations

from collections.abc import Sequence

from piyasad.chat.window import Line
from piyasad.config import BotSettings
from piyasad.guards.case import Case
from piyasad.model import Kind, Message
from piyasad.personas.profile import Persona

CHAT = -1001000000001


def persona(bot_id: int = 7, name: str = "Ali Hoca", username: str = "ali_hoca_bot", **keys: object) -> Persona:
    """A persona as the configuration would make it."""
    return Persona.of(BotSettings.model_validate({"name": name, "username": username, **keys}), bot_id)


def line(number: int, text: str, *, bot: Persona | None = None, at: float = 0.0, **keys: object) -> Message:
    """A line of the room: the bot's, or a member's."""
    made: dict[str, object] = {
        "id": number,
        "chat_id": CHAT,
        "bot_id": bot.bot_id if bot else None,
        "author": bot.name if bot else "Deniz",
        "kind": Kind.CONTINUE if bot else Kind.PERSON,
        "text": text,
        "at": at,
        "telegram_id": number,
        "user_id": None if bot else 501,
    }
    return Message(**{**made, **keys})  # type: ignore[arg-type]


def case(
    text: str,
    *,
    lines: Sequence[Line] = (),
    recent: dict[str, float] | None = None,
    short: Sequence[float] = (),
    now: float = 0.0,
    system: str = "",
) -> Case:
    """A guard's case for Ali Hoca, with Ayşe Scalper in the room."""
    me = persona()
    other = persona(8, "Ayşe Scalper", "ayse_scalper_bot")
    return Case(text, me, {me.bot_id: me, other.bot_id: other}, lines, recent or {}, short, now, system)
