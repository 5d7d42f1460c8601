"""What every store does with daemons, chats, the ledger and figures: in memory and on each PostgreSQL we promise."""

from __future__ import annotations

import pytest

from piyasad.clock import DAY
from piyasad.model import BotRow, ChatRow, Draft, Kind, Lease, Lesson, Received, Said, State, TurnTrace, Usage
from piyasad.store.interface import NOTICE_AGAIN_SECONDS, NOTICE_SECONDS, StoreError
from tests.fixtures.store import ALI, AYSE, BOT, CHAT, USER, Database, claim, daemon, draft, receive

# --- daemons and leases


async def test_a_lease_runs_out_by_the_stores_clock_and_is_not_prolonged_then(database: Database) -> None:
    store, _ = await database.daemon("a", ttl=9)
    await database.advance(8)
    assert await store.beat("a", 9)
    assert not await store.beat("nobody", 9)
    await database.advance(9)
    assert not await store.beat("a", 9)
    assert [row.alive for row in await store.daemons()] == [False]
    await store.enter(daemon("a"), 9)
    assert await store.beat("a", 9)


async def test_bots_of_a_living_daemon_are_not_taken_and_those_of_a_dead_one_are(database: Database) -> None:
    first, [lease] = await database.daemon("a", ALI, ttl=9)
    assert lease == Lease(BOT, 1, 0, "active", None)
    assert await first.take("a", [ALI]) == []  # owned by a living daemon: ourselves
    second, leases = await database.daemon("b", ALI, AYSE)
    assert [(lease.bot_id, lease.fence) for lease in leases] == [(8, 1)]
    await database.advance(9)
    assert [lease.fence for lease in await second.take("b", [ALI])] == [2]
    assert [(row.id, row.owner, row.alive) for row in await first.bots()] == [(BOT, "b", True), (8, "b", True)]


async def test_a_standby_knows_when_the_bots_will_be_free(database: Database) -> None:
    owner, _ = await database.daemon("a", ALI, ttl=9)
    standby, _ = await database.daemon("b")
    assert await standby.free_in([BOT, 8]) == 9
    assert await standby.free_in([8]) is None
    assert await standby.free_in([]) is None
    assert await owner.free_in([BOT]) is None  # ours
    await database.advance(5)
    assert await standby.free_in([BOT]) == 4
    await database.advance(5)
    assert await standby.free_in([BOT]) == 0
    await owner.free("a", [BOT])
    assert await standby.free_in([BOT]) is None


async def test_leaving_frees_the_bots_and_keeps_the_summary_and_the_report(database: Database) -> None:
    store, _ = await database.ali()
    await store.report("a", {"gateway": {"stretch": 1.5}})
    assert await store.bots() == [BotRow(BOT, "Ali", "ali_bot", "a", True, 1, "active", "")]
    await store.leave("a", "12 gönderildi")
    assert await store.bots() == [BotRow(BOT, "Ali", "ali_bot", None, False, 1, "active", "")]
    [row] = await store.daemons()
    assert (row.id, row.alive, row.drain, row.config_hash) == ("a", False, "12 gönderildi", "hash")
    assert (row.shard, row.shards, row.beat) == (0, 1, await store.now())
    assert row.report == {"gateway": {"stretch": 1.5}}


async def test_daemons_not_seen_for_a_day_are_not_listed_and_the_newest_comes_first(database: Database) -> None:
    store, _ = await database.daemon("old")
    await database.advance(DAY / 2)
    await store.enter(daemon("b"), 60)
    await store.enter(daemon("a"), 60)
    assert [row.id for row in await store.daemons()] == ["a", "b", "old"]
    await database.advance(DAY / 2)
    assert [row.id for row in await store.daemons()] == ["a", "b"]


async def test_a_store_of_our_own_ends_every_other_lease(database: Database) -> None:
    await database.daemon("dead", ALI)
    store, leases = await database.daemon("new", ALI)
    assert leases == []
    await store.expire_others("new")
    assert [lease.fence for lease in await store.take("new", [ALI])] == [2]
    assert await store.beat("new", 60)


