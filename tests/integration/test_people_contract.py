"""What every store does about people: who said what, what is held on a member, opting out, forgetting."""

from __future__ import annotations

from piyasad.clock import DAY
from piyasad.language.fingerprint import fingerprint
from piyasad.model import Kind, Lease, State, StimulusKey, TurnTrace
from piyasad.store.interface import Store
from piyasad.store.people import FORGOTTEN_SECONDS, Held, Saying
from tests.fixtures.store import BOT, CHAT, USER, Database, claim, draft, receive

ZEHRA = 5012345678
WORDS = "Kız kardeşimin düğünü için gram altın biriktiriyorum"


async def send(store: Store, lease: Lease, text: str, telegram_id: int, **more: object) -> int:
    """A bot's line that arrives; its id in the ledger."""
    made = await claim(store, draft(lease, text, **more))  # type: ignore[arg-type]
    await store.settle(made, State.SENT, telegram_id=telegram_id)
    return made.id


# --- what our bots said


async def test_a_line_is_known_by_its_words_from_the_settlement_that_sent_it(database: Database) -> None:
    store, lease = await database.ali()
    made = await claim(store, draft(lease, "Altın 3.450'yi gördü!"))
    sought = fingerprint("ALTIN 3.450’yi gördü")
    assert await store.sayings(sought) == []  # on its way
    await store.settle(made, State.SENT, telegram_id=50, at=await store.now())
    saying = Saying(made.id, BOT, "Ali", "ali_bot", CHAT, 50, await store.now(), sought)
    assert await store.sayings(sought) == [saying]
    assert await store.saying_at(CHAT, 50) == await store.saying(made.id) == saying
    assert (await store.sayings(fingerprint("Altın 3450'yi gördü")), await store.saying_at(CHAT, 51)) == ([], None)


async def test_only_what_arrived_was_said(database: Database) -> None:
    store, lease = await database.ali()
    failed = await claim(store, draft(lease, "olmadı"))
    await store.settle(failed, State.FAILED)
    lost = await claim(store, draft(lease, "belki"))
    await store.settle(lost, State.UNCERTAIN)
    assert await store.sayings(fingerprint("olmadı")) == await store.sayings(fingerprint("belki")) == []
    assert await store.witness(BOT, CHAT, 9, "belki", None, await store.now())
    assert [saying.message_id for saying in await store.sayings(fingerprint("belki"))] == [lost.id]
    assert await store.saying(failed.id) is None


async def test_what_was_said_is_known_longer_than_the_ledger_keeps_it_newest_first(database: Database) -> None:
    store, lease = await database.ali()
    first = await send(store, lease, "Günaydın", 1)
    await database.advance(40 * DAY)
    await store.maintain(await store.now(), 30)
    store, [lease] = await database.daemon("b", (BOT, "Ali Hoca", "ali_bot"))
    second = await send(store, lease, "günaydın…", 2)
    found = await store.sayings(fingerprint("Günaydın"))
    assert [(saying.message_id, saying.bot) for saying in found] == [(second, "Ali Hoca"), (first, "Ali Hoca")]
    assert len(await store.sayings(fingerprint("Günaydın"), 1)) == 1
    assert await store.evidence(first) is None


async def test_the_evidence_of_a_line_is_its_row_its_turn_its_target_and_the_notice_before_it(
    database: Database,
) -> None:
    store, lease = await database.ali()
    asked = await receive(store, 10, await store.now() - 1, WORDS, handle="deniz_k")
    notice = await send(store, lease, "Botlar konuşur", 11, kind=Kind.NOTICE)
    await database.advance(5)
    trace = TurnTrace("t1", BOT, CHAT, await store.now(), "answer", "sent", {"topic": "altın"})
    line = await send(store, lease, "Hayırlı olsun", 12, kind=Kind.ANSWER, reply_to=10, turn_id="t1")
    store.record_turns([trace])
    await database.advance(5)
    await send(store, lease, "Botlar konuşur", 13, kind=Kind.NOTICE)
    found = await store.evidence(line)
    assert found is not None
    assert (found.message.text, found.state, found.reason, found.turn) == ("Hayırlı olsun", "sent", "", trace)
    assert (found.target, found.notice is not None and found.notice.id) == (asked, notice)
    assert (found.said, found.people) == (await store.saying(line), ((USER, "Deniz", "deniz_k"),))
    assert found.claimed_at == found.sent_at == await store.now() - 5
    theirs = await store.evidence(asked.id)
    assert theirs is not None
    assert (theirs.message, theirs.handle, theirs.turn, theirs.notice, theirs.said) == (asked, "deniz_k", *[None] * 3)
    assert await store.evidence(404) is None
    assert await store.message_at(CHAT, 10) == asked
    assert await store.message_at(CHAT, 404) is None


# --- a member's rights


async def test_a_member_sees_what_is_held_on_them(database: Database) -> None:
    store, _ = await database.ali()
    now = await store.now()
    assert await store.held_on(USER) == Held(USER)
    first = await receive(store, 1, now, "Selam", handle="deniz_k")
    last = await receive(store, 2, now + 1, "Altın?", author="Deniz K.", handle="DenizK", to=(BOT,))
    await receive(store, 3, now + 2, user_id=7)
    await store.opt_out(USER)
    names, handles = ("Deniz K.", "Deniz"), ("DenizK", "deniz_k")
    held = Held(USER, names, handles, 2, now, now + 1, (last, first), stimuli=1, opted_out=True)
    assert await store.held_on(USER) == held
    assert (await store.held_on(USER, newest=1)).newest == (last,)
    assert held.anything


