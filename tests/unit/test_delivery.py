"""Delivery in virtual time: what surely did not arrive is tried again, what may have arrived never is; the end comes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from piyasad.delivery.delivery import Delivered
from piyasad.delivery.slot import NoSlot, Slot
from piyasad.model import Draft, Grant, Kind, Received, State, StimulusKey
from piyasad.telegram import errors
from tests.cases import CHAT
from tests.faulty import fails
from tests.turn_kit import ALI, AYSE, Daemon, Outcome, on_daemon, only, settings

NARROW = settings(pace={"typing": False, "chat_per_minute": 1, "hourly_limit": {"min": 9, "max": 9}})


class Sends:
    """A daemon's delivery, and how each one ended."""

    def __init__(self, here: Daemon) -> None:
        self.here = here
        self.ended: list[Delivered] = []

    async def slot(self, **keys: Any) -> Slot:
        bot = self.here.bot()
        slot = await self.here.slots.reserve(
            ALI, CHAT, until=self.here.clock.mono() + 60, pace=self.here.chat.limit, hourly=bot.hourly, **keys
        )
        assert isinstance(slot, Slot)
        return slot

    async def deliver(self, *, within: float = 60.0, reply_to: int | None = None, **keys: Any) -> Delivered:
        slot, until = await self.slot(), self.here.clock.mono() + within
        draft = Draft(ALI, 0, CHAT, Kind.REPLY, "Kur sakin.", "Ali Hoca", reply_to=reply_to, **keys)
        assert await self.here.delivery.ready(draft, slot, typing=0.0, until=until)
        return await self.here.delivery.send(draft, slot, until=until, ended=self.ended.append)

    def states(self) -> list[State]:
        return [row.state for row in self.here.database.ledger.rows.values() if row.bot_id is not None]


def sends(work: Callable[[Sends], Awaitable[None]], **keys: Any) -> None:
    async def main(here: Daemon) -> None:
        await work(Sends(here))

    on_daemon(main, **keys)


def test_a_delivered_message_is_settled_with_its_id() -> None:
    async def work(made: Sends) -> None:
        done = await made.deliver(reply_to=7)
        assert (done.outcome, done.telegram_id) == ("sent", 1)
        assert [(text, reply) for _, _, text, reply, _ in made.here.wire.sent] == [("Kur sakin.", 7)]
        assert made.states() == [State.SENT]
        assert made.ended == [done]

    sends(work)


@pytest.mark.parametrize(
    ("outcome", "state", "told"),
    [
        (errors.Uncertain("cut after the request left"), State.UNCERTAIN, []),
        (errors.Rejected("message is too long"), State.FAILED, []),
        (errors.BadToken(), State.FAILED, [("token", ALI)]),
        (errors.Forbidden("kicked"), State.FAILED, [("forbidden", ALI, CHAT)]),
    ],
)
def test_what_may_have_arrived_or_never_can_is_sent_once(
    outcome: Outcome, state: State, told: list[tuple[object, ...]]
) -> None:
    async def work(made: Sends) -> None:
        made.here.wire.says["send"] = [outcome]
        assert (await made.deliver()).outcome == state
        assert len(made.here.wire.sent) == 1
        assert made.states() == [state]
        assert made.here.told == told
        assert len(made.ended) == 1

    sends(work)


def test_what_surely_did_not_arrive_is_sent_again_under_the_same_claim() -> None:
    async def work(made: Sends) -> None:
        made.here.wire.says["send"] = [errors.NotSent("refused"), errors.Throttled(7.0, "429")]
        assert (await made.deliver()).outcome == "sent"
        assert made.states() == [State.SENT]
        first, second, third = (at for *_, at in made.here.wire.sent)
        assert second - first == pytest.approx(0.6)  # the way, and the first wait
        assert third - second == pytest.approx(7.1)
        assert made.here.bot().hourly.used(made.here.clock.wall()) == 1

    sends(work)


