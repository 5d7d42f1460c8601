"""`piyasad simulate`: hours of the configured room in a virtual world, and what they were like in tables.

It needs no token, no key and no network. The simulation itself is in `simulation/`; here it is begun and shown.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from piyasad.config.load import ConfigError, Problem, default_config, load

if TYPE_CHECKING:
    from piyasad.simulation.report import Report

DRAW_SECONDS: Final = 0.1
"""How often the bar is drawn."""

LIMITS: Final = {
    "quota": "the providers' daily quota or the budget",
    "hourly_limit": "[pace] hourly_limit",
    "chat_pace": "[pace] chat_per_minute",
}


class Table(NamedTuple):
    """A table to print."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Any]]


def simulate(
    config: Path,
    hours: float,
    *,
    seed: int = 1,
    people: Path | None = None,
    journal: Path | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Report:
    """Let the configured room live for so many hours.

    Raises:
        ConfigError: the configuration or the script cannot be used, or the journal cannot be written.
    """
    from piyasad.ops import log
    from piyasad.simulation.people import read
    from piyasad.simulation.virtual_day import VirtualDay, midnight

    settings = load(config)
    log.setup("console", "error", {})  # a day of a room in a minute's log would help nobody; the journal has it all
    script = read(people, settings, midnight(settings)) if people is not None else []
    with contextlib.ExitStack() as stack:
        out = None
        if journal is not None:
            try:
                out = stack.enter_context(journal.open("w", encoding="utf-8"))
            except OSError as error:
                problem = Problem(str(journal), None, "--journal", f"cannot be written: {error.strerror}")
                raise ConfigError([problem]) from error
        return VirtualDay(settings, seed=seed, script=script, journal=out).run(hours, progress)


def own_or_shipped(config: Path) -> Path:
    """The file to simulate where none was named: the usual one, else the one that comes with the program."""
    return config if config.exists() else default_config()


@contextlib.contextmanager
def progress_bar(hours: float) -> Iterator[Callable[[float], None]]:
    """A bar on a terminal's stderr; nothing where nobody watches."""
    if not sys.stderr.isatty():
        yield lambda share: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task(f"{hours:g} h", total=1.0)
        drawn = 0.0

        def progress(share: float) -> None:
            nonlocal drawn
            if (now := time.monotonic()) - drawn >= DRAW_SECONDS:
                drawn = now
                bar.update(task, completed=share, refresh=True)

        yield progress


def tables_of(report: Report) -> list[Table]:
    """What `simulate` prints."""
    lines = max(1, report.lines)
    asked, answered = report.said_by_people, report.answered
    figures: list[tuple[str, str]] = [
        ("lines", f"{report.lines} in {report.hours:g} h, and {_count(report.notices, 'notice')}"),
        ("calls", f"{report.calls} ({report.calls / lines:.2f} a line)"),
        ("tokens", f"{report.prompt_tokens:,} in, {report.completion_tokens:,} out"),
        ("cost", f"${report.cost:.4f}"),
        ("people", f"{_count(asked, 'line')}, {answered} answered" if asked else "nobody wrote"),
    ]
    if report.wait_p50 is not None:
        waits = f"p50 {report.wait_p50:.1f} s, p95 {report.wait_p95:.1f} s, at most {report.wait_most:.1f} s"
        figures.append(("people waited", waits))
    figures.append(("refused by limits", ", ".join(f"{k}: {n}" for k, n in report.refused.items()) or "nothing"))
    figures += [("expected", words) for words in report.expected]
    bounds = [(LIMITS[b.limit], f"{b.share:.0%}", f"{b.most:.1f} ×") for b in report.bounds]
    return [
        Table("Lines by bot", ("bot", "lines"), list(report.by_bot.items())),
        Table("Lines by chat", ("chat", "lines"), list(report.by_chat.items())),
        Table("Lines by hour", ("hour", "lines"), [(f"{hour}:00", n) for hour, n in report.by_hour.items()]),
        Table("Limits that held the bots back", ("limit", "of their time", "slowest"), bounds),
        Table("Turns", ("intent and outcome", "turns"), list(report.turns.items())),
        Table("In all", ("", ""), figures),
    ]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
