"""The pace of a chat: exact windows, reservations, slots for answers."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piyasad.chat.pace import ChatPace, Reservation, share

WINDOW = 60.05


def _most_in_a_minute(times: list[float], window: float = 60.0) -> int:
    ordered = sorted(times)
    return max((sum(1 for other in ordered if at <= other < at + window) for at in ordered), default=0)


@settings(max_examples=150, deadline=None)
@given(
    per_minute=st.sampled_from([0.3, 1, 1.5, 2, 3, 6, 7.9]),
    steps=st.lists(
        st.tuples(st.floats(0, 40), st.sampled_from(["plain", "plain", "urgent", "cancel", "fail", "late", "pin"])),
        max_size=60,
    ),
    seed=st.integers(0, 999),
)
def test_no_minute_holds_more_messages_than_the_pace(
    per_minute: float, steps: list[tuple[float, str]], seed: int
) -> None:
    """Whoever reserves, cancels, fails, types long or wakes late: what was sent keeps every window."""
    rng = random.Random(seed)
    chat = ChatPace(per_minute)
    now, sent, open_ = 1.7e9, [], []
    for gap, what in steps:
        now += gap
        if what in {"plain", "urgent"}:
            open_.append(chat.reserve(now, urgent=what == "urgent"))
        elif open_:
            chosen = rng.choice(open_)
            if what == "cancel":
                chat.cancel(chosen)
                open_.remove(chosen)
            elif what == "pin":
                chat.pin(chosen)
            elif chat.take(chosen, now) == 0:
                open_.remove(chosen)
                if what == "fail":
                    chat.cancel(chosen)
                else:
                    sent.append(now)
    for left in sorted(open_, key=lambda each: each.at):
        while (wait := chat.take(left, now)) > 0:
            now += wait
        sent.append(now)
    limit, window = chat.limit
    assert _most_in_a_minute(sent, window - 0.05) <= limit
    if per_minute >= 1:
        assert _most_in_a_minute(sent) <= per_minute


def test_reservations_alone_never_overfill_a_window() -> None:
    chat = ChatPace(6)
    made = [chat.reserve(100.0 + number, urgent=number % 3 == 0) for number in range(40)]
    assert _most_in_a_minute([each.at for each in made]) <= 6


def test_two_slots_are_kept_for_answers() -> None:
    chat = ChatPace(6)
    plain = [chat.reserve(0.0) for _ in range(5)]
    assert [each.at for each in plain] == [0, 0, 0, 0, pytest.approx(WINDOW)]
    assert chat.reserve(0.0, urgent=True).at == 0
    assert chat.reserve(0.0, urgent=True).at == 0


def test_an_answer_overtakes_what_has_not_begun_and_moves_it_later() -> None:
    chat = ChatPace(1)
    first = chat.reserve(0.0)
    assert chat.take(first, 0.0) == 0
    second, third = chat.reserve(1.0), chat.reserve(2.0)
    assert second.at == pytest.approx(WINDOW)
    answer = chat.reserve(3.0, urgent=True)
    assert answer.at == pytest.approx(WINDOW)
    assert second.at == pytest.approx(2 * WINDOW)
    assert third.at == pytest.approx(3 * WINDOW)


def test_an_answer_does_not_overtake_who_is_typing() -> None:
    chat = ChatPace(1)
    typing = chat.reserve(0.0)
    chat.pin(typing)
    assert chat.reserve(0.0, urgent=True).at == pytest.approx(WINDOW)


def test_who_sends_late_moves_the_others() -> None:
    chat = ChatPace(1)
    slow, next_ = chat.reserve(0.0), chat.reserve(0.0)
    assert next_.at == pytest.approx(WINDOW)
    assert chat.take(slow, 20.0) == 0
    assert next_.at == pytest.approx(20 + WINDOW)
    assert chat.take(next_, 30.0) == pytest.approx(50.05)


def test_a_failed_send_and_a_cancelled_one_give_the_slot_back() -> None:
    chat = ChatPace(1)
    made = chat.reserve(0.0)
    assert chat.take(made, 0.0) == 0
    assert chat.earliest(1.0) == pytest.approx(WINDOW)
    chat.cancel(made)
    chat.cancel(made)
    assert chat.earliest(1.0) == 1.0
    waiting = chat.reserve(1.0)
    chat.cancel(waiting)
    assert chat.earliest(1.0) == 1.0


def test_the_window_is_filled_from_the_ledger() -> None:
    chat = ChatPace(3)
    chat.refill([(0.0, False), (10.0, True), (20.0, False)])
    assert chat.earliest(21.0) == pytest.approx(WINDOW)
    assert chat.earliest(21.0, urgent=True) == pytest.approx(WINDOW)
    assert chat.earliest(65.0) == 65.0


def test_another_pace_counts_what_was_sent_and_whoever_waits() -> None:
    chat = ChatPace(6)
    chat.refill([(0.0, False), (0.0, True), (5.0, False)])
    waiting = chat.reserve(10.0)
    assert waiting.at == 10.0
    chat.change(3)
    assert chat.limit[0] == 3
    assert chat.take(waiting, 10.0) == pytest.approx(WINDOW - 10)
    chat.change(6)
    assert chat.take(waiting, WINDOW) == 0


def test_a_refill_takes_the_place_of_what_was_known() -> None:
    chat = ChatPace(3)
    for _ in range(2):
        chat.refill([(0.0, False), (10.0, True)])
    assert chat.earliest(21.0, urgent=True) == 21.0


def test_looking_when_a_slot_is_free_takes_nothing() -> None:
    chat = ChatPace(1)
    first, second = chat.reserve(0.0), chat.reserve(0.0)
    assert chat.wait(first, 0.0) == 0
    assert chat.wait(second, 0.0) == pytest.approx(WINDOW)
    assert chat.take(first, 1.0) == 0
    assert chat.wait(second, WINDOW) == pytest.approx(1.0)


def test_a_slot_that_was_given_back_may_be_taken_again() -> None:
    chat = ChatPace(1)
    made = chat.reserve(0.0)
    assert chat.take(made, 0.0) == 0
    chat.cancel(made)
    other = chat.reserve(1.0)
    assert chat.take(other, 1.0) == 0
    assert chat.take(made, 2.0) == pytest.approx(WINDOW - 1)
    assert chat.take(made, 1.0 + WINDOW) == 0


def test_asking_reserves_nothing() -> None:
    chat = ChatPace(1)
    assert chat.earliest(5.0) == 5.0
    assert chat.earliest(5.0) == 5.0


def test_a_pace_below_one_a_minute_lengthens_the_window() -> None:
    for per_minute, messages, window in ((0.5, 1, 120.05), (1.9, 1, 60.05), (6.0, 6, 60.05)):
        assert ChatPace(per_minute).limit[0] == messages
        assert ChatPace(per_minute).limit[1] == pytest.approx(window)


def test_an_opened_pace_counts_nothing() -> None:
    chat = ChatPace(10**12)
    made = [chat.reserve(0.0, urgent=True) for _ in range(3)]
    assert all(chat.take(each, 0.0) == 0 for each in made)
    assert chat.earliest(0.0) == 0
    chat.cancel(made[0])
    chat.refill([(0.0, False)])


def test_a_strangers_reservation_is_judged_by_what_was_sent() -> None:
    chat = ChatPace(1)
    chat.refill([(0.0, False)])
    lost = Reservation(0.0, urgent=False, order=0)
    assert chat.take(lost, 10.0) == pytest.approx(50.05)
    assert chat.take(lost, 60.1) == 0


@given(st.integers(1, 30), st.integers(1, 12))
def test_the_shards_parts_add_up_to_the_pace(per_minute: int, shards: int) -> None:
    parts = [share(per_minute, shard, shards) for shard in range(shards)]
    assert sum(parts) == pytest.approx(per_minute)
    if per_minute >= shards:
        assert all(part == int(part) >= 1 for part in parts)
