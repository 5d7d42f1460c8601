"""The unit files: what systemd says about them, and how piyasad lives under a real one in a throw-away root.

One trial is run for all of its tests: `tests/tools/trial-steps` does what an operator does and keeps every answer,
the tests judge them. It needs root and Debian's systemd-container; without them it is skipped, or fails where
PIYASAD_REQUIRE_ALL=1 demands everything.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.xdist_group("systemd"), pytest.mark.timeout(420)]

REPOSITORY = Path(__file__).parents[2]
UNITS = REPOSITORY / "systemd"
TOOLS = REPOSITORY / "tests" / "tools"
NAMES = ("piyasad.service", "piyasad@.service")
CHAT = -1001000000001
BOTS = ("bir_bot", "iki_bot", "uc_bot")
TOKENS = {name: f"{7300000000 + number}:{name.upper():x<35}" for number, name in enumerate(BOTS)}

CONFIG = f"""
[pace]
mean_delay_seconds = 1
prime_delay_seconds = 1
min_delay_seconds = 0.2
max_delay_seconds = 5
hourly_limit = {{ min = 1000, max = 1000 }}
chat_per_minute = 1000
typing = false
[conversation]
bot_share_max = 1.0
[gateway]
route = ["offline"]
[telegram]
api_base = "http://127.0.0.1:8420"
[daemon]
drain_seconds = 5
[[chats]]
id = {CHAT}
title = "Piyasa"
"""

DROP_IN = """
[Service]
# as short as can be told apart from a busy machine
WatchdogSec=10
RestartSec=0.2
# On cgroup v1 a container's systemd is not told when a group is empty. If the killed database is not gone at its one
# look, it waits this long, twice, before it starts the daemon again; v2 has no such wait. The unit's own 60 is judged above.
TimeoutStopSec=15
"""


def needed(condition: object, reason: str) -> None:
    """Skip without it, or fail where everything is demanded."""
    if condition:
        return
    if os.environ.get("PIYASAD_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def analyze() -> str:
    """systemd-analyze."""
    found = shutil.which("systemd-analyze")
    needed(found, "systemd-analyze is not installed (Debian: systemd)")
    return str(found)


@pytest.mark.parametrize("name", NAMES)
def test_systemd_has_nothing_to_say_about_a_unit(analyze: str, tmp_path: Path, name: str) -> None:
    text = (UNITS / name).read_text(encoding="utf-8")
    unit = tmp_path / name.replace("@.", "@0-4.")
    # its program is looked for: ours is not installed here
    unit.write_text(text.replace("/opt/piyasad/bin/piyasad", "/bin/true"), encoding="utf-8")
    done = subprocess.run([analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", NAMES)
def test_a_unit_may_do_little(analyze: str, tmp_path: Path, name: str) -> None:
    unit = tmp_path / name.replace("@.", "@0-4.")
    shutil.copy(UNITS / name, unit)
    command = [analyze, "security", "--offline=true", "--threshold=15", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= 1.5
    assert done.returncode == 0  # the threshold is in tenths


def test_the_two_units_differ_only_in_the_shard() -> None:
    def rules(name: str) -> set[str]:
        lines = (UNITS / name).read_text(encoding="utf-8").splitlines()
        return {line for line in lines if line and not line.startswith("#")}

    one, many = (rules(name) for name in NAMES)
    different = {line.partition("=")[0] for line in one ^ many}
    assert different == {"Description", "Conflicts", "ExecStart", "StateDirectory"}


def test_the_times_of_a_unit_fit_the_daemons() -> None:
    from piyasad.config import Settings

    daemon = Settings().daemon
    for name in NAMES:
        rules = dict(re.findall(r"^(\w+)=(.*)$", (UNITS / name).read_text(encoding="utf-8"), re.MULTILINE))
        assert int(rules["TimeoutStopSec"]) >= daemon.drain_seconds + 20  # the database's end is bounded by 20 s
        assert int(rules["TimeoutStartSec"]) > daemon.start_timeout_seconds
        assert int(rules["WatchdogSec"]) > daemon.drain_seconds


class Trial:
    """What the steps kept."""

    def __init__(self, out: Path) -> None:
        self._out = out

    def text(self, name: str) -> str:
        """One answer."""
        return (self._out / name).read_text(encoding="utf-8")

    def unit(self, name: str) -> dict[str, str]:
        """The unit's properties after a step."""
        return dict(line.split("=", 1) for line in self.text(name).splitlines())

    def messages(self, name: str) -> int:
        """How many messages the ledger held that are surely sent."""
        return int(json.loads(self.text(name))["counts"].get("sent", 0))

    def metric(self, name: str, metric: str) -> float:
        """A metric without labels."""
        found = re.search(rf"^{metric} (\S+)$", self.text(name), re.MULTILINE)
        assert found, metric
        return float(found[1])

    def journal(self) -> list[dict[str, Any]]:
        """The daemon's own lines."""
        return [json.loads(json.loads(entry)["MESSAGE"]) for entry in self.text("journal").splitlines()]


