"""The commands: what they pass on, what they print, how they end. The daemon itself is a recorder here."""

from __future__ import annotations

import importlib
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import piyasad
from piyasad import cli
from piyasad.config.load import default_config

Cli = Callable[..., tuple[int, str, str]]

BOT = """
[gateway]
route = ["offline"]
[store]
data_dir = "{folder}"
[[chats]]
id = -1001234567890
title = "Oda [bir]"
[[bots]]
name = "Ayşe Scalper"
username = "ayse_bot"
token_env = "TOKEN_THAT_IS_NOT_SET"
chats = [-1001234567890]
active_hours = ["09:00-12:00"]
"""


@pytest.fixture
def piyasad_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command in this process: (exit code, stdout, stderr)."""

    def invoke(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["piyasad", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return end.value.code, out, err

    return invoke


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "config.toml"
    file.write_text(BOT.format(folder=tmp_path / "data"))
    return file


def record(
    monkeypatch: pytest.MonkeyPatch, name: str, answer: object = 0
) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Put a recorder in the place of `piyasad.<name>.run`."""
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def run(*args: Any, **kwargs: Any) -> object:
        calls.append((args, kwargs))
        if isinstance(answer, BaseException):
            raise answer
        return answer

    module = ModuleType(f"piyasad.{name}")
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, f"piyasad.{name}", module)
    parent, _, leaf = module.__name__.rpartition(".")
    monkeypatch.setattr(importlib.import_module(parent), leaf, module, raising=False)
    return calls


def test_help_imports_nothing_heavy() -> None:
    seen = "import sys, piyasad.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True)
    heavy = {"aiogram", "aiohttp", "asyncio", "asyncpg", "httpx", "prometheus_client", "pydantic", "rich", "structlog"}
    assert heavy & set(done.stdout.split()) == set()


def test_help_lists_every_command_with_what_it_does(piyasad_command: Cli) -> None:
    code, out, _ = piyasad_command("--help")
    assert code == 0
    listed = re.findall(r"^  ([a-z]+)  +\S.*\.$", out, re.MULTILINE)
    assert listed == [
        "run",
        "demo",
        "check",
        "plan",
        "status",
        "simulate",
        "forget",
        "verify",
        "evidence",
        "sandbox",
        "bots",
        "chats",
    ]
    for name in listed:
        code, out, _ = piyasad_command(name, "--help")
        assert code == 0
        assert f"piyasad {name}" in out.partition("Usage")[2].partition("\n")[2], f"{name} shows no example"


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["status", "--nope"], ["demo", "--port", "70000"]], ids=str)
def test_unusable_arguments_end_with_2_and_no_traceback(piyasad_command: Cli, arguments: list[str]) -> None:
    code, out, err = piyasad_command(*arguments)
    assert code == 2
    assert "Traceback" not in out + err
    assert "piyasad" in out + err


def test_version_is_the_packages(piyasad_command: Cli) -> None:
    assert piyasad_command("--version") == (0, f"piyasad {piyasad.__version__}\n", "")


