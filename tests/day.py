"""A day of the shipped room under virtual time: everything from scheduler to gateway is the daemon's own.

Only the edges stand in memory: the ledger, Telegram, and a model that writes and counts as the sandbox's does.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from piyasad.bots.activity import ActivityPlan
from piyasad.bots.disclosure import Discloser
from piyasad.bots.inbound import Inbound
from piyasad.bots.state import LiveState
from piyasad.bots.timing import BotTiming
from piyasad.bots.turn import Parts, TurnTaker
from piyasad.clock import Clock, LoopClock
from piyasad.config import Settings
from piyasad.config.load import default_config, load
from piyasad.delivery.delivery import Delivery, Events
from piyasad.gateway.breaker import Breaker
from piyasad.gateway.endpoint import Endpoint
from piyasad.gateway.estimate import Estimator
from piyasad.gateway.gateway import Gateway
from piyasad.gateway.quota.limits import Limits
from piyasad.gateway.quota.quota import Quota
from piyasad.guards.chosen import guards_of
from piyasad.metrics import Metrics
from piyasad.model import Claim, Class, DaemonRow, Draft, Kind, Lease, Message, Received, State, Stimulus, TurnTrace
from piyasad.providers.interface import Completion, Request, Throttled
from piyasad.sandbox.llm_limits import Account, Refusal
from piyasad.sandbox.llm_limits import Limits as ServerLimits
from piyasad.sandbox.llm_text import MESSAGE_TOKENS, count_tokens, cut, write
from piyasad.scheduler import BotLoop
from piyasad.sharding.leases import Leases
from piyasad.store.interface import Store
from piyasad.telegram.errors import Done, Sent
from piyasad.telegram.limits import SendLimits
from piyasad.telegram.sender import Sender

DAY = 86_400.0
HOUR = 3600.0
CLOSES = 23 * HOUR  # the last of the four falls asleep
LLM_SECONDS = (0.6, 1.4)
WIRE_SECONDS = 0.1
FIRST_BOT = 7_100_000_001

# What members write: mentions, replies, questions to nobody, remarks; and whether it replies to the newest bot's line.
PEOPLE: tuple[tuple[str, bool], ...] = (
    ("@ali_hoca_bot enflasyon verisi sizce kalıcı bir düşüşe mi işaret ediyor?", False),
    ("Dolar ne olur sizce?", False),
    ("Bugün işe giderken yine akaryakıt konuşuluyordu, herkes zamdan dertli.", False),
    ("Mehmet abi GARAN bilançosunu okudun mu?", False),
    ("Neye dayanarak söylüyorsun bunu?", True),
    ("@ayse_scalper_bot stopu nereye koyarsın böyle bir günde", False),
    (
        "Katılmıyorum, geçen yıl da aynı şeyi duymuştuk; o zaman da beklentiler yüksekti, veri gelince herkes sustu. Bir "
        "kez daha düşünmek lazım, benden söylemesi, çünkü birikimini bu lafla kaybeden tanıdıklarım var.",
        True,
    ),
    ("Yeni başlayan biri nereden başlamalı?", False),
    ("Gram altın nereye gider", False),
    ("Zeynep sen defterine ne yazdın bugün?", False),
    ("Bu ara haberlere bakmaktan yoruldum", False),
)


@dataclass(frozen=True, slots=True)
class Call:
    """One call that the model answered: when, for whom, what it cost."""

    at: float
    bot_id: int
    klass: Class
    prompt: int
    completion: int
    stretch: float
    system: str
    user: str


class Model:
    """The sandbox's writer behind its own counting: a limit that is overrun answers 429, as the server would."""

    name = "sandbox"
    model = "sandbox"

    def __init__(self, limits: ServerLimits, clock: Clock, stretch: Callable[[], float], seed: int) -> None:
        self.account = Account(limits)
        self.calls: list[Call] = []
        self.refused = 0
        self._clock = clock
        self._stretch = stretch
        self._rng = random.Random(f"model/{seed}")

    async def complete(self, request: Request, *, timeout: float) -> Completion:
        now = self._clock.mono()
        stretch = self._stretch()  # as it was when the prompt was built
        prompt = sum(count_tokens(text) + MESSAGE_TOKENS for text in (request.system, request.user))
        admitted = self.account.admit(prompt + request.max_tokens, now)
        if isinstance(admitted, Refusal):
            self.refused += 1
            raise Throttled(admitted.text(self.model, "org"), admitted.wait, admitted.per)
        await asyncio.sleep(self._rng.uniform(*LLM_SECONDS))
        text, finish = cut(write(request.user, self._rng), request.max_tokens)
        spent = count_tokens(text)
        self.account.settle(admitted, spent - request.max_tokens)
        self.calls.append(
            Call(now, request.bot_id, request.klass, prompt, spent, stretch, request.system, request.user)
        )
        return Completion(text, self.name, self.model, prompt, 0, spent, finish=finish)

    async def close(self) -> None:
        return None


