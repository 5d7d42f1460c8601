"""Delivery on a real ledger: the claim, the fence and the settlement hold; the rest is told in `unit/test_delivery.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from piyasad.clock import SystemClock
from piyasad.delivery.delivery import Delivered, Delivery, Events
from piyasad.delivery.slot import Slot, Slots
from piyasad.metrics import Metrics
from piyasad.model import DaemonRow, Draft, Grant, Kind, Received, StimulusKey
from piyasad.sharding.leases import Leases
from piyasad.store.postgres import PostgresStore
from piyasad.telegram import errors
from piyasad.telegram.limits import SendLimits
from piyasad.telegram.sender import Sender
from tests.cases import CHAT

BOT = 7100000001
KEY = StimulusKey(CHAT, 5, BOT)
Outcome = errors.Sent | errors.Failure


class Wire:
    """Stands for Telegram: gives the outcomes one after the other and remembers what was sent."""

    def __init__(self, *outcomes: Outcome, hold: float = 0.0) -> None:
        self._outcomes = list(outcomes)
        self._hold = hold
        self.sent: list[tuple[int, str, int | None]] = []

    async def send(
        self, bot_id: int, chat_id: int, text: str, *, reply_to: int | None, thread_id: int | None, timeout: float
    ) -> Outcome:
        self.sent.append((chat_id, text, reply_to))
        await asyncio.sleep(self._hold)
        return self._outcomes.pop(0)


class House:
    """A delivery over the store, and how each one ended."""

    def __init__(self, store: PostgresStore, wire: Wire) -> None:
        self.store = store
        self.ended: list[Delivered] = []
        clock, metrics = SystemClock(), Metrics()
        row = DaemonRow("d1", 0, 1, "here", 1, "", 0.0, True, "")
        self.leases = Leases(store, clock, metrics, row, lambda: None)
        events = Events(lambda bot: None, lambda bot, chat, reason: None, lambda old, new: None)
        self.slots = Slots(SendLimits(1000, 1000, 1000, 0.0), clock)
        self.delivery = Delivery(store, cast(Sender, wire), self.slots, self.leases, clock, metrics, events)

    async def deliver(self, **keys: object) -> Delivered:
        until = SystemClock().mono() + 20.0
        slot = await self.slots.reserve(BOT, CHAT, until=until)
        assert isinstance(slot, Slot)
        draft = Draft(BOT, 0, CHAT, Kind.REPLY, "Kur sakin.", "Ali Hoca", **keys)  # type: ignore[arg-type]
        return await self.delivery.send(draft, slot, until=until, ended=self.ended.append)

    async def states(self) -> list[str]:
        found = await self.store.counts(0.0)
        return sorted(state for state, number in found.items() for _ in range(number) if state != "received")


async def house(store: PostgresStore, wire: Wire) -> House:
    made = House(store, wire)
    await made.leases.enter(alone=False)
    await made.leases.take([(BOT, "Ali Hoca", "ali_hoca_bot")])
    await store.ensure_chats([CHAT])
    return made


@pytest.mark.parametrize(
    ("outcome", "state", "stimulus"),
    [
        (lambda at: errors.Sent(41, at), "sent", False),
        (lambda at: errors.Uncertain("cut after the request left"), "uncertain", False),
        (lambda at: errors.Rejected("message is too long"), "failed", True),
    ],
)
async def test_a_row_and_its_stimulus_end_together(
    store: PostgresStore, outcome: Callable[[float], Outcome], state: str, *, stimulus: bool
) -> None:
    now = await store.now()
    wire = Wire(outcome(now))
    made = await house(store, wire)
    await store.receive([Received(CHAT, 5, 501, "Deniz", "Selam Ali", now, to=(BOT,))])
    assert await store.take_stimulus(KEY, BOT, counts=True) is Grant.ANSWER
    assert (await made.deliver(stimulus=KEY)).outcome == state
    assert len(wire.sent) == len(made.ended) == 1
    assert await made.states() == [state]
    assert bool(await store.open_stimuli([BOT], [CHAT], now - 10)) is stimulus


async def test_without_the_answered_message_it_goes_as_a_claim_of_its_own(store: PostgresStore) -> None:
    wire = Wire(errors.ReplyGone(), errors.Sent(6, await store.now()))
    made = await house(store, wire)
    await store.receive([Received(CHAT, 5, 501, "Deniz", "Selam Ali", await store.now(), to=(BOT,))])
    assert await store.take_stimulus(KEY, BOT, counts=True) is Grant.ANSWER
    assert (await made.deliver(reply_to=5, stimulus=KEY)).outcome == "sent"
    assert [reply for _, _, reply in wire.sent] == [5, None]
    assert await made.states() == ["failed", "sent"]


async def test_another_daemons_fence_keeps_the_claim_out(store: PostgresStore) -> None:
    wire = Wire()
    made = await house(store, wire)
    await store.free("d1", [BOT])  # the store gave the bot away; this process does not know yet
    await store.enter(DaemonRow("d2", 0, 1, "there", 2, "", 0.0, True, ""), 60)
    assert await store.take("d2", [(BOT, "Ali Hoca", "ali_hoca_bot")])
    assert (await made.deliver()).outcome == "failed"
    assert wire.sent == []


async def test_a_cancelled_bot_does_not_tear_a_send_apart(store: PostgresStore) -> None:
    wire = Wire(errors.Sent(9, await store.now()), hold=0.3)
    made = await house(store, wire)
    turn = asyncio.create_task(made.deliver())
    while not wire.sent:
        await asyncio.sleep(0.01)
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    await made.delivery.settled()
    assert await made.states() == ["sent"]
    assert [each.outcome for each in made.ended] == ["sent"]
