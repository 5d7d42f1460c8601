"""All there is in a fuzzed seed: the world, the machines on the one store, the members; and how it is healed."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from typing import Final

from piyasad.clock import LoopClock
from piyasad.sandbox.objects import Bot, Group
from piyasad.simulation.fuzz.daemon import Daemon
from piyasad.simulation.fuzz.process import ProcessLoop
from piyasad.simulation.fuzz.record import Asked, Line, Record, Row
from piyasad.simulation.fuzz.scenario import UNLISTED, File, Scenario, settings_of
from piyasad.simulation.fuzz.store import WELL, Link, Wire
from piyasad.simulation.model import Models
from piyasad.simulation.outside import Outside, accounts_of
from piyasad.store.in_memory import MemoryDatabase

MEMBERS: Final = tuple(
    f"{first} {last}"
    for first, last in zip(
        ("Nurşah", "Berkay", "Perihan", "Tunahan", "Gülfem", "Oktay", "Sevinç", "Cihangir", "Mualla", "Rüzgar"),
        (
            "Karabıyık",
            "Zorlutuna",
            "Demirağ",
            "Ispartalı",
            "Özgüçlü",
            "Yenidünya",
            "Tekirova",
            "Akdağlı",
            "Uluç",
            "Soylu",
        ),
        strict=True,
    )
)
QUESTIONS: Final = (
    "sizce GARAN bu hafta ne olur?", "dolar nereye gider?", "altın alınır mı bu ara?", "enflasyon neden düşmüyor?",
    "yeni başlayan biri nereden başlamalı?", "bot musun?", "faiz kararı ne olur sence?",
)  # fmt: skip
REMARKS: Final = (
    "Bugün işe giderken yine akaryakıt konuşuluyordu.", "Haberlere bakmaktan yoruldum.", "Endeks yine yatay.",
    "Katılmıyorum, geçen yıl da aynısıydı.", "/gizlilik", "Kahve molası, döneceğim.",
)  # fmt: skip

FORBIDDEN: Final = ("https://kazan.example", "garanti kazandırır", "0532 123 45 67")
"""What the model writes now and then and no guard may let through."""

TEMPTATION: Final = 0.05


class Universe:
    """One seed's world."""

    def __init__(self, scenario: Scenario, loop: ProcessLoop) -> None:
        self.scenario = scenario
        self.loop = loop
        self.rng = random.Random(f"steps/{scenario.seed}")
        self.clock = LoopClock(loop, scenario.start - loop.time())
        everything = settings_of(scenario.everything)
        accounts = accounts_of(everything)
        self.outside = Outside(accounts, self.clock, scenario.seed)
        self.ids = accounts.ids
        self.usernames = {accounts.ids[bot.name]: bot.username for bot in everything.bots}
        world = self.outside.telegram.world
        for bot in world.bots.values():
            world.add_bot(bot.id, bot.token, bot.name, bot.username, privacy=False)  # each of them could be the ear
        world.add_group(UNLISTED, "Yabancı oda")
        self.outside.models.write = tempted(self.outside.models)
        self.record = Record(
            notice=everything.disclosure.notice,
            mark=everything.disclosure.name_mark,
            listed=scenario.listed,
            secrets=tuple(accounts.env.values()),
            forbidden=FORBIDDEN,
        )
        self.every = Link()
        self.wire = Wire(loop, self.clock.wall, random.Random(f"store/{scenario.seed}"))
        self._connect_record()
        self.file: File = copy.deepcopy(scenario.file)
        self.daemons = [
            Daemon(self.outside, self.wire, self.record, self.every, index, shard, self.file)
            for index, shard in enumerate(scenario.layout)
        ]
        self._marks = 0

    def _connect_record(self) -> None:
        record, outside = self.record, self.outside
        record.arrivals, record.polls = outside.telegram.arrivals, outside.telegram.polls
        record.violations = outside.telegram.tally.violations
        record.calls, record.overruns = outside.models.calls, outside.models.overruns
        record.done = self.wire.done

    # --- members
    def group(self, chat: int) -> Group:
        """A group of the world."""
        return self.outside.telegram.world.groups[chat]

    def chat(self) -> int:
        """One of the listed groups."""
        return self.rng.choice(sorted(self.scenario.listed))

    def say(self, who: str, *, chat: int | None = None) -> None:
        """A member says something: to a bot by name, in reply to one, to nobody, or just so."""
        rng, world = self.rng, self.outside.telegram.world
        group = self.group(chat if chat is not None else self.chat())
        self._marks += 1
        mark = f"işaret{self._marks:05d}"
        to, reply_to, words = 0, None, f"{rng.choice(REMARKS)} {mark}"
        way = rng.random()
        inside = [bot for bot, status in group.members.items() if status != "kicked"]
        if way < 0.4 and inside:
            to = rng.choice(inside)
            words = f"@{self.usernames[to]} {rng.choice(QUESTIONS)} {mark}"
        elif way < 0.6:
            lines = [line for line in list(group.lines.values())[-20:] if isinstance(line.author, Bot)]
            reply_to = rng.choice(lines).id if lines else None
            words = f"{rng.choice(QUESTIONS)} {mark}"
        elif way < 0.8:
            words = f"{rng.choice(QUESTIONS)} {mark}"
        person = world.person(who)
        line = world.say(group, person, words, reply_to)
        here = to if to and self._speaks(to, group.id) else 0
        self.record.lines.append(Line(line.at, group.id, line.id, person.id, who, words, mark, here))

    def _speaks(self, bot_id: int, chat: int) -> bool:
        """Whether every machine's file has the bot in that group."""
        return all(
            any(
                self.ids[bot["name"]] == bot_id and chat in bot["chats"] and bot.get("enabled", True)
                for bot in daemon.file["bots"]
            )
            and not daemon.broken
            for daemon in self.daemons
        ) and self.group(chat).members.get(bot_id) in {"member", "administrator"}

    # --- the machines
    def write(self, file: File, broken: str = "") -> None:
        """The file is another now, on every machine."""
        if not broken:
            self.file = file
        for daemon in self.daemons:
            daemon.file, daemon.broken = file, broken

    def heal(self) -> None:
        """Every fault ends, every machine runs, every bot is configured and where it belongs."""
        telegram, world = self.outside.telegram, self.outside.telegram.world
        telegram.faults.clear()
        self.outside.models.troubles.clear()
        self.every.mode, self.every.only = WELL, None
        whole = copy.deepcopy(self.scenario.everything)
        for bot in whole["bots"]:
            for chat in bot["chats"]:
                group = self.group(chat)
                if group.members.get(self.ids[bot["name"]]) not in {"member", "administrator"}:
                    world.membership(group, world.bots[self.ids[bot["name"]]], "member")
        self.write(whole)
        for daemon in self.daemons:
            daemon.link.mode, daemon.link.only = WELL, None
            if daemon.client is not None:
                daemon.client.reachable = True
            daemon.resume(suspended=False)
            if daemon.up:
                daemon.reload()
            else:
                daemon.start()

    @property
    def books(self) -> MemoryBooks:
        """The store's tables."""
        return MemoryBooks(self.outside.database)


