"""What a reload of the file would change against what the running daemons have. `cli.py` prints it.

It asks the functions that the reload itself asks; it changes nothing.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from piyasad.commands.database import NoDaemon, configuration_of, find, name_of
from piyasad.config.changes import Row, as_the_daemon_sees, diff, refusals, rows
from piyasad.config.load import Loaded, read
from piyasad.config.problems import Problem
from piyasad.config.snapshot import Snapshot, snapshot
from piyasad.store.interface import Store


@dataclass(frozen=True, slots=True)
class Plan:
    """What a reload would do to these daemons. `refused`: why it would change nothing; `notes`: what else is odd."""

    daemons: tuple[str, ...]
    rows: tuple[Row, ...]
    refused: tuple[Problem, ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "daemons": list(self.daemons),
            "changes": [asdict(row) for row in self.rows],
            "refused": [asdict(problem) for problem in self.refused],
            "notes": list(self.notes),
        }


def plans_of(config: Path, data_dir: Path | None, dsn: str | None, env: Mapping[str, str] | None = None) -> list[Plan]:
    """A plan for each configuration that runs; daemons that run with the same share one.

    Raises:
        ConfigError: the file cannot be used.
        NoDaemon: no living daemon says what it runs with.
    """
    env = os.environ if env is None else env
    place = find(config, data_dir, dsn, env)
    loaded = place.loaded or read(config, env, secrets=False)  # which says what is wrong with it

    async def ask(store: Store) -> list[tuple[str, Snapshot]]:
        living = [each for each in await store.daemons() if each.alive]
        told = [(name_of(each), found) for each in living if (found := configuration_of(each)) is not None]
        if not told:
            why = "say yet what they run with" if living else "are alive"
            raise NoDaemon(f"no daemons of this database {why}")
        return told

    told = sorted(asyncio.run(place.look(ask)), key=lambda each: each[0])
    plans: dict[tuple[Any, ...], Plan] = {}
    for name, old in told:
        found = plan(name, old, loaded, env)
        same = plans.setdefault((found.rows, found.refused, found.notes), found)
        if same is not found:
            plans[found.rows, found.refused, found.notes] = replace(same, daemons=(*same.daemons, name))
    return list(plans.values())


def plan(daemon: str, old: Snapshot, loaded: Loaded, env: Mapping[str, str]) -> Plan:
    """What a reload would do to a daemon that runs with `old`."""
    own = snapshot(loaded.settings, env, salt=old["salt"])
    new = as_the_daemon_sees(old, own)
    changes = diff(old, new)
    notes = [str(warning) for warning in loaded.warnings]
    if old["file"] and old["file"] != os.path.realpath(loaded.file):
        notes.insert(0, f"the daemon reads another file: {old['file']}")
    secrets = [item["secrets"] for item in (*own["bots"].values(), *own["providers"].values())]
    unseen = [each["missing"] for each in secrets if each is not None and each["unseen"]]
    notes += [f"cannot be compared by you, and is taken as unchanged: {why}" for why in unseen]
    asked = {name for each in secrets if each is not None for name in each["variables"]}
    notes += [f"whether the daemon has ${name} cannot be seen from here" for name in sorted(asked - _variables(old))]
    return Plan(
        (daemon,), tuple(rows(changes)), tuple(refusals(changes, new, loaded.problem)), tuple(dict.fromkeys(notes))
    )


def _variables(old: Snapshot) -> set[str]:
    """The variables that the daemon has, or asked for already and lacks."""
    secrets = [item["secrets"] for item in (*old["bots"].values(), *old["providers"].values())]
    return {name for each in secrets if each is not None for name in each["variables"]}
