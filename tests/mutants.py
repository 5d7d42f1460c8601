"""`make mutants`: every change of `mutants.toml`, put in alone, must fail a test that names the rule it breaks.

A change names a file, the text to replace (it must stand there exactly once), the new text and the tests. Two copies of
the tree work side by side. A change that survives, or that no longer applies, fails the run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).parents[1]
LIST = Path(__file__).with_name("mutants.toml")
TREES = 2
PATIENCE_SECONDS = 180.0
COPIED = ("piyasad", "tests", "config.toml", "pyproject.toml")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change that breaks a rule, and the tests that must notice."""

    rule: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def read() -> list[Mutant]:
    """The list, as it is written."""
    rows = tomllib.loads(LIST.read_text(encoding="utf-8"))["mutant"]
    return [Mutant(row["rule"], row["file"], row["old"], row["new"], tuple(row["tests"])) for row in rows]


def fault_of(mutant: Mutant) -> str:
    """Why a change cannot be put in; "" when it can."""
    file = ROOT / mutant.file
    if not file.exists():
        return f"{mutant.file} is gone"
    times = file.read_text(encoding="utf-8").count(mutant.old)
    return "" if times == 1 else f"its old text stands {times} times in {mutant.file}"


def run_tests(tree: Path, tests: tuple[str, ...]) -> str:
    """How the tests end in a tree: `passed`, `failed …`, `hung`, or `no test …`."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n0", "-p", "no:cacheprovider", "--no-header", *tests]
    env = os.environ | {"PYTHONPATH": str(tree), "HYPOTHESIS_STORAGE_DIRECTORY": str(tree / "hypothesis")}
    try:
        done = subprocess.run(
            command, cwd=tree, env=env, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return "hung"
    if done.returncode == 0:
        return "passed"
    words = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(("FAILED", "ERROR"))]
    return f"failed {' '.join(words)}" if done.returncode == 1 else f"no test: {(done.stdout + done.stderr)[-300:]}"


def try_one(mutant: Mutant, trees: SimpleQueue[Path]) -> str:
    """Put one change in and take it out again; why it is no good, or "" when the tests noticed."""
    if fault := fault_of(mutant):
        return f"no longer applies: {fault}"
    tree = trees.get()
    began = time.monotonic()
    file = tree / mutant.file
    whole = file.read_text(encoding="utf-8")
    try:
        file.write_text(whole.replace(mutant.old, mutant.new), encoding="utf-8")
        ended = run_tests(tree, mutant.tests)
    finally:
        file.write_text(whole, encoding="utf-8")
        trees.put(tree)
    print(f"{ended.split()[0]:8} {time.monotonic() - began:5.1f} s  {mutant.rule}", flush=True)
    if ended == "passed":
        return "survived"
    return "" if ended.startswith(("failed", "hung")) else f"its tests could not be run: {ended}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="only changes whose rule holds one of these words")
    words = parser.parse_args().words
    mutants = [each for each in read() if not words or any(word in each.rule for word in words)]
    with tempfile.TemporaryDirectory(prefix="piyasad-mutants-") as folder:
        trees: SimpleQueue[Path] = SimpleQueue()
        for number in range(TREES):
            tree = Path(folder) / str(number)
            tree.mkdir()
            for name in COPIED:
                source = ROOT / name
                if source.is_dir():
                    shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(source, tree / name)
            trees.put(tree)
        every = tuple(dict.fromkeys(test for mutant in mutants for test in mutant.tests))
        tree = trees.get()
        if (ended := run_tests(tree, every)) != "passed":
            print(f"the tests do not pass as they are: {ended}")
            return 1
        trees.put(tree)
        with ThreadPoolExecutor(TREES) as pool:
            found = list(pool.map(lambda mutant: try_one(mutant, trees), mutants))
    bad = [(mutant, why) for mutant, why in zip(mutants, found, strict=True) if why]
    for mutant, why in bad:
        print(f"{mutant.rule}: {why}")
    print(f"{len(mutants) - len(bad)} passed, {len(bad)} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