class MemoryBooks:
    """The tables of the store in memory, for the judges."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def rows(self) -> Sequence[Row]:
        """Every row of a bot."""
        return [
            Row(row.id, row.bot_id, row.chat_id, str(row.state), row.reason, row.text, row.telegram_id)
            for row in self._database.ledger.rows.values()
            if row.bot_id is not None
        ]

    async def stimuli(self) -> Sequence[Asked]:
        """Every stimulus."""
        return [
            Asked(row.key.chat_id, row.key.telegram_id, row.key.bot_id, row.state, row.reason)
            for row in self._database.stimuli.rows.values()
        ]

    async def received(self) -> Sequence[tuple[int, int]]:
        """(chat, Telegram's message id) of every member's line."""
        return [
            (row.chat_id, row.telegram_id)
            for row in self._database.ledger.rows.values()
            if row.bot_id is None and row.telegram_id is not None
        ]


class tempted:  # noqa: N801 - it stands for a function
    """A writer that now and then writes what must not be sent."""

    def __init__(self, models: Models) -> None:
        self._write = models.write

    def __call__(self, last: str, rng: random.Random) -> str:
        """A line."""
        text = self._write(last, rng)
        if rng.random() >= TEMPTATION:
            return text
        return rng.choice(
            (
                f"{text} Ayrıntılar https://kazan.example adresinde.",
                "Bu hisse kesin garanti kazandırır, kaçırmayın hemen alın.",
                f"{text} Beni ara: 0532 123 45 67",
            )
        )
