"""`python -m bench [NAME …] [--quick]`: the numbers of the issues, measured here and now.

Names: start, cpu, thousand (the daemon); overhead, inflight, litellm, shared (the gateway). Figures that are to be shown come
from an idle machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import uvloop

from bench.field import cpu_seconds, daemon, fetch, field, quantile, resident_mb, running
from bench.inflight import inflight
from bench.overhead import overhead
from bench.rival import Skipped
from bench.shared import shared
from bench.versus import litellm

RESULTS = Path(__file__).parent / "results"


async def start(quick: bool) -> dict[str, float]:
    """From starting `piyasad demo` to the first message in the page, with a new and with an old data directory."""
    folder = Path(tempfile.mkdtemp(prefix="piyasad-bench-"))
    folder.chmod(0o711)
    figures: dict[str, list[float]] = {"new": [], "old": []}
    try:
        for round_ in range(1 if quick else 3):
            data = folder / str(round_)
            figures["new"].append(await _first_message(data))
            figures["old"].append(await _first_message(data))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "seconds, new data directory (goal 12)": max(figures["new"]),
        "seconds, old data directory (goal 6)": max(figures["old"]),
    }


async def _first_message(data: Path) -> float:
    began = time.monotonic()
    command = (sys.executable, "-m", "piyasad", "demo", "--data-dir", str(data))
    async with running(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL) as demo:
        assert demo.stdout is not None
        async with asyncio.timeout(60):
            found = re.search(r"http://127\S+/", (await demo.stdout.readline()).decode())
            assert found is not None
            before = await _count(found[0])
            while await _count(found[0]) == before:
                await asyncio.sleep(0.02)
        return time.monotonic() - began


async def _count(url: str) -> int:
    try:
        return int(json.loads(await fetch(f"{url}sandbox/stats"))["messages"])
    except aiohttp.ClientError:
        return 0


async def cpu(quick: bool) -> dict[str, float]:
    """CPU per delivered message, as a ratio to a bare loop that makes the same calls and writes."""
    bots, chats, mean = 200, 10, 2.0
    warm, seconds, rounds = (4.0, 8.0, 1) if quick else (6.0, 20.0, 3)
    ours: list[float] = []
    bare: list[float] = []
    async with field(bots, chats) as place:
        config = place.config(bots, chats, mean)
        for _ in range(rounds):
            port = _free_port()
            async with daemon(config, port) as process:
                await asyncio.sleep(warm)
                first, began = await place.messages(), cpu_seconds(process.pid)
                await asyncio.sleep(seconds)
                ours.append((cpu_seconds(process.pid) - began) / (await place.messages() - first) * 1000)
            given = {"api": place.api, "llm": place.llm, "dsn": place.dsn, "bots": bots, "chats": chats, "mean": mean}
            argument = json.dumps(given | {"warm": warm, "seconds": seconds})
            command = (sys.executable, "-m", "bench.bare", argument)
            async with running(*command, stdout=asyncio.subprocess.PIPE) as process:
                out, _ = await process.communicate()
            figures = json.loads(out)
            bare.append(figures["cpu"] / figures["messages"] * 1000)
    return {
        "ms CPU a message, daemon": median(ours),
        "ms CPU a message, bare loop": median(bare),
        "ratio (goal 2.2)": median(ours) / median(bare),
    }


async def thousand(quick: bool) -> dict[str, float]:
    """1,000 bots in 50 chats, one message per bot and 30 s, delivered."""
    bots, chats = 1000, 50
    # A turn is silent now and then (never two in a row by one bot): the mean is shortened so that lines come every 30 s.
    mean, warm, seconds = 28.6, 40.0, 15.0 if quick else 60.0
    async with field(bots, chats) as place:
        port = _free_port()
        async with daemon(place.config(bots, chats, mean), port) as process:
            await asyncio.sleep(warm)
            first, began = await place.messages(), cpu_seconds(process.pid)
            await asyncio.sleep(seconds)
            messages, used = await place.messages() - first, cpu_seconds(process.pid) - began
            text = await fetch(f"http://127.0.0.1:{port}/metrics")
            memory = resident_mb(process.pid)
        stats = await place.stats()
    return {
        "messages a second (goal 33)": messages / seconds,
        "p99 turn lateness, s, at most (goal 0.1)": quantile(text, "piyasad_turn_lateness_seconds", 0.99),
        "p99 loop lag, s, at most (goal 0.05)": quantile(text, "piyasad_loop_lag_seconds", 0.99),
        "resident MB (goal 350)": memory,
        "limits violated (goal 0)": float(len(stats["violations"])),
        "share of one core": used / seconds,
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


BENCHES = {
    "start": start,
    "cpu": cpu,
    "thousand": thousand,
    "overhead": overhead,
    "inflight": inflight,
    "litellm": litellm,
    "shared": shared,
}


def main() -> None:
    """Run the benches that are named, or all; print and keep the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHES, []], default=[])
    parser.add_argument("--quick", action="store_true", help="one short round each")
    given = parser.parse_args()
    results: dict[str, Any] = {}
    for name in given.names or BENCHES:
        print(f"{name}: {(BENCHES[name].__doc__ or '').splitlines()[0]}", flush=True)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as the daemon runs
                results[name] = runner.run(BENCHES[name](given.quick))
        except Skipped as reason:
            print(f"  skipped: {reason}", flush=True)
            results[name] = {"skipped": str(reason)}
            continue
        for what, figure in results[name].items():
            print(f"  {figure:10.3f}  {what}", flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}.json").write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
