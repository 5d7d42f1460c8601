"""Slots: one line's place on every limit at once: the chat's pace, Telegram's windows, the bot's hourly limit.

Turns, notices and fixed answers reserve a slot before a text exists; `delivery.py` takes it at the moment of sending
and gives it back when nothing was delivered. Each step is awaited and may be refused: what shards share is asked there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from piyasad.behaviour.delays import HourlyLimit
from piyasad.chat.pace import ChatPace, Reservation
from piyasad.clock import Clock
from piyasad.telegram.limits import SendLimits


@dataclass(eq=False, slots=True)
class Slot:
    """A line's place. `pace` and `hourly` are None for what is outside of them.

    `sent` is where it counts in Telegram's windows while its answer is awaited (a reading of `mono()`), `counted`
    where it counts in the hourly limit (Unix seconds).
    """

    bot_id: int
    chat_id: int
    pace: tuple[ChatPace, Reservation] | None
    hourly: HourlyLimit | None
    sent: float | None = None
    counted: float | None = None


@dataclass(frozen=True, slots=True)
class NoSlot:
    """A line that could not be sent in time. `reason` is a turn's outcome; it may be asked again in `wait` seconds."""

    reason: str  # paused, hourly_limit, no_slot
    wait: float


class Slots:
    """The slots of every bot of this daemon."""

    def __init__(self, limits: SendLimits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock

    async def reserve(
        self,
        bot_id: int,
        chat_id: int,
        *,
        until: float,
        pace: ChatPace | None = None,
        hourly: HourlyLimit | None = None,
        answer: bool = False,
    ) -> Slot | NoSlot:
        """Take the earliest place on every limit, if the line could be sent before `until` (a reading of `mono()`).

        Args:
            pace, hourly: the chat's pace and the bot's hourly limit; None for what is outside of them.
            answer: a person waits: it overtakes in the pace, and may exceed the hourly limit.
        """
        now = self._clock.mono()
        if hourly is not None and not hourly.allows(self._clock.wall(), answer=answer):
            return NoSlot("hourly_limit", hourly.frees_in(self._clock.wall()))
        pause = self._limits.paused(bot_id, chat_id, now)
        if now + pause > until:
            return NoSlot("paused", pause)
        wait = self._limits.wait(bot_id, chat_id, now)
        held = None
        if pace is not None:
            place = pace.reserve(now, urgent=answer)
            wait = max(wait, place.at - now)
            held = pace, place
        slot = Slot(bot_id, chat_id, held, hourly)
        if now + wait > until:
            await self.give_back(slot)
            return NoSlot("no_slot", wait)
        return slot

    def pin(self, slot: Slot) -> None:
        """Its bot has begun to type: answers no longer overtake it."""
        if slot.pace is not None:
            slot.pace[0].pin(slot.pace[1])

    def wait(self, slot: Slot) -> float:
        """Seconds until the slot may be taken, as far as is known now."""
        now = self._clock.mono()
        wait = self._limits.wait(slot.bot_id, slot.chat_id, now)
        return wait if slot.pace is None else max(wait, slot.pace[0].wait(slot.pace[1], now))

    async def take(self, slot: Slot) -> float:
        """At the moment of sending: 0 when it goes now (and counts from now on), else seconds to wait and ask again.

        A slot that was given back may be taken again, where there is room.
        """
        wait = self.wait(slot)
        if wait > 0:
            return wait
        now = self._clock.mono()
        if slot.pace is not None:
            slot.pace[0].take(slot.pace[1], now)
        self._limits.take(slot.bot_id, slot.chat_id, now)
        slot.sent = now
        if slot.hourly is not None:
            slot.counted = self._clock.wall()
            slot.hourly.record(slot.counted)
        return 0.0

    def arrived(self, slot: Slot) -> None:
        """Telegram answered, whatever it said: it counted the send before now, so it counts from now."""
        if slot.sent is not None:
            self._limits.arrived(slot.bot_id, slot.chat_id, slot.sent, self._clock.mono())
            slot.sent = None

    async def give_back(self, slot: Slot) -> None:
        """Nothing was delivered: its places are free again. What reached Telegram goes on counting there."""
        if slot.pace is not None:
            slot.pace[0].cancel(slot.pace[1])
        if slot.sent is not None:
            self._limits.returned(slot.bot_id, slot.chat_id, slot.sent)
            slot.sent = None
        if slot.hourly is not None and slot.counted is not None:
            slot.hourly.forget(slot.counted)
            slot.counted = None

    # --- what is no line
    def is_paused(self, bot_id: int, chat_id: int) -> bool:
        """Whether a 429 keeps this bot from that chat now."""
        return self._limits.paused(bot_id, chat_id, self._clock.mono()) > 0

    def try_action(self, bot_id: int, chat_id: int) -> bool:
        """Whether a chat action or a reaction may be made now; it then counts. Lines go first."""
        return self._limits.try_action(bot_id, chat_id, self._clock.mono())

    def throttled(self, bot_id: int, chat_id: int, seconds: float) -> None:
        """A message, a chat action or a reaction was answered 429: the bot rests in that chat.

        Telegram does not say what a 429 is about: a bot that it stops in two chats at a time it stops everywhere.
        """
        now = self._clock.mono()
        self._limits.pause(bot_id, chat_id, now + seconds)
        if self._limits.pauses(bot_id, now) > 1:
            self._limits.pause(bot_id, None, now + seconds)

    # --- changes of hands
    def restore(self, bot_ids: Iterable[int], sends: Iterable[tuple[int, int, float]]) -> None:
        """These bots' sends (bot, chat, Unix time) from the ledger take the place of what is known of them."""
        behind = self._clock.wall() - self._clock.mono()
        self._limits.restore(bot_ids, ((bot_id, chat_id, at - behind) for bot_id, chat_id, at in sends))

    def move(self, old: int, new: int) -> None:
        """A group became a supergroup."""
        self._limits.move(old, new)
