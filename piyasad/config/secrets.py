"""Where tokens and keys are looked up: environment, 0600 files, systemd credentials.

The engine asks at start and reload, `check` asks for what is missing. A secret never shows in repr, str or an error,
and is never kept in the settings.
"""

from __future__ import annotations

import os
import pwd
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from piyasad.config.persona import BotSettings
from piyasad.config.settings import Settings

_TOKEN = re.compile(r"[0-9]{1,19}:[A-Za-z0-9_-]+")  # "digits:chars"; BotFather gives 8–10 digits and 35 characters
_MOST_BYTES: Final = 65_536
_IDS_END: Final = 2**53  # Telegram's ids have at most 52 bits

FILE: Final = "file"
"""What `Missing.barred` says of a bot's or a provider's own file."""


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
    """No usable secret; `reason` says why and how to cure it, and is safe to show.

    `barred` is not empty where a folder or file may not be entered or read by this process: nobody means that, so it
    is a fault of the configuration, and no reason to park a bot. It names the key that leads there: `FILE` (the bot's
    token_file, the provider's api_key_file), "secrets.dir", or "$CREDENTIALS_DIRECTORY".
    """

    reason: str
    barred: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A secret and where it was found: "$NAME", or a file's path."""

    place: str
    secret: Secret


def telegram_id(token: Secret) -> int:
    """The bot's Telegram id, its account: the digits before the colon. A renewed token keeps it."""
    return int(token.reveal().partition(":")[0])


def bot_token(settings: Settings, bot: BotSettings, env: Mapping[str, str]) -> Secret | Missing:
    """A bot's token from token_env, token_file, $CREDENTIALS_DIRECTORY or [secrets] dir, in that order."""
    found = find_token(settings, bot, env)
    return found if isinstance(found, Missing) else found.secret


def find_token(settings: Settings, bot: BotSettings, env: Mapping[str, str]) -> Found | Missing:
    """The same with the place where it stands."""
    names = (bot.token_env,) if bot.token_env else ()
    files = (bot.token_file,) if bot.token_file else ()
    found = _look_up(settings, env, names, files, bot.username)
    if isinstance(found, Missing):
        return found
    place, text = found[0]
    if not _TOKEN.fullmatch(text) or int(text.partition(":")[0]) >= _IDS_END:
        return Missing(f"{place} holds no bot token (digits, a colon, characters); copy it from @BotFather again")
    return Found(place, Secret(text))


def bot_tokens(settings: Settings, env: Mapping[str, str]) -> dict[str, Secret | Missing]:
    """Every bot's token, by its name. It reads files: not on the loop."""
    return {bot.name: bot_token(settings, bot, env) for bot in settings.bots}


def provider_keys(settings: Settings, name: str, env: Mapping[str, str]) -> list[Secret] | Missing:
    """A provider's keys; an empty list where it needs none (offline, or a server on this machine or network)."""
    found = find_keys(settings, name, env)
    return found if isinstance(found, Missing) else list(dict.fromkeys(each.secret for each in found))


def find_keys(settings: Settings, name: str, env: Mapping[str, str]) -> list[Found] | Missing:
    """The same with the places where they stand; a key that stands in two is there twice."""
    provider = settings.provider(name)
    if provider is None:
        return Missing(f"no [providers.{name}] in the configuration")
    if provider.kind == "offline":
        return []
    found = _look_up(settings, env, provider.api_key_env, provider.api_key_file, name)
    if isinstance(found, Missing):
        return [] if provider.is_near and not (provider.api_key_env or provider.api_key_file) else found
    return [Found(place, Secret(key)) for place, text in found for line in text.splitlines() if (key := _bare(line))]


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
    text = _bare(env.get(settings.http.admin_token_env or "", ""))
    return Secret(text) if text else None


