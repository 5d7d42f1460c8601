"""What differs between two configurations, and whether a reload may go from one to the other.

A reload and `plan` ask the same functions, so that they say the same. Pure: two snapshots in, words out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from piyasad.config.problems import Problem
from piyasad.config.snapshot import Item, Secrets, Snapshot, default_values

RESTART: Final = frozenset(
    {
        "simulation.seed",
        "telegram.api_base",
        "telegram.mode",
        "telegram.webhook_base",
        "telegram.webhook_listen",
        "telegram.webhook_secret_env",
        "store.postgres",
        "store.redis",
        "store.data_dir",
        "http.listen",
    }
)
"""Keys that are read once, when the process starts: a file that changes one of them is refused."""

LIVE: Final = frozenset(
    f"{section}.{key}"
    for section, keys in {
        "simulation": "active scale timezone",
        "pace": "mean_delay_seconds prime_delay_seconds prime_hours min_delay_seconds max_delay_seconds jitter "
        "hourly_limit chat_per_minute burstiness typing typing_cps typing_seconds",
        "conversation": "reply_probability reply_to_bots_probability mention_probability reaction_probability "
        "continue_share bot_share_max length history_messages order answer_always presence persona_refresh language",
        "guards": "repetition_hours similarity topic_cooldown stance stance_llm safety money position symbols "
        "allowed_symbols",
        "disclosure": "profile name_mark notice_hours pin notice",
        "privacy": "mask people_as forget_after_days",
        "news": "enabled probability feeds ttl_seconds max_age_hours allow_private",
        "facts": "enabled sources",
        "memory": "enabled recall per_bot_max",
        "gateway": "local_only route deadlines timeout_seconds pace_daily_quota budget_usd_per_day "
        "budget_usd_per_month",
        "telegram": "per_bot_per_second per_chat_per_second per_group_per_minute margin_ms poll_timeout_seconds "
        "idle_poll_seconds",
        "store": "retention_days",
        "secrets": "dir",
        "http": "admin_token_env hosts",
        "operator": "telegram_ids bot",
        "daemon": "drain_seconds start_timeout_seconds log_level log_format keep_prompts",
    }.items()
    for key in keys.split()
)
"""Keys that a reload puts into effect. `start_timeout_seconds` is about the next start whenever it is changed."""


@dataclass(frozen=True, slots=True)
class Delta:
    """Names (bots, providers) or ids (chats) by what became of them, in the order of the files.

    `why`: for what changed, the keys and secrets that differ; for what is new, what is odd about it.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    why: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


@dataclass(frozen=True, slots=True)
class Changes:
    """`settings` are the dotted keys that differ, each with the old and the new value as JSON writes it."""

    bots: Delta
    chats: Delta
    providers: Delta
    settings: Mapping[str, tuple[str, str]]

    def __bool__(self) -> bool:
        return bool(self.bots or self.chats or self.providers or self.settings)

    @property
    def restart(self) -> tuple[str, ...]:
        """The keys that differ and need a restart."""
        return tuple(key for key in self.settings if key in RESTART)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a plan. `sign` is "+", "-" or "~"; `kind` bot, chat, provider or setting."""

    sign: str
    kind: str
    name: str
    detail: str = ""
    restart: bool = False

    def __str__(self) -> str:
        words = f"{self.sign} {self.kind} {self.name}" + (f": {self.detail}" if self.detail else "")
        return words + (" (needs a restart)" if self.restart else "")


def diff(old: Snapshot, new: Snapshot) -> Changes:
    """What changes from one configuration to the other. Bots and providers are told apart by name, chats by id."""
    fixed = frozenset(old["fixed"])
    return Changes(
        bots=_delta(old["bots"], new["bots"], "bots", fixed),
        chats=_delta(old["chats"], new["chats"], "chats", fixed),
        providers=_delta(old["providers"], new["providers"], "providers", fixed),
        settings=dict(_settings(old, new, fixed)),
    )


def rows(changes: Changes) -> list[Row]:
    """The lines of a plan: bots, chats, providers, settings."""
    found: list[Row] = []
    for kind, delta in (("bot", changes.bots), ("chat", changes.chats), ("provider", changes.providers)):
        for sign, names in (("+", delta.added), ("-", delta.removed), ("~", delta.changed)):
            found += [Row(sign, kind, name, ", ".join(delta.why.get(name, ()))) for name in names]
    found += [
        Row("~", "setting", key, f"{before} → {after}", key in RESTART)
        for key, (before, after) in changes.settings.items()
    ]
    return found


def refusals(changes: Changes, new: Snapshot, problem: Callable[[str, str], Problem]) -> list[Problem]:
    """Why a reload must not go there; the old configuration stays.

    Args:
        problem: makes a problem of a key and its words, see `Loaded.problem`.
    """
    found = [
        problem(key, f"needs a restart ({before} → {after}): restart the daemon, or put the old value back")
        for key, (before, after) in changes.settings.items()
        if key in RESTART
    ]
    return found + unusable(new, problem)


def unusable(new: Snapshot, problem: Callable[[str, str], Problem], *, starting: bool = False) -> list[Problem]:
    """Why nobody could speak: no enabled bot with a token, or no enabled chat.

    Args:
        starting: a daemon may be started before its tokens are there; only a file that names no bot or no chat at all
            is refused then.
    """
    found = []
    enabled = {name: item["secrets"] for name, item in new["bots"].items() if item["enabled"]}
    if not new["bots"]:
        found.append(problem("bots", "there is no bot: is the file whole? add a [[bots]] block"))
    elif not starting and not enabled:
        found.append(problem("bots", "no bot is enabled: enable one"))
    elif not starting and all(secrets is not None and secrets["missing"] for secrets in enabled.values()):
        reasons = "; ".join(f"{name}: {secrets['missing']}" for name, secrets in enabled.items() if secrets is not None)
        found.append(problem("bots", f"no enabled bot has a token ({_short(reasons)})"))
    if not new["chats"]:
        found.append(problem("chats", "there is no chat: is the file whole? add a [[chats]] block"))
    elif not starting and not any(item["enabled"] for item in new["chats"].values()):
        found.append(problem("chats", "no chat is enabled: enable one"))
    return found


def as_the_daemon_sees(old: Snapshot, new: Snapshot) -> Snapshot:
    """A snapshot made by another process, with what only the daemon can see taken over from its own.

    A daemon's environment does not change while it runs, and it may read files that the asking user may not.
    """
    seen = new.copy()
    unwritten = {key: old["settings"][key] for key in new["unwritten"] if key in old["unwritten"]}
    seen["settings"] = new["settings"] | unwritten
    variables = known_variables(old)
    seen["bots"] = {name: _seen(old["bots"].get(name), item, variables) for name, item in new["bots"].items()}
    seen["providers"] = {
        name: _seen(old["providers"].get(name), item, variables) for name, item in new["providers"].items()
    }
    return seen


def known_variables(old: Snapshot) -> dict[str, Secrets]:
    """The variables of a daemon's environment in which it found a token or keys, each with what it found."""
    secrets = [item["secrets"] for item in (*old["bots"].values(), *old["providers"].values())]
    return {
        each["places"][0].removeprefix("$"): each
        for each in secrets
        if each is not None and len(each["places"]) == 1 and each["places"][0].startswith("$")
    }


