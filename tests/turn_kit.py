"""A daemon's turns in virtual time: all parts of ours from the inbox to the settled row; Telegram and the model are told
what to do.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from piyasad.bots.disclosure import Discloser
from piyasad.bots.fixed import FixedAnswers
from piyasad.bots.inbound import Inbound
from piyasad.bots.restore import restore
from piyasad.bots.state import BotState, ChatState, LiveState
from piyasad.bots.stimuli import Stimuli
from piyasad.bots.turn import Parts, TurnTaker
from piyasad.clock import DAY, LoopClock
from piyasad.config import Settings
from piyasad.config.secrets import Secret
from piyasad.delivery.delivery import Delivery, Events
from piyasad.delivery.slot import Slots
from piyasad.gateway.gateway import Gateway
from piyasad.metrics import Metrics
from piyasad.model import DaemonRow, Kind, Message, Received, Stimulus, StimulusKey
from piyasad.providers.interface import Completion, Request
from piyasad.scheduler import BotLoop
from piyasad.sharding.leases import Leases
from piyasad.store.in_memory import InMemoryStore
from piyasad.store.memory_database import MemoryDatabase
from piyasad.telegram.errors import Done, Failure, Sent
from piyasad.telegram.limits import SendLimits
from piyasad.telegram.sender import Sender
from tests.cases import CHAT
from tests.faulty import faulty
from tests.virtual import run_virtual

T = TypeVar("T")
Outcome = Sent | Failure

ALI, AYSE = 7100000001, 7100000002
NOTICE_ID = 1

SETTINGS: dict[str, Any] = {
    "chats": [{"id": CHAT, "topics": ["Makro", "Kripto"]}],
    "pace": {"typing": False, "chat_per_minute": 1000, "hourly_limit": {"min": 1000, "max": 1000}},
    "conversation": {"reaction_probability": 0.0, "bot_share_max": 1.0},
    "bots": [
        {
            "name": "Ali Hoca",
            "username": "ali_hoca_bot",
            "token_env": "ALI",
            "chats": [CHAT],
            "persona": {"watchlist": ["enflasyon", "TCMB"]},
        },
        {
            "name": "Ayşe Scalper",
            "username": "ayse_scalper_bot",
            "token_env": "AYSE",
            "chats": [CHAT],
            "persona": {"watchlist": ["BTCUSDT"]},
        },
    ],
}
TOKENS = {"Ali Hoca": Secret(f"{ALI}:{'a' * 35}"), "Ayşe Scalper": Secret(f"{AYSE}:{'b' * 35}")}


def settings(**sections: dict[str, Any]) -> Settings:
    """Two bots in one chat, every limit open, with these keys changed."""
    made = {name: ({**SETTINGS[name], **sections[name]} if name in sections else SETTINGS[name]) for name in SETTINGS}
    return Settings.model_validate({**{k: v for k, v in sections.items() if k not in made}, **made})


@dataclass
class Wire:
    """Telegram: what it says next by method, else that all is well; and what reached it."""

    clock: LoopClock
    seconds: float = 0.1
    says: dict[str, list[Any]] = field(default_factory=dict)
    sent: list[tuple[int, int, str, int | None, float]] = field(default_factory=list)
    calls: list[tuple[str, int]] = field(default_factory=list)
    number: int = 0

    def next_id(self) -> int:
        """The chat's next message id."""
        self.number += 1
        return self.number

    async def send(
        self, bot_id: int, chat_id: int, text: str, *, reply_to: int | None, thread_id: int | None, timeout: float
    ) -> Outcome:
        self.sent.append((bot_id, chat_id, text, reply_to, self.clock.mono()))
        return cast(Outcome, await self._say("send", bot_id, Sent(self.next_id(), self.clock.wall())))

    async def typing(self, bot_id: int, chat_id: int, thread_id: int | None) -> Done | Failure:
        return cast(Done, await self._say("typing", bot_id, Done()))

    async def react(self, bot_id: int, chat_id: int, message_id: int, emoji: str) -> Done | Failure:
        return cast(Done, await self._say("react", bot_id, Done()))

    async def pin(self, bot_id: int, chat_id: int, message_id: int) -> Done | Failure:
        return cast(Done, await self._say("pin", bot_id, Done()))

    async def name(self, bot_id: int) -> str | Failure:
        return cast(str, await self._say("name", bot_id, "Ali 🤖"))

    async def descriptions(self, bot_id: int) -> tuple[str, str] | Failure:
        return cast(tuple[str, str], await self._say("descriptions", bot_id, ("yapay zekâ", "yapay zekâ")))

    async def set_profile(self, bot_id: int, **what: str | None) -> Done | Failure:
        return cast(Done, await self._say(f"set {'/'.join(what)}", bot_id, Done()))

    async def _say(self, method: str, bot_id: int, well: Any) -> Any:
        self.calls.append((method, bot_id))
        said = self.says[method].pop(0) if self.says.get(method) else well
        await asyncio.sleep(self.seconds)
        return said

    def lines(self) -> list[str]:
        """The texts that reached it, the notice left out."""
        return [text for _, _, text, _, _ in self.sent if "işaretli hesaplar yapay zekâ karakterleridir; " not in text]


