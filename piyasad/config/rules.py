"""What must hold between sections: names unique, references that lead somewhere, providers that can be called.

Works on the merged tables before they are typed, so that these faults are reported together with all the others;
what has the wrong type is passed over here and reported by the models.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from piyasad.config.lines import Path
from piyasad.config.presets import PRESETS
from piyasad.config.providers import is_here
from piyasad.config.service import GatewaySettings
from piyasad.language.text import fold

Fault = tuple[Path, str]
_NEAR: Final = 0.6  # how alike two names are, 0 to 1, before one is taken for a misspelling of the other

Where = Callable[[Path], str]  # a path's place in words, for "is also …"


def folded(name: str) -> str:
    """A name as people compare names: case and Turkish letters make no difference."""
    return fold(name).strip().removeprefix("@")


def faults(data: Mapping[str, Any], where: Where) -> Iterator[Fault]:
    """Every broken rule with the path it is broken at."""
    bots, chats = list(_tables(data, "bots")), list(_tables(data, "chats"))
    yield from _unique(((p, b, "name") for p, b in bots), folded, where, "the same name as")
    yield from _unique(((p, b, "username") for p, b in bots), folded, where, "the same username as")
    yield from _unique(((p, b, "token_env") for p, b in bots), _same, where, "the same token as")
    yield from _unique(((p, b, "token_file") for p, b in bots), _same, where, "the same token as")
    yield from _unique(((p, c, "id") for p, c in chats), _same, where, "the same chat as")
    yield from _places(bots, chats)
    yield from _relations(bots)
    yield from _one_token(bots)
    yield from _providers(data)
    yield from _operator(data, bots)


def _same(value: str | int) -> Hashable:
    return value


def _tables(data: Mapping[str, Any], key: str) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    rows = data.get(key)
    for i, row in enumerate(rows if isinstance(rows, list) else ()):
        if isinstance(row, Mapping):
            yield (key, i), row


def _table(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    return value if isinstance(value, Mapping) else {}


def _unique(
    rows: Iterable[tuple[Path, Mapping[str, Any], str]],
    fold: Callable[[Any], Hashable],
    where: Where,
    words: str,
) -> Iterator[Fault]:
    seen: dict[Hashable, Path] = {}
    for path, row, key in rows:
        value = row.get(key)
        if not isinstance(value, str | int) or isinstance(value, bool) or (key != "id" and not isinstance(value, str)):
            continue
        first = seen.setdefault(fold(value), path)
        if first != path:
            # What stands in token_env may be a token by mistake, so that it is not quoted.
            subject = "" if key.startswith("token") else f"{value!r} "
            yield (*path, key), f"{subject}is {words} {where((*first, key))}; each needs its own"


def _places(bots: list[tuple[Path, Mapping[str, Any]]], chats: list[tuple[Path, Mapping[str, Any]]]) -> Iterator[Fault]:
    listed = {number for _, chat in chats if isinstance(number := chat.get("id"), int)}
    for path, bot in bots:
        wanted = bot.get("chats")
        for i, chat in enumerate(wanted if isinstance(wanted, list) else ()):
            if isinstance(chat, int) and not isinstance(chat, bool) and chat < 0 and chat not in listed:
                known = ", ".join(str(c) for c in sorted(listed)[:5]) or "none"
                yield (*path, "chats", i), f"{chat} is not listed; add it as [[chats]] id = {chat} (listed: {known})"


def _relations(bots: list[tuple[Path, Mapping[str, Any]]]) -> Iterator[Fault]:
    for at, bot, name in _related(bots):
        if folded(name) in {folded(str(bot.get("name"))), folded(str(bot.get("username")))}:
            yield at, "a bot has no relation to itself; take it out"


def _related(bots: list[tuple[Path, Mapping[str, Any]]]) -> Iterator[tuple[Path, Mapping[str, Any], str]]:
    """Each bot that another's persona names: where, whose persona, the name."""
    for path, bot in bots:
        relations = _table(bot, "persona").get("relations")
        for i, relation in enumerate(relations if isinstance(relations, list) else ()):
            name = relation.get("bot") if isinstance(relation, Mapping) else None
            if isinstance(name, str):
                yield (*path, "persona", "relations", i, "bot"), bot, name


