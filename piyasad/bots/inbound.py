"""Inbound: what members say, on its way to the ledger and the room.

The ears and the feed of other shards hand messages in. Whom a message speaks to is decided before it is stored, so
that the stimulus stands in the ledger with it; `stimuli.py` sees to the answer. Nothing here answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from piyasad.behaviour import address, people
from piyasad.bots.fixed import is_privacy_command
from piyasad.bots.runs import DATE_SECONDS, RUN_SECONDS
from piyasad.bots.state import ChatState, LiveState
from piyasad.bots.stimuli import STALE_SECONDS, Stimuli, line_of
from piyasad.clock import Clock
from piyasad.model import ANYBODY, Kind, Message, Received
from piyasad.store.interface import Store

REPLIED_LINES = 30
"""Only the last lines of a room are replied to (behaviour 2.3)."""


class Inbound:
    """Rooms' ears in memory.

    Args:
        age: seconds since a Telegram date, corrected by what updates show (`telegram/skew.py`).
        warm: a person spoke in a chat, and its heat grew by this factor: delays there shrink by it.
        is_fixed: whether a fixed text answers a message, whoever it speaks to.
    """

    def __init__(
        self,
        live: LiveState,
        store: Store,
        stimuli: Stimuli,
        clock: Clock,
        *,
        age: Callable[[float], float],
        warm: Callable[[int, float], None],
        is_fixed: Callable[[ChatState, Message], bool],
    ) -> None:
        self._live = live
        self._store = store
        self._stimuli = stimuli
        self._clock = clock
        self._age = age
        self._warm = warm
        self._is_fixed = is_fixed

    async def received(self, said: Received) -> None:
        """A member's message from Telegram: durable before this returns, so that the update may be confirmed."""
        chat = self._live.chat(said.chat_id)
        if chat is None:
            return
        to = self._speaks_to(chat, _message_of(said))
        stored = (await self._store.receive([replace(said, to=to)]))[0]
        if stored is None:  # it came before, perhaps to somebody who did not live to answer it
            self._stimuli.look(RUN_SECONDS + DATE_SECONDS)
            return
        stored = replace(stored, mentions=said.mentions)
        # until the run has ended nobody knows whom it speaks to: no bot remarks on it of its own accord
        self._hear(stored, claim=True)
        self._stimuli.noted(stored, to)

    async def edited(self, chat_id: int, telegram_id: int, text: str) -> None:
        """A member changed a message: the room reads the new text; nothing is answered anew."""
        chat = self._live.chats.get(chat_id)
        if chat is not None:
            chat.room.replace_text(telegram_id, text)
            await self._store.edit(chat_id, telegram_id, text)

    def heard(self, message: Message) -> None:
        """A message for its room that another shard stored; its stimuli stand in the store."""
        chat = self._live.chat(message.chat_id)
        if chat is None or not message.is_person:
            self._live.hear(message)
            return
        to = self._speaks_to(chat, message)
        if self._hear(message, claim=bool(to)):
            self._stimuli.look(0.0 if to and self._is_fixed(chat, message) else RUN_SECONDS + DATE_SECONDS)

    async def reclaim(self) -> None:
        """The rooms were read from the ledger: what members asked there is answered, waits, or was dropped."""
        for chat in list(self._live.chats.values()):
            for message in chat.room.view().messages[-REPLIED_LINES:]:
                if message.is_person and message.chat_id == chat.id and self._speaks_to(chat, message):
                    chat.claim(message.telegram_id)
            await asyncio.sleep(0)

    def _hear(self, message: Message, *, claim: bool) -> bool:
        """Put a person's message into its room; delays there shrink by as much as it heated the room."""
        chat = self._live.chat(message.chat_id)
        if chat is None:
            return False
        now = self._clock.wall()
        before = chat.room.view().heat(now, chat.pace.burstiness)
        if not self._live.hear(message):
            return False
        factor = chat.room.view().heat(now, chat.pace.burstiness) / before
        if factor > 1:
            self._warm(chat.id, factor)
        if claim and chat.id == message.chat_id and self._age(message.at) <= STALE_SECONDS:
            chat.claim(message.telegram_id)
        return True

    def _speaks_to(self, chat: ChatState, message: Message) -> tuple[int, ...]:
        """The bots that a member's message speaks to, or `ANYBODY`; empty: it wants no answer of ours."""
        line, view, roster = line_of(chat, message), chat.room.view(), chat.roster
        to = address.addressed(line, view, roster)
        asked = address.asked_identity(line, view, roster, to)
        if asked is not None:  # one bot tells the truth, however many were asked
            return (asked,) if to or self._live.can_speak(chat, asked) else (ANYBODY,)
        if to or people.to_a_person(line, frozenset(persona.handle for persona in roster.values())):
            return to
        if (order := address.command_of(message)) is not None:
            return (ANYBODY,) if is_privacy_command(order) and not order.handle else ()
        run = self._stimuli.spoken_to(message.chat_id, message.user_id or 0)
        if run and line.question:
            # "Ali Hoca!" … "Dolar düşer mi?": what follows in a run speaks to whom the run has named
            return tuple(bot_id for bot_id in roster if bot_id in run)
        return (ANYBODY,) if address.for_anybody(line, roster, ()) else ()


def _message_of(said: Received) -> Message:
    """A message that has no row yet."""
    return Message(
        id=0,
        chat_id=said.chat_id,
        bot_id=None,
        author=said.author,
        kind=Kind.PERSON,
        text=said.text,
        at=said.at,
        telegram_id=said.telegram_id,
        user_id=said.user_id,
        reply_to=said.reply_to,
        thread_id=said.thread_id,
        mentions=said.mentions,
    )
