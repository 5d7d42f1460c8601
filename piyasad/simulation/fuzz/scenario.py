"""What a seed begins with: daemons, groups, bots and their configuration, and how the file may change on the way.

Pure: everything follows from the seed.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from piyasad.config.settings import Settings

CHATS: Final = (-1001000000001, -1001000000002)
UNLISTED: Final = -1001000000009
"""A group that no configuration lists; bots are put into it."""

NAMES: Final = (
    "Ali Hoca", "Ayşe Scalper", "Mehmet Yatırımcı", "Zeynep Yeni", "Kemal Usta", "Defne Analist", "Burak Kripto",
    "Selin Tahvil",
)  # fmt: skip
TOPICS: Final = ("BIST", "FX", "Kripto", "Makro")
SYMBOLS: Final = ("GARAN", "THYAO", "USDTRY", "BTCUSDT", "EREGL", "SISE", "XAU", "EURTRY")

LAYOUTS: Final[tuple[tuple[tuple[int, int], ...], ...]] = (
    ((0, 1),),
    ((0, 1),),
    ((0, 1), (0, 1)),  # a standby
    ((0, 2), (1, 2)),
    ((0, 2), (1, 2)),
    ((0, 3), (1, 3), (2, 3)),
)
"""The shards of the daemons on the one store."""

File = dict[str, Any]
"""A configuration as its file has it."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A seed's beginning. `start` is Unix time; `busy`: the room talks so fast that Telegram's limits are met."""

    seed: int
    layout: tuple[tuple[int, int], ...]
    file: File
    everything: File
    start: float
    busy: bool

    @property
    def listed(self) -> frozenset[int]:
        """The groups that some file lists."""
        return frozenset(chat["id"] for chat in self.everything["chats"])


def scenario_of(seed: int, start: float) -> Scenario:
    """The beginning that a seed stands for. `start` is a midnight."""
    rng = random.Random(f"scenario/{seed}")
    busy = rng.random() < 0.2
    everything = _file(rng, busy=busy)
    file = copy.deepcopy(everything)
    file["bots"] = file["bots"][: rng.randrange(3, len(file["bots"]) + 1)]
    at = start + rng.randrange(0, 86_400)
    return Scenario(seed, rng.choice(LAYOUTS), file, everything, at, busy)


def settings_of(file: File) -> Settings:
    """The file's settings, without the checks that reading one makes.

    Raises:
        pydantic.ValidationError: it is no configuration.
    """
    return Settings.model_validate(copy.deepcopy(file))


def _file(rng: random.Random, *, busy: bool) -> File:
    chats = CHATS if rng.random() < 0.3 else CHATS[:1]
    names = rng.sample(NAMES, rng.randrange(4, len(NAMES) + 1))
    limits: dict[str, Any] = rng.choice(({}, {"rpm": 6, "tpm": 6_000}, {"rpd": 150}, {"tpd": 60_000}))
    pace = (
        {"mean_delay_seconds": 2.0, "prime_hours": [], "min_delay_seconds": 0.2, "max_delay_seconds": 10.0}
        | {"hourly_limit": {"min": 500, "max": 600}, "chat_per_minute": 120, "typing": False}
        if busy
        else {"mean_delay_seconds": rng.choice((20.0, 40.0)), "chat_per_minute": rng.choice((3, 6))}
    )
    route = rng.choice((["groq", "openai"], ["groq", "offline"], ["groq"]))
    bots = [_bot(rng, name, chats) for name in names]
    bots[0]["chats"] = list(chats)  # a listed group in which no bot is hears nobody
    return {
        "simulation": {"timezone": "Europe/Istanbul"},
        "pace": pace,
        "disclosure": {"notice_hours": rng.choice((0, 1, 24))},
        "gateway": {"route": route},
        "providers": {"groq": {"preset": "groq", **limits}},
        "telegram": {"idle_poll_seconds": 60.0, "poll_timeout_seconds": rng.choice((10.0, 30.0))},
        "chats": [{"id": chat, "title": f"Oda {n}", "topics": list(TOPICS)} for n, chat in enumerate(chats, 1)],
        "bots": bots,
    }