def _names(bots: list[tuple[Path, Mapping[str, Any]]]) -> dict[str, str]:
    """What the bots are called, by the folded form."""
    return {
        folded(name): name for _, bot in bots for key in ("name", "username") if isinstance(name := bot.get(key), str)
    }


def warnings(data: Mapping[str, Any]) -> Iterator[Fault]:
    """What is odd and harmless: a relation to a bot that is gone waits for it to come back."""
    bots = list(_tables(data, "bots"))
    known = _names(bots)
    for at, _, name in _related(bots):
        if folded(name) not in known:
            yield at, f"there is no bot {name!r}{_near(folded(name), known)}; the relation has no effect"


def _near(name: str, known: Mapping[str, str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=_NEAR)
    return f"; the nearest is {known[close[0]]!r}" if close else ""


def _one_token(bots: list[tuple[Path, Mapping[str, Any]]]) -> Iterator[Fault]:
    for path, bot in bots:
        if bot.get("token_env") is not None and bot.get("token_file") is not None:
            yield (*path, "token_file"), "token_env is given too; keep one of the two"


def _providers(data: Mapping[str, Any]) -> Iterator[Fault]:
    providers = _table(data, "providers")
    callable_ = {*PRESETS, *providers}
    names = {name: name for name in sorted(callable_)}
    for name, provider in providers.items():
        if not isinstance(provider, Mapping):
            continue
        at: Path = ("providers", name)
        wanted = provider.get("preset")
        if isinstance(wanted, str) and wanted not in PRESETS:
            presets = {preset: preset for preset in PRESETS}
            yield (*at, "preset"), f"there is no preset {wanted!r}{_near(wanted, presets)}"
            continue
        preset = PRESETS.get(wanted if isinstance(wanted, str) else name)
        kind = provider.get("kind") or (preset and preset.kind)
        if kind is None:
            yield (*at, "kind"), 'is missing: write kind = "openai" for a compatible server, or name a preset'
        elif kind == "offline":
            continue
        elif not provider.get("base_url") and (preset is None or not preset.base_url) and kind == "openai":
            yield (*at, "base_url"), 'is missing: the server\'s address with its version, like "https://host/v1"'
        elif not (provider.get("model") or provider.get("models")) and (preset is None or not preset.asked):
            yield (*at, "model"), "is missing: the model to ask"
    yield from _local_only(data, providers)
    route = _table(data, "gateway").get("route")
    route = route if isinstance(route, list | tuple) else ()
    for i, name in enumerate(route):
        if isinstance(name, str) and name not in callable_:
            message = f"there is no [providers.{name}]{_near(name, names)}"
            yield ("gateway", "route", i), message
        elif isinstance(name, str) and name in route[:i]:
            yield ("gateway", "route", i), f"{name!r} stands in the route already; name each once"


def _local_only(data: Mapping[str, Any], providers: Mapping[str, Any]) -> Iterator[Fault]:
    """With `local_only` every text stays on this machine."""
    gateway = _table(data, "gateway")
    if gateway.get("local_only") is not True:
        return
    route = gateway.get("route", GatewaySettings.model_fields["route"].default)
    for i, name in enumerate(route if isinstance(route, list | tuple) else ()):
        written = _table(providers, name) if isinstance(name, str) else {}
        preset = PRESETS.get(written.get("preset") or name) if isinstance(name, str) else None
        kind = written.get("kind") or (preset.kind if preset else None)
        base = written.get("base_url") or (preset.base_url if preset else None)
        host = _host(base)
        if kind is None or kind == "offline" or is_here(host):
            continue
        at: Path = ("gateway", "route", i) if "route" in gateway else ("gateway", "local_only")
        yield at, f"{name!r} is beyond this machine ({host or 'no address'}), which local_only refuses"


def _host(address: Any) -> str:
    try:
        return urlsplit(address).hostname or "" if isinstance(address, str) else ""
    except ValueError:  # no address at all: the models say so
        return ""


def _operator(data: Mapping[str, Any], bots: list[tuple[Path, Mapping[str, Any]]]) -> Iterator[Fault]:
    name = _table(data, "operator").get("bot")
    known = _names(bots)
    if isinstance(name, str) and folded(name) not in known:
        yield ("operator", "bot"), f"there is no bot {name!r}{_near(folded(name), known)}"