def _look_up(
    settings: Settings, env: Mapping[str, str], names: Sequence[str], files: Sequence[Path], own: str
) -> list[tuple[str, str]] | Missing:
    """(place, text) of every secret found at the first kind of place that has one."""
    found = [(f"${name}", text) for name in names if (text := _bare(env.get(name, "")))]
    if found:
        return found
    reasons = [f"${name} is not set" for name in names]
    for path in files:
        read = _read(path, env, FILE)
        if isinstance(read, str):
            found.append((str(path), read))
        elif read is not None and read.barred:
            return read
        else:
            reasons.append(read.reason if read is not None else f"{path} does not exist")
    if found:
        return found
    for path, key in _candidates(settings, env, own):
        read = _read(path, env, key)
        if isinstance(read, str):
            return [(str(path), read)]
        if read is not None:
            return read if read.barred else Missing("; ".join((*reasons, read.reason)))
    folder = settings.secrets.dir
    reasons.append(f"{folder / own} does not exist" if folder else "no [secrets] dir is set" if not reasons else "")
    cure = "" if names or files or folder else "; name a variable or a file that holds it"
    return Missing("; ".join(filter(None, reasons)) + cure)


def _candidates(settings: Settings, env: Mapping[str, str], own: str) -> Iterator[tuple[Path, str]]:
    """The files that a secret's own name leads to, each with the key that names its folder."""
    places = (("$CREDENTIALS_DIRECTORY", env.get("CREDENTIALS_DIRECTORY", "")), ("secrets.dir", settings.secrets.dir))
    for key, folder in places:
        if folder:
            for name in dict.fromkeys((own, own.lower())):
                yield Path(folder) / name, key


def _read(path: Path, env: Mapping[str, str], key: str) -> str | Missing | None:
    """What a file holds, or why it cannot be used; None when it is not there. `key` is to blame where it is barred."""
    credentials = env.get("CREDENTIALS_DIRECTORY", "")
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            # systemd guards its credentials itself and shows them as 0440.
            if mode & 0o077 and not (credentials and path.is_relative_to(credentials)):
                return Missing(f"{path} can be read by others (mode {mode:04o}); run: chmod 600 {path}")
            text = _bare(file.read(_MOST_BYTES).decode())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        return Missing(barred_words(path), key)
    except UnicodeDecodeError:
        return Missing(f"{path} holds no text; save it as UTF-8")
    except OSError as error:
        return Missing(f"{path} cannot be read: {error.strerror}")
    return text or Missing(f"{path} is empty")


def _bare(text: str) -> str:
    """A secret as it is meant: without the byte order mark, the space and the quotes that editors and tools leave."""
    text = text.removeprefix("\ufeff").strip()
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1].strip() if quoted else text


def is_barred(path: Path) -> bool:
    """Whether a folder on the way to a path may not be entered by this process, so that nobody knows what is there."""
    folders = Path(os.path.realpath(path)).parents
    return any(os.path.exists(folder) and not _may_enter(folder) for folder in folders)


def barred_words(path: Path) -> str:
    """Which folder or file on the way to a path this process may not enter or read: its mode, who we are, the cure."""
    real = Path(os.path.realpath(path))
    culprit = next((folder for folder in reversed(real.parents) if not _may_enter(folder)), real)
    me = _user(os.geteuid())
    try:
        status = culprit.stat()
    except OSError:
        return f"{culprit} may not be read by {me}; let {me} read it"
    is_folder = stat.S_ISDIR(status.st_mode)
    opened = f"chmod {'700' if is_folder else '600'} {culprit}"
    if status.st_uid != os.geteuid():
        opened = f"chown {me} {culprit} && {opened}" if culprit in (real, real.parent) else f"chmod o+x {culprit}"
    return (
        f"{culprit} may not be {'entered' if is_folder else 'read'} by {me}: its mode is "
        f"{stat.S_IMODE(status.st_mode):04o} and it belongs to {_user(status.st_uid)}; run: {opened}"
    )


def _may_enter(folder: Path) -> bool:
    return os.access(folder, os.X_OK, effective_ids=os.access in os.supports_effective_ids)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def all_secrets(settings: Settings, env: Mapping[str, str]) -> list[str]:
    """Every token, key and password that can be found: what no log may show."""
    found = [token.reveal() for bot in settings.bots if isinstance(token := bot_token(settings, bot, env), Secret)]
    for name in settings.gateway.route:
        keys = provider_keys(settings, name, env)
        found += [key.reveal() for key in keys] if isinstance(keys, list) else []
    admin = admin_token(settings, env)
    found += [admin.reveal()] if admin is not None else []
    passwords = (urlsplit(address).password for address in (settings.store.postgres, settings.store.redis))
    return found + [unquote(password) for password in passwords if password]
