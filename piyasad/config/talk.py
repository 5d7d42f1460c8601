"""The models of the sections about the talk itself: pace, conversation, guards, disclosure, news, memory.

Part of the configuration's contract. Defaults are those of the design; units stand in the descriptions.
"""

from __future__ import annotations

import math
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from piyasad.config.section import (
    Between,
    Count,
    Delay,
    Factor,
    Flag,
    HourlyLimit,
    Jitter,
    Name,
    Positive,
    Ranges,
    Rate,
    Section,
    Share,
    Span,
    Symbol,
    WebAddress,
    Zone,
    fault,
)
from piyasad.language.topics import DEFAULT_SYMBOLS
from piyasad.model import TimeRange

DEFAULT_NOTICE: Final = (
    "Bu gruptaki 🤖 işaretli hesaplar yapay zekâ karakterleridir; konuşmalar ve portföyler kurgudur. "
    "Yatırım tavsiyesi değildir. /gizlilik"
)
# BIST 30, major currencies, gold and silver, BTC and ETH, as chats write them.
DEFAULT_FEEDS: Final = (
    "https://www.aa.com.tr/tr/rss/default?cat=ekonomi",
    "https://www.bloomberght.com/rss",
    "https://www.trthaber.com/ekonomi_articles.rss",
)


class LengthShares(Section):
    """How often a line is short, medium or long; the three add up to 1."""

    short: Share = 0.55
    medium: Share = 0.35
    long: Share = 0.10

    @model_validator(mode="after")
    def _whole(self) -> Self:
        total = math.fsum((self.short, self.medium, self.long))
        if abs(total - 1) > 1e-6:
            raise fault(f"short, medium and long must add up to 1, here to {total:g}")
        return self


class PersonaRefresh(Section):
    """When a persona's core is restated in the prompt."""

    messages: Positive = Field(8, description="messages of the bot")
    minutes: Delay = Field(30, description="min")


class SimulationSettings(Section):
    """[simulation]: the whole room."""

    active: Flag = Field(True, description="false: everything stands ready and nobody speaks")
    scale: Factor = Field(1.0, description="speed of the talk; delays and typing are divided by it")
    seed: Count = Field(0, description="seed of every choice; 0: random")
    timezone: Zone = Field("Europe/Istanbul", description="IANA time zone of all hours in this file")


class PaceSettings(Section):
    """[pace]: when bots speak."""

    mean_delay_seconds: Delay = Field(30, description="s; mean from turn to turn of one bot")
    prime_delay_seconds: Delay = Field(18, description="s; the same in prime hours")
    prime_hours: Ranges = Field(
        (TimeRange(9 * 60 + 30, 12 * 60), TimeRange(14 * 60, 18 * 60)),
        description="HH:MM-HH:MM, local time; may wrap midnight; empty: always",
    )
    min_delay_seconds: Delay = Field(2, description="s; the shortest delay drawn")
    max_delay_seconds: Delay = Field(180, description="s; the longest delay drawn")
    jitter: Jitter = Field((0.7, 1.3), description="factors; each delay is multiplied by one between them")
    hourly_limit: HourlyLimit = Field(default_factory=HourlyLimit, description="messages a bot and sliding hour")
    chat_per_minute: Rate = Field(6, description="messages a chat and sliding minute, all bots together")
    burstiness: Share = Field(0.6, description="0–1; 0: Poisson, 1: bursts and lulls")
    typing: Flag = Field(True, description="show the typing indicator before a text")
    typing_cps: Between = Field(Between(min=20, max=40), description="characters/s")
    typing_seconds: Between = Field(Between(min=1, max=8), description="s; shortest and longest typing")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        low, mean, high = self.min_delay_seconds, self.mean_delay_seconds, self.max_delay_seconds
        if low > high:
            raise fault(
                f"min_delay_seconds ({low:g}) is greater than max_delay_seconds ({high:g})", "min_delay_seconds"
            )
        if not low <= mean <= high:
            raise fault(
                f"a mean of {mean:g} s cannot come from delays between min_delay_seconds ({low:g}) and "
                f"max_delay_seconds ({high:g}); widen them",
                "mean_delay_seconds",
            )
        return self


