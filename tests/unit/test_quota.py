"""Quotas: exact over every sliding window, all at once or not at all, refunded, restored, paced."""

from __future__ import annotations

import asyncio
import math
import random
from bisect import bisect_right
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piyasad.clock import LoopClock
from piyasad.gateway.estimate import Estimator
from piyasad.gateway.quota.limits import Limits
from piyasad.gateway.quota.quota import WAY_SECONDS, Quota, next_reset
from piyasad.model import Usage
from piyasad.providers.interface import Spent
from tests.virtual import NOON, HandClock, run_virtual

TOKENS = 1


def most_in_window(events: list[tuple[float, int]], seconds: float) -> int:
    """The largest sum of amounts over any half-open window of that length."""
    events = sorted(events)
    times = [at for at, _ in events]
    sums = [0, *accumulate(amount for _, amount in events)]
    most = 0
    for index, at in enumerate(times):
        end = bisect_right(times, at + seconds - 1e-9)
        most = max(most, sums[end] - sums[index])
    return most


def test_every_limit_is_reserved_or_none() -> None:
    quota = Quota(Limits(rpm=10, tpm=100), HandClock())
    assert quota.reserve(60, 20)
    assert quota.reserve(60, 20) is None  # no tokens
    assert quota.remaining() == {"rpm": 0.9, "tpm": 0.2}  # and no request taken either


def test_what_was_not_used_comes_back() -> None:
    clock = HandClock()
    quota = Quota(Limits(rpm=3, tpm=100, concurrency=3), clock)
    made, lost, refused = quota.reserve(20, 10), quota.reserve(20, 10), quota.reserve(20, 10)
    assert made
    assert lost
    assert refused
    quota.settle(made, Spent(15, 0, 5))
    quota.refund(lost)
    quota.keep_request(refused)
    assert quota.remaining() == pytest.approx({"rpm": 1 / 3, "tpm": 0.8})
    quota.refund(lost)  # a ticket is closed once
    assert quota.running == 0


def test_cached_tokens_are_free_where_the_provider_says_so() -> None:
    for counts, left in ((True, 0.4), (False, 0.9)):
        quota = Quota(Limits(tpm=100, counts_cached=counts), HandClock())
        ticket = quota.reserve(60, 0)
        assert ticket
        quota.settle(ticket, Spent(60, 50, 0))
        assert quota.remaining()["tpm"] == pytest.approx(left)


def test_input_and_output_have_limits_of_their_own() -> None:
    quota = Quota(Limits(itpm=100, otpm=20), HandClock())
    assert quota.reserve(50, 15)
    assert quota.reserve(50, 15) is None
    assert quota.reserve(50, 5)


def test_concurrency_is_capped() -> None:
    quota = Quota(Limits(concurrency=1), HandClock())
    ticket = quota.reserve(1, 1)
    assert ticket
    assert quota.reserve(1, 1) is None
    assert 0 < quota.wait(1, 1) < 1
    quota.settle(ticket, Spent(1, 0, 1))
    assert quota.reserve(1, 1)


def test_a_larger_request_than_the_limit_never_fits() -> None:
    assert Quota(Limits(tpm=100), HandClock()).wait(90, 20) == math.inf


def test_the_wait_is_until_enough_is_free() -> None:
    clock = HandClock()
    quota = Quota(Limits(tpm=100), clock)
    ticket = quota.reserve(100, 0)
    assert ticket
    quota.settle(ticket, Spent(100, 0, 0))
    clock.now += 20
    wait = quota.wait(1, 0)
    assert 39 < wait < 42
    clock.now += wait - 0.5
    assert quota.reserve(1, 0) is None
    clock.now += 0.5
    assert quota.reserve(1, 0)


def test_a_provider_that_says_wait_is_left_alone() -> None:
    clock = HandClock()
    quota = Quota(Limits(), clock)
    quota.hold(10_800)
    assert quota.reserve(1, 1) is None
    assert quota.wait(1, 1) == pytest.approx(10_800)
    clock.now += 10_800
    assert quota.reserve(1, 1)


def test_a_shard_works_with_its_share() -> None:
    quotas = [Quota(Limits(rpm=30, tpm=1000), HandClock(), share=1 / 4) for _ in range(4)]
    admitted = sum(1 for quota in quotas for _ in range(30) if quota.reserve(1, 1))
    assert 4 * 7 == admitted <= 30


