"""The store in memory and the one on PostgreSQL do the same, call by call, whatever is asked of them in what order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from piyasad.clock import DAY, SystemClock
from piyasad.model import ANYBODY, Claim, Draft, Kind, Message, Received, State, Stimulus, StimulusKey, TurnTrace, Usage
from piyasad.store.in_memory import InMemoryStore, MemoryDatabase
from piyasad.store.interface import Store, StoreError
from piyasad.store.postgres import PostgresStore
from tests.fixtures.store import daemon, hand_clock
from tests.virtual import HandClock

DAEMONS = ("a", "b")
BOTS = (1, 2, 3)
CHATS = (-10, -20)
USERS = (501, 502)

_who = st.sampled_from((0, 1))
_bot = st.sampled_from(BOTS)
_chat = st.sampled_from(CHATS)
_number = st.integers(0, 9)
_text = st.sampled_from(("x", "y\0"))
_kind = st.sampled_from((Kind.ANSWER, Kind.TOPIC, Kind.NOTICE))
_end = st.sampled_from((State.SENT, State.SENT, State.SENT, State.FAILED, State.UNCERTAIN))
_to = st.lists(st.sampled_from((*BOTS, ANYBODY)), min_size=1, max_size=3).map(tuple)


def _step(name: str, *args: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.tuples(st.just(name), *args)


_OFTEN = (
    _step("advance", st.sampled_from((0.25, 5.0, 61.0))),
    _step("receive", _who, _chat, st.integers(0, 40), st.sampled_from(USERS), _to, st.sampled_from((0.0, 30.0))),
    _step("answer", _number, _bot, st.booleans(), _end),
    _step("answer", _number, _bot, st.just(True), st.just(State.SENT)),
    _step("take_stimulus", _number, _bot, st.booleans()),
    _step("claim", _bot, st.sampled_from((0, 0, 0, -1)), _chat, _kind, _text, st.none() | _number),
    _step("settle", _who, _number, _end),
)
_SELDOM = (
    _step("advance", st.sampled_from((300.0, 601.0, DAY / 2))),
    _step("enter", _who, st.sampled_from((9.0, 700.0))),
    _step("beat", _who),
    _step("leave", _who),
    _step("free", _who, st.lists(_bot, max_size=1)),
    *(_step("take", _who, st.just(list(BOTS))) for _ in DAEMONS),
    _step("take", _who, st.lists(_bot, min_size=1)),
    _step("free_in", _who, st.lists(_bot)),
    _step("expire_others", _who),
    _step("stray_take", _who, _number, _bot),
    _step("close_stimulus", _who, _number, st.sampled_from(("open", "dropped")), st.sampled_from(("", "stale"))),
    _step("merge_stimuli", _who, st.lists(_number, max_size=3)),
    _step("settle_without_id", _who, _number),
    _step("witness", _who, _number, st.sampled_from((0.0, -100.0, 200.0))),
    _step("edit", _who, _chat, st.integers(0, 40), _text),
    _step("ensure_chats", _who, st.lists(_chat)),
    _step("set_ear", _who, _chat, st.none() | _bot, st.none() | _bot),
    _step("claim_notice", _who, _chat, st.sampled_from((300.0, DAY))),
    _step("notice", _bot, _chat, st.sampled_from((300.0, DAY)), _end),
    _step("flood", _bot, _chat, st.sampled_from(USERS), _end),
    _step("rekey_chat", _who, _chat, _chat),
    _step("count", _who, _bot),
    _step("maintain", _who, st.sampled_from((1, 2))),
)
STEPS = st.lists(
    st.integers(0, 7).flatmap(lambda n: st.one_of(*_OFTEN) if n < 6 else st.one_of(*_SELDOM)), min_size=40, max_size=100
)


@dataclass
class Side:
    """One store under trial: what each daemon has, and its claims in order."""

    stores: list[Store]
    claims: list[Claim] = field(default_factory=list)
    ids: dict[int, int] = field(default_factory=dict)  # this side's message id → its place in the order of making
    telegram_ids: int = 1_000_000  # far from those of members

    def known(self, message: Message) -> Message:
        """The message with an id that both sides share."""
        return replace(message, id=self.ids.setdefault(message.id, len(self.ids)))


@dataclass
class Trial:
    """Takes each step on both sides and compares what comes back, then what they hold."""

    memory: Side
    postgres: Side
    rows: MemoryDatabase
    connection: asyncpg.Connection
    clock: HandClock

    async def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await self.connection.execute("UPDATE hand.clock SET at = to_timestamp($1)", self.clock.wall())

    async def take_step(self, name: str, *args: Any) -> None:
        if name == "advance":
            await self.advance(*args)
            return
        results = [await _result(getattr(self, f"_{name}")(side, *args)) for side in (self.memory, self.postgres)]
        assert results[0] == results[1], name
        for store in self.postgres.stores:
            await store.writer.flush()  # type: ignore[attr-defined]  # what a refused settlement left is written by then

    async def compare(self) -> None:
        for name in ("bots", "daemons", "chats", "uncertain"):
            assert await getattr(self.memory.stores[0], name)() == await getattr(self.postgres.stores[0], name)(), name
        for since in (0.0, self.clock.wall() - 300):
            held = [await _held(side, since) for side in (self.memory, self.postgres)]
            assert held[0] == held[1]
        rows = await self.connection.fetch(
            "SELECT chat_id, telegram_id, slot, state, reason, taken_by, taken_fence, granted, tries, user_id, "
            "answer_id IS NOT NULL AS answer FROM stimulus ORDER BY 1, 2, 3"
        )
        assert [tuple(row) for row in rows] == [
            (*key, s.state, s.reason, s.taken_by, s.taken_fence, s.grant, s.tries, s.user_id, s.answer_id is not None)
            for key, s in sorted(self.rows.stimuli.rows.items())
        ]

    # --- the steps, on one side

    async def _enter(self, side: Side, who: int, ttl: float) -> None:
        await side.stores[who].enter(daemon(DAEMONS[who]), ttl)

    async def _beat(self, side: Side, who: int) -> bool:
        return await side.stores[who].beat(DAEMONS[who], 9.0)

    async def _leave(self, side: Side, who: int) -> None:
        await side.stores[who].leave(DAEMONS[who], "bitti")

    async def _free(self, side: Side, who: int, bots: list[int]) -> None:
        await side.stores[who].free(DAEMONS[who], bots)

    async def _take(self, side: Side, who: int, bots: list[int]) -> object:
        await side.stores[who].enter(daemon(DAEMONS[who]), 700.0)
        return await side.stores[who].take(DAEMONS[who], [(bot, f"Bot {bot}", f"b{bot}") for bot in bots])

    async def _free_in(self, side: Side, who: int, bots: list[int]) -> float | None:
        return await side.stores[who].free_in(bots)

    async def _expire_others(self, side: Side, who: int) -> None:
        await side.stores[who].expire_others(DAEMONS[who])

    async def _receive(
        self, side: Side, who: int, chat: int, telegram: int, user: int, to: tuple[int, ...], back: float
    ) -> object:
        said = Received(chat, telegram, user, "Deniz", f"soru {telegram}", self.clock.wall() - back, to=to)
        found = await side.stores[who].receive([said, said])
        return [side.known(message) if message else None for message in found]

    def _key(self, number: int) -> StimulusKey:
        """One of the newest stimuli, or one that never was."""
        keys = list(self.rows.stimuli.rows)
        return keys[-1 - number] if number < len(keys) else StimulusKey(-10, 404, 1)

    def _owner(self, bot: int) -> int:
        """Whose bot that is by the tables; somebody's in any case."""
        held = self.rows.bots.get(bot)
        return 1 if held is not None and held.owner == DAEMONS[1] else 0

    async def _take_stimulus(self, side: Side, number: int, bot: int, counts: bool) -> object:
        return await side.stores[self._owner(bot)].take_stimulus(self._key(number), bot, counts=counts)

    async def _stray_take(self, side: Side, who: int, number: int, bot: int) -> object:
        return await side.stores[who].take_stimulus(self._key(number), bot, counts=True)

    async def _close_stimulus(self, side: Side, who: int, number: int, state: str, reason: str) -> None:
        await side.stores[who].close_stimulus(self._key(number), state, reason)

    async def _merge_stimuli(self, side: Side, who: int, numbers: list[int]) -> None:
        await side.stores[who].merge_stimuli([self._key(number) for number in numbers])

    async def _answer(self, side: Side, number: int, bot: int, counts: bool, end: State) -> object:
        """Take, claim and settle, as a turn does."""
        key = self._key(number)
        grant = await side.stores[self._owner(bot)].take_stimulus(key, bot, counts=counts)
        claimed = await self._claim(side, bot, 0, key.chat_id, Kind.ANSWER, "x", number)
        if claimed:
            await self._settle(side, 0, 0, end)
        return grant, claimed

    async def _claim(
        self, side: Side, bot: int, older: int, chat: int, kind: Kind, text: str, number: int | None
    ) -> bool:
        store = side.stores[self._owner(bot)]
        fence = {row.id: row.fence for row in await store.bots()}.get(bot, 0) + older
        key = None if number is None else self._key(number)
        claim = await store.claim(Draft(bot, fence, chat, kind, text, "Bot", stimulus=key))
        if claim is not None:
            assert claim.created_at == self.clock.wall()
            side.ids.setdefault(claim.id, len(side.ids))
            side.claims.append(claim)
        return claim is not None

    async def _notice(self, side: Side, bot: int, chat: int, age: float, end: State) -> bool:
        """Claim the notice, then claim and settle its row."""
        due = await self._claim_notice(side, self._owner(bot), chat, age)
        if due and await self._claim(side, bot, 0, chat, Kind.NOTICE, "x", None):
            await self._settle(side, 0, 0, end)
        return due

    async def _flood(self, side: Side, bot: int, chat: int, user: int, end: State) -> list[object]:
        """A member asks more than is answered; every third answer ends as told."""
        store, first = side.stores[self._owner(bot)], len(side.ids) * 100
        grants: list[object] = []
        for number in range(first, first + 8):
            said = Received(chat, number, user, "Deniz", "soru", self.clock.wall(), to=(bot,))
            [message] = await store.receive([said])
            assert message is not None
            side.known(message)
            key = StimulusKey(chat, number, bot)
            grants.append(await store.take_stimulus(key, bot, counts=True))
            held = {row.id: row.fence for row in await store.bots()}.get(bot, 0)
            if number % 3 == 0 and (
                claim := await store.claim(Draft(bot, held, chat, Kind.ANSWER, "x", "B", stimulus=key))
            ):
                side.ids.setdefault(claim.id, len(side.ids))
                side.claims.append(claim)
                await self._settle(side, 0, 0, end)
        return grants

    async def _settle(self, side: Side, who: int, number: int, end: State) -> None:
        if side.claims:
            side.telegram_ids += 1
            telegram_id = side.telegram_ids if end is State.SENT else None
            await side.stores[who].settle(side.claims[-1 - number % len(side.claims)], end, telegram_id=telegram_id)

    async def _settle_without_id(self, side: Side, who: int, number: int) -> None:
        if side.claims:
            await side.stores[who].settle(side.claims[-1 - number % len(side.claims)], State.SENT)

    async def _witness(self, side: Side, who: int, number: int, off: float) -> bool:
        if not side.claims:
            return False
        draft = side.claims[-1 - number % len(side.claims)].draft
        side.telegram_ids += off == 0
        at = self.clock.wall() + off
        return await side.stores[who].witness(draft.bot_id, draft.chat_id, side.telegram_ids, draft.text, None, at)

    async def _edit(self, side: Side, who: int, chat: int, telegram: int, text: str) -> None:
        await side.stores[who].edit(chat, telegram, text)

    async def _ensure_chats(self, side: Side, who: int, chats: list[int]) -> None:
        await side.stores[who].ensure_chats(chats)

    async def _set_ear(self, side: Side, who: int, chat: int, old: int | None, new: int | None) -> bool:
        return await side.stores[who].set_ear(chat, old, new)

    async def _claim_notice(self, side: Side, who: int, chat: int, age: float) -> bool:
        await side.stores[who].ensure_chats([chat])
        return await side.stores[who].claim_notice(chat, self.clock.wall(), self.clock.wall() - age)

    async def _rekey_chat(self, side: Side, who: int, old: int, new: int) -> None:
        if old != new:
            await side.stores[who].rekey_chat(old, new)

    async def _count(self, side: Side, who: int, bot: int) -> None:
        now = self.clock.wall()
        side.stores[who].add_usage([Usage("p", "k", f"m{bot}", now, 1, 2, 3, 4, 0.5)])
        side.stores[who].record_turns([TurnTrace(f"t{bot}", bot, -10, now, "topic", "sent", {})])

    async def _maintain(self, side: Side, who: int, days: int) -> None:
        await side.stores[who].maintain(self.clock.wall(), days)