async def test_a_bots_state_offset_and_disclosure_are_kept(database: Database) -> None:
    store, lease = await database.ali()
    await store.set_bot_state(BOT, "parked", "401\0")
    await store.set_disclosed(BOT, 1_800_000_000.25)
    await store.set_offset(BOT, lease.fence, 55)
    await store.set_offset(BOT, lease.fence - 1, 66)  # an old fence's
    for unknown in (store.set_bot_state(404, "x", ""), store.set_disclosed(404, 1.0), store.set_offset(404, 1, 1)):
        await unknown
    [row] = await store.bots()
    assert (row.state, row.state_reason) == ("parked", "401")
    await store.leave("a", "")
    _, [lease] = await database.daemon("b", (BOT, "Ali Hoca", "ali_bot"))
    assert lease == Lease(BOT, 2, 55, "parked", 1_800_000_000.25)
    assert [row.name for row in await store.bots()] == ["Ali Hoca"]


# --- chats and their notice


async def test_a_chats_ear_is_compared_and_set(database: Database) -> None:
    store = await database.store()
    await store.ensure_chats([-2, CHAT])
    await store.ensure_chats([CHAT])
    await store.ensure_chats([])
    assert await store.set_ear(CHAT, None, BOT)
    assert not await store.set_ear(CHAT, None, 8)
    assert await store.set_ear(CHAT, BOT, None)
    assert await store.set_ear(CHAT, None, 8)
    assert not await store.set_ear(-404, None, 8)
    assert await store.chats() == [ChatRow(CHAT, 8, None), ChatRow(-2, None, None)]


async def test_a_notice_is_known_to_be_posted_when_its_row_is_settled(database: Database) -> None:
    store, lease = await database.ali()
    await store.ensure_chats([CHAT])
    now = await store.now()
    assert not await store.claim_notice(-404, now, now - DAY)
    assert await store.claim_notice(CHAT, now, now - DAY)
    assert not await store.claim_notice(CHAT, now + 1, now + 1 - DAY)
    made = await claim(store, draft(lease, "Bu grupta botlar konuşur.", Kind.NOTICE))
    assert await store.chats() == [ChatRow(CHAT, None, now, None)]
    await store.settle(made, State.SENT, telegram_id=31)
    assert await store.chats() == [ChatRow(CHAT, None, now, 31)]
    assert not await store.claim_notice(CHAT, now + 2 * NOTICE_SECONDS, now + 2 * NOTICE_SECONDS - DAY)
    assert await store.claim_notice(CHAT, now + DAY + 1, now + 1)


async def test_a_notice_that_is_not_known_to_be_posted_after_a_minute_is_posted_by_another(database: Database) -> None:
    store, lease = await database.ali()
    await store.ensure_chats([CHAT])
    now = await store.now()
    assert await store.claim_notice(CHAT, now, now - DAY)
    made = await claim(store, draft(lease, "x", Kind.NOTICE))
    await store.settle(made, State.UNCERTAIN)
    assert not await store.claim_notice(CHAT, now + NOTICE_SECONDS, now + NOTICE_SECONDS - DAY)
    assert await store.claim_notice(CHAT, now + NOTICE_SECONDS + 1, now + NOTICE_SECONDS + 1 - DAY)
    assert not await store.claim_notice(CHAT, now + NOTICE_SECONDS + 2, now + NOTICE_SECONDS + 2 - DAY)


async def test_a_first_notice_that_failed_is_due_at_once(database: Database) -> None:
    store, lease = await database.ali()
    await store.ensure_chats([CHAT])
    now = await store.now()
    assert await store.claim_notice(CHAT, now, now - DAY)
    await store.settle(await claim(store, draft(lease, "x", Kind.NOTICE)), State.FAILED)
    assert await store.chats() == [ChatRow(CHAT, None, None, None)]
    assert await store.claim_notice(CHAT, now + 1, now + 1 - DAY)