class ConversationSettings(Section):
    """[conversation]: what a turn does."""

    reply_probability: Share = Field(0.65, description="0–1")
    reply_to_bots_probability: Share = Field(0.5, description="0–1; when the last message is a bot's")
    mention_probability: Share = Field(0.35, description="0–1; name the answered bot's handle")
    reaction_probability: Share = Field(0.12, description="0–1")
    continue_share: Share = Field(0.7, description="0–1; of what neither reacts nor replies")
    bot_share_max: Share = Field(0.6, description="0–1; bots' share of messages while people talk")
    length: LengthShares = Field(default_factory=LengthShares, description="shares that add up to 1")
    history_messages: Positive = Field(15, description="messages of the room in the prompt")
    order: Literal["natural", "round_robin", "pooled", "manual"] = Field("natural", description="who speaks next")
    answer_always: Flag = Field(True, description="answer people outside active hours too")
    presence: Flag = Field(False, description="greetings and good-byes at the edges of active hours")
    persona_refresh: PersonaRefresh = Field(default_factory=PersonaRefresh, description="messages, minutes")
    language: Literal["tr", "en"] = Field("tr", description="the chat's language")


class GuardsSettings(Section):
    """[guards]: what is not sent."""

    stance: Flag = Field(True, description="refuse lines against the bot's own stances and never-do list")
    stance_llm: Flag = Field(False, description="ask an LLM where the rule is unsure")
    repetition_hours: Span = Field(12, description="h; a bot's own lines come again only after that")
    similarity: Share = Field(0.85, description="0–1; lines at least that similar to a recent one are refused")
    topic_cooldown: Flag = Field(True, description="let a topic rest after three messages of a bot in an hour")
    safety: Flag = Field(True, description="refuse promises of gain, orders to trade, links, insults …")
    money: Flag = Field(True, description="refuse prices that nothing in the prompt gave")
    position: Flag = Field(True, description="refuse claims of real trades")
    symbols: Literal["allow-list", "any"] = Field("allow-list", description="which symbols may be named")
    allowed_symbols: tuple[Symbol, ...] = Field(DEFAULT_SYMBOLS, description="the allow-list")


class DisclosureSettings(Section):
    """[disclosure]: bots are openly bots."""

    profile: Flag = Field(True, description="keep the mark and the description in the bots' profiles")
    name_mark: Annotated[str, Field(min_length=1, max_length=16)] = Field("🤖", description="in every display name")
    notice_hours: Span = Field(24, description="h between notices; 0: only the first time")
    pin: Flag = Field(True, description="pin the notice where allowed")
    notice: Annotated[str, Field(min_length=1, max_length=4096)] = Field(DEFAULT_NOTICE, description="the notice")


def _people_as(value: str) -> str:
    if value.count("{n}") != 1 or value.replace("{n}", "").count("{") + value.replace("{n}", "").count("}"):
        raise fault(f'expected a name with {{n}} in it once, like "Üye {{n}}", found {value!r}')
    return value


class PrivacySettings(Section):
    """[privacy]: members' data."""

    mask: Flag = Field(True, description="mask names, numbers, addresses before a provider sees them")
    people_as: Annotated[str, Field(max_length=64), AfterValidator(_people_as)] = Field(
        "Üye {n}", description="what people are called; {n} is a number"
    )
    forget_after_days: Positive = Field(90, description="days; what is remembered of people and not used expires")


class NewsSettings(Section):
    """[news]: feeds."""

    enabled: Flag = True
    probability: Share = Field(0.5, description="0–1; that a fitting headline enters a prompt")
    feeds: tuple[WebAddress, ...] = Field(DEFAULT_FEEDS, description="RSS or Atom addresses")
    ttl_seconds: Delay = Field(300, description="s; how long a fetched feed is good")
    max_age_hours: Delay = Field(3, description="h; older items are left out")
    allow_private: Flag = Field(False, description="allow addresses inside private networks")


class FactsSettings(Section):
    """[facts]: daily figures."""

    enabled: Flag = True
    sources: tuple[Name, ...] = Field(("tcmb",), description="where figures come from")


class MemorySettings(Section):
    """[memory]: what bots remember."""

    enabled: Flag = True
    recall: Count = Field(8, description="memories in a prompt")
    per_bot_max: Count = Field(2000, description="memories kept a bot")
