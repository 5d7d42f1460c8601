"""What differs between two configurations: for a reload, which touches nothing else, and for `plan`.

Pure: two `Settings` in, a `Changes` out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from piyasad.config.section import Section
from piyasad.config.settings import Settings

# Settings that are read once, when the process starts. A name without a dot means the whole section.
RESTART: Final = (
    "store.postgres",
    "store.redis",
    "store.data_dir",
    "http",
    "daemon.start_timeout_seconds",
    "daemon.log_format",
    "telegram.api_base",
    "telegram.mode",
    "telegram.webhook_base",
    "telegram.webhook_listen",
    "simulation.seed",
)
_LISTS: Final = ("bots", "chats", "providers", "bot_defaults")


@dataclass(frozen=True, slots=True)
class Delta:
    """Names (bots, providers) or ids (chats) by what became of them, in the order of the files."""

    added: tuple[str | int, ...] = ()
    removed: tuple[str | int, ...] = ()
    changed: tuple[str | int, ...] = ()
    unchanged: tuple[str | int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


@dataclass(frozen=True, slots=True)
class Changes:
    """`settings` are dotted keys that differ ("pace.mean_delay_seconds"); `restart` those that wait for a restart."""

    bots: Delta
    chats: Delta
    providers: Delta
    settings: tuple[str, ...]
    restart: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.bots or self.chats or self.providers or self.settings)

    @property
    def sections(self) -> frozenset[str]:
        """The sections in which something differs."""
        return frozenset(key.partition(".")[0] for key in self.settings)


def diff(old: Settings, new: Settings) -> Changes:
    """What changes from one configuration to the other. Bots are told apart by name, chats by id."""
    keys = tuple(_keys(old, new))
    return Changes(
        bots=_delta({b.name: b for b in old.bots}, {b.name: b for b in new.bots}),
        chats=_delta({c.id: c for c in old.chats}, {c.id: c for c in new.chats}),
        providers=_delta(old.providers, new.providers),
        settings=keys,
        restart=tuple(k for k in keys if k in RESTART or k.partition(".")[0] in RESTART),
    )


def _keys(old: Settings, new: Settings) -> list[str]:
    found: list[str] = []
    for section in Settings.model_fields:
        if section in _LISTS:
            continue
        before, after = getattr(old, section), getattr(new, section)
        keys = type(before).model_fields
        found += [f"{section}.{key}" for key in keys if getattr(before, key) != getattr(after, key)]
    return found


def _delta(before: Mapping[Any, Section], after: Mapping[Any, Section]) -> Delta:
    return Delta(
        added=tuple(key for key in after if key not in before),
        removed=tuple(key for key in before if key not in after),
        changed=tuple(key for key in after if key in before and before[key] != after[key]),
        unchanged=tuple(key for key in after if key in before and before[key] == after[key]),
    )
