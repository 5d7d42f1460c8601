"""What a turn does: silence, react, reply, continue, open a topic, or answer. Pure; `turn.py` calls it first.

Equal arguments and an equal generator give an equal intent on every machine: no set is walked, sums are exact.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

from piyasad.behaviour import governor, length, people, reaction, target, topic
from piyasad.behaviour.governor import Reason
from piyasad.config import ConversationSettings
from piyasad.model import Intent, IntentKind, Kind, Message, Stimulus

if TYPE_CHECKING:
    from piyasad.chat.window import Line, RoomView
    from piyasad.personas.profile import Persona

LULL_SECONDS: Final = 900.0
"""After so long a silence a turn opens a topic, always."""

LIVE_SECONDS: Final = 600.0
"""A room whose last message is younger is live: a line can continue it."""

TOPIC_PART: Final = 2 / 3
"""Of what neither reacts, replies nor continues: 0.2 topic to 0.1 silence at the default `continue_share` of 0.7."""

_REACT_LINES: Final = 8
_CHATTER_WORDS: Final = 2


def decide(
    persona: Persona,
    view: RoomView,
    conversation: ConversationSettings,
    *,
    now: float,
    rng: random.Random,
    roster: Mapping[int, Persona],
    claimed: Collection[int] = (),
    allowed_reactions: Collection[str] | None = None,
    reactions_on: bool = True,
    replies_on: bool = True,
    topic_cooldown: bool = True,
    asked_to: bool = False,
) -> Intent:
    """The intent of an unprompted turn in one chat.

    Args:
        roster: the chat's bots that could speak now, this one included, by id, in a stable order.
        claimed: Telegram ids of messages that are answered or that a bot has claimed.
        allowed_reactions: the chat's emoji; None for Telegram's standard set.
        reactions_on, replies_on: off in basic groups, whose message ids differ per account.
        asked_to: the operator's `speak`: orders and people-first do not hold the bot back.
    """
    turn = _Turn(persona, view, conversation, now, rng, roster, claimed, topic_cooldown)
    if not asked_to:
        held = turn.held_back()
        if held is not None:
            return held
    stop = governor.may_speak(view, persona.bot_id, now, bots=len(roster))
    if stop is not None:
        return turn.governed(stop)
    if view.silent_for(now) >= LULL_SECONDS:
        return turn.open_topic("the room was silent", turn.cooling())
    if rng.random() < conversation.reaction_probability:
        return turn.react(allowed_reactions) if reactions_on else turn.silence("no reactions here")
    last_is_bot = view.last is not None and view.last.bot_id is not None
    wish = conversation.reply_to_bots_probability if last_is_bot else conversation.reply_probability
    if rng.random() < wish and replies_on:
        reply = turn.reply()
        if reply is not None:
            return reply
    return turn.carry_on()


def answer(
    persona: Persona,
    view: RoomView,
    conversation: ConversationSettings,
    stimulus: Stimulus,
    *,
    now: float,
    rng: random.Random,
    roster: Mapping[int, Persona],
) -> Intent:
    """The intent of a turn that answers a person: always a reply to the message, in the message's topic."""
    # after a migration the new group numbers its messages anew
    line = view.line(stimulus.telegram_id) if stimulus.chat_id == view.chat_id else None
    message = line.message if line is not None else stimulus.message
    explains = line.question if line is not None else "?" in message.text
    about = line.topics[0] if line is not None and line.topics else topic.current(view)
    return Intent(
        IntentKind.ANSWER,
        view.chat_id,
        "spoken to" if stimulus.bot_id else "a question to nobody",
        target=message,
        topic=about,
        length=length.draw(rng, conversation, persona, IntentKind.ANSWER, explains=explains),
        ask=length.may_ask(persona, view, rng),
    )


