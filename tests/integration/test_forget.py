"""Forgetting on a real database: nothing of the member is found in any column of any table."""

from __future__ import annotations

import asyncio
import json

import asyncpg
import pytest

from piyasad.clock import SystemClock
from piyasad.model import Claim, DaemonRow, Draft, Kind, Received, State, TurnTrace
from piyasad.store import sweep
from piyasad.store.postgres import PostgresStore

CHAT, OTHER, BOT = -1001234567890, -1009876543210, 7100000001
ZEHRA, MERT = 5012345678, 5087654321
WORDS = "Kız kardeşim Nilüfer'in düğünü için gram altın biriktiriyorum"
SECRET = "IBAN'ım TR330006100519786457841326"
NEVER_AGAIN = (
    str(ZEHRA),
    "zehra",
    "korkmaz",
    "zehra_k",
    "zehrali",
    "gram altın biriktiriyorum",
    "nilüfer",
    "TR3300061",
)


async def found(dsn: str, *words: str) -> list[str]:
    """Where any of these words stands in the database, in whatever column and type, in any case."""
    connection = await asyncpg.connect(dsn)
    tables = await connection.fetch(
        "SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
    )
    hits = []
    for table in tables:
        for row in await connection.fetch(f"SELECT t::text AS whole FROM ONLY {table['name']} t"):
            hits += [f"{table['name']}: {row['whole']}" for word in words if word.casefold() in row["whole"].casefold()]
    await connection.close()
    return hits


class Room:
    """A daemon's store with what a talkative room leaves in it."""

    def __init__(self, store: PostgresStore, dsn: str) -> None:
        self.store = store
        self.dsn = dsn
        self.fence = 0
        self.number = 100

    async def enter(self) -> None:
        await self.store.enter(DaemonRow("d", 0, 1, "evim", 1, "hash", 0.0, True, ""), 600)
        [lease] = await self.store.take("d", [(BOT, "Ali Hoca", "ali_bot")])
        self.fence = lease.fence

    async def hear(self, user: int, author: str, text: str, *, handle: str = "", chat: int = CHAT) -> int:
        self.number += 1
        now = await self.store.now()
        to = (BOT,)
        await self.store.receive([Received(chat, self.number, user, author, text, now, to=to, handle=handle)])
        return self.number

    async def claim(self, text: str, reply_to: int | None = None) -> Claim:
        claim = await self.store.claim(Draft(BOT, self.fence, CHAT, Kind.REPLY, text, "Ali Hoca", reply_to=reply_to))
        assert claim is not None
        return claim

    async def say(self, text: str, reply_to: int | None = None, state: State = State.SENT) -> None:
        self.number += 1
        claim = await self.claim(text, reply_to)
        telegram_id = self.number if state is State.SENT else None
        await self.store.settle(claim, state, telegram_id=telegram_id, reason="" if telegram_id else "Zehra left")

    async def fill(self) -> None:
        await self.enter()
        theirs = await self.hear(ZEHRA, "Zehra Korkmaz 🦅", WORDS, handle="zehra_k")
        await self.hear(ZEHRA, "Zehralı", SECRET, handle="ZehraK_Old")
        await self.hear(ZEHRA, "Zehra Korkmaz 🦅", "özel", chat=ZEHRA)
        await self.hear(MERT, "Mert", "@zehra_k ZEHRA'ya katılmıyorum; dolar t.me/zehra_k", handle="mert_1")
        await self.hear(MERT, "Mert", "Zehra KORKMAZ burada mı", chat=OTHER)
        await self.say("Zehra'cım, “gram altın biriktiriyorum” ne güzel; Nilüfer'in düğünü için diyorsun", theirs)
        await self.say(f"Zehra Korkmaz'ın {SECRET} dediği", state=State.FAILED)
        await self.say("Dolar bugün sakin")
        now = await self.store.now()
        prompt = {"system": "Sen Ali'sin", "user": "Üye 1: gram altın biriktiriyorum, Nilüfer"}
        detail = {"reason": "Zehra asked", "prompt": prompt, "suspect": [WORDS], "user_id": ZEHRA, "target": 1}
        self.store.record_turns([TurnTrace("t1", BOT, CHAT, now, "answer", "sent", detail)])
        self.store.record_turns([TurnTrace("t2", BOT, OTHER, now, "reply", "sent", {"verdicts": ["says zehra_k"]})])
        await self.store.report("d", {"silent": {"Ali Hoca": "waits for Zehra"}})
        await self.store.set_bot_state(BOT, "active", f"asked by {ZEHRA}")
        connection = await asyncpg.connect(self.dsn)
        memory = "INSERT INTO memory (bot_id, chat_id, user_id, kind, text, message_id, created_at) VALUES "
        await connection.execute(
            f"{memory} ({BOT}, {CHAT}, {ZEHRA}, 'claim', 'altın biriktiriyor', NULL, now()), "
            f"({BOT}, {CHAT}, NULL, 'own', 'Zehra Korkmaz düğüne gidiyor', NULL, now()), "
            f"({BOT}, {CHAT}, {MERT}, 'claim', 'Zehra ile konuştu', NULL, now())"
        )
        await connection.execute(
            "CREATE TABLE later (name text PRIMARY KEY, detail json, words text[], who text); "
            "INSERT INTO later VALUES ('a', '{\"kim\": \"\\u005aehra\", \"n\": [1, \"@zehra_k\"]}', '{Zehra,Mert}', 'Zehra')"
        )
        await connection.close()


