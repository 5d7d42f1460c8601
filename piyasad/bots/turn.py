"""One turn, from intent to settled message: the only place that walks the whole way.

`scheduler.BotLoop` calls `TurnTaker.take`. Deciding, prompting, cleaning and guarding are pure and live elsewhere;
here they are put in order, timed, counted and traced. A dropped line is silence, not an error, and has its reason.
From the claim on the turn belongs to `delivery.py`: what it ends (`_ended`) it ends also when the bot is cancelled.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from math import fsum

import structlog

from piyasad.behaviour import delays
from piyasad.behaviour import intent as intents
from piyasad.bots.compose import Composer, Progress
from piyasad.bots.disclosure import Disclosed, Discloser
from piyasad.bots.fixed import answer_draft
from piyasad.bots.state import BotState, ChatState, LiveState
from piyasad.bots.stimuli import Stimuli
from piyasad.chat.window import RoomView
from piyasad.clock import Clock
from piyasad.delivery.delivery import Delivered, Delivery
from piyasad.delivery.slot import NoSlot, Slot, Slots
from piyasad.gateway.gateway import Gateway
from piyasad.guards.case import Guard
from piyasad.metrics import Metrics
from piyasad.model import ANYBODY, Draft, Grant, Intent, IntentKind, Kind, Stimulus, TurnTrace
from piyasad.privacy import texts
from piyasad.store.interface import Store, StoreError
from piyasad.supervise import raise_if_cancelled
from piyasad.telegram.errors import Throttled
from piyasad.telegram.sender import Sender

log = structlog.stdlib.get_logger(__name__)

SLOT_WAIT_SECONDS = 10.0
"""A turn that finds no free slot in any of its chats within that time stays silent (behaviour 1)."""

SEND_WITHIN_SECONDS = 60.0
"""A finished line that cannot be sent for so long is dropped: the talk has moved on."""

PERSON_WAITS_TYPING_SECONDS = 2.0
"""Typing is not drawn out longer than this while a person waits."""

AGAIN_SECONDS = 5.0
"""What hindered an answer and passes (a lease, a notice, a pause, a provider) is looked at again after so long."""

TRACE_SECONDS = 60.0
"""Turns that ended before they decided anything are written down together, once in so long."""

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
    slots: Slots
    sender: Sender
    stimuli: Stimuli
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
        self._untold: Counter[str] = Counter()  # outcomes of turns without an intent
        self._told_at = parts.clock.mono()

    async def take(self, stimulus: Stimulus | None) -> None:
        """One turn. Failures of providers, Telegram and the store end it; only faults of ours are raised."""
        progress = Progress(f"{self._bot.rng.getrandbits(64):016x}", self._clock.wall(), self._clock.mono())
        try:
            if stimulus is None:
                await self._unprompted(progress)
            else:
                await self._answer(progress, stimulus)
        except StoreError as error:
            self._broke_off(progress, stimulus, "store")
            log.debug("turn.store", bot=self._bot.persona.name, error=str(error))
            raise_if_cancelled()
        except BaseException as error:
            self._broke_off(progress, stimulus, "crashed" if isinstance(error, Exception) else "cancelled")
            raise
        else:
            if not progress.handed:
                self._end(progress)
        finally:
            if stimulus is not None:
                self._parts.stimuli.done(self._bot.id, stimulus)

    def _broke_off(self, progress: Progress, stimulus: Stimulus | None, outcome: str) -> None:
        """What delivery has is ended there; else nothing was sent, and another turn may answer."""
        if progress.handed:
            return
        if stimulus is not None:
            self._parts.stimuli.give_back(stimulus.key, AGAIN_SECONDS)
        progress.outcome = outcome
        self._end(progress)

    # --- unprompted
    async def _unprompted(self, progress: Progress) -> None:
        chat, progress.outcome = self._pick_chat()
        if chat is None:
            return
        now = self._clock.wall()
        if hindrance := self._hindrance(chat):
            progress.outcome = hindrance
            return
        if await self._parts.stimuli.heard_out(self._bot):
            progress.outcome = "asked"
            return
        if not self._bot.hourly.allows(now):
            progress.outcome = "hourly_limit"
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
        if intent.kind is IntentKind.SILENCE:
            progress.outcome = intent.reason.replace(" ", "_")
            return
        if not await self._disclosed(progress, chat, prompted=False):
            return
        if intent.kind is IntentKind.REACT:
            await self._react(progress, intent)
            return
        slot = await self._parts.slots.reserve(
            self._bot.id,
            chat.id,
            until=self._clock.mono() + SLOT_WAIT_SECONDS,
            pace=chat.limit,
            hourly=self._bot.hourly,
        )
        if isinstance(slot, NoSlot):
            progress.outcome = slot.reason
            return
        try:
            text = await self._composed(progress, chat, view, intent)
            if text is not None:
                draft = self._draft(progress, chat, intent, text)
                await self._deliver(progress, chat, draft, slot, self._clock.mono() + SEND_WITHIN_SECONDS)
        finally:
            if not progress.handed:
                await self._parts.slots.give_back(slot)

    def _pick_chat(self) -> tuple[ChatState | None, str]:
        """Among the chats with a free slot soon: the earliest, weighted by heat. Or why there is none."""
        weighted: list[tuple[float, ChatState]] = []
        zone, now, mono = self._live.settings.zone, self._clock.wall(), self._clock.mono()
        reason = "barred"
        for chat in self._live.chats_of(self._bot):
            if delays.is_quiet(now, chat.settings.quiet_hours, zone):
                reason = "quiet_hours"
                continue
            wait = chat.limit.earliest(mono) - mono
            if wait <= SLOT_WAIT_SECONDS:
                weighted.append((chat.room.view().heat(now, chat.pace.burstiness) / (1.0 + wait), chat))
            else:
                reason = "no_slot"
        if len(weighted) < 2:
            return (weighted[0][1], "silent") if weighted else (None, reason)
        mark = self._bot.rng.random() * fsum(weight for weight, _ in weighted)
        for weight, chat in weighted:
            mark -= weight
            if mark < 0:
                return chat, "silent"
        return weighted[-1][1], "silent"

    async def _react(self, progress: Progress, intent: Intent) -> None:
        target, bot_id, slots = intent.target, self._bot.id, self._parts.slots
        if target is None or target.telegram_id is None or intent.emoji is None:
            return
        if not slots.try_action(bot_id, intent.chat_id):
            progress.outcome = "no_slot"
            return
        result = await self._parts.sender.react(bot_id, intent.chat_id, target.telegram_id, intent.emoji)
        if isinstance(result, Throttled):
            slots.throttled(bot_id, intent.chat_id, result.retry_after)
        progress.outcome = "sent" if result.ok else "failed"
        progress.detail |= {"emoji": intent.emoji}

    # --- to a person
    async def _answer(self, progress: Progress, stimulus: Stimulus) -> None:
        stimuli = self._parts.stimuli
        chat = self._live.chat(stimulus.chat_id)
        if chat is None:
            progress.outcome = "unlisted"
            stimuli.drop(stimulus.key, progress.outcome)
            return
        if hindrance := self._hindrance(chat):
            progress.outcome = hindrance
            if hindrance in {"parked", "barred"} and stimulus.bot_id != ANYBODY:
                stimuli.drop(stimulus.key, hindrance)
            else:  # it passes, or another bot answers
                stimuli.put_off(stimulus.key, AGAIN_SECONDS)
            return
        if not await self._disclosed(progress, chat, prompted=True):
            stimuli.put_off(stimulus.key, AGAIN_SECONDS)
            return
        if stimuli.is_stale(stimulus):
            progress.outcome = "stale"
            stimuli.drop(stimulus.key, progress.outcome)
            return
        until = self._clock.mono() + SEND_WITHIN_SECONDS
        bot = self._bot
        slot = await self._parts.slots.reserve(
            bot.id, chat.id, until=until, pace=chat.limit, hourly=bot.hourly, answer=True
        )
        if isinstance(slot, NoSlot):
            progress.outcome = slot.reason
            if slot.reason == "hourly_limit" or stimuli.is_stale(stimulus, within=slot.wait):
                stimuli.drop(stimulus.key, slot.reason)
            else:
                stimuli.put_off(stimulus.key, AGAIN_SECONDS)
            return
        try:
            grant = await self._parts.store.take_stimulus(stimulus.key, bot.id, counts=True)
            if grant is Grant.GONE or grant is Grant.SILENCE:
                progress.outcome = "taken" if grant is Grant.GONE else "budget"
                return
            draft = await self._written(progress, chat, stimulus, polite=grant is Grant.POLITE)
            if draft is not None:
                await self._deliver(progress, chat, draft, slot, until)
            if progress.handed:
                return
            if progress.outcome == "dropped":
                stimuli.drop(stimulus.key, "guards")
            else:
                stimuli.give_back(stimulus.key, AGAIN_SECONDS)
        finally:
            if not progress.handed:
                await self._parts.slots.give_back(slot)

    async def _written(self, progress: Progress, chat: ChatState, stimulus: Stimulus, *, polite: bool) -> Draft | None:
        """The answer: the model's, or the one polite line that ends a member's budget and says when it goes on."""
        view, now = chat.room.view(), self._clock.wall()
        intent = progress.intent = intents.answer(
            self._bot.persona, view, chat.conversation, stimulus, now=now, rng=self._bot.rng, roster=chat.roster
        )
        self._observe("decide", progress)
        kind, text = Kind.ANSWER, None
        if polite:
            at = await self._parts.store.answers_free_at(stimulus.message.user_id or 0)
            kind, text = Kind.POLITE, texts.polite_text(at, now, self._live.settings.zone)
        else:
            text = await self._composed(progress, chat, view, intent)
        if text is None:
            return None
        draft = answer_draft(self._bot, chat, stimulus, kind, text)
        return replace(draft, turn_id=progress.id, restated=progress.restated)

    # --- what both share
    def _hindrance(self, chat: ChatState) -> str:
        """Why nothing that this bot wrote for that chat could be sent now; empty: nothing is known to hinder it."""
        if self._bot.parked:
            return "parked"
        if chat.id in self._bot.barred:
            return "barred"
        if not self._parts.delivery.may_send(self._bot.id):
            return "no_lease"
        return "paused" if self._parts.slots.is_paused(self._bot.id, chat.id) else ""

    async def _disclosed(self, progress: Progress, chat: ChatState, *, prompted: bool) -> bool:
        """Whether the bot may speak now. One that just posted the notice lets another speak next, unless it answers."""
        until = self._clock.mono() + SEND_WITHIN_SECONDS
        before = await self._parts.discloser.before(self._bot, chat, until)
        if before is Disclosed.ALREADY or (prompted and before is Disclosed.NOTICED):
            return True
        progress.outcome = str(before)
        return False

    async def _composed(self, progress: Progress, chat: ChatState, view: RoomView, intent: Intent) -> str | None:
        text = await self._composer.compose(chat, view, intent, progress, lambda: self._hindrance(chat))
        if text is None:
            outcome = "expired" if progress.outcome == "expired" else "dropped"
            self._metrics.messages.labels(str(chat.id), str(_KIND[intent.kind]), outcome).inc()
        return text

    def _draft(self, progress: Progress, chat: ChatState, intent: Intent, text: str) -> Draft:
        target = intent.target if intent.kind is IntentKind.REPLY else None
        return Draft(
            bot_id=self._bot.id,
            fence=0,  # delivery puts the lease's in at the moment of the claim
            chat_id=chat.id,
            kind=_KIND[intent.kind],
            text=text,
            author=self._bot.persona.name,
            reply_to=target.telegram_id if target is not None else None,
            thread_id=chat.settings.thread_id,
            turn_id=progress.id,
            restated=progress.restated,
        )

    async def _deliver(self, progress: Progress, chat: ChatState, draft: Draft, slot: Slot, until: float) -> None:
        began = self._clock.mono()
        typing = self._typing(chat, draft.text, prompted=draft.stimulus is not None)
        if not await self._parts.delivery.ready(draft, slot, typing=typing, until=until):
            progress.outcome = "expired"
            return
        progress.handed = True
        await self._parts.delivery.send(
            draft, slot, until=until, ended=lambda delivered: self._ended(progress, draft, delivered, began)
        )

    def _ended(self, progress: Progress, draft: Draft, delivered: Delivered, began: float) -> None:
        """The end of a turn whose text was handed over: the room, the counts, the stimulus, the trace."""
        claim = delivered.claim
        progress.outcome = delivered.outcome
        progress.detail |= {"message": claim.id if claim is not None else None, "why": delivered.reason}
        if delivered.may_stand and claim is not None:
            self._live.spoke(claim, self._clock.wall(), telegram_id=delivered.telegram_id, at=delivered.at)
        elif draft.stimulus is not None:
            if delivered.again:
                self._parts.stimuli.give_back(draft.stimulus, AGAIN_SECONDS)
            else:
                self._parts.stimuli.drop(draft.stimulus, "not_delivered")
        self._metrics.turn_duration.labels("deliver").observe(max(0.0, self._clock.mono() - began))
        self._end(progress)

    def _typing(self, chat: ChatState, text: str, *, prompted: bool) -> float:
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
        self._metrics.turn_duration.labels(stage).observe(max(0.0, self._clock.mono() - progress.began))

    # --- the trace
    def _end(self, progress: Progress) -> None:
        """Count the turn and write down why it ended so."""
        intent = progress.intent
        kind = str(intent.kind if intent is not None else IntentKind.SILENCE)
        self._metrics.turns.labels(kind, progress.outcome).inc()
        if intent is None:
            self._untold[progress.outcome] += 1
        else:
            detail = {"reason": intent.reason, "topic": intent.topic} | progress.detail
            if intent.held:
                detail["held"] = str(intent.held)
            if intent.target is not None:
                detail["target"] = intent.target.id
            self._record(progress.id, intent.chat_id, progress.at, kind, progress.outcome, detail)
        if self._untold and self._clock.mono() - self._told_at >= TRACE_SECONDS:
            self.tell()

    def tell(self) -> None:
        """Write down the turns that decided nothing: one row for each reason, with how often it came."""
        self._told_at = self._clock.mono()
        for outcome, times in self._untold.items():
            made = f"{self._bot.id}/{outcome}"
            self._record(made, 0, self._clock.wall(), str(IntentKind.SILENCE), outcome, {"times": times})
        self._untold.clear()

    def _record(
        self, turn_id: str, chat_id: int, at: float, intent: str, outcome: str, detail: dict[str, object]
    ) -> None:
        self._parts.store.record_turns([TurnTrace(turn_id, self._bot.id, chat_id, at, intent, outcome, detail)])