async def test_a_renewal_that_failed_is_tried_again_after_ten_minutes(database: Database) -> None:
    store, lease = await database.ali()
    await store.ensure_chats([CHAT])
    now = await store.now()
    await store.claim_notice(CHAT, now - DAY - 5, 0)
    await store.settle(await claim(store, draft(lease, "x", Kind.NOTICE)), State.SENT, telegram_id=31)
    assert await store.claim_notice(CHAT, now, now - DAY)
    await store.settle(await claim(store, draft(lease, "x", Kind.NOTICE)), State.FAILED)
    again = now + NOTICE_AGAIN_SECONDS
    assert not await store.claim_notice(CHAT, again, again - DAY)
    assert await store.claim_notice(CHAT, again + 1, again + 1 - DAY)
    [row] = await store.chats()
    assert row.notice_message_id == 31


async def test_a_witness_of_a_notice_knows_it_to_be_posted(database: Database) -> None:
    store, lease = await database.ali()
    await store.ensure_chats([CHAT])
    await store.claim_notice(CHAT, await store.now(), 0)
    made = await claim(store, draft(lease, "x", Kind.NOTICE))
    await store.settle(made, State.UNCERTAIN)
    assert await store.witness(BOT, CHAT, 9, "x", None, made.created_at)
    assert [row.notice_message_id for row in await store.chats()] == [9]


async def test_a_migrated_group_keeps_its_settings(database: Database) -> None:
    store, lease = await database.ali()
    await store.ensure_chats([CHAT])
    await store.set_ear(CHAT, None, BOT)
    await store.claim_notice(CHAT, 2000.0, 0)
    await store.settle(await claim(store, draft(lease, "x", Kind.NOTICE)), State.SENT, telegram_id=31)
    for _ in range(2):
        await store.rekey_chat(CHAT, -1009)
        assert await store.chats() == [ChatRow(-1009, BOT, 2000.0, 31)]
    await store.ensure_chats([CHAT])
    await store.claim_notice(CHAT, 1000.0, 0)
    await store.rekey_chat(CHAT, -1009)
    assert await store.chats() == [ChatRow(-1009, BOT, 2000.0, 31)]


async def test_a_notice_of_a_chat_that_is_not_known_yet_is_not_lost(database: Database) -> None:
    store, lease = await database.ali()
    made = await claim(store, draft(lease, "x", Kind.NOTICE))  # sent to a group's new id, before it was moved there
    await store.settle(made, State.SENT, telegram_id=31)
    assert await store.chats() == [ChatRow(CHAT, None, None, 31)]


# --- the ledger


async def test_a_claim_is_settled_and_shows_in_the_room(database: Database) -> None:
    store, lease = await database.ali()
    made = await claim(store, draft(lease, "Günaydın\0 😀", reply_to=4, thread_id=2, turn_id="t1"))
    assert made.created_at == await store.now()
    assert await store.recent(CHAT, 10) == []
    assert await store.counts(0) == {"sending": 1}
    await store.settle(made, State.SENT, telegram_id=5, at=made.created_at + 1)
    [message] = await store.recent(CHAT, 10)
    assert (message.id, message.text, message.telegram_id, message.reply_to) == (made.id, "Günaydın 😀", 5, 4)
    assert (message.kind, message.bot_id, message.thread_id, message.at) == (Kind.TOPIC, BOT, 2, made.created_at + 1)
    assert await store.counts(0) == {"sent": 1}
    assert await store.counts(made.created_at + 60) == {}


async def test_failed_and_uncertain_claims_are_not_in_the_room(database: Database) -> None:
    store, lease = await database.ali()
    for state in (State.FAILED, State.UNCERTAIN):
        await store.settle(await claim(store, draft(lease)), state, reason="bir sebep")
    assert await store.recent(CHAT, 10) == []
    assert await store.tail([CHAT], 0) == []
    assert await store.last(10) == []
    assert await store.counts(0) == {"failed": 1, "uncertain": 1}
    assert await store.uncertain() == 1