class Ledger:
    """The store's part in turns, in memory: rows, stimuli, traces."""

    def __init__(self, clock: Clock) -> None:
        self.sent: list[tuple[Claim, float]] = []
        self.states: list[State] = []
        self.turns: list[TurnTrace] = []
        self.stimuli: dict[tuple[int, int, int], str] = {}
        self._clock = clock
        self._rows = 0

    async def enter(self, daemon: DaemonRow, ttl: float) -> None:
        return None

    async def take(self, daemon_id: str, bots: Sequence[tuple[int, str, str]]) -> list[Lease]:
        return [Lease(bot_id, 1, 0, "active", None) for bot_id, _, _ in bots]

    async def set_disclosed(self, bot_id: int, at: float) -> None:
        return None

    async def claim_notice(self, chat_id: int, now: float, older_than: float) -> bool:
        return True

    async def claim(self, draft: Draft) -> Claim | None:
        self._rows += 1
        return Claim(self._rows, self._clock.wall(), draft)

    async def settle(
        self, claim: Claim, state: State, *, telegram_id: int | None = None, at: float | None = None, reason: str = ""
    ) -> None:
        self.states.append(state)
        if state is State.SENT:
            self.sent.append((claim, self._clock.mono()))

    async def receive(self, rows: Sequence[Received]) -> list[Message | None]:
        return [self._received(row) for row in rows]

    def _received(self, row: Received) -> Message:
        self._rows += 1
        return Message(
            self._rows, row.chat_id, None, row.author, Kind.PERSON, row.text, row.at,
            telegram_id=row.telegram_id, user_id=row.user_id, reply_to=row.reply_to,
        )  # fmt: skip

    async def open_stimulus(self, chat_id: int, telegram_id: int, slot: int, message_id: int, at: float) -> bool:
        return self.stimuli.setdefault((chat_id, telegram_id, slot), "open") == "open"

    async def take_stimulus(self, chat_id: int, telegram_id: int, slot: int, bot_id: int) -> bool:
        self.stimuli[chat_id, telegram_id, slot] = "taken"
        return True

    async def close_stimulus(self, chat_id: int, telegram_id: int, slot: int, state: str) -> None:
        self.stimuli[chat_id, telegram_id, slot] = state

    async def record_turns(self, traces: Sequence[TurnTrace]) -> None:
        self.turns += traces


class Wire:
    """Telegram: takes what comes and numbers messages; people's get their numbers here too."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._number = 0

    def number(self) -> int:
        """The chat's next message id."""
        self._number += 1
        return self._number

    async def send(self, bot_id: int, chat_id: int, text: str, **_: object) -> Sent:
        await asyncio.sleep(WIRE_SECONDS)
        return Sent(self.number(), self._clock.wall())

    async def profile(self, bot_id: int) -> tuple[str, str, str]:
        return "", "", ""

    async def set_profile(self, bot_id: int, **_: object) -> Done:
        return Done()

    async def react(self, bot_id: int, chat_id: int, message_id: int, emoji: str) -> Done:
        return Done()

    async def typing(self, bot_id: int, chat_id: int, thread_id: int | None) -> Done:
        return Done()

    async def pin(self, bot_id: int, chat_id: int, message_id: int) -> Done:
        return Done()


@dataclass(frozen=True, slots=True)
class Said:
    """What a person wrote, and when."""

    at: float
    telegram_id: int
    text: str


