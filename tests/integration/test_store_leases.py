"""Who may speak: several daemons at one database at once, and the ledger's states against a model."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from piyasad.clock import SystemClock
from piyasad.model import Claim, DaemonRow, Draft, Kind, Lease, State
from piyasad.store.postgres import PostgresStore
from tests.fixtures.postgres import slow_inserts

BOTS = [(number, f"Bot {number}", f"bot{number}") for number in range(1, 201)]
NAMES = ("a", "b", "c", "d")


def daemon(name: str) -> DaemonRow:
    return DaemonRow(name, 0, 4, "host", 1, "hash", 0.0, True, "")


def draft(lease: Lease, text: str = "x") -> Draft:
    return Draft(lease.bot_id, lease.fence, -1, Kind.TOPIC, text, "Bot")


@pytest.fixture
async def stores(pg_dsn: str) -> AsyncIterator[list[PostgresStore]]:
    """Four daemons on one database."""
    made = await asyncio.gather(*(PostgresStore.connect(pg_dsn, SystemClock()) for _ in NAMES))
    await asyncio.gather(*(store.enter(daemon(name), 600) for store, name in zip(made, NAMES, strict=True)))
    yield made
    await asyncio.gather(*(store.close() for store in made))


async def test_four_daemons_taking_the_same_bots_give_each_one_owner(stores: list[PostgresStore]) -> None:
    orders = [BOTS, BOTS[::-1], BOTS[100:] + BOTS[:100], BOTS[::2] + BOTS[1::2]]
    taken = await asyncio.gather(
        *(store.take(name, order) for store, name, order in zip(stores, NAMES, orders, strict=True))
    )
    leases = list(itertools.chain.from_iterable(taken))
    assert sorted(lease.bot_id for lease in leases) == [bot[0] for bot in BOTS]
    assert {lease.fence for lease in leases} == {1}
    owners = {row.id: row.owner for row in await stores[0].bots()}
    for name, held in zip(NAMES, taken, strict=True):
        assert {lease.bot_id for lease in held} == {bot for bot, owner in owners.items() if owner == name}


async def test_daemons_that_start_together_on_an_empty_database_migrate_it_once(
    pg_dsn: str,
) -> None:
    connection = await asyncpg.connect(pg_dsn)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.close()
    made = await asyncio.gather(*(PostgresStore.connect(pg_dsn, SystemClock()) for _ in NAMES))
    assert await made[0].counts(0) == {}
    await asyncio.gather(*(store.maintain(SystemClock().wall() + 86400, 30) for store in made))
    await asyncio.gather(*(store.close() for store in made))


async def test_a_dead_daemons_bots_are_shared_out_once_while_others_speak(stores: list[PostgresStore]) -> None:
    leases = await stores[0].take("a", BOTS)
    claims = await asyncio.gather(*(stores[0].claim(draft(lease)) for lease in leases))
    assert all(claims)
    await stores[0].enter(daemon("a"), -1)
    results = await asyncio.gather(
        *(store.take(name, BOTS) for store, name in zip(stores[1:], NAMES[1:], strict=True)),
        *(stores[0].claim(draft(lease, "geç")) for lease in leases),
        stores[0].beat("a", 600),
    )
    taken = [lease for lot in results[:3] for lease in lot]  # type: ignore[union-attr]
    assert sorted(lease.bot_id for lease in taken) == [bot[0] for bot in BOTS]
    assert {lease.fence for lease in taken} == {2}
    assert results[-1] is False
    # Whatever claims slipped in before the takeover, none of the old fence is left `sending`.
    late = sum(claim is not None for claim in results[3:-1])
    assert await stores[1].counts(0) == {"uncertain": 200 + late}
    assert await asyncio.gather(*(stores[0].claim(draft(lease)) for lease in leases)) == [None] * 200


async def test_a_takeover_waits_for_a_claim_under_way_and_marks_it(stores: list[PostgresStore], pg_dsn: str) -> None:
    old, new = stores[0], stores[1]
    [lease] = await old.take("a", BOTS[:1])
    await old.enter(daemon("a"), -1)
    async with slow_inserts(pg_dsn) as arrived:
        claiming = asyncio.create_task(old.claim(draft(lease)))  # has passed the fence's check, is not committed
        await arrived()
        taking = asyncio.create_task(new.take("b", BOTS[:1]))
        await asyncio.sleep(0.1)
        assert not taking.done()
    assert await claiming is not None
    assert [taken.fence for taken in await taking] == [2]
    assert await new.counts(0) == {"uncertain": 1}


# --- the ledger's states against a model


@dataclass
class Row:
    fence: int
    state: State
    text: str
    telegram_id: int | None = None


@dataclass
class Model:
    """What the design says about one bot: one owner, a growing fence, rows that end one way."""

    owner: str | None = None
    fence: int = 0
    alive: set[str] = field(default_factory=set)
    rows: dict[int, Row] = field(default_factory=dict)

    def take(self, name: str) -> bool:
        if self.owner is not None and self.owner in self.alive:
            return False
        self.owner, self.fence = name, self.fence + 1
        for row in self.rows.values():
            if row.state is State.SENDING:
                row.state = State.UNCERTAIN
        return True

    def settle(self, row: Row, state: State, telegram_id: int | None) -> None:
        if row.state in {State.SENDING, State.UNCERTAIN}:
            row.state, row.telegram_id = state, telegram_id


DAEMONS = st.sampled_from(("a", "b"))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), DAEMONS),
        st.tuples(st.just("die"), DAEMONS),
        st.tuples(st.just("seize")),
        st.tuples(st.just("claim"), st.integers(-1, 0), st.sampled_from("xy")),
        st.tuples(st.just("settle"), st.integers(0, 50), st.sampled_from((State.SENT, State.FAILED, State.UNCERTAIN))),
        st.tuples(st.just("witness"), st.sampled_from("xy")),
        st.tuples(st.just("free"), DAEMONS),
    ),
    min_size=5,
    max_size=40,
)


class Trial:
    """Walks the same steps through the store and the model; a bot and a chat of its own each time."""

    def __init__(self, store: PostgresStore, number: int) -> None:
        self.store = store
        self.model = Model()
        self.bot = number
        self.chat = -1000 - number
        self.claims: list[Claim] = []
        self.telegram_ids = itertools.count(1)

    def name(self, who: str) -> str:
        return f"{who}{self.bot}"

    async def start(self) -> None:
        for who in ("a", "b"):
            await self.live(self.name(who))

    async def live(self, name: str) -> None:
        self.model.alive.add(name)
        await self.store.enter(daemon(name), 600)

    async def take(self, who: str) -> None:
        name = self.name(who)
        await self.live(name)
        leases = await self.store.take(name, [(self.bot, "Bot", "bot")])
        assert bool(leases) == self.model.take(name)
        assert [lease.fence for lease in leases] == [self.model.fence] * len(leases)

    async def die(self, who: str) -> None:
        self.model.alive.discard(self.name(who))
        await self.store.enter(daemon(self.name(who)), -1)

    async def seize(self) -> None:
        """The owner's lease ends and the other daemon takes the bot."""
        owner = "b" if self.model.owner == self.name("b") else "a"
        await self.die(owner)
        await self.take("a" if owner == "b" else "b")

    async def free(self, who: str) -> None:
        await self.store.free(self.name(who), [self.bot])
        if self.model.owner == self.name(who):
            self.model.owner = None

    async def claim(self, offset: int, text: str) -> None:
        fence = self.model.fence + offset
        claim = await self.store.claim(Draft(self.bot, fence, self.chat, Kind.REPLY, text, "Bot"))
        assert (claim is not None) == (offset == 0 and self.model.owner is not None)
        if claim is not None:
            self.claims.append(claim)
            self.model.rows[claim.id] = Row(fence, State.SENDING, text)

    async def settle(self, index: int, state: State) -> None:
        if not self.claims:
            return
        claim = self.claims[index % len(self.claims)]
        telegram_id = next(self.telegram_ids) if state is State.SENT else None
        await self.store.settle(claim, state, telegram_id=telegram_id)
        self.model.settle(self.model.rows[claim.id], state, telegram_id)

    async def witness(self, text: str) -> None:
        telegram_id, now = next(self.telegram_ids), await self.store.now()
        seen = await self.store.witness(self.bot, self.chat, telegram_id, text, None, now)
        candidates = [
            row
            for row in self.model.rows.values()
            if row.text == text and row.state in {State.SENDING, State.UNCERTAIN}
        ]
        assert seen == bool(candidates)
        if candidates:  # the newest: its claim is nearest to the time it was seen
            self.model.settle(candidates[-1], State.SENT, telegram_id)

    async def check(self, connection: asyncpg.Connection) -> None:
        rows = await connection.fetch(
            "SELECT id, fence, state, text, telegram_message_id FROM message WHERE bot_id = $1", self.bot
        )
        found = {
            row["id"]: Row(row["fence"], State(row["state"]), row["text"], row["telegram_message_id"]) for row in rows
        }
        assert found == self.model.rows
        sent = {row.telegram_id for row in found.values() if row.state is State.SENT}
        assert {message.telegram_id for message in await self.store.recent(self.chat, 100)} == sent


_numbers = itertools.count(1)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_claims_settlements_and_takeovers_follow_the_model(steps: list[tuple[object, ...]], pg_dsn: str) -> None:
    store = await PostgresStore.connect(pg_dsn, SystemClock(), linger=0)
    connection = await asyncpg.connect(pg_dsn)
    try:
        trial = Trial(store, next(_numbers))
        await trial.start()
        await trial.take("a")
        for name, *args in steps:
            await getattr(trial, str(name))(*args)
            await trial.check(connection)
    finally:
        await connection.close()
        await store.close()
