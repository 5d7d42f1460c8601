"""Sides of a comparison run as processes against the sandbox's LLM server: started, measured, read."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from bench.field import Server, cpu_seconds, fetch, running, server
from bench.load import STARTED, Figures

START_SECONDS = 60.0  # to import what a side needs, beyond its warm-up


@dataclass(frozen=True, slots=True)
class Round:
    """One side's figures, with what the server saw meanwhile. `by_key` is what it counted of each key."""

    figures: Figures
    server_share: float  # of one core
    by_key: dict[str, dict[str, int]]
    throttled: int  # 429s that the server sent since it began, warm-up and all


@asynccontextmanager
async def llm_server(
    keys: dict[str, dict[str, int]] | None = None, *, latency: float = 0.0
) -> AsyncIterator[tuple[Server, str]]:
    """The sandbox's LLM server in a process of its own, and the base URL of its OpenAI dialect."""
    async with server() as process, aiohttp.ClientSession() as session:
        control = f"{process.url}llm/sandbox"
        for key, limits in (keys or {}).items():
            await _post(session, f"{control}/keys", {"key": key, "limits": limits})
        await _post(session, f"{control}/latency", {"seconds": latency})
        yield process, f"{process.url}llm/openai/v1"


async def _post(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> None:
    async with session.post(url, json=body) as answer:
        answer.raise_for_status()


async def carried(module: str, given: dict[str, Any], process: Server, python: str = sys.executable) -> Round:
    """Run a side; what it did, and what the server counted from the end of its warm-up on."""
    command = (python, "-m", module, json.dumps(given))
    async with running(*command, stdout=asyncio.subprocess.PIPE) as side:
        assert side.stdout is not None
        async with asyncio.timeout(START_SECONDS + given["warm"]):
            await _line(side.stdout, STARTED)
        before, used, began = await _counted(process), cpu_seconds(process.pid), time.perf_counter()
        async with asyncio.timeout(START_SECONDS + given["seconds"]):
            figures = Figures(**json.loads(await _line(side.stdout, "{")))
        share = (cpu_seconds(process.pid) - used) / (time.perf_counter() - began)
        after = await _counted(process)
    by_key = {key: _difference(after[key], before.get(key, {})) for key in after}
    return Round(figures, share, by_key, sum(counted["throttled"] for counted in after.values()))


async def _line(stream: asyncio.StreamReader, start: str) -> str:
    while line := (await stream.readline()).decode():
        if line.startswith(start):
            return line
    raise RuntimeError("a side of the comparison ended without its figures; see its errors above")


async def _counted(process: Server) -> dict[str, dict[str, int]]:
    rows = json.loads(await fetch(f"{process.url}llm/sandbox/usage"))["rows"]
    return {row["key"]: {name: value for name, value in row.items() if isinstance(value, int)} for row in rows}


def _difference(after: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    return {name: value - before.get(name, 0) for name, value in after.items()}