async def test_a_member_is_found_by_their_handle_the_last_to_bear_it_first(database: Database) -> None:
    store, _ = await database.ali()
    now = await store.now()
    await receive(store, 1, now, user_id=1, handle="deniz_k")
    await receive(store, 2, now + 1, user_id=2, handle="Deniz_K")
    await receive(store, 3, now + 2, user_id=3)
    assert await store.members("DENIZ_k") == [2, 1]
    assert await store.members("") == await store.members("deniz") == []


async def test_who_opted_out_stays_out_until_they_say_otherwise(database: Database) -> None:
    store, _ = await database.ali()
    assert not await store.is_opted_out(USER)
    await store.opt_out(USER)
    await store.opt_out(USER)
    await store.forget(USER)
    assert await store.is_opted_out(USER)
    assert not await store.is_opted_out(USER + 1)
    await store.opt_out(USER, out=False)
    assert not await store.is_opted_out(USER)


async def test_a_forgotten_members_rows_are_gone_and_others_name_and_quote_them_no_more(database: Database) -> None:
    store, lease = await database.ali()
    now = await store.now()
    zehra = {"user_id": ZEHRA, "author": "Zehra Korkmaz", "handle": "zehra_k"}
    await receive(store, 1, now, WORDS, to=(BOT,), **zehra)
    await receive(store, 2, now, "@zehra_k Zehra, gram altın biriktiriyorum demiştin; ben dolar alıyorum")
    await send(store, lease, "Zehra'ya hayırlı olsun; “gram altın biriktiriyorum” güzel", 3, reply_to=1)
    await send(store, lease, "Dolar bugün sakin", 4)
    prompt = {"system": "Sen Ali'sin", "user": f"Üye 1: {WORDS}"}
    store.record_turns([TurnTrace("t", BOT, CHAT, now, "answer", "sent", {"reason": "Zehra asked", "prompt": prompt})])
    store.record_turns([TurnTrace("u", BOT, -2, now, "topic", "sent", {"reason": "news", "prompt": prompt["system"]})])
    erased = await store.forget(ZEHRA)
    assert erased.deleted == {"message": 1, "stimulus": 1}
    assert erased.rewritten == {"message": 2, "turn": 1}
    assert [message.text for message in await store.recent(CHAT, 10)] == [
        "[kullanıcı] Üye, gram altın biriktiriyorum demiştin; ben dolar alıyorum",
        "Üye'ye hayırlı olsun; “Üye” güzel",
        "Dolar bugün sakin",
    ]
    assert await store.held_on(ZEHRA) == Held(ZEHRA)
    assert (await store.members("zehra_k"), (await store.held_on(USER)).messages) == ([], 1)
    assert await store.sayings(fingerprint("Zehra'ya hayırlı olsun; gram altın biriktiriyorum güzel")) != []
    assert not (await store.forget(ZEHRA)).anything


async def test_names_and_handles_of_who_never_wrote_are_forgotten_too(database: Database) -> None:
    store, lease = await database.ali()
    await receive(store, 1, await store.now(), "@zehra_k gelsin, Zehra bilir")
    await send(store, lease, "Zehra_K kim?", 2)
    erased = await store.forget(None, names=["Zehra"], handles=["@zehra_k"])
    assert (erased.deleted, erased.rewritten) == ({}, {"message": 2})
    assert [message.text for message in await store.recent(CHAT, 10)] == ["[kullanıcı] gelsin, Üye bilir", "Üye kim?"]


async def test_an_answer_to_who_was_forgotten_meanwhile_is_not_sent(database: Database) -> None:
    store, lease = await database.ali()
    await receive(store, 1, await store.now(), to=(BOT,))
    key = StimulusKey(CHAT, 1, BOT)
    await store.take_stimulus(key, BOT, counts=True)
    await store.forget(USER)
    assert await store.claim(draft(lease, "Deniz, bence de", stimulus=key, reply_to=1)) is None


async def test_every_daemon_can_learn_who_was_forgotten_for_a_day(database: Database) -> None:
    store, _ = await database.ali()
    before = await store.now()
    await database.advance(10)
    await store.forget(USER)
    assert await store.forgotten([USER, ZEHRA], before) == {USER}
    assert await store.forgotten([USER], await store.now() + 1) == set()
    assert await store.forgotten([], before) == set()
    await database.advance(FORGOTTEN_SECONDS + 1)
    assert await store.forgotten([USER], before) == set()


async def test_a_private_chat_goes_whole(database: Database) -> None:
    store, lease = await database.ali()
    line = await send(store, lease, "Merhaba", 1)
    made = await claim(store, draft(lease, "Yalnızca grupta konuşuyorum"))
    await store.settle(made, State.FAILED)
    assert line != made.id
    await receive(store, 1, await store.now(), user_id=ZEHRA, author="Zehra", chat_id=ZEHRA)
    assert (await store.forget(ZEHRA)).deleted == {"message": 1}


async def test_an_anonymous_administrator_is_forgotten_without_their_group(database: Database) -> None:
    """They write as the group itself: their id is the chat's."""
    store, lease = await database.ali()
    await receive(store, 1, await store.now(), user_id=CHAT, author="Piyasa Sohbeti", to=(BOT,))
    await receive(store, 2, await store.now(), to=(BOT,))
    await send(store, lease, "Merhaba", 3)
    assert (await store.forget(CHAT)).deleted == {"message": 1, "stimulus": 1}
    assert len(await store.recent(CHAT, 10)) == 2
    assert await store.saying_at(CHAT, 3) is not None
