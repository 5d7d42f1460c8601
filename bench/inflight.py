"""`inflight`: 256 requests in flight through the gateway, beside the bare client, against a server that takes 1 s."""

from __future__ import annotations

from statistics import median
from typing import Any

from bench.sides import Round, carried, llm_server

WORKERS = 256
LATENCY = 1.0  # s


async def inflight(quick: bool) -> dict[str, float]:
    """256 requests in flight at 1 s latency over HTTP: rate and CPU as ratios to the bare httpx-aiohttp client's."""
    rounds, seconds = (1, 5.0) if quick else (7, 10.0)
    sides: dict[str, list[Round]] = {"bare": [], "gateway": []}
    async with llm_server(latency=LATENCY) as (process, url):
        given: dict[str, Any] = {"url": url, "endpoints": {"first": {"key": "sk-bench", "limits": {}}}}
        load = {"workers": WORKERS, "warm": 3.0, "seconds": seconds, "spread": LATENCY}
        for number in range(rounds):
            for side in sorted(sides, reverse=bool(number % 2)):
                sides[side].append(await carried("bench.gateway_side", given | load | {"side": side}, process))
    rates = {side: median(one.figures.rate for one in done) for side, done in sides.items()}
    cpu = {side: median(one.figures.cpu_ms for one in done) for side, done in sides.items()}
    every = [one for done in sides.values() for one in done]
    return {
        "texts a second, gateway": rates["gateway"],
        "texts a second, bare client": rates["bare"],
        "ratio of rates (goal at least 0.98)": rates["gateway"] / rates["bare"],
        "ms CPU a text, gateway": cpu["gateway"],
        "ms CPU a text, bare client": cpu["bare"],
        "ratio of CPU (goal at most 1.2)": cpu["gateway"] / cpu["bare"],
        "texts given up": float(sum(one.figures.failed for one in every)),
        "share of a core, server, at most (it keeps up below 0.8)": max(one.server_share for one in every),
        "p99 of a text, s, bare client (the server takes 1)": median(one.figures.p99 for one in sides["bare"]),
        "p99 of a text, s, gateway": median(one.figures.p99 for one in sides["gateway"]),
    }
