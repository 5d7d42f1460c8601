"""Where tokens and keys are looked up: environment, 0600 files, systemd credentials.

The engine asks at start and reload, `check` asks for what is missing. A secret never shows in repr, str or an error,
and is never kept in the settings.
"""

from __future__ import annotations

import ipaddress
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from piyasad.config.persona import BotSettings
from piyasad.config.service import ProviderSettings
from piyasad.config.settings import Settings

_TOKEN = re.compile(r"[0-9]{1,19}:[A-Za-z0-9_-]+")  # "digits:chars"; BotFather gives 8–10 digits and 35 characters
_MOST_BYTES: Final = 65_536


class Secret:
    """A token or key. `reveal()` is the only way to its text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The secret itself: for a request, never for a log."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


@dataclass(frozen=True, slots=True)
class Missing:
    """No usable secret; `reason` says why and how to cure it, and is safe to show."""

    reason: str


def telegram_id(token: Secret) -> int:
    """The bot's Telegram id: the digits before the colon."""
    return int(token.reveal().partition(":")[0])


def bot_token(settings: Settings, bot: BotSettings, env: Mapping[str, str]) -> Secret | Missing:
    """A bot's token from token_env, token_file, $CREDENTIALS_DIRECTORY or [secrets] dir, in that order."""
    names = (bot.token_env,) if bot.token_env else ()
    files = (bot.token_file,) if bot.token_file else ()
    found = _look_up(settings, env, names, files, bot.username)
    if isinstance(found, Missing):
        return found
    place, text = found[0]
    if not _TOKEN.fullmatch(text):
        return Missing(f"{place} holds no bot token (digits, a colon, characters); copy it from @BotFather again")
    return Secret(text)


def bot_tokens(settings: Settings, env: Mapping[str, str]) -> dict[str, Secret | Missing]:
    """Every bot's token, by its name. It reads files: not on the loop."""
    return {bot.name: bot_token(settings, bot, env) for bot in settings.bots}


def provider_keys(settings: Settings, name: str, env: Mapping[str, str]) -> list[Secret] | Missing:
    """A provider's keys; an empty list where it needs none (offline, or a server on this machine or network)."""
    provider = settings.provider(name)
    if provider is None:
        return Missing(f"no [providers.{name}] in the configuration")
    if provider.kind == "offline":
        return []
    found = _look_up(settings, env, provider.api_key_env, provider.api_key_file, name)
    if isinstance(found, Missing):
        return [] if _is_near(provider) and not (provider.api_key_env or provider.api_key_file) else found
    keys = [Secret(line.strip()) for _, text in found for line in text.splitlines() if line.strip()]
    return list(dict.fromkeys(keys))


def usable_route(settings: Settings, env: Mapping[str, str]) -> tuple[list[str], dict[str, Missing]]:
    """The providers of the route that have what they need, in order, and why the others are left out."""
    missing: dict[str, Missing] = {}
    usable: list[str] = []
    for name in settings.gateway.route:
        keys = provider_keys(settings, name, env)
        if isinstance(keys, Missing):
            missing[name] = keys
        else:
            usable.append(name)
    return usable, missing


def admin_token(settings: Settings, env: Mapping[str, str]) -> Secret | None:
    """The password of the HTTP pages, if one is configured and set."""
    text = env.get(settings.http.admin_token_env or "", "").strip()
    return Secret(text) if text else None


def _look_up(
    settings: Settings, env: Mapping[str, str], names: Sequence[str], files: Sequence[Path], own: str
) -> list[tuple[str, str]] | Missing:
    """(place, text) of every secret found at the first kind of place that has one."""
    found = [(f"${name}", env[name].strip()) for name in names if env.get(name, "").strip()]
    if found:
        return found
    reasons = [f"${name} is not set" for name in names]
    for path in files:
        _read(path, env, found, reasons)
    if found:
        return found
    for path in _candidates(settings, env, own):
        if path.exists():
            _read(path, env, found, reasons)
            return found or Missing("; ".join(reasons))
    folder = settings.secrets.dir
    reasons.append(f"{folder / own} does not exist" if folder else "no [secrets] dir is set" if not reasons else "")
    cure = "" if names or files or folder else "; name a variable or a file that holds it"
    return Missing("; ".join(filter(None, reasons)) + cure)


def _candidates(settings: Settings, env: Mapping[str, str], own: str) -> Iterator[Path]:
    for folder in (env.get("CREDENTIALS_DIRECTORY", ""), settings.secrets.dir):
        if folder:
            for name in dict.fromkeys((own, own.lower())):
                yield Path(folder) / name


def _read(path: Path, env: Mapping[str, str], found: list[tuple[str, str]], reasons: list[str]) -> None:
    """Append what a file holds to `found`, or why it cannot be used to `reasons`."""
    credentials = env.get("CREDENTIALS_DIRECTORY", "")
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            # systemd guards its credentials itself and shows them as 0440.
            if mode & 0o077 and not (credentials and path.is_relative_to(credentials)):
                reasons.append(f"{path} can be read by others (mode {mode:04o}); run: chmod 600 {path}")
                return
            text = file.read(_MOST_BYTES).decode().strip()
    except FileNotFoundError:
        reasons.append(f"{path} does not exist")
    except UnicodeDecodeError:
        reasons.append(f"{path} holds no text")
    except OSError as error:
        reasons.append(f"{path} cannot be read: {error.strerror}")
    else:
        if text:
            found.append((str(path), text))
        else:
            reasons.append(f"{path} is empty")


def _is_near(provider: ProviderSettings) -> bool:
    """Whether the server stands on this machine or in a private network, where no key is asked for."""
    host = urlsplit(provider.base_url or "").hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return False


def all_secrets(settings: Settings, env: Mapping[str, str]) -> list[str]:
    """Every token and key that can be found: what no log may show."""
    found = [token.reveal() for bot in settings.bots if isinstance(token := bot_token(settings, bot, env), Secret)]
    for name in settings.gateway.route:
        keys = provider_keys(settings, name, env)
        found += [key.reveal() for key in keys] if isinstance(keys, list) else []
    return found
