"""Telegram in memory: the sandbox's rules behind the daemon's own `Sender`, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiogram.types import Update

from piyasad.clock import LoopClock
from piyasad.metrics import Metrics
from piyasad.sandbox.faults import Fault
from piyasad.simulation.telegram import Client, Telegram
from piyasad.telegram import errors
from piyasad.telegram.listener import ALL_UPDATES
from piyasad.telegram.sender import Sender
from tests.virtual import run_virtual

ALI, ZEYNEP, STRANGER = 7_000_000_001, 7_000_000_002, 7_000_000_003
GROUP = -1001000000001


def token(bot_id: int) -> str:
    return f"{bot_id}:{'a' * 35}"


class Scene:
    """A group with an administrator and a member; `sender` is one daemon's."""

    def __init__(self, clock: LoopClock, *, public: bool = False) -> None:
        self.clock = clock
        self.telegram = Telegram(clock.wall, clock.mono, 1, public=public)
        world = self.telegram.world
        world.add_bot(ALI, token(ALI), "Ali Hoca", "ali_hoca_bot", privacy=True)
        world.add_bot(ZEYNEP, token(ZEYNEP), "Zeynep Yeni", "zeynep_yeni_bot", privacy=True)
        world.add_group(GROUP, "Piyasa", bots=[ZEYNEP], admins=[ALI])
        self.client = self.daemon("one")
        self.sender = Sender(self.client, Metrics())

    def daemon(self, name: str) -> Client:
        client = Client(self.telegram, name)
        for bot_id in (ALI, ZEYNEP):
            client.add(bot_id, token(bot_id))
        return client

    def send(
        self, text: str = "Merhaba", bot_id: int = ALI, chat: int = GROUP, reply_to: int | None = None
    ) -> Awaitable[errors.Sent | errors.Failure]:
        return self.sender.send(bot_id, chat, text, reply_to=reply_to, thread_id=None, timeout=20.0)


def play(work: Callable[[Scene], Awaitable[None]], *, public: bool = False) -> None:
    run_virtual(lambda clock: work(Scene(clock, public=public)))


def test_a_message_is_delivered_after_its_way_and_is_on_record() -> None:
    async def work(scene: Scene) -> None:
        sent = await scene.send()
        assert isinstance(sent, errors.Sent)
        (arrival,) = scene.telegram.arrivals
        assert (arrival.client, arrival.bot, arrival.chat, arrival.text) == ("one", ALI, GROUP, "Merhaba")
        assert (arrival.message_id, arrival.status, arrival.name) == (sent.message_id, 200, "Ali Hoca")
        assert arrival.left < arrival.at < scene.clock.wall()

    play(work)


def test_refusals_are_the_real_ones() -> None:
    async def work(scene: Scene) -> None:
        assert isinstance(await scene.send(chat=-1009), errors.Forbidden)
        assert isinstance(await scene.send(reply_to=999), errors.ReplyGone)
        assert isinstance(await scene.send(text="x" * 5000), errors.Rejected)
        scene.client.add(STRANGER, token(STRANGER))
        assert isinstance(await scene.send(bot_id=STRANGER), errors.BadToken)
        scene.telegram.world.groups[GROUP].members[ZEYNEP] = "kicked"
        assert isinstance(await scene.send(bot_id=ZEYNEP), errors.Forbidden)
        assert isinstance(await scene.sender.pin(ALI, GROUP, 999), errors.Rejected)
        assert [each.status for each in scene.telegram.arrivals] == [400, 400, 400, 401, 403]

    play(work)


def test_a_bot_that_sends_too_fast_is_told_to_wait() -> None:
    async def work(scene: Scene) -> None:
        assert (await scene.send()).ok
        refused = await scene.send()
        assert isinstance(refused, errors.Throttled)
        assert refused.retry_after == 1
        assert scene.telegram.tally.violations == [
            {"bot": ALI, "chat": GROUP, "limit": "chat_per_second", "wait": pytest.approx(0.8, abs=0.2)}
        ]

    play(work)


@pytest.mark.parametrize(
    ("kind", "outcome", "arrives"),
    [
        ("cut_before", errors.Uncertain, False),
        ("cut_after", errors.Uncertain, True),
        ("500", errors.Uncertain, False),
        ("502", errors.Uncertain, False),
        ("429", errors.Throttled, False),
        ("kicked", errors.Forbidden, False),
        ("bad_token", errors.BadToken, False),
    ],
)
def test_a_planned_fault_is_what_the_daemon_would_see(kind: str, outcome: type, arrives: bool) -> None:
    async def work(scene: Scene) -> None:
        scene.telegram.faults.append(Fault(kind, method="sendMessage", times=1))
        assert isinstance(await scene.send(), outcome)
        assert any(each.status == 200 for each in scene.telegram.arrivals) is arrives
        assert (await scene.send()).ok or arrives

    play(work)


def test_without_a_connection_nothing_has_left() -> None:
    async def work(scene: Scene) -> None:
        scene.client.reachable = False
        assert isinstance(await scene.send(), errors.NotSent)
        assert scene.telegram.arrivals == []

    play(work)


