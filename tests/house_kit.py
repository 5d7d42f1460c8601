"""The whole daemon in virtual time: the real engine on `simulation/`'s world, with a store whose calls fail on command."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from piyasad.build import Configuration, House, Signals
from piyasad.clock import LoopClock
from piyasad.config.problems import ConfigError, Problem
from piyasad.config.settings import Settings
from piyasad.engine import Engine
from piyasad.metrics import Metrics
from piyasad.simulation.outside import Accounts, Outside, accounts_of, configuration_of
from piyasad.simulation.telegram import Arrival
from tests.cases import CHAT
from tests.faulty import Faults, faulty
from tests.virtual import run_virtual

T = TypeVar("T")
File = dict[str, Any]

NAMES = ("Ali Hoca", "Ayşe Scalper", "Mehmet Yatırımcı", "Zeynep Yeni")
HANDLES = ("ali_hoca_bot", "ayse_scalper_bot", "mehmet_yatirimci_bot", "zeynep_yeni_bot")

FILE: File = {
    "chats": [{"id": CHAT, "title": "Oda", "topics": ["BIST", "Makro"]}],
    "pace": {"mean_delay_seconds": 20, "prime_hours": [], "hourly_limit": {"min": 300, "max": 300}},
    "gateway": {"route": ["offline"]},
    "conversation": {"reaction_probability": 0.0},
    "bots": [
        {"name": name, "username": handle, "token_env": f"TOKEN_{handle.upper()}", "chats": [CHAT]}
        for name, handle in zip(NAMES, HANDLES, strict=True)
    ],
}


def changed(**sections: Any) -> File:
    """The file with some keys changed."""
    file = copy.deepcopy(FILE)
    for section, keys in sections.items():
        file[section] = file.get(section, {}) | keys if isinstance(keys, Mapping) else keys
    return file


def bots(*names: str, **change: Any) -> list[dict[str, Any]]:
    """The file's bots of these names; the first with some keys changed."""
    found = [copy.deepcopy(bot) for bot in FILE["bots"] if bot["name"] in names]
    found[0] |= change
    return found


class Home:
    """One daemon that lives in its world. `file` is what it finds when it reads its configuration again."""

    def __init__(self, clock: LoopClock, file: File, *, shard: tuple[int, int] = (0, 1)) -> None:
        self.clock = clock
        self.file = file
        self.accounts = _accounts(file)
        self.outside = Outside(self.accounts, clock, 1)
        self.metrics: list[Metrics] = []
        self.faults: Faults
        self._signals: list[Signals] = []
        store, self.faults = faulty(self.outside.open_store())
        edges = self.outside.edges(
            seed=1, read=self._read, store=lambda: store, signals=self._signals.append, metrics=self.metrics.append
        )
        self.engine = Engine(configuration_of(self.accounts), shard, edges)
        self.living = asyncio.create_task(self.engine.run())

    async def _read(self) -> Configuration:
        await asyncio.sleep(0)
        if not isinstance(self.file, dict):
            raise ConfigError([Problem("config.toml", 1, "", "not TOML")])
        return configuration_of(_accounts(self.file, self.accounts))

    @property
    def house(self) -> House:
        """The daemon's parts."""
        assert self.engine.house is not None
        return self.engine.house

    def id(self, name: str) -> int:
        """A bot's Telegram id."""
        return self.accounts.ids[name]

    def lines(self, name: str | None = None) -> list[Arrival]:
        """What was delivered, of one bot or of all."""
        return [
            each
            for each in self.outside.telegram.arrivals
            if each.status == 200 and (name is None or each.bot == self.id(name))
        ]

    def say(self, text: str, *, who: str = "Deniz", reply_to: int | None = None) -> int:
        """A member writes; Telegram's message id."""
        world = self.outside.telegram.world
        group = world.groups[CHAT]
        return world.say(group, world.person(who), text, reply_to).id

    async def reload(self, file: Any) -> bool:
        """The operator edits the file and sends SIGHUP."""
        self.file = file
        return await self.engine.reload()

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.engine.stop()
        return await self.living


def _accounts(file: File, known: Accounts | None = None) -> Accounts:
    """Each bot's account by its username; a reload finds those that the daemon began with."""
    made = accounts_of(Settings.model_validate(file))
    return made if known is None else Accounts(made.settings, {**known.env, **made.env}, {**known.ids, **made.ids})


def at_home(
    work: Callable[[Home], Awaitable[T]],
    file: File | None = None,
    *,
    settle: float = 60.0,
    shard: tuple[int, int] = (0, 1),
) -> T:
    """Let a daemon live for a moment, then do `work`, then stop it."""

    async def main(clock: LoopClock) -> T:
        home = Home(clock, file or copy.deepcopy(FILE), shard=shard)
        await asyncio.sleep(settle)
        if home.living.done():
            raise AssertionError(f"the daemon ended: {home.living.result()}")
        result = await work(home)
        home.faults.clear()
        await home.stop()
        return result

    return run_virtual(main)
