"""The demo: the daemon in its sandbox, with the shipped configuration and four personas; no token, key or server.

The sandbox (Telegram, LLM and the page) is a process of its own, as the outside world is; the daemon runs in this one,
exactly as `piyasad run` does, with an overlay over the shipped `config.toml`. The sandbox ends with this process.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import threading
import webbrowser
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from piyasad.config.load import ConfigError, Problem, default_config, default_data_dir, load

CHAT_ID = -1001000000001
FIRST_BOT_ID = 7100000001
COLOURS = ("#2f8f5b", "#d2483f", "#3a6fd0", "#c98a1b")
DEFAULT_PORT = 8420
SANDBOX_START_SECONDS = 15.0


def run(*, port: int | None, data_dir: Path | None, open_browser: bool, say: Callable[[str], None]) -> int:
    """Run until SIGINT or SIGTERM; the exit code of the daemon.

    Raises:
        ConfigError: the port is taken or the data directory cannot be used.
    """
    folder = (data_dir or default_data_dir(os.environ) / "demo").expanduser().resolve()
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        tokens = _tokens(folder)
    except OSError as error:
        raise ConfigError(
            [
                Problem(
                    str(folder), None, "--data-dir", f"cannot be used: {error.strerror}; give another with --data-dir"
                )
            ]
        ) from error
    port = _free_port(port)
    world = folder / "world.json"
    world.write_text(json.dumps(_world(tokens), ensure_ascii=False, indent=1), encoding="utf-8")
    sandbox = _start_sandbox(folder, world, port)
    # aiogram takes seconds to import: it is read in while the sandbox starts and the operator reads the address
    heavy = threading.Thread(target=importlib.import_module, args=("piyasad.engine",), daemon=True)
    heavy.start()
    try:
        url = _address_of(sandbox, port)
        say(f"The page: {url}  (write there as a person; Ctrl-C ends the demo)")
        if open_browser:
            webbrowser.open(url)
        heavy.join()
        from piyasad.engine import run as run_daemon

        return run_daemon(default_config(), data_dir=folder, overlay=overlay(url.rstrip("/"), folder), at_once=True)
    finally:
        _stop(sandbox)


def overlay(url: str, folder: Path) -> dict[str, Any]:
    """What the demo changes in the shipped configuration: where the world is, no closing hours, a busy room's pace."""
    settings = load(default_config(), env={}, overlay={"gateway": {"route": ["offline"]}})
    return {
        "pace": {
            "mean_delay_seconds": 8,
            "prime_delay_seconds": 8,
            "min_delay_seconds": 1.5,
            "max_delay_seconds": 40,
            "hourly_limit": {"min": 600, "max": 600},
            "chat_per_minute": 30,
            "burstiness": 0.2,
            "typing_seconds": {"min": 0.4, "max": 1.5},
        },
        "conversation": {"bot_share_max": 1.0},
        "daemon": {"drain_seconds": 1.5},
        "gateway": {"route": ["offline"]},
        "telegram": {"api_base": url, "idle_poll_seconds": 30},
        "store": {"postgres": "", "redis": "", "data_dir": str(folder)},
        "secrets": {"dir": str(folder / "secrets")},
        "http": {"listen": f"127.0.0.1:{_free_port(None, 9464)}"},
        "chats": [{"id": CHAT_ID, "title": "Piyasa Sohbeti", "topics": ["BIST", "FX", "Kripto", "Makro"]}],
        "bots": [
            {
                "name": bot.name,
                "chats": [CHAT_ID],
                "active_hours": [],
                "token_env": None,
                "pace": {"mean_delay_seconds": None},
            }
            for bot in settings.bots
        ],
    }


def _tokens(folder: Path) -> dict[str, str]:
    """The demo bots' tokens, made once a data directory and kept as any operator would keep them."""
    vault = folder / "secrets"
    vault.mkdir(mode=0o700, exist_ok=True)
    tokens = {}
    settings = load(default_config(), env={}, overlay={"gateway": {"route": ["offline"]}})
    for number, bot in enumerate(settings.bots):
        file = vault / bot.username
        if not file.exists():
            with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as out:
                out.write(f"{FIRST_BOT_ID + number}:{secrets.token_urlsafe(27)[:35]}")
        tokens[bot.name] = file.read_text(encoding="ascii").strip()
    return tokens


def _world(tokens: Mapping[str, str]) -> dict[str, Any]:
    settings = load(default_config(), env={}, overlay={"gateway": {"route": ["offline"]}})
    bots = [
        {
            "id": int(tokens[bot.name].partition(":")[0]),
            "token": tokens[bot.name],
            "name": bot.name,
            "username": bot.username,
            "colour": COLOURS[number % len(COLOURS)],
            "privacy": False,
        }
        for number, bot in enumerate(settings.bots)
    ]
    return {
        "header": "Sandbox: Telegram taklidi. Sözleri yazan: offline "
        "(bir dilbilgisi üreteci, yapay zekâ modeli değil).",
        "bots": bots,
        "chats": [
            {
                "id": CHAT_ID,
                "title": "Piyasa Sohbeti",
                "bots": [bot["id"] for bot in bots],
                "admins": [bot["id"] for bot in bots],
            }
        ],
        "people": [{"id": 501, "name": "Deniz"}],
    }


def _free_port(wanted: int | None, preferred: int = DEFAULT_PORT) -> int:
    for port in (wanted,) if wanted else (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            number: int = probe.getsockname()[1]
            return number
    raise ConfigError([Problem("", None, "--port", f"port {wanted} is taken; leave --port out to get a free one")])


def _start_sandbox(folder: Path, world: Path, port: int) -> subprocess.Popen[str]:
    """Start the sandbox in a session of its own, so that Ctrl-C ends the daemon first and the world after it."""
    command = [sys.executable, "-m", "piyasad", "sandbox", "--listen", f"127.0.0.1:{port}"]
    command += ["--world", str(world), "--state", str(folder / "sandbox.jsonl"), "--until-stdin-ends"]
    return subprocess.Popen(  # noqa: S603 - our own interpreter and our own arguments
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True, encoding="utf-8"
    )


def _address_of(process: subprocess.Popen[str], port: int) -> str:
    """The page's address, as soon as the sandbox listens."""
    for line in process.stdout or ():
        if match := re.search(r"http://[\w.\[\]:]+/", line):
            return match[0]
    process.wait(SANDBOX_START_SECONDS)
    raise ConfigError([Problem("", None, "--port", f"the sandbox did not start on port {port}; its message is above")])


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(3)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(3)
