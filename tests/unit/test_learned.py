"""What is learned of limits: believed for a while, grown while nobody objects, kept over restarts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piyasad.clock import DAY
from piyasad.gateway.quota.learned import BELIEVED_SECONDS, DISBELIEF_SECONDS, Learned
from piyasad.gateway.quota.limits import KINDS, Limits
from piyasad.gateway.quota.quota import Quota
from piyasad.providers.interface import Spent
from piyasad.providers.limit_facts import Fact
from tests.virtual import HandClock

WHY = "assumed: it publishes no figure"
UNKNOWN = Limits(rpd=50, tpd=50_000, reset="00:00 UTC", assumed={"rpd": WHY, "tpd": WHY})


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def row(quota: Quota, name: str) -> tuple[int, str]:
    return next((each.limit, each.source) for each in quota.rows() if each.name == name)


def use(quota: Quota, requests: int, tokens: int = 10) -> None:
    for _ in range(requests):
        ticket = quota.reserve(tokens, 0)
        assert ticket is not None
        quota.settle(ticket, Spent(tokens, 0, 0))


def test_an_unknown_day_is_held_to_a_careful_guess(clock: HandClock) -> None:
    quota = Quota(UNKNOWN, clock)
    assert row(quota, "rpd") == (50, WHY)
    use(quota, 50)
    assert quota.reserve(1, 0) is None
    assert quota.lasting()


def test_a_day_without_a_refusal_that_used_much_of_the_guess_doubles_it(clock: HandClock) -> None:
    quota = Quota(UNKNOWN, clock)
    use(quota, 30)
    quota.age()
    clock.advance(DAY + 60)
    quota.age()
    assert row(quota, "rpd") == (100, WHY)
    assert row(quota, "tpd") == (50_000, WHY)  # of that little was used
    clock.advance(DAY + 60)
    quota.age()
    assert row(quota, "rpd") == (100, WHY)


def test_a_refusal_of_the_day_without_a_figure_means_what_was_used(clock: HandClock) -> None:
    quota = Quota(UNKNOWN, clock)
    use(quota, 20)
    ticket = quota.reserve(10, 0)
    assert ticket is not None
    quota.keep_request(ticket)
    quota.learn([Fact("rpd", refused=True)], ticket)
    assert row(quota, "rpd") == (20, "a refusal")


def test_a_figure_that_is_told_goes_both_ways_even_where_the_file_says_unknown(clock: HandClock) -> None:
    quota = Quota(UNKNOWN, clock, written={"rpd", "tpd"})
    quota.learn([Fact("rpd", 1_000, 999)], None)
    assert row(quota, "rpd") == (1_000, "headers")
    quota.learn([Fact("rpd", 20, refused=True)], None)
    assert row(quota, "rpd") == (20, "a refusal")


def test_what_was_said_long_ago_is_tried_again(clock: HandClock) -> None:
    quota = Quota(Limits(tpd=100_000), clock)
    quota.learn([Fact("tpd", 150, refused=True)], None)
    assert row(quota, "tpd") == (150, "a refusal")
    clock.advance(BELIEVED_SECONDS - 60)
    quota.age()
    assert row(quota, "tpd")[0] == 150
    clock.advance(61)
    quota.age()
    assert row(quota, "tpd") == (100_000, "preset")


def test_a_limit_under_which_nothing_can_be_asked_is_disbelieved_after_an_hour(clock: HandClock) -> None:
    quota = Quota(Limits(tpm=8_000), clock)
    quota.learn([Fact("tpm", 5, refused=True)], None)
    assert quota.wait(100, 0) == float("inf")
    clock.advance(DISBELIEF_SECONDS + 1)
    assert quota.wait(100, 0) < 1
    assert quota.reserve(100, 0) is not None


def test_what_was_learned_is_kept_over_a_restart(clock: HandClock) -> None:
    before = Quota(UNKNOWN, clock)
    use(before, 30)
    before.age()
    clock.advance(DAY + 60)
    before.age()
    before.learn([Fact("tpd", 90_000, refused=True), Fact("rpm", 7)], None)
    after = Quota(UNKNOWN, clock)
    after.recall(before.learned.known())
    assert after.rows() == [each for each in before.rows() if each.name in {"rpd", "tpd", "rpm"}]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*KINDS, "said", "guesses"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["said", "guesses", "x"]), JSON))
def test_what_cannot_be_meant_is_not_recalled(known: dict[str, Any]) -> None:
    learned = Learned()
    learned.recall(known, KINDS)
    limits = learned.in_force(UNKNOWN, (), 0.0)
    assert all(getattr(limits, name) is None or 0 < getattr(limits, name) <= 10**12 for name in KINDS)
