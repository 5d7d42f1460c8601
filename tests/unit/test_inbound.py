"""Inbound: whom a message speaks to stands in the store with it; the room hears it, warmer than just before."""

from __future__ import annotations

import asyncio

import pytest

from piyasad.bots.runs import RUN_SECONDS
from piyasad.bots.state import CLAIMED_MOST
from piyasad.bots.stimuli import STALE_SECONDS
from piyasad.model import ANYBODY, Kind, Message, Received, StimulusKey
from piyasad.privacy import texts
from tests.cases import CHAT
from tests.turn_kit import ALI, AYSE, Daemon, Scene, on_daemon, only, scene, settings


@pytest.mark.parametrize(
    ("text", "to"),
    [
        ("@ali_hoca_bot enflasyon düşer mi?", [ALI]),
        ("Ali Hoca bir şey soracağım", [ALI]),
        ("@ali_hoca_bot @ayse_scalper_bot ne dersiniz?", [ALI, AYSE]),
        ("sizce enflasyon düşer mi?", [ANYBODY]),
        ("/gizlilik", [ANYBODY]),
        ("/gizlilik@ayse_scalper_bot", [AYSE]),
        ("/gizlilik@baska_bot", []),
        ("Ali Hoca gerçek misin?", [ALI]),
        ("bugün hava güzel", []),
        ("@veli_43 sence dolar ne olur?", []),
        ("@veli_43 sen bot musun?", []),
    ],
)
def test_whom_a_message_speaks_to_is_stored_with_it(text: str, to: list[int]) -> None:
    async def work(here: Daemon) -> None:
        await here.say(text)
        assert [key.bot_id for key in here.states()] == to

    on_daemon(work)


def test_a_reply_to_a_bot_speaks_to_it() -> None:
    async def work(here: Daemon) -> None:
        line = here.hear("Enflasyon düşer.", bot_id=AYSE)
        await here.say("neye dayanarak söylüyorsun", reply_to=line.telegram_id)
        assert [key.bot_id for key in here.states()] == [AYSE]

    on_daemon(work)


def test_what_follows_in_a_run_speaks_to_whom_the_run_has_named() -> None:
    async def work(here: Daemon) -> None:
        await here.say("Ali Hoca!")
        await asyncio.sleep(1)
        await here.say("dolar düşer mi?")
        await here.say("bugün hava güzel")  # no question: it asks nothing of anybody
        assert [(key.telegram_id, key.bot_id) for key in here.states()] == [(1, ALI), (2, ALI)]

    on_daemon(work)


@pytest.mark.parametrize("text", ["bugün hava güzel", "@veli_43 sence dolar ne olur?"])
def test_until_a_run_has_ended_nobody_cuts_in_and_then_anybody_may(text: str) -> None:
    async def work(here: Daemon) -> None:
        number = await here.say(text)
        assert number in here.chat.claimed
        await asyncio.sleep(RUN_SECONDS + 0.1)
        assert number not in here.chat.claimed

    on_daemon(work)


def test_a_question_of_ours_stays_claimed() -> None:
    async def work(here: Daemon) -> None:
        number = await here.say("sizce dolar ne olur?")
        await asyncio.sleep(RUN_SECONDS + 0.1)
        assert number in here.chat.claimed

    on_daemon(work)


def test_after_a_start_no_bot_remarks_on_what_members_asked_before_it() -> None:
    async def work(here: Daemon) -> None:
        for text in ("@ali_hoca_bot enflasyon düşer mi?", "sizce dolar ne olur?", "bugün hava güzel"):
            await here.say(text)
            await asyncio.sleep(10)
        asked = [key.telegram_id for key in here.states()]
        here.chat.claimed.clear()
        await here.inbound.reclaim()
        assert list(here.chat.claimed) == asked
        assert len(asked) == 2

    on_daemon(work)


