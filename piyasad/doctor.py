"""`check`: everything that could be wrong with a configuration, each finding with its cure. `cli.py` prints it.

Reads the configuration, the environment and file modes; changes nothing. With `online` it asks Telegram who the bots
are. A finding never holds a secret.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from piyasad.config.persona import BotSettings
from piyasad.config.secrets import Missing, Secret, admin_token, bot_token, usable_route
from piyasad.config.settings import Settings
from piyasad.configload import ConfigError

# Keys that are read and checked, but that nothing acts upon yet. "section.*" is the whole section.
NOT_YET: Final[Mapping[str, str]] = MappingProxyType(
    {
        "news.*": "headlines in the talk",
        "facts.*": "daily figures in the talk",
        "memory.*": "what bots remember",
        "conversation.presence": "greetings at the edges of active hours",
        "guards.stance": "the stance guard",
        "guards.stance_llm": "the stance guard's second opinion",
        "guards.money": "the money guard",
        "guards.position": "the position guard",
        "guards.symbols": "the symbols guard",
        "guards.allowed_symbols": "the symbols guard",
        "privacy.forget_after_days": "forgetting people's memories",
        "gateway.budget_usd_per_day": "budgets",
        "gateway.budget_usd_per_month": "budgets",
        "telegram.mode": "webhooks",
        "telegram.webhook_base": "webhooks",
        "telegram.webhook_listen": "webhooks",
        "telegram.webhook_secret_env": "webhooks",
        "store.redis": "the shared nerve of several shards",
        "operator.*": "alerts and orders by Telegram",
    }
)
TOKENS_PER_LINE: Final = 900  # prompt and line of the shipped personas; 100,000 tokens give 110 lines (design, gateway)
_SLOTS: Final = 96  # quarters of an hour in a day


class Level(StrEnum):
    """How bad a finding is. An error keeps the daemon from running, a warning takes something away from it."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found: where it is, what it is, how to cure it."""

    level: Level
    where: str
    what: str
    cure: str = ""

    def as_json(self) -> dict[str, str]:
        """For `--json`."""
        return asdict(self) | {"level": self.level.value}


@dataclass(frozen=True, slots=True)
class Forecast:
    """Lines a day: what pace and hours want, and what the provider's daily tokens allow (None: no limit known)."""

    wanted: int
    allowed: int | None
    provider: str = ""

    @property
    def lines(self) -> int:
        """What is to be expected."""
        return self.wanted if self.allowed is None else min(self.wanted, self.allowed)


async def check(
    settings: Settings | ConfigError, env: Mapping[str, str] | None = None, *, online: bool = False
) -> list[Finding]:
    """Everything found, errors first. A `ConfigError` gives its problems; nothing else can be checked then."""
    if isinstance(settings, ConfigError):
        return [_of_problem(str(problem)) for problem in settings.problems]
    env = os.environ if env is None else env
    found = [
        *_room(settings),
        *_bots(settings, env),
        *_chats(settings),
        *_providers(settings, env),
        *_places(settings, env),
        *_not_yet(),
    ]
    if online:
        from piyasad import doctoronline  # aiohttp is needed for this alone

        tokens = [
            (bot, token) for bot in _enabled(settings) if isinstance(token := bot_token(settings, bot, env), Secret)
        ]
        found += [Finding(Level(level), *words) for level, *words in await doctoronline.ask(settings, tokens)]
    levels = list(Level)
    return sorted(found, key=lambda finding: levels.index(finding.level))


def forecast(settings: Settings, env: Mapping[str, str]) -> Forecast:
    """Expected lines of a day, by the law of delays, the hourly limit, the chats' pace and the daily tokens."""
    wanted = sum(_lines_in_slot(settings, (slot + 0.5) * 1440 / _SLOTS) for slot in range(_SLOTS))
    route, _ = usable_route(settings, env)
    allowed: int | None = 0
    name = ""
    for name in route:
        provider = settings.provider(name)
        if provider is None or provider.tpd is None:
            allowed = None
            break
        allowed = (allowed or 0) + provider.tpd // TOKENS_PER_LINE
    return Forecast(round(wanted), allowed if route else 0, name)


def _lines_in_slot(settings: Settings, minute: float) -> float:
    """Lines of all bots in the quarter of an hour around a minute of the day."""
    chats: dict[int, float] = {}
    for bot in _enabled(settings):
        open_chats = [
            chat.id
            for chat in settings.chats
            if chat.enabled and chat.id in bot.chats and not any(r.contains(minute) for r in chat.quiet_hours)
        ]
        if bot.active_hours and not any(r.contains(minute) for r in bot.active_hours):
            continue
        for chat_id in open_chats:
            chats[chat_id] = chats.get(chat_id, 0.0) + _lines_an_hour(settings, bot, minute) / len(open_chats)
    hours = 24 / _SLOTS
    return sum(min(lines, settings.pace_for(chat_id).chat_per_minute * 60) * hours for chat_id, lines in chats.items())


def _lines_an_hour(settings: Settings, bot: BotSettings, minute: float) -> float:
    pace, talk = settings.pace, settings.conversation
    prime = not pace.prime_hours or any(r.contains(minute) for r in pace.prime_hours)
    delay = (pace.prime_delay_seconds if prime else pace.mean_delay_seconds) * sum(pace.jitter) / 2
    own = (bot.pace.mean_delay_seconds or pace.mean_delay_seconds) / pace.mean_delay_seconds * bot.pace.multiplier
    silent = (1 - talk.reply_to_bots_probability) * max(0.0, 1 - talk.continue_share - 0.2)
    spoken = (1 - talk.reaction_probability) * (1 - silent)
    cap = (pace.hourly_limit.min + pace.hourly_limit.max) / 2
    return min(3600 / (delay * own) * settings.simulation.scale * spoken, cap)


