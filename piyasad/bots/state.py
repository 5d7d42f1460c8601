"""The live state: every chat and every bot that this daemon knows, with their live state. In memory, no I/O.

The engine builds it from the configuration and keeps it over a reload; turns, timing, inbound and reports read it.
A chat's bots are known on every shard (each hears the whole room); only some of them are ours to speak for.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from piyasad.behaviour import delays
from piyasad.chat.pace import ChatPace, share
from piyasad.chat.window import Room
from piyasad.config import BotSettings, ChatSettings, ConversationSettings, PaceSettings, Settings
from piyasad.config.secrets import Missing, Secret, telegram_id
from piyasad.language.text import fold, normalise
from piyasad.model import Claim, Kind, Message
from piyasad.personas.profile import Persona
from piyasad.personas.prompt import system_text

SHORT_WORDS = 3
"""A line of so many words or fewer is a short one (see guards/repetition.py)."""

BOTS_AT_ONCE = 25
"""So many personas are built before others get a turn of the loop: about 10 ms of work."""

CLAIMED_MOST = 500
"""Messages of a chat remembered as answered or claimed: only the last thirty are replied to (behaviour/target.py)."""

FIXED_KINDS = frozenset({Kind.NOTICE, Kind.FIXED, Kind.POLITE})
"""What no LLM wrote: it is not in the way of a bot that says the same again."""

AWAKE_FOR_SECONDS = 30.0
"""How long the count of a chat's active bots is good before it is taken anew."""


@dataclass(slots=True)
class BotState:
    """One bot: its settings and what it remembers between turns."""

    id: int
    settings: BotSettings
    persona: Persona
    token: Secret
    parked: str
    rng: random.Random
    hourly: delays.HourlyLimit
    system: str
    system_key: str
    held: bool = False
    fence: int = 0
    disclosed: bool = False
    said: dict[str, float] = field(default_factory=dict)
    short: list[float] = field(default_factory=list)
    since_refresh: int = 0
    refreshed_at: float = 0.0
    barred: dict[int, str] = field(default_factory=dict)

    def carry(self, known: BotState) -> None:
        """The same account under other settings: what it did and may do still counts."""
        self.rng, self.hourly, self.said, self.short = known.rng, known.hourly, known.said, known.short
        self.held, self.fence, self.barred = known.held, known.fence, known.barred
        self.since_refresh, self.refreshed_at = known.since_refresh, known.refreshed_at
        self.disclosed = known.disclosed and known.settings.name == self.settings.name

    def remember(self, normalised: str, at: float, keep_seconds: float) -> None:
        """Note a text that was sent, for the repetition guard; forget what is older than `keep_seconds`."""
        self.said.pop(normalised, None)
        self.said[normalised] = at
        while self.said and next(iter(self.said.values())) < at - keep_seconds:
            del self.said[next(iter(self.said))]
        if normalised.count(" ") < SHORT_WORDS:
            self.short = [past for past in self.short if past > at - delays.HOUR] + [at]


@dataclass(slots=True)
class NoticeState:
    """What is known of a chat's notice; `disclosure.py` keeps it.

    `known`: it is known to be posted; `posted_at`: when the newest one was (Unix seconds); `ask_at`: the store is not
    asked before; `late_since`: since when a renewal has failed (both readings of `mono()`).
    """

    known: bool = False
    posted_at: float = 0.0
    ask_at: float = float("-inf")
    late_since: float | None = None


