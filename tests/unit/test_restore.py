"""After a start and a takeover bots know what they said before, as often as they are taken, and nobody waits for it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from piyasad.behaviour.delays import HOUR
from piyasad.bots.restore import BOTS_AT_ONCE, remind, restore
from piyasad.bots.state import BotState
from piyasad.model import Draft, Kind, Said, State
from tests.cases import CHAT
from tests.turn_kit import ALI, AYSE, Daemon, Scene, on_daemon, scene, settings

LIMITED = settings(pace={"typing": False, "chat_per_minute": 6, "hourly_limit": {"min": 12, "max": 12}})


async def wrote(
    here: Daemon, text: str, *, ago: float, bot_id: int = ALI, kind: Kind = Kind.CONTINUE, **keys: Any
) -> None:
    """A row of the ledger that was sent so long ago."""
    draft = Draft(bot_id, here.bot(bot_id).fence, CHAT, kind, text, "Ali", **keys)
    claim = await here.store.claim(draft)
    assert claim is not None
    row = here.database.ledger.rows[claim.id]
    row.created_at = here.clock.wall() - ago
    await here.store.settle(claim, State.SENT, telegram_id=1000 + claim.id, at=here.clock.wall() - ago)


def memory(bot: BotState, here: Daemon) -> tuple[Any, ...]:
    """All that a bot knows of itself."""
    return bot.hourly.used(here.clock.wall()), dict(bot.said), list(bot.short), bot.since_refresh, bot.refreshed_at


async def a_morning(here: Daemon) -> None:
    """Ali talks for some hours: much more than a room's window shows."""
    for number in range(300):
        await wrote(here, f"Bu sabah {number} numaralı uzun cümlem budur", ago=11 * HOUR - 60 * number)
    await wrote(here, "Evet doğru", ago=1800)
    await wrote(here, "Persona yeniden söylendi bu satırda", ago=1700, restated=True)
    await wrote(here, "Sonra bunu da söyledim size", ago=40)
    await wrote(here, "Notice", ago=30, kind=Kind.NOTICE)
    await wrote(here, "Ben bir botum", ago=20, kind=Kind.FIXED)
    await wrote(here, "Yarın konuşuruz", ago=10, kind=Kind.POLITE)


def test_a_restart_forgets_nothing_that_a_bot_said() -> None:
    async def work(here: Scene) -> None:
        first = await here.daemon(given=LIMITED).start()
        await a_morning(first)
        await first.kill()
        second = await here.daemon(name="b", given=LIMITED).start()
        bot, now = second.bot(), here.clock.wall()
        assert bot.hourly.used(now) == 4  # the notice and the fixed text are outside of it
        assert len(bot.said) == 303
        assert "bu sabah 0 numarali uzun cumlem budur" in bot.said  # far beyond the 200 lines of the room
        assert list(bot.said.values()) == sorted(bot.said.values())
        assert bot.short == [pytest.approx(now - 1800, abs=1)]
        assert bot.since_refresh == 1
        assert bot.refreshed_at == pytest.approx(now - 1700, abs=1)
        assert memory(second.bot(AYSE), second) == (0, {}, [], 0, 0.0)

    scene(work)


def test_taking_a_bot_again_counts_nothing_twice() -> None:
    async def work(here: Daemon) -> None:
        await a_morning(here)
        await restore(here.live, here.store, here.slots, here.clock, [ALI, AYSE])
        once = memory(here.bot(), here)
        free = here.chat.limit.earliest(here.clock.mono())
        for _ in range(3):
            await restore(here.live, here.store, here.slots, here.clock, [ALI])
        assert memory(here.bot(), here) == once
        assert here.chat.limit.earliest(here.clock.mono()) == free

    on_daemon(work, given=LIMITED)


def test_what_a_running_bot_knows_is_what_a_restart_would_tell_it() -> None:
    async def work(here: Daemon) -> None:
        for number in range(3):
            await here.say(f"@ali_hoca_bot soru {number}?", user=600 + number)
            await asyncio.sleep(20)
        live = memory(here.bot(), here)
        await restore(here.live, here.store, here.slots, here.clock, [ALI])
        told = memory(here.bot(), here)
        assert live[0] == told[0] == 3
        assert list(live[1]) == list(told[1])
        assert live[3] == told[3]
        assert live[4] == pytest.approx(told[4], abs=2)

    on_daemon(work)


def test_the_chats_pace_is_that_of_all_bots_that_we_hold() -> None:
    async def work(here: Daemon) -> None:
        for bot_id in (ALI, AYSE):
            await wrote(here, "Bir", ago=30, bot_id=bot_id)
            await wrote(here, "İki", ago=20, bot_id=bot_id)
        await wrote(here, "Ben bir botum", ago=10, kind=Kind.FIXED)
        await restore(here.live, here.store, here.slots, here.clock, [ALI])
        now = here.clock.mono()
        assert here.chat.limit.earliest(now) == pytest.approx(now + 30, abs=0.2)  # four of the four unprompted slots
        assert here.chat.limit.earliest(now, urgent=True) == now

    on_daemon(work, given=LIMITED)


