"""Three virtual days of the shipped room on a quota of 100,000 tokens whose day rolls: it is used up and never dry."""

from __future__ import annotations

import functools

import pytest

from piyasad.clock import LoopClock
from piyasad.gateway.quota.meter import RESERVE_ROLLING
from piyasad.gateway.quota.quota import next_reset
from piyasad.model import Class
from tests.day import CLOSES, DAY, HOUR, House, lines, shipped, visits
from tests.virtual import NOON, run_virtual

TOKENS = 100_000
DAYS = 3
MIDNIGHT = next_reset(NOON, "00:00 Europe/Istanbul")
SEEDS = (0, 1, 2)
TEXT = 1000  # tokens that a text takes at most, its longest line included


@functools.cache
def stay(seed: int) -> House:
    """The house after its days."""

    async def run(clock: LoopClock) -> House:
        house = House(clock, shipped(), TOKENS, "rolling", seed)
        await house.live(DAYS * DAY, visits(house, DAYS))
        return house

    return run_virtual(run, MIDNIGHT)


@pytest.mark.parametrize("seed", SEEDS)
def test_nine_tenths_of_a_rolling_day_are_used_and_never_more_than_all(seed: int) -> None:
    house = stay(seed)
    calls = [(call.at, call.prompt + call.completion) for call in house.model.calls]
    for hour in range(24, 24 * DAYS + 1):
        end = hour * HOUR
        used = sum(tokens for at, tokens in calls if end - DAY < at <= end)
        assert used <= TOKENS
        assert used >= 0.9 * TOKENS or hour % 24
    assert house.model.refused == 0
    assert len(lines(house)) >= DAYS * 110


@pytest.mark.parametrize("seed", SEEDS)
def test_a_rolling_day_is_heard_to_its_last_hour(seed: int) -> None:
    heard = {int(at // HOUR) for _, at in lines(stay(seed))}
    for day in range(DAYS):
        first, closes = int(day * 24 + 9), int(day * 24 + CLOSES / HOUR)
        assert len(heard & set(range(first, closes))) >= closes - first - 1
        assert heard & {closes - 1}


@pytest.mark.parametrize("seed", SEEDS)
def test_on_rolling_days_too_who_asks_never_waits_for_the_pace(seed: int) -> None:
    house = stay(seed)
    answers = [trace for trace in house.ledger.turns if trace.intent == "answer"]
    assert len(answers) >= 15 * DAYS
    unheard = [trace for trace in answers if trace.outcome != "sent" and not trace.detail.get("verdicts")]
    assert len(unheard) <= 0.03 * len(answers)
    assert all(spent_by_people(house, trace.at - MIDNIGHT) for trace in unheard)
    assert house.metrics.llm_wait.labels(Class.ANSWER.value)._sum.get() == 0.0


def spent_by_people(house: House, now: float) -> bool:
    """Whether less than a text was left at `now`, and what is kept for answers went to answers alone."""
    window = [call for call in house.model.calls if now - DAY < call.at <= now]
    used = sum(call.prompt + call.completion for call in window)
    last = len(window) - next(i for i, call in enumerate(reversed(window)) if call.klass is not Class.ANSWER)
    answered = sum(call.prompt + call.completion for call in window[last:])
    return used >= TOKENS - TEXT and answered >= RESERVE_ROLLING * TOKENS - TEXT
