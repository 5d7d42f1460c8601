"""Nobody speaks before its name carries the mark and the notice is known to be posted; nothing else keeps a bot silent."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from piyasad.bots.disclosure import (
    ASK_AGAIN_SECONDS,
    DESCRIBE_AGAIN_SECONDS,
    MARK_AGAIN_SECONDS,
    SILENT_AFTER_SECONDS,
    Disclosed,
)
from piyasad.clock import DAY
from piyasad.model import Kind
from piyasad.privacy.texts import DESCRIPTION, SHORT_DESCRIPTION
from piyasad.store.interface import NOTICE_AGAIN_SECONDS, NOTICE_SECONDS
from piyasad.telegram import errors
from tests.cases import CHAT
from tests.faulty import fails
from tests.turn_kit import ALI, AYSE, Daemon, Scene, on_daemon, only, scene, settings

UNPINNED: Any = errors.Forbidden("not enough rights to pin")


async def before(here: Daemon, bot_id: int = ALI) -> Disclosed:
    """How a bot stands now."""
    return await here.discloser.before(here.bot(bot_id), here.chat, here.clock.mono() + 30)


def notices(here: Daemon | Scene) -> list[float]:
    """When notices reached Telegram."""
    return [at for _, _, text, _, at in here.wire.sent if "yapay zekâ karakterleridir; konuşmalar" in text]


# --- the notice
def test_the_first_line_waits_for_the_notice_and_an_answer_follows_it() -> None:
    async def work(here: Daemon) -> None:
        asked = await here.say("@ali_hoca_bot enflasyon düşer mi?")
        await asyncio.sleep(10)
        assert here.kinds() == [Kind.NOTICE, Kind.ANSWER]
        assert here.state(asked) == "answered"
        assert here.database.chats[CHAT].notice_message_id is not None
        assert here.chat.room.view().lines[-2].message.kind is Kind.NOTICE

    on_daemon(work, noticed=False)


def test_whoever_posts_the_notice_unasked_lets_another_speak_next() -> None:
    async def work(here: Daemon) -> None:
        await here.turn()
        assert here.outcomes() == {"noticed": 1}
        assert here.pen.calls == []

    on_daemon(work, noticed=False)


def test_bots_that_speak_at_once_post_one_notice() -> None:
    async def work(here: Daemon) -> None:
        ends = await asyncio.gather(*(before(here, bot) for bot in (ALI, AYSE, ALI)))
        assert sorted(ends) == [Disclosed.ALREADY, Disclosed.ALREADY, Disclosed.NOTICED]
        assert len(notices(here)) == 1

    on_daemon(work, noticed=False)


@pytest.mark.parametrize("outcome", [errors.Uncertain("cut before it was accepted"), errors.Rejected("odd")])
def test_nobody_speaks_while_the_notice_is_not_known_to_be_posted(outcome: Any) -> None:
    async def work(here: Daemon) -> None:
        here.wire.says["send"] = [outcome] * 50
        asked = await here.say("@ali_hoca_bot enflasyon düşer mi?")
        for _ in range(20):
            await here.turn()
            await here.turn(AYSE)
            await asyncio.sleep(4)
        assert here.pen.calls == []
        assert set(here.kinds()) <= {Kind.NOTICE}
        assert set(here.outcomes()) <= {"undisclosed", "asked", "nothing_to_say", "nothing_to_react_to"}
        assert len(notices(here)) <= 20  # and it is not tried at every turn
        here.wire.says.clear()
        await asyncio.sleep(NOTICE_SECONDS)
        late = await here.say("@ali_hoca_bot ya şimdi?")
        await asyncio.sleep(10)
        assert here.state(late) == "answered"
        assert here.state(asked) in {"answered", "dropped stale"}

    on_daemon(work, noticed=False)


def test_an_uncertain_notice_is_followed_by_another_after_a_minute_and_not_before() -> None:
    async def work(here: Daemon) -> None:
        here.wire.says["send"] = [errors.Uncertain("cut")]
        assert await before(here) is Disclosed.NOT
        while (stands := await before(here)) is Disclosed.NOT:
            await asyncio.sleep(1)
        assert stands is Disclosed.NOTICED
        first, second = notices(here)
        assert NOTICE_SECONDS <= second - first <= NOTICE_SECONDS + ASK_AGAIN_SECONDS + 2

    on_daemon(work, noticed=False)


def test_an_uncertain_notice_that_another_bot_saw_is_enough() -> None:
    async def work(here: Daemon) -> None:
        here.wire.says["send"] = [errors.Uncertain("cut")]
        assert await before(here) is Disclosed.NOT
        row = only(list(here.database.ledger.rows.values()))
        assert await here.store.witness(ALI, CHAT, 50, row.text, None, here.clock.wall())
        await asyncio.sleep(ASK_AGAIN_SECONDS)
        assert await before(here) is Disclosed.ALREADY
        assert len(notices(here)) == 1

    on_daemon(work, noticed=False)


@pytest.mark.parametrize("at", ["claim_notice", "claim"])
def test_after_a_kill_between_the_notices_claim_and_its_send_the_next_start_posts_it(at: str) -> None:
    async def work(here: Scene) -> None:
        first = await here.daemon().start(noticed=False)

        async def stop() -> None:
            await asyncio.sleep(3600)

        first.faults.after[at] = stop
        first.turn()
        await asyncio.sleep(1)
        assert first.database.chats[CHAT].notice_at is not None
        assert notices(here) == []
        await first.kill()
        second = await here.daemon(name="b").start(noticed=False)
        asked = await second.say("@ali_hoca_bot enflasyon düşer mi?")
        await asyncio.sleep(NOTICE_SECONDS + 15)
        assert len(notices(here)) == 1
        assert second.state(asked) == "answered"
        assert second.kinds()[-2:] == [Kind.NOTICE, Kind.ANSWER]

    scene(work)


def test_a_notice_that_is_cancelled_while_it_is_sent_counts() -> None:
    async def work(here: Daemon) -> None:
        task = asyncio.create_task(before(here))
        await asyncio.sleep(0.05)
        assert len(notices(here)) == 1
        task.cancel()
        await asyncio.wait([task])
        await here.delivery.settled()
        assert await before(here, AYSE) is Disclosed.ALREADY
        assert len(notices(here)) == 1

    on_daemon(work, noticed=False)


def test_a_notice_of_before_a_restart_is_known() -> None:
    async def work(here: Scene) -> None:
        first = await here.daemon().start(noticed=False)
        assert await before(first) is Disclosed.NOTICED
        await first.kill()
        second = await here.daemon(name="b").start(noticed=False)
        assert await before(second) is Disclosed.ALREADY
        assert len(notices(here)) == 1

    scene(work)


def test_pinning_is_no_condition() -> None:
    async def work(here: Daemon) -> None:
        here.wire.says["pin"] = [UNPINNED]
        assert await before(here) is Disclosed.NOTICED
        await asyncio.sleep(1)
        assert ("pin", ALI) in here.wire.calls
        assert await before(here) is Disclosed.ALREADY

    on_daemon(work, noticed=False)


def test_a_notice_is_renewed_when_its_hours_are_over() -> None:
    async def work(here: Daemon) -> None:
        assert await before(here) is Disclosed.ALREADY
        await asyncio.sleep(DAY - 10)
        assert await before(here) is Disclosed.ALREADY
        await asyncio.sleep(11)
        assert await before(here) is Disclosed.NOTICED
        assert len(notices(here)) == 1

    on_daemon(work)


def test_a_renewal_that_fails_is_tried_every_ten_minutes_and_silences_nobody_for_a_day() -> None:
    async def work(here: Daemon) -> None:
        await asyncio.sleep(DAY)
        here.wire.says["send"] = [errors.Rejected("odd")] * 1000
        began = here.clock.mono()
        while here.clock.mono() - began < SILENT_AFTER_SECONDS - 60:
            assert await before(here) is Disclosed.ALREADY
            await asyncio.sleep(60)
        times = notices(here)
        assert len(times) == pytest.approx(DAY / NOTICE_AGAIN_SECONDS, abs=10)
        assert min(after - before for before, after in pairwise(times)) >= NOTICE_AGAIN_SECONDS
        await asyncio.sleep(NOTICE_AGAIN_SECONDS)
        assert await before(here) is Disclosed.NOT
        here.wire.says.clear()
        await asyncio.sleep(NOTICE_AGAIN_SECONDS)
        assert await before(here) is Disclosed.NOTICED

    on_daemon(work)


def test_who_renews_keeps_nobody_else_waiting() -> None:
    async def work(here: Daemon) -> None:
        await asyncio.sleep(DAY + 1)
        here.wire.says["send"] = [errors.Throttled(25.0, "429")]
        renewal = asyncio.create_task(before(here))
        await asyncio.sleep(1)
        began = here.clock.mono()
        assert await before(here, AYSE) is Disclosed.ALREADY
        assert here.clock.mono() == began
        assert await renewal is Disclosed.NOTICED

    on_daemon(work)


def test_in_a_forum_the_notice_stands_where_the_bots_speak() -> None:
    async def work(here: Daemon) -> None:
        assert await before(here) is Disclosed.NOTICED
        assert only(list(here.database.ledger.rows.values())).thread_id == 44
        assert here.chat.room.view().messages[-1].thread_id == 44

    chats: Any = [{"id": CHAT, "topics": ["Makro"], "thread_id": 44}]
    given = settings().model_copy(update={"chats": type(settings()).model_validate({"chats": chats}).chats})
    on_daemon(work, noticed=False, given=given)


def test_a_store_that_is_away_lets_nobody_speak_undisclosed() -> None:
    async def work(here: Daemon) -> None:
        here.faults.before["chats"] = fails
        asked = await here.say("@ali_hoca_bot enflasyon düşer mi?")
        await asyncio.sleep(20)
        assert here.pen.calls == []
        here.faults.clear()
        await asyncio.sleep(20)
        assert here.state(asked) == "answered"

    on_daemon(work, noticed=False)


# --- the profile
def test_a_name_without_the_mark_gets_it_before_the_first_line() -> None:
    async def work(here: Daemon) -> None:
        here.bot().disclosed = False
        here.wire.says["name"] = ["Ali Hoca"]
        assert await before(here) is Disclosed.ALREADY
        assert [call for call, _ in here.wire.calls[:2]] == ["name", "set name"]
        await asyncio.sleep(1)
        assert here.database.bots[ALI].disclosed_at is not None

    on_daemon(work)


@pytest.mark.parametrize("method", ["name", "set name"])
def test_a_bot_whose_name_lacks_the_mark_stays_silent_until_it_has_it(method: str) -> None:
    async def work(here: Daemon) -> None:
        here.bot().disclosed = False
        here.wire.says = {"name": ["Ali Hoca"] * 9}
        here.wire.says[method] = [errors.Uncertain("502"), *here.wire.says.get(method, [])]
        asked = len(here.wire.calls)
        assert await before(here) is Disclosed.NOT
        assert await before(here) is Disclosed.NOT
        assert len(here.wire.calls) - asked <= 2  # it is not tried at every turn
        assert await before(here, AYSE) is Disclosed.ALREADY
        await asyncio.sleep(MARK_AGAIN_SECONDS)
        assert await before(here) is Disclosed.ALREADY

    on_daemon(work)


def test_a_429_of_the_profile_is_waited_for() -> None:
    async def work(here: Daemon) -> None:
        here.bot().disclosed = False
        here.wire.says = {"name": [errors.Throttled(1000.0, "429"), "Ali 🤖"]}
        assert await before(here) is Disclosed.NOT
        await asyncio.sleep(MARK_AGAIN_SECONDS)
        assert await before(here) is Disclosed.NOT
        assert here.wire.calls.count(("name", ALI)) == 1
        await asyncio.sleep(1000)
        assert await before(here) is Disclosed.ALREADY

    on_daemon(work)


@pytest.mark.parametrize("method", ["descriptions", "set description/short"])
def test_a_description_that_cannot_be_set_silences_nobody_and_is_tried_again(method: str) -> None:
    async def work(here: Daemon) -> None:
        here.bot().disclosed = False
        here.wire.says = {"descriptions": [("", "")] * 9}
        here.wire.says[method] = [errors.Uncertain("502"), *here.wire.says.get(method, [])]
        assert await before(here) is Disclosed.ALREADY
        await asyncio.sleep(5)
        assert here.database.bots[ALI].disclosed_at is None
        assert await before(here) is Disclosed.ALREADY
        assert here.wire.calls.count(("descriptions", ALI)) == 1
        await asyncio.sleep(DESCRIBE_AGAIN_SECONDS)
        assert await before(here) is Disclosed.ALREADY
        await asyncio.sleep(5)
        assert here.wire.calls.count(("descriptions", ALI)) == 2
        assert here.database.bots[ALI].disclosed_at is not None
        await asyncio.sleep(10 * DESCRIBE_AGAIN_SECONDS)
        assert await before(here) is Disclosed.ALREADY
        await asyncio.sleep(5)
        assert here.wire.calls.count(("descriptions", ALI)) == 2

    on_daemon(work)


def test_the_descriptions_that_are_set_say_what_the_account_is() -> None:
    assert "yapay zekâ" in DESCRIPTION
    assert "yapay zekâ" in SHORT_DESCRIPTION.lower()


def test_a_dead_token_is_told() -> None:
    async def work(here: Daemon) -> None:
        here.bot().disclosed = False
        here.wire.says = {"name": [errors.BadToken()]}
        assert await before(here) is Disclosed.NOT
        assert here.told == [("token", ALI)]

    on_daemon(work)
