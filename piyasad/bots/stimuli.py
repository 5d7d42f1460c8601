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

from piyasad.behaviour import address
from piyasad.bots.closings import Closings
from piyasad.bots.runs import DATE_SECONDS, RUN_MOST_SECONDS, RUN_SECONDS, Run, Runs, last_of, runs_of
from piyasad.bots.state import BotState, ChatState, LiveState
from piyasad.chat.window import Line
from piyasad.clock import DAY, Clock
from piyasad.model import ANYBODY, Message, Stimulus, StimulusKey
from piyasad.personas.profile import Persona
from piyasad.store.interface import Store, StoreError
from piyasad.supervise import Outage, raise_if_cancelled

STALE_SECONDS = 90.0
"""A stimulus that is older when its turn comes is dropped (design: delivery)."""

WAITING_MOST = 10
"""Stimuli of one bot that wait in memory; a bot cannot answer more before they are stale."""

UNCLAIMED_SECONDS, UNCLAIMED_STEP_SECONDS = 1.5, 0.5
"""How long a shard waits for another to claim a question to nobody, and how much longer each further shard."""

LOOK_BACK_SECONDS = 300.0
"""How far back a look reads; the one after a start or a takeover reads a day, so that nothing stays open unseen."""

LOOK_EVERY_SECONDS = 1.0
"""Looks are at least so far apart."""

SHORTEST_SECONDS = 0.001
"""A wait is never shorter: one that is too short to move the clock would be followed by another, for ever."""

AGAIN_SECONDS = 2.0
"""After the store failed it is asked again so much later."""

LISTEN_SECONDS = 0.5
"""How often a bot that is spoken to looks whether the member has finished."""

CLOSED_AT_ONCE = 100
"""Closings between two looks."""


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
        self._runs = Runs(clock, self._end_run, self._merge)
        self._closings = Closings(store)
        self._known: dict[StimulusKey, None] = {}  # in a run, waiting, handed out or being answered
        self._waiting: dict[int, deque[Stimulus]] = {}
        self._handed: dict[int, Stimulus] = {}  # with the bot's loop, one at a time
        self._later: dict[StimulusKey, float] = {}  # not handed out before (a reading of `mono()`)
        self._look_at: float | None = None
        self._look_back = LOOK_BACK_SECONDS
        self._looked = float("-inf")
        self._again_at = float("-inf")
        self._stirred = asyncio.Event()
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
        if self._runs.add(message, stimuli):
            self._known.update((stimulus.key, None) for stimulus in stimuli)
        else:
            self.look(RUN_SECONDS + DATE_SECONDS)

    def spoken_to(self, chat_id: int, user_id: int) -> Collection[int]:
        """The bots that a member's present run of messages speaks to."""
        return self._runs.spoken_to(chat_id, user_id)

    async def heard_out(self, bot: BotState) -> bool:
        """Let members who speak to this bot, or to anybody, finish; whether it has something to answer now.

        What waits for an answer goes before any other turn of a bot (behaviour 2.1).
        """
        until = self._clock.mono() + RUN_MOST_SECONDS
        while self._runs.speak_to(bot.id, bot.settings.chats) and self._clock.mono() < until:
            await asyncio.sleep(LISTEN_SECONDS)
        return bot.id in self._handed or bot.id in self._waiting

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
        outage = Outage("stimuli", self._clock)
        while True:
            await self._until_due()
            try:
                await self._closings.tell(CLOSED_AT_ONCE)
                if self._look_due() <= self._clock.mono():
                    await self._look()
            except StoreError as error:
                raise_if_cancelled()
                self._again_at = self._clock.mono() + AGAIN_SECONDS
                self.look(AGAIN_SECONDS)
                outage.failed(error)
            else:
                outage.worked()

    def stop(self) -> None:
        """Hand nothing out any more; what was stored stays in the store for the next start."""
        self._open = False
        self._runs.stop()

    async def settled(self) -> None:
        """Wait until fixed answers under way have ended and the store knows what was closed; the drain bounds it."""
        while self._answering:
            await asyncio.wait(self._answering)
        while self._closings:
            try:
                await self._closings.tell(len(self._closings))
            except StoreError:
                raise_if_cancelled()
                await asyncio.sleep(AGAIN_SECONDS)

    # --- runs
    def _end_run(self, chat_id: int, run: Run) -> None:
        chat = self._live.chat(chat_id)
        if not run.last and chat is not None:
            for telegram_id in run.said:  # it spoke to nobody: a bot may remark on it
                chat.claimed.pop(telegram_id, None)
        self._sort_out(run.last.values())

    def _sort_out(self, run: Iterable[Stimulus]) -> None:
        """Hand out what a run that has ended said last."""
        last, merged = last_of(run)
        for stimulus in merged:
            self._merge(stimulus)
        for stimulus in last:
            self._known.pop(stimulus.key, None)
            self._hand_out(stimulus)

    def _merge(self, stimulus: Stimulus) -> None:
        self._known.pop(stimulus.key, None)
        self._closings.merge(stimulus.key)
        self._stirred.set()

    # --- looking
    async def _until_due(self) -> None:
        while True:
            now = self._clock.mono()
            due = self._again_at if self._closings else self._look_due()
            if due <= now:
                return
            self._stirred.clear()
            try:
                async with asyncio.timeout(max(SHORTEST_SECONDS, due - now) if due < float("inf") else None):
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
            if key in self._closings:  # the store is told in a moment
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
                    if bot is None:  # a reload took it away: it has no next owner
                        self.drop(stimulus.key, "removed")
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
        except StoreError:
            raise_if_cancelled()
        finally:
            self._known.pop(stimulus.key, None)
            if reason:
                self.drop(stimulus.key, reason)
            elif reason is None:
                self.give_back(stimulus.key, AGAIN_SECONDS)

    def _close(self, key: StimulusKey, state: str, reason: str) -> None:
        self._known.pop(key, None)
        if not self._closings.close(key, state, reason):
            self.look(STALE_SECONDS)
        self._stirred.set()


def line_of(chat: ChatState, message: Message) -> Line:
    """The room's line of a message, or one made for it where the window does not have it."""
    view = chat.room.view()
    if message.chat_id != chat.id:  # said before the group moved; the new one numbers its messages anew
        return Line.of(message, view.book)
    return view.line(message.telegram_id) or Line.of(message, view.book, view.line(message.reply_to))
