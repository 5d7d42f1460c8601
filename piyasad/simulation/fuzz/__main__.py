"""`python -m piyasad.simulation.fuzz SEEDS`: what `make fuzz` calls. 1 when a seed found something wrong.

SEEDS are numbers and ranges, like 17 or 1-300,400. A single seed tells all that happens.
"""

from __future__ import annotations

import argparse
import multiprocessing
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from typing import Final

from piyasad.simulation.fuzz.seed import HOURS, Outcome, run

MOST_SECONDS: Final = 120
"""A seed that takes longer hangs."""

SHOWN: Final = 8
"""The last steps before the end that a failing seed shows."""


def seeds_of(text: str) -> list[int]:
    """The seeds that the text names, in order.

    Raises:
        ValueError: it names none.
    """
    found: dict[int, None] = {}
    for part in filter(None, text.replace(",", " ").split()):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ValueError(f"{part!r}: expected a seed or a range like 1-300")
        found |= dict.fromkeys(range(int(first), int(last or first) + 1))
    if not found:
        raise ValueError("no seed is named")
    return list(found)


def judge(task: tuple[int, float]) -> Outcome:
    """Run one seed in this process; whatever goes wrong is found in the outcome."""
    seed, hours = task
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(MOST_SECONDS)
    try:
        return run(seed, hours=hours)
    except Exception:  # noqa: BLE001 - a seed that breaks the fuzzer is a finding, too
        return Outcome(seed, found=[traceback.format_exc()])
    finally:
        signal.alarm(0)


def _too_long(number: int, frame: object) -> None:
    raise TimeoutError(f"not done after {MOST_SECONDS} s")


def outcomes(seeds: Sequence[int], hours: float, jobs: int) -> Iterator[Outcome]:
    """The seeds' outcomes as they come."""
    tasks = [(seed, hours) for seed in seeds]
    if jobs == 1 or len(seeds) == 1:
        yield from map(judge, tasks)
        return
    with multiprocessing.get_context("fork").Pool(jobs, maxtasksperchild=25) as pool:
        yield from pool.imap_unordered(judge, tasks)


def main(arguments: Sequence[str]) -> int:
    """Run the seeds and tell what they found."""
    parser = argparse.ArgumentParser(
        prog="python -m piyasad.simulation.fuzz", description=(__doc__ or "").split(":")[0]
    )
    parser.add_argument("seeds", type=seeds_of, metavar="SEEDS", help="like 17 or 1-300,400")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument("--hours", type=float, default=HOURS, help="virtual hours of a seed (2)")
    given = parser.parse_args(arguments)
    if len(given.seeds) == 1:
        outcome = run(given.seeds[0], hours=given.hours, say=_print)
        for words in outcome.found:
            _print(f"WRONG {words}")
        _print(f"seed {outcome.seed}: {_summary([outcome])}")
        return 1 if outcome.found else 0
    began = time.perf_counter()
    done: list[Outcome] = []
    for outcome in outcomes(given.seeds, given.hours, given.jobs):
        done.append(outcome)
        if outcome.found:
            _print(f"seed {outcome.seed}: {len(outcome.found)} wrong; repeat it: make fuzz SEEDS={outcome.seed}")
            for words in outcome.found[:SHOWN]:
                _print(f"    {words}")
    _print(f"{len(done)} seeds in {time.perf_counter() - began:.0f} s: {_summary(done)}")
    return 1 if any(outcome.found for outcome in done) else 0


def _summary(done: Sequence[Outcome]) -> str:
    wrong = sum(bool(outcome.found) for outcome in done)
    return f"{sum(outcome.delivered for outcome in done)} messages, {wrong or 'none'} wrong"


def _print(words: str) -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
