"""Fixed answers: what a bot says without an LLM when it is asked whether it is one, and to the privacy commands.

They are recognised on each message as it is stored and given beside the bot's turns, outside of its limits and the
chat's pace, inside Telegram's windows; nobody gets them faster than the law below allows.
"""

from __future__ import annotations

from piyasad.behaviour import address
from piyasad.bots.disclosure import Disclosed, Discloser
from piyasad.bots.state import BotState, ChatState, LiveState
from piyasad.bots.stimuli import line_of
from piyasad.clock import Clock
from piyasad.delivery.delivery import Delivered, Delivery
from piyasad.delivery.slot import NoSlot, Slots
from piyasad.model import Draft, Grant, Kind, Message, Stimulus
from piyasad.privacy import texts
from piyasad.store.interface import Store
from piyasad.telegram.limits import MINUTE, Window

WITHIN_SECONDS = 30.0
"""A fixed answer that finds no place in Telegram's windows for so long is dropped (behaviour 2.1)."""

CHAT_MOST = 10
"""Fixed answers in one chat a minute; one member gets one a minute (behaviour 2.1)."""

COMMANDS = frozenset({"/gizlilik", "/privacy"})


class FixedAnswers:
    """The fixed texts, and the way they are said."""

    def __init__(
        self, live: LiveState, store: Store, delivery: Delivery, slots: Slots, discloser: Discloser, clock: Clock
    ) -> None:
        self._live = live
        self._store = store
        self._delivery = delivery
        self._slots = slots
        self._discloser = discloser
        self._clock = clock
        self._chats: dict[int, Window] = {}
        self._members: dict[int, float] = {}

    def is_fixed(self, chat: ChatState, message: Message) -> bool:
        """Whether a fixed text answers this message."""
        return is_privacy_command(address.command_of(message)) or address.is_identity_question(line_of(chat, message))

    async def say(self, bot: BotState, chat: ChatState, stimulus: Stimulus) -> str | None:
        """Give the answer. Why it was not given; "" where the ledger has it or another bot gave it; None: try again."""
        if not self._delivery.may_send(bot.id):
            return None
        if not self._admits(chat.id, stimulus.message.user_id or 0):
            return "fixed_limit"
        until = self._clock.mono() + WITHIN_SECONDS
        if await self._discloser.before(bot, chat, until) is Disclosed.NOT:
            return None
        slot = await self._slots.reserve(bot.id, chat.id, until=until)
        if isinstance(slot, NoSlot):
            return slot.reason
        handed = False
        try:
            if await self._store.take_stimulus(stimulus.key, bot.id, counts=False) is Grant.GONE:
                return ""
            draft = answer_draft(bot, chat, stimulus, Kind.FIXED, self._text(bot, stimulus.message))
            if not await self._delivery.ready(draft, slot, typing=0.0, until=until):
                return "no_slot"
            handed = True
            await self._delivery.send(draft, slot, until=until, ended=self._said)
        finally:
            if not handed:
                await self._slots.give_back(slot)
        return ""

    def _said(self, delivered: Delivered) -> None:
        if delivered.may_stand and delivered.claim is not None:
            self._live.spoke(delivered.claim, self._clock.wall(), telegram_id=delivered.telegram_id, at=delivered.at)

    def _text(self, bot: BotState, message: Message) -> str:
        if is_privacy_command(address.command_of(message)):
            return texts.privacy_text(self._live.settings)
        return bot.rng.choice(texts.HONEST)

    def _admits(self, chat_id: int, user_id: int) -> bool:
        now = self._clock.mono()
        chat = self._chats.setdefault(chat_id, Window(CHAT_MOST, MINUTE))
        self._members = {user: at for user, at in self._members.items() if at > now - MINUTE}
        if user_id in self._members or chat.wait(now) > 0:
            return False
        chat.add(now)
        self._members[user_id] = now
        return True


def is_privacy_command(order: address.Command | None) -> bool:
    """Whether a message's command asks what is kept, whichever bot it names."""
    return order is not None and order.name in COMMANDS


def answer_draft(bot: BotState, chat: ChatState, stimulus: Stimulus, kind: Kind, text: str) -> Draft:
    """What answers a stimulus: a reply to its message, in the topic where it was said."""
    message = stimulus.message
    return Draft(
        bot_id=bot.id,
        fence=0,  # delivery puts the lease's in at the moment of the claim
        chat_id=chat.id,
        kind=kind,
        text=text,
        author=bot.persona.name,
        # after a migration the new group does not have the message
        reply_to=message.telegram_id if message.chat_id == chat.id else None,
        thread_id=message.thread_id,
        stimulus=stimulus.key,
    )