def _of_problem(text: str) -> Finding:
    where, _, what = text.partition(": ")
    return Finding(Level.ERROR, where, what)


def _enabled(settings: Settings) -> list[BotSettings]:
    return [bot for bot in settings.bots if bot.enabled]


def _room(settings: Settings) -> Iterator[Finding]:
    if not settings.simulation.active:
        yield Finding(Level.WARNING, "simulation.active", "is false: nobody speaks", "set it to true")
    if not _enabled(settings):
        yield Finding(Level.WARNING, "bots", "no bot is enabled: nobody speaks", "add a [[bots]] block, or enable one")
    if not any(chat.enabled for chat in settings.chats):
        yield Finding(Level.WARNING, "chats", "no chat is enabled: nothing is said", "add a [[chats]] block")


def _bots(settings: Settings, env: Mapping[str, str]) -> Iterator[Finding]:
    open_chats = {chat.id for chat in settings.chats if chat.enabled}
    for bot in _enabled(settings):
        where = f"bot {bot.name}"
        token = bot_token(settings, bot, env)
        if isinstance(token, Missing):
            cure = "get its token from @BotFather and put it there; the others run without it"
            yield Finding(Level.WARNING, where, f"is parked: {token.reason}", cure)
        if not open_chats & set(bot.chats):
            yield Finding(Level.WARNING, where, "talks in no enabled chat", "add a chat's id to its `chats`")


def _chats(settings: Settings) -> Iterator[Finding]:
    for chat in settings.chats:
        where = f"chat {chat.title or chat.id}"
        if chat.enabled and not any(chat.id in bot.chats for bot in _enabled(settings)):
            yield Finding(Level.WARNING, where, "no enabled bot talks in it", "add its id to a bot's `chats`")
        if chat.is_basic_group:
            yield Finding(
                Level.WARNING,
                where,
                f"{chat.id} is a basic group: message ids differ per account there, so bots neither reply nor react",
                "upgrade it: in Telegram open the group's settings, make the chat history visible for new members "
                "(or give it a public link), save; then take the new id, -100…, into [[chats]] and the bots' `chats`",
            )


def _providers(settings: Settings, env: Mapping[str, str]) -> Iterator[Finding]:
    usable, missing = usable_route(settings, env)
    for name, why in missing.items():
        cure = "set it, or take the provider out of gateway.route"
        yield Finding(Level.WARNING, f"provider {name}", f"is left out of the route: {why.reason}", cure)
    if not usable:
        cure = 'set one provider\'s key, or write route = ["offline"] for lines from a grammar'
        yield Finding(Level.ERROR, "gateway.route", "no provider of the route can be used", cure)
    for name in usable:
        provider = settings.provider(name)
        if provider is not None and provider.trains_on_data:
            cure = "tell the members, or choose another provider or plan"
            yield Finding(Level.WARNING, f"provider {name}", "may train its models on what it is sent", cure)
    expected = forecast(settings, env)
    words = f"about {expected.lines} lines a day"
    if expected.allowed is not None and expected.allowed < expected.wanted:
        words += f": the pace wants {expected.wanted}, the daily tokens give {expected.allowed}"
    yield Finding(Level.NOTE, "pace", words)


def _places(settings: Settings, env: Mapping[str, str]) -> Iterator[Finding]:
    store = settings.store
    if not store.postgres:
        yield from _data_dir(store.data_dir)
    elif urlsplit(store.postgres).password and not env.get("PIYASAD_STORE__POSTGRES"):
        cure = "take it out of the file: PIYASAD_STORE__POSTGRES, or ?passfile=…"
        yield Finding(Level.WARNING, "store.postgres", "holds a password in clear", cure)
    folder = settings.secrets.dir
    if folder is not None and not folder.is_dir():
        cure = f"run: install -d -m 700 {folder}"
        yield Finding(Level.WARNING, "secrets.dir", f"{folder} is no folder", cure)
    name = settings.http.admin_token_env
    if name and admin_token(settings, env) is None:
        level = Level.WARNING if settings.http.is_loopback else Level.ERROR
        yield Finding(level, "http.admin_token_env", f"${name} is not set", f"set {name} to a long random text")


def _data_dir(folder: Path) -> Iterator[Finding]:
    there = next((p for p in (folder, *folder.parents) if p.exists()), Path("/"))
    if not there.is_dir():
        yield Finding(Level.ERROR, "store.data_dir", f"{there} is no folder", "choose another data_dir")
    elif not os.access(there, os.W_OK | os.X_OK):
        cure = f"run: chown {os.geteuid()} {there}, or choose another data_dir"
        yield Finding(Level.ERROR, "store.data_dir", f"no permission to write in {there}", cure)


def _not_yet() -> Iterator[Finding]:
    sections: dict[str, list[str]] = {}
    for key in NOT_YET:
        section, _, name = key.partition(".")
        sections.setdefault(section, []).append("every key" if name == "*" else name)
    for section, names in sections.items():
        yield Finding(Level.NOTE, f"[{section}]", f"not yet in effect: {', '.join(names)}")
