"""`check`: everything that could be wrong with a configuration, each finding with its cure. `cli.py` prints it.

Reads the configuration, the environment and file modes; changes nothing. With `online` it asks Telegram who the bots
are, and the LLM providers for their models and one tiny text each. A finding never holds a secret.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from piyasad.bots.forecast import forecast_words
from piyasad.clock import Clock, SystemClock
from piyasad.commands.check.finding import Finding, Level
from piyasad.config.load import ConfigError, Problem
from piyasad.config.persona import BotSettings
from piyasad.config.secrets import Missing, Secret, admin_token, bot_token, provider_keys, usable_route
from piyasad.config.settings import Settings

__all__ = ["NOT_YET", "Finding", "Level", "check"]

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
        "telegram.mode": "webhooks",
        "telegram.webhook_base": "webhooks",
        "telegram.webhook_listen": "webhooks",
        "telegram.webhook_secret_env": "webhooks",
        "store.redis": "the shared sharing but for quotas, which shards do share",
        "operator.*": "alerts and orders by Telegram",
    }
)


async def check(
    settings: Settings | ConfigError,
    env: Mapping[str, str] | None = None,
    *,
    warnings: Iterable[Problem] = (),
    online: bool = False,
    clock: Clock | None = None,
) -> list[Finding]:
    """Everything found, errors first. A `ConfigError` gives its problems; nothing else can be checked then.

    Args:
        warnings: what reading the file found odd.
    """
    if isinstance(settings, ConfigError):
        return [_of_problem(problem, Level.ERROR) for problem in settings.problems]
    env = os.environ if env is None else env
    found = [
        *(_of_problem(problem, Level.WARNING) for problem in warnings),
        *_room(settings),
        *_bots(settings, env),
        *_chats(settings),
        *_providers(settings, env),
        *_places(settings, env),
        *_not_yet(),
    ]
    if online:
        found += await _online(settings, env, clock or SystemClock())
    levels = list(Level)
    return sorted(found, key=lambda finding: levels.index(finding.level))


async def _online(settings: Settings, env: Mapping[str, str], clock: Clock) -> list[Finding]:
    # their HTTP clients are needed for this alone
    from piyasad.commands.check import online
    from piyasad.commands.check import providers as proofs

    tokens = [(bot, token) for bot in _enabled(settings) if isinstance(token := bot_token(settings, bot, env), Secret)]
    names = [name for name in usable_route(settings, env)[0] if not _unfinished(settings, name)]
    bots, providers = await asyncio.gather(online.ask(settings, tokens, clock), proofs.ask(settings, env, clock, names))
    return bots + providers


def _of_problem(problem: Problem, level: Level) -> Finding:
    where, _, what = str(problem).partition(": ")
    return Finding(level, where, what)


def _enabled(settings: Settings) -> list[BotSettings]:
    return [bot for bot in settings.bots if bot.enabled]


def _room(settings: Settings) -> Iterator[Finding]:
    if not settings.simulation.active:
        yield Finding(Level.WARNING, "simulation.active", "is false: nobody speaks", "set it to true")
    for key, word, rows in (("bots", "bot", settings.bots), ("chats", "chat", settings.chats)):
        if not rows:
            yield Finding(Level.ERROR, key, f"there is no {word}", f"is the file whole? add a [[{key}]] block")
        elif not any(row.enabled for row in rows):
            yield Finding(Level.WARNING, key, f"no {word} is enabled: nothing is said", "enable one")


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
    route, missing = usable_route(settings, env)
    for name, why in missing.items():
        cure = "set it, or take the provider out of gateway.route"
        yield Finding(Level.WARNING, f"provider {name}", f"is left out of the route: {why.reason}", cure)
    usable = {name: provider_keys(settings, name, env) for name in route if not _unfinished(settings, name)}
    if not usable:
        cure = 'set one provider\'s key, or write route = ["offline"] for lines from a grammar'
        yield Finding(Level.ERROR, "gateway.route", "no provider of the route can be used", cure)
    for name in route:
        provider = settings.provider(name)
        unset = _unfinished(settings, name)
        if unset:
            cure = f"set [providers.{name}] {unset}, or take the provider out of gateway.route"
            yield Finding(Level.WARNING, f"provider {name}", f"is left out of the route: it has no {unset}", cure)
        elif provider is not None and provider.trains_on_data:
            cure = "tell the members, or choose another provider or plan"
            yield Finding(Level.WARNING, f"provider {name}", "may train its models on what it is sent", cure)
    keys = {name: 1 if isinstance(found, Missing) else max(1, len(found)) for name, found in usable.items()}
    yield Finding(Level.NOTE, "pace", " ".join(forecast_words(settings, keys)))


def _unfinished(settings: Settings, name: str) -> str:
    """What a provider lacks to be asked (its preset would fill it in); "" when nothing."""
    provider = settings.provider(name)
    if provider is None or provider.kind == "offline":
        return ""
    return next((key for key in ("kind", "base_url", "model") if not getattr(provider, key)), "")


def _places(settings: Settings, env: Mapping[str, str]) -> Iterator[Finding]:
    store = settings.store
    if not store.postgres:
        yield from _data_dir(store.data_dir)
    elif urlsplit(store.postgres).password and not env.get("PIYASAD_STORE__POSTGRES"):
        cure = "take it out of the file: PIYASAD_STORE__POSTGRES, or ?passfile=…"
        yield Finding(Level.WARNING, "store.postgres", "holds a password in clear", cure)
    folder = settings.secrets.dir
    if folder is not None and not os.path.isdir(folder):
        cure = f"run: install -d -m 700 {folder}"
        yield Finding(Level.WARNING, "secrets.dir", f"{folder} is no folder", cure)
    name = settings.http.admin_token_env
    if name and admin_token(settings, env) is None:
        level = Level.WARNING if settings.http.is_loopback else Level.ERROR
        yield Finding(level, "http.admin_token_env", f"${name} is not set", f"set {name} to a long random text")


def _data_dir(folder: Path) -> Iterator[Finding]:
    # os.path's words for it: Path's raise where a parent may not be entered
    there = next((p for p in (folder, *folder.parents) if os.path.exists(p)), Path("/"))
    if not os.path.isdir(there):
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
