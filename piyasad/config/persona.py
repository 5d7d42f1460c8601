"""The models of [[bots]] and [bot_defaults]: who a bot is, where it talks and how fast.

Part of the configuration's contract; every persona key is optional.
Texts are taken as written: nothing here judges or changes a persona.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from piyasad.config.section import (
    Between,
    Delay,
    Factor,
    Flag,
    Name,
    Ranges,
    Section,
    Share,
    Symbol,
    Text,
    Variable,
    fault,
)

Amount = Annotated[float, Field(strict=True, ge=-(10**12), le=10**12)]
Texts = tuple[Text, ...]


def _handle(value: str) -> str:
    name = value.removeprefix("@")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{3,31}", name):
        raise fault(f"{value!r} is no Telegram username: 4 to 32 letters, digits and _, starting with a letter")
    return name


def _style(value: Any) -> Any:
    return {"text": value} if isinstance(value, str) else value


def _member(value: int) -> int:
    if value >= 0:
        raise fault(f"{value} is no group: a group's id is negative, -100… for supergroups")
    return value


Username = Annotated[str, AfterValidator(_handle)]
ChatId = Annotated[int, Field(strict=True, ge=-(2**53), le=2**53), AfterValidator(_member)]


class BotPace(Section):
    """A bot's own pace; what is not set follows [pace]."""

    mean_delay_seconds: Delay | None = Field(None, description="s; the bot's own mean delay, before the multiplier")
    multiplier: Factor = Field(1.0, description="factor on the bot's delays; 2 is half as fast")
    typing_cps: Between | None = Field(None, description="characters/s; a number, or { min, max }")


class StyleSettings(Section):
    """How a persona writes. `style = "…"` in one string is `text`."""

    # `register` is also a method of every abstract base class, so the field has another name inside.
    register_: Text = Field("", alias="register", description="e.g. samimi, resmî, argo")
    sentence: Text = Field("", description="what its sentences are like: short, long, broken")
    emoji: Text = Field("", description="its emoji habit, in words")
    pet_phrases: Texts = Field((), description="phrases it likes; used rarely")
    address: Literal["sen", "siz"] = Field("sen", description="how it addresses others")
    text: Text = Field("", description="the style in free text")

    @property
    def register(self) -> str:
        """How formal it is."""
        return self.register_


class EmotionSettings(Section):
    """A persona's temper."""

    tone: Text = Field("", description="free text")
    empathy: Share = Field(0.5, description="0–1; above 0.5 it turns to those who complain")
    energy: Share = Field(0.5, description="0–1; calm to lively")
    anecdotes: Texts = Field((), description="little stories it may tell")


class RelationSettings(Section):
    """What a bot thinks of another."""

    bot: Name = Field(description="the other bot's name or username")
    text: Text = Field(description="free text")


class PersonaSettings(Section):
    """Who the bot is."""

    hint: Text = Field("", description="anything that has no key of its own")
    tone: Text = Field("", description="free text")
    risk_profile: Text = Field("", description="free text: low, medium, high …")
    watchlist: tuple[Symbol, ...] = Field((), description="symbols and subjects it follows")
    never_do: Texts = Field((), description="what it would never do or say")
    style: Annotated[StyleSettings, BeforeValidator(_style)] = Field(
        default_factory=StyleSettings, description="a string, or a table"
    )
    emotion: EmotionSettings = Field(default_factory=EmotionSettings, description="its temper")
    examples: Texts = Field((), description="lines as it would write them")
    relations: tuple[RelationSettings, ...] = Field((), description="what it thinks of other bots")


class StanceSettings(Section):
    """An opinion that the bot keeps."""

    topic: Name = Field(description="what it is about")
    text: Text = Field(description="the opinion in a sentence")
    symbols: tuple[Symbol, ...] = Field((), description="symbols it is about")
    side: Literal["for", "against", "neutral"] = Field("neutral", description="for, against or neutral")
    confidence: Share = Field(0.7, description="0–1")
    contradicts: Texts = Field((), description="statements that it would never agree with")


class HoldingSettings(Section):
    """A position of the virtual portfolio. It is fiction and is said to be."""

    symbol: Symbol = Field(description="what is held")
    avg_price: Amount | None = Field(None, description="average price, in the symbol's currency")
    size: Amount | None = Field(None, description="pieces")
    note: Text = Field("", description="free text")


class BotKeys(Section):
    """The keys that [[bots]] and [bot_defaults] share."""

    token_env: Variable | None = Field(None, description="environment variable that holds the token")
    token_file: Path | None = Field(None, description="file (0600) that holds the token")
    chats: tuple[ChatId, ...] = Field((), description="ids of the chats it talks in")
    enabled: Flag = Field(True, description="false: known, but silent")
    active_hours: Ranges = Field((), description="hours it talks, local time; empty: always")
    pace: BotPace = Field(default_factory=BotPace, description="its own pace")
    persona: PersonaSettings = Field(default_factory=PersonaSettings, description="who it is")
    stances: tuple[StanceSettings, ...] = Field((), description="opinions it keeps")
    holdings: tuple[HoldingSettings, ...] = Field((), description="its virtual portfolio")


class BotDefaults(BotKeys):
    """[bot_defaults]: what every bot has unless it says otherwise. Tables merge key by key, lists are replaced."""

    name: Name | None = Field(None, description="useless here, but a [[bots]] key")
    username: Username | None = Field(None, description="useless here, but a [[bots]] key")


class BotSettings(BotKeys):
    """[[bots]]: one Telegram bot with its persona."""

    name: Name = Field(description="the persona's name, without the bot mark")
    username: Username = Field(description="the bot's Telegram handle, without @")
