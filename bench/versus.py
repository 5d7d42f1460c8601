"""`litellm`: the gateway beside LiteLLM's Router, on the same server with the same texts, keys and limits."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from statistics import median
from typing import Any, Final

from bench.rival import environment
from bench.sides import Round, carried, llm_server

# Both keys' tighter limit is about 200 texts a minute: the first's is tokens, the second's requests.
LIMITS: Final = {
    "sk-bench-first": {"rpm": 1_000, "tpm": 120_000},
    "sk-bench-second": {"rpm": 200, "tpm": 1_000_000},
}
WORKERS: Final = 64
LATENCY: Final = 0.3  # s
KEEPING: Final = ("enforce", "shuffle")
"""The best of `litellm_side.SETTINGS` within limits: the fewest 429s at a good use, and the best use at whatever 429s."""

PLAIN: Final = "shuffle"  # what its documentation recommends where no limit is in the way

Sides = dict[str, tuple[str, str, dict[str, Any]]]


async def litellm(quick: bool) -> dict[str, float]:
    """Beside LiteLLM's Router on the same server and limits: texts a second, CPU a text, use of the limits, 429s."""
    python = await environment()
    ours: Sides = {"gateway": ("bench.gateway_side", sys.executable, {"side": "gateway"})}
    theirs: Sides = {f"LiteLLM {name}": ("bench.litellm_side", python, {"setting": name}) for name in KEEPING}
    figures = await limited(ours | theirs, *((5.0, 60.0) if quick else (60.0, 240.0)))
    sides = ours | {"LiteLLM": ("bench.litellm_side", python, {"setting": PLAIN})}
    for workers, latency in ((64, 0.0), (256, 0.05)):
        figures |= await unlimited(sides, workers, latency, *((1, 3.0) if quick else (5, 6.0)))
    return figures


async def limited(sides: Sides, warm: float, seconds: float) -> dict[str, float]:
    """64 workers that want far more than two keys give. `seconds` are whole minutes, from the end of the warm-up on."""
    found: dict[str, float] = {}
    endpoints = {
        name: {"key": key, "limits": LIMITS[key]} for name, key in zip(("first", "second"), LIMITS, strict=True)
    }
    for side, (module, python, more) in sides.items():
        async with llm_server(LIMITS, latency=LATENCY) as (process, url):
            load = {"workers": WORKERS, "warm": warm, "seconds": seconds, "spread": 0.0, "limited": True}
            done = await carried(module, {"url": url, "endpoints": endpoints} | load | more, process, python)
        found |= {
            f"limits: texts a second, {side}": done.figures.rate,
            f"limits: ms CPU a text, {side}": done.figures.cpu_ms,
            f"limits: share of the tighter limit used, both keys, {side}": share_used(done, seconds / 60.0),
            f"limits: 429s received, {side}": float(done.throttled),
            f"limits: texts given up, {side}": float(done.figures.failed),
        }
    return found


def share_used(done: Round, minutes: float) -> float:
    """What each key used of that limit of its which it used most of; the mean over the keys."""
    shares = []
    for key, limits in LIMITS.items():
        counted: Mapping[str, int] = done.by_key.get(key, {})
        used = {
            "rpm": counted.get("answered", 0),
            "tpm": counted.get("prompt_tokens", 0) + counted.get("completion_tokens", 0),
        }
        shares.append(max(used[name] / (limit * minutes) for name, limit in limits.items()))
    return sum(shares) / len(shares)


async def unlimited(sides: Sides, workers: int, latency: float, rounds: int, seconds: float) -> dict[str, float]:
    """So many workers, no limits, a server that answers after `latency`: what each side carries."""
    done: dict[str, list[Round]] = {side: [] for side in sides}
    endpoints = {name: {"key": f"sk-bench-{name}", "limits": {}} for name in ("first", "second")}
    async with llm_server(latency=latency) as (process, url):
        load = {"workers": workers, "warm": 3.0, "seconds": seconds, "spread": 1.0, "limited": False}
        for number in range(rounds):
            for side in sorted(sides, reverse=bool(number % 2)):
                module, python, more = sides[side]
                done[side].append(
                    await carried(module, {"url": url, "endpoints": endpoints} | load | more, process, python)
                )
    what = f"{workers} at {latency * 1000:.0f} ms"
    found: dict[str, float] = {}
    for side, each in done.items():
        found |= {
            f"{what}: texts a second, {side}": median(one.figures.rate for one in each),
            f"{what}: ms CPU a text, {side}": median(one.figures.cpu_ms for one in each),
            f"{what}: share of a core, server, {side}": median(one.server_share for one in each),
        }
    return found