def _seen(old: Item | None, new: Item, variables: Mapping[str, Secrets]) -> Item:
    secrets = new["secrets"]
    if secrets is None:
        return new
    before = old["secrets"] if old is not None else None
    if before is not None and (secrets["unseen"] or _is_from(before, secrets["variables"])):
        return _with_secrets(new, before)
    by_variable = next((variables[name] for name in secrets["variables"] if name in variables), None)
    return _with_secrets(new, by_variable) if by_variable is not None else new


def _is_from(before: Secrets, variables: Sequence[str]) -> bool:
    return bool(before["places"]) and {place.removeprefix("$") for place in before["places"]} <= {*variables}


def _with_secrets(item: Item, secrets: Secrets) -> Item:
    known = item.copy()
    known["secrets"] = secrets
    return known


def _settings(old: Snapshot, new: Snapshot, fixed: frozenset[str]) -> Iterator[tuple[str, tuple[str, str]]]:
    defaults = default_values()
    for key, after in new["settings"].items():
        before = old["settings"].get(key, defaults[key])  # a daemon of an older version lacks newer keys
        if key in fixed:
            continue
        if before != after:
            yield key, (_shown(before), _shown(after))
        elif old["passwords"].get(key) != new["passwords"].get(key):
            yield key, (_shown(before), "the same with another password")


def _delta(before: Mapping[str, Item], after: Mapping[str, Item], section: str, fixed: frozenset[str]) -> Delta:
    why = {name: tuple(_why(before.get(name), item, f"{section}.{name}", fixed)) for name, item in after.items()}
    return Delta(
        added=tuple(name for name in after if name not in before),
        removed=tuple(name for name in before if name not in after),
        changed=tuple(name for name in after if name in before and why[name]),
        unchanged=tuple(name for name in after if name in before and not why[name]),
        why={name: words for name, words in why.items() if words},
    )


def _why(old: Item | None, new: Item, path: str, fixed: frozenset[str]) -> Iterator[str]:
    if old is None:
        if not new["enabled"]:
            yield "disabled"
        elif new["secrets"] is not None and new["secrets"]["missing"]:
            yield new["secrets"]["missing"]
        return
    keys = dict.fromkeys((*new["keys"], *old["keys"]))
    yield from (key for key in keys if old["keys"].get(key) != new["keys"].get(key) and f"{path}.{key}" not in fixed)
    if old["enabled"] != new["enabled"] and "enabled" not in keys:
        yield "now in the route" if new["enabled"] else "no longer in the route"
    yield from _changed_secrets(old["secrets"], new["secrets"])


def _changed_secrets(old: Secrets | None, new: Secrets | None) -> Iterator[str]:
    if old is None or new is None or old["prints"] == new["prints"]:
        return
    word = "token" if old["account"] or new["account"] else "keys"
    if new["missing"]:
        yield f"no {word} any more: {new['missing']}"
    elif old["missing"]:
        yield f"{word} found in {', '.join(new['places'])}"
    elif old["account"] != new["account"]:
        yield f"token of another account ({old['account']} → {new['account']})"
    else:
        yield f"other {word} in {', '.join(new['places'])}"


def _shown(value: Any) -> str:
    return _short(json.dumps(value, ensure_ascii=False))


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:199]}…"