def test_what_was_answered_or_may_have_been_is_answered_after_a_takeover_too() -> None:
    async def work(here: Daemon) -> None:
        await wrote(here, "Bir", ago=30, reply_to=7)
        claim = await here.store.claim(Draft(ALI, here.bot().fence, CHAT, Kind.REPLY, "İki", "Ali", reply_to=8))
        assert claim is not None
        await here.store.settle(claim, State.UNCERTAIN)
        await restore(here.live, here.store, here.slots, here.clock, [ALI])
        assert list(here.chat.claimed) == [7, 8]

    on_daemon(work)


def test_telegrams_windows_are_refilled() -> None:
    async def work(here: Daemon) -> None:
        here.slots._limits.change(30, 1, 3, 0.0)
        for ago in (30, 20, 10):
            await wrote(here, "Bir", ago=ago)
        for _ in range(2):
            await restore(here.live, here.store, here.slots, here.clock, [ALI])
        now = here.clock.mono()
        assert here.slots._limits.wait(ALI, CHAT, now) == pytest.approx(31, abs=0.2)
        assert here.slots._limits.wait(AYSE, CHAT, now) == 0

    on_daemon(work)


def test_a_daemon_that_stood_by_hears_what_was_said_meanwhile() -> None:
    async def work(here: Scene) -> None:
        first = await here.daemon(name="a").start(ALI)
        standby = await here.daemon(name="b").start(AYSE)
        asked = await first.say("@ali_hoca_bot enflasyon düşer mi?")
        await asyncio.sleep(10)
        assert len(standby.chat.room) == 0
        here.database.daemons["a"].expiry = here.clock.wall()
        await standby.take(ALI)
        assert [line.message.text for line in standby.chat.room.view().lines][-2:] == [
            "@ali_hoca_bot enflasyon düşer mi?",
            "Satır 1.",
        ]
        assert asked in standby.chat.claimed

    scene(work)


def test_a_group_that_moved_keeps_the_pace_of_its_old_id() -> None:
    async def work(here: Daemon) -> None:
        for ago in (50, 40, 30, 20):
            await wrote(here, "Bir", ago=ago)
        here._migrated(CHAT, CHAT - 7)
        await restore(here.live, here.store, here.slots, here.clock, [ALI])
        assert here.chat.limit.earliest(here.clock.mono()) > here.clock.mono()

    on_daemon(work, given=LIMITED)


def test_giving_many_bots_what_they_said_lets_the_loop_turn() -> None:
    """Work grows with the rows, not with chats times bots times sends; between two bots others have their turn."""

    async def work(here: Daemon) -> None:
        template = here.bot()
        for number in range(1000):
            here.live.bots[number] = replace(template, id=number, said={}, short=[])
        rows = [
            Said(number, CHAT, Kind.CONTINUE, f"{number} numaralı botun {line} satırı burada", here.clock.wall() - 60 * line, False)
            for number in range(1000)
            for line in range(12)
        ]  # fmt: skip
        by_bot = {number: rows[number * 12 : number * 12 + 12] for number in range(1000)}

        async def said(bot_ids: Any, since: float) -> list[Said]:
            asked.append(len(bot_ids))
            return [row for bot_id in bot_ids for row in by_bot.get(bot_id, ()) if row.at >= since]

        asked: list[int] = []
        here.store.__dict__["said"] = said
        turns = 0
        task = asyncio.create_task(restore(here.live, here.store, here.slots, here.clock, range(1000)))
        while not task.done():
            await asyncio.sleep(0)
            turns += 1
        await task
        assert len(here.live.bots[999].said) == 12
        assert turns > 1000
        assert asked == [BOTS_AT_ONCE] * (1000 // BOTS_AT_ONCE) + [1002]  # and once for the chats' pace

    on_daemon(work)


def test_a_reminder_takes_the_place_of_what_was_there() -> None:
    async def work(here: Daemon) -> None:
        bot, now = here.bot(), here.clock.wall()
        bot.remember("eski", now, HOUR)
        bot.hourly.record(now)
        bot.since_refresh, bot.refreshed_at = 7, now
        remind(bot, [Said(ALI, CHAT, Kind.TOPIC, "Yeni bir cümle", now - 5, False)], now, 12 * HOUR)
        assert list(bot.said) == ["yeni bir cumle"]
        assert bot.hourly.used(now) == 1
        assert bot.since_refresh == 1

    on_daemon(work)
