"""The pool: the bots that are ours, from the lease to the loop. Takes them, starts, changes, silences and drains them.

The engine owns one `BotPool`; it is the inbox of the pollers and the place where Telegram's bad news is acted on.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Collection, Mapping

import structlog

from piyasad.behaviour import delays
from piyasad.bots.activity import ActivityPlan
from piyasad.bots.disclosure import Discloser
from piyasad.bots.inbound import Inbound
from piyasad.bots.polling import Polling
from piyasad.bots.state import BotState, LiveState
from piyasad.bots.timing import BotTiming
from piyasad.bots.turn import Parts, TurnTaker
from piyasad.chat import answer_budget
from piyasad.clock import Clock
from piyasad.config import Settings
from piyasad.delivery.delivery import Delivery, Events
from piyasad.gateway.gateway import Gateway
from piyasad.guards.case import Guard
from piyasad.guards.language import LanguageGuard
from piyasad.guards.repetition import RepetitionGuard
from piyasad.guards.safety import SafetyGuard
from piyasad.guards.speaker import SpeakerGuard
from piyasad.language.text import normalise
from piyasad.metrics import Metrics
from piyasad.model import Kind, Lease, Received, Stimulus
from piyasad.privacy import texts
from piyasad.scheduler import BotLoop
from piyasad.sharding.assignment import assign
from piyasad.sharding.feed import FeedReader
from piyasad.sharding.leases import Leases
from piyasad.store.interface import Store
from piyasad.supervise import Supervisor
from piyasad.telegram.client import Clients
from piyasad.telegram.limits import SendLimits
from piyasad.telegram.sender import Sender

log = structlog.stdlib.get_logger(__name__)

ROOM_LINES = 200
"""Lines of a room read from the ledger at start."""

SETTLE_SECONDS = 5.0
"""What is between claim and settlement when the drain's time is over gets so much longer."""


def guards_of(settings: Settings) -> list[Guard]:
    """The guards that the settings switch on, in their order."""
    rules = settings.guards
    english = any(settings.conversation_for(chat.id).language == "en" for chat in settings.chats)
    guards: list[Guard] = [
        SpeakerGuard(),
        RepetitionGuard(rules.repetition_hours, rules.similarity),
        LanguageGuard(english=english),
    ]
    if rules.safety:
        guards.append(SafetyGuard())
    return guards


