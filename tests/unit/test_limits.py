"""Our side of Telegram's limits: proven over every sliding window of the server, not over ours."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piyasad.telegram.limits import IDLE_SECONDS, MINUTE, NewTokens, SendLimits, Window

BOT, CHAT = 7200000001, -1001000000001
MARGIN = 0.05


def most_in_a_window(times: list[float], seconds: float) -> int:
    """The fullest half-open window of that length; brute force."""
    return max((sum(1 for other in times if at <= other < at + seconds) for at in times), default=0)


def opened(**limits: int) -> SendLimits:
    """Only the limits named hold."""
    free = 10**12
    return SendLimits(
        limits.get("per_second", free), limits.get("chat", free), limits.get("group", free), limits.get("margin", 0)
    )


gaps = st.floats(0, 3, allow_nan=False)


@given(limit=st.integers(1, 6), asked=st.lists(st.tuples(gaps, st.booleans()), min_size=1, max_size=60))
def test_a_window_never_holds_more_than_its_limit(limit: int, asked: list[tuple[float, bool]]) -> None:
    window, now, sent = Window(limit, 5.0), 1000.0, []
    for gap, patient in asked:
        now += gap
        wait = window.wait(now)
        if patient:
            now += wait
            assert window.wait(now) == 0, "the wait that is named is long enough"
        if patient or wait <= 0:
            window.add(now)
            sent.append(now)
    assert most_in_a_window(sent, 5.0 - 1e-9) <= limit


@given(limit=st.integers(1, 30), count=st.integers(1, 200))
def test_under_saturation_the_whole_limit_is_used(limit: int, count: int) -> None:
    window, now, sent = Window(limit, 60.0), 1000.0, []
    for _ in range(count):
        now += window.wait(now)
        window.add(now)
        sent.append(now)
    fewest = 60.0 * ((count - 1) // limit)
    assert sent[-1] - sent[0] == pytest.approx(fewest, abs=1e-6)


@given(times=st.lists(st.floats(0, 100, allow_nan=False), max_size=40), limit=st.integers(1, 8))
def test_a_refill_in_any_order_waits_as_long_as_one_in_order(times: list[float], limit: int) -> None:
    mixed, ordered = Window(limit, 60.0), Window(limit, 60.0)
    for at in times:
        mixed.add(at)
    for at in sorted(times):
        ordered.add(at)
    assert mixed.wait(100.0) == ordered.wait(100.0)
    assert mixed.used(100.0) == sum(1 for at in times if at > 40.0)


def test_memory_is_what_was_sent_in_the_window_however_large_the_limit() -> None:
    window = Window(10**12, 1.0)
    for second in range(10_000):
        assert window.wait(float(second)) == 0
        window.add(float(second))
    assert len(window._times) <= 2


class Server:
    """Telegram's side: it counts what reaches it, at the time it reaches it."""

    def __init__(self) -> None:
        self.by_bot: dict[int, list[float]] = defaultdict(list)
        self.by_chat: dict[tuple[int, int], list[float]] = defaultdict(list)

    def reached(self, bot: int, chat: int, at: float) -> None:
        self.by_bot[bot].append(at)
        self.by_chat[bot, chat].append(at)


ways = st.tuples(st.floats(0, 4), st.floats(0, 2))


@settings(max_examples=200)
@given(trips=st.lists(st.tuples(ways, st.floats(0, 1.5)), min_size=2, max_size=70), group=st.integers(1, 20))
def test_one_after_the_other_no_way_however_slow_brings_sends_too_close(
    trips: list[tuple[tuple[float, float], float]], group: int
) -> None:
    """Each send's way there and back takes any time, far over the margin: the answer moves its place."""
    limits, server, now = SendLimits(30, 1, group, 0.0), Server(), 1000.0
    for (there, back), think in trips:
        while (wait := limits.take(BOT, CHAT, now)) > 0:
            now += wait
        server.reached(BOT, CHAT, now + there)
        limits.arrived(BOT, CHAT, now, now + there + back)
        now += there + back
        now += think
    times = server.by_chat[BOT, CHAT]
    assert most_in_a_window(times, 1.0 - 1e-6) <= 1
    assert most_in_a_window(times, 60.0 - 1e-6) <= group


