"""Bots, lines and rooms for the tests of the pure rules. No I/O."""

from __future__ import annotations

from typing import Any

from piyasad.chat.window import Line, Room
from piyasad.config import BotSettings
from piyasad.model import Kind, Message
from piyasad.personas.profile import Persona

CHAT = -1001
NOW = 1_700_000_000.0
TOPICS = ("BIST", "FX", "Kripto", "Makro")


def persona(bot_id: int, name: str, username: str, **keys: Any) -> Persona:
    """A persona as the configuration would make it; `keys` are [[bots]] keys."""
    return Persona.of(BotSettings(name=name, username=username, **keys), bot_id)


def mehmet(bot_id: int = 1) -> Persona:
    return persona(
        bot_id,
        "Mehmet Yatırımcı",
        "mehmet_bot",
        persona={"watchlist": ["GARAN", "THYAO"], "relations": [{"bot": "Ali Hoca", "text": "sayar"}]},
        stances=[{"topic": "BIST", "text": "Uzun vade kazandırır.", "side": "for"}],
    )


def ayse(bot_id: int = 2) -> Persona:
    return persona(
        bot_id, "Ayşe Scalper", "ayse_bot", persona={"watchlist": ["BTCUSDT", "SISE"], "style": "kısa, kesik cümleler"}
    )


def ali(bot_id: int = 3) -> Persona:
    return persona(
        bot_id,
        "Ali Hoca",
        "ali_bot",
        persona={"watchlist": ["USDTRY", "enflasyon"], "emotion": {"empathy": 0.9}},
        stances=[{"topic": "Makro", "text": "Enflasyon düşmeden faiz inmez.", "symbols": ["USDTRY"]}],
    )


def zeynep(bot_id: int = 4) -> Persona:
    return persona(bot_id, "Zeynep Yeni", "zeynep_bot", persona={"hint": "Borsaya yeni başlayan biri."})


def roster() -> dict[int, Persona]:
    """The four, in the configuration's order."""
    return {each.bot_id: each for each in (mehmet(), ayse(), ali(), zeynep())}


class Talk:
    """A room that is filled line by line; ids count up from 1."""

    def __init__(self, topics: tuple[str, ...] = TOPICS) -> None:
        self.room = Room(CHAT, topics)
        self.count = 0

    def bot(
        self,
        bot_id: int,
        text: str = "Bence böyle.",
        *,
        ago: float = 60.0,
        to: int | None = None,
        at: float | None = None,
    ) -> int:
        """A bot's line; returns its Telegram id."""
        return self._add(bot_id, None, f"Bot {bot_id}", Kind.REPLY if to else Kind.CONTINUE, text, ago, to, at)

    def person(
        self,
        text: str = "Bugün piyasa hareketli.",
        *,
        user: int = 500,
        name: str = "Cem",
        ago: float = 60.0,
        to: int | None = None,
        at: float | None = None,
    ) -> int:
        """A member's line; returns its Telegram id."""
        return self._add(None, user, name, Kind.PERSON, text, ago, to, at)

    def line(self, telegram_id: int) -> Line:
        """The room's line of a Telegram id."""
        line = self.room.view(NOW).line(telegram_id)
        assert line is not None
        return line

    def _add(
        self,
        bot_id: int | None,
        user: int | None,
        author: str,
        kind: Kind,
        text: str,
        ago: float,
        to: int | None,
        at: float | None,
    ) -> int:
        self.count += 1
        self.room.add(
            Message(
                id=self.count,
                chat_id=CHAT,
                bot_id=bot_id,
                author=author,
                kind=kind,
                text=text,
                at=NOW - ago if at is None else at,
                telegram_id=1000 + self.count,
                user_id=user,
                reply_to=to,
            )
        )
        return 1000 + self.count
