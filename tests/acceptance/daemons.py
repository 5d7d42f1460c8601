"""Daemons as processes: a configuration against a sandbox, started, asked over HTTP, ended by their own pid."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from piyasad.sandbox.server import Sandbox

CHAT = -1001000000001
PATIENCE = 60.0

CONFIG = """
[pace]
mean_delay_seconds = {mean}
prime_delay_seconds = {mean}
min_delay_seconds = 0.2
max_delay_seconds = 30
hourly_limit = {{ min = 1000, max = 1000 }}
chat_per_minute = 1000
burstiness = 0
typing_seconds = {{ min = 0.05, max = 0.2 }}

[conversation]
bot_share_max = 1.0

[gateway]
route = ["sandbox"]

[providers.sandbox]
kind = "openai"
base_url = "{llm}"
api_key_env = "SANDBOX_KEY"
model = "gpt-4.1-mini"

[telegram]
api_base = "{telegram}"
idle_poll_seconds = 5

[store]
postgres = "{postgres}"

[secrets]
dir = "{secrets}"

[daemon]
drain_seconds = 5
"""


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


def write_world(
    box: Sandbox, folder: Path, bots: int, chats: int = 1, *, postgres: str = "", mean: float = 2.0
) -> Path:
    """Bots and chats in the sandbox, their secrets and the configuration file; the file's path."""
    secrets = folder / "secrets"
    secrets.mkdir(mode=0o700, exist_ok=True)
    names = [f"bot{number:03}_deneme_bot" for number in range(bots)]
    ids = [7200000000 + number for number in range(bots)]
    blocks = []
    for number, (bot_id, username) in enumerate(zip(ids, names, strict=True)):
        token = box.add_bot(bot_id, f"Bot {number:03}", username)
        file = secrets / username
        file.write_text(token, encoding="ascii")
        file.chmod(0o600)
        blocks.append(bot_block(f"Bot {number:03}", username, CHAT - number % chats))
    for chat in range(chats):
        members = [bot_id for number, bot_id in enumerate(ids) if number % chats == chat]
        box.add_chat(CHAT - chat, f"Piyasa {chat}", bots=members, admins=members[:1])
        blocks.append(f'[[chats]]\nid = {CHAT - chat}\ntitle = "Piyasa {chat}"\n')
    head = CONFIG.format(mean=mean, llm=box.llm_url(), telegram=box.telegram_url, postgres=postgres, secrets=secrets)
    path = folder / "config.toml"
    path.write_text(head + "\n".join(blocks), encoding="utf-8")
    return path


def bot_block(name: str, username: str, chat: int, tone: str = "sakin") -> str:
    """One [[bots]] table."""
    return f'[[bots]]\nname = "{name}"\nusername = "{username}"\nchats = [{chat}]\npersona = {{ tone = "{tone}" }}\n'


class Daemon:
    """A running `piyasad run`."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, log: Path) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.log = log

    async def get(self, path: str) -> tuple[int, str]:
        """Status and text of a page; 0 while nobody answers."""
        try:
            async with aiohttp.ClientSession() as session, session.get(self.url + path) as answer:
                return answer.status, await answer.text()
        except aiohttp.ClientError:
            return 0, ""

    async def ready(self) -> None:
        """Wait until it is ready."""
        await until(self._is_ready, f"ready: {self.log}")

    async def _is_ready(self) -> bool:
        if self.process.returncode is not None:
            raise AssertionError(f"the daemon ended with {self.process.returncode}: {self.log.read_text()[-3000:]}")
        return (await self.get("/-/ready"))[0] == 200

    async def metric(self, start: str) -> float:
        """The sum of the samples that begin so."""
        _, text = await self.get("/metrics")
        return sum(float(row.rsplit(" ", 1)[1]) for row in text.splitlines() if row.startswith(start))

    def events(self) -> list[str]:
        """The lines of its log."""
        return self.log.read_text(encoding="utf-8").splitlines()

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()


@asynccontextmanager
async def daemon(config: Path, *args: str, name: str = "daemon") -> AsyncIterator[Daemon]:
    """A daemon on a free port; it is ended with the block."""
    port = free_port()
    log = config.parent / f"{name}.log"
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "piyasad", "run", "--config", str(config), "--listen", f"127.0.0.1:{port}"),
            *("--data-dir", str(config.parent / "data"), *args),
            stdout=out,
            stderr=out,
            env=os.environ | {"SANDBOX_KEY": "sk-sandbox-0000000000"},
        )
    running = Daemon(process, port, log)
    try:
        yield running
    finally:
        await running.end()


async def until(check: Callable[[], Awaitable[Any]], what: str, patience: float = PATIENCE) -> Any:
    """Ask until the answer is true."""
    try:
        async with asyncio.timeout(patience):
            while not (answer := await check()):
                await asyncio.sleep(0.1)
            return answer
    except TimeoutError:
        raise AssertionError(f"waited {patience} s in vain: {what}") from None