def test_a_slow_request_arrives_after_its_sender_gave_up() -> None:
    async def work(scene: Scene) -> None:
        scene.telegram.faults.append(Fault("latency", seconds=60, times=1))
        began = scene.clock.mono()
        assert isinstance(await scene.send(), errors.Uncertain)
        assert scene.clock.mono() - began == pytest.approx(20.0)
        assert scene.telegram.arrivals == []
        await asyncio.sleep(60)
        assert [each.status for each in scene.telegram.arrivals] == [200]

    play(work)


def test_a_request_that_has_left_arrives_although_its_task_is_cancelled() -> None:
    async def work(scene: Scene) -> None:
        sending = asyncio.ensure_future(scene.send())
        await asyncio.sleep(0)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await asyncio.sleep(1)
        assert [each.status for each in scene.telegram.arrivals] == [200]

    play(work)


def test_the_administrator_hears_the_group_and_a_poll_waits_for_it() -> None:
    async def work(scene: Scene) -> None:
        person = scene.telegram.world.person("Deniz")
        polling = asyncio.ensure_future(scene.sender.updates(ALI, 0, 30.0, ALL_UPDATES))
        await asyncio.sleep(12.0)
        scene.telegram.world.say(scene.telegram.world.groups[GROUP], person, "Dolar ne olur?")
        updates = await polling
        assert isinstance(updates, list)
        assert [type(each) for each in updates] == [Update]
        assert updates[0].message is not None
        assert updates[0].message.text == "Dolar ne olur?"
        assert 12.0 < scene.clock.mono() < 12.5
        assert await scene.sender.updates(ALI, updates[0].update_id + 1, 30.0, ALL_UPDATES) == []
        assert await scene.sender.updates(ZEYNEP, 0, 0.0, ALL_UPDATES) == []
        assert [(poll.bot, poll.conflict) for poll in scene.telegram.polls] == [
            (ALI, False),
            (ALI, False),
            (ZEYNEP, False),
        ]

    play(work)


def test_of_two_polls_of_a_bot_the_older_ends_in_a_conflict() -> None:
    async def work(scene: Scene) -> None:
        other = Sender(scene.daemon("two"), Metrics())
        first = asyncio.ensure_future(scene.sender.updates(ALI, 0, 30.0, ALL_UPDATES))
        await asyncio.sleep(5.0)
        second = asyncio.ensure_future(other.updates(ALI, 0, 30.0, ALL_UPDATES))
        assert isinstance(await first, errors.Conflict)
        assert await second == []
        assert scene.telegram.tally.conflicts == 1
        assert [poll.conflict for poll in scene.telegram.polls] == [True, False]

    play(work)


def test_a_process_that_is_gone_hears_of_no_conflict() -> None:
    async def work(scene: Scene) -> None:
        gone = asyncio.ensure_future(scene.sender.updates(ALI, 0, 30.0, ALL_UPDATES))
        await asyncio.sleep(5.0)
        scene.telegram.hang_up("one")
        other = Sender(scene.daemon("two"), Metrics())
        assert await other.updates(ALI, 0, 10.0, ALL_UPDATES) == []
        assert scene.telegram.tally.conflicts == 0
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)

    play(work)


def test_everything_else_a_daemon_asks_is_answered() -> None:
    async def work(scene: Scene) -> None:
        sender = scene.sender
        assert await sender.name(ALI) == "Ali Hoca"
        assert (await sender.set_profile(ALI, name="Ali Hoca 🤖", description="Yapay zekâ", short=None)).ok
        assert await sender.name(ALI) == "Ali Hoca 🤖"
        assert await sender.descriptions(ALI) == ("Yapay zekâ", "")
        assert await sender.hears_all(ALI) is False
        assert await sender.is_admin(ALI, GROUP) is True
        assert await sender.reactions(ALI, GROUP) is None
        sent = await scene.send()
        assert isinstance(sent, errors.Sent)
        assert (await sender.react(ZEYNEP, GROUP, sent.message_id, "👍")).ok
        assert (await sender.pin(ALI, GROUP, sent.message_id)).ok
        assert (await sender.typing(ALI, GROUP, None)).ok
        assert (await sender.leave(ZEYNEP, GROUP)).ok
        assert scene.telegram.world.groups[GROUP].members == {ALI: "administrator"}

    play(work)


def test_the_public_server_counts_new_tokens_and_the_client_knows() -> None:
    async def work(scene: Scene) -> None:
        world = scene.telegram.world
        for n in range(100, 130):
            world.add_bot(n, token(n), f"Bot {n}", f"bot_{n}_bot")
            scene.client.add(n, token(n))
        waits = [await scene.sender.hears_all(n) for n in range(100, 130)]
        assert sum(isinstance(each, bool) for each in waits) == 20
        assert all(isinstance(each, errors.Throttled) for each in waits[20:])
        assert scene.telegram.tally.throttled == 0, "it did not try"

    play(work, public=True)


def test_a_closed_client_sends_nothing() -> None:
    async def work(scene: Scene) -> None:
        await scene.client.close()
        assert isinstance(await scene.send(), errors.Rejected)

    play(work)