def test_what_is_claimed_is_bounded() -> None:
    async def work(here: Daemon) -> None:
        for number in range(5 * CLAIMED_MOST):
            here.chat.claim(number)
        here.chat.claim(5 * CLAIMED_MOST - CLAIMED_MOST)  # claimed again: it is the newest
        here.chat.claim(-1)
        assert len(here.chat.claimed) == CLAIMED_MOST
        assert 4 * CLAIMED_MOST in here.chat.claimed
        assert 4 * CLAIMED_MOST + 1 not in here.chat.claimed

    on_daemon(work)


def test_every_visit_hastens_not_only_the_first() -> None:
    async def work(here: Daemon) -> None:
        for _ in range(3):
            await here.say("Merhaba arkadaşlar")
            await asyncio.sleep(1800)
        assert len(here.warmed) == 3
        assert all(factor > 1.5 for factor in here.warmed)

    on_daemon(work)


def test_heat_grows_by_what_this_message_added() -> None:
    async def work(here: Daemon) -> None:
        view = here.chat.room.view
        await here.say("Merhaba arkadaşlar")
        await asyncio.sleep(30)
        before = view().heat(here.clock.wall(), here.chat.pace.burstiness)
        await here.say("Merhaba yine")
        after = view().heat(here.clock.wall(), here.chat.pace.burstiness)
        assert here.warmed[1:] == ([pytest.approx(after / before)] if after > before else [])

    on_daemon(work)


def test_an_edit_changes_the_room_and_answers_nothing_anew() -> None:
    async def work(here: Daemon) -> None:
        number = await here.say("@ali_hoca_bot selam")
        await asyncio.sleep(10)
        await here.inbound.edited(CHAT, number, "@ali_hoca_bot selam, nasılsın?")
        await asyncio.sleep(10)
        assert here.chat.room.view().line(number).message.text.endswith("nasılsın?")  # type: ignore[union-attr]
        assert len(here.wire.lines()) == 1

    on_daemon(work)


def test_a_redelivery_is_answered_once() -> None:
    async def work(here: Daemon) -> None:
        at = here.clock.wall()
        number = await here.say("@ali_hoca_bot selam")
        again = Received(CHAT, number, 501, "Üye501", "@ali_hoca_bot selam", at)
        await here.inbound.received(again)
        await asyncio.sleep(10)
        await here.inbound.received(again)
        await asyncio.sleep(10)
        assert len(here.wire.lines()) == len(here.pen.calls) == 1

    on_daemon(work)


def test_a_backlogs_message_is_kept_and_its_stimulus_dropped_as_stale() -> None:
    async def work(here: Daemon) -> None:
        number = await here.say("@ali_hoca_bot selam", age=STALE_SECONDS + 1)
        await asyncio.sleep(10)
        assert len(here.chat.room) == 1
        assert here.state(number) == "dropped stale"
        assert here.pen.calls == []

    on_daemon(work)


def test_a_local_clock_that_runs_ahead_mutes_nobody() -> None:
    async def work(here: Daemon) -> None:
        here.lead = 120.0  # dates look two minutes old; what updates show corrects it
        number = await here.say("@ali_hoca_bot selam")
        await asyncio.sleep(10)
        assert here.state(number) == "answered"

    on_daemon(work)


# --- fixed answers
@pytest.mark.parametrize("text", ["@ali_hoca_bot sen bot musun?", "Ali Hoca gerçek misin?"])
def test_who_asks_if_it_is_a_bot_gets_the_truth_within_two_seconds_and_without_a_model(text: str) -> None:
    async def work(here: Daemon) -> None:
        number = await here.say(text)
        await asyncio.sleep(2)
        assert only(here.wire.lines()) in texts.HONEST
        assert here.state(number) == "answered"
        assert here.kinds() == [Kind.FIXED]
        assert here.pen.calls == []
        assert here.bot().hourly.used(here.clock.wall()) == 0

    on_daemon(work, given=settings(pace={"typing": False, "chat_per_minute": 1, "hourly_limit": {"min": 1, "max": 1}}))