async def test_a_settlement_ends_a_claim_once_and_proof_wins(database: Database) -> None:
    store, lease = await database.ali()
    first, second = await claim(store, draft(lease)), await claim(store, draft(lease))
    await store.settle(first, State.SENT, telegram_id=1)
    await store.settle(first, State.FAILED)
    await store.settle(second, State.UNCERTAIN)
    assert await store.uncertain() == 1
    await store.settle(second, State.SENT, telegram_id=2)
    assert await store.counts(0) == {"sent": 2}
    assert await store.uncertain() == 0


async def test_a_sent_message_needs_telegrams_id_and_is_uncertain_without_it(database: Database) -> None:
    store, lease = await database.ali()
    made = await claim(store, draft(lease))
    with pytest.raises(StoreError):
        await store.settle(made, State.SENT)
    await store.settle(await claim(store, draft(lease)), State.FAILED)  # what the refused one left is written by then
    assert await store.counts(0) == {"uncertain": 1, "failed": 1}


async def test_a_claim_needs_the_current_fence_and_an_owner(database: Database) -> None:
    store, lease = await database.ali()
    assert await store.claim(Draft(BOT, lease.fence - 1, CHAT, Kind.TOPIC, "x", "Ali")) is None
    assert await store.claim(Draft(404, 1, CHAT, Kind.TOPIC, "x", "Kimse")) is None
    await store.free("a", [BOT])
    assert await store.claim(draft(lease)) is None
    assert await store.counts(0) == {}


async def test_a_takeover_raises_the_fence_and_leaves_sending_rows_uncertain(database: Database) -> None:
    store, lease = await database.ali()
    made = await claim(store, draft(lease))
    await store.settle(await claim(store, draft(lease)), State.SENT, telegram_id=7)
    await database.advance(601)
    other, [next_lease] = await database.daemon("b", ALI)
    assert next_lease.fence == lease.fence + 1
    assert await other.counts(0) == {"uncertain": 1, "sent": 1}
    assert await other.uncertain() == 1
    assert await store.claim(draft(lease)) is None
    await store.settle(made, State.SENT, telegram_id=8)  # settling is not fenced: proof is proof
    assert await other.counts(0) == {"sent": 2}
    await claim(other, draft(next_lease))


async def test_a_redelivered_message_is_stored_once(database: Database) -> None:
    store = await database.store()
    now = await store.now()
    rows = [Received(CHAT, number, USER, "Deniz", f"satır {number}\0", now) for number in (1, 2, 3)]
    first = await store.receive([rows[0], rows[1], rows[0]])
    assert [message is not None for message in first] == [True, True, False]
    assert [message is not None for message in await store.receive(rows[1:])] == [False, True]
    assert await store.receive([]) == []
    recent = await store.recent(CHAT, 10)
    assert [message.text for message in recent] == ["satır 1", "satır 2", "satır 3"]
    assert recent[0] == first[0]
    assert recent[0].is_person
    assert (recent[0].user_id, recent[0].thread_id, recent[0].at) == (USER, None, now)
    assert await store.counts(0) == {"received": 3}


async def test_an_edit_changes_a_members_text_only(database: Database) -> None:
    store, lease = await database.ali()
    made = await claim(store, draft(lease, "benim"))
    await store.settle(made, State.SENT, telegram_id=2)
    await receive(store, 1, await store.now(), "eski")
    await store.edit(CHAT, 1, "yeni\0")
    await store.edit(CHAT, 2, "olmaz")
    await store.edit(CHAT, 3, "yok")
    assert {message.text for message in await store.recent(CHAT, 5)} == {"yeni", "benim"}


async def test_the_newest_messages_come_oldest_first(database: Database) -> None:
    store = await database.store()
    now = await store.now()
    for number in range(1, 6):
        await receive(store, number, now - 3600 * (5 - number))
    assert [message.telegram_id for message in await store.recent(CHAT, 3)] == [3, 4, 5]
    assert await store.recent(-5, 3) == []


async def test_the_last_messages_of_all_chats_come_newest_first(database: Database) -> None:
    store, lease = await database.ali()
    made = await claim(store, draft(lease))
    for number in range(1, 4):
        await database.advance(1)
        await receive(store, number, await store.now() - 3600, chat_id=-number)
    await database.advance(1)
    await store.settle(made, State.SENT, telegram_id=9)
    assert [message.telegram_id for message in await store.last(3)] == [9, 3, 2]


