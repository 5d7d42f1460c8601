"""Budgets in dollars: reserved with the rest, over days and months of the operator's time zone."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from piyasad.gateway.quota.budget import MICROS, Budget, next_midnight, next_month
from piyasad.gateway.quota.quota import Limits, Quota
from piyasad.model import Usage
from tests.virtual import HandClock

ISTANBUL = ZoneInfo("Europe/Istanbul")
BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str, zone: ZoneInfo = ISTANBUL) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def clock_at(text: str) -> HandClock:
    clock = HandClock()
    clock.offset = at(text) - clock.now
    return clock


def budget_of(clock: HandClock, day: float = 0.0, month: float = 0.0, share: float = 1.0) -> Budget:
    budget = Budget(clock)
    budget.change(day, month, ISTANBUL, share=share)
    return budget


@pytest.mark.parametrize(
    ("now", "zone", "midnight", "month"),
    [
        ("2026-11-23T12:00", ISTANBUL, "2026-11-24T00:00", "2026-12-01T00:00"),
        ("2026-12-31T23:59:59", ISTANBUL, "2027-01-01T00:00", "2027-01-01T00:00"),
        ("2027-01-01T00:00", ISTANBUL, "2027-01-02T00:00", "2027-02-01T00:00"),
        ("2026-10-25T01:00", BERLIN, "2026-10-26T00:00", "2026-11-01T00:00"),  # a day of 25 hours
        ("2026-03-29T01:00", BERLIN, "2026-03-30T00:00", "2026-04-01T00:00"),  # and one of 23
    ],
)
def test_days_and_months_end_at_midnight_there(now: str, zone: ZoneInfo, midnight: str, month: str) -> None:
    assert next_midnight(at(now, zone), zone) == at(midnight, zone)
    assert next_month(at(now, zone), zone) == at(month, zone)


def test_money_is_reserved_with_the_rest_or_not_at_all() -> None:
    clock = clock_at("2026-11-23T12:00")
    budget = budget_of(clock, day=0.001)
    first, second = (Quota(Limits(rpm=10), clock, money=budget.shared()) for _ in range(2))
    ticket = first.reserve(100, 100, cost=700)
    assert ticket
    assert second.reserve(100, 100, cost=400) is None, "all providers draw from one budget"
    assert second.remaining()["rpm"] == 1.0
    first.settle(ticket, 100, 0, 20, 300)
    other = second.reserve(100, 100, cost=700)
    assert other
    second.refund(other)
    assert second.wait(1, 1, cost=800) == pytest.approx(12 * 3600)
    assert second.wait(1, 1, cost=1001) == float("inf")
    clock.advance(12 * 3600 + 1)
    assert second.reserve(1, 1, cost=1000)


def test_what_is_free_passes_an_empty_budget() -> None:
    clock = clock_at("2026-11-23T12:00")
    quota = Quota(Limits(), clock, paced=True, money=budget_of(clock, day=0.0001, month=0.0001).shared())
    assert quota.reserve(1, 1, rank=0, cost=100)
    assert quota.reserve(1, 1, rank=2, cost=1) is None
    assert quota.reserve(1, 1, rank=2)
    assert quota.wait(1, 1, rank=2) == 0.0


def test_of_a_paced_day_a_tenth_is_kept_for_answers_and_of_a_month_nothing() -> None:
    clock = clock_at("2026-11-23T12:00")
    day = Quota(Limits(), clock, paced=True, money=budget_of(clock, day=0.001).shared())
    assert day.reserve(1, 1, rank=1, cost=901) is None
    assert day.reserve(1, 1, rank=1, cost=900)
    assert day.reserve(1, 1, rank=0, cost=100)
    month = Quota(Limits(), clock, paced=True, money=budget_of(clock, month=0.001).shared())
    assert month.reserve(1, 1, rank=1, cost=1000)


def test_what_was_spent_before_a_restart_counts_in_its_day_and_month() -> None:
    clock = clock_at("2026-11-23T12:00")
    budget = budget_of(clock, day=1.0, month=2.0)

    def spent(when: str, cost: float) -> Usage:
        return Usage("a", "k", "m", at(when), 1, 1, 0, 1, cost)

    before = [spent("2026-10-31T22:00", 0.5), spent("2026-11-01T00:00", 0.4), spent("2026-11-22T23:00", 0.1)]
    today = [spent("2026-11-23T00:00", 0.02), spent("2026-11-23T11:00", 0.01), spent("2026-11-23T12:00", 0.005)]
    budget.restore([*before, *today])
    assert {name: meter.settled for name, meter in budget.meters} == {
        "usd_day": round(0.035 * MICROS),
        "usd_month": round(0.535 * MICROS),
    }


def test_a_reload_keeps_what_was_spent() -> None:
    clock = clock_at("2026-11-23T12:00")
    budget = budget_of(clock, day=1.0)
    budget.meters[0][1].settle(400_000, clock.mono())
    budget.change(0.5, 3.0, ISTANBUL)
    assert [(name, meter.settled, meter.limit) for name, meter in budget.meters] == [
        ("usd_day", 400_000, 500_000),
        ("usd_month", 0, 3_000_000),
    ]
    budget.change(0.0, 0.0, ISTANBUL)
    assert budget.meters == []
    assert budget.sustainable() == float("inf")


def test_a_month_is_paced_evenly() -> None:
    clock = clock_at("2026-11-01T00:00")
    budget = budget_of(clock, month=30.0, share=0.5)
    assert budget.sustainable() * 86_400 == pytest.approx(0.5, rel=0.01)
    clock.advance(15 * 86_400)
    assert budget.sustainable() * 86_400 == pytest.approx(1.0, rel=0.01)
