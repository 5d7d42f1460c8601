"""A reload in three steps: plan (a pure diff), prepare (may fail, has changed nothing), commit (cannot fail).

The engine calls `Reload.run`. Whatever goes wrong before the commit leaves the old configuration running; the commit
swaps references in one turn of the loop, and turns under way end as they began.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from piyasad.bots.state import BotState, Prepared
from piyasad.build import Edges, House
from piyasad.config import Settings
from piyasad.config.changes import Changes, diff
from piyasad.config.load import ConfigError, Problem
from piyasad.config.secrets import all_secrets
from piyasad.config.snapshot import snapshot
from piyasad.gateway.endpoint import Endpoint
from piyasad.guards.chosen import guards_of
from piyasad.metrics import Metrics
from piyasad.ops import log as logs
from piyasad.store.interface import StoreError
from piyasad.telegram.errors import BadToken

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ready:
    """Everything that a commit needs; nothing of it is in place yet."""

    changes: Changes
    settings: Settings
    live: Prepared
    endpoints: Sequence[Endpoint]


class Reload:
    """One reload of one daemon."""

    def __init__(self, house: House, edges: Edges, metrics: Metrics) -> None:
        self._house = house
        self._edges = edges
        self._metrics = metrics

    async def run(self, old: Settings) -> Settings | None:
        """Read, plan, prepare and commit; the new settings, or None (and nothing changed) when it is refused."""
        try:
            new = await self._edges.read()
            ready = await self._prepare(old, new)
        except ConfigError as error:
            self._refuse(error.problems)
            return None
        except StoreError as error:
            self._refuse([Problem("", None, "store", f"the database cannot be asked: {error}; reload again later")])
            return None
        self._commit(ready)
        return ready.settings

    # --- prepare
    async def _prepare(self, old: Settings, new: Settings) -> Ready:
        """Raises ConfigError or StoreError; has changed nothing that anybody sees."""
        env = self._edges.env
        changes = diff(snapshot(old, env, salt="", look=False), snapshot(new, env, salt="", look=False))
        if changes.restart:
            raise ConfigError([_needs_restart(key) for key in changes.restart])
        live = await self._house.live.prepare(new, await self._edges.read_tokens(new))
        self._refuse_a_silent_house(live)
        endpoints = self._house.gateway.prepare(new)
        await self._prove(live)
        await self._house.store.ensure_chats([chat.id for chat in live.settings.chats if chat.enabled])
        return Ready(changes, new, live, endpoints)

    def _refuse_a_silent_house(self, live: Prepared) -> None:
        """A file that leaves nobody to speak, or nowhere to speak, is more likely cut off than meant."""
        if not any(bot.settings.enabled for bot in live.bots.values()):
            raise ConfigError([Problem("", None, "bots", "the file leaves no enabled bot with a token; is it whole?")])
        if not any(chat.enabled for chat in live.settings.chats):
            raise ConfigError([Problem("", None, "chats", "the file leaves no enabled chat; is it whole?")])

    async def _prove(self, live: Prepared) -> None:
        """A token that is new here must be of the account that the file names: a persona speaks from no other's."""
        problems = []
        for bot in live.bots.values():
            known = self._house.live.bots.get(bot.id)
            if bot.token is None or not bot.settings.enabled or (known is not None and known.token == bot.token):
                continue
            problems += await self._prove_one(bot, known)
        if problems:
            raise ConfigError(problems)

    async def _prove_one(self, bot: BotState, known: BotState | None) -> list[Problem]:
        telegram = self._house.telegram
        assert bot.token is not None  # noqa: S101 - the caller looked
        telegram.add(bot.id, bot.token.reveal())
        try:
            who = await self._house.sender.username(bot.id)
        finally:
            if known is not None and known.token is not None:
                telegram.add(bot.id, known.token.reveal())
            else:
                telegram.remove(bot.id)
        key = f"bots.{bot.settings.name}"
        if isinstance(who, BadToken):
            return [Problem("", None, key, f"Telegram refuses its token: {who.reason}")]
        if not isinstance(who, str):
            return [Problem("", None, key, f"its new token could not be tried: {who.reason}; reload again later")]
        if who.lower() != bot.settings.username.lower():
            return [Problem("", None, key, f"its token is @{who}'s, not @{bot.settings.username}'s: set the right one")]
        return []

    def _refuse(self, problems: Sequence[Problem]) -> None:
        for problem in problems:
            log.error(
                "reload.refused",
                file=problem.file,
                line=problem.line,
                key=problem.key,
                reason=problem.message,
                note="the old configuration stays",
            )
        self._metrics.reload_successful.set(0)

    # --- commit
    def _commit(self, ready: Ready) -> None:
        """From here on nothing is awaited and nothing can fail."""
        house, new, changes = self._house, ready.settings, ready.changes
        rules = new.telegram
        logs.protect(*all_secrets(new, self._edges.env))
        logs.set_level(new.daemon.log_level)
        house.gateway.commit(new, ready.endpoints)
        before = house.live.bots
        house.live.commit(ready.live)
        house.parts.guards[:] = guards_of(new)
        house.limits.change(
            rules.per_bot_per_second, rules.per_chat_per_second, rules.per_group_per_minute, rules.margin_ms / 1000
        )
        house.pool.commit(before)
        self._metrics.reload_successful.set(1)
        self._metrics.reload_timestamp.set(self._edges.clock.wall())
        log.info(
            "reload.done",
            added=list(changes.bots.added),
            changed=list(changes.bots.changed),
            removed=list(changes.bots.removed),
            unchanged=len(changes.bots.unchanged),
            settings=list(changes.settings),
        )


def _needs_restart(key: str) -> Problem:
    return Problem("", None, key, "this key is read at the start only: put its old value back, or restart the daemon")
