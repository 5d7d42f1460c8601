"""`overhead`: what the gateway adds to a call, in process: 1,000 texts a second offered to it and to a bare provider.

The provider is a stub that answers after one turn of the event loop, so that all time measured beyond the baseline is
the gateway's: admission on real quotas, breaker, settlement, metrics, usage, what the answer said about limits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from statistics import median

from bench.gateway_side import make_gateway, request
from bench.load import MODEL, Texts, nearest, settle_memory
from piyasad.gateway.gateway import Gateway
from piyasad.providers.interface import Completion, Request
from piyasad.providers.limit_facts import Fact

RATE = 1000  # texts a second
FAR = 1_000_000_000  # of any limit
LIMITS = {"rpm": FAR, "tpm": FAR, "rpd": FAR, "tpd": FAR}
PRICE = {"input": 0.15, "cached": 0.075, "output": 0.6}

ANSWER = Completion(
    "Sakin bir hafta gibi duruyor.",
    "bench",
    MODEL,
    prompt_tokens=420,
    cached_tokens=128,
    completion_tokens=20,
    facts=(Fact("rpm", FAR, FAR, 0.06), Fact("tpm", FAR, FAR, 0.5)),  # as OpenAI's headers say it with every answer
)

Call = Callable[[Request], Awaitable[Completion]]


class Stub:
    """A provider that costs nothing."""

    name = "bench"
    model = MODEL
    allowance = 0

    async def complete(self, request: Request, *, timeout: float) -> Completion:
        await asyncio.sleep(0)
        return ANSWER

    async def close(self) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Offered:
    """One round: seconds from a call to its text, seconds from when it was due, CPU seconds of the process a text."""

    took: list[float]
    late: list[float]
    cpu: float


async def overhead(quick: bool) -> dict[str, float]:
    """Added by the gateway over the bare provider call, at 1,000 texts a second offered in process."""
    rounds, seconds = (1, 2.0) if quick else (7, 5.0)
    gateway, stub = _gateway(), Stub()

    async def bare(asked: Request) -> Completion:
        return await stub.complete(asked, timeout=30.0)

    sides: dict[str, tuple[Call, list[Offered]]] = {"bare": (bare, []), "gateway": (gateway.complete, [])}
    for call, _ in sides.values():
        await _offer(call, 1.0)
    settle_memory()
    for number in range(rounds):
        for side in sorted(sides, reverse=bool(number % 2)):
            call, done = sides[side]
            done.append(await _offer(call, seconds))
    await gateway.close()
    alone, ours = sides["bare"][1], sides["gateway"][1]

    def added(share: float, of: Callable[[Offered], list[float]]) -> float:
        return median(nearest(of(b), share) - nearest(of(a), share) for a, b in zip(alone, ours, strict=True)) * 1000

    return {
        "ms added, p50 (goal 0.1)": added(0.5, lambda one: one.took),
        "ms added, p99 (goal 1)": added(0.99, lambda one: one.took),
        "ms added, p99 from when it was due (goal 1)": added(0.99, lambda one: one.late),
        "µs CPU added a text (goal 80)": median(b.cpu - a.cpu for a, b in zip(alone, ours, strict=True)) * 1e6,
        "µs CPU a text, bare loop": median(one.cpu for one in alone) * 1e6,
        "µs CPU a text, through the gateway": median(one.cpu for one in ours) * 1e6,
    }


def _gateway() -> Gateway:
    endpoint = {
        "kind": "openai",
        "base_url": "http://127.0.0.1:9/v1",
        "model": MODEL,
        "api_key_env": "BENCH",
        "price": PRICE,
    }
    gateway = make_gateway({"bench": endpoint | LIMITS}, {"BENCH": "sk-bench"})
    for made in gateway.endpoints:
        made.provider = Stub()
    return gateway


async def _offer(call: Call, seconds: float) -> Offered:
    """Open loop: a text begins when it is due, whatever became of the ones before it."""
    texts, total = Texts(), round(RATE * seconds)
    asked = [request(texts.next(), 600.0) for _ in range(total)]
    done = Offered([], [], 0.0)

    async def one(asked: Request, due: float) -> None:
        began = time.perf_counter()
        await call(asked)
        ended = time.perf_counter()
        done.took.append(ended - began)
        done.late.append(ended - due)

    tasks: set[asyncio.Task[None]] = set()
    cpu, start = time.process_time(), time.perf_counter()
    for number, each in enumerate(asked):
        due = start + number / RATE
        if (left := due - time.perf_counter()) > 0:
            await asyncio.sleep(left)
        task = asyncio.create_task(one(each, due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    while tasks:
        await asyncio.gather(*tasks)
    return replace(done, cpu=(time.process_time() - cpu) / total)
