"""A turn ends whole, whoever is cancelled meanwhile; and no model is asked for a text that could not be sent."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from piyasad.bots.turn import TurnTaker
from piyasad.delivery.delivery import SEND_TIMEOUT_SECONDS
from piyasad.guards.case import Case, Verdict
from piyasad.guards.repetition import RepetitionGuard
from piyasad.model import Class, IntentKind, Kind, TimeRange
from piyasad.providers.interface import Transient
from piyasad.telegram import errors
from tests.cases import CHAT
from tests.turn_kit import ALI, AYSE, Daemon, Scene, on_daemon, only, scene, settings

ONE_A_MINUTE = {"typing": False, "chat_per_minute": 1, "hourly_limit": {"min": 5, "max": 5}}


def talkative(**pace: object) -> object:
    """Bots that always continue or open a topic."""
    return settings(
        conversation={"reaction_probability": 0, "reply_probability": 0, "reply_to_bots_probability": 0,
                      "continue_share": 1, "bot_share_max": 1},
        pace={"typing": False, "chat_per_minute": 1000, "hourly_limit": {"min": 9, "max": 9}, **pace},
    )  # fmt: skip


async def until_sent(here: Daemon, number: int = 1) -> None:
    """Wait until so many lines have left."""
    while len(here.wire.lines()) < number:
        await asyncio.sleep(0.01)


# --- what was handed over ends
def test_a_turn_that_is_cancelled_while_it_sends_ends_whole() -> None:
    async def work(here: Daemon) -> None:
        turn = here.turn()
        await until_sent(here)
        turn.cancel()
        await asyncio.wait([turn])
        assert turn.cancelled()
        await here.delivery.settled()
        bot, now = here.bot(), here.clock.wall()
        assert here.kinds() == [Kind.TOPIC]
        assert bot.hourly.used(now) == 1
        assert list(bot.said) == ["satir 1"]
        assert bot.since_refresh == 0  # its prompt restated the persona
        assert here.chat.room.view().lines[-1].message.text == "Satır 1."
        assert here.chat.limit.earliest(here.clock.mono()) == here.clock.mono()
        assert here.outcomes() == {"sent": 1}
        assert only(list(here.database.turns.values())).outcome == "sent"

    on_daemon(work, given=talkative())


def test_an_answer_whose_bot_is_cancelled_while_it_is_sent_is_not_given_again() -> None:
    async def work(here: Daemon) -> None:
        asked = await here.say("@ali_hoca_bot enflasyon düşer mi?")
        await until_sent(here)
        only([task for task in here.tasks if task.get_coro().__name__ == "run" and not task.done()][2:3]).cancel()  # type: ignore[union-attr]
        await here.delivery.settled()
        assert here.state(asked) == "answered"
        here.begin(ALI)
        here.stimuli.resume([ALI])
        await asyncio.sleep(120)
        assert here.wire.lines() == ["Satır 1."]

    on_daemon(work)


def test_an_answer_whose_process_dies_after_the_send_is_not_given_again() -> None:
    async def work(here: Scene) -> None:
        first = await here.daemon().start()
        asked = await first.say("@ali_hoca_bot enflasyon düşer mi?")
        await until_sent(first)
        await first.kill()
        assert first.state(asked) == "taken"
        second = await here.daemon(name="b").start()
        await asyncio.sleep(120)
        assert second.state(asked) == "answered"
        assert here.wire.lines() == ["Satır 1."]

    scene(work)


@pytest.mark.parametrize("seconds", [2.6, 3.0])  # before the model answers
def test_an_answer_whose_turn_is_cancelled_before_the_send_is_given_by_the_next(seconds: float) -> None:
    async def work(here: Daemon) -> None:
        asked = await here.say("@ali_hoca_bot enflasyon düşer mi?")
        await asyncio.sleep(seconds)
        loop = here.loops[ALI]
        for task in here.tasks:
            if task.get_coro() is not None and task.get_coro().cr_frame.f_locals.get("self") is loop:  # type: ignore[union-attr]
                task.cancel()
        await asyncio.sleep(0.1)
        assert here.bot().hourly.used(here.clock.wall()) == 0
        here.begin(ALI)
        here.stimuli.resume([ALI])
        await asyncio.sleep(30)
        assert here.state(asked) == "answered"
        assert len(here.wire.lines()) == 1

    on_daemon(work)


def test_an_answer_that_surely_failed_is_tried_by_another_turn() -> None:
    async def work(here: Daemon) -> None:
        here.wire.says["send"] = [errors.Throttled(70.0, "429")]  # longer than a text keeps
        asked = await here.say("@ali_hoca_bot enflasyon düşer mi?", age=-30)
        await asyncio.sleep(60)
        assert here.state(asked).startswith("open")
        await asyncio.sleep(40)
        assert here.state(asked) == "answered"
        assert len(here.pen.calls) == 2

    on_daemon(work)


def test_an_answer_that_telegram_refuses_for_good_is_dropped_with_a_reason() -> None:
    async def work(here: Daemon) -> None:
        here.wire.says["send"] = [errors.Rejected("message is odd")]
        asked = await here.say("@ali_hoca_bot enflasyon düşer mi?")
        await asyncio.sleep(60)
        assert here.state(asked) == "dropped not_delivered"
        assert len(here.pen.calls) == 1

    on_daemon(work)


def test_a_provider_that_fails_once_costs_nobody_an_answer() -> None:
    async def work(here: Daemon) -> None:
        here.pen.fails = [Transient("503")]
        asked = await here.say("@ali_hoca_bot enflasyon düşer mi?")
        await asyncio.sleep(30)
        assert here.state(asked) == "answered"

    on_daemon(work)


def test_what_failed_three_times_is_dropped_with_a_reason() -> None:
    async def work(here: Daemon) -> None:
        here.pen.fails = [Transient("503")] * 9
        asked = await here.say("@ali_hoca_bot enflasyon düşer mi?")
        await asyncio.sleep(80)
        assert here.state(asked) == "dropped failed"
        assert len(here.pen.calls) == 3

    on_daemon(work)


class Strict:
    """A guard that lets nothing pass."""

    name = "strict"

    def check(self, case: Case) -> Verdict | None:
        return Verdict(self.name, "no", "başka yaz", rewrites=2)


def test_a_remark_that_may_have_arrived_is_not_made_again() -> None:
    async def work(here: Daemon) -> None:
        said = here.hear("Faiz kararı hakkında herkes çok emin konuşuyor bugün")
        here.wire.says["send"] = [errors.Uncertain("cut")]
        await here.turn()
        assert [reply for *_, reply, _ in here.wire.sent] == [said.telegram_id]
        assert here.outcomes() == {"uncertain": 1}
        for _ in range(5):
            await asyncio.sleep(60)
            await here.turn()
        assert [reply for *_, reply, _ in here.wire.sent].count(said.telegram_id) == 1

    on_daemon(
        work, given=settings(conversation={"reaction_probability": 0, "reply_probability": 1, "bot_share_max": 1})
    )


# --- the slot
def test_a_dropped_lines_slot_is_given_back() -> None:
    async def work(here: Daemon) -> None:
        here.pen.fails = [Transient("503")]
        await here.turn()
        assert here.chat.limit.earliest(here.clock.mono()) == here.clock.mono()
        here.wire.says["send"] = [errors.Rejected("odd")]
        await here.turn()
        assert here.chat.limit.earliest(here.clock.mono()) == here.clock.mono()
        assert here.bot().hourly.used(here.clock.wall()) == 0
        await here.turn()
        assert here.chat.limit.earliest(here.clock.mono()) > here.clock.mono() + 50
        assert here.bot().hourly.used(here.clock.wall()) == 1

    on_daemon(work, given=talkative(**ONE_A_MINUTE))


def test_the_chats_pace_is_kept_and_a_turn_without_a_slot_asks_no_model() -> None:
    async def work(here: Daemon) -> None:
        await here.turn()
        await here.turn(AYSE)
        assert len(here.pen.calls) == len(here.wire.lines()) == 1
        assert here.outcomes() == {"sent": 1, "no_slot": 1}
        await asyncio.sleep(55)
        await here.turn(AYSE)
        first, second = (at for *_, at in here.wire.sent)
        assert second - first > 60

    on_daemon(work, given=talkative(**ONE_A_MINUTE))


def test_the_hourly_limit_asks_no_model() -> None:
    async def work(here: Daemon) -> None:
        for _ in range(4):
            await here.turn()
            here.hear("Öyle mi")
        assert len(here.pen.calls) == len(here.wire.lines()) == 3
        assert here.outcomes() == {"sent": 3, "hourly_limit": 1}

    on_daemon(work, given=talkative(hourly_limit={"min": 3, "max": 3}))


@pytest.mark.parametrize("method", ["send", "typing", "react"])
def test_a_429_pauses_that_bot_in_that_chat_and_no_model_is_asked(method: str) -> None:
    async def work(here: Daemon) -> None:
        here.wire.says[method] = [errors.Throttled(300.0, "429")]
        if method == "react":
            here.hear("Enflasyon düştü, harika!")
            here.chat.conversation.__dict__["reaction_probability"] = 1.0
        await here.turn()
        here.chat.conversation.__dict__["reaction_probability"] = 0.0
        asked = len(here.pen.calls)
        await here.turn()
        assert len(here.pen.calls) == asked
        assert here.outcomes()["paused"] == 1
        await here.turn(AYSE)
        assert len(here.pen.calls) == asked + 1  # the other bot is not concerned
        await asyncio.sleep(300)
        await here.turn()
        assert len(here.pen.calls) == asked + 2

    on_daemon(work, given=talkative(typing=method == "typing"))


def test_a_bot_that_two_chats_answer_429_is_paused_everywhere() -> None:
    async def work(here: Daemon) -> None:
        here.slots.throttled(ALI, CHAT, 30.0)
        assert not here.slots.is_paused(ALI, CHAT - 1)
        here.slots.throttled(ALI, CHAT - 1, 20.0)
        assert here.slots.is_paused(ALI, CHAT - 2)
        assert not here.slots.is_paused(AYSE, CHAT)

    on_daemon(work)


def lose_the_lease(here: Daemon) -> None:
    here.lease(runs=False)


def bar(here: Daemon) -> None:
    here.bot().barred[CHAT] = "kicked"


def park(here: Daemon) -> None:
    here.bot().parked = "token"


@pytest.mark.parametrize(("spoil", "reason"), [(lose_the_lease, "no_lease"), (bar, "barred"), (park, "parked")])
def test_who_may_not_speak_asks_no_model(spoil: object, reason: str) -> None:
    async def work(here: Daemon) -> None:
        assert callable(spoil)
        spoil(here)
        await here.turn()
        assert here.outcomes() == {reason: 1}
        assert here.pen.calls == []

    on_daemon(work, given=talkative())


@pytest.mark.parametrize(("spoil", "reason"), [(lose_the_lease, "no_lease"), (bar, "barred")])
def test_a_rewrite_is_not_asked_for_once_the_text_could_not_be_sent(spoil: object, reason: str) -> None:
    async def work(here: Daemon) -> None:
        assert callable(spoil)
        here.pen.seconds = 5.0
        here.parts.guards.append(Strict())
        turn = here.turn()
        await asyncio.sleep(2)
        spoil(here)
        await turn
        assert len(here.pen.calls) == 1
        assert here.outcomes() == {reason: 1}

    on_daemon(work, given=talkative())


# --- the guards
@dataclass
class Picky:
    """A guard that lets only one text pass."""

    likes: str
    name: str = "picky"
    asked: list[str] = field(default_factory=list)

    def check(self, case: Case) -> Verdict | None:
        self.asked.append(case.text)
        return None if case.text == self.likes else Verdict(self.name, "no", "başka yaz", rewrites=2)


def test_every_rewrite_is_guarded_and_what_passed_is_sent_as_it_is() -> None:
    async def work(here: Daemon) -> None:
        guard = Picky("Satır 3.")
        here.parts.guards.append(guard)
        await here.turn()
        assert guard.asked == ["Satır 1.", "Satır 2.", "Satır 3."]
        assert here.wire.lines() == ["Satır 3."]

    on_daemon(work, given=talkative())


def test_what_no_guard_lets_pass_is_dropped_after_two_rewrites_and_a_question_says_why() -> None:
    async def work(here: Daemon) -> None:
        here.parts.guards.append(Strict())
        asked = await here.say("@ali_hoca_bot enflasyon düşer mi?")
        await asyncio.sleep(60)
        assert len(here.pen.calls) == 3
        assert here.wire.lines() == []
        assert here.state(asked) == "dropped guards"

    on_daemon(work, given=talkative())


def test_a_bot_does_not_say_the_same_again() -> None:
    async def work(here: Daemon) -> None:
        here.parts.guards.append(RepetitionGuard(12.0, 0.85))
        here.pen.writes = lambda number: (
            "Bugün dolar yine çok sakin seyrediyor." if number < 4 else "Altın ise yükseldi bu sabah."
        )
        await here.turn()
        here.hear("Öyle mi")
        await here.turn()
        assert here.wire.lines() == ["Bugün dolar yine çok sakin seyrediyor.", "Altın ise yükseldi bu sabah."]
        assert len(here.pen.calls) == 4

    on_daemon(work, given=talkative())


# --- the hours
def test_in_a_chats_quiet_hours_nobody_speaks_unasked_and_people_are_answered() -> None:
    async def work(here: Daemon) -> None:
        here.chat.settings = here.chat.settings.model_copy(update={"quiet_hours": (TimeRange(11 * 60, 13 * 60),)})
        await here.turn()
        assert here.outcomes() == {"quiet_hours": 1}
        asked = await here.say("@ali_hoca_bot enflasyon düşer mi?")
        await asyncio.sleep(10)
        assert here.state(asked) == "answered"

    on_daemon(work, given=talkative())


@pytest.mark.parametrize("text", ["@ali_hoca_bot enflasyon düşer mi?", "sizce enflasyon düşer mi?"])
def test_a_bot_that_a_member_speaks_to_takes_no_other_turn_first(text: str) -> None:
    async def work(here: Daemon) -> None:
        here.pen.seconds = 5.0
        asked = await here.say(text)
        await asyncio.sleep(1.0)
        here.loops[ALI].act_now()  # the question has heated the room
        await asyncio.sleep(30.0)
        assert [(call.bot_id, call.klass) for call in here.pen.calls] == [(ALI, Class.ANSWER)]
        assert here.outcomes() == {"asked": 1, "sent": 1}
        (said,) = [at for *_, reply_to, at in here.wire.sent if reply_to == asked]
        assert said == pytest.approx(2.5 + 5.0, abs=0.6)

    on_daemon(work, given=talkative())


def test_a_member_who_speaks_to_nobody_keeps_no_bot_waiting() -> None:
    async def work(here: Daemon) -> None:
        await here.say("bugün hava güzel")
        here.loops[ALI].act_now()
        await asyncio.sleep(1.5)
        assert [(call.bot_id, call.klass) for call in here.pen.calls] == [(ALI, Class.TOPIC)]

    on_daemon(work, given=talkative())


def test_a_person_is_answered_outside_of_active_hours() -> None:
    async def work(here: Daemon) -> None:
        sleeps = {"active_hours": (TimeRange(3 * 60, 4 * 60),)}
        here.bot().settings = here.bot().settings.model_copy(update=sleeps)
        asked = await here.say("@ali_hoca_bot enflasyon düşer mi?")
        await asyncio.sleep(10)
        assert here.state(asked) == "answered"

    on_daemon(work)


# --- the lease
def test_a_lease_that_ends_between_claim_and_send_sends_nothing() -> None:
    async def work(here: Daemon) -> None:
        async def end() -> None:
            lose_the_lease(here)

        here.faults.after["claim"] = end
        await here.turn()
        assert here.wire.lines() == []
        assert here.kinds() == []
        assert here.outcomes() == {"failed": 1}

    on_daemon(work, given=talkative())


def test_a_question_waits_for_a_lease_and_is_answered_then() -> None:
    async def work(here: Daemon) -> None:
        asked = await here.say("@ali_hoca_bot enflasyon düşer mi?")
        lose_the_lease(here)
        await asyncio.sleep(10)
        assert here.pen.calls == []
        here.lease(runs=True)
        await asyncio.sleep(10)
        assert here.state(asked) == "answered"

    on_daemon(work)


def test_a_send_that_hangs_holds_only_its_own_turn() -> None:
    async def work(here: Daemon) -> None:
        here.wire.seconds = SEND_TIMEOUT_SECONDS
        here.wire.says["send"] = [errors.Uncertain("no answer")]
        turn = here.turn()
        await until_sent(here)
        here.wire.seconds = 0.1
        await here.turn(AYSE)
        assert not turn.done()
        await turn
        assert here.outcomes() == {"sent": 1, "uncertain": 1}

    on_daemon(work, given=talkative())


# --- reasons
def test_every_silent_turn_has_a_reason_and_those_without_an_intent_are_counted_in_one_row() -> None:
    async def work(here: Daemon) -> None:
        bar(here)
        turns = TurnTaker(here.bot(), here.parts)
        for _ in range(7):
            await turns.take(None)
        assert not here.database.turns
        await asyncio.sleep(61)
        await turns.take(None)
        row = only(list(here.database.turns.values()))
        assert (row.intent, row.outcome, row.detail) == (str(IntentKind.SILENCE), "barred", {"times": 8})
        assert await here.store.outcomes(0.0) == [(ALI, "silence", "barred", 8)]

    on_daemon(work)


def test_a_silence_that_was_decided_says_why() -> None:
    async def work(here: Daemon) -> None:
        here.hear("Selam", ago=30)
        await here.turn()
        row = only(list(here.database.turns.values()))
        assert (row.intent, row.outcome) == ("silence", row.detail["reason"].replace(" ", "_"))
        assert row.detail["reason"] == "manual order"

    on_daemon(work, given=settings(conversation={"order": "manual"}))


def test_the_time_of_the_model_is_taken_by_the_clock_that_was_given() -> None:
    async def work(here: Daemon) -> None:
        here.pen.seconds = 7.5
        await here.turn()
        llm = dict(here.metrics.turn_duration.children())[("llm",)]
        assert llm._sum.get() == pytest.approx(7.5)

    on_daemon(work, given=talkative())