async def test_a_witness_settles_what_is_uncertain(database: Database) -> None:
    store, lease = await database.ali()
    made = await claim(store, draft(lease, "Sakin gün", reply_to=3))
    await store.settle(made, State.UNCERTAIN)
    at = made.created_at
    assert not await store.witness(BOT, CHAT, 9, "Başka", 3, at)
    assert not await store.witness(BOT, CHAT, 9, "Sakin gün", None, at)
    assert not await store.witness(BOT, -2, 9, "Sakin gün", 3, at)
    assert not await store.witness(8, CHAT, 9, "Sakin gün", 3, at)
    assert not await store.witness(BOT, CHAT, 9, "Sakin gün", 3, at + 181)
    assert not await store.witness(BOT, CHAT, 9, "Sakin gün", 3, at - 6)
    assert await store.witness(BOT, CHAT, 9, "Sakin gün", 3, at)
    assert not await store.witness(BOT, CHAT, 9, "Sakin gün", 3, at)
    [message] = await store.recent(CHAT, 5)
    assert (message.id, message.telegram_id, message.at) == (made.id, 9, at)
    assert await store.uncertain() == 0


async def test_a_witness_of_a_settled_message_settles_no_twin(database: Database) -> None:
    store, lease = await database.ali()
    sent = await claim(store, draft(lease, "aynı"))
    await database.advance(1)
    twin = await claim(store, draft(lease, "aynı"))
    await store.settle(sent, State.SENT, telegram_id=4)
    assert not await store.witness(BOT, CHAT, 4, "aynı", None, sent.created_at)
    assert await store.witness(BOT, CHAT, 5, "aynı", None, twin.created_at)


async def test_the_tail_shows_what_became_visible_since(database: Database) -> None:
    store, lease = await database.ali()
    before = await store.now()
    made = await claim(store, draft(lease))
    await receive(store, 1, before - 3600)
    await receive(store, 2, before, chat_id=-9)
    await receive(store, 4, before - 3 * DAY)  # too old for a follower
    await database.advance(1)
    middle = await store.now()
    await store.settle(made, State.SENT, telegram_id=3)
    assert [message.telegram_id for message in await store.tail([CHAT], before)] == [1, 3]
    assert [message.telegram_id for message in await store.tail([CHAT, -9], before)] == [1, 2, 3]
    assert [message.telegram_id for message in await store.tail([CHAT], middle)] == [3]
    assert [message.telegram_id for message in await store.tail([CHAT], before, limit=1)] == [3]
    assert await store.tail([CHAT], middle + 1) == []
    assert await store.tail([], before) == []


async def test_what_bots_said_or_may_have_said_is_told_with_its_text(database: Database) -> None:
    store, lease = await database.ali()
    start = await store.now()
    for state, at in ((State.SENT, -5), (State.FAILED, 0), (State.UNCERTAIN, 0), (State.SENT, 30)):
        made = await claim(store, draft(lease, f"satır {at}", restated=at == 30))
        id_ = 1 if state is State.SENT else None
        await store.settle(made, state, telegram_id=id_, at=made.created_at + at)
        await database.advance(1)
    await claim(store, draft(lease, "yolda", reply_to=4))
    expected = [
        Said(BOT, CHAT, Kind.TOPIC, "satır -5", start, False),
        Said(BOT, CHAT, Kind.TOPIC, "satır 0", start + 2, False),
        Said(BOT, CHAT, Kind.TOPIC, "yolda", start + 4, False, reply_to=4),
        Said(BOT, CHAT, Kind.TOPIC, "satır 30", start + 33, True),
    ]
    assert await store.said([BOT], 0) == expected
    assert await store.said([BOT], start + 2) == expected[1:]
    assert await store.said([8], 0) == []


# --- traces, figures, retention