def test_a_call_under_way_counts_however_long_it_takes() -> None:
    clock = HandClock()
    quota = Quota(Limits(rpm=1), clock)
    ticket = quota.reserve(1, 1)
    assert ticket
    clock.now += 300
    assert quota.reserve(1, 1) is None
    quota.settle(ticket, Spent(1, 0, 1))
    assert quota.reserve(1, 1)


def test_a_fixed_day_starts_anew_at_its_reset_and_not_when_the_clock_is_set_back() -> None:
    clock = HandClock()
    clock.offset = next_reset(NOON, "00:00 America/Los_Angeles") - clock.now - 100
    quota = Quota(Limits(rpd=1, reset="00:00 America/Los_Angeles"), clock)
    ticket = quota.reserve(1, 1)
    assert ticket
    quota.settle(ticket, Spent(1, 0, 1))
    clock.offset -= 3600
    clock.now += 110
    assert quota.reserve(1, 1) is None
    clock.now += 3595
    assert quota.reserve(1, 1)


@pytest.mark.parametrize(("wall", "hours"), [(NOON, 22.0), (NOON + 21.9 * 3600, 0.1)])
def test_the_next_reset_is_reckoned_in_its_zone(wall: float, hours: float) -> None:
    # Noon in Istanbul is 01:00 in Los Angeles in November; the reset there is 23 hours ahead.
    assert next_reset(wall, "23:00 America/Los_Angeles") - wall == pytest.approx(hours * 3600)


def test_a_restart_remembers_the_day() -> None:
    clock = HandClock()
    hour = NOON // 3600 * 3600
    rows = [
        Usage("groq", "", "m", hour - 3600, 10, 600, 100, 100, 0.0),
        Usage("groq", "", "m", hour - 30 * 3600, 10, 600, 100, 100, 0.0),  # more than a day ago
    ]
    rolling = Quota(Limits(tpd=1000, rpd=100), clock)
    rolling.restore(rows)
    assert rolling.remaining() == pytest.approx({"rpd": 0.9, "tpd": 0.3})
    clock.now += 86_400 - 3600
    assert rolling.remaining()["tpd"] == pytest.approx(0.3)  # an hour's row counts from the hour's end
    clock.now += 3700
    assert rolling.remaining()["tpd"] == 1.0
    shard = Quota(Limits(tpd=1000), HandClock(), share=1 / 4)
    shard.restore(rows)
    assert shard.remaining() == pytest.approx({"tpd": 0.3})  # a quarter of what is left
    today = Quota(Limits(tpd=1000, reset="00:00 Europe/Istanbul"), HandClock())
    today.restore(rows)
    assert today.remaining() == pytest.approx({"tpd": 0.3})


def test_other_limits_after_a_reload_forget_nothing() -> None:
    clock = HandClock()
    quota = Quota(Limits(tpm=1000, tpd=10_000), clock)
    done, flying = quota.reserve(400, 0), quota.reserve(100, 0)
    assert done
    assert flying
    quota.settle(done, Spent(400, 0, 0))
    quota.change(Limits(rpm=5, tpm=500, tpd=5000, reset="00:00 Europe/Istanbul"))
    assert quota.remaining() == pytest.approx({"rpm": 1.0, "tpm": 0.0, "tpd": 0.9})
    quota.settle(flying, Spent(50, 0, 0))
    assert quota.remaining() == pytest.approx({"rpm": 1.0, "tpm": 0.1, "tpd": 0.9})


def test_answers_to_people_have_a_reserve_that_melts_in_the_last_hour() -> None:
    clock = HandClock()
    clock.offset = next_reset(NOON, "00:00 Europe/Istanbul") - clock.now - 7200
    quota = Quota(Limits(tpd=1000, reset="00:00 Europe/Istanbul"), clock, paced=True)
    ticket = quota.reserve(900, 0, 2)
    assert ticket
    quota.settle(ticket, Spent(900, 0, 0))
    assert quota.reserve(50, 0, 2) is None
    assert 3600 < quota.wait(50, 0, 2) < 7200 - 1700
    assert quota.reserve(40, 0, 0)
    clock.now += 7200 - 900  # a quarter of the reserve is left: 25 tokens, 60 are free
    assert quota.reserve(30, 0, 2)
    assert quota.reserve(30, 0, 2) is None