async def _result(call: Awaitable[object]) -> object:
    try:
        return await call
    except StoreError:
        return StoreError


async def _held(side: Side, since: float) -> list[object]:
    """What a side shows of messages, stimuli and figures."""
    store = side.stores[0]
    waiting: list[Stimulus] = await store.open_stimuli(BOTS, CHATS, since)
    return [
        [[side.known(message) for message in await store.recent(chat, 5)] for chat in CHATS],
        [side.known(message) for message in await store.tail(CHATS, since, limit=7)],
        [side.known(message) for message in await store.last(7)],
        [(stimulus.key, side.known(stimulus.message)) for stimulus in waiting],
        await store.said(BOTS, since),
        dict(await store.counts(since)),
        await store.usage(since),
        await store.outcomes(since),
    ]


_Stage = Callable[[], Awaitable[Trial]]


@pytest.fixture
async def stage(pg_dsn: str) -> AsyncIterator[_Stage]:
    """Both sides, empty, at the same time of the same clock."""
    clock = HandClock()
    start = clock.now
    connection = await hand_clock(pg_dsn, clock)
    stores: list[Store] = [await PostgresStore.connect(pg_dsn, SystemClock(), linger=0.0) for _ in DAEMONS]

    async def make() -> Trial:
        tables = "daemon, bot, chat, message, turn, stimulus, usage"
        await connection.execute(f"TRUNCATE {tables}")
        clock.now = start
        rows = MemoryDatabase(clock)
        trial = Trial(Side([InMemoryStore(rows) for _ in DAEMONS]), Side(stores), rows, connection, clock)
        await trial.advance(0)
        return trial

    yield make
    for store in stores:
        await store.close()
    await connection.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_memory_and_postgresql_do_the_same(steps: list[tuple[Any, ...]], stage: _Stage) -> None:
    trial = await stage()
    for who in (0, 1):
        await trial.take_step("take", who, [who + 1, 3])
    for number, step in enumerate(steps):
        await trial.take_step(*step)
        if number % 4 == 0:
            await trial.compare()
    await trial.compare()