@dataclass(slots=True)
class ChatState:
    """One listed chat: its settings as they hold here, its room and its pace.

    `limit` keeps the pace (times are readings of `mono()`); `claimed` holds the messages that a bot answers or has
    answered, by Telegram id.
    """

    settings: ChatSettings
    conversation: ConversationSettings
    pace: PaceSettings
    room: Room
    limit: ChatPace
    roster: dict[int, Persona]
    reactions: tuple[str, ...] | None = None
    claimed: dict[int, None] = field(default_factory=dict)
    notice: NoticeState = field(default_factory=NoticeState)
    awake_at: float = float("-inf")
    awake: dict[int, Persona] = field(default_factory=dict)

    @property
    def id(self) -> int:
        """The chat's Telegram id."""
        return self.settings.id

    @property
    def crosses(self) -> bool:
        """Whether one bot's message ids mean the same to another: not in basic groups."""
        return not self.settings.is_basic_group

    def claim(self, telegram_id: int | None) -> None:
        """A bot answers this message, or may: no other replies to it of its own accord."""
        if telegram_id is not None:
            self.claimed.pop(telegram_id, None)
            self.claimed[telegram_id] = None
            while len(self.claimed) > CLAIMED_MOST:
                del self.claimed[next(iter(self.claimed))]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A configuration ready to be put in place: `LiveState.prepare` makes it, `commit` takes it."""

    settings: Settings
    bots: dict[int, BotState]
    tokenless: dict[str, str]


class LiveState:
    """Chats by id, bots by Telegram id. `shard` is (i, n), 0 ≤ i < n."""

    def __init__(self, settings: Settings, shard: tuple[int, int], seed: int) -> None:
        self.settings = settings
        self.shard = shard
        self.seed = seed
        self.chats: dict[int, ChatState] = {}
        self.bots: dict[int, BotState] = {}
        self.by_name: dict[str, int] = {}
        self.tokenless: dict[str, str] = {}
        self.moved: dict[int, int] = {}

    def chat(self, chat_id: int) -> ChatState | None:
        """A listed chat, under its present id or one that it had before it moved."""
        return self.chats.get(self.moved.get(chat_id, chat_id))

    def move(self, old: int, new: int) -> None:
        """A group became a supergroup: its chat, its bots and its room go on under the new id."""
        chat = self.chats.pop(old, None)
        if chat is None:
            return
        self.moved = {was: new if now == old else now for was, now in self.moved.items()} | {old: new}
        chat.settings = chat.settings.model_copy(update={"id": new})
        chat.room.move(new)
        chat.claimed.clear()
        self.chats[new] = chat
        for bot in self.bots.values():
            bot.settings = self._moved(bot.settings)
            if old in bot.barred:
                bot.barred[new] = bot.barred.pop(old)

    def _moved(self, bot: BotSettings) -> BotSettings:
        chats = tuple(self.moved.get(chat_id, chat_id) for chat_id in bot.chats)
        return bot if chats == bot.chats else bot.model_copy(update={"chats": chats})

    async def prepare(self, settings: Settings, tokens: Mapping[str, Secret | Missing]) -> Prepared:
        """What `commit` will put in place: personas are built, a few at a time, and nothing here is changed.

        Args:
            tokens: by the bots' names, as they were found.
        """
        if self.moved:
            chats = tuple(chat.model_copy(update={"id": self.moved.get(chat.id, chat.id)}) for chat in settings.chats)
            settings = settings.model_copy(update={"chats": chats, "bots": tuple(map(self._moved, settings.bots))})
        bots: dict[int, BotState] = {}
        tokenless: dict[str, str] = {}
        for number, bot in enumerate(settings.bots, 1):
            token = tokens[bot.name]
            if isinstance(token, Missing):
                tokenless[bot.name] = token.reason
            else:
                bots[telegram_id(token)] = self._bot(settings, bot, token)
            if number % BOTS_AT_ONCE == 0:
                await asyncio.sleep(0)
        return Prepared(settings, bots, tokenless)

    def commit(self, prepared: Prepared) -> None:
        """Put it in place: references are swapped, nothing is awaited, nothing can fail."""
        settings = self.settings = prepared.settings
        before, self.bots, self.tokenless = self.bots, prepared.bots, prepared.tokenless
        rosters: dict[int, dict[int, Persona]] = {}
        for bot in self.bots.values():
            known = before.get(bot.id, bot)
            if known is not bot:
                bot.carry(known)
            bot.parked = "" if bot.settings.enabled else "enabled = false"
            bot.hourly.change(settings.pace.hourly_limit)
            if bot.settings.enabled:
                for chat_id in bot.settings.chats:
                    rosters.setdefault(chat_id, {})[bot.id] = bot.persona
        self.by_name = {state.settings.name: bot_id for bot_id, state in self.bots.items()}
        self.chats = {chat.id: self._chat(chat, rosters.get(chat.id, {})) for chat in settings.chats if chat.enabled}

    def _bot(self, settings: Settings, bot: BotSettings, token: Secret) -> BotState:
        bot_id = telegram_id(token)
        known = self.bots.get(bot_id)
        if known is not None and known.settings == bot and known.token == token:
            return known
        persona = Persona.of(bot, bot_id)
        system = system_text(persona)
        rng = random.Random(f"{self.seed}/{bot_id}")
        hourly = delays.HourlyLimit(settings.pace.hourly_limit, rng)
        return BotState(bot_id, bot, persona, token, "", rng, hourly, system, fold(system))

    def _chat(self, chat: ChatSettings, roster: dict[int, Persona]) -> ChatState:
        conversation = self.settings.conversation_for(chat.id)
        law = self.settings.pace_for(chat.id)
        index, shards = self.shard
        known = self.chats.get(chat.id)
        if known is None:
            limit = ChatPace(share(law.chat_per_minute, index, shards))
            return ChatState(chat, conversation, law, Room(chat.id, chat.topics), limit, roster)
        if known.pace.chat_per_minute != law.chat_per_minute:
            known.limit.change(share(law.chat_per_minute, index, shards))
        known.room.retopic(chat.topics)
        known.settings, known.conversation, known.pace, known.roster = chat, conversation, law, roster
        known.awake_at = float("-inf")
        return known

    def chats_of(self, bot: BotState) -> list[ChatState]:
        """The listed, enabled chats in which a bot may speak now."""
        return [
            chat
            for chat_id in bot.settings.chats
            if (chat := self.chats.get(chat_id)) is not None and chat_id not in bot.barred
        ]

    def can_speak(self, chat: ChatState, bot_id: int) -> bool:
        """Whether a bot of a chat could speak there, hours aside: with a token, not barred."""
        bot = self.bots.get(bot_id)
        return bot is not None and not bot.parked and chat.id not in bot.barred

    def awake(self, chat: ChatState, now: float) -> Mapping[int, Persona]:
        """The bots of a chat that could speak now: enabled, with a token, in their active hours, not barred."""
        if now - chat.awake_at >= AWAKE_FOR_SECONDS or now < chat.awake_at:
            zone = self.settings.zone
            chat.awake = {
                bot_id: persona
                for bot_id, persona in chat.roster.items()
                if self.can_speak(chat, bot_id) and delays.in_ranges(now, self.bots[bot_id].settings.active_hours, zone)
            }
            chat.awake_at = now
        return chat.awake

    def hear(self, message: Message) -> bool:
        """Put a message into its room; False when the room knows it or nobody listens to that chat."""
        chat = self.chat(message.chat_id)
        if chat is None:
            return False
        if message.chat_id != chat.id:  # said before the group moved; the new one numbers its messages anew
            message = replace(message, chat_id=chat.id, telegram_id=None, reply_to=None)
        if not chat.room.add(message):
            return False
        if message.bot_id is not None:
            chat.claim(message.reply_to)
        return True

    def silenced(self, bot: BotState) -> str:
        """Why a bot may speak nowhere now, hours aside; "" when it may."""
        if bot.parked:
            return bot.parked
        listed = [chat_id for chat_id in bot.settings.chats if chat_id in self.chats]
        if not listed:
            return "it is in no enabled chat"
        return bot.barred[listed[0]] if all(chat_id in bot.barred for chat_id in listed) else ""

    def spoke(self, claim: Claim, now: float, *, telegram_id: int | None = None, at: float | None = None) -> None:
        """A bot of ours said something, or may have (`telegram_id` None): it remembers that, and the room hears it."""
        draft = claim.draft
        bot = self.bots.get(draft.bot_id)
        if bot is not None and draft.kind not in FIXED_KINDS:
            bot.since_refresh += 1
            if draft.restated:
                bot.since_refresh, bot.refreshed_at = 0, now
            bot.remember(normalise(draft.text), now, self.settings.guards.repetition_hours * 3600)
        if telegram_id is None:  # no line of the room, and yet not to be said again
            if (chat := self.chats.get(draft.chat_id)) is not None:
                chat.claim(draft.reply_to)
        else:
            self.hear(
                Message(
                    id=claim.id,
                    chat_id=draft.chat_id,
                    bot_id=draft.bot_id,
                    author=draft.author,
                    kind=draft.kind,
                    text=draft.text,
                    at=now if at is None else at,
                    telegram_id=telegram_id,
                    reply_to=draft.reply_to,
                    thread_id=draft.thread_id,
                )
            )

    def wanted(self) -> Sequence[BotState]:
        """Bots that could run here: enabled and with a token, in the order of the configuration."""
        return [bot for bot in self.bots.values() if bot.settings.enabled]
