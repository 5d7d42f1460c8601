"""The law of delays, hours and the hourly limit."""

from __future__ import annotations

import random
from bisect import bisect_right
from datetime import datetime
from math import fsum
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piyasad.behaviour import delays
from piyasad.config import BotPace, HourlyLimit, PaceSettings
from piyasad.config.section import parse_range
from piyasad.model import TimeRange

ISTANBUL = ZoneInfo("Europe/Istanbul")
BERLIN = ZoneInfo("Europe/Berlin")
PLAIN = BotPace()


def _pace(**keys: Any) -> PaceSettings:
    return PaceSettings(**keys)


def _ranges(*written: str) -> tuple[TimeRange, ...]:
    return tuple(parse_range(each) for each in written)


def _at(zone: ZoneInfo, *parts: int) -> float:
    return datetime(*parts, tzinfo=zone).timestamp()  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("low", "high", "mean"),
    [
        (2, 180, 30),
        (2, 180, 3),
        (2, 180, 91),
        (2, 180, 150),
        (2, 180, 178),
        (0, 1, 0.5),
        (0.01, 0.05, 0.02),
        (10, 12, 11),
    ],
)
def test_the_drawn_mean_is_the_wanted_mean_wherever_it_lies(low: float, high: float, mean: float) -> None:
    rng = random.Random(7)
    drawn = [delays.truncated_exponential(rng, low, high, mean) for _ in range(40_000)]
    assert min(drawn) >= low
    assert max(drawn) <= high
    assert fsum(drawn) / len(drawn) == pytest.approx(mean, rel=0.02)


@given(
    low=st.floats(0.01, 1e4),
    span=st.floats(0, 1e5),
    share=st.floats(-0.5, 1.5),
    seed=st.integers(0, 10**6),
)
def test_no_draw_leaves_the_bounds(low: float, span: float, share: float, seed: int) -> None:
    high = low + span
    drawn = delays.truncated_exponential(random.Random(seed), low, high, low + share * span)
    assert low * (1 - 1e-9) <= drawn <= high * (1 + 1e-9)


def test_a_mean_on_a_bound_is_that_bound() -> None:
    rng = random.Random(1)
    assert delays.truncated_exponential(rng, 5, 5, 5) == 5
    assert delays.truncated_exponential(rng, 5, 9, 5) == 5
    assert delays.truncated_exponential(rng, 5, 9, 9) == 9


def test_the_shape_is_exponential_not_just_its_mean() -> None:
    rng = random.Random(3)
    drawn = [delays.truncated_exponential(rng, 2, 180, 30) for _ in range(40_000)]
    for beyond in (10.0, 30.0, 90.0, 150.0):
        share = sum(1 for each in drawn if each > beyond) / len(drawn)
        assert share == pytest.approx(delays.survival(2, 180, 30, beyond), abs=0.01)


@pytest.mark.parametrize(
    ("mean", "beyond", "share"), [(91, 91, 0.5), (2, 50, 0.0), (180, 50, 1.0), (30, 1, 1.0), (30, 180, 0.0)]
)
def test_the_share_of_long_delays_at_the_edges(mean: float, beyond: float, share: float) -> None:
    assert delays.survival(2, 180, mean, beyond) == pytest.approx(share)


def test_a_steep_law_rises_towards_its_upper_bound() -> None:
    assert 0.5 < delays.survival(0, 1, 0.8, 0.8) < 0.7


def test_every_factor_of_the_law_multiplies_and_nothing_is_clamped() -> None:
    settings_ = _pace(jitter=(1.0, 1.0), prime_delay_seconds=15)
    bot = BotPace(mean_delay_seconds=60, multiplier=3)

    def draw(bot_pace: BotPace, **keys: Any) -> float:
        return delays.draw_delay(random.Random(5), settings_, bot_pace, **keys)

    base = draw(PLAIN, prime=False)
    assert draw(bot, prime=False) == pytest.approx(base * 2 * 3)
    assert draw(PLAIN, prime=True) == pytest.approx(base * 0.5)
    assert draw(PLAIN, prime=False, heat=2) == pytest.approx(base / 2)
    assert draw(PLAIN, prime=False, stretch=40) == pytest.approx(base * 40)
    assert draw(PLAIN, prime=False, scale=1000) == pytest.approx(base / 1000)
    assert draw(bot, prime=True, heat=2, stretch=10, scale=4) == pytest.approx(base * 6 * 0.5 / 2 * 10 / 4)


def test_a_bots_own_mean_does_not_cancel_prime_hours_and_scale() -> None:
    bot = BotPace(mean_delay_seconds=20)
    usual = delays.expected_delay(_pace(), bot, prime=False)
    assert delays.expected_delay(_pace(), bot, prime=True) == pytest.approx(usual * 18 / 30)
    assert delays.expected_delay(_pace(), bot, prime=False, scale=2) == pytest.approx(usual / 2)


