"""What a daemon runs with, as plain JSON without a secret in it: a reload, or `plan` in another process, compares two.

The engine takes one at its start and at each reload and reports it to the store; `config/changes.py` compares them.
Settings stand there with their values, bots, chats, providers and secrets as prints, salted by the daemon that made it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict
from urllib.parse import urlsplit

from piyasad.config.environ import from_environment
from piyasad.config.load import default_data_dir
from piyasad.config.problems import dotted
from piyasad.config.secrets import Found, Missing, find_keys, find_token, telegram_id
from piyasad.config.section import Section
from piyasad.config.settings import Settings

LISTS: Final = ("bots", "chats", "providers", "bot_defaults")
"""The sections that are compared item by item; [bot_defaults] shows in the bots."""

_SLOW_ROUNDS: Final = 50_000  # a password is short enough to be guessed from a quick print


class Secrets(TypedDict):
    """A bot's token or a provider's keys. `places` are where they were found, `variables` those that are asked.

    `missing` says why there is none; `unseen`, that this process could not look.
    """

    account: int
    places: list[str]
    prints: list[str]
    variables: list[str]
    missing: str
    unseen: bool


class Item(TypedDict):
    """A bot, a chat or a provider: a print of each key that is no default. A provider is enabled by the route.

    `shown` are the keys that `status` shows, with their values.
    """

    enabled: bool
    shown: dict[str, Any]
    keys: dict[str, str]
    secrets: Secrets | None


class Snapshot(TypedDict):
    """One daemon's configuration.

    `fixed` are the keys that its environment or its command line set, which no file can change; `unwritten` those whose
    default follows from the environment; `passwords` are prints of the addresses that hold one.
    """

    salt: str
    file: str
    fixed: list[str]
    unwritten: list[str]
    settings: dict[str, Any]
    passwords: dict[str, str]
    bots: dict[str, Item]
    chats: dict[str, Item]
    providers: dict[str, Item]


def snapshot(
    settings: Settings,
    env: Mapping[str, str],
    *,
    salt: str,
    file: str = "",
    overlay: Mapping[str, Any] | None = None,
    look: bool = True,
) -> Snapshot:
    """What these settings are. It reads every token and key, so a daemon calls it in a thread.

    Args:
        salt: anything random, the same for two snapshots that are to be compared.
        overlay: what the command line lays over the file, see `overlay_of`.
        look: also for tokens and keys; without them nothing is said of any.
    """
    names = dict.fromkeys((*settings.providers, *settings.gateway.route))
    providers = {name: provider for name in names if (provider := settings.provider(name)) is not None}
    return Snapshot(
        salt=salt,
        file=file,
        fixed=_fixed(env, overlay or {}),
        unwritten=["store.data_dir"] if settings.store.data_dir == default_data_dir(env) else [],
        settings=_values(settings),
        passwords=_passwords(settings, salt),
        bots={
            bot.name: _item(
                bot,
                salt,
                ("username", "chats", "active_hours"),
                enabled=bot.enabled,
                secrets=_secrets(find_token(settings, bot, env), [bot.token_env or ""], salt) if look else None,
            )
            for bot in settings.bots
        },
        chats={str(chat.id): _item(chat, salt, ("title",), enabled=chat.enabled) for chat in settings.chats},
        providers={
            name: _item(
                provider,
                salt,
                enabled=name in settings.gateway.route,
                secrets=_secrets(find_keys(settings, name, env), provider.api_key_env, salt) if look else None,
            )
            for name, provider in providers.items()
        },
    )


def pack(what: Snapshot) -> str:
    """A snapshot as one short text, for a report that is written often: thousands of bots make megabytes of JSON."""
    return base64.b64encode(zlib.compress(json.dumps(what).encode())).decode()


def unpack(text: str) -> Snapshot:
    """What `pack` packed.

    Raises:
        ValueError: it is none, or one that another version packed.
    """
    try:
        what: Snapshot = json.loads(zlib.decompress(base64.b64decode(text, validate=True)))
        complete = what.keys() >= Snapshot.__required_keys__
    except (ValueError, zlib.error, AttributeError) as error:
        raise ValueError("no configuration of a daemon") from error
    if not complete:
        raise ValueError("the configuration of another version's daemon")
    return what


def default_values() -> dict[str, Any]:
    """What each key of the sections is when nobody sets it."""
    return _values(Settings())


def _values(settings: Settings) -> dict[str, Any]:
    sections = settings.model_dump(mode="json", exclude=set(LISTS))
    return {f"{section}.{key}": value for section, table in sections.items() for key, value in table.items()}


def _passwords(settings: Settings, salt: str) -> dict[str, str]:
    addresses = {"store.postgres": settings.store.postgres, "store.redis": settings.store.redis}
    return {
        key: hashlib.pbkdf2_hmac("sha256", _bytes(address), _bytes(salt), _SLOW_ROUNDS).hex()[:16]
        for key, address in addresses.items()
        if urlsplit(address).password or urlsplit(address).query
    }


def _item(
    section: Section, salt: str, shown: Sequence[str] = (), *, enabled: bool, secrets: Secrets | None = None
) -> Item:
    written = section.model_dump(mode="json", exclude_defaults=True, exclude={"name", "id"})
    keys = {
        key: _print(salt, json.dumps(value, sort_keys=True, separators=(",", ":"))) for key, value in written.items()
    }
    return Item(
        enabled=enabled, shown={key: written[key] for key in shown if key in written}, keys=keys, secrets=secrets
    )


def _secrets(found: Found | Sequence[Found] | Missing, variables: Sequence[str], salt: str) -> Secrets:
    each = () if isinstance(found, Missing) else (found,) if isinstance(found, Found) else found
    return Secrets(
        account=telegram_id(found.secret) if isinstance(found, Found) else 0,
        places=list(dict.fromkeys(one.place for one in each)),
        prints=[_print(salt, one.secret.reveal()) for one in each],
        variables=[name for name in variables if name],
        missing=found.reason if isinstance(found, Missing) else "",
        unseen=isinstance(found, Missing) and bool(found.barred),
    )


def _print(salt: str, text: str) -> str:
    return hashlib.sha256(_bytes(f"{salt}\0{text}")).hexdigest()[:12]


def _bytes(text: str) -> bytes:
    return text.encode(errors="backslashreplace")  # an environment may hold anything


def _fixed(env: Mapping[str, str], overlay: Mapping[str, Any]) -> list[str]:
    _, names, _ = from_environment(env)
    laid = {f"{section}.{key}" for section, table in overlay.items() if isinstance(table, Mapping) for key in table}
    return sorted({dotted(path) for path in names} | laid)