@pytest.mark.parametrize("outcome", [errors.Throttled(3600.0, "429"), errors.NotSent("refused")])
def test_a_wait_beyond_the_deadline_or_a_last_try_fails_the_claim_for_a_reason_that_passes(outcome: Outcome) -> None:
    async def work(made: Sends) -> None:
        made.here.wire.says["send"] = [outcome] * 9
        done = await made.deliver(within=30.0)
        assert (done.outcome, done.again) == ("failed", True)
        assert made.states() == [State.FAILED]

    sends(work)


def test_without_the_answered_message_it_goes_as_a_claim_of_its_own() -> None:
    async def work(made: Sends) -> None:
        made.here.wire.says["send"] = [errors.ReplyGone()]
        done = await made.deliver(reply_to=7)
        assert done.outcome == "sent"
        assert [reply for *_, reply, _ in made.here.wire.sent] == [7, None]
        assert made.states() == [State.FAILED, State.SENT]
        assert len(made.ended) == 1
        assert made.here.chat.limit.earliest(made.here.clock.mono()) > made.here.clock.mono()  # it is counted once
        await asyncio.sleep(61)
        assert made.here.chat.limit.earliest(made.here.clock.mono()) == made.here.clock.mono()

    sends(work, given=NARROW)


def test_a_group_that_became_a_supergroup_is_followed() -> None:
    async def work(made: Sends) -> None:
        made.here.wire.says["send"] = [errors.Migrated(CHAT - 5)]
        done = await made.deliver(reply_to=7)
        assert done.outcome == "sent"
        assert done.claim is not None
        assert done.claim.draft.chat_id == CHAT - 5
        assert [(chat, reply) for _, chat, _, reply, _ in made.here.wire.sent] == [(CHAT, 7), (CHAT - 5, None)]
        assert made.here.told == [("moved", CHAT, CHAT - 5)]

    sends(work)


def test_without_the_lease_nothing_is_claimed_or_sent_and_the_slot_is_free() -> None:
    async def work(made: Sends) -> None:
        await made.here.leases.free([ALI])
        done = await made.deliver()
        assert (done.outcome, done.again) == ("failed", True)
        assert made.here.wire.sent == []
        assert made.states() == []
        assert made.here.chat.limit.earliest(made.here.clock.mono()) == made.here.clock.mono()

    sends(work, given=NARROW)


def test_a_store_that_refuses_the_claim_sends_nothing() -> None:
    async def work(made: Sends) -> None:
        made.here.faults.before["claim"] = fails
        done = await made.deliver()
        assert (done.outcome, done.again) == ("failed", True)
        assert made.here.wire.sent == []

    sends(work)


def test_another_daemons_fence_keeps_the_claim_out() -> None:
    async def work(made: Sends) -> None:
        made.here.database.bots[ALI].fence += 1
        assert (await made.deliver()).outcome == "failed"
        assert made.here.wire.sent == []

    sends(work)


def test_a_settlement_that_the_store_refuses_is_tried_until_it_is_there() -> None:
    async def work(made: Sends) -> None:
        made.here.faults.before["settle"] = fails
        task = asyncio.create_task(made.deliver())
        await asyncio.sleep(20)
        assert made.states() == [State.SENDING]
        assert made.ended == []
        made.here.faults.clear()
        assert (await task).outcome == "sent"
        assert made.states() == [State.SENT]
        assert len(made.here.wire.sent) == len(made.ended) == 1

    sends(work)


def test_a_cancelled_bot_does_not_tear_a_send_apart() -> None:
    async def work(made: Sends) -> None:
        turn = asyncio.create_task(made.deliver())
        while not made.here.wire.sent:
            await asyncio.sleep(0.01)
        turn.cancel()
        with pytest.raises(asyncio.CancelledError):
            await turn
        assert made.ended == []
        await made.here.delivery.settled()
        assert made.states() == [State.SENT]
        assert [each.outcome for each in made.ended] == ["sent"]

    sends(work)


