"""What a stranger gets: a wheel with all inside, locks that anybody can install from, and no trace of a machine."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import pytest

import piyasad

REPOSITORY = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock")

REGISTRIES = ("pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".", "crates" + ".io", "anaconda" + ".org")
"""Nobody's installation is to depend on one. In pieces, so that this file does not name them."""


@pytest.fixture(scope="module")
def tracked() -> dict[str, str]:
    """The text of every file that git knows."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("not a clone")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    files = [name for name in listed.stdout.split("\0") if name and (REPOSITORY / name).is_file()]
    return {name: (REPOSITORY / name).read_bytes().decode(errors="replace") for name in files}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """The wheel, built as `pip install .` builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as opened:
        yield opened


def metadata(wheel: zipfile.ZipFile, name: str) -> str:
    return wheel.read(f"piyasad-{piyasad.__version__}.dist-info/{name}").decode()


def test_no_file_names_a_package_registry(tracked: dict[str, str]) -> None:
    assert [(name, host) for name, text in tracked.items() for host in REGISTRIES if host in text] == []


def test_no_file_knows_this_machine(tracked: dict[str, str]) -> None:
    ours = {f"{folder}/" for folder in (REPOSITORY, Path.home(), Path(sys.base_prefix))} - {
        "//",
        "/usr/",
        "/usr/local/",
    }
    assert [(name, path) for name, text in tracked.items() for path in ours if path in text] == []


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_by_hash_and_names_no_address(name: str) -> None:
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*-", text.replace("    --hash=sha256:", ""), re.MULTILINE), "an option of pip's"
    pinned = text.replace("\\\n", " ").splitlines()
    assert len(pinned) > 20
    for line in pinned:
        assert re.fullmatch(r"[a-z0-9.-]+==\S+(?: ; [^\\]+?)?(?:\s+--hash=sha256:[0-9a-f]{64})+", line), line[:100]


def test_the_locks_agree_and_hold_every_dependency() -> None:
    run, dev = (
        dict(re.findall(r"^([a-z0-9.-]+)==([^\s;]+)", (REPOSITORY / name).read_text(encoding="utf-8"), re.MULTILINE))
        for name in LOCKS
    )
    assert run.items() <= dev.items()
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    for wanted, lock in ((project["dependencies"] + extras["build"], run), (extras["dev"], dev)):
        names = {re.split(r"[<>=\[]", entry)[0] for entry in wanted}
        assert names <= set(lock), names - set(lock)


def tiny_wheel(folder: Path, name: str, version: str, *needs: str) -> str:
    """A wheel of nothing but its metadata; its line in a lock."""
    about = f"{name}-{version}.dist-info"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", "Provides-Extra: more"]
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{about}/METADATA", "\n".join([*lines, *(f"Requires-Dist: {need}" for need in needs), ""]))
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def test_a_lock_installs_as_it_stands_when_newer_ones_are_published(tmp_path: Path) -> None:
    """Set-up broke on a new machine the day coverage 7.17.4 came out: pytest-cov asks for `coverage[toml]`."""
    lock = tiny_wheel(tmp_path, "asker", "1.0", "asked[more]>=1") + tiny_wheel(tmp_path, "asked", "1.0")
    tiny_wheel(tmp_path, "asked", "2.0")
    (tmp_path / "lock").write_text(lock, encoding="utf-8")
    own = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}
    done = subprocess.run(
        [REPOSITORY / "tests" / "tools" / "install-lock", sys.executable, tmp_path / "lock"],
        env={**os.environ, **own, "PIP_TARGET": str(tmp_path / "site")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert {path.stem for path in (tmp_path / "site").glob("*.dist-info")} == {"asker-1.0", "asked-1.0"}


def test_every_lock_is_installed_by_the_one_way(tracked: dict[str, str]) -> None:
    lines = [(name, line) for name, text in tracked.items() if "/test_" not in name for line in text.splitlines()]
    ways = {name: line for name, line in lines if re.search(r"pip install.* -r \S", line)}
    assert set(ways) == {"tests/tools/install-lock", "systemd/piyasad.service"}
    assert all("--no-deps" in line and "--require-hashes" in line for line in ways.values())


def test_what_the_locks_name_is_all_that_is_needed() -> None:
    """They are installed without resolving, so a hole would show only where something is imported."""
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_wheel_holds_all_that_the_program_reads(wheel: zipfile.ZipFile) -> None:
    inside = set(wheel.namelist())
    package = REPOSITORY / "piyasad"
    needed = {
        f"piyasad/{path.relative_to(package).as_posix()}"
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"piyasad/py.typed", "piyasad/__main__.py", "piyasad/store/migrations/0001_schema.sql"} <= needed
    assert needed | {"piyasad/config.toml"} <= inside
    assert {name.split("/")[0] for name in inside} == {"piyasad", f"piyasad-{piyasad.__version__}.dist-info"}


def test_the_wheel_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    about = Parser().parsestr(metadata(wheel, "METADATA"))
    assert (about["Name"], about["Requires-Python"], about["License-Expression"]) == ("piyasad", ">=3.11", "MIT")
    assert "piyasad = piyasad.cli:main" in metadata(wheel, "entry_points.txt")
    assert "MIT License" in metadata(wheel, "licenses/LICENSE")


def test_an_installed_piyasad_carries_its_configuration(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path)
    asked = (
        "from piyasad.config.load import *; p = default_config(); print(p, *(b.username for b in load(p, env={}).bots))"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    path, *bots = done.stdout.split()
    assert path == str(tmp_path / "piyasad" / "config.toml")
    assert len(bots) == 4
