"""Stimuli: what was stored is answered once or has its reason, whatever fails, is killed or floods."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from piyasad.bots.closings import CLOSING_MOST
from piyasad.bots.runs import RUN_SECONDS, RUNS_MOST, runs_of
from piyasad.bots.stimuli import STALE_SECONDS, WAITING_MOST
from piyasad.model import ANYBODY, Kind, Message, Received, Stimulus, TimeRange
from tests.cases import CHAT
from tests.faulty import fails, hangs
from tests.turn_kit import ALI, AYSE, Daemon, Scene, on_daemon, only, scene, settings


# --- runs
def test_a_run_of_messages_is_one_stimulus_for_its_last_line() -> None:
    async def work(here: Daemon) -> None:
        first = await here.say("Ali Hoca bir şey soracağım")
        await asyncio.sleep(2)
        second = await here.say("@ali_hoca_bot enflasyon düşer mi?")
        await asyncio.sleep(1)
        assert here.pen.calls == []
        await asyncio.sleep(10)
        assert (here.state(first), here.state(second)) == ("merged", "answered")
        assert [reply for *_, reply, _ in here.wire.sent] == [second]

    on_daemon(work)


def test_the_turn_begins_within_a_second_of_the_runs_end() -> None:
    async def work(here: Daemon) -> None:
        await here.say("@ali_hoca_bot selam")
        await asyncio.sleep(RUN_SECONDS + 0.1)
        assert len(here.pen.calls) == 1

    on_daemon(work)


def test_a_run_that_goes_on_is_answered_all_the_same() -> None:
    async def work(here: Daemon) -> None:
        for _ in range(12):
            await here.say("@ali_hoca_bot selam")
            await asyncio.sleep(1)
        assert len(here.pen.calls) == 1

    on_daemon(work)


def test_to_somebody_beats_to_anybody() -> None:
    async def work(here: Daemon) -> None:
        first = await here.say("sizce BTCUSDT ne olur?")
        second = await here.say("@ali_hoca_bot sence?")
        await asyncio.sleep(10)
        assert (here.state(first, ANYBODY), here.state(second)) == ("merged", "answered")

    on_daemon(work)


def test_runs_are_told_apart_by_member_and_by_time() -> None:
    def said(number: int, user: int, at: float) -> Stimulus:
        message = Message(number, CHAT, None, "D", Kind.PERSON, "?", at, telegram_id=number, user_id=user)
        return Stimulus(CHAT, number, ALI, message)

    given = [said(5, 1, 30.0), said(1, 1, 10.0), said(2, 2, 11.0), said(3, 1, 13.0), said(4, 1, 17.0)]
    assert [[each.telegram_id for each in run] for run in runs_of(given)] == [[1, 3], [4], [5], [2]]


def test_a_question_to_nobody_goes_to_the_bot_it_suits() -> None:
    async def work(here: Daemon) -> None:
        await here.say("sizce enflasyon düşer mi?")
        await here.say("BTCUSDT ne olur sizce?", user=502)
        await asyncio.sleep(10)
        assert {bot for bot, *_ in here.wire.sent} == {ALI, AYSE}
        assert set(here.states().values()) == {"answered"}

    on_daemon(work)


def test_questions_to_one_bot_are_answered_one_after_the_other() -> None:
    async def work(here: Daemon) -> None:
        for user in range(501, 506):
            await here.say("@ali_hoca_bot enflasyon düşer mi?", user=user)
        await asyncio.sleep(3)
        assert here.loops[ALI].waiting <= 1
        await asyncio.sleep(20)
        assert set(here.states().values()) == {"answered"}
        assert len(here.wire.lines()) == 5

    on_daemon(work)


# --- kills and stops
@pytest.mark.parametrize("within", [0.0, 1.0, RUN_SECONDS + 0.3])
def test_what_was_said_just_before_a_kill_is_answered_after_the_next_start(within: float) -> None:
    async def work(here: Scene) -> None:
        first = await here.daemon().start()
        early = await first.say("Ali Hoca bir şey soracağım")
        asked = await first.say("@ali_hoca_bot enflasyon düşer mi?")
        await asyncio.sleep(within)
        await first.kill()
        await asyncio.sleep(14)
        second = await here.daemon(name="b").start()
        await asyncio.sleep(5)
        assert (second.state(early), second.state(asked)) == ("merged", "answered")
        assert len(here.wire.lines()) == 1
        assert second.chat.room.view().line(asked) is not None

    scene(work)


def test_what_was_said_just_before_a_stop_is_answered_after_the_next_start() -> None:
    async def work(here: Scene) -> None:
        first = await here.daemon().start()
        asked = await first.say("@ali_hoca_bot enflasyon düşer mi?")
        first.stimuli.stop()
        await first.stimuli.settled()
        await asyncio.sleep(5)
        assert first.state(asked) == "open"
        await first.kill()
        second = await here.daemon(name="b").start()
        await asyncio.sleep(5)
        assert second.state(asked) == "answered"

    scene(work)


def test_what_waited_for_too_long_is_dropped_at_the_next_start_with_its_reason() -> None:
    async def work(here: Scene) -> None:
        first = await here.daemon().start()
        asked = await first.say("@ali_hoca_bot enflasyon düşer mi?")
        await first.kill()
        await asyncio.sleep(3600)
        second = await here.daemon(name="b").start()
        await asyncio.sleep(5)
        assert second.state(asked) == "dropped stale"
        assert here.pen.calls == []

    scene(work)


def test_a_question_that_waits_for_a_bot_with_a_new_loop_is_answered() -> None:
    async def work(here: Daemon) -> None:
        here.pen.seconds = 5.0
        for user in range(501, 504):
            await here.say("@ali_hoca_bot enflasyon düşer mi?", user=user)
        await asyncio.sleep(4)
        here.loops.pop(ALI).drain()  # a reload: the turn under way ends as it began
        late = await here.say("@ali_hoca_bot selam", user=504)
        await asyncio.sleep(5)
        here.begin(ALI)
        here.stimuli.resume([ALI])
        await asyncio.sleep(60)
        assert set(here.states().values()) == {"answered"}
        assert here.state(late) == "answered"
        assert len(here.wire.lines()) == 4

    on_daemon(work)


def test_a_bot_that_is_taken_over_answers_what_waits_for_it() -> None:
    async def work(here: Scene) -> None:
        first = await here.daemon(name="a", shard=(0, 2)).start(ALI)
        asked = await first.say("@ayse_scalper_bot BTCUSDT ne olur?")
        await asyncio.sleep(10)
        assert first.state(asked, AYSE) == "open"  # nobody holds her
        second = await here.daemon(name="b", shard=(1, 2)).start(AYSE)
        await asyncio.sleep(10)
        assert second.state(asked, AYSE) == "answered"

    scene(work)


# --- the store fails


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_store_error_while_a_question_is_noted_loses_it_not(when: str) -> None:
    async def work(here: Daemon) -> None:
        getattr(here.faults, when)["receive"] = fails
        said = Received(CHAT, 77, 501, "Deniz", "@ali_hoca_bot enflasyon düşer mi?", here.clock.wall())
        with pytest.raises(Exception, match="away"):
            await here.inbound.received(said)
        here.faults.clear()
        await asyncio.sleep(5)
        await here.inbound.received(said)  # Telegram brings it again
        await asyncio.sleep(10)
        assert here.state(77) == "answered"
        assert here.chat.room.view().line(77) is not None

    on_daemon(work)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_store_error_while_a_question_is_taken_loses_it_not(when: str) -> None:
    async def work(here: Daemon) -> None:
        getattr(here.faults, when)["take_stimulus"] = fails
        asked = await here.say("@ali_hoca_bot enflasyon düşer mi?")
        await asyncio.sleep(6)
        here.faults.clear()
        await asyncio.sleep(20)
        assert here.state(asked) == "answered"
        assert len(here.wire.lines()) == 1

    on_daemon(work)


def test_a_store_that_is_away_for_a_minute_loses_nothing_and_is_not_hammered() -> None:
    async def work(here: Daemon) -> None:
        asked = await here.say("@ali_hoca_bot enflasyon düşer mi?")
        here.faults.before["*"] = fails
        await asyncio.sleep(60)
        assert sum(here.faults.calls.values()) < 100
        here.faults.clear()
        await asyncio.sleep(15)
        assert here.state(asked) == "answered"

    on_daemon(work)


def test_a_take_that_hangs_and_is_cancelled_gives_the_question_to_the_next_turn() -> None:
    async def work(here: Daemon) -> None:
        here.faults.after["take_stimulus"] = hangs
        asked = await here.say("@ali_hoca_bot enflasyon düşer mi?")
        await asyncio.sleep(4)
        here.faults.clear()
        task = next(each for each in here.tasks if each.get_coro().cr_frame.f_locals.get("self") is here.loops[ALI])  # type: ignore[union-attr]
        task.cancel()
        await asyncio.sleep(1)
        here.begin(ALI)
        here.stimuli.resume([ALI])
        await asyncio.sleep(20)
        assert here.state(asked) == "answered"

    on_daemon(work)


# --- budgets
def test_a_member_who_asks_faster_than_is_answered_gets_six_answers_one_polite_line_and_silence() -> None:
    async def work(here: Daemon) -> None:
        here.pen.seconds = 12.0  # every answer is still being written when the next question comes
        asked = []
        for number in range(9):
            asked.append(
                await here.say(f"@ali_hoca_bot soru {number}?" if number % 2 else f"@ayse_scalper_bot soru {number}?")
            )
            await asyncio.sleep(3)
        await asyncio.sleep(80)
        states = [here.state(number, ALI if at % 2 else AYSE) for at, number in enumerate(asked)]
        assert states.count("answered") == 7
        assert states.count("dropped budget") == 2
        kinds = Counter(here.kinds())
        assert kinds == {Kind.ANSWER: 6, Kind.POLITE: 1}
        assert len(here.pen.calls) == 6

    on_daemon(work)


def test_the_polite_line_says_when_it_goes_on_and_then_it_does() -> None:
    async def work(here: Daemon) -> None:
        for number in range(8):
            await here.say(f"@ali_hoca_bot soru {number}?")
            await asyncio.sleep(10)
        polite = [text for text in here.wire.lines() if "epey konuştuk" in text]
        assert only(polite).endswith("; 12.11'den sonra yine konuşuruz.")  # the first was taken 2.5 s after noon
        await asyncio.sleep(11 * 60 - 80)
        late = await here.say("@ali_hoca_bot şimdi?")
        await asyncio.sleep(10)
        assert here.state(late) == "answered"

    on_daemon(work)


# --- age
def test_a_question_whose_turn_comes_too_late_is_dropped_before_a_model_is_asked() -> None:
    async def work(here: Daemon) -> None:
        here.pen.seconds = STALE_SECONDS + 5
        first = await here.say("@ali_hoca_bot enflasyon düşer mi?")
        second = await here.say("@ali_hoca_bot peki ya faiz?", user=502)
        await asyncio.sleep(STALE_SECONDS + 20)
        assert here.state(second) == "dropped stale"
        assert len(here.pen.calls) == 1
        assert here.state(first) in {"answered", "dropped stale"}

    on_daemon(work)


@pytest.mark.parametrize(("state", "reason"), [("parked", "parked"), ("barred", "barred"), ("asleep", "asleep")])
def test_a_bot_that_cannot_answer_drops_with_its_reason(state: str, reason: str) -> None:
    async def work(here: Daemon) -> None:
        if state == "parked":
            here.bot().parked = "token"
        elif state == "barred":
            here.bot().barred[CHAT] = "kicked"
        else:
            sleeps = {"active_hours": (TimeRange(3 * 60, 4 * 60),)}
            here.bot().settings = here.bot().settings.model_copy(update=sleeps)
        asked = await here.say("@ali_hoca_bot selam")
        await asyncio.sleep(10)
        assert here.state(asked) == f"dropped {reason}"
        assert here.pen.calls == []

    on_daemon(work, given=settings(conversation={"answer_always": False}))


def test_a_question_to_nobody_is_answered_by_one_of_two_shards_whatever_each_thinks() -> None:
    async def work(here: Scene) -> None:
        ear = await here.daemon(name="a", shard=(0, 2)).start(AYSE)
        other = await here.daemon(name="b", shard=(1, 2)).start(ALI)
        number = await ear.say("sizce enflasyon düşer mi?")  # suits Ali, who is the other shard's
        for message in await other.store.tail([CHAT], 0.0):
            other.inbound.heard(message)
        await asyncio.sleep(15)
        assert ear.state(number, ANYBODY) == "answered"
        assert [bot for bot, *_ in here.wire.sent] == [ALI]

    scene(work)


def test_a_question_to_nobody_that_the_better_shard_leaves_is_claimed_by_another() -> None:
    async def work(here: Scene) -> None:
        ear = await here.daemon(name="a", shard=(0, 2)).start(AYSE)
        number = await ear.say("sizce enflasyon düşer mi?")
        await asyncio.sleep(15)
        assert ear.state(number, ANYBODY) == "answered"
        assert [bot for bot, *_ in here.wire.sent] == [AYSE]

    scene(work)


# --- floods
@pytest.mark.parametrize("people", [1, 5000])
def test_a_flood_costs_few_calls_holds_little_and_everything_has_its_reason(people: int) -> None:
    async def work(here: Daemon) -> None:
        for number in range(5000):
            await here.say("@ali_hoca_bot enflasyon düşer mi?", user=1000 + number % people)
            await asyncio.sleep(60 / 5000)
            assert len(here.stimuli._known) <= 2 * RUNS_MOST + 2 * WAITING_MOST
            assert len(here.stimuli._closings) <= 2 * CLOSING_MOST
            assert here.loops[ALI].waiting <= 1
        await asyncio.sleep(2 * STALE_SECONDS)
        states = Counter(here.states().values())
        assert sum(states.values()) == 5000
        assert not set(states) - {"answered", "merged", "dropped crowded", "dropped stale", "dropped budget",
                                  "dropped hourly_limit"}  # fmt: skip
        assert len(here.wire.lines()) >= 5
        assert len(here.pen.calls) <= 1.3 * len(here.wire.lines())
        assert not here.stimuli._known
        assert not here.stimuli._closings
        assert len(here.chat.claimed) <= 500
        ages = [
            row.said_at - here.database.ledger.rows[row.id].created_at
            for row in here.database.ledger.rows.values()
            if row.bot_id
        ]
        assert max(ages) < 30

    on_daemon(
        work, given=settings(pace={"typing": False, "chat_per_minute": 12, "hourly_limit": {"min": 6, "max": 12}})
    )
