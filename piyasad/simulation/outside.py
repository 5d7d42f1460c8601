"""The outside of a simulated daemon: Telegram, providers, database, the world's clock, and `Edges` over them.

A configuration is taken as it is, but for its secrets: every bot's id and token come from its username, every provider
that wants a key gets one. `virtual_day.py` runs one daemon on it, the fuzzer several.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from piyasad.build import Configuration, Edges, Notify, Private, Signals
from piyasad.clock import Clock
from piyasad.config.persona import BotSettings
from piyasad.config.problems import Problem
from piyasad.config.providers import ProviderSettings
from piyasad.config.secrets import bot_tokens
from piyasad.config.service import SecretsSettings
from piyasad.config.settings import Settings
from piyasad.config.snapshot import snapshot
from piyasad.guards.case import Guard
from piyasad.guards.chosen import guards_of
from piyasad.metrics import Metrics
from piyasad.ops.http import Daemon
from piyasad.sharding.leases import BEAT_SECONDS, LEASE_SECONDS
from piyasad.simulation.model import Models
from piyasad.simulation.telegram import Client, Telegram
from piyasad.store.buckets import SharedBuckets
from piyasad.store.in_memory import InMemoryStore, MemoryDatabase
from piyasad.store.interface import Store
from piyasad.telegram.client import PUBLIC_API, TelegramClient

_FIRST_ID, _IDS = 6_000_000_000, 3_000_000_000
_TOKEN_CHARS: Final = 35  # as BotFather gives them


@dataclass(frozen=True, slots=True)
class Accounts:
    """A configuration whose secrets are in `env`. `ids` are the bots' Telegram ids by name."""

    settings: Settings
    env: Mapping[str, str]
    ids: Mapping[str, int]


def accounts_of(settings: Settings) -> Accounts:
    """Give every bot an account and every provider a key, without any secret of the real ones."""
    env: dict[str, str] = {}
    ids: dict[str, int] = {}
    bots: list[BotSettings] = []
    taken: dict[int, None] = {}
    for bot in settings.bots:
        digest = hashlib.sha256(bot.username.lower().encode()).hexdigest()
        bot_id = next(i for i in itertools.count(_FIRST_ID + int(digest[:12], 16) % _IDS) if i not in taken)
        taken[bot_id] = None
        ids[bot.name] = bot_id
        variable = f"SIMULATED_TOKEN_{bot.username.upper()}"
        env[variable] = f"{bot_id}:{digest[:_TOKEN_CHARS]}"
        bots.append(bot.model_copy(update={"token_env": variable, "token_file": None}))
    providers = dict(settings.providers)
    for name in settings.gateway.route:
        provider = settings.provider(name)
        if provider is None or not (provider.api_key_env or provider.api_key_file or _asks_for_a_key(provider)):
            continue
        keys = max(1, len(provider.api_key_env) + len(provider.api_key_file))
        names = tuple(f"SIMULATED_KEY_{name.upper()}_{n}" for n in range(keys))
        env |= {variable: f"simulated {variable.lower()}" for variable in names}
        written = settings.providers.get(name) or ProviderSettings()
        providers[name] = written.model_copy(update={"api_key_env": names, "api_key_file": ()})
    changed = {"bots": tuple(bots), "providers": providers, "secrets": SecretsSettings()}
    return Accounts(settings.model_copy(update=changed), env, ids)


def configuration_of(accounts: Accounts) -> Configuration:
    """As a daemon reads it."""
    settings, env = accounts.settings, accounts.env
    seen = snapshot(settings, env, salt="simulation", file="", overlay={})
    return Configuration(
        settings, (), lambda key, words: Problem("", None, key, words), bot_tokens(settings, env), seen
    )


def _asks_for_a_key(provider: ProviderSettings) -> bool:
    return provider.kind != "offline" and (provider.base_url or "").startswith("https://")


class Outside:
    """One world. `clock` is its own, which nobody sets; daemons may have others."""

    def __init__(self, accounts: Accounts, clock: Clock, seed: int | str) -> None:
        self.accounts = accounts
        self.clock = clock
        settings = accounts.settings
        public = settings.telegram.api_base == PUBLIC_API
        self.telegram = Telegram(clock.wall, clock.mono, seed, public=public)
        self.models = Models(clock, seed)
        self.database = MemoryDatabase(clock)
        self._starts = 0
        self._furnish(settings)

    def _furnish(self, settings: Settings) -> None:
        """The bots' accounts, and the groups with the bots in them; the first of each group is its administrator."""
        world, ids = self.telegram.world, self.accounts.ids
        for bot in settings.bots:
            bot_id, token = ids[bot.name], self.accounts.env[str(bot.token_env)]
            world.add_bot(bot_id, token, bot.name, bot.username, privacy=True)
        for chat in settings.chats:
            inside = [ids[bot.name] for bot in settings.bots if chat.id in bot.chats]
            threads = [chat.thread_id] if chat.thread_id is not None else []
            world.add_group(chat.id, chat.title or str(chat.id), bots=inside[1:], admins=inside[:1], threads=threads)

    def open_store(self) -> Store:
        """A daemon's way to the database."""
        return InMemoryStore(self.database)

    def edges(
        self,
        *,
        seed: int,
        name: str = "simulation",
        clock: Clock | None = None,
        read: Callable[[], Awaitable[Configuration]] | None = None,
        store: Callable[[], Store] | None = None,
        telegram: TelegramClient | None = None,
        notify: Notify | None = None,
        guards: Callable[[Settings], list[Guard]] = guards_of,
        signals: Callable[[Signals], None] = lambda daemon: None,
        metrics: Callable[[Metrics], None] = lambda metrics: None,
        lease_seconds: float = LEASE_SECONDS,
        beat_seconds: float = BEAT_SECONDS,
    ) -> Edges:
        """The edges of a daemon in this world.

        Args:
            name: what the world's record calls it.
            signals: is handed the daemon when it can be told to stop or to reload.
            metrics: is handed its metrics.
        """

        async def read_again() -> Configuration:
            return configuration_of(self.accounts)

        async def open_store(settings: Settings, counted: Metrics) -> tuple[Store, Private | None]:
            return (store or self.open_store)(), None

        def new_id() -> str:
            self._starts += 1
            return f"{name}-{self._starts}"

        def pages(settings: Settings, counted: Metrics, daemon: Daemon) -> None:
            metrics(counted)

        @contextlib.contextmanager
        def listening(daemon: Signals) -> Iterator[None]:
            signals(daemon)
            yield

        return Edges(
            clock=clock or self.clock,
            env=self.accounts.env,
            seed=seed,
            new_id=new_id,
            host=name,
            pid=1,
            read=read or read_again,
            providers=lambda: self.models,
            open_store=open_store,
            open_telegram=lambda settings: telegram or Client(self.telegram, name),
            open_buckets=_no_buckets,
            pages=pages,
            signals=listening,
            notify=notify or Quiet(),
            guards=guards,
            own_process=False,
            lease_seconds=lease_seconds,
            beat_seconds=beat_seconds,
        )


def _no_buckets(address: str) -> SharedBuckets:
    # A simulated day is one shard, and the fuzzer's files name no Redis: the engine opens buckets in neither.
    raise ValueError("shards share nothing through Redis here")


class Quiet:
    """No service manager."""

    def ready(self, status: str) -> None:
        """Nobody is told."""

    def reloading(self) -> None:
        """Nobody is told."""

    def stopping(self) -> None:
        """Nobody is told."""

    def watchdog(self) -> None:
        """Nobody is told."""