@pytest.fixture
async def room(store: PostgresStore, pg_dsn: str) -> Room:
    made = Room(store, pg_dsn)
    await made.fill()
    return made


async def test_a_search_of_the_whole_database_finds_nothing_of_a_forgotten_member(room: Room) -> None:
    assert len(await found(room.dsn, *NEVER_AGAIN)) > 20
    await room.store.opt_out(ZEHRA)
    erased = await room.store.forget(ZEHRA)
    assert await found(room.dsn, *NEVER_AGAIN, "🦅") == []
    assert await room.store.is_opted_out(ZEHRA)
    assert erased.deleted == {"memory": 1, "message": 3, "stimulus": 3}
    assert erased.rewritten == {"bot": 1, "daemon": 1, "later": 1, "memory": 2, "message": 4, "turn": 2}


async def test_what_others_said_and_did_stays(room: Room) -> None:
    await room.store.forget(ZEHRA)
    texts = [message.text for message in await room.store.recent(CHAT, 10)]
    assert texts == [
        "[kullanıcı] Üye'ye katılmıyorum; dolar t.me/[kullanıcı]",
        "Üye'cım, “Üye” ne güzel; Üye diyorsun",
        "Dolar bugün sakin",
    ]
    connection = await asyncpg.connect(room.dsn)
    details = await connection.fetch("SELECT detail FROM turn ORDER BY id")
    memories = await connection.fetch("SELECT text FROM memory ORDER BY id")
    later = await connection.fetch("SELECT detail::text, words, who FROM later")
    await connection.close()
    assert [json.loads(row["detail"]) for row in details] == [
        {"reason": "Üye asked", "suspect": ["Üye"], "user_id": None, "target": 1},
        {"verdicts": ["says Üye"]},
    ]
    assert [row["text"] for row in memories] == ["Üye düğüne gidiyor", "Üye ile konuştu"]
    assert [tuple(row) for row in later] == [('{"kim": "Üye", "n": [1, "Üye"]}', ["Üye", "Mert"], "Üye")]
    assert (await room.store.held_on(MERT)).messages == 2


async def test_a_row_that_moves_while_it_is_read_is_rewritten_all_the_same(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else changes a row between its being read and being written: it stands elsewhere then."""
    connection = await asyncpg.connect(room.dsn)
    await connection.execute("UPDATE message SET created_at = created_at - interval '5 minutes'")
    write = sweep._write

    async def moved_first(*args: object) -> int:
        monkeypatch.setattr(sweep, "_write", write)
        await connection.execute("UPDATE message SET fence = fence")
        return await write(*args)  # type: ignore[arg-type]

    part = sweep.NOT_THEIRS | {"bot", "daemon", "later", "memory"}
    monkeypatch.setattr(sweep, "NOT_THEIRS", part)  # so that the first rows that are written are the ledger's
    monkeypatch.setattr(sweep, "_write", moved_first)
    await room.store.forget(ZEHRA)
    texts = await connection.fetch("SELECT text || reason AS said FROM message")
    await connection.close()
    assert not [row["said"] for row in texts if "zehra" in row["said"].lower()]


async def test_claims_and_settlements_go_on_while_somebody_is_forgotten(room: Room) -> None:
    async def talk() -> None:
        for number in range(30):
            await room.say(f"Satır {number}, Zehra")

    await asyncio.gather(talk(), room.store.forget(ZEHRA))
    await room.store.forget(ZEHRA, names=["Zehra"])
    assert await found(room.dsn, *NEVER_AGAIN[1:2]) == []
    assert (await room.store.counts(0))["sent"] == 32


async def test_the_database_finds_names_in_whatever_case_and_form(store: PostgresStore, pg_dsn: str) -> None:
    room = Room(store, pg_dsn)
    await room.enter()
    await room.hear(ZEHRA, "İlkay Işıkçı", "selam")
    for text in ("ILKAY dedi", "i̇lkay dedi", "ilkay isikci dedi", "İLKAY’A sor", "I\u0307lkay", "İl\u200bkay"):
        await room.hear(MERT, "Mert", text, chat=OTHER)
    await store.forget(ZEHRA)
    assert {message.text for message in await store.recent(OTHER, 10)} == {"Üye dedi", "Üye'ye sor", "Üye"}


async def test_a_line_said_is_found_among_ten_million_by_an_index(store: PostgresStore, pg_dsn: str) -> None:
    """No clock: the plans say that no table is read through."""
    connection = await asyncpg.connect(pg_dsn)
    await connection.execute(
        "INSERT INTO said SELECT n, sha256(n::text::bytea), 1, -1, n, now() FROM generate_series(1, 20000) n; "
        "ANALYZE said; SET enable_seqscan = on"
    )
    for where in ("hash = sha256('5'::bytea)", "chat_id = -1 AND telegram_message_id = 5", "message_id = 5"):
        plan = await connection.fetch(f"EXPLAIN SELECT * FROM said WHERE {where}")
        assert "Index" in plan[0][0] or "Bitmap" in plan[0][0], plan
    await connection.close()


async def test_a_store_that_only_reads_forgets_nobody(room: Room) -> None:
    reading = await PostgresStore.reading(room.dsn, SystemClock())
    with pytest.raises(Exception, match="read-only"):
        await reading.forget(ZEHRA)
    await reading.close()