def test_the_mean_over_a_day_of_open_hours_keeps_the_law() -> None:
    """A simulated day of one bot from turn start to turn start, prime hours and all."""
    settings_ = _pace()
    rng = random.Random(11)
    counted = wanted = 0.0
    for day in range(8):
        start = _at(ISTANBUL, 2026, 11, 2 + day, 9)
        now = start
        while now < start + 9 * 3600:
            prime = delays.is_prime(now, settings_, ISTANBUL)
            delay = delays.draw_delay(rng, settings_, PLAIN, prime=prime)
            counted += delay
            wanted += 18 if prime else 30
            now += delay
    assert counted / wanted == pytest.approx(1, abs=0.05)


def test_the_expectation_is_the_mean_of_the_draws() -> None:
    settings_ = _pace(jitter=(0.5, 1.1))
    rng = random.Random(2)
    drawn = [delays.draw_delay(rng, settings_, PLAIN, prime=True, heat=1.5) for _ in range(30_000)]
    expected = delays.expected_delay(settings_, PLAIN, prime=True, heat=1.5)
    assert fsum(drawn) / len(drawn) == pytest.approx(expected, rel=0.02)


def test_first_turns_are_spread_over_one_delay() -> None:
    rng = random.Random(4)
    drawn = [delays.first_delay(rng, 30) for _ in range(2000)]
    assert 0 <= min(drawn) < 1
    assert 29 < max(drawn) <= 30


def test_prime_hours_are_local_hours() -> None:
    settings_ = _pace()
    assert delays.is_prime(_at(ISTANBUL, 2026, 11, 23, 9, 30), settings_, ISTANBUL)
    assert not delays.is_prime(_at(ISTANBUL, 2026, 11, 23, 12, 0), settings_, ISTANBUL)
    assert not delays.is_prime(_at(ISTANBUL, 2026, 11, 23, 9, 30), settings_, ZoneInfo("UTC"))
    assert delays.is_prime(_at(ISTANBUL, 2026, 11, 23, 3), _pace(prime_hours=()), ISTANBUL)


def test_no_quiet_hours_mean_never_quiet() -> None:
    assert not delays.is_quiet(0.0, (), ISTANBUL)
    assert delays.is_quiet(_at(ISTANBUL, 2026, 1, 1, 23), _ranges("22:00-07:00"), ISTANBUL)


def test_a_bot_without_hours_is_always_active() -> None:
    assert delays.until_active(1e9, (), ISTANBUL) == 0


def test_the_next_open_minute_is_found_over_midnight_and_quiet_hours() -> None:
    hours = _ranges("22:00-02:00", "09:00-12:00")
    assert delays.until_active(_at(ISTANBUL, 2026, 5, 4, 1, 59), hours, ISTANBUL) == 0
    assert delays.until_active(_at(ISTANBUL, 2026, 5, 4, 2, 0), hours, ISTANBUL) == 7 * 3600
    assert delays.until_active(_at(ISTANBUL, 2026, 5, 4, 21, 0), hours, ISTANBUL) == 3600
    quiet = _ranges("23:00-09:30")
    assert delays.until_active(_at(ISTANBUL, 2026, 5, 4, 23, 30), hours, ISTANBUL, quiet) == 10 * 3600


def test_where_nothing_opens_the_bot_looks_again_in_a_day() -> None:
    assert delays.until_active(0.0, (), ISTANBUL, _ranges("00:00-24:00")) == 86400


MINUTES = st.integers(0, 1439)
RANGES = st.lists(st.tuples(MINUTES, MINUTES).filter(lambda pair: pair[0] != pair[1]), min_size=1, max_size=3).map(
    lambda pairs: tuple(TimeRange(start, end) for start, end in pairs)
)
# Around both changes of the clocks in Berlin in 2026 (29 March and 25 October), and a common week.
DAYS = st.one_of(
    st.integers(int(_at(BERLIN, 2026, 3, 28)), int(_at(BERLIN, 2026, 3, 30))),
    st.integers(int(_at(BERLIN, 2026, 10, 24)), int(_at(BERLIN, 2026, 10, 26))),
    st.integers(int(_at(BERLIN, 2026, 6, 1)), int(_at(BERLIN, 2026, 6, 8))),
)


@settings(max_examples=60, deadline=None)
@given(now=DAYS, hours=RANGES, quiet=st.one_of(st.just(()), RANGES))
def test_until_active_is_the_first_open_moment_also_when_clocks_change(
    now: int, hours: tuple[TimeRange, ...], quiet: tuple[TimeRange, ...]
) -> None:
    def is_open(at: float) -> bool:
        return delays.in_ranges(at, hours, BERLIN) and not delays.is_quiet(at, quiet, BERLIN)

    wait = delays.until_active(now, hours, BERLIN, quiet)
    assert 0 <= wait <= 86400
    if wait < 86400:
        assert is_open(now + wait)
    probe = float(now)
    while probe < now + wait - 0.5:
        assert not is_open(probe)
        probe += 60
    if wait:
        assert not is_open(now + wait - 1)