@settings(max_examples=100)
@given(
    asked=st.lists(
        st.tuples(st.integers(0, 4), st.floats(0, 0.3), st.floats(0, MARGIN), st.booleans()), min_size=5, max_size=120
    )
)
def test_at_the_same_time_jitter_within_the_margin_exceeds_nothing(
    asked: list[tuple[int, float, float, bool]],
) -> None:
    """Sends to several chats under way together, chat actions between them; ways differ by up to the margin."""
    limits, server, now = SendLimits(5, 1, 20, MARGIN), Server(), 1000.0
    for chat, gap, way, action in asked:
        now += gap
        if action:
            if limits.try_action(BOT, chat, now):
                server.by_bot[BOT].append(now + way)
        elif limits.take(BOT, chat, now) <= 0:
            server.reached(BOT, chat, now + way)
    assert most_in_a_window(server.by_bot[BOT], 1.0 - 1e-6) <= 5
    for times in server.by_chat.values():
        assert most_in_a_window(times, 1.0 - 1e-6) <= 1
        assert most_in_a_window(times, 60.0 - 1e-6) <= 20


def test_97_percent_of_a_group_s_minute_can_be_used() -> None:
    limits, now, sent = SendLimits(30, 1, 20, MARGIN), 1000.0, 0
    while now < 1000.0 + 600:
        wait = limits.take(BOT, CHAT, now)
        if wait > 0:
            now += wait
            continue
        sent += 1
        limits.arrived(BOT, CHAT, now, now + 0.03)
        now += 0.03
    assert sent >= 0.97 * 20 * 10


def test_a_send_that_never_left_gives_its_place_back() -> None:
    limits = SendLimits(30, 1, 20, MARGIN)
    assert limits.take(BOT, CHAT, 100.0) == 0
    limits.returned(BOT, CHAT, 100.0)
    assert limits.take(BOT, CHAT, 100.0) == 0
    limits.arrived(BOT, CHAT, 100.0, 100.2)
    limits.returned(BOT, CHAT + 1, 100.0)  # a chat that nothing was sent to
    limits.returned(BOT, CHAT, 100.1)  # a place that was never taken
    assert limits.wait(BOT, CHAT, 100.2) == pytest.approx(1.05)


def test_limits_are_each_bot_s_own() -> None:
    limits = SendLimits(30, 1, 20, MARGIN)
    assert limits.take(BOT, CHAT, 100.0) == 0
    assert limits.wait(BOT, CHAT, 100.0) > 0
    assert limits.wait(BOT, CHAT - 1, 100.0) == 0
    assert limits.wait(BOT + 1, CHAT, 100.0) == 0


def test_thirty_a_second_over_all_chats() -> None:
    limits = SendLimits(30, 1, 20, MARGIN)
    for chat in range(30):
        assert limits.take(BOT, chat, 100.0) == 0
    assert limits.take(BOT, 30, 100.5) == pytest.approx(0.55)
    assert limits.take(BOT, 30, 101.05) == 0


def test_a_429_stops_only_what_it_is_about() -> None:
    limits = SendLimits(30, 1, 20, MARGIN)
    limits.pause(BOT, CHAT, 130.0)
    limits.pause(BOT, CHAT, 110.0)  # a shorter word does not undo a longer one
    assert limits.wait(BOT, CHAT, 100.0) == 30.0
    assert limits.wait(BOT, CHAT - 1, 100.0) == 0
    assert not limits.try_action(BOT, CHAT, 100.0)
    assert limits.try_action(BOT, CHAT - 1, 100.0)
    limits.pause(BOT, None, 140.0)
    assert limits.wait(BOT, CHAT - 1, 100.0) == 40.0
    assert not limits.try_action(BOT, CHAT - 1, 100.0)
    assert limits.wait(BOT + 1, CHAT, 100.0) == 0
    assert limits.wait(BOT, CHAT, 140.0) == 0


def test_actions_use_at_most_half_of_the_budget_and_leave_the_rest_to_messages() -> None:
    limits = SendLimits(30, 1, 20, MARGIN)
    assert [limits.try_action(BOT, CHAT, 100.0) for _ in range(20)].count(True) == 15
    for chat in range(15):
        assert limits.take(BOT, chat, 100.0) == 0
    assert limits.take(BOT, 15, 100.0) > 0, "together they are one budget"


