"""Configuration before it is typed: tables from several places made one, each key knowing where it came from.

`config/load.py` grows a `Tree` out of files, the environment and an overlay. Nothing here knows what the keys mean.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, Final

from piyasad.config.lines import Path
from piyasad.config.problems import Problem, dotted, redacted

NOWHERE: Final = "configuration"
"""The file of a key that no file has."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a key was written. `folder` is what relative paths are relative to; None: the working directory."""

    file: str
    line: int | None
    key: str
    folder: FilePath | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was read: its tables and the line of each of its keys."""

    file: str
    folder: FilePath
    data: dict[str, Any]
    lines: Mapping[Path, int]

    def origin(self, path: Path) -> Origin:
        """Where a path of this file stands: its own line, or that of the table around it."""
        line = next((self.lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self.lines), None)
        return Origin(self.file, line, dotted(path), self.folder)


class Tree:
    """`data` as one nested dict; `where` tells the origin of each path in it."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}
        self._origins: dict[Path, Origin] = {}

    def where(self, path: Path) -> Origin:
        """The origin of a path, or of the nearest table around it that has one."""
        for n in range(len(path), 0, -1):
            origin = self._origins.get(path[:n])
            if origin is not None:
                missing = path[n:]
                key = dotted(missing)
                joint = "" if key.startswith("[") or not key else "."
                return (
                    Origin(origin.file, origin.line, f"{origin.key}{joint}{key}", origin.folder) if missing else origin
                )
        return Origin(NOWHERE, None, dotted(path))

    def problem(self, path: Path, message: str) -> Problem:
        """A fault at a path."""
        origin = self.where(path)
        return Problem(origin.file, origin.line, origin.key, redacted(message))

    def add(self, source: Source) -> list[Problem]:
        """Add a file: tables merge, arrays of tables append; the same value in two places is a fault."""
        problems: list[Problem] = []
        self._add(self.data, (), source.data, (), source, problems)
        return problems

    def _add(
        self,
        into: dict[str, Any],
        path: Path,
        table: Mapping[str, Any],
        source_path: Path,
        source: Source,
        problems: list[Problem],
    ) -> None:
        for key, value in table.items():
            here, there = (*path, key), (*source_path, key)
            if key not in into:
                self._put(into, here, value, _below(source.origin, there))
            elif isinstance(value, dict) and isinstance(into[key], dict):
                self._add(into[key], here, value, there, source, problems)
            elif _is_tables(value) and _is_tables(into[key]):
                base = len(into[key])
                into[key].extend(copy.deepcopy(value))
                for i, element in enumerate(value):
                    self._note((*here, base + i), element, _below(source.origin, (*there, i)))
            else:
                first, second = self.where(here), source.origin(there)
                message = f"is set in {first.file}:{first.line} too; keep one of the two"
                problems.append(Problem(second.file, second.line, second.key, message))

    def override(self, table: Mapping[str, Any], origin: Callable[[Path], Origin]) -> None:
        """Lay a mapping on top: tables merge, everything else is replaced, None removes a key."""
        self._override(self.data, (), table, origin)

    def override_at(self, path: Path, table: Mapping[str, Any], origin: Callable[[Path], Origin]) -> None:
        """The same for the table at a path."""
        into: Any = self.data
        for part in path:
            into = into[part]
        self._override(into, path, table, origin)

    def _override(
        self, into: dict[str, Any], path: Path, table: Mapping[str, Any], origin: Callable[[Path], Origin]
    ) -> None:
        for key, value in table.items():
            here = (*path, key)
            if value is None:
                into.pop(key, None)
            elif isinstance(value, Mapping) and isinstance(into.get(key), dict):
                self._override(into[key], here, value, origin)
            else:
                self._put(into, here, value, _below(origin, here))

    def underlay(self, path: Path, defaults: Path, skip: frozenset[str] = frozenset()) -> None:
        """Give the table at `path` the keys of the table at `defaults` that it lacks; nested tables merge."""
        self._underlay(self._get(path), path, self._get(defaults), defaults, skip)

    def _underlay(self, into: Any, path: Path, table: Any, source: Path, skip: frozenset[str]) -> None:
        for key, value in table.items():
            here, there = (*path, key), (*source, key)
            if key in skip:
                continue
            if key not in into:
                self._put(into, here, value, _below(self.where, there))
            elif isinstance(value, dict) and isinstance(into[key], dict):
                self._underlay(into[key], here, value, there, frozenset())

    def _get(self, path: Path) -> Any:
        value: Any = self.data
        for part in path:
            value = value[part]
        return value

    def _put(self, into: dict[str, Any], path: Path, value: Any, origin: Callable[[Path], Origin]) -> None:
        into[str(path[-1])] = copy.deepcopy(value)
        self._note(path, value, origin)

    def _note(self, path: Path, value: Any, origin: Callable[[Path], Origin]) -> None:
        for sub in _paths(value):
            self._origins[path + sub] = origin(sub)


def _below(origin: Callable[[Path], Origin], base: Path) -> Callable[[Path], Origin]:
    """The same origins, asked for by the path below `base`."""
    return lambda sub: origin(base + sub)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(element, dict) for element in value)


def _paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """The path of a value and of everything in it."""
    yield path
    items: Iterator[tuple[str | int, Any]] = iter(())
    if isinstance(value, Mapping):
        items = iter(value.items())
    elif isinstance(value, list | tuple):
        items = iter(enumerate(value))
    for key, inner in items:
        yield from _paths(inner, (*path, key))
