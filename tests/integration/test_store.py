"""Every method of the store, on each PostgreSQL we promise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from piyasad.clock import SystemClock
from piyasad.model import BotRow, ChatRow, Claim, DaemonRow, Draft, Kind, Lease, Received, State, TurnTrace, Usage
from piyasad.store.postgres import PostgresStore

CHAT = -1001
BOT = 7
ALI = (BOT, "Ali", "ali_bot")


def daemon(name: str) -> DaemonRow:
    return DaemonRow(name, 1, 1, "host", 1, "hash", 0.0, True, "")


def draft(lease: Lease, text: str = "Merhaba", kind: Kind = Kind.TOPIC, **more: object) -> Draft:
    return Draft(lease.bot_id, lease.fence, CHAT, kind, text, "Ali", **more)  # type: ignore[arg-type]


@pytest.fixture
async def any_store(any_pg_dsn: str) -> AsyncIterator[PostgresStore]:
    store = await PostgresStore.connect(any_pg_dsn, SystemClock(), start_timeout=10.0)
    yield store
    await store.close()


async def enter_and_take(store: PostgresStore, name: str = "a") -> Lease:
    await store.enter(daemon(name), 60)
    [lease] = await store.take(name, [ALI])
    return lease


async def claim(store: PostgresStore, what: Draft) -> Claim:
    made = await store.claim(what)
    assert made is not None
    return made


def received(telegram_id: int, at: float, text: str = "Selam", chat_id: int = CHAT) -> Received:
    return Received(chat_id, telegram_id, 99, "Deniz", text, at, reply_to=None, thread_id=3)


async def test_a_claim_is_settled_and_shows_in_the_room(any_store: PostgresStore) -> None:
    lease = await enter_and_take(any_store)
    made = await claim(any_store, draft(lease, "Günaydın\0 😀", reply_to=4, thread_id=2, turn_id="t1"))
    assert await any_store.recent(CHAT, 10) == []
    assert await any_store.counts(0) == {"sending": 1}
    await any_store.settle(made, State.SENT, telegram_id=5, at=made.created_at + 1)
    [message] = await any_store.recent(CHAT, 10)
    assert (message.id, message.text, message.telegram_id, message.reply_to) == (made.id, "Günaydın 😀", 5, 4)
    assert (message.kind, message.bot_id, message.thread_id, message.at) == (Kind.TOPIC, BOT, 2, made.created_at + 1)
    assert await any_store.counts(0) == {"sent": 1}
    assert await any_store.counts(made.created_at + 60) == {}


async def test_failed_and_uncertain_claims_are_not_in_the_room(any_store: PostgresStore) -> None:
    lease = await enter_and_take(any_store)
    for state in (State.FAILED, State.UNCERTAIN):
        await any_store.settle(await claim(any_store, draft(lease)), state, reason="bir sebep")
    assert await any_store.recent(CHAT, 10) == []
    assert await any_store.tail([CHAT], 0) == []
    assert await any_store.counts(0) == {"failed": 1, "uncertain": 1}


async def test_a_settlement_ends_a_claim_once_and_proof_wins(any_store: PostgresStore) -> None:
    lease = await enter_and_take(any_store)
    first, second = await claim(any_store, draft(lease)), await claim(any_store, draft(lease))
    await any_store.settle(first, State.SENT, telegram_id=1)
    await any_store.settle(first, State.FAILED)
    await any_store.settle(second, State.UNCERTAIN)
    await any_store.settle(second, State.SENT, telegram_id=2)
    assert await any_store.counts(0) == {"sent": 2}


async def test_a_claim_needs_the_current_fence_and_an_owner(any_store: PostgresStore) -> None:
    lease = await enter_and_take(any_store)
    assert await any_store.claim(Draft(BOT, lease.fence - 1, CHAT, Kind.TOPIC, "x", "Ali")) is None
    assert await any_store.claim(Draft(404, 1, CHAT, Kind.TOPIC, "x", "Kimse")) is None
    await any_store.free("a", [BOT])
    assert await any_store.claim(draft(lease)) is None
    assert await any_store.counts(0) == {}


async def test_a_takeover_raises_the_fence_and_leaves_sending_rows_uncertain(any_store: PostgresStore) -> None:
    lease = await enter_and_take(any_store)
    made = await claim(any_store, draft(lease))
    assert await any_store.take("a", [ALI]) == []  # owned by a living daemon: ourselves
    await any_store.enter(daemon("b"), 60)
    assert await any_store.take("b", [ALI]) == []
    await any_store.enter(daemon("a"), -1)  # a's lease has ended
    [next_lease] = await any_store.take("b", [ALI])
    assert next_lease.fence == lease.fence + 1
    assert await any_store.counts(0) == {"uncertain": 1}
    assert await any_store.claim(draft(lease)) is None
    await any_store.settle(made, State.SENT, telegram_id=8)  # settling is not fenced: proof is proof
    assert await any_store.counts(0) == {"sent": 1}
    await claim(any_store, draft(next_lease))


async def test_a_lease_that_ran_out_is_not_prolonged(any_store: PostgresStore) -> None:
    await any_store.enter(daemon("a"), 60)
    assert await any_store.beat("a", 60)
    assert not await any_store.beat("nobody", 60)
    await any_store.enter(daemon("a"), -1)
    assert not await any_store.beat("a", 60)


async def test_leaving_frees_the_bots_and_keeps_the_summary(any_store: PostgresStore) -> None:
    await enter_and_take(any_store)
    assert await any_store.bots() == [BotRow(BOT, "Ali", "ali_bot", "a", True, 1, "active", "")]
    await any_store.leave("a", "12 gönderildi")
    assert await any_store.bots() == [BotRow(BOT, "Ali", "ali_bot", None, False, 1, "active", "")]
    [row] = await any_store.daemons()
    assert (row.id, row.alive, row.drain, row.config_hash) == ("a", False, "12 gönderildi", "hash")
    assert row.beat == pytest.approx(await any_store.now(), abs=30)


async def test_a_store_of_our_own_ends_every_other_lease(any_store: PostgresStore) -> None:
    await enter_and_take(any_store, "dead")
    await any_store.enter(daemon("new"), 60)
    assert await any_store.take("new", [ALI]) == []
    await any_store.expire_others("new")
    assert [lease.fence for lease in await any_store.take("new", [ALI])] == [2]
    assert await any_store.beat("new", 60)


async def test_a_bot_of_an_unknown_daemon_is_free(any_store: PostgresStore, any_pg_dsn: str) -> None:
    await enter_and_take(any_store)
    connection = await asyncpg.connect(any_pg_dsn)
    await connection.execute("DELETE FROM daemon")
    await connection.close()
    await any_store.enter(daemon("b"), 60)
    assert [lease.fence for lease in await any_store.take("b", [ALI])] == [2]


async def test_a_bots_state_offset_and_disclosure_are_kept(any_store: PostgresStore) -> None:
    lease = await enter_and_take(any_store)
    assert lease == Lease(BOT, 1, 0, "active", None)
    await any_store.set_bot_state(BOT, "parked", "401\0")
    await any_store.set_disclosed(BOT, 1_800_000_000.25)
    await any_store.set_offset(BOT, lease.fence, 55)
    await any_store.set_offset(BOT, lease.fence - 1, 66)  # an old fence's
    [row] = await any_store.bots()
    assert (row.state, row.state_reason) == ("parked", "401")
    await any_store.leave("a", "")
    await any_store.enter(daemon("b"), 60)
    [lease] = await any_store.take("b", [(BOT, "Ali Hoca", "ali_bot")])
    assert lease == Lease(BOT, 2, 55, "parked", 1_800_000_000.25)
    assert [row.name for row in await any_store.bots()] == ["Ali Hoca"]


async def test_a_chats_ear_and_notice_are_compared_and_set(any_store: PostgresStore) -> None:
    await any_store.ensure_chats([-2, CHAT])
    await any_store.ensure_chats([CHAT])
    await any_store.ensure_chats([])
    assert await any_store.set_ear(CHAT, None, BOT)
    assert not await any_store.set_ear(CHAT, None, 8)
    assert await any_store.set_ear(CHAT, BOT, None)
    assert await any_store.set_ear(CHAT, None, 8)
    assert await any_store.claim_notice(CHAT, 1000.0, 900.0)
    assert not await any_store.claim_notice(CHAT, 1010.0, 900.0)
    assert await any_store.claim_notice(CHAT, 2000.0, 1500.0)
    assert await any_store.chats() == [ChatRow(CHAT, 8, 2000.0), ChatRow(-2, None, None)]
    await any_store.rekey_chat(CHAT, -1009)
    await any_store.rekey_chat(CHAT, -1009)
    assert await any_store.chats() == [ChatRow(-1009, 8, 2000.0), ChatRow(-2, None, None)]


async def test_a_redelivered_message_is_stored_once(any_store: PostgresStore) -> None:
    now = float(int(await any_store.now()))
    first = await any_store.receive([received(1, now), received(2, now, "İkinci\0"), received(1, now)])
    assert [message is not None for message in first] == [True, True, False]
    assert await any_store.receive([received(2, now, "İkinci"), received(3, now)]) != [None, None]
    assert await any_store.receive([received(2, now)]) == [None]
    assert await any_store.receive([]) == []
    recent = await any_store.recent(CHAT, 10)
    assert [message.text for message in recent] == ["Selam", "İkinci", "Selam"]
    assert recent[0] == first[0]
    assert recent[0].is_person
    assert (recent[0].user_id, recent[0].thread_id, recent[0].at) == (99, 3, now)
    assert await any_store.counts(0) == {"received": 3}


async def test_a_message_that_cannot_be_stored_does_not_stop_the_others(any_store: PostgresStore) -> None:
    now = await any_store.now()
    stored = await any_store.receive([received(1, now), received(2**70, now), received(3, now)])
    assert [message is not None for message in stored] == [True, False, True]


async def test_an_edit_changes_a_members_text_only(any_store: PostgresStore) -> None:
    lease = await enter_and_take(any_store)
    made = await claim(any_store, draft(lease, "benim"))
    await any_store.settle(made, State.SENT, telegram_id=2)
    await any_store.receive([received(1, await any_store.now(), "eski")])
    await any_store.edit(CHAT, 1, "yeni\0")
    await any_store.edit(CHAT, 2, "olmaz")
    assert {message.text for message in await any_store.recent(CHAT, 5)} == {"yeni", "benim"}


async def test_the_newest_messages_come_oldest_first(any_store: PostgresStore) -> None:
    now = await any_store.now()
    await any_store.receive([received(number, now - 86400 * (5 - number)) for number in range(1, 6)])
    assert [message.telegram_id for message in await any_store.recent(CHAT, 3)] == [3, 4, 5]
    assert await any_store.recent(-5, 3) == []


async def test_a_witness_settles_what_is_uncertain(any_store: PostgresStore) -> None:
    lease = await enter_and_take(any_store)
    made = await claim(any_store, draft(lease, "Sakin gün", reply_to=3))
    await any_store.settle(made, State.UNCERTAIN)
    at = made.created_at
    assert not await any_store.witness(BOT, CHAT, 9, "Başka", 3, at)
    assert not await any_store.witness(BOT, CHAT, 9, "Sakin gün", None, at)
    assert not await any_store.witness(BOT, -2, 9, "Sakin gün", 3, at)
    assert not await any_store.witness(8, CHAT, 9, "Sakin gün", 3, at)
    assert not await any_store.witness(BOT, CHAT, 9, "Sakin gün", 3, at + 3600)
    assert await any_store.witness(BOT, CHAT, 9, "Sakin gün", 3, at)
    assert not await any_store.witness(BOT, CHAT, 9, "Sakin gün", 3, at)
    [message] = await any_store.recent(CHAT, 5)
    assert (message.id, message.telegram_id) == (made.id, 9)


async def test_a_witness_of_a_settled_message_settles_no_twin(any_store: PostgresStore) -> None:
    lease = await enter_and_take(any_store)
    sent, twin = await claim(any_store, draft(lease, "aynı")), await claim(any_store, draft(lease, "aynı"))
    await any_store.settle(sent, State.SENT, telegram_id=4)
    assert not await any_store.witness(BOT, CHAT, 4, "aynı", None, sent.created_at)
    assert await any_store.witness(BOT, CHAT, 5, "aynı", None, twin.created_at)


async def test_the_tail_shows_what_became_visible_since(any_store: PostgresStore) -> None:
    lease = await enter_and_take(any_store)
    before = await any_store.now()
    made = await claim(any_store, draft(lease))
    await any_store.receive([received(1, float(int(before)) - 3600), received(2, before, chat_id=-9)])
    middle = await any_store.now()
    await any_store.settle(made, State.SENT, telegram_id=3)
    assert [message.telegram_id for message in await any_store.tail([CHAT], before)] == [1, 3]
    assert [message.telegram_id for message in await any_store.tail([CHAT, -9], before)] == [1, 2, 3]
    assert [message.telegram_id for message in await any_store.tail([CHAT], middle)] == [3]
    assert [message.telegram_id for message in await any_store.tail([CHAT], before, limit=1)] == [3]
    assert await any_store.tail([CHAT], await any_store.now() + 1) == []


async def test_sends_are_what_may_have_reached_telegram(any_store: PostgresStore) -> None:
    lease = await enter_and_take(any_store)
    claims = [await claim(any_store, draft(lease, str(number))) for number in range(4)]
    states = (State.SENT, State.FAILED, State.UNCERTAIN)
    for made, state in zip(claims, states, strict=False):
        await any_store.settle(made, state, telegram_id=1 if state is State.SENT else None, at=made.created_at - 5)
    expected = [(BOT, CHAT, "topic", made.created_at) for made in (claims[0], claims[2], claims[3])]
    assert await any_store.sends([BOT], 0) == expected
    assert await any_store.sends([BOT], claims[2].created_at) == expected[1:]
    assert await any_store.sends([8], 0) == []


async def test_answers_to_members_are_found_with_who_they_answered(any_store: PostgresStore) -> None:
    lease = await enter_and_take(any_store)
    now = await any_store.now()
    await any_store.receive([received(1, float(int(now)))])
    [asked] = await any_store.recent(CHAT, 1)
    for kind, text, reply_to in (
        (Kind.ANSWER, "Olur", 1),
        (Kind.FIXED, "Dur", 1),
        (Kind.REPLY, "a", 1),
        (Kind.ANSWER, "b", 9),
    ):
        made = await claim(any_store, draft(lease, text, kind=kind, reply_to=reply_to))
        await any_store.settle(made, State.SENT, telegram_id=made.id + 100)
    found = await any_store.answers([BOT], now - 60, "Dur")
    assert [(user, polite) for user, _, polite in sorted(found, key=lambda row: row[1])] == [
        (asked.user_id, False),
        (asked.user_id, True),
    ]
    assert all(abs(at - now) < 60 for _, at, _ in found)
    assert await any_store.answers([8], now - 60, "Dur") == []
    assert await any_store.answers([BOT], now + 60, "Dur") == []


async def test_a_stimulus_is_taken_by_exactly_one_until_given_back(any_store: PostgresStore) -> None:
    await any_store.enter(daemon("a"), 60)
    await any_store.take("a", [ALI, (8, "Ayşe", "ayse_bot")])
    now = float(int(await any_store.now()))
    [message] = await any_store.receive([received(1, now)])
    assert message is not None
    assert await any_store.open_stimulus(CHAT, 1, 0, message.id, now)
    assert not await any_store.open_stimulus(CHAT, 1, 0, message.id, now)
    [stimulus] = await any_store.open_stimuli([BOT], now - 60)
    assert (stimulus.chat_id, stimulus.telegram_id, stimulus.slot, stimulus.message) == (CHAT, 1, 0, message)
    assert await any_store.open_stimuli([BOT], now + 60) == []
    tries = [any_store.take_stimulus(CHAT, 1, 0, bot) for bot in (BOT, 8, BOT, 8)]
    assert sorted(await asyncio.gather(*tries)) == [False, False, False, True]
    assert await any_store.open_stimuli([BOT, 8], now - 60) == []
    await any_store.close_stimulus(CHAT, 1, 0, "open")
    assert await any_store.take_stimulus(CHAT, 1, 0, 8)
    assert not await any_store.take_stimulus(CHAT, 1, 0, 404)
    await any_store.close_stimulus(CHAT, 1, 0, "answered")
    assert not await any_store.take_stimulus(CHAT, 1, 0, 8)
    assert await any_store.open_stimuli([BOT, 8], now - 60) == []
    await any_store.close_stimulus(CHAT, 1, 0, "open")  # answered stays answered
    assert not await any_store.take_stimulus(CHAT, 1, 0, 8)


async def test_a_stimulus_of_a_dead_fence_is_open_again(any_store: PostgresStore, any_pg_dsn: str) -> None:
    await enter_and_take(any_store)
    now = float(int(await any_store.now()))
    [message] = await any_store.receive([received(1, now)])
    assert message is not None
    await any_store.open_stimulus(CHAT, 1, BOT, message.id, now)
    await any_store.open_stimulus(CHAT, 1, 8, message.id, now)
    assert await any_store.take_stimulus(CHAT, 1, BOT, BOT)
    other = await PostgresStore.connect(any_pg_dsn, SystemClock())
    await other.enter(daemon("b"), 60)
    await other.enter(daemon("a"), -1)
    await other.take("b", [ALI])
    assert [stimulus.slot for stimulus in await other.open_stimuli([BOT], now - 60)] == [BOT]
    assert await other.take_stimulus(CHAT, 1, BOT, BOT)
    await any_store.close_stimulus(CHAT, 1, BOT, "open")  # the old owner has nothing to give back
    assert not await other.take_stimulus(CHAT, 1, BOT, BOT)
    await other.close()


async def test_traces_and_usage_are_written_in_the_background(any_store: PostgresStore, any_pg_dsn: str) -> None:
    hour = 1_800_000_000.0 - 1_800_000_000.0 % 3600
    await any_store.record_turns([TurnTrace("t1", BOT, CHAT, hour, "reply", "sent", {"not": "ş\0", "x": float("inf")})])
    await any_store.record_turns(
        [TurnTrace(f"t{n}", BOT, CHAT, 2.0**200 if n == 3 else hour, "", "", {}) for n in (2, 3)]
    )
    await any_store.add_usage([Usage("groq", "key", "m", hour + 5, 1, 100, 50, 10, 0.5)])
    await any_store.add_usage([Usage("groq", "key", "m", hour + 3599, 2, 1, 1, 1, 0.25)])
    assert await any_store.usage(hour) == [Usage("groq", "key", "m", hour, 3, 101, 51, 11, 0.75)]
    await any_store.add_usage(
        [Usage("groq", "key", "m", hour, 1, 0, 0, 0, 0.0), Usage("x", "", "m", hour, 2**70, 0, 0, 0, 0)]
    )
    assert [usage.requests for usage in await any_store.usage(0)] == [4]
    assert await any_store.usage(hour + 3600) == []
    connection = await asyncpg.connect(any_pg_dsn)
    rows = await connection.fetch("SELECT id, detail->>'not' AS d FROM turn ORDER BY id")
    tokens = await connection.fetchval("SELECT tokens FROM usage")
    await connection.close()
    assert [(row["id"], row["d"]) for row in rows] == [("t1", "ş"), ("t2", None)]
    assert tokens == 112
    assert any_store.writer.deferred.dropped == 1
