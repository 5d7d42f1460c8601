"""What every store does with stimuli: one taker, one answer, a member's budget. In memory and on each PostgreSQL."""

from __future__ import annotations

import asyncio

import pytest

from piyasad.clock import DAY
from piyasad.model import ANYBODY, Draft, Grant, Kind, Lease, Received, State, StimulusKey
from piyasad.store.interface import ANSWERS_DAY, ANSWERS_SHORT, SHORT_SECONDS, TRIES_MOST, Store
from tests.fixtures.store import ALI, AYSE, BOT, CHAT, USER, Database, claim, draft, receive

KEY = StimulusKey(CHAT, 1, BOT)


def answer(lease: Lease, key: StimulusKey = KEY, chat_id: int = CHAT) -> Draft:
    return Draft(lease.bot_id, lease.fence, chat_id, Kind.ANSWER, "Olur", "Ali", reply_to=1, stimulus=key)


async def asked(store: Store, telegram_id: int = 1, bot_id: int = BOT, user_id: int = USER) -> StimulusKey:
    """A member's message that speaks to a bot."""
    await receive(store, telegram_id, await store.now(), to=(bot_id,), user_id=user_id)
    return StimulusKey(CHAT, telegram_id, bot_id)


async def waiting(store: Store) -> list[StimulusKey]:
    return [stimulus.key for stimulus in await store.open_stimuli([BOT, 8], [CHAT], 0)]


async def answered(store: Store, lease: Lease, key: StimulusKey) -> None:
    """An answer that was taken for is claimed and sent."""
    made = await claim(store, answer(lease, key))
    await store.settle(made, State.SENT, telegram_id=1000 + made.id)


async def test_a_message_is_stored_with_a_stimulus_for_each_bot_that_it_speaks_to(database: Database) -> None:
    store, _ = await database.ali()
    now = await store.now()
    message = await receive(store, 1, now - 5, to=(8, BOT, 8))
    other = await receive(store, 2, now, to=(ANYBODY,), chat_id=-9)
    assert await store.receive([Received(CHAT, 1, USER, "Deniz", "Selam", now - 5, to=(9,))]) == [None]
    found = await store.open_stimuli([BOT, 8, 9], [CHAT, -9], 0)
    assert [(stimulus.key, stimulus.message) for stimulus in found] == [
        ((CHAT, 1, BOT), message),
        ((CHAT, 1, 8), message),
        ((-9, 2, ANYBODY), other),
    ]
    assert [stimulus.key for stimulus in await store.open_stimuli([BOT], [CHAT], 0)] == [(CHAT, 1, BOT)]
    assert [stimulus.key for stimulus in await store.open_stimuli([], [-9], 0)] == [(-9, 2, ANYBODY)]
    assert await store.open_stimuli([], [], 0) == []
    assert await store.open_stimuli([BOT], [-9], now + 1) == []  # by the time of storing


async def test_an_edited_question_is_given_as_it_reads_now(database: Database) -> None:
    store, _ = await database.ali()
    await asked(store)
    await store.edit(CHAT, 1, "yeni")
    assert [stimulus.message.text for stimulus in await store.open_stimuli([BOT], [], 0)] == ["yeni"]


async def test_a_stimulus_is_taken_by_exactly_one_until_given_back(database: Database) -> None:
    store, _ = await database.daemon("a", ALI, AYSE)
    key = await asked(store, bot_id=ANYBODY)
    tries = [store.take_stimulus(key, bot, counts=True) for bot in (BOT, 8)]
    assert sorted(await asyncio.gather(*tries)) == [Grant.ANSWER, Grant.GONE]
    assert await waiting(store) == []
    await store.close_stimulus(key, "open")
    assert await waiting(store) == [key]
    assert await store.take_stimulus(key, 8, counts=True) is Grant.ANSWER
    await store.close_stimulus(key, "dropped", "stale")
    assert await store.take_stimulus(key, 8, counts=True) is Grant.GONE
    await store.close_stimulus(key, "open")  # dropped stays dropped
    assert await waiting(store) == []
    assert await store.take_stimulus(StimulusKey(CHAT, 404, BOT), BOT, counts=False) is Grant.GONE


async def test_a_bot_may_repeat_a_take_whose_answer_it_did_not_hear(database: Database) -> None:
    store, [ali, _] = await database.daemon("a", ALI, AYSE)
    key = await asked(store)
    for _ in range(2):
        assert await store.take_stimulus(key, BOT, counts=True) is Grant.ANSWER
    assert await store.take_stimulus(key, 8, counts=True) is Grant.GONE
    await claim(store, answer(ali))
    assert await store.take_stimulus(key, BOT, counts=True) is Grant.GONE  # its answer is on its way