@dataclass
class House:
    """The shipped configuration's bots, wired as the pool wires them."""

    clock: LoopClock
    settings: Settings
    tokens: int
    reset: str
    seed: int = 1
    people: list[Said] = field(default_factory=list)

    def __post_init__(self) -> None:
        clock, settings = self.clock, self.settings
        self.metrics = Metrics()
        env = {bot.token_env or "": f"{FIRST_BOT + n}:{'a' * 35}" for n, bot in enumerate(settings.bots)}
        self.state = LiveState(settings, (0, 1), self.seed)
        self.state.set(settings, env)
        self.model = Model(ServerLimits(tpd=self.tokens), clock, lambda: self.gateway.stretch(), self.seed)
        quota = Quota(Limits(tpd=self.tokens, reset=self.reset), clock, paced=True)
        endpoint = Endpoint("sandbox", "", "", self.model, quota, Breaker(), Estimator())
        self.gateway = Gateway([endpoint], clock, self.metrics, timeout_seconds=settings.gateway.timeout_seconds)
        self.ledger, self.wire = Ledger(clock), Wire(clock)
        store, sender = cast(Store, self.ledger), cast(Sender, self.wire)
        row = DaemonRow("day", 1, 1, "here", 1, "", 0.0, True, "")
        self.leases = Leases(store, clock, self.metrics, row, lambda: None, seconds=10 * DAY)
        telegram = settings.telegram
        limits = SendLimits(
            telegram.per_bot_per_second, telegram.per_chat_per_second, telegram.per_group_per_minute, 0.05
        )
        events = Events(lambda bot: None, lambda bot, chat, reason: None, lambda old, new: None)
        delivery = Delivery(store, sender, limits, self.leases, clock, self.metrics, events)
        self.inbound = Inbound(self.state, store, clock, self._wake, self._warm)
        discloser = Discloser(self.state, store, sender, delivery, clock, events)
        parts = Parts(
            self.state, store, self.gateway, delivery, sender, limits, self.inbound, discloser, clock, self.metrics,
            guards_of(settings),
        )  # fmt: skip
        activity = ActivityPlan(self.state, clock)
        self.gateway.follow(activity)
        self.loops = {
            bot.id: BotLoop(
                BotTiming(bot, self.state, clock, self.gateway.stretch, activity.turned),
                TurnTaker(bot, parts),
                clock,
                self.metrics,
            )
            for bot in self.state.wanted()
        }
        self._heat = 1.0

    @property
    def chat(self) -> int:
        """The one chat."""
        return next(iter(self.state.chats))

    def _wake(self, bot_id: int, stimulus: Stimulus) -> None:
        self.loops[bot_id].wake(stimulus)

    def _warm(self, chat_id: int) -> None:
        chat = self.state.chats[chat_id]
        before, self._heat = self._heat, chat.room.view().heat(self.clock.wall(), chat.pace.burstiness)
        for loop in self.loops.values():
            loop.hasten(self._heat / before)

    async def say(self, text: str, user: int, *, reply: bool = False) -> None:
        """A person writes; `reply`: to the newest line of a bot."""
        view = self.state.chats[self.chat].room.view()
        bots = [message for message in view.messages if message.bot_id is not None and message.kind is not Kind.NOTICE]
        to = bots[-1].telegram_id if reply and bots else None
        number = self.wire.number()
        self.people.append(Said(self.clock.mono(), number, text))
        await self.inbound.received(
            Received(self.chat, number, user, f"Kişi {user}", text, self.clock.wall(), reply_to=to)
        )

    async def live(self, seconds: float, *visitors: Awaitable[None]) -> None:
        """Let the room live for so long."""
        await self.leases.enter(alone=False)
        held = [(bot.id, bot.persona.name, bot.persona.username) for bot in self.state.wanted()]
        for lease in await self.leases.take(held):
            self.state.bots[lease.bot_id].held = True
            self.state.bots[lease.bot_id].fence = lease.fence
        tasks = [asyncio.ensure_future(work) for work in (*(loop.run() for loop in self.loops.values()), *visitors)]
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def shipped(**overlay: Any) -> Settings:
    """The shipped configuration, without keys."""
    return load(default_config(), env={}, overlay={"gateway": {"route": ["offline"]}, **overlay})


async def visits(house: House, days: int = 1) -> None:
    """People come by about every 25 minutes from half past eight till the room closes. It began at midnight."""
    rng = random.Random(f"people/{house.seed}")
    number = 0
    for day in range(days):
        await asyncio.sleep(day * DAY + 8.5 * HOUR - house.clock.mono())
        while True:
            await asyncio.sleep(rng.expovariate(1 / 1500))
            if house.clock.mono() > day * DAY + CLOSES - 300:
                break
            text, reply = PEOPLE[number % len(PEOPLE)]
            await house.say(text, 500 + number % 4, reply=reply)
            number += 1


def lines(house: House) -> list[tuple[Claim, float]]:
    """What was delivered that an LLM wrote, with the seconds since the day's beginning."""
    return [(claim, at) for claim, at in house.ledger.sent if claim.draft.kind not in {Kind.NOTICE, Kind.FIXED}]
