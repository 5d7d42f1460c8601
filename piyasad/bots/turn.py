"""One turn, from intent to settled message: the only place that walks the whole way.

`scheduler.BotLoop` calls `TurnTaker.take`. Deciding, prompting, cleaning and guarding are pure and live elsewhere;
here they are put in order, timed, counted and traced. A dropped line is silence, not an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum

import structlog

from piyasad.behaviour import delays
from piyasad.behaviour import intent as intents
from piyasad.bots.compose import Composer, Progress
from piyasad.bots.disclosure import Disclosed, Discloser
from piyasad.bots.inbound import Inbound
from piyasad.bots.state import BotState, ChatState, LiveState
from piyasad.chat.pace import Reservation
from piyasad.chat.window import RoomView
from piyasad.clock import Clock
from piyasad.delivery.delivery import Delivered, Delivery
from piyasad.gateway.gateway import Gateway
from piyasad.guards.case import Guard
from piyasad.language.text import normalise
from piyasad.metrics import Metrics
from piyasad.model import Draft, Intent, IntentKind, Kind, Message, Stimulus, TurnTrace
from piyasad.store.interface import Store, StoreError
from piyasad.telegram.limits import SendLimits
from piyasad.telegram.sender import Sender

log = structlog.stdlib.get_logger(__name__)

SLOT_WAIT_SECONDS = 10.0
"""A turn that finds no free slot in any of its chats within that time stays silent (behaviour 1)."""

SEND_WITHIN_SECONDS = 60.0
"""A finished line that cannot be sent for so long is dropped: the talk has moved on."""

PERSON_WAITS_TYPING_SECONDS = 2.0
"""Typing is not drawn out longer than this while a person waits."""

_KIND = {
    IntentKind.ANSWER: Kind.ANSWER,
    IntentKind.REPLY: Kind.REPLY,
    IntentKind.CONTINUE: Kind.CONTINUE,
    IntentKind.TOPIC: Kind.TOPIC,
}


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the house a turn works with; the same for every bot."""

    live: LiveState
    store: Store
    gateway: Gateway
    delivery: Delivery
    sender: Sender
    limits: SendLimits
    inbound: Inbound
    discloser: Discloser
    clock: Clock
    metrics: Metrics
    guards: list[Guard]


