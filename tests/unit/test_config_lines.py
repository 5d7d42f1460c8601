"""Every key's line is found, however the TOML is written."""

from __future__ import annotations

import itertools
import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piyasad.config.lines import Path, key_lines

TEXT = """\
# a comment with a = 1
include = ["a.toml",
   # another
   "b.toml"]

[pace]
hourly_limit = { min = 6, max = 12 }
jitter = [
  0.7,
  1.3,
]
"odd key".'x' = 1

[[bots]]
name = "Ali # no comment"
[bots.persona]
hint = \"\"\"
[not.a.table]
name = "not a key"
quotes at the end: \\\"\"\"\"\"
tone = 'C:\\'
[[bots.stances]]
topic = "a"
[[bots.stances]]
topic = "b"
symbols = ["X", "]"]
[[bots]]
name = '''
it's'''
stances = [{ topic = "c" },
  { topic = "d", side = "for" }]
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("include",), 2),
        (("include", 1), 4),
        (("pace",), 6),
        (("pace", "hourly_limit", "max"), 7),
        (("pace", "jitter", 1), 10),
        (("pace", "odd key", "x"), 12),
        (("bots", 0), 14),
        (("bots", 0, "persona"), 16),
        (("bots", 0, "persona", "hint"), 17),
        (("bots", 0, "persona", "tone"), 21),
        (("bots", 0, "stances", 1, "topic"), 25),
        (("bots", 0, "stances", 1, "symbols", 1), 26),
        (("bots", 1, "name"), 28),
        (("bots", 1, "stances", 0), 30),
        (("bots", 1, "stances", 1, "side"), 31),
    ],
)
def test_a_key_is_found_on_its_line(path: Path, line: int) -> None:
    tomllib.loads(TEXT)
    assert key_lines(TEXT)[path] == line


def test_windows_line_ends_count_as_one() -> None:
    assert key_lines("a = 1\r\n\r\nb = 2\r\n")[("b",)] == 3


def leaves(value: Any, path: Path = ()) -> dict[Path, Any]:
    """Every scalar of a document by its path."""
    if isinstance(value, dict):
        return dict(itertools.chain.from_iterable(leaves(v, (*path, k)).items() for k, v in value.items()))
    if isinstance(value, list):
        return dict(itertools.chain.from_iterable(leaves(v, (*path, i)).items() for i, v in enumerate(value)))
    return {path: value}


@st.composite
def documents(draw: st.DrawFn) -> str:
    """TOML in every style. Each scalar holds a number of its own, so that its line can be looked up in the text."""
    numbers = itertools.count(1000)

    def key() -> str:
        name = draw(st.sampled_from(["a", "b", "c-d", "e f", "g.h", "i#", "j\"'", "[k]", "ü"]))
        if name in {"a", "b", "c-d"} and draw(st.booleans()):
            return name
        escaped = name.replace('"', '\\"')
        return f'"{escaped}"'

    def scalar() -> str:
        n = next(numbers)
        style = draw(
            st.sampled_from(
                ["{}", '"# {} ] = ,"', "'{}\\'", '"""{}\n= [x]\n"""', "'''{}''\n#\n'''", "{}.5", '"""{}"" \\""""""']
            )
        )
        return style.format(n)

    def space() -> str:
        return draw(st.sampled_from(["", " ", "\n", " # [no]\n  ", "\n\n"]))

    def value(depth: int) -> str:
        kind = draw(st.sampled_from(["scalar", "scalar", "array", "inline"])) if depth else "scalar"
        if kind == "array":
            items = [space() + value(depth - 1) + space() for _ in range(draw(st.integers(0, 3)))]
            comma = draw(st.booleans())
            return "[" + ",".join(items) + ("," if items and comma else "") + "]"
        if kind == "inline":
            names = list(dict.fromkeys(key() for _ in range(draw(st.integers(0, 3)))))
            plain = {tomllib.loads(f"{n} = 1").popitem()[0]: n for n in names}
            return "{ " + ", ".join(f"{n} = {value(depth - 1)}" for n in plain.values()) + " }"
        return scalar()

    def body(prefix: str = "") -> list[str]:
        names = {tomllib.loads(f"{n} = 1").popitem()[0]: n for n in (key() for _ in range(draw(st.integers(0, 3))))}
        return [space().lstrip(" ") + f"{prefix}{n} = {value(2)}" for n in names.values()]

    parts = body()
    for i in range(draw(st.integers(0, 4))):
        if draw(st.booleans()):
            parts += [f"  [ table{i} . 'in ner' ] # x", *body()]
        else:
            for _ in range(draw(st.integers(1, 3))):
                parts += [f"[[array{i}]]", *body(), *body("dotted . "), f"[array{i}.sub]", *body()]
                for _ in range(draw(st.integers(0, 2))):
                    parts += [f"[[array{i}.sub2]]", *body()]
    return "\n".join(parts) + "\n"


@settings(max_examples=150, deadline=None)
@given(documents())
def test_every_scalar_of_any_document_is_found_where_it_is_written(text: str) -> None:
    found = key_lines(text)
    rows = text.split("\n")
    for path, value in leaves(tomllib.loads(text)).items():
        number = next(
            word
            for word in str(value).replace(".", " ").replace("\\", " ").replace("'", " ").replace('"', " ").split()
            if word.isdecimal()
        )
        assert number in rows[found[path] - 1], (path, found[path])