async def test_only_a_bot_that_we_hold_takes(database: Database) -> None:
    store, _ = await database.daemon("a", ALI, ttl=9)
    other, _ = await database.daemon("b", AYSE)
    key = await asked(store)
    for bot in (8, 404):
        assert await store.take_stimulus(key, bot, counts=False) is Grant.GONE
    assert await other.take_stimulus(key, BOT, counts=False) is Grant.GONE
    await database.advance(9)
    assert await store.take_stimulus(key, BOT, counts=False) is Grant.GONE
    assert await (await database.store()).take_stimulus(key, 8, counts=False) is Grant.GONE  # which never entered
    assert await other.take_stimulus(key, 8, counts=False) is Grant.ANSWER


async def test_what_was_taken_by_one_that_is_gone_can_be_merged_and_closed(database: Database) -> None:
    gone, _ = await database.daemon("a", ALI, ttl=9)
    store, _ = await database.daemon("b", AYSE)
    keys = [await asked(store, number) for number in (1, 2, 3)]
    for key in keys:
        await gone.take_stimulus(key, BOT, counts=True)

    async def end() -> None:
        await store.merge_stimuli(keys[:1])
        await store.close_stimulus(keys[1], "dropped", "stale")
        await store.close_stimulus(keys[2], "open")

    await end()
    assert await waiting(store) == []
    await database.advance(9)
    assert await waiting(store) == keys, "their taker lived till now: nothing was merged or closed"
    await end()
    assert await waiting(store) == keys[2:]


async def test_the_earlier_messages_of_a_run_are_merged(database: Database) -> None:
    store, _ = await database.ali()
    keys = [await asked(store, number) for number in (1, 2, 3)]
    await store.take_stimulus(keys[1], BOT, counts=False)
    await store.merge_stimuli(keys[:2])
    await store.merge_stimuli([])
    assert await waiting(store) == keys[2:]
    await store.close_stimulus(keys[1], "open")  # the taken one was not merged
    assert await waiting(store) == keys[1:]


async def test_the_settlement_of_its_answer_closes_a_stimulus(database: Database) -> None:
    store, lease = await database.ali()
    for number, state in enumerate((State.SENT, State.UNCERTAIN), 1):
        key = await asked(store, number)
        await store.take_stimulus(key, BOT, counts=True)
        made = await claim(store, answer(lease, key))
        await store.settle(made, state, telegram_id=100 if state is State.SENT else None)
        assert await waiting(store) == []
        assert await store.claim(answer(lease, key)) is None
        await store.close_stimulus(key, "open")  # what is answered is not given back
        assert await store.take_stimulus(key, BOT, counts=True) is Grant.GONE


async def test_an_answer_that_failed_opens_its_stimulus_and_may_be_claimed_anew(database: Database) -> None:
    store, lease = await database.ali()
    key = await asked(store)
    await store.take_stimulus(key, BOT, counts=True)
    for _ in range(2):
        await store.settle(await claim(store, answer(lease)), State.FAILED)
        assert await waiting(store) == [key]
    made = await claim(store, answer(lease, chat_id=-1009))  # the group has moved; the key stays whole
    assert await waiting(store) == []
    await store.settle(made, State.SENT, telegram_id=5)
    assert await waiting(store) == []


async def test_an_uncertain_answer_that_is_known_to_have_failed_opens_its_stimulus(database: Database) -> None:
    store, lease = await database.ali()
    key = await asked(store)
    await store.take_stimulus(key, BOT, counts=True)
    made = await claim(store, answer(lease))
    await store.settle(made, State.UNCERTAIN)
    await store.settle(made, State.FAILED)
    assert await waiting(store) == [key]


async def test_a_witness_of_an_answer_closes_its_stimulus(database: Database) -> None:
    store, lease = await database.ali()
    await asked(store)
    await store.take_stimulus(KEY, BOT, counts=True)
    made = await claim(store, answer(lease))
    assert await store.witness(BOT, CHAT, 9, "Olur", 1, made.created_at)
    await store.settle(made, State.FAILED)  # too late: it was seen
    assert await waiting(store) == []


async def test_a_claim_needs_its_stimulus_taken_by_this_bot_and_fence(database: Database) -> None:
    store, [ali, ayse] = await database.daemon("a", ALI, AYSE)
    key = await asked(store)
    assert await store.claim(answer(ali)) is None  # open
    assert await store.claim(answer(ali, StimulusKey(CHAT, 404, BOT))) is None
    await store.take_stimulus(key, 8, counts=True)
    assert await store.claim(answer(ali)) is None
    made = await claim(store, answer(ayse))
    assert await store.claim(answer(ayse)) is None  # one is on its way
    await store.settle(made, State.FAILED)
    assert await store.claim(answer(ali)) is None
    await store.close_stimulus(key, "open")
    assert await store.claim(answer(ayse)) is None  # given back
    assert await store.counts(0) == {"received": 1, "failed": 1}


