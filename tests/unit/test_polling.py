"""Polling in virtual time: one ear per chat, the others in turn, all under the lease, whatever Telegram and the store do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from piyasad.bots.polling import AT_ONCE, EVERY_ALONE_SECONDS, Polling
from piyasad.bots.rights import ASK_AGAIN_SECONDS
from piyasad.bots.state import LiveState
from piyasad.clock import LoopClock
from piyasad.config import Settings
from piyasad.config.secrets import Secret
from piyasad.metrics import Metrics
from piyasad.model import DaemonRow
from piyasad.sharding.leases import LEASE_SECONDS, Leases
from piyasad.store.in_memory import InMemoryStore, MemoryDatabase
from piyasad.supervise import Supervisor
from piyasad.telegram.errors import BadToken, NotSent
from piyasad.telegram.skew import Skew
from tests.cases import CHAT
from tests.faulty import deaf, faulty, hangs
from tests.polled import Inbox, Telegram
from tests.virtual import run_virtual

T = TypeVar("T")

FIRST = 7100000000
IDLE = 300.0


def settings_of(bots: int, **telegram: Any) -> Settings:
    return Settings.model_validate(
        {
            "chats": [{"id": CHAT}],
            "bots": [
                {"name": f"Bot {n}", "username": f"bot_{n}_bot", "token_env": f"T{n}", "chats": [CHAT]}
                for n in range(bots)
            ],
            "telegram": {"idle_poll_seconds": IDLE, **telegram},
        }
    )


class Daemon:
    """One shard's polling with its leases; the pool's part is played by `take` and by `_lost`."""

    def __init__(
        self,
        clock: LoopClock,
        telegram: Telegram,
        database: MemoryDatabase,
        settings: Settings,
        shard: tuple[int, int] = (0, 1),
        name: str = "a",
    ) -> None:
        self.clock = clock
        self.telegram = telegram
        self.settings = settings
        self.live = LiveState(settings, shard, 1)
        self.store, self.faults = faulty(InMemoryStore(database))
        self.supervisor = Supervisor(clock)
        row = DaemonRow(name, *shard, "evim", 1, "", 0.0, alive=True, drain="")
        self.leases = Leases(self.store, clock, Metrics(), row, self._lost)
        self.inbox = Inbox(clock)
        self.drops = True
        self.polling = Polling(
            self.live,
            self.store,
            self.leases,
            telegram.sender,
            self.inbox,
            Skew(),
            self.supervisor,
            clock,
            random.Random(name),
            self._parked,
        )

    async def start(self, *bot_ids: int) -> None:
        tokens = {bot.name: Secret(f"{FIRST + n}:{'a' * 35}") for n, bot in enumerate(self.settings.bots)}
        self.live.commit(await self.live.prepare(self.settings, dict(tokens)))
        await self.store.ensure_chats([CHAT])
        await self.leases.enter(alone=False)
        self.supervisor.vital("leases", self.leases.run())
        self.supervisor.vital("polling", self.polling.run())
        await self.take(*bot_ids)

    async def take(self, *bot_ids: int) -> None:
        for lease in await self.leases.take([(bot_id, "", "") for bot_id in bot_ids]):
            bot = self.live.bots[lease.bot_id]
            bot.held, bot.fence = True, lease.fence
            self.polling.held(lease.bot_id, lease.update_offset)

    def _lost(self) -> None:
        for bot in self.live.bots.values():
            bot.held = False
            if self.drops:
                self.polling.drop(bot.id)

    def _parked(self, bot_id: int) -> None:
        self.live.bots[bot_id].parked = "the token is not valid any more"
        self.polling.look()

    async def kill(self) -> None:
        await self.supervisor.stop(list(self.supervisor.names), 0.0)
        assert not self.supervisor.failed.done()

    async def ear(self) -> int | None:
        [row] = await self.store.chats()
        return row.ear


class World:
    """Telegram and a database, with the daemons that were made on them."""

    def __init__(self, clock: LoopClock) -> None:
        self.clock = clock
        self.telegram = Telegram(clock)
        self.database = MemoryDatabase(clock)
        self.daemons: list[Daemon] = []

    def daemon(self, bots: int, shard: tuple[int, int] = (0, 1), name: str = "a", **telegram: Any) -> Daemon:
        made = Daemon(self.clock, self.telegram, self.database, settings_of(bots, **telegram), shard, name)
        self.daemons.append(made)
        return made

    def admin(self, *numbers: int) -> None:
        """Only these are admins of the chat."""
        self.telegram.admins = {(CHAT, FIRST + number) for number in numbers}

    @property
    def listening(self) -> list[int]:
        """Who long-polls now, by number."""
        return sorted(bot_id - FIRST for daemon in self.daemons for bot_id in daemon.polling.listening)


def at(work: Callable[[World], Awaitable[T]]) -> tuple[T, list[EventDict]]:
    async def main(clock: LoopClock) -> T:
        world = World(clock)
        result = await work(world)
        for daemon in world.daemons:
            await daemon.kill()
        assert not any(world.telegram.polling.values()), "no poll outlives its daemon"
        return result

    with capture_logs() as logs:
        return run_virtual(main), logs


A, B, C = FIRST, FIRST + 1, FIRST + 2


def test_the_admin_alone_polls_for_the_chat_and_what_it_hears_comes_in() -> None:
    async def work(world: World) -> None:
        world.admin(1)
        daemon = world.daemon(3)
        await daemon.start(A, B, C)
        await asyncio.sleep(5)
        assert (world.listening, await daemon.ear()) == ([1], B)
        world.telegram.say(B, "merhaba")
        await asyncio.sleep(1)
        assert daemon.inbox.texts == ["merhaba"]
        assert world.telegram.doubles == 0

    at(work)


def test_where_nobody_hears_all_every_bot_polls() -> None:
    async def work(world: World) -> None:
        daemon = world.daemon(3)
        await daemon.start(A, B, C)
        await asyncio.sleep(5)
        assert (world.listening, await daemon.ear()) == ([0, 1, 2], None)

    at(work)


# --- rights (z)


def test_an_ear_that_lost_its_rights_is_replaced_at_once_when_telegram_tells_it() -> None:
    async def work(world: World) -> None:
        world.admin(0, 1)
        daemon = world.daemon(2)
        await daemon.start(A, B)
        await asyncio.sleep(5)
        assert world.listening == [0]
        world.telegram.standing(A, "member")
        await asyncio.sleep(3)
        assert (world.listening, await daemon.ear()) == ([1], B)
        world.admin(0)
        world.telegram.standing(B, "member")
        world.telegram.standing(A, "administrator")
        await asyncio.sleep(ASK_AGAIN_SECONDS + IDLE + 5)
        assert (world.listening, await daemon.ear()) == ([0], A)

    at(work)


def test_an_ear_that_lost_its_rights_without_a_word_is_found_out_in_ten_minutes() -> None:
    async def work(world: World) -> None:
        world.admin(0, 1)
        daemon = world.daemon(2)
        await daemon.start(A, B)
        await asyncio.sleep(5)
        world.admin(1)
        await asyncio.sleep(ASK_AGAIN_SECONDS + 5)
        assert (world.listening, await daemon.ear()) == ([1], B)

    at(work)


def test_asking_anew_is_cheap_and_does_not_interrupt_the_ear() -> None:
    async def work(world: World) -> None:
        world.admin(0)
        daemon = world.daemon(3, poll_timeout_seconds=50)
        await daemon.start(A, B, C)
        await asyncio.sleep(3600)
        asked = [what for _, _, what in world.telegram.asked]
        assert asked.count("hears_all") <= 3600 / ASK_AGAIN_SECONDS + 1
        assert asked.count("poll") <= 3600 / 50 + 1

    at(work)


def test_an_answer_that_does_not_come_changes_nothing() -> None:
    async def work(world: World) -> None:
        world.admin(0)
        daemon = world.daemon(2)
        await daemon.start(A, B)
        await asyncio.sleep(5)

        async def away() -> NotSent:
            return NotSent("connection refused")

        world.telegram.rights = away
        await asyncio.sleep(3 * ASK_AGAIN_SECONDS)
        assert (world.listening, await daemon.ear()) == ([0], A)

    _, logs = at(work)
    assert "ear.not_asked" not in [line["event"] for line in logs]


def test_a_question_about_rights_that_hangs_holds_nobody() -> None:
    """Neither the choice of other ears nor the round of the idle."""

    async def work(world: World) -> None:
        world.admin(0)
        daemon = world.daemon(3)
        await daemon.start(A)
        await asyncio.sleep(5)
        world.telegram.rights = hangs
        await daemon.take(B, C)
        await asyncio.sleep(IDLE + 5)
        assert world.telegram.polls(B) >= 1
        daemon.polling.drop(A)
        daemon.live.bots[A].held = False
        await asyncio.sleep(2 * EVERY_ALONE_SECONDS)
        assert world.listening == []

    at(work)


# --- the others (z)


def test_the_others_are_asked_once_in_their_time_spread_out_and_few_at_once() -> None:
    async def work(world: World) -> None:
        world.admin(0)
        daemon = world.daemon(61)
        world.telegram.latency = 20.0  # one after the other they would need 20 minutes
        await daemon.start(*range(FIRST, FIRST + 61))
        await asyncio.sleep(4 * IDLE)
        for number in range(1, 61):
            assert 3 <= world.telegram.polls(FIRST + number) <= 5
        assert 2 <= world.telegram.most <= AT_ONCE + 1
        assert world.telegram.doubles == 0

    at(work)


def test_a_new_round_time_holds_from_the_next_round() -> None:
    async def work(world: World) -> None:
        world.admin(0)
        daemon = world.daemon(2)
        await daemon.start(A, B)
        await asyncio.sleep(IDLE + 5)
        daemon.live.settings = settings_of(2, idle_poll_seconds=30)
        await asyncio.sleep(IDLE)
        before = world.telegram.polls(B)
        await asyncio.sleep(300)
        assert world.telegram.polls(B) - before == 10

    at(work)


def test_a_bot_that_comes_and_goes_is_not_asked_more_often() -> None:
    async def work(world: World) -> None:
        world.admin(0)
        daemon = world.daemon(2)
        await daemon.start(A, B)
        for _ in range(20):
            daemon.polling.drop(B)
            await daemon.leases.free([B])
            await daemon.take(B)
        before = world.telegram.polls(B)
        await asyncio.sleep(10 * IDLE)
        assert world.telegram.polls(B) - before <= 10

    at(work)


# --- a poller that dies (z)


def test_a_poller_that_dies_is_in_the_log_and_begun_again() -> None:
    async def work(world: World) -> None:
        world.admin(0)

        def fault(bot_id: int, wait: float) -> None:
            if 50 < world.clock.mono() < 90:
                raise TypeError("not a Bot API failure: Strange")

        world.telegram.fault = fault
        daemon = world.daemon(2)
        await daemon.start(A, B)
        await asyncio.sleep(200)
        world.telegram.say(A, "hâlâ orada mısın?")
        await asyncio.sleep(5)
        assert daemon.inbox.texts == ["hâlâ orada mısın?"]

    _, logs = at(work)
    assert {line["task"] for line in logs if line["event"] == "task.crashed"} == {f"poll {A}"}


# --- the lease (j, k)


@pytest.mark.parametrize("hook", [hangs, deaf(1.0), deaf(30.0)], ids=["hangs", "deaf", "very deaf"])
def test_a_lost_lease_ends_every_poll_and_a_new_one_begins_them_once(hook: Callable[[], Awaitable[object]]) -> None:
    """While the inbox waits for the store, too: its cancellation comes back as another error."""

    async def work(world: World) -> None:
        world.admin(0)
        daemon = world.daemon(3)
        await daemon.start(A, B, C)
        await asyncio.sleep(5)
        daemon.faults.before["*"] = hook
        daemon.inbox.hold = hook
        world.telegram.say(A, "soru")
        await asyncio.sleep(LEASE_SECONDS + 0.5)
        assert not daemon.leases.alive()
        assert world.listening == []
        assert not any(world.telegram.polling.values())
        asked = len(world.telegram.asked)
        await asyncio.sleep(100)
        assert len(world.telegram.asked) == asked
        daemon.faults.clear()
        daemon.inbox.hold = None
        await asyncio.sleep(40)
        assert daemon.leases.alive()
        await daemon.take(A, B, C)
        await asyncio.sleep(5)
        assert world.listening == [0]
        assert daemon.inbox.texts == ["soru"], "it was not confirmed"
        assert world.telegram.doubles == 0

    at(work)


def test_no_poll_is_begun_without_the_lease_though_nobody_took_the_bot_away() -> None:
    async def work(world: World) -> None:
        world.admin(0)
        daemon = world.daemon(2)
        daemon.drops = False
        await daemon.start(A, B)
        await asyncio.sleep(5)
        for bot in daemon.live.bots.values():
            world.telegram.say(bot.id)  # each poll ends, and the next would begin
        daemon.faults.before["beat"] = hangs
        daemon.faults.before["enter"] = hangs
        while daemon.leases.alive():
            world.telegram.say(A)
            await asyncio.sleep(0.5)
        asked = len(world.telegram.asked)
        for _ in range(100):
            world.telegram.say(A)
            await asyncio.sleep(1)
        assert len(world.telegram.asked) == asked
        daemon.faults.clear()
        await asyncio.sleep(40)
        await daemon.take(A, B)
        await asyncio.sleep(40)
        assert world.listening == [0]
        assert world.telegram.doubles == 0

    at(work)


def test_a_bot_taken_at_the_end_of_a_lease_that_is_prolonged_polls() -> None:
    async def work(world: World) -> None:
        world.admin(0)
        daemon = world.daemon(1)
        await daemon.start()
        daemon.faults.before["beat"] = hangs
        while daemon.leases.alive(0.7):
            await asyncio.sleep(0.1)
        await daemon.take(A)
        daemon.faults.clear()
        await daemon.leases.beat()
        await asyncio.sleep(10)
        assert world.listening == [0]
        assert world.telegram.polls(A) >= 1

    at(work)


def test_a_standby_leaves_the_ear_alone() -> None:
    async def work(world: World) -> None:
        world.admin(0)
        daemon, standby = world.daemon(1), world.daemon(1, name="b")
        await daemon.start(A)
        await standby.start(A)
        await asyncio.sleep(20)
        assert await daemon.ear() == A
        assert (daemon.faults.calls["set_ear"], standby.faults.calls["set_ear"]) == (1, 0)

    at(work)


def test_a_parked_bot_does_not_poll_until_its_token_is_renewed() -> None:
    async def work(world: World) -> None:
        world.admin(0, 1)
        world.telegram.fault = lambda bot_id, wait: BadToken() if bot_id == A and world.clock.mono() < 60 else None
        daemon = world.daemon(2)
        await daemon.start(A, B)
        await asyncio.sleep(30)
        assert (world.listening, await daemon.ear()) == ([1], B)
        asked = world.telegram.polls(A)
        await asyncio.sleep(2 * IDLE)
        assert world.telegram.polls(A) == asked
        daemon.live.bots[A].parked = ""
        await asyncio.sleep(2 * IDLE)
        assert world.telegram.polls(A) > asked

    at(work)


# --- several shards


def test_the_ear_of_a_killed_shard_is_replaced_within_five_seconds_of_its_lease() -> None:
    async def work(world: World) -> None:
        world.admin(0, 1)
        first, second = world.daemon(2, (0, 2)), world.daemon(2, (1, 2), "b")
        await first.start(A)
        await second.start(B)
        await asyncio.sleep(20)
        assert world.listening == [0]
        asked = second.faults.calls["bots"]
        await asyncio.sleep(300)
        assert second.faults.calls["bots"] - asked <= 11, "their rows are many"
        await first.kill()
        await asyncio.sleep(LEASE_SECONDS + 5)
        assert (world.listening, await second.ear()) == ([1], B)

    at(work)


def test_bots_that_changed_hands_do_not_make_the_ear_wander() -> None:
    async def work(world: World) -> None:
        world.admin(0)
        first, second = world.daemon(2, (0, 2)), world.daemon(2, (1, 2), "b")
        await first.start(A)
        await second.start(B)
        await asyncio.sleep(20)
        await first.kill()
        await asyncio.sleep(LEASE_SECONDS + 3)
        heir = world.daemon(2, (0, 2), "c")
        await heir.start(A)
        await asyncio.sleep(10)
        assert (world.listening, await heir.ear()) == ([0], A)
        moved = heir.faults.calls["set_ear"] + second.faults.calls["set_ear"]
        await asyncio.sleep(100)
        assert heir.faults.calls["set_ear"] + second.faults.calls["set_ear"] == moved

    at(work)


def test_a_store_that_is_away_is_told_once_and_keeps_the_ears_as_they_are() -> None:
    async def work(world: World) -> None:
        world.admin(0)
        daemon = world.daemon(2)
        await daemon.start(A, B)
        await asyncio.sleep(5)
        daemon.faults.before["chats"] = deaf(0.0)
        daemon.faults.before["set_offset"] = deaf(0.0)

        async def fails() -> None:
            from piyasad.store.interface import StoreError

            raise StoreError("away")

        daemon.faults.before["chats"] = daemon.faults.before["set_offset"] = fails
        for _ in range(20):
            world.telegram.say(A)
            await asyncio.sleep(3)
        assert world.listening == [0]
        assert len(daemon.inbox.texts) == 20
        daemon.faults.clear()
        world.telegram.say(A)
        await asyncio.sleep(5)

    _, logs = at(work)
    assert [line["event"] for line in logs if line["event"].startswith("polling")] == [
        "polling.store.down",
        "polling.store.up",
    ]