def test_where_one_message_a_second_is_all_there_is_no_typing() -> None:
    limits = SendLimits(1, 1, 20, MARGIN)
    assert not limits.try_action(BOT, CHAT, 100.0)
    assert limits.take(BOT, CHAT, 100.0) == 0


def test_after_a_restart_the_ledger_s_sends_count_with_their_worst_time() -> None:
    limits = SendLimits(30, 1, 20, MARGIN)
    limits.restore([BOT], ((BOT, CHAT, 100.0 - number) for number in range(20)))  # newest first: any order will do
    assert limits.wait(BOT, CHAT, 100.0) == pytest.approx(81.0 + 1.0 + MINUTE + MARGIN - 100.0)
    assert limits.wait(BOT, CHAT - 1, 100.0) == 0


def test_a_restored_send_is_not_mistaken_for_the_one_under_way() -> None:
    limits = opened(chat=2)
    limits.restore([BOT], [(BOT, CHAT, 100.0)])  # counts at 101
    assert limits.take(BOT, CHAT, 100.5) == 0
    limits.arrived(BOT, CHAT, 100.5, 100.7)
    assert limits.wait(BOT, CHAT, 100.8) == pytest.approx(0.9)  # 100.7 and 101.0 both still count


def test_a_restore_sets_what_was_sent_and_keeps_pauses() -> None:
    limits = SendLimits(30, 1, 3, MARGIN)
    for _ in range(2):  # a bot that is taken twice
        limits.restore([BOT], [(BOT, CHAT, 90.0), (BOT, CHAT, 92.0)])
    assert limits.wait(BOT, CHAT, 100.0) == 0
    limits.pause(BOT, CHAT, 200.0)
    limits.pause(BOT, None, 150.0)
    limits.restore([BOT, BOT + 1], [])
    assert limits.paused(BOT, CHAT, 100.0) == 100.0
    assert limits.paused(BOT, CHAT + 1, 100.0) == 50.0
    assert limits.paused(BOT + 1, CHAT, 100.0) == 0


def test_a_group_that_moved_keeps_its_windows() -> None:
    limits = SendLimits(30, 1, 20, MARGIN)
    assert limits.take(BOT, CHAT, 100.0) == 0
    limits.move(CHAT, CHAT - 7)
    assert limits.wait(BOT, CHAT - 7, 100.0) > 0
    assert limits.wait(BOT, CHAT, 100.0) == 0


def test_tokens_that_were_idle_are_forgotten_and_paused_ones_are_not() -> None:
    limits = SendLimits(30, 1, 20, MARGIN)
    for bot in range(1000):
        assert limits.take(bot, CHAT, 100.0) == 0
    limits.pause(5, CHAT, 100.0 + 3 * IDLE_SECONDS)
    limits.pause(6, None, 100.0 + 3 * IDLE_SECONDS)
    assert len(limits) == 1000
    assert limits.take(BOT, CHAT, 101.0 + 2 * IDLE_SECONDS) == 0
    assert len(limits) == 3
    assert limits.wait(5, CHAT, 101.0 + 2 * IDLE_SECONDS) > 0


@given(gaps=st.lists(st.floats(0, 20, allow_nan=False), min_size=30, max_size=80))
def test_new_tokens_come_at_most_so_many_in_any_minute(gaps: list[float]) -> None:
    gate, now, seen = NewTokens(20), 0.0, []
    for bot, gap in enumerate(gaps):
        now += gap
        if gate.admit(bot, now) <= 0:
            seen.append(now)
            assert gate.admit(bot, now) == 0, "who was admitted once always may"
    assert most_in_a_window(seen, 60.0 - 1e-6) <= 20


def test_a_renewed_token_is_a_new_one() -> None:
    gate = NewTokens(1)
    assert gate.admit(BOT, 0.0) == 0
    assert gate.admit(BOT + 1, 10.0) == 50.0
    gate.forget(BOT)
    assert gate.admit(BOT, 10.0) == 50.0
    assert gate.admit(BOT, 60.0) == 0
