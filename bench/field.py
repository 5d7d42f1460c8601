"""The field a bench plays on: sandboxes, a database and daemons as processes of their own, ended by their own pid."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from piyasad.store.embedded import Embedded

CHAT = -1001000000001
FIRST_BOT = 7200000000
KEY = "sk-bench-00000000000000"

CONFIG = """
[pace]
mean_delay_seconds = {mean}
prime_delay_seconds = {mean}
min_delay_seconds = {low}
max_delay_seconds = {high}
jitter = [1.0, 1.0]
hourly_limit = {{ min = 1000000, max = 1000000 }}
chat_per_minute = 1000000
burstiness = 0
typing = false
[conversation]
reaction_probability = 0.0
continue_share = 1.0
bot_share_max = 1.0
[disclosure]
profile = false
[gateway]
route = ["bench"]
[providers.bench]
kind = "openai"
base_url = "{llm}llm/openai/v1"
api_key_env = "BENCH_KEY"
model = "gpt-4.1-mini"
[telegram]
api_base = "{api}"
per_bot_per_second = 1000000
per_chat_per_second = 1000000
per_group_per_minute = 1000000
[store]
postgres = "{dsn}"
[secrets]
dir = "{secrets}"
[daemon]
drain_seconds = 5
log_level = "warning"
"""


@dataclass(frozen=True, slots=True)
class Field:
    """Where everything is."""

    folder: Path
    api: str
    llm: str
    dsn: str

    async def stats(self) -> dict[str, Any]:
        """What the Telegram half counted."""
        found: dict[str, Any] = json.loads(await fetch(f"{self.api}sandbox/stats"))
        return found

    async def messages(self) -> int:
        """Messages delivered so far."""
        return int((await self.stats())["messages"])

    def config(self, bots: int, chats: int, mean: float) -> Path:
        """A configuration for so many bots; delays from a tenth to four times the mean."""
        blocks = [
            f'[[bots]]\nname = "Bot {n:04}"\nusername = "{handle(n)}"\nchats = [{CHAT - n % chats}]\n'
            for n in range(bots)
        ]
        blocks += [f"[[chats]]\nid = {CHAT - n}\n" for n in range(chats)]
        head = CONFIG.format(
            mean=mean,
            low=mean * 0.1,
            high=mean * 4,
            llm=self.llm,
            api=self.api.rstrip("/"),
            dsn=self.dsn,
            secrets=self.folder / "secrets",
        )
        path = self.folder / "config.toml"
        path.write_text(head + "\n".join(blocks), encoding="utf-8")
        return path


def handle(number: int) -> str:
    """A bench bot's username."""
    return f"bot{number:04}_bench_bot"


def token(number: int) -> str:
    """A bench bot's token."""
    return f"{FIRST_BOT + number}:{handle(number).ljust(35, 'x')[:35]}"


@asynccontextmanager
async def field(bots: int, chats: int) -> AsyncIterator[Field]:
    """Two sandbox processes (Telegram, LLM) with opened limits and a private PostgreSQL, all ended with the block."""
    folder = Path(tempfile.mkdtemp(prefix="piyasad-bench-"))
    folder.chmod(0o711)
    secrets = folder / "secrets"
    secrets.mkdir(mode=0o700)
    members: list[list[int]] = [[] for _ in range(chats)]
    world: dict[str, Any] = {"bots": [], "chats": []}
    for number in range(bots):
        file = secrets / handle(number)
        file.write_text(token(number), encoding="ascii")
        file.chmod(0o600)
        bot = {
            "id": FIRST_BOT + number,
            "token": token(number),
            "name": f"Bot {number:04} 🤖",
            "username": handle(number),
        }
        world["bots"].append(bot)
        members[number % chats].append(FIRST_BOT + number)
    for number, inside in enumerate(members):
        world["chats"].append({"id": CHAT - number, "title": f"{number}", "bots": inside, "admins": inside[:1]})
    (folder / "world.json").write_text(json.dumps(world), encoding="utf-8")
    postgres = await Embedded.start(folder / "pg")
    try:
        async with sandbox("--world", str(folder / "world.json")) as api, sandbox() as llm:
            opened = {"per_second": 1e9, "chat_per_second": 1e9, "group_per_minute": 1e9}
            async with aiohttp.ClientSession() as session, session.post(f"{api}sandbox/limits", json=opened) as answer:
                answer.raise_for_status()
            yield Field(folder, api, llm, postgres.dsn)
    finally:
        await postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Server:
    """A sandbox process."""

    url: str
    pid: int


@asynccontextmanager
async def server(*args: str) -> AsyncIterator[Server]:
    """A sandbox process, ended with the block."""
    command = (sys.executable, "-m", "piyasad", "sandbox", "--listen", "127.0.0.1:0", *args)
    async with running(*command, stdout=asyncio.subprocess.PIPE) as process:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            line = (await process.stdout.readline()).decode()
        found = re.search(r"http://\S+/", line)
        if found is None:
            raise RuntimeError(f"the sandbox did not start: {line}")
        yield Server(found[0], process.pid)


@asynccontextmanager
async def sandbox(*args: str) -> AsyncIterator[str]:
    """A sandbox process; its address."""
    async with server(*args) as process:
        yield process.url


@asynccontextmanager
async def running(*command: str, **keys: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that is ended with the block."""
    process = await asyncio.create_subprocess_exec(*command, env=os.environ | {"BENCH_KEY": KEY}, **keys)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(20):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


@asynccontextmanager
async def daemon(config: Path, port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """A daemon that is ready."""
    command = (sys.executable, "-m", "piyasad", "run", "--config", str(config), "--listen", f"127.0.0.1:{port}")
    async with running(*command) as process:
        async with asyncio.timeout(120):
            while True:
                if process.returncode is not None:
                    raise RuntimeError(f"the daemon ended with {process.returncode}")
                try:
                    if "ready." in await fetch(f"http://127.0.0.1:{port}/-/ready"):
                        break
                except aiohttp.ClientError:
                    await asyncio.sleep(0.1)
                await asyncio.sleep(0.05)
        yield process


async def fetch(url: str) -> str:
    """A page's text."""
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return await answer.text()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process with all its threads, without children (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Resident memory in MB (proc(5), status)."""
    for row in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if row.startswith("VmRSS"):
            return int(row.split()[1]) / 1024
    return 0.0


def quantile(text: str, name: str, share: float) -> float:
    """The bucket bound below which `share` of a histogram's observations lie, from Prometheus' text."""
    buckets: list[tuple[float, float]] = []
    for row in text.splitlines():
        found = re.match(rf'{re.escape(name)}_bucket{{.*?le="([^"]+)".*}} (\S+)', row)
        if found:
            buckets.append((float(found[1].replace("+Inf", "inf")), float(found[2])))
    total = max((count for _, count in buckets), default=0.0)
    return next((bound for bound, count in sorted(buckets) if total and count >= share * total), float("nan"))
