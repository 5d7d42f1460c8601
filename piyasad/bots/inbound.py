"""Inbound: what members say, and which bot is to answer it.

The ears and the followers of other shards hand messages in; they go to the ledger and the room, and what speaks to a
bot becomes a stimulus that exactly one turn takes. A person's run of messages is one stimulus.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from piyasad.behaviour import address
from piyasad.bots.state import BotState, ChatState, LiveState
from piyasad.chat.answer_budget import Grant
from piyasad.chat.window import Line, RoomView
from piyasad.clock import Clock
from piyasad.model import Message, Received, Stimulus
from piyasad.personas.profile import Persona
from piyasad.privacy import texts
from piyasad.store.interface import Store, StoreError

log = structlog.stdlib.get_logger(__name__)

RUN_SECONDS = 2.5
"""A person's messages that follow one another within this time are one stimulus (behaviour 2.1)."""

RUN_MOST_SECONDS = 10.0
"""A run that goes on for longer is answered all the same."""

STALE_SECONDS = 120.0
"""Older messages of a backlog are stored, not answered (design: one ear per chat)."""

OPEN_SECONDS = 600.0
"""Stimuli noted before a restart are answered while they are younger than this."""

ANYBODY = 0
"""The slot of a question to nobody."""

UNCLAIMED_SECONDS, UNCLAIMED_STEP_SECONDS = 1.5, 0.5
"""How long a shard waits for another to claim a question to nobody, and how much longer each further shard."""

COMMANDS = frozenset({"/gizlilik", "/privacy"})


@dataclass(slots=True)
class _Run:
    began: float
    messages: list[Message] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None