def test_run_passes_on_what_it_was_told(piyasad_command: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = record(monkeypatch, "engine", 1)
    code, _, _ = piyasad_command(
        "run", "-c", "x.toml", "--shard", "2/4", "--data-dir", "/data", "--listen", "127.0.0.1:1"
    )
    assert code == 1
    assert calls == [((Path("x.toml"),), {"shard": (2, 4), "data_dir": Path("/data"), "listen": "127.0.0.1:1"})]


@pytest.mark.parametrize("shard", ["5/4", "4/4", "1", "a/b", ""])
def test_a_shard_that_cannot_be_is_refused_before_anything_starts(
    piyasad_command: Cli, monkeypatch: pytest.MonkeyPatch, shard: str
) -> None:
    calls = record(monkeypatch, "engine")
    code, _, err = piyasad_command("run", "--shard", shard)
    assert (code, calls) == (2, [])
    assert "--shard " in err
    assert "0 ≤ i < n" in err


def test_a_file_that_is_not_there_is_one_message(piyasad_command: Cli, tmp_path: Path) -> None:
    for command in (["run"], ["status"], ["bots"], ["chats", "list"]):
        code, out, err = piyasad_command(*command, "--config", tmp_path / "none.toml")
        assert (code, out) == (2, "")
        assert err.count("\n") == 1
        assert "none.toml: there is no such file" in err


def test_demo_passes_on_what_it_was_told(piyasad_command: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = record(monkeypatch, "commands.demo")
    assert piyasad_command("demo", "--port", "8080")[0] == 0
    ((), told) = calls[0]
    assert (told["port"], told["data_dir"], told["open_browser"]) == (8080, None, False)


def test_an_interrupt_is_no_traceback(piyasad_command: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    record(monkeypatch, "engine", KeyboardInterrupt())
    assert piyasad_command("run") == (130, "", "")


def test_a_fault_of_ours_is_not_hidden(piyasad_command: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    record(monkeypatch, "engine", ZeroDivisionError("ours"))
    with pytest.raises(ZeroDivisionError):
        piyasad_command("run")


def test_check_says_1_for_what_is_wrong_and_2_for_a_broken_file(
    piyasad_command: Cli, monkeypatch: pytest.MonkeyPatch, config: Path, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    code, out, _ = piyasad_command("check", "-c", config)
    assert code in {0, 1}
    assert "TOKEN_THAT_IS_NOT_SET" in out
    config.write_text(config.read_text().replace('route = ["offline"]', "rute = []\n"))
    code, out, _ = piyasad_command("check", "-c", config, "--json")
    assert code == 2
    assert any(finding["level"] == "error" and "route" in finding["what"] for finding in json.loads(out))


def test_check_of_the_shipped_configuration_is_a_table(piyasad_command: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = piyasad_command("check", "-c", default_config())
    assert code in {0, 1}
    assert "Findings" in out
    assert "cure" in out


def test_status_without_a_daemon_is_1(piyasad_command: Cli, config: Path) -> None:
    code, out, err = piyasad_command("status", "-c", config)
    assert (code, out) == (1, "")
    assert "no daemon runs" in err
    assert "--data-dir" in err


def test_bots_and_chats_are_listed_without_a_daemon(piyasad_command: Cli, config: Path) -> None:
    for command in (["bots"], ["bots", "list"]):
        code, out, err = piyasad_command(*command, "-c", config, "--json")
        assert code == 0
        assert "the configuration's word alone" in err
        assert json.loads(out) == [
            {
                "id": None,
                "name": "Ayşe Scalper",
                "username": "@ayse_bot",
                "chats": "-1001234567890",
                "active_hours": "09:00-12:00",
                "state": "parked",
                "owner": "",
                "reason": "$TOKEN_THAT_IS_NOT_SET is not set",
            }
        ]
    code, out, _ = piyasad_command("chats", "-c", config)
    assert code == 0
    # for other programs: whole ids between tabs
    assert out.splitlines()[:2] == ["# Chats", "id\ttitle\tenabled\tbots\tear\tnotice at\tnotice"]
    assert out.splitlines()[2].startswith("-1001234567890\tOda [bir]\tyes\tAyşe Scalper\t")


def test_a_terminal_shows_a_table_whose_ids_are_whole(
    piyasad_command: Cli, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    _, out, _ = piyasad_command("chats", "-c", config)
    assert "-1001234567890" in out
    assert "Oda [bir]" in out  # not taken for rich's markup


@pytest.mark.parametrize("text", ["", "# all gone\n", "[pace]\nburstiness = 0.1\n"], ids=repr)
def test_a_daemon_does_not_start_with_an_empty_or_truncated_file(
    piyasad_command: Cli, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    code, out, err = piyasad_command("run", "-c", file)
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "the configuration has 2 errors:",
        f"  {file}: bots: there is no bot: is the file whole? add a [[bots]] block",
        f"  {file}: chats: there is no chat: is the file whole? add a [[chats]] block",
    ]


def test_what_a_broken_file_takes_away_is_said_and_the_rest_needs_no_file(
    piyasad_command: Cli, config: Path, tmp_path: Path
) -> None:
    config.write_text("[pace]\nburst")
    for command in (["status"], ["bots"], ["chats"], ["plan"]):
        code, out, err = piyasad_command(*command, "-c", config)
        assert (code, out) == (2, "")
        assert "broken TOML" in err
        code, out, err = piyasad_command(*command, "-c", config, "--data-dir", tmp_path)
        assert (code, out) == (2 if command == ["plan"] else 1, "")
        assert ("broken TOML" if command == ["plan"] else "no daemon runs") in err


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_a_reader_that_leaves_is_no_traceback(config: Path, unbuffered: str) -> None:
    command = f"{sys.executable} -m piyasad bots -c {config} --json | true"
    env = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=env)
    assert "Traceback" not in done.stderr
    assert "Broken pipe" not in done.stderr


def test_the_sandbox_refuses_an_address_it_cannot_use(piyasad_command: Cli) -> None:
    code, _, err = piyasad_command("sandbox", "--listen", "127.0.0.1:port")
    assert code == 2
    assert "--listen" in err or "127.0.0.1:port" in err


def test_the_sandbox_on_a_taken_port_is_one_message() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [sys.executable, "-m", "piyasad", "sandbox", "--listen", f"127.0.0.1:{taken.getsockname()[1]}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "in use" in done.stderr
