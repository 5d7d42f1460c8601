"""Three virtual days of the shipped room on a quota of 100,000 tokens whose day rolls: it is used up and never dry."""

from __future__ import annotations

import functools

import pytest

from piyasad.clock import DAY
from piyasad.gateway.quota.meter import RESERVE_ROLLING
from piyasad.model import Class
from piyasad.simulation.virtual_day import VirtualDay
from tests.day import CLOSES, HOUR, MIDNIGHT, hour_of, lines, lived

TOKENS = 100_000
DAYS = 3
SEEDS = (1, 2, 3)
TEXT = 1000  # tokens that a text takes at most, its longest line included


@functools.cache
def stay(seed: int) -> VirtualDay:
    """The room after its days."""
    return lived(TOKENS, "rolling", 24 * DAYS, seed=seed, days_of_visits=DAYS)


@pytest.mark.parametrize("seed", SEEDS)
def test_nine_tenths_of_a_rolling_day_are_used_and_never_more_than_all(seed: int) -> None:
    room = stay(seed)
    calls = [(call.at - MIDNIGHT, call.prompt + call.completion) for call in room.outside.models.calls]
    for hour in range(24, 24 * DAYS + 1):
        end = hour * HOUR
        used = sum(tokens for at, tokens in calls if end - DAY < at <= end)
        assert used <= TOKENS
        assert used >= 0.9 * TOKENS or hour % 24
    assert room.outside.models.overruns == []
    assert len(lines(room)) >= DAYS * 110


@pytest.mark.parametrize("seed", SEEDS)
def test_a_rolling_day_is_heard_to_its_last_hour(seed: int) -> None:
    room = stay(seed)
    heard = {hour_of(line.sent_at) for line in lines(room)}
    for day in range(DAYS):
        first, closes = int(day * 24 + 9), int(day * 24 + CLOSES / HOUR)
        assert len(heard & set(range(first, closes))) >= closes - first - 1
        assert heard & {closes - 1} or spent_by_people(room, MIDNIGHT + (closes - 0.5) * HOUR)


@pytest.mark.parametrize("seed", SEEDS)
def test_on_rolling_days_too_who_asks_never_waits_for_the_pace(seed: int) -> None:
    room = stay(seed)
    answers = [trace for trace in room.turns if trace.intent == "answer"]
    assert len(answers) >= 15 * DAYS
    asked = {trace.detail["target"] for trace in answers}
    sent = {trace.detail["target"] for trace in answers if trace.outcome == "sent"}
    unheard = [t for t in answers if t.detail["target"] not in sent and not t.detail.get("verdicts")]
    assert len({trace.detail["target"] for trace in unheard}) <= 0.05 * len(asked)
    assert all(spent_by_people(room, trace.at) for trace in unheard)
    assert room.metrics.llm_wait.labels(Class.ANSWER.value)._sum.get() == 0.0


def spent_by_people(room: VirtualDay, now: float) -> bool:
    """Whether less than a text was left at `now`, and what is kept for answers went to answers alone."""
    window = [call for call in room.outside.models.calls if now - DAY < call.at <= now]
    used = sum(call.prompt + call.completion for call in window)
    last = len(window) - next(i for i, call in enumerate(reversed(window)) if call.klass is not Class.ANSWER)
    answered = sum(call.prompt + call.completion for call in window[last:])
    return used >= TOKENS - TEXT and answered >= RESERVE_ROLLING * TOKENS - TEXT
