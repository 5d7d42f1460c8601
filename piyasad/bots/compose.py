"""Composing: from an intent to a text that every guard lets pass, or none. Part of a turn; `turn.py` calls it.

Prompt, gateway, clean-up and guards in their order, with the rewrites that a guard may ask for. What comes back is
exactly what will be sent: no later step changes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from piyasad import guards
from piyasad.bots.state import BotState, ChatState, LiveState
from piyasad.chat.window import Line, RoomView
from piyasad.clock import Clock
from piyasad.gateway.gateway import Gateway
from piyasad.guards.case import Case, Guard, Verdict
from piyasad.guards.cleanup import clean
from piyasad.guards.repetition import worn_stems
from piyasad.language.length import plan
from piyasad.language.text import fold, lower_tr, stem
from piyasad.metrics import Metrics
from piyasad.model import Class, Intent, IntentKind
from piyasad.personas.prompt import Prompt, build
from piyasad.providers.interface import Brief, Completion, Expired, ProviderError, Request

REWRITES = 2
"""Rewrites of one message at most, over all guards (behaviour 4)."""

AIM_TOKENS, MOST_TOKENS = 800, 1200
"""What a prompt usually takes, and hardly any is longer than (design: tokens are few): the oldest lines go first."""

SLIM_STRETCH = 2.0
"""Above this stretch the prompt slims (design: tokens are few) …"""

SLIM_HISTORY, SLIM_TOKENS = 8, 700
"""… to so many lines of history, so many tokens to aim at, and no past references."""

REWRITE_HISTORY = 4
"""Lines of history in a rewrite: it is about the line that was refused, not about the room."""

MOST_AVOIDED = 5
"""Worn words named in a prompt: more of them would be forgotten, and cost."""

TEMPERATURE = 0.9

_WORD = re.compile(r"\w+")
_CLASS = {IntentKind.ANSWER: Class.ANSWER, IntentKind.REPLY: Class.REPLY}


@dataclass(slots=True)
class Progress:
    """What one turn gathers on its way; written to the `turn` table at the end. `outcome` is the metric's word.

    `began` is a reading of `mono()`, `at` of `wall()`; `restated`: the prompt restated the persona; `handed`: delivery
    has the text, and ends the turn.
    """

    id: str
    at: float
    began: float
    intent: Intent | None = None
    outcome: str = "silent"
    detail: dict[str, Any] = field(default_factory=dict)
    restated: bool = False
    handed: bool = False


class Composer:
    """One bot's words."""

    def __init__(
        self,
        bot: BotState,
        live: LiveState,
        gateway: Gateway,
        checks: Sequence[Guard],
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._bot = bot
        self._live = live
        self._gateway = gateway
        self._guards = checks
        self._clock = clock
        self._metrics = metrics

    async def compose(
        self, chat: ChatState, view: RoomView, intent: Intent, progress: Progress, blocked: Callable[[], str]
    ) -> str | None:
        """The finished text, or None when it was dropped or nobody could write it; `progress` tells which.

        `blocked` is asked before every call: why the text could not be sent, or "". Nothing is spent on one that
        cannot.
        """
        klass = _CLASS.get(intent.kind, Class.TOPIC)
        limit = self._live.settings.gateway.deadlines
        seconds = {Class.ANSWER: limit.answer, Class.REPLY: limit.reply}.get(klass, limit.topic)
        deadline = self._clock.mono() + seconds
        persona = self._bot.persona
        objection: Verdict | None = None
        rejected = ""
        asked: dict[str, int] = {}
        refresh = chat.conversation.persona_refresh
        rest = self._clock.wall() - self._bot.refreshed_at
        progress.restated = self._bot.since_refresh >= refresh.messages or rest >= refresh.minutes * 60
        for _ in range(REWRITES + 1):
            if reason := blocked():
                progress.outcome = reason
                return None
            prompt = self._prompt(chat, view, intent, objection, rejected, restate=progress.restated)
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
            completion = await self._complete(request, progress)
            if completion is None:
                return None
            names = (persona.name, persona.username, persona.first_name)
            text = prompt.faces.reveal(clean(completion.text, names, cut=completion.finish == "length"))
            # the room may have gone on while the model wrote: the guards look at it as it is now
            objection = self._object(chat, text)
            if objection is None:
                return text
            progress.detail.setdefault("verdicts", []).append(f"{objection.guard}: {objection.reason}")
            asked[objection.guard] = asked.get(objection.guard, 0) + 1
            if asked[objection.guard] > objection.rewrites:
                break
            self._metrics.guard_verdicts.labels(objection.guard, "rewrite").inc()
            rejected = text
        if objection is not None:
            self._metrics.guard_verdicts.labels(objection.guard, "drop").inc()
        progress.outcome = "dropped"
        return None

    async def _complete(self, request: Request, progress: Progress) -> Completion | None:
        began = self._clock.mono()
        try:
            completion = await self._gateway.complete(request)
        except ProviderError as error:
            progress.outcome = "expired" if isinstance(error, Expired) else "failed"
            progress.detail["error"] = str(error)
            return None
        finally:
            self._metrics.turn_duration.labels("llm").observe(self._clock.mono() - began)
        progress.detail |= {
            "provider": completion.provider,
            "model": completion.model,
            "prompt_tokens": completion.prompt_tokens,
            "completion_tokens": completion.completion_tokens,
            "calls": progress.detail.get("calls", 0) + completion.calls,
        }
        if self._live.settings.daemon.keep_prompts:
            progress.detail["prompt"] = {"system": request.system, "user": request.user}
        return completion

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
            system=bot.system_key,
        )
        return guards.check(case, self._guards)

    def _prompt(
        self,
        chat: ChatState,
        view: RoomView,
        intent: Intent,
        objection: Verdict | None,
        rejected: str,
        *,
        restate: bool,
    ) -> Prompt:
        bot, settings = self._bot, self._live.settings
        slim = self._gateway.stretch() > SLIM_STRETCH
        history = min(SLIM_HISTORY, chat.conversation.history_messages) if slim else chat.conversation.history_messages
        own = [
            line.message.text
            for line in view.lines[:-history]
            if line.message.bot_id == bot.id and intent.topic is not None and intent.topic in line.topics
        ]
        return build(
            bot.persona,
            intent,
            view.messages,
            system=bot.system,
            roster=chat.roster,
            own_lines=() if slim else own[-1:],
            avoid=self._worn(view),
            plan=plan(intent.length),
            zone=settings.zone,
            now=self._clock.wall(),
            people_as=settings.privacy.people_as,
            masked=settings.privacy.mask,
            history=REWRITE_HISTORY if rejected else history,
            aim_tokens=SLIM_TOKENS if slim else AIM_TOKENS,
            budget_tokens=MOST_TOKENS,
            restate=restate,
            objection=objection.hint if objection is not None else "",
            rejected=rejected,
        )

    def _worn(self, view: RoomView) -> list[str]:
        """Words heard too often lately, as they were last written; what the persona watches is never among them."""
        own = frozenset(word for term in self._bot.persona.watch_terms for word in term)
        return [heard(worn, view.lines) for worn in worn_stems(view.lines, own)[:MOST_AVOIDED]]

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
            topic=intent.topic or chat.settings.topics[0],
            length=intent.length,
            ask=intent.ask,
            target_author=target.author if target is not None else "",
            target_text=target.text if target is not None else "",
            target_is_person=target is not None and target.is_person,
            mention=intent.mention or "",
            history=tuple(history),
            seed=self._bot.rng.getrandbits(32),
        )


def heard(worn: str, lines: Sequence[Line]) -> str:
    """A stem as a word of the room: in the form in which it was last written, for a stem is not to be shown."""
    for line in reversed(lines):
        if worn in line.content:
            for word in _WORD.findall(line.message.text):
                if stem(fold(word)) == worn:
                    return lower_tr(word)
    return worn