class BotPool:
    """Our bots and the parts they share."""

    def __init__(
        self,
        live: LiveState,
        store: Store,
        gateway: Gateway,
        leases: Leases,
        clock: Clock,
        metrics: Metrics,
        supervisor: Supervisor,
        rng: random.Random,
    ) -> None:
        self._live = live
        self._store = store
        self._gateway = gateway
        self._leases = leases
        self._clock = clock
        self._metrics = metrics
        self._supervisor = supervisor
        telegram = live.settings.telegram
        self._clients = Clients(telegram.api_base, pollers=len(live.bots))
        self._limits = SendLimits(
            telegram.per_bot_per_second,
            telegram.per_chat_per_second,
            telegram.per_group_per_minute,
            telegram.margin_ms / 1000,
        )
        sender = self._sender = Sender(self._clients, metrics)
        events = Events(self._bad_token, self._forbidden, self._migrated)
        self._delivery = Delivery(store, sender, self._limits, leases, clock, metrics, events)
        self._inbound = Inbound(live, store, clock, self._wake, self._warm)
        self._polling = Polling(live, store, sender, self, clock, rng, self._bad_token)
        self._guards = guards_of(live.settings)
        self._parts = Parts(
            live=live,
            store=store,
            gateway=gateway,
            delivery=self._delivery,
            sender=sender,
            limits=self._limits,
            inbound=self._inbound,
            discloser=Discloser(live, store, sender, self._delivery, clock, events),
            clock=clock,
            metrics=metrics,
            guards=self._guards,
        )
        self._activity = ActivityPlan(live, clock)
        gateway.follow(self._activity)
        self._loops: dict[int, BotLoop] = {}
        self._heats: dict[int, float] = {}
        self._greeted: dict[tuple[int, int], None] = {}
        self._assigned: tuple[tuple[int, ...], dict[int, int]] = ((), {})
        self._open = False
        self._counted: set[int] = set()  # whose earlier answers stand in the members' budgets

    @property
    def held(self) -> Collection[int]:
        """The bots we speak for."""
        return self._leases.held

    # --- start and change
    async def open(self) -> None:
        """Read the rooms from the ledger and take the bots that are free."""
        for chat in self._live.chats.values():
            chat.room.fill(await self._store.recent(chat.id, ROOM_LINES))
        await self.take_free()

    def start(self, *, at_once: bool = False) -> None:
        """Begin to listen, to follow the other shards, and to speak; `at_once`: somebody is watching and waits."""
        self._open = True
        self._supervisor.vital("polling", self._polling.run())
        if self._live.shard[1] > 1:
            follower = FeedReader(
                self._store, self._clock, self._metrics, lambda: list(self._live.chats), self._inbound.heard
            )
            self._supervisor.vital("follow", follower.run())
        for bot_id in list(self._leases.held):
            self._start_loop(self._live.bots[bot_id])
        self._supervisor.beside("resume", self._inbound.resume())
        if at_once:
            self._supervisor.beside("opening", self._open_the_talk())

    async def _open_the_talk(self) -> None:
        """In each chat two bots that did not speak last take their first turn now: one may choose to be silent."""
        await asyncio.sleep(0)  # the loops draw their first delays when they begin
        for chat in self._live.chats.values():
            last = chat.room.view().last
            free = [bot_id for bot_id in chat.roster if bot_id in self._loops and (not last or last.bot_id != bot_id)]
            for bot_id in free[:2]:
                self._loops[bot_id].act_now()

    async def take_free(self) -> None:
        """Take our share of the bots that nobody holds; start those that we got."""
        index, count = self._live.shard
        bots = self._live.wanted()
        ids = tuple(bot.id for bot in bots)
        if self._assigned[0] != ids:  # hashing a thousand bots every second would be work for nothing
            self._assigned = (ids, assign(ids, count))
        owner, held = self._assigned[1], self._leases.held
        missing = [bot for bot in bots if owner[bot.id] == index and bot.id not in held]
        taken = await self._leases.take([(bot.id, bot.persona.name, bot.persona.username) for bot in missing])
        if not taken:
            return
        await self._prepare(taken)
        if self._open:
            for lease in taken:
                self._start_loop(self._live.bots[lease.bot_id])
            await self._inbound.resume()

    async def _prepare(self, leases: Collection[Lease]) -> None:
        """Give bots that became ours what they did before: limits, hourly counts, what they said."""
        now, mono = self._clock.wall(), self._clock.mono()
        sends = await self._store.sends([lease.bot_id for lease in leases], now - delays.HOUR)
        self._limits.restore((bot_id, chat_id, mono - (now - at)) for bot_id, chat_id, _, at in sends)
        for lease in leases:
            bot = self._live.bots[lease.bot_id]
            bot.held, bot.fence, bot.disclosed = True, lease.fence, lease.disclosed_at is not None
            bot.hourly.refill(at for bot_id, _, kind, at in sends if bot_id == bot.id and kind != Kind.NOTICE)
            if bot.token is not None:
                self._clients.add(bot.id, bot.token.reveal())
            self._polling.held(bot.id, lease.update_offset)
            if lease.state == "parked":  # a token may have been renewed since: try it again
                await self._store.set_bot_state(bot.id, "active", "")
        new = [lease.bot_id for lease in leases if lease.bot_id not in self._counted]
        self._counted.update(new)
        answers = await self._store.answers(new, now - answer_budget.DAY_SECONDS, texts.POLITE_LIMIT)
        self._live.budget.refill(answers)
        for chat in self._live.chats.values():
            ours = [(at, kind == Kind.ANSWER) for _, chat_id, kind, at in sends if chat_id == chat.id]
            chat.slots.refill(ours)
            for message in chat.room.view().messages:
                author = self._live.bots.get(message.bot_id or 0)
                if author is not None and message.kind not in {Kind.NOTICE, Kind.FIXED}:
                    author.said.setdefault(normalise(message.text), message.at)

    def _start_loop(self, bot: BotState) -> None:
        if bot.id in self._loops:
            return
        timing = BotTiming(bot, self._live, self._clock, self._gateway.stretch, self._activity.turned)
        loop = BotLoop(timing, TurnTaker(bot, self._parts), self._clock, self._metrics)
        self._loops[bot.id] = loop
        self._supervisor.restarting(self._task(bot.id), loop.run, self._metrics.bot_restarts.inc)

    async def change(self, settings: Settings, env: Mapping[str, str]) -> None:
        """Apply a new configuration: only bots that differ are stopped and started again."""
        before = dict(self._live.bots)
        wanted = LiveState(settings, self._live.shard, self._live.seed)
        wanted.set(settings, env)
        gone = [
            bot_id
            for bot_id, bot in before.items()
            if (now := wanted.bots.get(bot_id)) is None or now.settings != bot.settings or now.token != bot.token
        ]
        await self._stop_loops(gone, settings.daemon.drain_seconds)
        self._live.set(settings, env)
        self._guards[:] = guards_of(settings)
        await self._store.ensure_chats(list(self._live.chats))
        removed = [bot_id for bot_id in gone if bot_id in self._leases.held and not self._is_wanted(bot_id)]
        for bot_id in removed:
            self._polling.drop(bot_id)
            self._clients.remove(bot_id)
        if removed:
            await self._leases.free(removed)
        for bot_id in list(self._leases.held):
            bot = self._live.bots[bot_id]
            bot.held, bot.fence = True, before[bot_id].fence
            if bot.token is not None:
                self._clients.add(bot_id, bot.token.reveal())
            self._start_loop(bot)
        await self.take_free()

    def _is_wanted(self, bot_id: int) -> bool:
        bot = self._live.bots.get(bot_id)
        return bot is not None and bot.settings.enabled

    async def _stop_loops(self, bot_ids: Collection[int], grace: float) -> list[str]:
        running = [bot_id for bot_id in bot_ids if bot_id in self._loops]
        for bot_id in running:
            self._loops.pop(bot_id).drain()
        return await self._supervisor.stop([self._task(bot_id) for bot_id in running], grace)

    def silence(self) -> None:
        """The lease is lost: every bot stops at once; they are taken again with a new fence."""
        for bot_id, loop in list(self._loops.items()):
            loop.drain()
            self._polling.drop(bot_id)
            bot = self._live.bots.get(bot_id)
            if bot is not None:
                bot.held = False
        names = [self._task(bot_id) for bot_id in self._loops]
        self._loops.clear()
        self._supervisor.beside("silence", self._cut(names))

    async def _cut(self, names: Collection[str]) -> None:
        await self._supervisor.stop(names, 0.0)

    async def drain(self, seconds: float) -> list[str]:
        """No new turns; those under way get `seconds`, then are cancelled and hand back what they had taken."""
        self._open = False
        self._inbound.stop()
        await self._supervisor.stop(["polling", "follow", "resume"], 0.0)
        late = await self._stop_loops(list(self._loops), seconds)
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                await self._delivery.settled()
                await self._inbound.settled()
        except TimeoutError:
            log.warning("drain.unsettled", note="rows still sending are found uncertain at the next start")
        return late

    async def close(self) -> None:
        """Close Telegram's connections."""
        await self._clients.close()

    def count(self) -> None:
        """Set the gauge of bots by state."""
        states = Counter(self._state(bot) for bot in self._live.bots.values())
        states["parked"] += len(self._live.tokenless)
        for state in ("active", "waiting", "parked", "disabled"):
            self._metrics.bots.labels(state).set(states[state])

    def _state(self, bot: BotState) -> str:
        if not bot.settings.enabled:
            return "disabled"
        if bot.parked:
            return "parked"
        return "active" if bot.held else "waiting"

    # --- stimuli
    def _wake(self, bot_id: int, stimulus: Stimulus) -> None:
        loop = self._loops.get(bot_id)
        if loop is not None:
            loop.wake(stimulus)

    def _warm(self, chat_id: int) -> None:
        """A person spoke: what is left of the delays there shrinks by as much as the room got hotter."""
        chat = self._live.chats[chat_id]
        heat = chat.room.view().heat(self._clock.wall(), chat.pace.burstiness)
        factor = heat / max(0.01, self._heats.get(chat_id, 1.0))
        self._heats[chat_id] = heat
        if factor > 1:
            for bot_id in chat.roster:
                if bot_id in self._loops:
                    self._loops[bot_id].hasten(factor)

    # --- what Telegram tells
    def _bad_token(self, bot_id: int) -> None:
        bot = self._live.bots.get(bot_id)
        if bot is None or bot.parked:
            return
        bot.parked = "the token is not valid any more"
        self._polling.drop(bot_id)
        log.error(
            "bot.parked", bot=bot.persona.name, cure="get a new token from @BotFather (/token), set it and reload"
        )
        self._supervisor.beside(f"park {bot_id}", self._park(bot_id, bot.parked))

    async def _park(self, bot_id: int, reason: str) -> None:
        await self._store.set_bot_state(bot_id, "parked", reason)

    def _forbidden(self, bot_id: int, chat_id: int, reason: str) -> None:
        bot = self._live.bots.get(bot_id)
        if bot is not None and chat_id not in bot.barred:
            bot.barred[chat_id] = reason
            log.warning(
                "bot.barred", bot=bot.persona.name, chat=chat_id, reason=reason, cure="add the bot to the group again"
            )

    def _migrated(self, old: int, new: int) -> None:
        if old in self._live.chats:
            log.warning("chat.migrated", old=old, new=new, cure="put the new id into the configuration")
            self._live.move(old, new)
            self._supervisor.beside(f"move {old}", self._store.rekey_chat(old, new))

    # --- the pollers' inbox
    async def received(self, said: Received) -> None:
        """A member wrote."""
        await self._inbound.received(said)

    async def edited(self, chat_id: int, telegram_id: int, text: str) -> None:
        """A member changed a message."""
        await self._inbound.edited(chat_id, telegram_id, text)

    async def witnessed(
        self, bot_id: int, chat_id: int, telegram_id: int, text: str, reply_to: int | None, at: float
    ) -> None:
        """One of our bots was seen to say something: proof for a row that was uncertain."""
        if bot_id in self._live.bots:
            await self._store.witness(bot_id, chat_id, telegram_id, text, reply_to, at)

    async def membership(self, bot_id: int, chat_id: int, inside: bool) -> None:
        """A bot was added or removed. From a group that is not listed it goes without a word."""
        bot = self._live.bots.get(bot_id)
        if bot is None:
            return
        if not inside:
            self._forbidden(bot_id, chat_id, "it was removed from the group")
        elif chat_id in self._live.chats and chat_id in bot.settings.chats:
            if bot.barred.pop(chat_id, None) is not None:
                log.info("bot.returned", bot=bot.persona.name, chat=chat_id)
        else:
            log.warning("bot.leaves", bot=bot.persona.name, chat=chat_id, reason="the group is not listed")
            await self._sender.leave(bot_id, chat_id)

    async def private(self, bot_id: int, chat_id: int) -> None:
        """One polite line in a private chat, then nothing."""
        if (bot_id, chat_id) in self._greeted or self._limits.take(bot_id, chat_id, self._clock.mono()) > 0:
            return
        self._greeted[bot_id, chat_id] = None
        await self._sender.send(bot_id, chat_id, texts.PRIVATE_LINE, reply_to=None, thread_id=None, timeout=10.0)
        self._limits.arrived(bot_id, chat_id, self._clock.mono())

    async def migrated(self, old: int, new: int) -> None:
        """A group became a supergroup."""
        self._migrated(old, new)

    @staticmethod
    def _task(bot_id: int) -> str:
        return f"bot {bot_id}"