@pytest.mark.parametrize("state", ["open", "dropped"])
async def test_what_a_taker_left_behind_is_closed_by_whoever_finds_it(database: Database, state: str) -> None:
    store, _ = await database.daemon("a", ALI, ttl=9)
    key = await asked(store)
    await store.take_stimulus(key, BOT, counts=True)
    await database.advance(10)
    other, _ = await database.daemon("b", ALI)
    assert await waiting(other) == [key]
    await other.close_stimulus(key, state, "stale")
    assert await waiting(other) == ([key] if state == "open" else [])


async def test_two_claims_for_one_stimulus_at_once_give_one_row(database: Database) -> None:
    store, lease = await database.ali()
    await asked(store)
    await store.take_stimulus(KEY, BOT, counts=True)
    made = await asyncio.gather(*(store.claim(answer(lease)) for _ in range(4)))
    assert sum(row is not None for row in made) == 1


async def test_a_stimulus_with_a_row_on_its_way_is_not_given_back(database: Database) -> None:
    store, lease = await database.ali()
    key = await asked(store)
    await store.take_stimulus(key, BOT, counts=True)
    made = await claim(store, answer(lease))
    await store.close_stimulus(key, "open")
    await store.close_stimulus(key, "dropped", "stale")
    assert await waiting(store) == []
    await store.settle(made, State.FAILED)
    assert await waiting(store) == [key]


async def test_a_takeover_opens_what_was_taken_and_closes_what_may_have_been_answered(database: Database) -> None:
    store, lease = await database.ali()
    keys = [await asked(store, number) for number in (1, 2, 3)]
    for key in keys:
        await store.take_stimulus(key, BOT, counts=True)
    made = await claim(store, answer(lease, keys[0]))
    await answered(store, lease, keys[1])
    await database.advance(601)
    assert await waiting(store) == keys[2:]
    other, [next_lease] = await database.daemon("b", ALI)
    assert await waiting(other) == keys[2:]
    for key in keys[:2]:
        assert await other.take_stimulus(key, BOT, counts=True) is Grant.GONE
    assert await other.take_stimulus(keys[2], BOT, counts=True) is Grant.ANSWER
    await store.close_stimulus(keys[2], "open")  # the old owner has nothing to give back
    assert await store.claim(answer(lease, keys[2])) is None
    assert await waiting(other) == []
    await answered(other, next_lease, keys[2])
    await store.settle(made, State.FAILED)  # proof that came late: it was not answered
    assert await waiting(other) == keys[:1]


async def test_a_taken_stimulus_whose_row_is_on_its_way_is_not_open_when_its_takers_lease_ends(
    database: Database,
) -> None:
    store, lease = await database.ali()
    await asked(store)
    await store.take_stimulus(KEY, BOT, counts=True)
    await claim(store, answer(lease))
    await database.advance(601)
    other, _ = await database.daemon("b", AYSE)
    assert await waiting(other) == []
    assert await other.take_stimulus(KEY, 8, counts=True) is Grant.GONE


async def test_what_failed_three_times_is_not_tried_for_ever(database: Database) -> None:
    store, _ = await database.ali()
    key = await asked(store)
    for _ in range(TRIES_MOST):
        assert await store.take_stimulus(key, BOT, counts=True) is Grant.ANSWER
        await store.close_stimulus(key, "open")
    assert await waiting(store) == [key]
    assert await store.take_stimulus(key, BOT, counts=True) is Grant.GONE
    assert await waiting(store) == []


# --- a member's budget


async def take_many(store: Store, first: int, number: int, **more: int) -> list[Grant]:
    """Ask and take so many times."""
    return [
        await store.take_stimulus(await asked(store, first + step, **more), BOT, counts=True) for step in range(number)
    ]


async def test_a_member_gets_six_answers_in_ten_minutes_then_one_polite_line_then_silence(database: Database) -> None:
    store, _ = await database.ali()
    short = [Grant.ANSWER] * ANSWERS_SHORT
    assert await take_many(store, 1, 9) == [*short, Grant.POLITE, Grant.SILENCE, Grant.SILENCE]
    assert await waiting(store) == []
    assert await take_many(store, 20, 1, user_id=5) == [Grant.ANSWER]  # another member
    free = await asked(store, 30)
    assert await store.take_stimulus(free, BOT, counts=False) is Grant.ANSWER  # a fixed answer costs nothing
    await database.advance(SHORT_SECONDS - 1)
    await store.beat("a", 600)
    assert await take_many(store, 40, 1) == [Grant.SILENCE]
    await database.advance(1)
    assert await take_many(store, 50, 8) == [*short, Grant.POLITE, Grant.SILENCE]


