"""Stimuli: what was said to our bots and waits for an answer, between the store and the turn that takes it.

They stand in the store before anybody knows of them here; this room hands them to the bots' loops and looks at them
again whenever one may have been missed: after a start, a takeover, a failure. A person's run of messages is one
stimulus. What is not answered is closed with its reason. Memory is bounded: what has no place waits in the store, or
is dropped.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import structlog

from piyasad.behaviour import address
from piyasad.bots.state import BotState, ChatState, LiveState
from piyasad.chat.window import Line
from piyasad.clock import DAY, Clock
from piyasad.model import ANYBODY, Message, Stimulus, StimulusKey
from piyasad.personas.profile import Persona
from piyasad.store.interface import Store, StoreError

log = structlog.stdlib.get_logger(__name__)

RUN_SECONDS = 2.5
"""A person's messages that follow one another within this time are one stimulus (behaviour 2.1)."""

RUN_MOST_SECONDS = 10.0
"""A run that goes on for longer is answered all the same."""

STALE_SECONDS = 90.0
"""A stimulus that is older when its turn comes is dropped (design: delivery)."""

DATE_SECONDS = 1.0
"""Telegram's dates are whole seconds: a message is up to so much younger than its date says."""

WAITING_MOST = 10
"""Stimuli of one bot that wait in memory; a bot cannot answer more before they are stale."""

RUNS_MOST = 1000
"""Runs of messages that are followed at a time; what is beyond is found in the store."""

SAID_MOST = 100
"""Messages of one run whose claims are given back if it speaks to nobody."""

UNCLAIMED_SECONDS, UNCLAIMED_STEP_SECONDS = 1.5, 0.5
"""How long a shard waits for another to claim a question to nobody, and how much longer each further shard."""

LOOK_BACK_SECONDS = 300.0
"""How far back a look reads; the one after a start or a takeover reads a day, so that nothing stays open unseen."""

LOOK_EVERY_SECONDS = 1.0
"""Looks are at least so far apart."""

AGAIN_SECONDS = 2.0
"""After the store failed it is asked again so much later."""

CLOSING_MOST = 5000
"""Closings that wait for the store; what is beyond stays open there, and is found stale by a later look."""

CLOSED_AT_ONCE = 100
"""Closings between two looks."""


@dataclass(slots=True)
class _Run:
    began: float
    last: dict[int, Stimulus] = field(default_factory=dict)  # by the bot that it speaks to
    said: list[int] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None