class _Turn:
    """The arguments of one decision, so that its steps need not hand them on."""

    def __init__(
        self,
        persona: Persona,
        view: RoomView,
        conversation: ConversationSettings,
        now: float,
        rng: random.Random,
        roster: Mapping[int, Persona],
        claimed: Collection[int],
        topic_cooldown: bool,
    ) -> None:
        self.persona = persona
        self.view = view
        self.conversation = conversation
        self.now = now
        self.rng = rng
        self.roster = roster
        self.claimed = claimed
        self.topic_cooldown = topic_cooldown
        self.handles = frozenset(each.handle for each in roster.values())
        self.held = ""

    def cooling(self) -> dict[str, float]:
        """This bot's topics in cooldown."""
        return topic.cooling(self.view, self.persona.bot_id, self.now) if self.topic_cooldown else {}

    def silence(self, reason: str) -> Intent:
        return Intent(IntentKind.SILENCE, self.view.chat_id, reason, held=self.held)

    def governed(self, reason: Reason) -> Intent:
        self.held = reason
        return self.silence(reason)

    def held_back(self) -> Intent | None:
        """The silence that the order of speakers or the people in the room ask of this bot; None when they do not."""
        order = self.conversation.order
        if order == "manual":
            return self.silence("manual order")
        if order == "round_robin" and not self._is_next():
            return self.silence("another bot's turn")
        if order == "pooled" and not self._is_in_pool():
            return self.silence("has spoken since the last person")
        if people.talking(self.view, self.now) and self.rng.random() >= people.HELD_BACK:
            return self.governed(Reason.PEOPLE_TALK)
        if people.share_reached(self.view, self.now, self.conversation.bot_share_max):
            return self.governed(Reason.BOT_SHARE)
        return None

    def _is_next(self) -> bool:
        """Whether this bot follows, in the roster's order, the bot that spoke last."""
        ids = list(self.roster)
        for message in reversed(self.view.messages):
            if message.bot_id is not None and message.bot_id in self.roster:
                return ids[(ids.index(message.bot_id) + 1) % len(ids)] == self.persona.bot_id
        return not ids or ids[0] == self.persona.bot_id

    def _is_in_pool(self) -> bool:
        """Whether this bot has not spoken since the last person did; when all have, the pool is full again."""
        spoken: dict[int, None] = {}
        for message in reversed(self.view.messages):
            if message.bot_id is None or len(spoken) == len(self.roster):
                break
            if message.bot_id in self.roster:
                spoken[message.bot_id] = None
        return self.persona.bot_id not in spoken or len(spoken) == len(self.roster)

    def open_topic(self, reason: str, cool: Mapping[str, float]) -> Intent:
        chosen = topic.choose(self.persona, self.view, self.rng, self.now, cool=cool)
        return self._line(IntentKind.TOPIC, reason, about=chosen)

    def react(self, allowed: Collection[str] | None) -> Intent:
        for line in reversed(self.view.lines[-_REACT_LINES:]):
            message = line.message
            if self.now - message.at > LIVE_SECONDS:
                break
            if message.bot_id == self.persona.bot_id or message.telegram_id is None or message.kind is Kind.NOTICE:
                continue
            mood = reaction.mood(line.folded, line.words, line.feeling, question=line.question)
            emoji = reaction.choose(mood, allowed, self.rng)
            if emoji is None:
                return self.silence("no fitting reaction is allowed")
            return Intent(IntentKind.REACT, self.view.chat_id, mood, target=message, emoji=emoji)
        return self.silence("nothing to react to")

    def reply(self) -> Intent | None:
        """A reply to one of the best three lines; None when nothing may be replied to."""
        view, persona = self.view, self.persona
        interests = view.book.interests(persona.interest_keys)
        care = [name for name, weight in zip(view.book.names, interests, strict=True) if weight > 0]
        replies = target.bot_replies(view)
        scored: list[tuple[float, Line]] = []
        for line in view.lines[-target.LOOK_BACK :]:
            if not self._invites_a_reply(line, replies):
                continue
            known = replies.get(line.message.telegram_id or 0, 0)
            points = target.score(line, persona, now=self.now, topics=care, roster=self.roster, bot_replies=known)
            scored.append((points, line))
        share_left = governor.replies_allowed(view, self.now)

        def stop(line: Line) -> Reason | None:
            return governor.may_reply(view, persona.bot_id, line, self.now, share_left=share_left)

        chosen = target.draw(scored, self.rng)
        if chosen is not None and (held := stop(chosen)) is not None:
            self.held = held
            chosen = target.draw([pair for pair in scored if stop(pair[1]) is None], self.rng)
        return None if chosen is None else self._reply_to(chosen)

    def _invites_a_reply(self, line: Line, replies: Mapping[int, int]) -> bool:
        message = line.message
        if message.bot_id == self.persona.bot_id or message.telegram_id is None or message.kind is Kind.NOTICE:
            return False
        return message.bot_id is not None or (
            message.telegram_id not in self.claimed
            and message.telegram_id not in replies
            and len(line.words) > _CHATTER_WORDS
            and not people.to_a_person(line, self.handles)
        )

    def _reply_to(self, line: Line) -> Intent:
        author = self.roster.get(line.message.bot_id) if line.message.bot_id is not None else None
        named = self.rng.random() < self.conversation.mention_probability
        about = line.topics[0] if line.topics else topic.current(self.view)
        return self._line(
            IntentKind.REPLY,
            "a line worth a reply",
            about=about,
            answered=line.message,
            mention=author.username if named and author is not None else None,
            explains=line.question and line.message.is_person,
        )

    def carry_on(self) -> Intent:
        """Continue, open a topic or stay silent, by their shares."""
        cool = self.cooling()
        share = self.conversation.continue_share
        mark = self.rng.random()
        if mark < share and self.view.silent_for(self.now) < LIVE_SECONDS:
            about = topic.current(self.view)
            # Where every topic is cool, hopping between them at each line would be no better than staying.
            if about is None or about not in cool or len(cool) == len(self.view.book.names):
                return self._line(IntentKind.CONTINUE, "the room is live", about=about)
            return self.open_topic("the present topic has cooled down", cool)
        if mark < share + (1.0 - share) * TOPIC_PART:
            return self.open_topic("a new topic", cool)
        return self.silence("nothing to say")

    def _line(
        self,
        kind: IntentKind,
        reason: str,
        *,
        about: str | None,
        answered: Message | None = None,
        mention: str | None = None,
        explains: bool = False,
    ) -> Intent:
        return Intent(
            kind,
            self.view.chat_id,
            reason,
            target=answered,
            topic=about,
            mention=mention,
            length=length.draw(self.rng, self.conversation, self.persona, kind, explains=explains),
            ask=length.may_ask(self.persona, self.view, self.rng),
            held=self.held,
        )
