"""What a simulated time was like, from what the world recorded: lines, tokens, cost, limits that bound, waits. Pure.

`simulate` prints it; tests of days read it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from piyasad.bots.forecast import forecast_words
from piyasad.config.settings import Settings
from piyasad.sandbox.objects import Line
from piyasad.simulation.model import Call, Overrun
from piyasad.simulation.telegram import Arrival

OK: Final = 200

BOUND: Final = 1.05
"""From here on a limit's stretch counts as felt."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit that held bots back: the tightest in `share` of their awake time, `most` is its largest stretch."""

    limit: str
    share: float
    most: float


@dataclass(frozen=True, slots=True)
class Report:
    """A simulated time. Lines are what bots said, without the notices; waits are seconds from a question to its answer.

    `refused` are Telegram's and the providers' 429s by limit: there should be none.
    """

    hours: float
    lines: int
    notices: int
    by_bot: Mapping[str, int]
    by_chat: Mapping[str, int]
    by_hour: Mapping[str, int]
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: float
    bounds: Sequence[Bound]
    turns: Mapping[str, int]
    refused: Mapping[str, int]
    said_by_people: int
    answered: int
    wait_p50: float | None
    wait_p95: float | None
    wait_most: float | None
    expected: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


class Stretches:
    """What the limits asked for, sampled while the bots lived."""

    def __init__(self) -> None:
        self._samples = 0
        self._tightest: Counter[str] = Counter()
        self._most: dict[str, float] = {}

    def add(self, stretches: Mapping[str, float]) -> None:
        """One awake bot at one moment."""
        self._samples += 1
        limit = max(stretches, key=lambda name: stretches[name])
        if stretches[limit] > BOUND:
            self._tightest[limit] += 1
        for name, stretch in stretches.items():
            self._most[name] = max(self._most.get(name, 1.0), stretch)

    def bounds(self) -> list[Bound]:
        """Each limit, the one that bound most first."""
        rows = [
            Bound(name, round(self._tightest[name] / max(1, self._samples), 4), round(most, 2))
            for name, most in sorted(self._most.items())
        ]
        return sorted(rows, key=lambda row: -row.share)


def report_of(
    settings: Settings,
    hours: float,
    *,
    arrivals: Sequence[Arrival],
    people: Sequence[Line],
    calls: Sequence[Call],
    overruns: Iterable[Overrun],
    outcomes: Mapping[str, int],
    stretches: Stretches,
    names: Mapping[int, str],
) -> Report:
    """Put it together.

    Args:
        outcomes: turns by how they ended.
        names: the bots' configured names by id.
    """
    delivered = [each for each in arrivals if each.status == OK]
    lines = [each for each in delivered if each.text != settings.disclosure.notice]
    titles = {chat.id: chat.title or str(chat.id) for chat in settings.chats}
    waits = _waits(lines, people)
    refused = Counter(f"telegram {each.status}" for each in arrivals if each.status != OK)
    refused.update(f"{each.provider} {each.limit}" for each in overruns)
    by_hour = Counter(datetime.fromtimestamp(each.at, settings.zone).strftime("%H") for each in lines)
    by_bot, by_chat = Counter(each.bot for each in lines), Counter(each.chat for each in lines)
    return Report(
        hours=hours,
        lines=len(lines),
        notices=len(delivered) - len(lines),
        by_bot={name: by_bot[bot_id] for bot_id, name in names.items()},
        by_chat={titles.get(chat, str(chat)): number for chat, number in sorted(by_chat.items())},
        by_hour={hour: by_hour[hour] for hour in sorted(by_hour)},
        calls=len(calls),
        prompt_tokens=sum(call.prompt for call in calls),
        completion_tokens=sum(call.completion for call in calls),
        cost=round(math.fsum(_cost(settings, call) for call in calls), 6),
        bounds=stretches.bounds(),
        turns=dict(sorted(outcomes.items())),
        refused=dict(sorted(refused.items())),
        said_by_people=len(people),
        answered=len(waits),
        wait_p50=_quantile(waits, 0.5),
        wait_p95=_quantile(waits, 0.95),
        wait_most=_quantile(waits, 1.0),
        expected=forecast_words(settings),
    )


def _waits(lines: Iterable[Arrival], people: Iterable[Line]) -> list[float]:
    """Seconds from each answered line of a member to its first answer, sorted."""
    asked = {(line.chat, line.id): line.at for line in people}
    waits: list[float] = []
    for line in lines:
        at = asked.pop((line.chat, line.reply_to), None) if line.reply_to is not None else None
        if at is not None:
            waits.append(round(line.at - at, 3))
    return sorted(waits)


def _quantile(values: Sequence[float], q: float) -> float | None:
    return values[max(0, math.ceil(q * len(values)) - 1)] if values else None


def _cost(settings: Settings, call: Call) -> float:
    provider = settings.provider(call.provider)
    price = provider.price if provider is not None else None
    return (call.prompt * price.input + call.completion * price.output) / 1_000_000 if price is not None else 0.0
