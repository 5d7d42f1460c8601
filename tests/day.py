"""Virtual days of the shipped room for tests: one provider that gives so many tokens a day, and members who come by."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from piyasad.clock import DAY
from piyasad.config import Settings
from piyasad.config.load import default_config, load
from piyasad.gateway.quota.quota import next_reset
from piyasad.model import Kind, State
from piyasad.simulation.virtual_day import VirtualDay
from piyasad.store.memory_tables import Row
from tests.virtual import NOON

HOUR = 3600.0
CLOSES = 23 * HOUR  # the last of the four falls asleep
RESET = "00:00 Europe/Istanbul"
MIDNIGHT = next_reset(NOON, RESET)

# What members write: mentions, replies, questions to nobody, remarks; and whether it replies to the newest bot's line.
PEOPLE: tuple[tuple[str, bool], ...] = (
    ("@ali_hoca_bot enflasyon verisi sizce kalıcı bir düşüşe mi işaret ediyor?", False),
    ("Dolar ne olur sizce?", False),
    ("Bugün işe giderken yine akaryakıt konuşuluyordu, herkes zamdan dertli.", False),
    ("Mehmet abi GARAN bilançosunu okudun mu?", False),
    ("Neye dayanarak söylüyorsun bunu?", True),
    ("@ayse_scalper_bot stopu nereye koyarsın böyle bir günde", False),
    (
        "Katılmıyorum, geçen yıl da aynı şeyi duymuştuk; o zaman da beklentiler yüksekti, veri gelince herkes sustu. Bir "
        "kez daha düşünmek lazım, benden söylemesi, çünkü birikimini bu lafla kaybeden tanıdıklarım var.",
        True,
    ),
    ("Yeni başlayan biri nereden başlamalı?", False),
    ("Gram altın nereye gider", False),
    ("Zeynep sen defterine ne yazdın bugün?", False),
    ("Bu ara haberlere bakmaktan yoruldum", False),
)


def shipped(**overlay: Any) -> Settings:
    """The shipped configuration, without keys."""
    return load(default_config(), env={}, overlay={"gateway": {"route": ["offline"]}, **overlay})


def rationed(tokens: int, reset: str) -> Settings:
    """The shipped configuration on one provider that gives so many tokens a day."""
    ration = {"kind": "openai", "base_url": "http://127.0.0.1:1/v1", "model": "m", "tpd": tokens, "quota_reset": reset}
    return shipped(providers={"ration": ration}, gateway={"route": ["ration"]})


def lived(
    tokens: int, reset: str, hours: float, *, seed: int = 1, days_of_visits: int = 0, late: float = 0.0
) -> VirtualDay:
    """The room after so many hours from midnight (and `late` seconds) on."""
    day = VirtualDay(
        rationed(tokens, reset), seed=seed, start=MIDNIGHT + late, guest=lambda day: visits(day, days_of_visits)
    )
    day.run(hours)
    return day


async def visits(day: VirtualDay, days: int) -> None:
    """People come by about every 25 minutes from half past eight till the room closes."""
    rng = random.Random(f"people/{day.seed}")
    chat, number = day.settings.chats[0].id, 0
    for morning in (MIDNIGHT + n * DAY for n in range(days)):
        await asyncio.sleep(morning + 8.5 * HOUR - day.clock.wall())
        while True:
            await asyncio.sleep(rng.expovariate(1 / 1500))
            if day.clock.wall() > morning + CLOSES - 300:
                break
            text, reply = PEOPLE[number % len(PEOPLE)]
            day.people.say(chat, f"Kişi {number % 4}", text, newest_line(day, chat) if reply else None)
            number += 1


def newest_line(day: VirtualDay, chat: int) -> int | None:
    """The message id of the newest line of a bot, the notice aside."""
    lines = reversed(day.outside.telegram.world.groups[chat].lines.values())
    notice = day.settings.disclosure.notice
    return next((line.id for line in lines if line.author.user()["is_bot"] and line.text != notice), None)


def lines(day: VirtualDay) -> list[Row]:
    """What was delivered that an LLM wrote, oldest first."""
    rows = day.outside.database.ledger.rows.values()
    said = [row for row in rows if row.state is State.SENT and row.kind not in {Kind.NOTICE, Kind.FIXED}]
    return sorted(said, key=lambda row: (row.sent_at or 0.0, row.id))


def hour_of(at: float | None) -> int:
    """The hour since the first midnight."""
    return int(((at or 0.0) - MIDNIGHT) // HOUR)
