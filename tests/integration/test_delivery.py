"""Delivery on a real ledger: what surely did not arrive is tried again, what may have arrived never is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from piyasad.clock import SystemClock
from piyasad.delivery.delivery import Delivered, Delivery, Events
from piyasad.metrics import Metrics
from piyasad.model import DaemonRow, Draft, Kind
from piyasad.sharding.leases import Leases
from piyasad.store.postgres import PostgresStore
from piyasad.telegram import errors
from piyasad.telegram.limits import SendLimits
from piyasad.telegram.sender import Sender
from tests.cases import CHAT

BOT = 7100000001
Outcome = errors.Sent | errors.Failure


class Wire:
    """Stands for Telegram: gives the outcomes one after the other and remembers what was sent."""

    def __init__(self, *outcomes: Outcome | Callable[[], Outcome], hold: float = 0.0) -> None:
        self._outcomes = list(outcomes)
        self._hold = hold
        self.sent: list[tuple[int, str, int | None]] = []

    async def send(
        self, bot_id: int, chat_id: int, text: str, *, reply_to: int | None, thread_id: int | None, timeout: float
    ) -> Outcome:
        self.sent.append((chat_id, text, reply_to))
        await asyncio.sleep(self._hold)
        outcome = self._outcomes.pop(0)
        return outcome() if callable(outcome) else outcome

    async def typing(self, bot_id: int, chat_id: int, thread_id: int | None) -> None:
        pass


class House:
    """A delivery over the store, with what it told the engine."""

    def __init__(self, store: PostgresStore, wire: Wire) -> None:
        self.store = store
        self.told: list[tuple[object, ...]] = []
        self.metrics = Metrics()
        clock = SystemClock()
        row = DaemonRow("d1", 1, 1, "here", 1, "", 0.0, True, "")
        self.leases = Leases(store, clock, self.metrics, row, lambda: None)
        events = Events(
            lambda bot: self.told.append(("token", bot)),
            lambda bot, chat, reason: self.told.append(("forbidden", bot, chat)),
            lambda old, new: self.told.append(("moved", old, new)),
        )
        limits = SendLimits(1000, 1000, 1000, 0.0)
        self.delivery = Delivery(store, cast(Sender, wire), limits, self.leases, clock, self.metrics, events)

    async def open(self) -> None:
        await self.leases.enter(alone=False)
        await self.leases.take([(BOT, "Ali Hoca", "ali_hoca_bot")])
        await self.store.ensure_chats([CHAT])

    async def deliver(self, reply_to: int | None = None, within: float = 20.0) -> Delivered:
        draft = Draft(BOT, 0, CHAT, Kind.REPLY, "Kur sakin.", "Ali Hoca", reply_to=reply_to)
        return await self.delivery.deliver(draft, typing=0.0, until=SystemClock().mono() + within)

    async def states(self) -> list[str]:
        found = await self.store.counts(0.0)
        return sorted(state for state, number in found.items() for _ in range(number))


async def house(store: PostgresStore, wire: Wire) -> House:
    made = House(store, wire)
    await made.open()
    return made


async def test_a_delivered_message_is_settled_with_its_id(store: PostgresStore) -> None:
    wire = Wire(errors.Sent(41, 1_795_424_400.0))
    made = await house(store, wire)
    done = await made.deliver(reply_to=7)
    assert (done.outcome, done.telegram_id) == ("sent", 41)
    assert wire.sent == [(CHAT, "Kur sakin.", 7)]
    assert await made.states() == ["sent"]


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (errors.Uncertain("cut after the request left"), "uncertain"),
        (errors.Rejected("message is too long"), "failed"),
        (errors.BadToken(), "failed"),
        (errors.Forbidden("kicked"), "failed"),
    ],
)
async def test_what_may_have_arrived_or_never_can_is_sent_once(
    store: PostgresStore, outcome: Outcome, state: str
) -> None:
    wire = Wire(outcome)
    made = await house(store, wire)
    assert (await made.deliver()).outcome == state
    assert len(wire.sent) == 1
    assert await made.states() == [state]
    assert made.told == {"BadToken": [("token", BOT)], "Forbidden": [("forbidden", BOT, CHAT)]}.get(
        type(outcome).__name__, []
    )


async def test_what_surely_did_not_arrive_is_sent_again_under_the_same_claim(store: PostgresStore) -> None:
    wire = Wire(errors.NotSent("refused"), errors.Throttled(1.0, "429"), errors.Sent(5, 1_795_424_400.0))
    made = await house(store, wire)
    assert (await made.deliver()).outcome == "sent"
    assert len(wire.sent) == 3
    assert await made.states() == ["sent"]


async def test_a_wait_beyond_the_deadline_fails_the_claim(store: PostgresStore) -> None:
    wire = Wire(errors.Throttled(3600.0, "429"))
    made = await house(store, wire)
    assert (await made.deliver(within=5.0)).outcome == "failed"
    assert await made.states() == ["failed"]


async def test_without_the_answered_message_it_goes_as_a_claim_of_its_own(store: PostgresStore) -> None:
    wire = Wire(errors.ReplyGone(), errors.Sent(6, 1_795_424_400.0))
    made = await house(store, wire)
    assert (await made.deliver(reply_to=7)).outcome == "sent"
    assert [reply for _, _, reply in wire.sent] == [7, None]
    assert await made.states() == ["failed", "sent"]


async def test_a_group_that_became_a_supergroup_is_followed(store: PostgresStore) -> None:
    wire = Wire(errors.Migrated(CHAT - 5), errors.Sent(1, 1_795_424_400.0))
    made = await house(store, wire)
    assert (await made.deliver()).outcome == "sent"
    assert [chat for chat, _, _ in wire.sent] == [CHAT, CHAT - 5]
    assert made.told == [("moved", CHAT, CHAT - 5)]


async def test_without_the_lease_nothing_is_claimed_or_sent(store: PostgresStore) -> None:
    wire = Wire()
    made = await house(store, wire)
    await made.leases.free([BOT])
    assert (await made.deliver()).outcome == "failed"
    assert wire.sent == []
    assert await made.states() == []


async def test_another_daemons_fence_keeps_the_claim_out(store: PostgresStore) -> None:
    wire = Wire()
    made = await house(store, wire)
    await store.free("d1", [BOT])  # the store gave the bot away; this process does not know yet
    await store.enter(DaemonRow("d2", 1, 1, "there", 2, "", 0.0, True, ""), 60)
    assert await store.take("d2", [(BOT, "Ali Hoca", "ali_hoca_bot")])
    assert (await made.deliver()).outcome == "failed"
    assert wire.sent == []


async def test_a_cancelled_bot_does_not_tear_a_send_apart(store: PostgresStore) -> None:
    wire = Wire(errors.Sent(9, 1_795_424_400.0), hold=0.3)
    made = await house(store, wire)
    turn = asyncio.create_task(made.deliver())
    while not wire.sent:
        await asyncio.sleep(0.01)
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    await made.delivery.settled()
    assert await made.states() == ["sent"]


async def test_the_gate_is_asked_until_it_opens_and_the_deadline_is_kept(store: PostgresStore) -> None:
    wire = Wire(errors.Sent(2, 1_795_424_400.0))
    made = await house(store, wire)
    waits = [0.05, 0.05, 0.0]
    draft = Draft(BOT, 0, CHAT, Kind.REPLY, "Kur sakin.", "Ali Hoca")
    until = SystemClock().mono() + 10
    done = await made.delivery.deliver(draft, typing=0.02, until=until, gate=lambda: waits.pop(0))
    assert (done.outcome, waits) == ("sent", [])
    late = await made.delivery.deliver(draft, typing=0.0, until=SystemClock().mono() + 0.5, gate=lambda: 60.0)
    assert late.outcome == "expired"
    assert len(wire.sent) == 1
