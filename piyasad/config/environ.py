"""Configuration out of the environment: PIYASAD_SECTION__KEY, read by pydantic-settings.

Called by `config/load.py`. Names without a double underscore are none of ours (PIYASAD_HOME, …) and are left alone.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from piyasad.config.lines import Path
from piyasad.config.problems import ENVIRONMENT, Problem, bare_type, field_at, unknown_key
from piyasad.config.settings import Settings

_NAME = re.compile(r"PIYASAD_(?P<key>.+?__.+)")
_ARRAYS = ("chats", "bots")


class _Shell(Settings, BaseSettings):
    """What pydantic-settings looks at to know the sections. Never instantiated."""

    model_config = SettingsConfigDict(env_prefix="PIYASAD_", env_nested_delimiter="__")


class _Source(EnvSettingsSource):
    """pydantic-settings' reader over a given environment; values stay text, `_read` gives them their type."""

    def __init__(self, env: Mapping[str, str]) -> None:
        super().__init__(_Shell)
        self.env_vars = {name.lower(): value for name, value in env.items()}

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        return value


def from_environment(env: Mapping[str, str]) -> tuple[dict[str, Any], dict[Path, str], list[Problem]]:
    """The overrides of an environment as nested tables, the variable behind each path, and what is wrong with names."""
    ours = {name: value for name, value in env.items() if _NAME.fullmatch(name)}
    names: dict[Path, str] = {}
    problems: list[Problem] = []
    for name in sorted(ours):
        path = tuple(name.removeprefix("PIYASAD_").lower().split("__"))
        if path[0] not in Settings.model_fields:
            problems.append(Problem(ENVIRONMENT, None, name, unknown_key(path[:1])))
        elif path[0] in _ARRAYS:
            message = f"[[{path[0]}]] is a list and cannot be set from the environment; write it in the file"
            problems.append(Problem(ENVIRONMENT, None, name, message))
        else:
            names[path] = name
    kept = {name: ours[name] for name in names.values()}
    table = _Source(kept)() if kept else {}
    return _typed(table, ()), names, problems


def _typed(value: Any, path: Path) -> Any:
    if isinstance(value, Mapping):
        return {key: _typed(inner, (*path, key)) for key, inner in value.items()}
    field = field_at(path)
    return _read(value, field.annotation) if isinstance(value, str) and field is not None else value


def _read(text: str, annotation: Any) -> Any:
    """Text as the field's type wants it: texts as they are, lists also as a,b,c, the rest as TOML writes it.

    What cannot be read stays text, and validation says what was expected.
    """
    kinds = list(_kinds(annotation))
    if get_origin(bare_type(annotation)) is tuple and not text.lstrip().startswith("["):
        items = [item.strip() for item in text.split(",") if item.strip()]
        if any(kind in (str, FilePath) for kind in kinds) or not any(kind in (int, float) for kind in kinds):
            return items
        return [_literal(item) for item in items]
    if get_origin(bare_type(annotation)) is not tuple and any(kind in (str, FilePath) for kind in kinds):
        return text
    return _literal(text)


def _literal(text: str) -> Any:
    for candidate in (text, text.lower()):
        try:
            return tomllib.loads(f"value = {candidate}")["value"]
        except tomllib.TOMLDecodeError:
            continue
    return text


def _kinds(annotation: Any) -> Iterator[Any]:
    arguments = get_args(annotation)
    if not arguments:
        yield str if isinstance(annotation, str) else annotation  # the words of a Literal are texts
    for argument in arguments:
        yield from _kinds(argument)