class Inbound:
    """Rooms' ears in memory. `wake(bot_id, stimulus)` is called for bots that are ours."""

    def __init__(
        self,
        live: LiveState,
        store: Store,
        clock: Clock,
        wake: Callable[[int, Stimulus], None],
        warm: Callable[[int], None],
    ) -> None:
        self._live = live
        self._store = store
        self._clock = clock
        self._wake = wake
        self._warm = warm
        self._runs: dict[tuple[int, int], _Run] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._polite: dict[tuple[int, int], None] = {}

    async def received(self, said: Received) -> None:
        """A member's message from Telegram: durable before this returns, so that the update may be confirmed."""
        if said.chat_id not in self._live.chats:
            return
        stored = (await self._store.receive([said]))[0]
        if stored is not None:
            self.heard(stored)

    async def edited(self, chat_id: int, telegram_id: int, text: str) -> None:
        """A member changed a message: the room reads the new text; nothing is answered anew."""
        chat = self._live.chats.get(chat_id)
        if chat is not None:
            chat.room.replace_text(telegram_id, text)
            await self._store.edit(chat_id, telegram_id, text)

    def heard(self, message: Message) -> None:
        """A message for its room, from our own ear or from another shard's."""
        if not self._live.hear(message) or not message.is_person:
            return
        now = self._clock.wall()
        self._warm(message.chat_id)
        if message.user_id is None or now - message.at > STALE_SECONDS:
            return
        # until the run has ended nobody knows whom it speaks to: no bot remarks on it of its own accord
        self._live.chats[message.chat_id].claimed[message.telegram_id or 0] = now
        key = (message.chat_id, message.user_id)
        run = self._runs.setdefault(key, _Run(now))
        run.messages.append(message)
        if run.timer is not None:
            run.timer.cancel()
        wait = min(RUN_SECONDS, max(0.0, run.began + RUN_MOST_SECONDS - now))
        run.timer = asyncio.get_running_loop().call_later(wait, self._end_run, key)

    async def resume(self) -> None:
        """After a start or a takeover: wake our bots for what was asked and not answered yet."""
        now = self._clock.wall()
        ours = [bot.id for bot in self._live.bots.values() if bot.held]
        for stimulus in await self._store.open_stimuli(ours, now - OPEN_SECONDS):
            chat = self._live.chats.get(stimulus.chat_id)
            if chat is None:
                continue
            chat.claimed[stimulus.telegram_id] = now
            bot_id = stimulus.slot or self._best(chat, stimulus.message)
            if bot_id is not None and self._is_ours(bot_id):
                self._wake(bot_id, stimulus)

    async def take(self, stimulus: Stimulus, bot_id: int) -> bool:
        """Claim a stimulus for a bot; only one ever gets it."""
        return await self._store.take_stimulus(stimulus.chat_id, stimulus.telegram_id, stimulus.slot, bot_id)

    async def close(self, stimulus: Stimulus, state: str) -> None:
        """A turn ended with it: `answered`, `dropped`, or `open` (handed back)."""
        user = stimulus.message.user_id
        key = (stimulus.chat_id, stimulus.telegram_id)
        if state == "answered" and user is not None:
            now = self._clock.wall()
            if key in self._polite:
                self._live.budget.was_polite(user, now)
            else:
                self._live.budget.answered(user, now)
        self._polite.pop(key, None)
        try:
            await self._store.close_stimulus(stimulus.chat_id, stimulus.telegram_id, stimulus.slot, state)
        except StoreError as error:
            log.warning("stimulus.not_closed", chat=stimulus.chat_id, error=str(error))

    def fixed_answer(self, stimulus: Stimulus, bot: BotState) -> str | None:
        """The text no LLM writes: the honest answer, the privacy command, the polite line; None for all else."""
        chat = self._live.chats[stimulus.chat_id]
        text = stimulus.message.text
        if (stimulus.chat_id, stimulus.telegram_id) in self._polite:
            return texts.POLITE_LIMIT
        if _command(text) in COMMANDS:
            return texts.privacy_text(self._live.settings)
        line = self._line(chat, chat.room.view(), stimulus.message)
        if line is not None and address.is_identity_question(line):
            return bot.rng.choice(texts.HONEST)
        return None

    async def settled(self) -> None:
        """Wait until every ended run has become stimuli."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def stop(self) -> None:
        """Begin no more runs' answers; what was stored stays stored."""
        for run in self._runs.values():
            if run.timer is not None:
                run.timer.cancel()
        self._runs.clear()

    def _end_run(self, key: tuple[int, int]) -> None:
        run = self._runs.pop(key)
        task = asyncio.create_task(self._call(run.messages))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _call(self, messages: list[Message]) -> None:
        """Find out whom a run speaks to, note it durably and wake those bots."""
        chat = self._live.chats.get(messages[0].chat_id)
        if chat is None:
            return
        now = self._clock.wall()
        wanted = self._wanted(chat, messages)
        if not wanted:
            for said in messages:
                chat.claimed.pop(said.telegram_id or 0, None)
        for slot, message in wanted.items():
            bot_id = slot or self._best(chat, message)
            user, telegram_id = message.user_id, message.telegram_id
            if bot_id is None or user is None or telegram_id is None:
                continue
            if not self._is_ours(bot_id) and slot == ANYBODY and self._live.shard[1] > 1:
                # Rooms differ a little from shard to shard, and each may think another's bot suits best: whoever
                # finds the question still unclaimed after a moment claims it for a bot of its own.
                await asyncio.sleep(UNCLAIMED_SECONDS + self._live.shard[0] * UNCLAIMED_STEP_SECONDS)
                bot_id = self._best(chat, message, ours=True)
            if bot_id is None or not self._is_ours(bot_id) or not self._may_answer(chat, bot_id, now):
                continue
            grant = self._live.budget.ask(user, now)
            if grant is Grant.SILENCE:
                continue
            try:
                new = await self._store.open_stimulus(chat.id, telegram_id, slot, message.id, now)
            except StoreError as error:
                log.warning("stimulus.not_noted", chat=chat.id, error=str(error))
                continue
            if new:
                if grant is Grant.POLITE:
                    self._polite[(chat.id, telegram_id)] = None
                self._wake(bot_id, Stimulus(chat.id, telegram_id, slot, message))

    def _wanted(self, chat: ChatState, messages: list[Message]) -> dict[int, Message]:
        """Slot to the last message of the run that speaks to it: bots' ids, or `ANYBODY`."""
        view = chat.room.view()
        wanted: dict[int, Message] = {}
        for message in messages:
            line = self._line(chat, view, message)
            if line is None:
                continue
            for bot_id in address.addressed(line, view, chat.roster):
                wanted[bot_id] = message
        if wanted:
            return wanted
        for message in messages:
            line = self._line(chat, view, message)
            if line is None:
                continue
            if _command(message.text) in COMMANDS or address.for_anybody(line, chat.roster, ()):
                wanted[ANYBODY] = message
        return wanted

    def _best(self, chat: ChatState, message: Message, *, ours: bool = False) -> int | None:
        """The bot for a question to nobody; a sleeping one only where nobody is awake. `ours`: among our own."""
        view = chat.room.view()
        line = self._line(chat, view, message)
        now = self._clock.wall()
        candidates: Mapping[int, Persona] = self._live.awake(chat, now)
        if not candidates and chat.conversation.answer_always:
            candidates = {bot_id: who for bot_id, who in chat.roster.items() if not self._live.bots[bot_id].parked}
        if ours:
            candidates = {bot_id: who for bot_id, who in candidates.items() if self._is_ours(bot_id)}
        if line is None or not candidates:
            return None
        busy = [bot_id for bot_id in candidates if self._live.bots[bot_id].answering]
        return address.best_bot(line, view, candidates, busy=busy)

    def _line(self, chat: ChatState, view: RoomView, message: Message) -> Line | None:
        """The room's line of a message, or one made for it where the window has lost it."""
        line = view.line(message.telegram_id)
        return line if line is not None else Line.of(message, view.book)

    def _is_ours(self, bot_id: int) -> bool:
        bot = self._live.bots.get(bot_id)
        return bot is not None and bot.held and not bot.parked

    def _may_answer(self, chat: ChatState, bot_id: int, now: float) -> bool:
        return chat.conversation.answer_always or bot_id in self._live.awake(chat, now)


def _command(text: str) -> str:
    """The command a message begins with, without the bot it is addressed to: "/gizlilik@x_bot" is "/gizlilik"."""
    first = text.split(maxsplit=1)[0] if text.strip() else ""
    return first.partition("@")[0].lower() if first.startswith("/") else ""