def _bot(rng: random.Random, name: str, chats: tuple[int, ...]) -> File:
    plain = name.lower().translate(str.maketrans("çğışöüâ", "cgisoua")).replace(" ", "_").replace("̇", "")
    return {
        "name": name,
        "username": f"{plain}_bot",
        "chats": list(chats if len(chats) == 1 or rng.random() < 0.7 else chats[:1]),
        "persona": {
            "tone": rng.choice(("sakin", "aceleci", "kuru", "meraklı")),
            "watchlist": rng.sample(SYMBOLS, 3),
            "style": rng.choice(("kısa cümleler", "samimi", "resmî")),
        },
    }


# --- how a file changes


def reworded(file: File, everything: File, rng: random.Random) -> File:
    """One bot speaks in another tone."""
    new = copy.deepcopy(file)
    rng.choice(new["bots"])["persona"]["tone"] = f"huysuz {rng.randrange(1000)}"
    return new


def repaced(file: File, everything: File, rng: random.Random) -> File:
    """The room's pace is another."""
    new = copy.deepcopy(file)
    new["pace"]["chat_per_minute"] = rng.choice((2, 4, 8))
    return new


def without_one(file: File, everything: File, rng: random.Random) -> File:
    """A bot is taken out."""
    new = copy.deepcopy(file)
    if len(new["bots"]) > 2:
        new["bots"].pop(rng.randrange(len(new["bots"])))
    return new


def with_one(file: File, everything: File, rng: random.Random) -> File:
    """A bot comes (back)."""
    new = copy.deepcopy(file)
    inside = {bot["name"] for bot in file["bots"]}
    missing = [bot for bot in everything["bots"] if bot["name"] not in inside]
    if missing:
        new["bots"].append(copy.deepcopy(rng.choice(missing)))
    return new


def one_disabled(file: File, everything: File, rng: random.Random) -> File:
    """A bot is switched off, or on again."""
    new = copy.deepcopy(file)
    bot = rng.choice(new["bots"])
    bot["enabled"] = not bot.get("enabled", True)
    return new


def other_limits(file: File, everything: File, rng: random.Random) -> File:
    """Telegram's limits are kept with more room."""
    new = copy.deepcopy(file)
    new["telegram"]["per_group_per_minute"] = rng.choice((10, 15, 20))
    return new


def rerouted(file: File, everything: File, rng: random.Random) -> File:
    """Other providers are asked, or in another order."""
    new = copy.deepcopy(file)
    new["gateway"]["route"] = rng.choice((["openai", "groq"], ["groq"], ["offline"], ["groq", "offline"]))
    return new


def unchanged(file: File, everything: File, rng: random.Random) -> File:
    """The same file."""
    return copy.deepcopy(file)


GOOD: Final[tuple[Callable[[File, File, random.Random], File], ...]] = (
    reworded, repaced, without_one, with_one, one_disabled, other_limits, rerouted, unchanged,
)  # fmt: skip
"""Changes that a reload takes."""


def emptied(file: File, rng: random.Random) -> File:
    """The file was cut off: nobody is left."""
    return {**copy.deepcopy(file), "bots": []}


def without_chats(file: File, rng: random.Random) -> File:
    """No group is left."""
    return {**copy.deepcopy(file), "chats": []}


def moved_store(file: File, rng: random.Random) -> File:
    """A key that needs a restart is another."""
    return {**copy.deepcopy(file), "store": {"data_dir": f"/elsewhere/{rng.randrange(100)}"}}


BAD: Final[tuple[Callable[[File, random.Random], File], ...]] = (emptied, without_chats, moved_store)
"""Changes that a reload refuses."""
