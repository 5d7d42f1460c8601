"""What is wrong with a configuration, in words: where it stands, what was expected, what was found, the cure.

`config/load.py` collects `Problem`s and raises one `ConfigError` with all of them. A secret is never quoted back.
"""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from piyasad.config.settings import Settings

ENVIRONMENT = "environment"

STAYS = "the old configuration stays"
"""What every refused reload ends with."""

_CREDENTIAL = re.compile(r"\d{5,}:[\w-]{20,}|\b(?:sk|gsk|AIza|key)[\w-]{16,}")
_PRIVATE_KEY_WORDS = ("token", "api_key", "secret", "password", "postgres", "redis")


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault. `file` is a path, or "environment"; `line` counts from 1; `key` is dotted, or a variable's name."""

    file: str
    line: int | None
    key: str
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(part for part in (place, self.key, self.message) if part)


class ConfigError(Exception):
    """The configuration cannot be used. `str()` is the whole report; no secret is in it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        unique = dict.fromkeys(problems)
        self.problems = sorted(unique, key=lambda p: (p.file == ENVIRONMENT, p.file, p.line or 0))
        super().__init__(self.problems)

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return str(self.problems[0])
        return "\n".join((f"the configuration has {len(self.problems)} errors:", *(f"  {p}" for p in self.problems)))


def refusal(problems: Sequence[Problem]) -> str:
    """What became of a refused reload, in one line for the service manager; each problem has its own in the log."""
    first = f"{problems[0]}" if problems else "for no known reason"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"reload refused, {STAYS}: {first}{more}"


def refused(problem: Problem) -> dict[str, str | int]:
    """One problem of a refused reload, as the log's event `reload.refused` carries it."""
    place = {"file": problem.file, "line": problem.line, "key": problem.key}
    return {name: value for name, value in place.items() if value} | {"reason": problem.message, "note": STAYS}


def redacted(text: str) -> str:
    """A text in which whatever looks like a token or key is an ellipsis."""
    return _CREDENTIAL.sub("…", text)


def dotted(path: Iterable[str | int]) -> str:
    """A path as it is read: bots[2].persona.tone."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part}"'
            text += f".{name}" if text else name
    return text


def shown(value: Any, path: Sequence[str | int] = ()) -> str:
    """A value to quote in a message: short, and never a secret."""
    if any(word in str(part) for part in path for word in _PRIVATE_KEY_WORDS):
        return "something else"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, bool):
        return str(value).lower()
    text = redacted(repr(value))
    return text if len(text) <= 60 else text[:59] + "…"


def field_at(path: Sequence[str | int]) -> FieldInfo | None:
    """The field that a path of keys leads to; None where the contract knows none, or for an element of a list."""
    found: FieldInfo | None = None
    kind: Any = Settings
    for part in path:
        kind, found = _step(kind, part)
        if kind is None:
            return None
    return found


def model_at(path: Sequence[str | int]) -> type[BaseModel] | None:
    """The model whose keys are known at a path."""
    kind: Any = Settings
    for part in path:
        kind, _ = _step(kind, part)
    bare = _bare(kind)
    return bare if isinstance(bare, type) and issubclass(bare, BaseModel) else None


def known_keys(model: type[BaseModel]) -> list[str]:
    """A model's keys as they are written."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _step(kind: Any, part: str | int) -> tuple[Any, FieldInfo | None]:
    bare = _bare(kind)
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        for name, field in bare.model_fields.items():
            if part == (field.alias or name):
                return field.annotation, field
        return None, None
    arguments = get_args(bare)
    if get_origin(bare) is tuple and isinstance(part, int):
        return arguments[0], None
    if get_origin(bare) is dict:
        return arguments[1], None
    return None, None


def _bare(kind: Any) -> Any:
    """A type without Annotated and without `| None`."""
    while True:
        if get_origin(kind) is Annotated:
            kind = get_args(kind)[0]
        elif get_origin(kind) in (Union, types.UnionType):
            rest = [argument for argument in get_args(kind) if argument is not type(None)]
            if len(rest) != 1:
                return kind
            kind = rest[0]
        else:
            return kind


def bare_type(kind: Any) -> Any:
    """A field's type without what surrounds it (for reading the environment)."""
    return _bare(kind)


def unknown_key(path: Sequence[str | int]) -> str:
    """What to say about a key that the contract does not know: the nearest one, or where it belongs."""
    key = str(path[-1])
    model = model_at(path[:-1]) or Settings
    known = known_keys(model)
    if f"{key}_env" in known:
        return (
            f"a secret never stands in the file; put it into an environment variable and write "
            f'{key}_env = "ITS_NAME", or into a file{_file_cure(key, known)}'
        )
    if model is Settings:
        known = ["include", *known]
    close = difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.6)
    if close:
        return f"unknown key; did you mean {close[0]}?"
    homes = [s for s, field in Settings.model_fields.items() if s != "bot_defaults" and _has(field, key)]
    if homes:
        return f"unknown key here; it belongs in [{homes[0]}]"
    nearest = max(known, key=lambda name: difflib.SequenceMatcher(None, key, name).ratio(), default="")
    return f"unknown key; the nearest known one is {nearest} (known here: {', '.join(known)})"


def _has(field: FieldInfo, key: str) -> bool:
    bare = _bare(field.annotation)
    return isinstance(bare, type) and issubclass(bare, BaseModel) and key in known_keys(bare)


def _file_cure(key: str, known: Sequence[str]) -> str:
    file = f' (mode 0600) and write {key}_file = "its path"' if f"{key}_file" in known else " (mode 0600)"
    return f"{file}, or into the folder of [secrets] dir"


def explain(error: typing.Mapping[str, Any], path: Sequence[str | int]) -> str:
    """One error of pydantic in our words. `path` is where it is."""
    kind, context, value = error["type"], error.get("ctx") or {}, error.get("input")
    if kind == "piyasad":
        return str(context["message"])
    if kind == "extra_forbidden":
        return unknown_key(path)
    unit = _unit(path)
    if kind == "missing" and isinstance(path[-1], int):
        return "is missing; two values are wanted, [ …, … ]"
    if kind == "missing":
        return f"is missing; write {dotted(path[-1:])} = …{unit}"
    expected = _expected(kind, context) or str(error.get("msg", "not valid"))
    return f"expected {expected}{unit}, found {shown(value, path)}"


def _unit(path: Sequence[str | int]) -> str:
    field = field_at(path)
    return f" ({field.description})" if field is not None and field.description else ""


def _expected(kind: str, context: typing.Mapping[str, Any]) -> str:
    match kind:
        case "bool_type":
            return "true or false"
        case "int_type" | "int_from_float" | "int_parsing":
            return "a whole number"
        case "float_type" | "float_parsing":
            return "a number"
        case "finite_number":
            return "a finite number"
        case "string_type":
            return 'a text in quotes, "…"'
        case "path_type":
            return 'a path in quotes, "…"'
        case "tuple_type" | "list_type":
            return "a list, [ … ]"
        case "model_type" | "model_attributes_type" | "dict_type":
            return "a table, { key = value }"
        case "literal_error":
            return f"one of {context['expected']}".replace("'", '"')
        case "greater_than_equal":
            return f"at least {context['ge']:g}"
        case "less_than_equal":
            return f"at most {context['le']:g}"
        case "string_too_short":
            return f"at least {context['min_length']} characters"
        case "string_too_long":
            return f"at most {context['max_length']} characters"
        case "too_short":
            return f"at least {context['min_length']} of them"
        case "too_long":
            return f"at most {context['max_length']} of them"
        case _:
            return ""
