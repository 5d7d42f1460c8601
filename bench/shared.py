"""`shared`: four gateways as processes that share one key's limits through a real Redis, minute by minute."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.field import fetch, running
from bench.rival import Skipped
from bench.sides import llm_server

SHARDS = 4
KEY = "sk-bench"
LIMITS = {"requests": {"rpm": 600}, "tokens": {"tpm": 200_000}}
LATENCY = 0.2  # s


async def shared(quick: bool) -> dict[str, float]:
    """Four processes sharing Redis buckets: share of the limit used in every minute after the first, and 429s."""
    binary = shutil.which("redis-server")
    if binary is None:
        raise Skipped("no redis-server on this machine (Debian: apt install redis-server)")
    found: dict[str, float] = {}
    for what, limits in LIMITS.items():
        shares, throttled, failed = await _minutes(binary, limits, 3 if quick else 5)
        found[f"{what}: least share of the limit in a minute (goal 0.97)"] = min(shares)
        found[f"{what}: greatest share of the limit in a minute (goal 1.0)"] = max(shares)
        found[f"{what}: 429s received (goal 0)"] = float(throttled)
        found[f"{what}: texts given up"] = float(failed)
    return found


async def _minutes(binary: str, limits: dict[str, int], minutes: int) -> tuple[list[float], int, int]:
    """The share used in each minute but the first; 429s; texts that ended without an answer."""
    folder = Path(tempfile.mkdtemp(prefix="piyasad-bench-"))
    socket = folder / "redis.sock"
    quiet = {"stdout": asyncio.subprocess.DEVNULL, "stderr": asyncio.subprocess.DEVNULL}
    try:
        async with AsyncExitStack() as stack:
            server, url = await stack.enter_async_context(llm_server({KEY: limits}, latency=LATENCY))
            command = (binary, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder))
            await stack.enter_async_context(running(*command, **quiet))
            while not socket.exists():
                await asyncio.sleep(0.05)
            given = {"url": url, "redis": f"unix://{socket}", "shards": SHARDS, "key": KEY, "limits": limits}
            for shard in range(SHARDS):
                words = json.dumps(given | {"shard": shard})
                await stack.enter_async_context(running(sys.executable, "-m", "bench.shared_side", words))
            while not (await _counted(server.url))["requests"]:
                await asyncio.sleep(0.05)
            began, marks = time.monotonic(), []
            for minute in range(minutes + 1):
                await asyncio.sleep(max(0.0, began + 60.0 * minute - time.monotonic()))
                marks.append(await _counted(server.url))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    (name, limit), last = next(iter(limits.items())), marks[-1]
    used = [mark["requests"] if name == "rpm" else mark["prompt_tokens"] + mark["completion_tokens"] for mark in marks]
    shares = [(after - before) / limit for before, after in pairwise(used[1:])]
    return shares, last["throttled"], last["faults"]


async def _counted(url: str) -> dict[str, Any]:
    total: dict[str, Any] = json.loads(await fetch(f"{url}llm/sandbox/usage"))["total"]
    return total