async def test_what_providers_taught_is_kept_the_newest_of_each(database: Database) -> None:
    store, _ = await database.daemon("a")
    before = await store.now()
    store.learn([Lesson("groq", "", "m", "abilities", {"without": ["temperature"], "allowance": 256})])
    store.learn([Lesson("groq", "ab12", "m\0", "limits", {"said": {"tpd": [100_000, "a refusal", 1.5]}})])
    store.learn([Lesson("groq", "", "m", "abilities", {"without": [], "odd": "\ud83d", "inf": float("inf")})])
    found = await store.lessons(before - 1)
    assert found == [
        Lesson("groq", "", "m", "abilities", {"without": [], "odd": "?", "inf": "inf"}),
        Lesson("groq", "ab12", "m", "limits", {"said": {"tpd": [100_000, "a refusal", 1.5]}}),
    ]
    await database.advance(100)
    assert await store.lessons(before + 50) == []
    store.learn([Lesson("groq", "", "m", "abilities", {})])
    assert [row.about for row in await store.lessons(before + 50)] == ["abilities"]


async def test_figures_are_added_up_by_the_hour(database: Database) -> None:
    store = await database.store()
    hour = 1_800_000_000.0 - 1_800_000_000.0 % 3600
    store.add_usage([Usage("groq", "key", "m", hour + 5, 1, 100, 50, 10, 0.5)])
    store.add_usage([Usage("groq\0", "key", "m", hour + 3599, 2, 1, 1, 1, 0.25)])
    assert await store.usage(hour) == [Usage("groq", "key", "m", hour, 3, 101, 51, 11, 0.75)]
    store.add_usage([Usage("groq", "key", "m", hour, 1, 0, 0, 0, 0.0), Usage("a", "", "m", hour + 3600, 1, 0, 0, 0, 0)])
    assert [(usage.provider, usage.requests) for usage in await store.usage(0)] == [("groq", 4), ("a", 1)]
    assert [usage.provider for usage in await store.usage(hour + 1)] == ["a"]


async def test_turns_are_counted_by_bot_intent_and_outcome(database: Database) -> None:
    store = await database.store()
    now = await store.now()
    turns = (
        ("1", 8, "reply", "sent"),
        ("2", 7, "silence", "held"),
        ("3", 7, "silence", "held"),
        ("4", 7, "topic", "x"),
    )
    store.record_turns([TurnTrace(n, bot, CHAT, now, intent, end, {}) for n, bot, intent, end in turns])
    store.record_turns([TurnTrace("0", 7, CHAT, now - 60, "topic", "x", {})])
    store.record_turns([TurnTrace("1", 8, CHAT, now, "reply", "sent", {})])  # the same one again
    store.record_turns([TurnTrace("7/held", 7, 0, now, "silence", "held", {"times": 5})])  # five in one row
    assert await store.outcomes(now) == [(7, "silence", "held", 7), (7, "topic", "x", 1), (8, "reply", "sent", 1)]
    assert await store.outcomes(now + 1) == []


async def test_what_is_older_than_the_retention_is_dropped(database: Database) -> None:
    store, lease = await database.ali()
    await store.settle(await claim(store, draft(lease)), State.UNCERTAIN)
    for day in range(6):
        now = await store.now()
        await store.maintain(now, 3)
        await receive(store, day, now, to=(BOT,))
        store.record_turns([TurnTrace(f"t{day}", BOT, CHAT, now, "reply", "sent", {})])
        await database.advance(DAY)
    await store.usage(0)  # traces are written by then
    await store.maintain(await store.now(), 3)
    assert [message.telegram_id for message in await store.recent(CHAT, 10)] == [3, 4, 5]
    assert await store.outcomes(0) == [(BOT, "reply", "sent", 3)]
    assert [stimulus.telegram_id for stimulus in await store.open_stimuli([BOT], [], 0)] == [3, 4, 5]
    assert await store.uncertain() == 0
    assert await store.said([BOT], 0) == []
    assert await store.daemons() == []


async def test_a_closed_store_refuses_every_call(database: Database) -> None:
    store, lease = await database.ali()
    made = await claim(store, draft(lease))
    await store.close()
    for late in (store.claim(draft(lease)), store.settle(made, State.FAILED), store.now(), store.usage(0)):
        with pytest.raises(StoreError):
            await late