def test_a_fixed_answer_comes_while_the_bot_is_at_something_else_and_its_run_is_answered_too() -> None:
    async def work(here: Daemon) -> None:
        here.pen.seconds = 10.0
        first = await here.say("@ali_hoca_bot enflasyon düşer mi?")
        await asyncio.sleep(4)
        asked = await here.say("@ali_hoca_bot sen bot musun?")
        await asyncio.sleep(2)
        assert here.state(asked) == "answered"
        await asyncio.sleep(10)
        assert here.state(first) == "answered"

    on_daemon(work)


def test_the_privacy_command_is_answered_by_one_in_the_topic_where_it_was_asked() -> None:
    async def work(here: Daemon) -> None:
        said = Received(CHAT, 9, 501, "Deniz", "/gizlilik", here.clock.wall(), thread_id=44)
        await here.inbound.received(said)
        await asyncio.sleep(2)
        assert "30 gün" in only(here.wire.lines())
        row = only([row for row in here.database.ledger.rows.values() if row.bot_id is not None])
        assert (row.reply_to, row.thread_id) == (9, 44)

    on_daemon(work)


def test_fixed_answers_have_a_law_of_their_own_and_what_exceeds_it_has_a_reason() -> None:
    async def work(here: Daemon) -> None:
        again = [await here.say("@ali_hoca_bot sen bot musun?") for _ in range(2)]
        assert again
        others = [await here.say("@ali_hoca_bot sen bot musun?", user=600 + number) for number in range(20)]
        await asyncio.sleep(30)
        assert here.state(again[0]) == "answered"
        assert here.state(again[1]) == "dropped fixed_limit"
        states = [here.state(number) for number in others]
        assert states.count("answered") == 9  # ten a minute and chat, one a minute and member
        assert states.count("dropped fixed_limit") == 11
        await asyncio.sleep(40)
        late = await here.say("@ali_hoca_bot sen bot musun?")
        await asyncio.sleep(2)
        assert here.state(late) == "answered"

    on_daemon(work)


# --- a group that moved
def test_after_a_migration_the_room_has_the_new_id_everywhere() -> None:
    async def work(here: Daemon) -> None:
        new = CHAT - 7
        asked = await here.say("@ali_hoca_bot enflasyon düşer mi?")
        await here.say("bugün hava güzel", user=502)
        here.bot(AYSE).barred[CHAT] = "kicked"
        here._migrated(CHAT, new)
        chat = here.chat
        assert (chat.id, chat.room.chat_id, chat.room.view().chat_id) == (new, new, new)
        assert {message.chat_id for message in chat.room.view().messages} == {new}
        assert {message.telegram_id for message in chat.room.view().messages} == {None}  # ids there begin anew
        assert not chat.claimed
        assert here.bot(AYSE).barred == {new: "kicked"}
        assert here.live.hear(Message(99, CHAT, None, "D", Kind.PERSON, "eski", here.clock.wall(), telegram_id=1))
        await asyncio.sleep(20)
        assert here.state(asked) == "answered"  # the question that waited is answered where the group is now
        assert [(chat_id, reply) for _, chat_id, _, reply, _ in here.wire.sent] == [(new, None)]
        later = Received(new, 1, 501, "Üye501", "@ali_hoca_bot selam", here.clock.wall())
        await here.inbound.received(later)
        await asyncio.sleep(20)
        assert here.states()[StimulusKey(new, 1, ALI)] == "answered"

    on_daemon(work)


def test_a_question_of_another_shard_is_heard_through_the_store() -> None:
    async def work(here: Scene) -> None:
        ear = await here.daemon(name="a", shard=(0, 2)).start(ALI)
        other = await here.daemon(name="b", shard=(1, 2)).start(AYSE)
        number = await ear.say("@ayse_scalper_bot BTCUSDT ne olur?")
        for message in await other.store.tail([CHAT], 0.0):
            other.inbound.heard(message)
        assert number in other.chat.claimed
        await asyncio.sleep(10)
        assert ear.state(number, AYSE) == "answered"
        assert [bot for bot, *_ in here.wire.sent] == [AYSE]

    scene(work)