class TurnTaker:
    """`scheduler.Taker` for one bot."""

    def __init__(self, bot: BotState, parts: Parts) -> None:
        self._bot = bot
        self._parts = parts
        self._live = parts.live
        self._clock = parts.clock
        self._metrics = parts.metrics
        self._composer = Composer(bot, parts.live, parts.gateway, parts.guards, parts.clock, parts.metrics)

    async def take(self, stimulus: Stimulus | None) -> None:
        """One turn. Failures of providers, Telegram and the store end it; only faults of ours are raised."""
        progress = Progress(f"{self._bot.rng.getrandbits(64):016x}", self._clock.wall())
        try:
            if stimulus is None:
                await self._unprompted(progress)
            else:
                await self._answer(progress, stimulus)
        except StoreError as error:
            progress.outcome = "failed"
            log.warning("turn.store", bot=self._bot.persona.name, error=str(error))
        kind = progress.intent.kind if progress.intent is not None else IntentKind.SILENCE
        self._metrics.turns.labels(str(kind), progress.outcome).inc()
        if progress.intent is not None:
            await self._trace(progress, progress.intent)

    async def _unprompted(self, progress: Progress) -> None:
        now = self._clock.wall()
        chat = self._pick_chat(now)
        if chat is None or not self._bot.hourly.allows(now):
            progress.outcome = "no_slot" if chat is None else "hourly_limit"
            return
        view = chat.room.view()
        intent = intents.decide(
            self._bot.persona,
            view,
            chat.conversation,
            now=now,
            rng=self._bot.rng,
            roster=self._live.awake(chat, now),
            claimed=chat.claimed,
            allowed_reactions=chat.reactions,
            reactions_on=chat.crosses,
            replies_on=chat.crosses,
            topic_cooldown=self._live.settings.guards.topic_cooldown,
        )
        progress.intent = intent
        self._observe("decide", progress)
        if intent.held:
            self._metrics.governor.labels(intent.held).inc()
        if intent.kind is IntentKind.REACT:
            await self._react(progress, intent)
        elif intent.kind is not IntentKind.SILENCE:
            await self._speak(progress, chat, view, intent, None)

    async def _answer(self, progress: Progress, stimulus: Stimulus) -> None:
        chat = self._live.chats.get(stimulus.chat_id)
        if chat is None or stimulus.chat_id in self._bot.barred:
            return
        now = self._clock.wall()
        if not await self._parts.inbound.take(stimulus, self._bot.id):
            progress.outcome = "taken"
            return
        self._bot.answering += 1
        state = "open"
        try:
            if not self._bot.hourly.allows(now, answer=True):
                state, progress.outcome = "dropped", "hourly_limit"
                return
            view = chat.room.view()
            progress.intent = intents.answer(
                self._bot.persona,
                view,
                chat.conversation,
                stimulus,
                now=now,
                rng=self._bot.rng,
                roster=chat.roster,
            )
            self._observe("decide", progress)
            fixed = self._parts.inbound.fixed_answer(stimulus, self._bot)
            if fixed is not None:
                await self._say_fixed(progress, chat, progress.intent, fixed)
            else:
                await self._speak(progress, chat, view, progress.intent, stimulus)
            state = "answered" if progress.outcome in {"sent", "uncertain"} else "dropped"
        finally:
            self._bot.answering -= 1
            await self._parts.inbound.close(stimulus, state)

    def _pick_chat(self, now: float) -> ChatState | None:
        """Among the chats with a free slot soon: the earliest, weighted by heat."""
        weighted: list[tuple[float, ChatState]] = []
        zone = self._live.settings.zone
        for chat in self._live.chats_of(self._bot):
            if delays.is_quiet(now, chat.settings.quiet_hours, zone):
                continue
            wait = chat.slots.earliest(now) - now
            if wait <= SLOT_WAIT_SECONDS:
                weighted.append((chat.room.view().heat(now, chat.pace.burstiness) / (1.0 + wait), chat))
        if len(weighted) < 2:
            return weighted[0][1] if weighted else None
        mark = self._bot.rng.random() * fsum(weight for weight, _ in weighted)
        for weight, chat in weighted:
            mark -= weight
            if mark < 0:
                return chat
        return weighted[-1][1]

    async def _react(self, progress: Progress, intent: Intent) -> None:
        target = intent.target
        if target is None or target.telegram_id is None or intent.emoji is None:
            return
        if not self._parts.limits.try_action(self._bot.id, intent.chat_id, self._clock.mono()):
            progress.outcome = "no_slot"
            return
        result = await self._parts.sender.react(self._bot.id, intent.chat_id, target.telegram_id, intent.emoji)
        progress.outcome = "sent" if result.ok else "failed"
        progress.detail |= {"target": target.id, "emoji": intent.emoji, "reason": intent.reason}

    async def _speak(
        self, progress: Progress, chat: ChatState, view: RoomView, intent: Intent, stimulus: Stimulus | None
    ) -> None:
        if not await self._disclosed(progress, chat, prompted=stimulus is not None):
            return
        slot = chat.slots.reserve(self._clock.wall(), urgent=stimulus is not None)
        try:
            text = await self._composer.compose(chat, view, intent, progress)
            if text is not None:
                await self._deliver(progress, chat, intent, text, slot)
            else:
                outcome = "expired" if progress.outcome == "expired" else "dropped"
                self._metrics.messages.labels(str(chat.id), str(_KIND[intent.kind]), outcome).inc()
        finally:
            if progress.outcome not in {"sent", "uncertain"}:
                chat.slots.cancel(slot)

    async def _say_fixed(self, progress: Progress, chat: ChatState, intent: Intent, text: str) -> None:
        if not await self._disclosed(progress, chat, prompted=True):
            return
        slot = chat.slots.reserve(self._clock.wall(), urgent=True)
        await self._deliver(progress, chat, intent, text, slot, kind=Kind.FIXED)
        if progress.outcome not in {"sent", "uncertain"}:
            chat.slots.cancel(slot)

    async def _disclosed(self, progress: Progress, chat: ChatState, *, prompted: bool) -> bool:
        """Whether the bot may speak now. One that just posted the notice lets another speak next, unless it answers."""
        before = await self._parts.discloser.before(self._bot, chat, self._clock.mono() + SEND_WITHIN_SECONDS)
        progress.outcome = str(before)
        return before is Disclosed.ALREADY or (prompted and before is Disclosed.NOTICED)

    async def _deliver(
        self,
        progress: Progress,
        chat: ChatState,
        intent: Intent,
        text: str,
        slot: Reservation,
        *,
        kind: Kind | None = None,
    ) -> None:
        bot = self._bot
        prompted = intent.kind is IntentKind.ANSWER
        until = self._clock.mono() + SEND_WITHIN_SECONDS
        target = intent.target if intent.kind in {IntentKind.ANSWER, IntentKind.REPLY} else None
        draft = Draft(
            bot_id=bot.id,
            fence=0,  # delivery puts the lease's in at the moment of the claim
            chat_id=chat.id,
            kind=kind or _KIND[intent.kind],
            text=text,
            author=bot.persona.name,
            reply_to=target.telegram_id if target is not None else None,
            thread_id=chat.settings.thread_id,
            turn_id=progress.id,
        )
        began = self._clock.wall()
        chat.slots.pin(slot)
        delivered = await self._parts.delivery.deliver(
            draft,
            typing=self._typing(chat, text, prompted),
            until=until,
            gate=lambda: chat.slots.take(slot, self._clock.wall()),
        )
        self._metrics.turn_duration.labels("deliver").observe(max(0.0, self._clock.wall() - began))
        progress.outcome = delivered.outcome
        progress.detail |= {"message": delivered.claim.id if delivered.claim else None, "why": delivered.reason}
        if delivered.outcome in {"sent", "uncertain"}:
            self._after(chat, draft, delivered)

    def _after(self, chat: ChatState, draft: Draft, delivered: Delivered) -> None:
        """The message is in the room, or may be: the bot remembers it, the room hears it when it surely is."""
        now = self._clock.wall()
        bot = self._bot
        bot.hourly.record(now)
        bot.since_refresh += 1
        if draft.kind is not Kind.FIXED:
            bot.remember(normalise(draft.text), now, self._live.settings.guards.repetition_hours * 3600)
        if delivered.outcome != "sent" or delivered.claim is None:
            return
        self._live.hear(
            Message(
                id=delivered.claim.id,
                chat_id=delivered.claim.draft.chat_id,
                bot_id=bot.id,
                author=bot.persona.name,
                kind=draft.kind,
                text=draft.text,
                at=delivered.at or now,
                telegram_id=delivered.telegram_id,
                reply_to=delivered.claim.draft.reply_to,
                thread_id=draft.thread_id,
            )
        )

    def _typing(self, chat: ChatState, text: str, prompted: bool) -> float:
        """Seconds of typing before a text: its length over the persona's speed, in bounds, divided by the scale."""
        law = chat.pace
        if not law.typing:
            return 0.0
        cps = self._bot.settings.pace.typing_cps or law.typing_cps
        speed = cps.min + (cps.max - cps.min) * self._bot.rng.random()
        seconds = min(max(len(text) / speed, law.typing_seconds.min), law.typing_seconds.max)
        if prompted:
            seconds = min(seconds, PERSON_WAITS_TYPING_SECONDS)
        return seconds / self._live.settings.simulation.scale

    def _observe(self, stage: str, progress: Progress) -> None:
        self._metrics.turn_duration.labels(stage).observe(max(0.0, self._clock.wall() - progress.began))

    async def _trace(self, progress: Progress, intent: Intent) -> None:
        detail = {"reason": intent.reason, "topic": intent.topic} | progress.detail
        if intent.held:
            detail["held"] = str(intent.held)
        if intent.target is not None:
            detail["target"] = intent.target.id
        trace = TurnTrace(
            progress.id, self._bot.id, intent.chat_id, progress.began, str(intent.kind), progress.outcome, detail
        )
        await self._parts.store.record_turns([trace])