class Stimuli:
    """The waiting stimuli of the bots that are ours.

    Args:
        age: seconds since a Telegram date, corrected by what updates show (`telegram/skew.py`).
        wake: hand a stimulus to a bot's loop; False where the bot has none now.
        is_fixed: whether a fixed text answers a message.
        fixed: give the fixed answer; the reason why it was not given, "" where the ledger has it, None to try again.
    """

    def __init__(
        self,
        live: LiveState,
        store: Store,
        clock: Clock,
        *,
        age: Callable[[float], float],
        wake: Callable[[int, Stimulus], bool],
        is_fixed: Callable[[ChatState, Message], bool],
        fixed: Callable[[BotState, ChatState, Stimulus], Awaitable[str | None]],
    ) -> None:
        self._live = live
        self._store = store
        self._clock = clock
        self._age = age
        self._wake = wake
        self._is_fixed = is_fixed
        self._fixed = fixed
        self._runs: dict[tuple[int, int], _Run] = {}
        self._known: dict[StimulusKey, None] = {}  # in a run, waiting, handed out or being answered
        self._waiting: dict[int, deque[Stimulus]] = {}
        self._handed: dict[int, Stimulus] = {}  # with the bot's loop, one at a time
        self._closing: dict[StimulusKey, tuple[str, str]] = {}
        self._merging: dict[StimulusKey, None] = {}
        self._later: dict[StimulusKey, float] = {}  # not handed out before (a reading of `mono()`)
        self._look_at: float | None = None
        self._look_back = LOOK_BACK_SECONDS
        self._looked = float("-inf")
        self._again_at = float("-inf")
        self._stirred = asyncio.Event()
        self._flushing = asyncio.Lock()
        self._answering: set[asyncio.Task[None]] = set()
        self._open = True

    # --- what was stored
    def noted(self, message: Message, to: Sequence[int]) -> None:
        """Our ear stored a message with open stimuli for these bots (or `ANYBODY`)."""
        chat = self._live.chat(message.chat_id)
        if not self._open or chat is None or message.user_id is None or message.telegram_id is None:
            return
        stimuli = [Stimulus(message.chat_id, message.telegram_id, bot_id, message) for bot_id in to]
        if stimuli and self._is_fixed(chat, message):
            for stimulus in stimuli:
                self._hand_out(stimulus)
            return
        key = (message.chat_id, message.user_id)
        run = self._runs.get(key)
        if run is None:
            if len(self._runs) >= RUNS_MOST:
                self.look(RUN_SECONDS + DATE_SECONDS)
                return
            run = self._runs[key] = _Run(self._clock.mono())
        if len(run.said) < SAID_MOST:
            run.said.append(message.telegram_id)
        for stimulus in stimuli:
            if (before := run.last.pop(stimulus.bot_id, None)) is not None:
                self._merge(before)
            run.last[stimulus.bot_id] = stimulus
            self._known[stimulus.key] = None
        if run.timer is not None:
            run.timer.cancel()
        wait = min(RUN_SECONDS, max(0.0, run.began + RUN_MOST_SECONDS - self._clock.mono()))
        run.timer = asyncio.get_running_loop().call_later(wait, self._end_run, key)

    def spoken_to(self, chat_id: int, user_id: int) -> Collection[int]:
        """The bots that a member's present run of messages speaks to."""
        run = self._runs.get((chat_id, user_id))
        return [bot_id for bot_id in run.last if bot_id != ANYBODY] if run is not None else ()

    def look(self, within: float = 0.0) -> None:
        """See what is open in the store, in so many seconds at the latest."""
        at = self._clock.mono() + within
        if self._look_at is None or at < self._look_at:
            self._look_at = at
            self._stirred.set()

    def resume(self, bot_ids: Iterable[int]) -> None:
        """These bots have a loop, perhaps a new one: they get what waits, in memory and in the store."""
        for bot_id in bot_ids:
            if (handed := self._handed.pop(bot_id, None)) is not None:  # it lay with the loop that the bot had before
                self._waiting.setdefault(bot_id, deque()).appendleft(handed)
            self._next(bot_id)
        self._look_back = DAY
        self.look()

    # --- what a turn tells
    def done(self, bot_id: int, stimulus: Stimulus) -> None:
        """The turn is over, whatever came of it; the bot gets the next."""
        if self._handed.get(bot_id) is stimulus:
            del self._handed[bot_id]
        self._known.pop(stimulus.key, None)
        self._next(bot_id)

    def is_stale(self, stimulus: Stimulus, within: float = 0.0) -> bool:
        """Whether it is too old to be answered, or will be in so many seconds."""
        return self._age(stimulus.message.at) + within > STALE_SECONDS

    def drop(self, key: StimulusKey, reason: str) -> None:
        """It is not answered, and that is why."""
        self._close(key, "dropped", reason)

    def give_back(self, key: StimulusKey, within: float) -> None:
        """Nothing was sent: another turn may answer it, from so many seconds on.

        What is already claimed in the ledger stays as it is; the store sees to that.
        """
        self._close(key, "open", "")
        self.put_off(key, within)

    def put_off(self, key: StimulusKey, within: float) -> None:
        """Nobody took it: it is looked at again in so many seconds."""
        self._known.pop(key, None)
        self._later[key] = self._clock.mono() + within
        self.look(within)

    # --- the life of it
    async def run(self) -> None:
        """Close what ended and look for what is open, whenever there is something to do, until cancelled."""
        while True:
            await self._until_due()
            try:
                await self._flush(CLOSED_AT_ONCE)
                if self._look_due() <= self._clock.mono():
                    await self._look()
            except StoreError as error:
                self._again_at = self._clock.mono() + AGAIN_SECONDS
                self.look(AGAIN_SECONDS)
                log.warning("stimuli.store", error=str(error))

    def stop(self) -> None:
        """Hand nothing out any more; what was stored stays in the store for the next start."""
        self._open = False
        for run in self._runs.values():
            if run.timer is not None:
                run.timer.cancel()
        self._runs.clear()

    async def settled(self) -> None:
        """Wait until fixed answers under way have ended and the store knows what was closed; the drain bounds it."""
        while self._answering:
            await asyncio.wait(self._answering)
        while self._closing or self._merging:
            try:
                await self._flush(len(self._closing))
            except StoreError as error:
                log.warning("stimuli.store", error=str(error))
                await asyncio.sleep(AGAIN_SECONDS)

    # --- runs
    def _end_run(self, key: tuple[int, int]) -> None:
        run = self._runs.pop(key)
        stimuli = list(run.last.values())
        if not stimuli and (chat := self._live.chat(key[0])) is not None:
            for telegram_id in run.said:  # it spoke to nobody: a bot may remark on it
                chat.claimed.pop(telegram_id, None)
        self._sort_out(stimuli)

    def _sort_out(self, run: Iterable[Stimulus]) -> None:
        """Hand out the last that a run said to each bot; the rest is part of it. To somebody beats to anybody."""
        last: dict[int, Stimulus] = {}
        for stimulus in run:
            if (before := last.pop(stimulus.bot_id, None)) is not None:
                self._merge(before)
            last[stimulus.bot_id] = stimulus
        if len(last) > 1 and ANYBODY in last:
            self._merge(last.pop(ANYBODY))
        for stimulus in last.values():
            self._known.pop(stimulus.key, None)
            self._hand_out(stimulus)

    def _merge(self, stimulus: Stimulus) -> None:
        self._known.pop(stimulus.key, None)
        self._merging[stimulus.key] = None
        self._stirred.set()

    # --- looking
    async def _until_due(self) -> None:
        while True:
            now = self._clock.mono()
            due = self._again_at if self._closing or self._merging else self._look_due()
            if due <= now:
                return
            self._stirred.clear()
            try:
                async with asyncio.timeout(due - now if due < float("inf") else None):
                    await self._stirred.wait()
            except TimeoutError:
                continue

    def _look_due(self) -> float:
        """When the store is looked through next; never sooner than a second after the last time."""
        if self._look_at is None:
            return float("inf")
        return max(self._look_at, self._looked + LOOK_EVERY_SECONDS, self._again_at)

    async def _look(self) -> None:
        """Read what is open for our bots and hand out what nobody knows of here."""
        self._forget_strangers()
        bots = [bot.id for bot in self._live.bots.values() if bot.held]
        chats = [*self._live.chats, *self._live.moved]
        back, self._look_back, self._look_at = self._look_back, LOOK_BACK_SECONDS, None
        self._looked = self._clock.mono()
        if not bots:
            return
        try:
            found = await self._store.open_stimuli(bots, chats, await self._store.now() - back)
        except BaseException:
            self._look_back = max(back, self._look_back)
            raise
        now = self._clock.mono()
        self._later = {key: at for key, at in self._later.items() if at > now}
        fresh: list[Stimulus] = []
        for stimulus in found:
            key = stimulus.key
            if key in self._closing or key in self._merging:  # the store is told in a moment
                self.look(LOOK_EVERY_SECONDS)
            elif key in self._later:
                self.look(self._later[key] - now)
            elif key not in self._known:
                fresh.append(stimulus)
        for run in runs_of(fresh) if self._open else ():
            self._take_up(run)

    def _take_up(self, run: Sequence[Stimulus]) -> None:
        """Hand out a run that was found in the store, once it has ended."""
        age = self._age(run[-1].message.at)
        for stimulus in run:
            if age <= STALE_SECONDS:
                self._live.hear(stimulus.message)  # whoever stored it may not have lived to tell the room
        left = RUN_SECONDS + DATE_SECONDS - age
        rest: list[Stimulus] = []
        for stimulus in run:
            chat = self._live.chat(stimulus.chat_id)
            if chat is None or left <= 0:
                rest.append(stimulus)
            elif self._is_fixed(chat, stimulus.message):
                self._hand_out(stimulus)
            else:
                self.look(left)
        self._sort_out(rest)

    def _forget_strangers(self) -> None:
        """What waits for bots that are not ours any more is their new owner's, who finds it in the store."""
        for bot_id in [*self._waiting, *self._handed]:
            if (bot := self._live.bots.get(bot_id)) is None or not bot.held:
                for stimulus in self._waiting.pop(bot_id, ()):
                    self._known.pop(stimulus.key, None)
                if (handed := self._handed.pop(bot_id, None)) is not None:
                    self._known.pop(handed.key, None)

    # --- handing out
    def _hand_out(self, stimulus: Stimulus) -> None:
        chat = self._live.chat(stimulus.chat_id)
        if chat is None:
            self.drop(stimulus.key, "unlisted")
            return
        if self.is_stale(stimulus):
            self.drop(stimulus.key, "stale")
            return
        if chat.id == stimulus.chat_id:
            chat.claim(stimulus.telegram_id)
        fixed = self._is_fixed(chat, stimulus.message)
        bot = self._choose(chat, stimulus, always=fixed)
        if bot is None:
            return
        if fixed:
            self._known[stimulus.key] = None
            task = asyncio.create_task(self._answer_fixed(bot, chat, stimulus))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
            return
        queue = self._waiting.setdefault(bot.id, deque())
        if len(queue) >= WAITING_MOST:
            self.drop(stimulus.key, "crowded")
            return
        self._known[stimulus.key] = None
        queue.append(stimulus)
        self._next(bot.id)

    def _choose(self, chat: ChatState, stimulus: Stimulus, *, always: bool) -> BotState | None:
        """The bot of ours that is to answer; None where it is not ours to answer, or not now, or was dropped."""
        if stimulus.bot_id != ANYBODY:
            bot = self._live.bots.get(stimulus.bot_id)
            if bot is None or not bot.held:
                return None  # another daemon's, or nobody's yet: who takes the bot finds it in the store
            if bot.parked or chat.id in bot.barred:
                self.drop(stimulus.key, "parked" if bot.parked else "barred")
            elif not always and not self._may_answer(chat, bot.id):
                self.drop(stimulus.key, "asleep")
            else:
                return bot
            return None
        candidates = self._candidates(chat)
        best = self._best(chat, stimulus.message, candidates)
        if best is None:
            self.drop(stimulus.key, "nobody")
            return None
        if not self._holds(best):
            # Rooms differ a little from shard to shard, and each may think another's bot suits best: whoever finds
            # the question still unclaimed after a moment claims it for a bot of its own.
            index, shards = self._live.shard
            turn = RUN_SECONDS + UNCLAIMED_SECONDS + (index + 1) * UNCLAIMED_STEP_SECONDS
            if shards > 1 and (wait := turn - self._age(stimulus.message.at)) > 0:
                self.look(wait)
                return None
            best = self._best(chat, stimulus.message, {bot: who for bot, who in candidates.items() if self._holds(bot)})
        return self._live.bots[best] if best is not None else None

    def _candidates(self, chat: ChatState) -> Mapping[int, Persona]:
        """Who could answer a question to nobody; sleeping bots only where nobody is awake."""
        awake = self._live.awake(chat, self._clock.wall())
        if awake or not chat.conversation.answer_always:
            return awake
        return {bot_id: who for bot_id, who in chat.roster.items() if self._live.can_speak(chat, bot_id)}

    def _best(self, chat: ChatState, message: Message, candidates: Mapping[int, Persona]) -> int | None:
        view = chat.room.view()
        busy = [bot_id for bot_id in candidates if bot_id in self._handed or self._waiting.get(bot_id)]
        return address.best_bot(line_of(chat, message), view, candidates, busy=busy)

    def _holds(self, bot_id: int) -> bool:
        bot = self._live.bots.get(bot_id)
        return bot is not None and bot.held and not bot.parked

    def _may_answer(self, chat: ChatState, bot_id: int) -> bool:
        return chat.conversation.answer_always or bot_id in self._live.awake(chat, self._clock.wall())

    def _next(self, bot_id: int) -> None:
        """The bot's loop gets the oldest that waits; one lies with it at a time."""
        queue = self._waiting.get(bot_id)
        if not queue or not self._open or bot_id in self._handed:
            return
        stimulus = queue[0]
        self._handed[bot_id] = stimulus
        if self._wake(bot_id, stimulus):
            queue.popleft()
        else:  # no loop now: `resume` comes with the next one
            del self._handed[bot_id]
        if not queue:
            del self._waiting[bot_id]

    async def _answer_fixed(self, bot: BotState, chat: ChatState, stimulus: Stimulus) -> None:
        reason: str | None = None
        try:
            reason = await self._fixed(bot, chat, stimulus)
        except StoreError as error:
            log.warning("stimuli.fixed", chat=chat.id, error=str(error))
        finally:
            self._known.pop(stimulus.key, None)
            if reason:
                self.drop(stimulus.key, reason)
            elif reason is None:
                self.give_back(stimulus.key, AGAIN_SECONDS)

    # --- closing
    def _close(self, key: StimulusKey, state: str, reason: str) -> None:
        self._known.pop(key, None)
        if len(self._closing) < CLOSING_MOST or key in self._closing:
            self._closing[key] = state, reason
            self._stirred.set()
        else:
            self.look(STALE_SECONDS)

    async def _flush(self, most: int) -> None:
        """Tell the store what ended. What it could not be told is kept for the next time."""
        async with self._flushing:
            if self._merging:
                merged = list(self._merging)[:CLOSING_MOST]
                await self._store.merge_stimuli(merged)
                for key in merged:
                    self._merging.pop(key, None)
            for key, (state, reason) in list(self._closing.items())[:most]:
                await self._store.close_stimulus(key, state, reason)
                if self._closing.get(key) == (state, reason):
                    del self._closing[key]


def line_of(chat: ChatState, message: Message) -> Line:
    """The room's line of a message, or one made for it where the window does not have it."""
    view = chat.room.view()
    line = view.line(message.telegram_id) if message.chat_id == chat.id else None
    if line is not None:
        return line
    return Line.of(message, view.book, view.line(message.reply_to) if message.reply_to is not None else None)


def runs_of(stimuli: Iterable[Stimulus]) -> list[list[Stimulus]]:
    """Stimuli by member and run, oldest first: messages of one member that follow one another closely."""
    found: list[list[Stimulus]] = []

    def whose(stimulus: Stimulus) -> tuple[Any, ...]:
        return stimulus.chat_id, stimulus.message.user_id or 0

    ordered = sorted(stimuli, key=lambda each: (*whose(each), each.message.at, each.message.id))
    for _, theirs in groupby(ordered, whose):
        run: list[Stimulus] = []
        for stimulus in theirs:
            at = stimulus.message.at
            if run and (
                at - run[-1].message.at > RUN_SECONDS + DATE_SECONDS or at - run[0].message.at > RUN_MOST_SECONDS
            ):
                found.append(run)
                run = []
            run.append(stimulus)
        if run:
            found.append(run)
    return found
