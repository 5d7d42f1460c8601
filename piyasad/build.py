"""The one place where the parts meet: every part is made once here and handed to the others.

The daemon, the simulation, the fuzzer, the benches and the tests of wiring call `build` with edges of their own; nobody
else constructs a sender, a store or a gateway. Nothing here starts a task or waits.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from piyasad.bots.activity import ActivityPlan
from piyasad.bots.disclosure import Discloser
from piyasad.bots.fixed import FixedAnswers
from piyasad.bots.inbound import Inbound
from piyasad.bots.inbox import TelegramInbox
from piyasad.bots.polling import Polling
from piyasad.bots.pool import BotPool
from piyasad.bots.refusals import Refusals
from piyasad.bots.restore import restore
from piyasad.bots.state import BotState, LiveState
from piyasad.bots.stimuli import Stimuli
from piyasad.bots.timing import BotTiming
from piyasad.bots.turn import Parts, TurnTaker
from piyasad.clock import Clock
from piyasad.config import Settings
from piyasad.config.problems import Problem
from piyasad.config.secrets import Missing, Secret
from piyasad.config.snapshot import Snapshot
from piyasad.delivery.delivery import Delivery, Events
from piyasad.delivery.slot import Slots
from piyasad.gateway import gateway as gateways
from piyasad.gateway.endpoint import ProviderSource
from piyasad.gateway.gateway import Gateway
from piyasad.guards.case import Guard
from piyasad.guards.chosen import guards_of
from piyasad.metrics import Metrics
from piyasad.model import DaemonRow, Usage
from piyasad.ops.http import Access, Daemon
from piyasad.scheduler import BotLoop
from piyasad.sharding.feed import FeedReader
from piyasad.sharding.leases import BEAT_SECONDS, LEASE_SECONDS, Leases
from piyasad.sharding.redis import RedisSharing
from piyasad.store.buckets import SharedBuckets
from piyasad.store.interface import Store
from piyasad.supervise import Supervisor
from piyasad.telegram.client import TelegramClient
from piyasad.telegram.contact import Contact
from piyasad.telegram.limits import SendLimits
from piyasad.telegram.sender import Sender
from piyasad.telegram.skew import Skew


@dataclass(frozen=True, slots=True)
class Configuration:
    """A configuration as it was read: the settings, what is odd in them, the bots' tokens by name, and a snapshot to
    compare with another, also packed as it is reported. `problem` tells where a key stands.
    """

    settings: Settings
    warnings: Sequence[Problem]
    problem: Callable[[str, str], Problem]
    tokens: Mapping[str, Secret | Missing]
    snapshot: Snapshot
    packed: str = ""


class Private(Protocol):
    """A database server of our own."""

    async def ended(self) -> None:
        """Wait until it has ended by itself."""
        ...

    async def stop(self) -> None:
        """End it."""
        ...


class Pages(Protocol):
    """What operators and Prometheus read."""

    @property
    def url(self) -> str:
        """Where it listens."""
        ...

    def prepare(self, settings: Settings) -> Access:
        """Who is to be let in after a reload; nothing has changed yet."""
        ...

    def commit(self, access: Access) -> None:
        """Let these in from now on."""
        ...

    async def start(self) -> None:
        """Listen."""
        ...

    async def stop(self) -> None:
        """Stop listening."""
        ...


class Notify(Protocol):
    """The service manager."""

    def ready(self, status: str) -> None:
        """Started, or a reload has ended."""
        ...

    def reloading(self) -> None:
        """A reload begins."""
        ...

    def stopping(self) -> None:
        """The drain begins."""
        ...

    def watchdog(self) -> None:
        """The loop turns."""
        ...


class Signals(Protocol):
    """What a process may be told from outside."""

    def stop(self) -> None:
        """SIGTERM, SIGINT: drain; a second one exits now."""
        ...

    def ask_reload(self) -> None:
        """SIGHUP."""
        ...


@dataclass(frozen=True, slots=True)
class Edges:
    """What touches the outside. `system.py` has the daemon's, `simulation/` those of a virtual day.

    `read` reads the configuration again (and may raise ConfigError); `new_id` names a start of a
    daemon, `seed` begins every bot's chance. `own_process`: the loop's lag is
    watched, the watchdog fed, the garbage of the start frozen. Leases are longer where nobody else could take them.
    `guards` are those that settings switch on; the fuzzer notes what they see.
    """

    clock: Clock
    env: Mapping[str, str]
    seed: int
    new_id: Callable[[], str]
    host: str
    pid: int
    read: Callable[[], Awaitable[Configuration]]
    providers: Callable[[], ProviderSource]
    open_store: Callable[[Settings, Metrics], Awaitable[tuple[Store, Private | None]]]
    open_telegram: Callable[[Settings], TelegramClient]
    open_buckets: Callable[[str], SharedBuckets]
    pages: Callable[[Settings, Metrics, Daemon], Pages | None]
    signals: Callable[[Signals], AbstractContextManager[None]]
    notify: Notify
    guards: Callable[[Settings], list[Guard]] = guards_of
    own_process: bool = True
    lease_seconds: float = LEASE_SECONDS
    beat_seconds: float = BEAT_SECONDS

    def rng(self, what: str) -> random.Random:
        """A generator for one part of the house."""
        return random.Random(f"{self.seed}/{what}")


@dataclass(frozen=True, slots=True)
class House:
    """The parts of one daemon that its engine and its reload work with."""

    live: LiveState
    store: Store
    telegram: TelegramClient
    sender: Sender
    limits: SendLimits
    gateway: Gateway
    leases: Leases
    pool: BotPool
    polling: Polling
    contact: Contact
    inbound: Inbound
    stimuli: Stimuli
    delivery: Delivery
    parts: Parts
    sharing: RedisSharing | None
    feed: FeedReader | None


def build_gateway(
    settings: Settings, shard: tuple[int, int], edges: Edges, metrics: Metrics, on_usage: Callable[[Usage], None]
) -> Gateway:
    """The gateway; made first, for it finds what is wrong with keys and routes before anything is opened.

    Raises:
        ConfigError: no provider of the route can be used.
    """
    return gateways.build(
        settings,
        edges.env,
        edges.clock,
        metrics,
        on_usage=on_usage,
        share=1.0 / shard[1],
        providers=edges.providers(),
    )


def build(
    settings: Settings,
    shard: tuple[int, int],
    edges: Edges,
    metrics: Metrics,
    store: Store,
    live: LiveState,
    gateway: Gateway,
    supervisor: Supervisor,
    lost: Callable[[], None],
) -> House:
    """All parts on an open store. `lost` is called when the lease is gone."""
    clock = edges.clock
    telegram = edges.open_telegram(settings)
    rules = settings.telegram
    limits = SendLimits(
        rules.per_bot_per_second, rules.per_chat_per_second, rules.per_group_per_minute, rules.margin_ms / 1000
    )
    contact = Contact(clock)
    sender = Sender(telegram, metrics, contact.told)
    row = DaemonRow(edges.new_id(), *shard, edges.host, edges.pid, settings.config_hash, 0.0, alive=True, drain="")
    leases = Leases(store, clock, metrics, row, lost, seconds=edges.lease_seconds, beat=edges.beat_seconds)
    slots = Slots(limits, clock)

    def warm(chat_id: int, factor: float) -> None:
        for bot_id in live.chats[chat_id].roster:
            pool.hasten(bot_id, factor)

    skew = Skew()

    def age(date: float) -> float:
        return skew.age(date, clock.wall())

    async def recall(bot_ids: Collection[int]) -> None:
        await restore(live, store, slots, clock, bot_ids)
        await inbound.reclaim()

    # what is told before all parts are there is told through a function of them
    refusals = Refusals(live, store, slots, supervisor, lambda _: polling.look())
    events = Events(refusals.bad_token, refusals.forbidden, refusals.migrated)
    delivery = Delivery(store, sender, slots, leases, clock, metrics, events)
    discloser = Discloser(live, store, sender, delivery, slots, clock, events)
    fixed = FixedAnswers(live, store, delivery, slots, discloser, clock)
    stimuli = Stimuli(
        live,
        store,
        clock,
        age=age,
        wake=lambda bot_id, stimulus: pool.wake(bot_id, stimulus),  # noqa: PLW0108
        is_fixed=fixed.is_fixed,
        fixed=fixed.say,
    )
    inbound = Inbound(live, store, stimuli, clock, age=age, warm=warm, is_fixed=fixed.is_fixed)
    inbox = TelegramInbox(live, store, sender, limits, inbound, refusals, clock)
    rng = edges.rng(f"polling/{shard[0]}")
    polling = Polling(live, store, leases, sender, inbox, skew, supervisor, clock, rng, refusals.bad_token)
    activity = ActivityPlan(live, clock)
    gateway.follow(activity)
    parts = Parts(
        live, store, gateway, delivery, slots, sender, stimuli, discloser, clock, metrics, edges.guards(settings)
    )

    def loop_of(bot: BotState) -> BotLoop:
        timing = BotTiming(bot, live, clock, gateway.stretch, activity.turned)
        return BotLoop(timing, TurnTaker(bot, parts), clock, metrics)

    pool = BotPool(
        live, store, leases, telegram, polling, stimuli, supervisor, clock, metrics, loop_of=loop_of, recall=recall
    )
    sharing = None
    if settings.store.redis and shard[1] > 1:
        buckets = edges.open_buckets(settings.store.redis)
        sharing = RedisSharing(settings, shard, store, gateway, buckets, clock, metrics)
    feed = None
    if shard[1] > 1:
        feed = FeedReader(store, clock, metrics, lambda: list(live.chats), inbound.heard)
    return House(
        live=live,
        store=store,
        telegram=telegram,
        sender=sender,
        limits=limits,
        gateway=gateway,
        leases=leases,
        pool=pool,
        polling=polling,
        contact=contact,
        inbound=inbound,
        stimuli=stimuli,
        delivery=delivery,
        parts=parts,
        sharing=sharing,
        feed=feed,
    )
