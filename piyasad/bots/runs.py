"""Runs: a person's messages that follow one another closely are one stimulus. `stimuli.py` keeps one `Runs`.

Our own ear's runs are followed as they happen; those that are found in the store are told apart by their dates.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from piyasad.clock import Clock
from piyasad.model import ANYBODY, Message, Stimulus

RUN_SECONDS = 2.5
"""A person's messages that follow one another within this time are one stimulus (behaviour 2.1)."""

RUN_MOST_SECONDS = 10.0
"""A run that goes on for longer is answered all the same."""

DATE_SECONDS = 1.0
"""Telegram's dates are whole seconds: a message is up to so much younger than its date says."""

RUNS_MOST = 1000
"""Runs that are followed at a time; what is beyond is found in the store."""

SAID_MOST = 100
"""Messages of one run whose claims are given back if it speaks to nobody."""


@dataclass(slots=True)
class Run:
    """One member's messages. `last`: the newest stimulus for each bot; `said`: Telegram ids."""

    began: float
    last: dict[int, Stimulus] = field(default_factory=dict)
    said: list[int] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None


class Runs:
    """The runs that go on. `ended(chat_id, run)` is called when one is over, `merged` with what a line replaced."""

    def __init__(self, clock: Clock, ended: Callable[[int, Run], None], merged: Callable[[Stimulus], None]) -> None:
        self._clock = clock
        self._ended = ended
        self._merged = merged
        self._runs: dict[tuple[int, int], Run] = {}

    def add(self, message: Message, stimuli: Sequence[Stimulus]) -> bool:
        """A member said something; False when no more runs can be followed."""
        key = (message.chat_id, message.user_id or 0)
        run = self._runs.get(key)
        if run is None:
            if len(self._runs) >= RUNS_MOST:
                return False
            run = self._runs[key] = Run(self._clock.mono())
        if len(run.said) < SAID_MOST and message.telegram_id is not None:
            run.said.append(message.telegram_id)
        for stimulus in stimuli:
            if (before := run.last.pop(stimulus.bot_id, None)) is not None:
                self._merged(before)
            run.last[stimulus.bot_id] = stimulus
        if run.timer is not None:
            run.timer.cancel()
        wait = min(RUN_SECONDS, max(0.0, run.began + RUN_MOST_SECONDS - self._clock.mono()))
        run.timer = asyncio.get_running_loop().call_later(wait, self._end, key)
        return True

    def spoken_to(self, chat_id: int, user_id: int) -> Collection[int]:
        """The bots that a member's present run speaks to."""
        run = self._runs.get((chat_id, user_id))
        return [bot_id for bot_id in run.last if bot_id != ANYBODY] if run is not None else ()

    def speak_to(self, bot_id: int, chat_ids: Collection[int]) -> bool:
        """Whether a run that goes on in these chats speaks to the bot, or to anybody."""
        return any(
            chat_id in chat_ids and (bot_id in run.last or ANYBODY in run.last)
            for (chat_id, _), run in self._runs.items()
        )

    def stop(self) -> None:
        """Follow none any more; what was said stands in the store."""
        for run in self._runs.values():
            if run.timer is not None:
                run.timer.cancel()
        self._runs.clear()

    def _end(self, key: tuple[int, int]) -> None:
        self._ended(key[0], self._runs.pop(key))


def last_of(run: Iterable[Stimulus]) -> tuple[list[Stimulus], list[Stimulus]]:
    """The last that a run said to each bot, and the rest, which is part of it. To somebody beats to anybody."""
    last: dict[int, Stimulus] = {}
    merged: list[Stimulus] = []
    for stimulus in run:
        if (before := last.pop(stimulus.bot_id, None)) is not None:
            merged.append(before)
        last[stimulus.bot_id] = stimulus
    if len(last) > 1 and ANYBODY in last:
        merged.append(last.pop(ANYBODY))
    return list(last.values()), merged


def runs_of(stimuli: Iterable[Stimulus]) -> list[list[Stimulus]]:
    """Stimuli by member and run, oldest first, told apart by the dates of their messages."""
    found: list[list[Stimulus]] = []
    ordered = sorted(stimuli, key=lambda each: (*_whose(each), each.message.at, each.message.id))
    for _, theirs in groupby(ordered, _whose):
        run: list[Stimulus] = []
        for stimulus in theirs:
            at = stimulus.message.at
            if run and (
                at - run[-1].message.at > RUN_SECONDS + DATE_SECONDS or at - run[0].message.at > RUN_MOST_SECONDS
            ):
                found.append(run)
                run = []
            run.append(stimulus)
        found.append(run)
    return found


def _whose(stimulus: Stimulus) -> tuple[int, int]:
    return stimulus.chat_id, stimulus.message.user_id or 0
