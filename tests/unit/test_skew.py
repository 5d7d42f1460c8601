"""The offset of our clock, by the updates themselves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piyasad.telegram.skew import KEPT, OFF_SECONDS, SURE, Skew


def test_a_right_clock_needs_no_correction() -> None:
    assert Skew().age(1000.0, 1090.0) == 90.0


@given(
    ahead=st.floats(-1e6, 1e6),
    delays=st.lists(st.floats(0.0, 0.9), min_size=1, max_size=60),
    true_age=st.floats(0.0, 600.0),
)
def test_an_age_is_right_to_two_seconds_however_wrong_the_clock(
    ahead: float, delays: list[float], true_age: float
) -> None:
    skew, telegram = Skew(), 1_700_000_000.0
    for number, delay in enumerate(delays):
        sent = telegram + 7.3 * number
        skew.note(sent + delay + ahead, float(int(sent)))  # Telegram's dates are whole seconds
    said = telegram + 1000.0
    assert skew.age(float(int(said)), said + true_age + ahead) == pytest.approx(true_age, abs=2.01)


@given(st.lists(st.floats(0, 300), min_size=1, max_size=KEPT))
def test_updates_that_came_late_count_for_nothing_beside_one_that_did_not(late: list[float]) -> None:
    skew = Skew()
    for each in [*late[:-1], 0.0]:
        skew.note(1000.0 + each, 1000.0)
    assert skew.seconds == 0.0


def test_a_clock_that_was_set_right_is_believed_after_some_updates() -> None:
    skew = Skew()
    for _ in range(KEPT):
        skew.note(1120.0, 1000.0)
    assert skew.seconds == 120.0
    skew.note(1000.0, 1000.0)
    assert skew.seconds == 0.0, "set back: at once"
    for _ in range(KEPT):
        skew.note(1120.0, 1000.0)
    assert skew.seconds == 120.0, "set forward: when the last right one is forgotten"


@pytest.mark.parametrize("ahead", [OFF_SECONDS + 5, -OFF_SECONDS - 5])
def test_a_wrong_clock_is_told_once_when_it_is_sure(ahead: float) -> None:
    skew = Skew()
    assert [skew.note(1000.0 + ahead, 1000.0) for _ in range(SURE + 5)] == [False] * (SURE - 1) + [True] + [False] * 5


def test_a_clock_that_is_little_off_is_not_told() -> None:
    skew = Skew()
    assert not any(skew.note(1000.0 + OFF_SECONDS - 1, 1000.0) for _ in range(50))


def test_nothing_is_younger_than_now() -> None:
    skew = Skew()
    skew.note(1120.0, 1000.0)
    assert skew.age(1119.0, 1120.0) == 0.0