def test_the_lasting_rate_uses_the_whole_day_and_never_more() -> None:
    clock = HandClock()
    quota = Quota(Limits(tpd=86_400), clock)
    assert quota.lasting()[TOKENS] == pytest.approx(1.0, rel=0.15)
    ticket = quota.reserve(43_200, 0)
    assert ticket
    quota.settle(ticket, Spent(43_200, 0, 0))  # half a day's tokens at once: the rest must last the same day
    assert quota.lasting()[TOKENS] == pytest.approx(0.45, rel=0.01)


def lasting_after(*hours: float) -> float:
    """The lasting rate of a rolling day of 24,000 after so many tokens in each of the last hours, per token and hour."""
    clock = HandClock()
    quota = Quota(Limits(tpd=24_000), clock)
    for used in hours:
        for _ in range(10):
            ticket = quota.reserve(int(used / 10), 0)
            assert ticket
            quota.settle(ticket, Spent(int(used / 10), 0, 0))
            clock.now += 360.0
    return quota.lasting()[TOKENS] * 3600


FAIR = 950.0  # a twenty-fourth of a rolling day less its reserve


def test_talk_that_was_planned_and_not_said_on_a_rolling_day_is_caught_up_with() -> None:
    assert lasting_after(*[FAIR * 0.95] * 40) > 3 * FAIR
    assert lasting_after(*[FAIR] * 37, 0, 0, 0) > 2 * FAIR


def test_a_rolling_day_that_has_only_begun_has_nothing_to_catch_up_with() -> None:
    assert lasting_after() == pytest.approx(FAIR, rel=0.02)
    assert lasting_after(*[FAIR] * 3) == pytest.approx(FAIR, rel=0.02)
    assert lasting_after(FAIR, 0, 0) > 2 * FAIR


def test_what_an_outage_left_of_a_rolling_day_is_spread_over_the_next() -> None:
    assert lasting_after(*[FAIR] * 30, *[0] * 10) == pytest.approx(FAIR, rel=0.05)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    rpm=st.integers(1, 40),
    tpm=st.integers(200, 5000),
    mean_gap=st.floats(0.05, 4.0),
    latency=st.floats(0.0, 5.0),
)
def test_no_sliding_minute_holds_more_than_the_limits(
    seed: int, rpm: int, tpm: int, mean_gap: float, latency: float
) -> None:
    """Whenever the provider counts a request, up to WAY_SECONDS late, and whatever it charges up to the estimate."""
    rng = random.Random(seed)
    clock = HandClock()
    quota = Quota(Limits(rpm=rpm, tpm=tpm), clock)
    requests: list[tuple[float, int]] = []
    tokens: list[tuple[float, int]] = []
    flying: list[tuple[float, object, int, int]] = []
    for _ in range(400):
        clock.now += rng.expovariate(1 / mean_gap)
        for end, ticket, prompt, completion in [row for row in flying if row[0] <= clock.now]:
            quota.settle(ticket, Spent(prompt, 0, completion))  # type: ignore[arg-type]
            flying.remove((end, ticket, prompt, completion))
        prompt, completion = rng.randint(1, 150), rng.randint(1, 50)
        ticket = quota.reserve(prompt, completion)
        if ticket is None:
            assert quota.wait(prompt, completion) > 0
            continue
        took = rng.uniform(0, latency)
        counted = clock.now + rng.uniform(0, min(took, WAY_SECONDS))
        used = rng.randint(0, completion)
        requests.append((counted, 1))
        tokens.append((counted, prompt + used))
        flying.append((clock.now + took, ticket, prompt, used))
    assert most_in_window(requests, 60.0) <= rpm
    assert most_in_window(tokens, 60.0) <= tpm


@pytest.mark.parametrize("limits", [Limits(rpm=600), Limits(tpm=60_000), Limits(rpm=600, tpm=60_000)])
def test_a_saturated_quota_is_used_to_the_full(limits: Limits) -> None:
    """After the first minute at least 97 % of the limit is used in every minute, with requests of 1 % of it at most."""

    async def saturate(clock: LoopClock) -> list[tuple[float, int]]:
        quota = Quota(limits, clock)
        events: list[tuple[float, int]] = []
        rng = random.Random(7)
        while clock.mono() < 600:
            ticket = quota.reserve(60, 40)
            if ticket is None:
                await asyncio.sleep(max(0.001, min(quota.wait(60, 40), 1.0)))
                continue
            events.append((clock.mono(), 1))
            asyncio.get_running_loop().call_later(rng.uniform(0.1, 1.0), quota.settle, ticket, Spent(60, 0, 40))
        await asyncio.sleep(2)
        return events

    events = run_virtual(saturate)
    assert most_in_window(events, 60.0) <= 600
    for minute in range(1, 10):
        count = sum(1 for at, _ in events if minute * 60 <= at < minute * 60 + 60)
        assert count >= 0.97 * 600


