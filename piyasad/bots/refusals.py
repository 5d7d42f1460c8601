"""Telegram's bad news about a bot or a chat: a dead token parks the bot, a closed door bars it, a chat moves.

Delivery, disclosure and polling call it; it only changes the live state and notes it in the store, beside what runs.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from piyasad.bots.state import LiveState
from piyasad.delivery.slot import Slots
from piyasad.store.interface import Store
from piyasad.supervise import Supervisor

log = structlog.stdlib.get_logger(__name__)

DEAD_TOKEN = "the token is not valid any more"  # noqa: S105 - words, not a token


class Refusals:
    """`delivery.Events`, and more. `parked(bot_id)` is called for a bot that may not poll any more."""

    def __init__(
        self, live: LiveState, store: Store, slots: Slots, supervisor: Supervisor, parked: Callable[[int], None]
    ) -> None:
        self._live = live
        self._store = store
        self._slots = slots
        self._supervisor = supervisor
        self._parked = parked

    def bad_token(self, bot_id: int) -> None:
        """The token was revoked: the bot is parked until a reload brings another."""
        bot = self._live.bots.get(bot_id)
        if bot is None or bot.parked:
            return
        bot.parked = DEAD_TOKEN
        self._parked(bot_id)
        log.error(
            "bot.parked", bot=bot.persona.name, cure="get a new token from @BotFather (/token), set it and reload"
        )
        self._supervisor.beside(f"park {bot_id}", self._store.set_bot_state(bot_id, "parked", DEAD_TOKEN))

    def forbidden(self, bot_id: int, chat_id: int, reason: str) -> None:
        """The bot is not in the chat any more, or may not write there."""
        bot = self._live.bots.get(bot_id)
        if bot is not None and chat_id not in bot.barred:
            bot.barred[chat_id] = reason
            log.warning(
                "bot.barred", bot=bot.persona.name, chat=chat_id, reason=reason, cure="add the bot to the group again"
            )

    def migrated(self, old: int, new: int) -> None:
        """A group became a supergroup: it goes on under the new id."""
        if old in self._live.chats:
            log.warning("chat.migrated", old=old, new=new, cure="put the new id into the configuration")
            self._live.move(old, new)
            self._slots.move(old, new)
            self._supervisor.beside(f"move {old}", self._store.rekey_chat(old, new))