@pytest.mark.parametrize(
    ("outcome", "state"),
    [(errors.Sent(41, 0.0), "answered"), (errors.Uncertain("cut"), "answered"), (errors.Rejected("odd"), "open")],
)
def test_a_stimulus_is_closed_or_opened_by_the_settlement(outcome: Outcome, state: str) -> None:
    async def work(made: Sends) -> None:
        here = made.here
        key = StimulusKey(CHAT, 5, ALI)
        await here.store.receive([Received(CHAT, 5, 501, "Deniz", "Selam Ali", here.clock.wall(), to=(ALI,))])
        assert await here.store.take_stimulus(key, ALI, counts=True) is Grant.ANSWER
        here.wire.says["send"] = [outcome]
        await made.deliver(stimulus=key)
        assert here.states()[key] == state

    sends(work)


def test_an_answer_without_its_stimulus_is_not_sent() -> None:
    async def work(made: Sends) -> None:
        here = made.here
        await here.store.receive([Received(CHAT, 5, 501, "Deniz", "Selam Ali", here.clock.wall(), to=(ALI,))])
        done = await made.deliver(stimulus=StimulusKey(CHAT, 5, ALI))  # nobody took it
        assert done.outcome == "failed"
        assert here.wire.sent == []

    sends(work)


# --- the slot
def test_a_slot_that_does_not_come_in_time_is_refused_with_its_wait() -> None:
    async def work(made: Sends) -> None:
        await made.deliver()
        here = made.here
        refused = await here.slots.reserve(ALI, CHAT, until=here.clock.mono() + 10, pace=here.chat.limit)
        assert isinstance(refused, NoSlot)
        assert refused.reason == "no_slot"
        assert refused.wait == pytest.approx(60, abs=0.2)
        later = await here.slots.reserve(ALI, CHAT, until=here.clock.mono() + 70, pace=here.chat.limit)
        assert isinstance(later, Slot)  # what was refused holds no place

    sends(work, given=NARROW)


def test_a_text_that_waits_beyond_its_deadline_is_not_sent() -> None:
    async def work(made: Sends) -> None:
        await made.deliver()
        slot = await made.slot()
        draft = Draft(ALI, 0, CHAT, Kind.REPLY, "Kur sakin.", "Ali Hoca")
        assert not await made.here.delivery.ready(draft, slot, typing=0.0, until=made.here.clock.mono() + 5)
        assert await made.here.delivery.ready(draft, slot, typing=0.0, until=made.here.clock.mono() + 70)
        assert len(made.here.wire.sent) == 1

    sends(work, given=NARROW)


def test_typing_is_shown_again_while_the_slot_is_waited_for() -> None:
    async def work(made: Sends) -> None:
        draft = Draft(ALI, 0, CHAT, Kind.REPLY, "Kur sakin.", "Ali Hoca")
        slot = await made.slot()
        assert await made.here.delivery.ready(draft, slot, typing=8.0, until=made.here.clock.mono() + 60)
        assert made.here.wire.calls == [("typing", ALI)] * 2

    sends(work)


def test_a_slot_counts_on_every_limit_and_is_free_on_every_limit_when_given_back() -> None:
    async def work(made: Sends) -> None:
        here = made.here
        slot = await made.slot()
        assert await here.slots.take(slot) == 0
        bot, now = here.bot(), here.clock.mono()
        assert bot.hourly.used(here.clock.wall()) == 1
        assert here.chat.limit.earliest(now) > now
        await here.slots.give_back(slot)
        await here.slots.give_back(slot)
        assert bot.hourly.used(here.clock.wall()) == 0
        assert here.chat.limit.earliest(now) == now
        assert await here.slots.take(slot) == 0  # it may be taken again

    sends(work, given=NARROW)


def test_what_reached_telegram_counts_there_though_nothing_was_delivered() -> None:
    async def work(made: Sends) -> None:
        here = made.here
        here.slots._limits.change(30, 1, 20, 0.05)
        here.wire.says["send"] = [errors.Rejected("odd")]
        await made.deliver()
        other = await here.slots.reserve(ALI, CHAT, until=here.clock.mono() + 0.5)
        assert isinstance(other, NoSlot)
        assert isinstance(await here.slots.reserve(AYSE, CHAT, until=here.clock.mono() + 0.5), Slot)
        only(made.ended)

    sends(work)
