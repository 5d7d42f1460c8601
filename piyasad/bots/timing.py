"""A bot's law of delays with everything filled in: its settings, the heat of its rooms, the stretch of every limit.

`scheduler.BotLoop` asks it when the next turn is due. The law itself stands in `behaviour/delays.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from piyasad.behaviour import delays
from piyasad.bots.state import BotState, LiveState
from piyasad.clock import Clock

SPEAK_SHARE = 0.8
"""About the share of turns that become a line at the default probabilities; stretches are reckoned in lines."""

RECHECK_SECONDS = 60.0
"""How soon a silent simulation (`active = false`) is looked at again."""


class BotTiming:
    """`scheduler.Timing` for one bot. `quota` gives the stretch that the gateway's daily quota asks for.

    `turned` is told of every turn, for the activity that the quota is paced by.
    """

    def __init__(
        self,
        bot: BotState,
        live: LiveState,
        clock: Clock,
        quota: Callable[[], float],
        turned: Callable[[], None] = lambda: None,
    ) -> None:
        self._turned = turned
        self._bot = bot
        self._live = live
        self._clock = clock
        self._quota = quota
        self._drawn: float | None = None  # the stretch in the delay that runs

    def first_delay(self) -> float:
        """Spread over one expected delay."""
        self._drawn = None
        return delays.first_delay(self._bot.rng, self._expected(self._clock.wall()))

    def next_delay(self) -> float:
        """A draw from the law at this moment."""
        self._turned()
        now = self._clock.wall()
        settings = self._live.settings
        self._drawn = self.stretch(now)
        return delays.draw_delay(
            self._bot.rng,
            settings.pace,
            self._bot.settings.pace,
            prime=delays.is_prime(now, settings.pace, settings.zone),
            heat=self._heat(now),
            stretch=self._drawn,
            scale=settings.simulation.scale,
        )

    def drift(self) -> float:
        """The stretch now over that of the delay that runs; 1 while that was not stretched."""
        if self._drawn is None:
            return 1.0
        before, self._drawn = self._drawn, self.stretch(self._clock.wall())
        return self._drawn / before

    def closed_for(self) -> float:
        """Seconds until active hours run; a minute at a time while the whole simulation is off."""
        settings = self._live.settings
        if not settings.simulation.active or self._bot.parked:
            return RECHECK_SECONDS
        return delays.until_active(self._clock.wall(), self._bot.settings.active_hours, settings.zone)

    def stretch(self, now: float) -> float:
        """The largest of the limits' stretches; at least 1."""
        return delays.largest(*self.stretches(now).values())

    def stretches(self, now: float) -> dict[str, float]:
        """By how much each limit wants the delays to grow: the quota, the hourly limit, the chats' pace."""
        interval = self._expected(now) / SPEAK_SHARE
        rate = 0.0
        for chat in self._live.chats_of(self._bot):
            rate += chat.pace.chat_per_minute / max(1, len(self._live.awake(chat, now)))
        return {
            "quota": self._quota(),
            "hourly_limit": self._bot.hourly.stretch(now, interval),
            "chat_pace": delays.chat_stretch(rate, 1, interval) if rate else 1.0,
        }

    def _expected(self, now: float) -> float:
        settings = self._live.settings
        return delays.expected_delay(
            settings.pace,
            self._bot.settings.pace,
            prime=delays.is_prime(now, settings.pace, settings.zone),
            scale=settings.simulation.scale,
        )

    def _heat(self, now: float) -> float:
        return max(
            (chat.room.view().heat(now, chat.pace.burstiness) for chat in self._live.chats_of(self._bot)),
            default=1.0,
        )
