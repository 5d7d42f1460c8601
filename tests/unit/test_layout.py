"""The floor plan: upper floors import lower ones, no two folders import each other, the root holds a dozen files."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "piyasad"

FLOORS = (
    {"model", "clock", "metrics"},
    {"supervise", "language"},
    {"config"},
    {"privacy"},
    {"store"},
    {"telegram"},
    {"providers"},
    {"gateway"},
    {"chat"},
    {"personas"},
    {"behaviour", "guards"},
    {"sharding"},
    {"delivery"},
    {"scheduler"},
    {"bots"},
    {"ops"},
    {"build"},
    {"reload", "system"},
    {"engine"},
    {"simulation"},
    {"commands"},
    {"cli"},
    {"__main__"},
)
"""The ground first. Who stands on a floor may import from the floors below it and from its own room."""

FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}


def imports(path: Path) -> set[str]:
    """The modules of ours that a file imports, type-only imports included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "piyasad":
            found |= {node.module} if node.module != "piyasad" else {f"piyasad.{name.name}" for name in node.names}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name.startswith("piyasad.")}
    return found


def rooms() -> dict[str, set[str]]:
    """Each room at the root with the rooms that it imports."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in ROOT.rglob("*.py"):
        room = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if room != "__init__":
            found[room] |= {name.split(".")[1] for name in imports(path) if name != "piyasad.__version__"} - {room}
    return found


@pytest.mark.parametrize("room", sorted(rooms()))
def test_a_room_imports_only_from_floors_below(room: str) -> None:
    if room == "sandbox":  # the outside world; what stands above may use it, it uses nobody
        assert rooms()[room] == set()
        return
    upward = {other for other in rooms()[room] if other != "sandbox" and FLOOR[other] >= FLOOR[room]}
    assert not upward


def test_at_most_a_dozen_files_stand_at_the_root() -> None:
    assert len(list(ROOT.glob("*.py"))) <= 12


def test_a_folder_has_more_than_one_room() -> None:
    for folder in (path.parent for path in ROOT.rglob("__init__.py")):
        if folder != ROOT:
            assert len(list(folder.iterdir())) > 1, f"{folder} holds nothing"


def nested(folder: Path) -> dict[str, set[str]]:
    """Each direct child of a folder with the siblings that it imports."""
    prefix = ".".join(("piyasad", *folder.relative_to(ROOT).parts)) + "."
    found: dict[str, set[str]] = defaultdict(set)
    for path in folder.rglob("*.py"):
        child = path.relative_to(folder).parts[0].removesuffix(".py")
        names = {name.removeprefix(prefix).split(".")[0] for name in imports(path) if name.startswith(prefix)}
        found[child] |= names - {child, "__init__"}
    return found


def test_no_two_folders_import_each_other() -> None:
    folders = [path.parent for path in ROOT.rglob("__init__.py")]
    for folder in folders:
        children = nested(folder)
        inner = {each.name for each in folders if each.parent == folder}
        both = {(a, b) for a in inner for b in children.get(a, ()) if a in children.get(b, ())}
        assert not both
