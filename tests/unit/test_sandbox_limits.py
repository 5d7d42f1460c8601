"""The sandbox's limits hold over every sliding window, and say exactly how long to wait."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piyasad.sandbox.limits import OPEN, Excess, Limits, Traffic, Window

CHAT, OTHER = -1001, -1002


def admitted(limits: Limits, times: list[float], chats: list[int]) -> list[tuple[float, int]]:
    """What passes of messages of one bot at these times."""
    traffic = Traffic(limits)
    return [
        (at, chat) for at, chat in zip(times, chats, strict=True) if traffic.admit(7, chat, group=True, now=at) is None
    ]


def most(times: list[float], seconds: float) -> int:
    """The fullest of all half-open windows of so many seconds."""
    return max((sum(1 for each in times if start <= each < start + seconds) for start in times), default=0)


# multiples of 1/64 s: sums and differences are exact, so that brute force and window agree to the last message
moments = st.lists(st.integers(0, 64 * 150), min_size=1, max_size=120).map(lambda all_: sorted(n / 64 for n in all_))


@given(moments, st.integers(1, 6), st.sampled_from([1.0, 2.5, 60.0]))
def test_no_window_ever_holds_more_and_nothing_is_refused_that_fits(
    times: list[float], limit: int, seconds: float
) -> None:
    window, passed = Window(seconds), list[float]()
    for now in times:
        fits = sum(1 for each in passed if now - each < seconds) < limit
        wait = window.wait(limit, now)
        assert (wait == 0) is fits
        if fits:
            window.add(now)
            passed.append(now)
    assert most(passed, seconds) <= limit


@given(moments, st.integers(1, 6))
def test_a_message_passes_after_the_wait_that_was_named_and_not_before(times: list[float], limit: int) -> None:
    window = Window(60.0)
    for now in times:
        wait = window.wait(limit, now)
        if wait == 0:
            window.add(now)
            continue
        assert window.wait(limit, now + wait / 2) > 0
        assert window.wait(limit, now + wait) == 0
        return


@given(moments, st.data())
def test_the_three_limits_hold_together(times: list[float], data: st.DataObject) -> None:
    chats = [data.draw(st.sampled_from([CHAT, OTHER])) for _ in times]
    limits = Limits(per_second=3, chat_per_second=2, group_per_minute=5)
    passed = admitted(limits, times, chats)
    assert most([at for at, _ in passed], 1.0) <= 3
    for chat in (CHAT, OTHER):
        of_chat = [at for at, where in passed if where == chat]
        assert most(of_chat, 1.0) <= 2
        assert most(of_chat, 60.0) <= 5


def test_the_documented_limits_are_the_default() -> None:
    traffic = Traffic(Limits())
    assert traffic.admit(7, CHAT, group=True, now=0.0) is None
    assert traffic.admit(7, CHAT, group=True, now=0.25) == Excess("chat_per_second", 0.75)
    elsewhere = [traffic.admit(7, CHAT - n, group=True, now=0.5) for n in range(1, 30)]
    assert elsewhere == [None] * 29
    assert traffic.admit(7, CHAT - 30, group=True, now=0.5) == Excess("per_second", 0.5)
    assert traffic.admit(8, CHAT, group=True, now=0.5) is None, "each token for itself"


def test_the_twenty_first_in_a_minute_waits_for_the_first_to_be_a_minute_old() -> None:
    traffic = Traffic(Limits())
    for second in range(20):
        assert traffic.admit(7, CHAT, group=True, now=second * 2.0) is None
    assert traffic.admit(7, CHAT, group=True, now=40.0) == Excess("group_per_minute", 20.0)
    assert traffic.admit(7, CHAT, group=True, now=60.0) is None


def test_a_private_chat_has_no_minute() -> None:
    traffic = Traffic(Limits())
    assert [traffic.admit(7, 501, group=False, now=float(n)) for n in range(40)] == [None] * 40


def test_what_was_refused_does_not_count() -> None:
    traffic = Traffic(Limits())
    assert traffic.admit(7, CHAT, group=True, now=0.0) is None
    assert all(traffic.admit(7, CHAT, group=True, now=0.1 + n / 100) for n in range(50))
    assert traffic.admit(7, CHAT, group=True, now=1.0) is None


def test_a_burst_is_let_through_when_it_is_allowed() -> None:
    traffic = Traffic(Limits(chat_burst=2))
    assert [traffic.admit(7, CHAT, group=True, now=n / 10) is None for n in range(5)] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_limits_are_opened_and_lowered_while_it_runs() -> None:
    limits = Limits()
    traffic = Traffic(limits)
    limits.change({"per_second": 1e9, "chat_per_second": OPEN, "group_per_minute": 1e9})
    assert [traffic.admit(7, CHAT, group=True, now=0.0) for _ in range(500)] == [None] * 500
    limits.change({"per_second": 2, "chat_per_second": 2, "group_per_minute": 3})
    assert [traffic.admit(7, CHAT, group=True, now=1.0) is None for _ in range(3)] == [True, True, False]
    limits.change({"per_second": 1})
    assert traffic.admit(7, OTHER, group=True, now=1.5) == Excess("per_second", 0.5)
    limits.change({"per_second": 0})
    assert traffic.admit(7, OTHER, group=True, now=1.5) == Excess("per_second", 1.0)


def test_new_tokens_are_counted_when_told_to() -> None:
    limits = Limits()
    traffic = Traffic(limits)
    assert [traffic.greet(f"{n}:x", 0.0) for n in range(100)] == [None] * 100
    limits.change({"new_tokens_per_minute": 20})
    assert [traffic.greet(f"{n}:y", 1.0) for n in range(20)] == [None] * 20
    assert traffic.greet("20:y", 31.0) == Excess("new_tokens_per_minute", 30.0)
    assert traffic.greet("3:y", 31.0) is None, "a known token is no new one"
    assert traffic.greet("20:y", 61.0) is None


@pytest.mark.parametrize(
    "values",
    [{"per_hour": 3}, {"per_second": -1}, {"per_second": "3"}, {"per_second": None}, {"chat_burst": math.inf}],
)
def test_a_wrong_limit_changes_nothing(values: Mapping[str, object]) -> None:
    limits = Limits()
    with pytest.raises(ValueError, match=r"limit|number"):
        limits.change({"group_per_minute": 5, **values})
    assert limits == Limits()
