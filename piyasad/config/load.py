"""Reading the configuration: files with their includes, the environment, an overlay; then types and rules.

Every command calls `load`. All faults of all files are found before it gives up. No secret is read into the settings.
"""

from __future__ import annotations

import glob
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from piyasad.config import lines, rules
from piyasad.config.environ import from_environment
from piyasad.config.problems import ENVIRONMENT, ConfigError, Problem, dotted, explain
from piyasad.config.secrets import (
    FILE,
    Missing,
    Secret,
    admin_token,
    barred_words,
    bot_token,
    provider_keys,
    telegram_id,
    usable_route,
)
from piyasad.config.settings import Settings
from piyasad.config.tree import NOWHERE, Origin, Source, Tree

__all__ = [
    "ConfigError",
    "Loaded",
    "Missing",
    "Problem",
    "Secret",
    "admin_token",
    "bot_token",
    "default_config",
    "default_data_dir",
    "load",
    "provider_keys",
    "read",
    "telegram_id",
    "usable_route",
]

_CUT: Final = "the file breaks off here: save it whole"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be used. `warnings` are what is odd in it and harmless."""

    settings: Settings
    warnings: tuple[Problem, ...]
    file: str
    tree: Tree

    def problem(self, key: str, message: str) -> Problem:
        """A fault of "section.key" (or of a whole "section"), with the file and the line where it stands."""
        found = self.tree.problem(tuple(key.split(".")), message)
        return found if found.file != NOWHERE else Problem(self.file, None, key, found.message)


def load(
    path: str | os.PathLike[str],
    env: Mapping[str, str] | None = None,
    overlay: Mapping[str, Any] | None = None,
) -> Settings:
    """The settings of `read`, for who has no use for its warnings."""
    return read(path, env, overlay).settings


def read(
    path: str | os.PathLike[str],
    env: Mapping[str, str] | None = None,
    overlay: Mapping[str, Any] | None = None,
    *,
    secrets: bool = True,
) -> Loaded:
    """Read a configuration file with all it includes.

    The environment (`PIYASAD_SECTION__KEY`; default: this process's) overrides the files, `overlay` overrides both.
    In an overlay tables merge key by key, any other value and every array is replaced whole, and None takes a key
    away. Only `bots` merges by name: `{"bots": [{"name": "Ali Hoca", "active_hours": []}]}` changes that bot alone, the
    name "*" stands for every bot, and a name that no file has adds a bot.
    Relative paths are relative to the file they stand in.

    Args:
        secrets: also look for every token and key: one account for each bot, and no file that may not be read. Commands
            that only look on do without, for they may run as another user than the daemon.

    Raises:
        ConfigError: With every fault found, each with file, line, key and cure.
    """
    env = os.environ if env is None else env
    sources, problems = _read(Path(path))
    broken = bool(problems)
    tree = Tree()
    for source in sources:
        problems += tree.add(source)
    problems += _apply_environment(tree, env)
    _apply_overlay(tree, overlay or {})
    _apply_bot_defaults(tree)
    _settle_paths(tree, env)
    settings, faults = _typed(tree)
    problems += faults
    if not broken:  # with a file missing, half the references would lead nowhere
        problems += [tree.problem(at, message) for at, message in rules.faults(tree.data, _place(tree))]
    if settings is not None and not problems and secrets:
        problems += _secrets(settings, tree, env)
    if problems or settings is None:
        raise ConfigError(problems)
    warnings = tuple(tree.problem(at, message) for at, message in rules.warnings(tree.data))
    return Loaded(settings, warnings, str(path), tree)


def default_config() -> Path:
    """The configuration that comes with the program: inside the package, or next to it in a source tree."""
    package = Path(__file__).parents[1]
    inside = package / "config.toml"
    return inside if inside.exists() else package.parent / "config.toml"


def _read(path: Path) -> tuple[list[Source], list[Problem]]:
    """A file and all it includes, in the order in which they count."""
    sources: list[Source] = []
    problems: list[Problem] = []
    seen: set[str] = set()
    waiting: list[tuple[Path, Problem | None]] = [(path, None)]
    while waiting:
        file, named_by = waiting.pop(0)
        real = os.path.realpath(file)
        if real in seen:
            continue
        seen.add(real)
        read = _read_one(file, named_by)
        if isinstance(read, Problem):
            problems.append(read)
            continue
        included, faults = _includes(read)
        problems += faults
        sources.append(read)
        waiting += included
    return sources, problems


def _read_one(file: Path, named_by: Problem | None) -> Source | Problem:
    try:
        text = file.read_bytes().decode()
    except FileNotFoundError:
        if named_by is not None:
            return named_by
        cure = f"write one, or start from the one that comes with piyasad: cp {default_config()} {file}"
        return Problem(str(file), None, "", f"there is no such file; {cure}")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        words = _CUT if error.end == len(error.object) else "save the file as UTF-8"
        return Problem(str(file), line, "", f"not UTF-8; {words}")
    except PermissionError:
        return Problem(str(file), None, "", barred_words(file))
    except OSError as error:
        return Problem(str(file), None, "", f"cannot be read: {error.strerror}")
    text = text.removeprefix("\ufeff")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return _broken(str(file), text, str(error))
    except RecursionError:
        return Problem(str(file), None, "", "nested too deeply")
    return Source(str(file), file.parent, data, lines.key_lines(text.replace("\r\n", "\n")))


def _broken(file: str, text: str, message: str) -> Problem:
    """tomllib's refusal with file, line and column."""
    match = re.search(r" \(at line (\d+), column (\d+)\)$", message)
    words = re.sub(r" \(at .*\)$", "", message)
    if match is None:
        line = text.rstrip().count("\n") + 1
        return Problem(file, line, "", f"broken TOML at the end of the file: {words}; {_CUT}")
    return Problem(file, int(match[1]), "", f"broken TOML at column {match[2]}: {words}")


def _includes(source: Source) -> tuple[list[tuple[Path, Problem | None]], list[Problem]]:
    """The files that `include` names, relative to the file, patterns in order of name; takes the key out."""
    patterns = source.data.pop("include", [])
    patterns = [patterns] if isinstance(patterns, str) else patterns
    origin = source.origin(("include",))
    if not isinstance(patterns, list) or not all(isinstance(p, str) and p for p in patterns):
        message = 'expected a list of files or patterns like ["bots.d/*.toml"]'
        return [], [Problem(origin.file, origin.line, "include", message)]
    found: list[tuple[Path, Problem | None]] = []
    for pattern in patterns:
        full = str(source.folder / pattern) if not os.path.isabs(pattern) else pattern
        missing = Problem(origin.file, origin.line, "include", f"{pattern!r}: there is no such file")
        names = sorted(glob.glob(full)) if glob.has_magic(pattern) else [full]
        found += [(Path(name), missing) for name in names]
    return found, []


def _apply_environment(tree: Tree, env: Mapping[str, str]) -> list[Problem]:
    table, names, problems = from_environment(env)
    written = tree.data.get("providers")
    spelled = {name.lower(): name for name in written} if isinstance(written, dict) else {}
    if "providers" in table:  # variables have no lower case; the file's spelling of a provider's name counts
        table["providers"] = {spelled.get(name, name): value for name, value in table["providers"].items()}

    def origin(path: lines.Path) -> Origin:
        lower = tuple(part.lower() if isinstance(part, str) else part for part in path)
        above = (names[lower[:n]] for n in range(len(path), 0, -1) if lower[:n] in names)
        below = (name for at, name in names.items() if at[: len(path)] == lower)
        return Origin(ENVIRONMENT, None, next(above, None) or next(below))

    tree.override(table, origin)
    return problems


def _apply_overlay(tree: Tree, overlay: Mapping[str, Any]) -> None:
    def origin(path: lines.Path) -> Origin:
        return Origin("overlay", None, dotted(path))

    bots = overlay.get("bots")
    by_name = isinstance(bots, list | tuple) and all(isinstance(bot, Mapping) for bot in bots)
    tree.override({key: value for key, value in overlay.items() if not (by_name and key == "bots")}, origin)
    if by_name:
        for change in bots or ():
            _change_bots(tree, change, origin)


def _change_bots(tree: Tree, change: Mapping[str, Any], origin: Callable[[lines.Path], Origin]) -> None:
    """Lay a change over the bot of its name, over all of them ("*"), or add it as a new one."""
    if not isinstance(tree.data.setdefault("bots", []), list):
        return  # the file's own fault, reported by the types
    name = str(change.get("name", ""))
    every = name == "*"
    keys = {key: value for key, value in change.items() if key != "name"}
    rows = tree.data["bots"]
    hits = [i for i, b in enumerate(rows) if isinstance(b, dict) and (every or _is_named(b, name))]
    if not hits and not every:
        rows.append({"name": change.get("name")})
        hits = [len(rows) - 1]
    for i in hits:
        tree.override_at(("bots", i), keys, origin)


def _is_named(bot: Mapping[str, Any], name: str) -> bool:
    return rules.folded(str(bot.get("name", ""))) == rules.folded(name)


def _apply_bot_defaults(tree: Tree) -> None:
    if not isinstance(tree.data.get("bot_defaults"), dict) or not isinstance(tree.data.get("bots"), list):
        return
    for i, bot in enumerate(tree.data["bots"]):
        if isinstance(bot, dict):
            has_token = bot.keys() & {"token_env", "token_file"}
            skip = frozenset({"name", "username", *({"token_env", "token_file"} if has_token else ())})
            tree.underlay(("bots", i), ("bot_defaults",), skip)


def _settle_paths(tree: Tree, env: Mapping[str, str]) -> None:
    """Make paths absolute: relative ones are meant from the file they stand in; `~` is the home of the environment."""
    data = tree.data
    store = data.setdefault("store", {})
    if isinstance(store, dict) and "data_dir" not in store:
        store["data_dir"] = str(default_data_dir(env))
    for path in _path_keys(data):
        table: Any = data
        for part in path[:-1]:
            table = table[part]
        value = table[path[-1]]
        if isinstance(value, str) and value:
            folder = tree.where(path).folder or Path()
            table[path[-1]] = str((folder / _expanded(value, env)).absolute())


def _path_keys(data: Mapping[str, Any]) -> Iterator[lines.Path]:
    for section, key in (("store", "data_dir"), ("secrets", "dir"), ("bot_defaults", "token_file")):
        if isinstance(data.get(section), dict) and key in data[section]:
            yield section, key
    bots = data.get("bots")
    for i, bot in enumerate(bots if isinstance(bots, list) else ()):
        if isinstance(bot, dict) and "token_file" in bot:
            yield "bots", i, "token_file"
    providers = data.get("providers")
    for name, provider in (providers if isinstance(providers, dict) else {}).items():
        if isinstance(provider, dict) and "api_key_file" in provider:
            files = provider["api_key_file"]
            if isinstance(files, list):
                for i in range(len(files)):
                    yield "providers", name, "api_key_file", i
            else:
                yield "providers", name, "api_key_file"


def _expanded(value: str, env: Mapping[str, str]) -> str:
    home = env.get("HOME")
    return home + value[1:] if home and (value == "~" or value.startswith("~/")) else value


def default_data_dir(env: Mapping[str, str]) -> Path:
    """Where data goes when nothing is configured: systemd's state folder, /var/lib for root, else the user's own.

    A server started by root opens the folders above its data for reading, so root's data keeps out of /root.
    """
    if env.get("STATE_DIRECTORY"):
        return Path(env["STATE_DIRECTORY"].split(":")[0])
    if os.geteuid() == 0:
        return Path("/var/lib/piyasad")
    state = env.get("XDG_STATE_HOME", "")
    base = Path(state) if state.startswith("/") else Path(env.get("HOME") or "~").expanduser() / ".local" / "state"
    return base / "piyasad"


def _typed(tree: Tree) -> tuple[Settings | None, list[Problem]]:
    try:
        return Settings.model_validate(tree.data), []
    except ValidationError as error:
        problems = []
        for fault in error.errors(include_url=False):
            path: lines.Path = tuple(part for part in fault["loc"] if part != "[key]")
            blamed = str((fault.get("ctx") or {}).get("key") or "")
            at = (*path, blamed) if blamed else path
            problems.append(tree.problem(at, explain(fault, path)))
        return None, problems


def _place(tree: Tree) -> rules.Where:
    def place(path: lines.Path) -> str:
        origin = tree.where(path)
        return f"{origin.key} ({origin.file}{f':{origin.line}' if origin.line else ''})"

    return place


def _secrets(settings: Settings, tree: Tree, env: Mapping[str, str]) -> Iterator[Problem]:
    """Two bots whose tokens belong to one Telegram account would fight over it; a barred file is nobody's wish."""
    owners: dict[int, str] = {}
    for i, bot in enumerate(settings.bots):
        token = bot_token(settings, bot, env)
        if isinstance(token, Missing):
            yield from _barred(token, tree, ("bots", i, "token_file"))
            continue
        owner = owners.setdefault(telegram_id(token), bot.name)
        if owner != bot.name:
            message = f"{bot.name} has a token of the same account as {owner}; each bot needs its own from @BotFather"
            yield tree.problem(("bots", i), message)
    for name in settings.gateway.route:
        keys = provider_keys(settings, name, env)
        if isinstance(keys, Missing):
            yield from _barred(keys, tree, ("providers", name, "api_key_file"))


def _barred(missing: Missing, tree: Tree, own: lines.Path) -> Iterator[Problem]:
    """A folder that is barred gives the same problem for all that lies in it, and is reported once."""
    if missing.barred.startswith("$"):
        yield Problem(ENVIRONMENT, None, missing.barred.removeprefix("$"), missing.reason)
    elif missing.barred:
        yield tree.problem(own if missing.barred == FILE else ("secrets", "dir"), missing.reason)


def overlay_of(overlay: Mapping[str, Any] | None, data_dir: Path | None, listen: str | None) -> dict[str, Any]:
    """What the command line says over the file."""
    merged: dict[str, Any] = {
        key: dict(value) if isinstance(value, dict) else value for key, value in (overlay or {}).items()
    }
    if data_dir is not None:
        merged.setdefault("store", {})["data_dir"] = str(data_dir.expanduser().resolve())
    if listen is not None:
        merged.setdefault("http", {})["listen"] = listen
    return merged
