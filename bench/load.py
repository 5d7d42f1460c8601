"""The load that both sides of a comparison carry: the same texts, the same workers, the same figures.

Standard library alone, because the side with LiteLLM runs it with another environment's Python.
"""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

MODEL = "gpt-4.1-mini"
MAX_TOKENS = 100
STARTED = "measuring"
"""What a side writes when its warm-up is over; its last line is its figures as JSON."""

_PERSONA = "Sen bir piyasa sohbetinde konuşan, yapay zekâ olduğu açıkça yazan bir karaktersin. Kısa ve sakin yazarsın. "
_LINE = "Üye: Dolar ve altın için ne dersiniz, bu hafta sizce sakin mi geçer yoksa hareket gelir mi? "


@dataclass(frozen=True, slots=True)
class Text:
    """One text to be asked for. `rank` is its class, 0 the most urgent."""

    bot: int
    rank: int
    system: str
    user: str
    max_tokens: int = MAX_TOKENS


class Texts:
    """An endless, seeded row of texts: 200 bots, all classes, prompts of about 1,000 to 2,000 characters."""

    def __init__(self, seed: int = 1) -> None:
        self._rng = random.Random(seed)

    def next(self) -> Text:
        """The next one."""
        bot = self._rng.randrange(200)
        rank = self._rng.choices((0, 1, 2, 3), (1, 4, 4, 1))[0]
        return Text(bot, rank, f"Adın Bot {bot:03}. " + _PERSONA * 6, _LINE * self._rng.randint(3, 14))


@dataclass(frozen=True, slots=True)
class Figures:
    """What a side did while it was measured. `failed` are texts given up; `p50` and `p99` are seconds a text took."""

    done: int
    failed: int
    seconds: float
    cpu: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Texts a second."""
        return self.done / self.seconds

    @property
    def cpu_ms(self) -> float:
        """CPU of the process a text, in milliseconds."""
        return self.cpu / self.done * 1000 if self.done else float("nan")


Ask = Callable[[Text], Awaitable[bool]]
"""Asks for a text; False when it was given up."""


class _Count:
    """What the workers did so far."""

    def __init__(self) -> None:
        self.done = 0
        self.failed = 0
        self.took: list[float] = []


async def closed(ask: Ask, workers: int, warm: float, seconds: float, *, spread: float = 0.0) -> Figures:
    """So many workers, each asking for its next text when it has one; they begin spread over so many seconds."""
    texts, count = Texts(), _Count()

    async def work(number: int) -> None:
        await asyncio.sleep(spread * number / workers)
        while True:
            began = time.perf_counter()
            if await ask(texts.next()):
                count.done += 1
                count.took.append(time.perf_counter() - began)
            else:
                count.failed += 1

    tasks = [asyncio.create_task(work(number)) for number in range(workers)]
    await asyncio.sleep(warm)
    settle_memory()
    figures = await _measure(count, seconds)
    fallen = next((task.exception() for task in tasks if task.done()), None)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if fallen is not None:
        raise fallen
    return figures


async def _measure(count: _Count, seconds: float) -> Figures:
    count.done = count.failed = 0
    count.took.clear()
    say(STARTED)
    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.sleep(seconds)
    took, used = time.perf_counter() - began, time.process_time() - cpu
    p50, p99 = (nearest(count.took, share) for share in (0.5, 0.99))
    return Figures(count.done, count.failed, took, used, p50, p99)


def settle_memory() -> None:
    """What the engine does when it is ready, on every side alike: what is there by now is not looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def nearest(values: list[float], share: float) -> float:
    """The value below which this share of all lies; NaN of none."""
    if not values:
        return float("nan")
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def row(figures: Figures) -> dict[str, float]:
    """As a side prints it."""
    return asdict(figures)


def say(line: str) -> None:
    """A line for the process that started this one."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
