"""One turn, from intent to settled message: the only place that walks the whole way.

`scheduler.BotLoop` calls `TurnTaker.take`. Deciding, prompting, cleaning and guarding are pure and live elsewhere;
here they are put in order, timed, counted and traced. A dropped line is silence, not an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from piyasad import guards
from piyasad.behaviour import intent as intents
from piyasad.behaviour import length, pace
from piyasad.behaviour.chatpace import Reservation
from piyasad.behaviour.governor import Reason
from piyasad.clock import Clock
from piyasad.delivery import Delivered, Delivery
from piyasad.disclosure import Disclosed, Discloser
from piyasad.gateway import Gateway
from piyasad.guards.case import Case, Guard, Verdict
from piyasad.guards.cleanup import clean
from piyasad.guards.repetition import worn_stems
from piyasad.hearing import Hearing
from piyasad.metrics import Metrics
from piyasad.model import Class, Draft, Intent, IntentKind, Kind, Message, Stimulus, TurnTrace
from piyasad.personas.prompt import Prompt, build
from piyasad.providers.base import Brief, Completion, ProviderError, Request
from piyasad.room import RoomView
from piyasad.stage import BotState, ChatState, Stage
from piyasad.store.base import Store, StoreError
from piyasad.telegram.limits import SendLimits
from piyasad.telegram.sender import Sender
from piyasad.text import normalise

log = structlog.stdlib.get_logger(__name__)

SLOT_WAIT_SECONDS = 10.0
"""A turn that finds no free slot in any of its chats within that time stays silent (behaviour 1)."""

REWRITES = 2
"""Rewrites of one message at most, over all guards (behaviour 4)."""

SEND_WITHIN_SECONDS = 60.0
"""A finished line that cannot be sent for so long is dropped: the talk has moved on."""

PERSON_WAITS_TYPING_SECONDS = 2.0
"""Typing is not drawn out longer than this while a person waits."""

PROMPT_TOKENS = 1200
"""No prompt is longer: the oldest lines go first (design: tokens are few)."""

TEMPERATURE = 0.9

_CLASS = {IntentKind.ANSWER: Class.ANSWER, IntentKind.REPLY: Class.REPLY}
_KIND = {
    IntentKind.ANSWER: Kind.ANSWER,
    IntentKind.REPLY: Kind.REPLY,
    IntentKind.CONTINUE: Kind.CONTINUE,
    IntentKind.TOPIC: Kind.TOPIC,
}
_GOVERNED = frozenset(Reason)


@dataclass(slots=True)
class _Walk:
    """What one turn gathers on its way; written to the `turn` table at the end."""

    id: str
    began: float
    intent: Intent | None = None
    outcome: str = "silent"
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tools:
    """The parts of the house a turn works with; the same for every bot."""

    stage: Stage
    store: Store
    gateway: Gateway
    delivery: Delivery
    sender: Sender
    limits: SendLimits
    hearing: Hearing
    discloser: Discloser
    clock: Clock
    metrics: Metrics
    guards: Sequence[Guard]


class TurnTaker:
    """`scheduler.Taker` for one bot."""

    def __init__(self, bot: BotState, tools: Tools) -> None:
        self._bot = bot
        self._tools = tools
        self._stage = tools.stage
        self._clock = tools.clock
        self._metrics = tools.metrics

    async def take(self, stimulus: Stimulus | None) -> None:
        """One turn. Failures of providers, Telegram and the store end it; only faults of ours are raised."""
        walk = _Walk(f"{self._bot.rng.getrandbits(64):016x}", self._clock.wall())
        try:
            if stimulus is None:
                await self._unprompted(walk)
            else:
                await self._answer(walk, stimulus)
        except StoreError as error:
            walk.outcome = "failed"
            log.warning("turn.store", bot=self._bot.persona.name, error=str(error))
        kind = walk.intent.kind if walk.intent is not None else IntentKind.SILENCE
        self._metrics.turns.labels(str(kind), walk.outcome).inc()
        if walk.intent is not None:
            await self._trace(walk, walk.intent)

    async def _unprompted(self, walk: _Walk) -> None:
        now = self._clock.wall()
        chat = self._pick_chat(now)
        if chat is None or not self._bot.hourly.allows(now):
            walk.outcome = "no_slot" if chat is None else "hourly_limit"
            return
        view = chat.room.view()
        intent = intents.decide(
            self._bot.persona,
            view,
            chat.conversation,
            now=now,
            rng=self._bot.rng,
            roster=self._stage.awake(chat, now),
            claimed=chat.claimed,
            allowed_reactions=chat.reactions,
            reactions_on=chat.crosses,
            replies_on=chat.crosses,
            topic_cooldown=self._stage.settings.guards.topic_cooldown,
        )
        walk.intent = intent
        self._observe("decide", walk)
        if intent.kind is IntentKind.SILENCE:
            if intent.reason in _GOVERNED:
                self._metrics.governor.labels(intent.reason).inc()
        elif intent.kind is IntentKind.REACT:
            await self._react(walk, intent)
        else:
            await self._speak(walk, chat, view, intent, None)

    async def _answer(self, walk: _Walk, stimulus: Stimulus) -> None:
        chat = self._stage.chats.get(stimulus.chat_id)
        if chat is None or stimulus.chat_id in self._bot.barred:
            return
        now = self._clock.wall()
        if not await self._tools.hearing.take(stimulus, self._bot.id):
            walk.outcome = "taken"
            return
        self._bot.answering += 1
        state = "open"
        try:
            if not self._bot.hourly.allows(now, answer=True):
                state, walk.outcome = "dropped", "hourly_limit"
                return
            view = chat.room.view()
            walk.intent = intents.answer(
                self._bot.persona,
                view,
                chat.conversation,
                stimulus,
                now=now,
                rng=self._bot.rng,
                roster=chat.roster,
            )
            self._observe("decide", walk)
            fixed = self._tools.hearing.fixed_answer(stimulus, self._bot)
            if fixed is not None:
                await self._say_fixed(walk, chat, walk.intent, fixed)
            else:
                await self._speak(walk, chat, view, walk.intent, stimulus)
            state = "answered" if walk.outcome in {"sent", "uncertain"} else "dropped"
        finally:
            self._bot.answering -= 1
            await self._tools.hearing.close(stimulus, state)

    def _pick_chat(self, now: float) -> ChatState | None:
        """Among the chats with a free slot soon: the earliest, weighted by heat."""
        weighted: list[tuple[float, ChatState]] = []
        zone = self._stage.settings.zone
        for chat in self._stage.chats_of(self._bot):
            if pace.is_quiet(now, chat.settings.quiet_hours, zone):
                continue
            wait = chat.slots.earliest(now) - now
            if wait <= SLOT_WAIT_SECONDS:
                weighted.append((chat.room.view().heat(now, chat.pace.burstiness) / (1.0 + wait), chat))
        if len(weighted) < 2:
            return weighted[0][1] if weighted else None
        mark = self._bot.rng.random() * sum(weight for weight, _ in weighted)
        for weight, chat in weighted:
            mark -= weight
            if mark < 0:
                return chat
        return weighted[-1][1]

    async def _react(self, walk: _Walk, intent: Intent) -> None:
        target = intent.target
        if target is None or target.telegram_id is None or intent.emoji is None:
            return
        if not self._tools.limits.try_action(self._bot.id, intent.chat_id, self._clock.mono()):
            walk.outcome = "no_slot"
            return
        result = await self._tools.sender.react(self._bot.id, intent.chat_id, target.telegram_id, intent.emoji)
        walk.outcome = "sent" if result.ok else "failed"
        walk.detail |= {"target": target.id, "emoji": intent.emoji, "reason": intent.reason}

    async def _speak(
        self, walk: _Walk, chat: ChatState, view: RoomView, intent: Intent, stimulus: Stimulus | None
    ) -> None:
        if not await self._disclosed(walk, chat, prompted=stimulus is not None):
            return
        slot = chat.slots.reserve(self._clock.wall(), urgent=stimulus is not None)
        try:
            text = await self._compose(walk, chat, view, intent, stimulus)
            if text is not None:
                await self._deliver(walk, chat, intent, text, slot)
        finally:
            if walk.outcome not in {"sent", "uncertain"}:
                chat.slots.cancel(slot)

    async def _say_fixed(self, walk: _Walk, chat: ChatState, intent: Intent, text: str) -> None:
        if not await self._disclosed(walk, chat, prompted=True):
            return
        slot = chat.slots.reserve(self._clock.wall(), urgent=True)
        await self._deliver(walk, chat, intent, text, slot, kind=Kind.FIXED)
        if walk.outcome not in {"sent", "uncertain"}:
            chat.slots.cancel(slot)

    async def _disclosed(self, walk: _Walk, chat: ChatState, *, prompted: bool) -> bool:
        """Whether the bot may speak now. One that just posted the notice lets another speak next, unless it answers."""
        before = await self._tools.discloser.before(self._bot, chat, self._clock.mono() + SEND_WITHIN_SECONDS)
        walk.outcome = str(before)
        return before is Disclosed.ALREADY or (prompted and before is Disclosed.NOTICED)

    async def _compose(
        self, walk: _Walk, chat: ChatState, view: RoomView, intent: Intent, stimulus: Stimulus | None
    ) -> str | None:
        """The finished text, or None when it was dropped or nobody could write it."""
        klass = _CLASS.get(intent.kind, Class.TOPIC)
        limit = self._stage.settings.gateway.deadlines
        seconds = {Class.ANSWER: limit.answer, Class.REPLY: limit.reply}.get(klass, limit.topic)
        deadline = self._clock.mono() + seconds
        plan = length.plan(intent.length)
        objection: Verdict | None = None
        rejected = ""
        asked: dict[str, int] = {}
        for _ in range(REWRITES + 1):
            prompt = self._prompt(chat, view, intent, plan, objection, rejected)
            completion = await self._complete(walk, chat, view, intent, prompt, klass, deadline, rejected)
            if completion is None:
                return None
            persona = self._bot.persona
            text = prompt.faces.reveal(clean(completion.text, (persona.name, persona.username, persona.first_name)))
            # the room may have gone on while the model wrote: the guards look at it as it is now
            objection = self._object(chat, text)
            if objection is None:
                walk.detail["text_by"] = f"{completion.provider}/{completion.model}"
                return text
            walk.detail.setdefault("verdicts", []).append(f"{objection.guard}: {objection.reason}")
            asked[objection.guard] = asked.get(objection.guard, 0) + 1
            if asked[objection.guard] > objection.rewrites:
                break
            self._metrics.guard_verdicts.labels(objection.guard, "rewrite").inc()
            rejected = text
        if objection is not None:
            self._metrics.guard_verdicts.labels(objection.guard, "drop").inc()
        walk.outcome = "dropped"
        self._metrics.messages.labels(str(chat.id), str(_KIND[intent.kind]), "dropped").inc()
        return None

    def _object(self, chat: ChatState, text: str) -> Verdict | None:
        bot = self._bot
        case = Case(
            text=text,
            persona=bot.persona,
            roster=chat.roster,
            lines=chat.room.view().lines,
            own_recent=bot.said,
            own_short=bot.short,
            now=self._clock.wall(),
            system=bot.system,
        )
        return guards.check(case, self._tools.guards)

    def _prompt(
        self,
        chat: ChatState,
        view: RoomView,
        intent: Intent,
        plan: length.LengthPlan,
        objection: Verdict | None,
        rejected: str,
    ) -> Prompt:
        bot, settings, now = self._bot, self._stage.settings, self._clock.wall()
        refresh = chat.conversation.persona_refresh
        restate = bot.since_refresh >= refresh.messages or now - bot.refreshed_at >= refresh.minutes * 60
        if restate:
            bot.since_refresh, bot.refreshed_at = 0, now
        shown = view.lines[-chat.conversation.history_messages :]
        earlier = view.lines[: -chat.conversation.history_messages]
        own = [
            line.message.text
            for line in earlier
            if line.message.bot_id == bot.id and intent.topic is not None and intent.topic in line.topics
        ]
        keep = frozenset(symbol.lower() for symbol in bot.persona.watchlist)
        return build(
            bot.persona,
            intent,
            [line.message for line in shown],
            system=bot.system,
            roster=chat.roster,
            own_lines=own[-2:],
            avoid=worn_stems(view.lines, keep),
            plan=plan,
            zone=settings.zone,
            now=now,
            people_as=settings.privacy.people_as,
            masked=settings.privacy.mask,
            history=chat.conversation.history_messages,
            budget_tokens=PROMPT_TOKENS,
            restate=restate,
            objection=objection.hint if objection is not None else "",
            rejected=rejected,
        )

    async def _complete(
        self,
        walk: _Walk,
        chat: ChatState,
        view: RoomView,
        intent: Intent,
        prompt: Prompt,
        klass: Class,
        deadline: float,
        rejected: str,
    ) -> Completion | None:
        request = Request(
            bot_id=self._bot.id,
            klass=klass,
            system=prompt.system,
            user=prompt.user,
            max_tokens=prompt.max_tokens,
            temperature=TEMPERATURE,
            deadline=deadline,
            brief=self._brief(chat, view, intent, rejected),
        )
        began = self._clock.wall()
        try:
            completion = await self._tools.gateway.complete(request)
        except ProviderError as error:
            expired = type(error).__name__ == "Expired"
            walk.outcome = "expired" if expired else "failed"
            walk.detail["error"] = str(error)
            kind = str(_KIND[intent.kind])
            self._metrics.messages.labels(str(chat.id), kind, "expired" if expired else "dropped").inc()
            return None
        finally:
            self._metrics.turn_duration.labels("llm").observe(max(0.0, self._clock.wall() - began))
        walk.detail |= {
            "provider": completion.provider,
            "model": completion.model,
            "prompt_tokens": completion.prompt_tokens,
            "completion_tokens": completion.completion_tokens,
            "calls": walk.detail.get("calls", 0) + completion.calls,
        }
        if self._stage.settings.daemon.keep_prompts:
            walk.detail["prompt"] = {"system": prompt.system, "user": prompt.user}
        return completion

    def _brief(self, chat: ChatState, view: RoomView, intent: Intent, rejected: str) -> Brief:
        persona, target = self._bot.persona, intent.target
        history = [(line.message.author, line.message.text) for line in view.lines[-20:]]
        if rejected:
            history.append((persona.name, rejected))
        return Brief(
            bot_id=self._bot.id,
            name=persona.name,
            persona=persona.name,
            tone=persona.tone,
            risk_profile=persona.risk_profile,
            watchlist=persona.watchlist,
            pet_phrases=persona.style.pet_phrases,
            stances=tuple((stance.topic, stance.text, stance.side) for stance in persona.stances),
            examples=persona.examples,
            address=persona.style.address,
            intent=intent.kind,
            topic=intent.topic or (chat.settings.topics[0] if chat.settings.topics else ""),
            length=intent.length,
            ask=intent.ask,
            target_author=target.author if target is not None else "",
            target_text=target.text if target is not None else "",
            target_is_person=target is not None and target.is_person,
            mention=intent.mention or "",
            history=tuple(history),
            seed=self._bot.rng.getrandbits(32),
        )

    async def _deliver(
        self,
        walk: _Walk,
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
            turn_id=walk.id,
        )
        began = self._clock.wall()
        chat.slots.pin(slot)
        delivered = await self._tools.delivery.deliver(
            draft,
            typing=self._typing(chat, text, prompted),
            until=until,
            gate=lambda: chat.slots.take(slot, self._clock.wall()),
        )
        self._metrics.turn_duration.labels("deliver").observe(max(0.0, self._clock.wall() - began))
        walk.outcome = delivered.outcome
        walk.detail |= {"message": delivered.claim.id if delivered.claim else None, "why": delivered.reason}
        if delivered.outcome in {"sent", "uncertain"}:
            self._after(chat, draft, delivered)

    def _after(self, chat: ChatState, draft: Draft, delivered: Delivered) -> None:
        """The message is in the room, or may be: the bot remembers it, the room hears it when it surely is."""
        now = self._clock.wall()
        bot = self._bot
        bot.hourly.record(now)
        bot.since_refresh += 1
        if draft.kind is not Kind.FIXED:
            bot.remember(normalise(draft.text), now, self._stage.settings.guards.repetition_hours * 3600)
        if delivered.outcome != "sent" or delivered.claim is None:
            return
        self._stage.hear(
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
        return seconds / self._stage.settings.simulation.scale

    def _observe(self, stage: str, walk: _Walk) -> None:
        self._metrics.turn_duration.labels(stage).observe(max(0.0, self._clock.wall() - walk.began))

    async def _trace(self, walk: _Walk, intent: Intent) -> None:
        detail = {"reason": intent.reason, "topic": intent.topic} | walk.detail
        if intent.target is not None:
            detail["target"] = intent.target.id
        trace = TurnTrace(walk.id, self._bot.id, intent.chat_id, walk.began, str(intent.kind), walk.outcome, detail)
        await self._tools.store.record_turns([trace])