def write_files(folder: Path) -> None:
    """Configuration, tokens, the sandbox's world, and the drop-in that hands the tokens over."""
    etc = folder / "etc" / "piyasad"
    vault = etc / "secrets"
    vault.mkdir(parents=True)
    blocks = [
        f'[[bots]]\nname = "{name}"\nusername = "{name}"\nchats = [{CHAT}]\npersona = {{ tone = "sakin" }}\n'
        for name in BOTS
    ]
    (etc / "config.toml").write_text(CONFIG + "".join(blocks), encoding="utf-8")
    for name, token in TOKENS.items():
        (vault / name).write_text(token, encoding="ascii")
        (vault / name).chmod(0o600)
    ids = [int(token.partition(":")[0]) for token in TOKENS.values()]
    world = {
        "bots": [
            {"id": id, "token": TOKENS[name], "name": name, "username": name, "privacy": False}
            for id, name in zip(ids, BOTS, strict=True)
        ],
        "chats": [{"id": CHAT, "title": "Piyasa", "bots": ids, "admins": ids[:1]}],
    }
    (etc / "world.json").write_text(json.dumps(world), encoding="utf-8")
    drop_in = folder / "etc" / "systemd" / "system" / "piyasad.service.d"
    drop_in.mkdir(parents=True)
    handed = "".join(f"LoadCredential={name}:/etc/piyasad/secrets/{name}\n" for name in BOTS)
    (drop_in / "trial.conf").write_text(DROP_IN + handed, encoding="utf-8")


@pytest.fixture(scope="module")
def trial() -> Iterator[Trial]:
    """piyasad installed under a real systemd, and all that an operator does with it."""
    needed(os.geteuid() == 0, "a trial of systemd needs root")
    needed(shutil.which("systemd-nspawn"), "systemd-nspawn is not installed (Debian: systemd-container)")
    # the environment's own interpreter may stand in somebody's home, where a hardened unit cannot see it
    python = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    needed(Path(python).exists(), f"{python} is not installed: the unit needs an interpreter that it can see")
    folder = Path(tempfile.mkdtemp(prefix="piyasad-systemd-"))
    try:
        out, files, wheels = folder / "out", folder / "files", folder / "wheels"
        out.mkdir()
        write_files(files)
        build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
        subprocess.run([*build, "--wheel-dir", str(wheels), str(REPOSITORY)], check=True)
        (wheel,) = wheels.iterdir()
        env = os.environ | {
            "OUT": str(out),
            "PYTHON": python,
            "SITE": str(Path(pytest.__file__).parents[1]),
            "WHEEL": str(wheel),
            "UNITS": str(UNITS),
            "FILES": str(files),
        }
        done = subprocess.run(
            [str(TOOLS / "systemd-trial"), str(TOOLS / "trial-prepare"), str(TOOLS / "trial-steps")],
            env=env,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        yield Trial(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_start_returns_when_it_is_ready(trial: Trial) -> None:
    state = trial.unit("start")
    assert (state["ActiveState"], state["SubState"]) == ("active", "running")
    assert "piyasad is ready" in trial.text("start.ready")
    assert state["StatusText"] == "3 bots in 1 chats"


def test_the_bots_talk_and_the_database_runs_as_the_daemons_user(trial: Trial) -> None:
    assert trial.messages("talk.json") > 0
    assert int(trial.text("talk.postgres")) > 0
    assert set(trial.text("talk.users").split()) == {"piyasad"}


def test_a_bad_file_changes_nothing_and_is_shown(trial: Trial) -> None:
    before, state = trial.unit("start"), trial.unit("bad")
    assert (state["ActiveState"], state["MainPID"]) == ("active", before["MainPID"])
    assert "reload refused, the old configuration stays" in state["StatusText"]
    assert "nonsense: unknown key" in state["StatusText"]
    assert trial.metric("bad.metrics", "piyasad_config_last_reload_successful") == 0


def test_a_good_file_is_taken_without_a_restart(trial: Trial) -> None:
    before, state = trial.unit("start"), trial.unit("good")
    assert (state["ActiveState"], state["MainPID"]) == ("active", before["MainPID"])
    assert trial.metric("good.metrics", "piyasad_config_last_reload_successful") == 1
    (reload,) = [line for line in trial.journal() if line["event"] == "reload.done"]
    assert sorted(reload["changed"]) == sorted(BOTS)


def test_a_daemon_that_hangs_is_replaced_and_keeps_its_data(trial: Trial) -> None:
    before, state = trial.unit("good"), trial.unit("watchdog")
    assert state["ActiveState"] == "active"
    assert int(state["NRestarts"]) >= 1
    assert state["MainPID"] != before["MainPID"]
    assert trial.messages("watchdog.json") >= trial.messages("talk.json")


def test_a_restart_keeps_the_data(trial: Trial) -> None:
    state = trial.unit("restart")
    assert (state["ActiveState"], state["Result"]) == ("active", "success")
    assert trial.messages("restart.json") >= trial.messages("watchdog.json")


def test_stop_drains_and_ends_the_database(trial: Trial) -> None:
    state = trial.unit("stop")
    assert (state["ActiveState"], state["Result"], state["ExecMainStatus"]) == ("inactive", "success", "0")
    assert int(trial.text("stop.postgres")) == 0
    assert int(trial.text("stop.nanoseconds")) < 20e9
    assert [line["event"] for line in trial.journal()][-1] == "daemon.stopped"


def test_nothing_is_delivered_twice_through_all_of_it(trial: Trial) -> None:
    said = [(row["user"], row["text"]) for row in json.loads(trial.text("delivered.json"))["messages"]]
    assert len(said) > trial.messages("talk.json")
    assert len(said) == len(set(said))


def test_the_journal_has_json_lines_and_no_secret(trial: Trial) -> None:
    lines = trial.journal()
    assert {"daemon.ready", "reload.refused", "reload.done", "daemon.stopped"} <= {line["event"] for line in lines}
    assert all(line["level"] and line["timestamp"] for line in lines)
    assert not [token for token in TOKENS.values() if token in trial.text("journal")]


def test_an_instance_is_the_shard_of_its_name_and_a_bad_configuration_is_not_tried_again(trial: Trial) -> None:
    state = trial.unit("shard")
    assert "--shard 3/4 ;" in state["ExecStart"]
    assert (state["ActiveState"], state["ExecMainStatus"], state["NRestarts"]) == ("failed", "2", "0")
    assert "store.postgres" in trial.text("shard.journal")
