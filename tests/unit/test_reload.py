"""A reload is planned, prepared, committed: whatever goes wrong before the commit leaves everything as it was."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import structlog.testing

from piyasad.metrics import Metrics
from piyasad.store.interface import StoreError
from tests.cases import CHAT
from tests.faulty import fails, hangs
from tests.house_kit import FILE, NAMES, Home, at_home, bots, changed

ALI, AYSE, MEHMET, ZEYNEP = NAMES
FASTER = changed(pace={"mean_delay_seconds": 10})


async def until_its_bound() -> None:
    """A server that does not answer: the store gives the call up."""
    await asyncio.sleep(15)
    raise StoreError("no answer in time")


def successful(metrics: Metrics) -> float:
    value: float = metrics.reload_successful._value.get()
    return value


def as_it_was(home: Home) -> tuple[Any, ...]:
    """What a refused reload must not touch."""
    live, pool = home.house.live, home.house.pool
    loops = [pool.loop(bot_id) for bot_id in live.bots]
    return live.settings, dict(live.bots), dict(live.chats), loops, sorted(pool.held)


@pytest.mark.parametrize("trouble", [fails, hangs], ids=["fails", "hangs"])
def test_a_reload_while_the_store_is_away_changes_nothing_and_ends_nothing(trouble: Any) -> None:
    async def work(home: Home) -> tuple[bool, bool, float]:
        before = as_it_was(home)
        home.faults.before["ensure_chats"] = trouble
        asked = asyncio.create_task(home.reload(FASTER))
        await asyncio.sleep(5)
        if trouble is hangs:
            asked.cancel()  # the store's own bound gives up in the end; the daemon is asked to stop meanwhile
            await asyncio.wait({asked})
            refused = False
        else:
            refused = not await asked
        return refused or trouble is hangs, as_it_was(home) == before, successful(home.metrics[0])

    refused, untouched, gauge = at_home(work)
    assert refused
    assert untouched
    assert gauge == (0 if trouble is fails else 1)


def test_an_unchanged_file_is_taken_and_restarts_nobody() -> None:
    async def work(home: Home) -> bool:
        before = as_it_was(home)[1:]
        assert await home.reload(FILE)
        return as_it_was(home)[1:] == before

    assert at_home(work)


def test_bots_that_are_not_concerned_keep_their_loop_and_their_due_time() -> None:
    async def work(home: Home) -> tuple[bool, bool]:
        pool, ali, ayse = home.house.pool, home.id(ALI), home.id(AYSE)
        loops = pool.loop(ali), pool.loop(ayse)
        due = loops[1].due if loops[1] is not None else 0.0
        new = changed(bots=bots(*NAMES, persona={"hint": "başka biri"}))
        assert await home.reload(new)
        kept = pool.loop(ayse)
        return pool.loop(ali) is not loops[0], kept is loops[1] and kept is not None and kept.due == due

    assert at_home(work) == (True, True)


def test_a_bot_taken_while_a_reload_waits_for_the_store_is_no_error() -> None:
    async def work(home: Home) -> tuple[bool, bool, bool]:
        gate = asyncio.Event()
        home.faults.before["ensure_chats"] = gate.wait
        asked = asyncio.create_task(home.reload(changed(bots=bots(ALI, AYSE, MEHMET))))
        await asyncio.sleep(1)
        home.engine._lease_lost()  # meanwhile every bot is lost and taken again, the removed one too
        home.house.leases._lose()
        home.house.leases._lapsed = False
        await home.house.leases.enter(alone=False)
        await asyncio.sleep(30)
        gate.set()
        done = await asked
        await asyncio.sleep(30)
        return done, home.id(ZEYNEP) in home.house.pool.held, not home.living.done()

    done, still_held, lives = at_home(work)
    assert done
    assert not still_held
    assert lives


def test_a_question_that_waits_for_a_bot_that_changes_is_answered() -> None:
    async def work(home: Home) -> list[int | None]:
        asked = home.say("@ali_hoca_bot enflasyon düşer mi?")
        await asyncio.sleep(2.9)  # its run has ended about now, its turn begins
        assert await home.reload(changed(bots=bots(*NAMES, persona={"hint": "başka biri"})))
        during = home.say("@ali_hoca_bot peki faiz ne olur?", who="Ece")
        await asyncio.sleep(60)
        return [line.reply_to for line in home.lines(ALI) if line.reply_to in {asked, during}]

    assert len(at_home(work, settle=120)) == 2


def test_a_file_that_leaves_nobody_to_speak_is_refused() -> None:
    async def work(home: Home) -> list[bool]:
        before = as_it_was(home)
        files = [changed(bots=[]), changed(chats=[]), changed(bots=bots(ALI, enabled=False)), "[[bots"]
        return [not await home.reload(file) and as_it_was(home) == before for file in files]

    assert at_home(work) == [True] * 4


def test_a_refusal_says_that_the_old_configuration_stays() -> None:
    async def work(home: Home) -> list[Any]:
        with structlog.testing.capture_logs() as told:
            await home.reload(changed(bots=[]))
        return [row for row in told if row["event"] == "reload.refused"]

    [row] = at_home(work)
    assert row["log_level"] == "error"
    assert row["note"] == "the old configuration stays"


def test_a_key_that_needs_a_restart_refuses_the_whole_file_and_is_named() -> None:
    async def work(home: Home) -> tuple[bool, str, float]:
        with structlog.testing.capture_logs() as told:
            done = await home.reload(changed(telegram={"mode": "webhook"}, pace={"mean_delay_seconds": 10}))
        [row] = [row for row in told if row["event"] == "reload.refused"]
        return done, row["key"], home.house.live.settings.pace.mean_delay_seconds

    done, key, mean = at_home(work)
    assert not done
    assert key == "telegram.mode"
    assert mean == 20


def test_hourly_limits_telegrams_limits_and_poll_times_take_effect() -> None:
    async def work(home: Home) -> tuple[int, float, float]:
        assert await home.reload(
            changed(
                pace={"hourly_limit": {"min": 7, "max": 7}},
                telegram={"per_group_per_minute": 3, "poll_timeout_seconds": 12},
            )
        )
        house, ali = home.house, home.house.live.bots[home.id(ALI)]
        before = len(home.outside.telegram.polls)
        await asyncio.sleep(120)
        polls = [poll for poll in home.outside.telegram.polls[before:] if poll.ended is not None]
        longest = max(poll.ended - poll.began for poll in polls if poll.ended is not None)
        now = home.clock.mono()
        for n in range(3):
            house.limits.take(ali.id, -77, now + 2.0 * n)
        return ali.hourly.cap(home.clock.wall()), longest, house.limits.wait(ali.id, -77, now + 6)

    cap, longest, wait = at_home(work)
    assert cap == 7
    assert longest <= 13
    assert wait > 50


def test_a_token_of_another_account_is_refused_and_one_that_telegram_refuses_too() -> None:
    async def work(home: Home) -> list[bool]:
        before = as_it_was(home)
        stranger = changed(bots=bots(*NAMES, username="somebody_else_bot"))
        results = [not await home.reload(stranger) and as_it_was(home) == before]
        world = home.outside.telegram.world
        # an account that nobody knows of: its token is refused
        nobody = bots(*NAMES)
        nobody.append({"name": "Kemal Usta", "username": "kemal_usta_bot", "token_env": "K", "chats": [CHAT]})
        assert all(bot.username != "kemal_usta_bot" for bot in world.bots.values())
        results.append(not await home.reload(changed(bots=nobody)) and as_it_was(home) == before)
        return results

    assert at_home(work) == [True, True]


def test_a_removed_bot_ends_its_turn_and_is_given_up_and_comes_back() -> None:
    async def work(home: Home) -> tuple[bool, bool, int]:
        assert await home.reload(changed(bots=bots(ALI, AYSE, MEHMET)))
        await asyncio.sleep(90)
        gone = home.id(ZEYNEP) not in home.house.pool.held
        before = len(home.lines(ZEYNEP))
        assert await home.reload(FILE)
        await asyncio.sleep(600)
        return gone, home.id(ZEYNEP) in home.house.pool.held, len(home.lines(ZEYNEP)) - before

    gone, back, said = at_home(work)
    assert gone
    assert back
    assert said > 0


def test_retaking_a_bot_sets_its_counts_and_adds_nothing() -> None:
    async def work(home: Home) -> tuple[int, int]:
        ali = home.house.live.bots[home.id(ALI)]
        before = ali.hourly.used(home.clock.wall())
        for _ in range(3):
            home.house.leases._lose()
            home.house.leases._lapsed = False
            await home.house.leases.enter(alone=False)
            await asyncio.sleep(1.5)
        lines = len(home.lines(ALI))
        return ali.hourly.used(home.clock.wall()), max(before, lines)

    used, said = at_home(work, settle=600)
    assert said > 1
    assert used <= said


def test_a_lease_lost_while_the_store_hangs_ends_nothing_and_the_bots_come_back() -> None:
    async def work(home: Home) -> tuple[bool, int, bool]:
        home.faults.before["*"] = until_its_bound
        await asyncio.sleep(40)
        lost = not home.house.pool.held
        home.faults.clear()
        await asyncio.sleep(60)
        return lost, len(home.house.pool.held), not home.living.done()

    assert at_home(work) == (True, 4, True)