@given(st.lists(st.tuples(st.integers(100, 6000), st.floats(2.0, 4.5)), min_size=1, max_size=60))
def test_the_estimate_is_above_all_that_is_like_what_was_seen(prompts: list[tuple[int, float]]) -> None:
    estimator = Estimator()
    for chars, per_token in prompts:
        estimator.learn(chars, math.ceil(chars / per_token))
    chars, per_token = prompts[-1]
    assert estimator.tokens(chars) >= math.ceil(chars / per_token)


def test_the_estimate_comes_near_the_truth() -> None:
    estimator = Estimator()
    for _ in range(50):
        estimator.learn(2500, 800)
    assert 800 <= estimator.tokens(2500) <= 800 * 1.06
    estimator.learn(3, 50)  # too short to learn from
    assert estimator.tokens(2500) <= 800 * 1.06


@pytest.mark.parametrize("jump", [86_400.0, -86_400.0, 3600.0 * 13, -3600.0 * 13])
def test_a_wall_clock_that_jumps_opens_no_new_day_and_closes_none(jump: float) -> None:
    """The day ends when as much time has passed as was left of it; a jump is believed from then on only."""
    clock = HandClock()
    quota = Quota(Limits(rpd=2, rpm=100), clock, paced=False)
    quota.change(Limits(rpd=2, rpm=100, reset="00:00 Europe/Istanbul"))
    assert quota.reserve(1, 1)
    clock.offset += jump
    assert quota.reserve(1, 1)
    assert quota.reserve(1, 1) is None
    clock.advance(11 * 3600)
    assert quota.reserve(1, 1) is None, "noon plus eleven hours: no midnight has passed"


@pytest.mark.parametrize(
    ("limits", "seconds", "most"),
    [(Limits(rps=3), 1.0, 3), (Limits(rph=40), 3600.0, 40), (Limits(rps=2, rpm=20, rph=90), 3600.0, 90)],
)
def test_no_second_and_no_hour_holds_more_than_its_limit(limits: Limits, seconds: float, most: int) -> None:
    """A call may be counted by the provider at any time until a second after its admission."""

    async def saturate(clock: LoopClock) -> list[tuple[float, int]]:
        quota, rng = Quota(limits, clock), random.Random(3)
        events: list[tuple[float, int]] = []
        while clock.mono() < 3 * 3600 and len(events) < 2_000:
            ticket = quota.reserve(60, 40)
            if ticket is None:
                await asyncio.sleep(max(0.001, min(quota.wait(60, 40), 60.0)))
                continue
            took = rng.uniform(0.0, WAY_SECONDS)
            events.append((clock.mono() + took, 1))
            asyncio.get_running_loop().call_later(took, quota.settle, ticket, Spent(60, 0, 40))
        return events

    events = run_virtual(saturate)
    assert len(events) > most
    assert most_in_window(events, seconds) <= most


def test_a_month_s_tokens_count_till_the_next_month_and_over_a_restart() -> None:
    clock = HandClock()
    limits = Limits(tokens_per_month=1_000)
    quota = Quota(limits, clock)
    ticket = quota.reserve(600, 0)
    assert ticket is not None
    quota.settle(ticket, Spent(600, 0, 0))
    clock.advance(2 * 86_400)
    assert quota.reserve(600, 0) is None
    again = Quota(limits, clock)
    again.restore([Usage("p", "k", "m", clock.wall() - 2 * 86_400, 1, 600, 0, 0, 0.0)])
    assert again.reserve(600, 0) is None
    clock.advance(31 * 86_400)
    assert quota.reserve(600, 0) is not None
    assert again.reserve(600, 0) is not None


def test_an_hour_s_limit_slows_the_talk_instead_of_stopping_it() -> None:
    quota = Quota(Limits(rph=60), HandClock())
    assert quota.lasting()[0] == pytest.approx(60 * 0.95 / 3600, rel=0.05)