@dataclass
class Pen:
    """The model: writes a line that nobody wrote before."""

    seconds: float = 1.0
    calls: list[Request] = field(default_factory=list)
    fails: list[Exception] = field(default_factory=list)
    writes: Callable[[int], str] = "Satır {}.".format

    async def complete(self, request: Request) -> Completion:
        self.calls.append(request)
        number = len(self.calls)
        await asyncio.sleep(self.seconds)
        if self.fails:
            raise self.fails.pop(0)
        return Completion(self.writes(number), "pen", "pen")

    def stretch(self) -> float:
        return 1.0


class Never:
    """A law by which no bot speaks unasked."""

    def first_delay(self) -> float:
        return 100 * DAY

    def next_delay(self) -> float:
        return 100 * DAY

    def drift(self) -> float:
        return 1.0

    def closed_for(self) -> float:
        return 0.0


class Daemon:
    """One process's parts. Several may follow one another on one database, or live side by side."""

    def __init__(
        self,
        clock: LoopClock,
        database: MemoryDatabase,
        wire: Wire,
        pen: Pen,
        *,
        name: str = "a",
        given: Settings | None = None,
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        self.clock, self.database, self.wire, self.pen, self.name = clock, database, wire, pen, name
        self.settings = given or settings()
        self.metrics = Metrics()
        self.store, self.faults = faulty(InMemoryStore(database))
        self.live = LiveState(self.settings, shard, 1)
        self.told: list[tuple[object, ...]] = []
        self.warmed: list[float] = []
        self.lead = 0.0  # by what the local clock runs ahead of Telegram's
        self.tasks: list[asyncio.Task[None]] = []
        self.loops: dict[int, BotLoop] = {}
        sender = cast(Sender, wire)
        self.slots = Slots(SendLimits(1000, 1000, 1000, 0.0), clock)
        row = DaemonRow(name, *shard, "here", 1, "", 0.0, alive=True, drain="")
        self.leases = Leases(self.store, clock, self.metrics, row, lambda: None, seconds=10 * DAY)
        events = Events(
            lambda bot: self.told.append(("token", bot)), self._forbidden, lambda old, new: self._migrated(old, new)
        )
        self.delivery = Delivery(self.store, sender, self.slots, self.leases, clock, self.metrics, events)
        self.discloser = Discloser(self.live, self.store, sender, self.delivery, self.slots, clock, events)
        fixed = FixedAnswers(self.live, self.store, self.delivery, self.slots, self.discloser, clock)
        self.stimuli = Stimuli(
            self.live, self.store, clock, age=self._age, wake=self._wake, is_fixed=fixed.is_fixed, fixed=fixed.say
        )
        self.inbound = Inbound(
            self.live,
            self.store,
            self.stimuli,
            clock,
            age=self._age,
            warm=lambda chat, factor: self.warmed.append(factor),
            is_fixed=fixed.is_fixed,
        )
        self.parts = Parts(
            self.live, self.store, cast(Gateway, pen), self.delivery, self.slots, sender, self.stimuli, self.discloser,
            clock, self.metrics, [],
        )  # fmt: skip

    @property
    def chat(self) -> ChatState:
        """The first chat."""
        return next(iter(self.live.chats.values()))

    def bot(self, bot_id: int = ALI) -> BotState:
        """A bot's state."""
        return self.live.bots[bot_id]

    async def start(self, *bot_ids: int, noticed: bool = True) -> Daemon:
        """Enter, take these bots (all of them), and let them answer. `noticed`: the chat has its notice already."""
        self.live.commit(await self.live.prepare(self.settings, TOKENS))
        await self.leases.enter(alone=False)
        await self.store.ensure_chats(list(self.live.chats))
        if noticed:
            for chat_id in self.live.chats:
                self.database.chats[chat_id].notice_message_id = self.database.chats[chat_id].notice_message_id or -1
                self.database.chats[chat_id].notice_at = self.clock.wall()
        await self.take(*bot_ids or self.live.bots)
        self._run(self.stimuli.run())
        return self

    async def take(self, *bot_ids: int) -> None:
        """Take bots, give them what they did before, begin their loops."""
        names = [(bot_id, self.bot(bot_id).persona.name, self.bot(bot_id).persona.username) for bot_id in bot_ids]
        leases = await self.leases.take(names)
        await restore(self.live, self.store, self.slots, self.clock, [lease.bot_id for lease in leases])
        for lease in leases:
            bot = self.bot(lease.bot_id)
            bot.held, bot.fence, bot.disclosed = True, lease.fence, True
            self.begin(lease.bot_id)
        self.stimuli.resume([lease.bot_id for lease in leases])

    def begin(self, bot_id: int) -> asyncio.Task[None]:
        """A bot's loop, in a task."""
        loop = self.loops[bot_id] = BotLoop(Never(), TurnTaker(self.bot(bot_id), self.parts), self.clock, self.metrics)
        return self._run(loop.run())

    def turn(self, bot_id: int = ALI) -> asyncio.Task[None]:
        """One unprompted turn, in a task."""
        return self._run(TurnTaker(self.bot(bot_id), self.parts).take(None))

    async def say(self, text: str, *, user: int = 501, age: float = 0.0, reply_to: int | None = None) -> int:
        """A member writes; its Telegram id."""
        number = self.wire.next_id()
        at = self.clock.wall() - self.lead - age
        await self.inbound.received(Received(CHAT, number, user, f"Üye{user}", text, at, reply_to=reply_to))
        return number

    async def kill(self) -> None:
        """The process is gone: nothing of it ends in order. Only where no other daemon lives."""
        doomed = asyncio.all_tasks() - {asyncio.current_task()}
        for task in doomed:
            task.cancel()
        await asyncio.wait(doomed, timeout=1.0)
        for daemon in self.database.daemons.values():
            daemon.expiry = self.clock.wall()

    def states(self) -> dict[StimulusKey, str]:
        """Every stimulus's state, with its reason where there is one."""
        rows = self.database.stimuli.rows.items()
        return {key: f"{row.state} {row.reason}".strip() for key, row in rows}

    def state(self, telegram_id: int, bot_id: int = ALI) -> str:
        """One stimulus's state, with its reason where there is one."""
        return self.states()[StimulusKey(CHAT, telegram_id, bot_id)]

    def kinds(self) -> list[Kind]:
        """What was sent or may have been, by kind, in its order."""
        rows = self.database.ledger.rows.values()
        return [row.kind for row in rows if row.bot_id is not None and row.state in {"sent", "uncertain"}]

    def outcomes(self) -> dict[str, int]:
        """How the turns ended, as the metric counts them."""
        counts: Counter[str] = Counter()
        for (_, outcome), each in self.metrics.turns.children():
            counts[outcome] += int(each._value.get())
        return dict(counts)

    def lease(self, *, runs: bool) -> None:
        """The lease has no time left, or has again; nobody was told of it yet."""
        if runs:
            del self.leases.__dict__["alive"]
        else:
            self.leases.__dict__["alive"] = lambda margin=0.0: False

    def hear(self, text: str, *, bot_id: int | None = None, ago: float = 0.0) -> Message:
        """A line in the room that no ear brought."""
        number = self.wire.next_id()
        kind, user = (Kind.PERSON, 501) if bot_id is None else (Kind.CONTINUE, None)
        at = self.clock.wall() - ago
        made = Message(10_000 + number, CHAT, bot_id, "Deniz", kind, text, at, telegram_id=number, user_id=user)
        self.live.hear(made)
        return made

    def _age(self, date: float) -> float:
        return self.clock.wall() - self.lead - date

    def _wake(self, bot_id: int, stimulus: Stimulus) -> bool:
        loop = self.loops.get(bot_id)
        if loop is not None:
            loop.wake(stimulus)
        return loop is not None

    def _forbidden(self, bot_id: int, chat_id: int, reason: str) -> None:
        self.told.append(("forbidden", bot_id, chat_id))
        self.bot(bot_id).barred[chat_id] = reason

    def _migrated(self, old: int, new: int) -> None:
        self.told.append(("moved", old, new))
        self.live.move(old, new)
        self.slots.move(old, new)
        self._run(self.store.rekey_chat(old, new))

    def _run(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self.tasks.append(task)
        return task


@dataclass
class Scene:
    """A database, Telegram and a model, and the daemon that a test begins with."""

    clock: LoopClock
    database: MemoryDatabase
    wire: Wire
    pen: Pen

    def daemon(self, **keys: Any) -> Daemon:
        """Another process."""
        return Daemon(self.clock, self.database, self.wire, self.pen, **keys)


def scene(work: Callable[[Scene], Awaitable[T]]) -> T:
    """Run a test in virtual time."""

    async def main(clock: LoopClock) -> T:
        return await work(Scene(clock, MemoryDatabase(clock), Wire(clock), Pen()))

    return run_virtual(main)


def on_daemon(work: Callable[[Daemon], Awaitable[T]], *, noticed: bool = True, **keys: Any) -> T:
    """Run a test on one started daemon."""

    async def main(here: Scene) -> T:
        return await work(await here.daemon(**keys).start(noticed=noticed))

    return scene(main)


def only(values: Sequence[T]) -> T:
    """The one value that there is."""
    assert len(values) == 1, values
    return values[0]