async def test_it_is_known_when_a_members_next_answer_is_possible(database: Database) -> None:
    store, _ = await database.ali()
    assert await store.answers_free_at(USER) <= await store.now()
    began = await store.now()
    await take_many(store, 1, 1)
    await database.advance(100)
    await store.beat("a", 600)
    await take_many(store, 2, ANSWERS_SHORT)  # the last of them gets the polite line
    free_at = await store.answers_free_at(USER)
    assert began + SHORT_SECONDS == pytest.approx(free_at)
    await database.advance(free_at - await store.now() + 0.001)
    await store.beat("a", 600)
    assert await take_many(store, 20, 2) == [Grant.ANSWER, Grant.POLITE]


async def test_a_members_budget_holds_over_shards_and_chats_at_once(database: Database) -> None:
    stores = [(await database.daemon(name, (bot, name, name)))[0] for name, bot in (("a", 1), ("b", 2), ("c", 3))]
    keys = []
    for number in range(24):
        chat_id = CHAT - number % 2
        await receive(stores[0], number, await stores[0].now(), to=(ANYBODY,), chat_id=chat_id)
        keys.append(StimulusKey(chat_id, number, ANYBODY))
    tries = [stores[n % 3].take_stimulus(key, n % 3 + 1, counts=True) for n, key in enumerate(keys)]
    grants = await asyncio.gather(*tries)
    assert grants.count(Grant.ANSWER) == ANSWERS_SHORT
    assert grants.count(Grant.POLITE) == 1
    assert grants.count(Grant.SILENCE) == 24 - ANSWERS_SHORT - 1


async def test_what_was_given_back_does_not_count(database: Database) -> None:
    store, lease = await database.ali()
    await take_many(store, 1, ANSWERS_SHORT)
    await answered(store, lease, StimulusKey(CHAT, 1, BOT))
    for number in (2, 3):
        await store.close_stimulus(StimulusKey(CHAT, number, BOT), "open" if number == 2 else "dropped")
    await store.settle(await claim(store, answer(lease, StimulusKey(CHAT, 4, BOT))), State.FAILED)
    assert await take_many(store, 20, 4) == [Grant.ANSWER] * 3 + [Grant.POLITE]
    await store.close_stimulus(StimulusKey(CHAT, 23, BOT), "open")
    assert await take_many(store, 30, 2) == [Grant.POLITE, Grant.SILENCE]


async def test_a_claim_after_a_failed_one_does_not_pass_the_budget(database: Database) -> None:
    store, lease = await database.ali()
    await take_many(store, 1, ANSWERS_SHORT)
    key = StimulusKey(CHAT, 1, BOT)
    await store.settle(await claim(store, answer(lease, key)), State.FAILED)
    assert await take_many(store, 20, 1) == [Grant.ANSWER]  # which gets the place
    assert await store.claim(answer(lease, key)) is None
    assert await waiting(store) == [key]


async def test_what_a_dead_taker_left_does_not_count_unless_it_may_have_been_answered(database: Database) -> None:
    store, lease = await database.ali()
    await take_many(store, 1, ANSWERS_SHORT)
    await claim(store, answer(lease, StimulusKey(CHAT, 1, BOT)))
    await store.free("a", [BOT])
    other, _ = await database.daemon("b", ALI)
    assert await take_many(other, 20, ANSWERS_SHORT) == [Grant.ANSWER] * (ANSWERS_SHORT - 1) + [Grant.POLITE]


async def test_a_member_gets_forty_answers_a_day(database: Database) -> None:
    store, lease = await database.ali()
    for number in range(ANSWERS_DAY):
        assert await take_many(store, number, 1) == [Grant.ANSWER]
        await answered(store, lease, StimulusKey(CHAT, number, BOT))
        await database.advance(SHORT_SECONDS / ANSWERS_SHORT + 1)
        await store.beat("a", 600)
    assert await take_many(store, 100, 2) == [Grant.POLITE, Grant.SILENCE]
    await store.beat("a", 2 * DAY)
    await database.advance(DAY - ANSWERS_DAY * (SHORT_SECONDS / ANSWERS_SHORT + 1))
    assert await take_many(store, 200, 1) == [Grant.ANSWER]


async def test_a_line_that_answers_nothing_needs_no_stimulus(database: Database) -> None:
    store, lease = await database.ali()
    await asked(store)
    await store.settle(await claim(store, draft(lease)), State.SENT, telegram_id=5)
    assert await waiting(store) == [KEY]