# --- the hourly limit


def _limit(low: int = 6, high: int = 12, seed: int = 1) -> delays.HourlyLimit:
    return delays.HourlyLimit(HourlyLimit(min=low, max=high), random.Random(seed))


def test_each_hour_draws_its_cap_evenly_between_min_and_max() -> None:
    limit = _limit()
    caps = [limit.cap(hour * 3600.0) for hour in range(7000)]
    counts = {cap: caps.count(cap) for cap in range(6, 13)}
    assert sum(counts.values()) == 7000
    assert all(850 < count < 1150 for count in counts.values())


def test_a_restart_finds_the_hours_cap_again() -> None:
    one, other = _limit(seed=9), _limit(seed=9)
    one.cap(0.0)
    assert [one.cap(hour * 3600.0) for hour in range(5, 50)] == [other.cap(hour * 3600.0) for hour in range(5, 50)]


@given(gaps=st.lists(st.floats(0, 900), max_size=150), seed=st.integers(0, 99))
def test_no_sliding_hour_holds_more_than_the_greatest_cap(gaps: list[float], seed: int) -> None:
    limit = _limit(2, 5, seed)
    now = 1e9
    sent: list[float] = []
    for gap in gaps:
        now += gap
        if limit.allows(now):
            assert len([at for at in sent if at > now - 3600]) < limit.cap(now)
            limit.record(now)
            sent.append(now)
            assert limit.frees_in(now) >= 0
        else:
            assert limit.frees_in(now) > 0 or limit.cap(now) == 0
    for at in sent:
        assert bisect_right(sent, at) - bisect_right(sent, at - 3600) <= 5


def test_answers_may_exceed_the_limit_up_to_thirty_and_count() -> None:
    limit = _limit(2, 2)
    now = 1e6
    for number in range(30):
        assert limit.allows(now + number, answer=True)
        limit.record(now + number)
    assert not limit.allows(now + 31, answer=True)
    assert not limit.allows(now + 31)
    assert limit.allows(now + 3600.5, answer=True)
    assert not limit.allows(now + 3600.5)


def test_an_opened_limit_is_not_tightened_by_the_answers_limit() -> None:
    limit = _limit(100, 100)
    for number in range(60):
        limit.record(1e6 + number)
    assert limit.allows(1e6 + 60, answer=True)


def test_a_refill_counts_and_late_records_keep_order() -> None:
    limit = _limit(3, 3)
    limit.refill([1e6 - 10, 1e6 - 3700])
    limit.record(1e6)
    limit.record(1e6 - 5)
    assert limit.used(1e6 + 1) == 3
    assert limit.used(1e6 + 1, 8) == 2
    assert limit.frees_in(1e6 + 1) == pytest.approx(3600 - 11)


def test_without_need_the_hourly_limit_does_not_stretch() -> None:
    assert _limit().stretch(1e6, 900) == 1
    assert _limit(10**12, 10**12).stretch(1e6, 0.01) == 1


@pytest.mark.parametrize("cap", [6, 9, 12])
def test_the_hours_messages_are_spread_and_used(cap: int) -> None:
    """Six to twelve an hour are a line every five to ten minutes, not twelve in four minutes and silence."""
    settings_ = _pace()
    limit = _limit(cap, cap)
    rng = random.Random(cap)
    gaps: list[float] = []
    now, last, days = 0.0, 0.0, 10
    while now < days * 86400:
        interval = delays.expected_delay(settings_, PLAIN, prime=False) / 0.85
        now += delays.draw_delay(rng, settings_, PLAIN, prime=False, stretch=limit.stretch(now, interval))
        if rng.random() < 0.85 and limit.allows(now):
            limit.record(now)
            gaps.append(now - last)
            last = now
    per_hour = len(gaps) / (days * 24)
    assert 0.85 * cap <= per_hour <= cap
    assert sum(1 for gap in gaps if gap > 3000) < 0.01 * len(gaps)
    assert sum(1 for gap in gaps if gap < 60) < 0.2 * len(gaps)


def test_a_burst_is_slowed_before_it_has_eaten_the_hour() -> None:
    limit = _limit(12, 12)
    calm = limit.stretch(1e6, 30)
    for number in range(5):
        limit.record(1e6 + number * 30)
    assert limit.stretch(1e6 + 150, 30) > calm * 1.3


def test_the_chats_pace_is_shared_by_its_bots() -> None:
    assert delays.chat_stretch(6, 3, 60) == 1
    assert delays.chat_stretch(6, 20, 50) == pytest.approx(4)
    assert delays.chat_stretch(0.5, 1, 60) == pytest.approx(2)
    assert delays.chat_stretch(6, 5, 0) == 1


def test_the_tightest_limit_decides_alone() -> None:
    assert delays.largest(1.5, 4.0, 2.0) == 4
    assert delays.largest(0.2) == 1
