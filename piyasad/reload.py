"""A reload in three steps: plan (a pure diff), prepare (may fail, has changed nothing), commit (cannot fail).

The engine calls `Reload.run`. Whatever goes wrong before the commit leaves the old configuration running; the commit
swaps references in one turn of the loop, and turns under way end as they began.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from piyasad.bots.state import BotState, Prepared
from piyasad.build import Configuration, Edges, House, Pages
from piyasad.config.changes import Changes, diff, refusals
from piyasad.config.load import ConfigError, Problem
from piyasad.config.problems import refusal, refused
from piyasad.config.secrets import all_secrets
from piyasad.gateway.endpoint import Endpoint
from piyasad.metrics import Metrics
from piyasad.ops import log as logs
from piyasad.ops.http import Access
from piyasad.store.interface import StoreError
from piyasad.telegram.errors import BadToken

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ready:
    """Everything that a commit needs; nothing of it is in place yet."""

    changes: Changes
    configuration: Configuration
    live: Prepared
    endpoints: Sequence[Endpoint]
    secrets: Sequence[str]
    access: Access | None


class Reload:
    """One reload of one daemon."""

    def __init__(self, house: House, edges: Edges, metrics: Metrics, pages: Pages | None) -> None:
        self.words = ""  # why it was refused, in one line
        self._house = house
        self._edges = edges
        self._metrics = metrics
        self._pages = pages

    async def run(self, old: Configuration) -> Configuration | None:
        """Read, plan, prepare and commit; the new configuration, or None (and nothing changed) when it is refused."""
        try:
            ready = await self._prepare(old, await self._edges.read())
        except ConfigError as error:
            self._refuse(error.problems)
            return None
        except StoreError as error:
            self._refuse([Problem("", None, "store", f"the database cannot be asked: {error}; reload again later")])
            return None
        self._commit(ready)
        return ready.configuration

    # --- prepare
    async def _prepare(self, old: Configuration, new: Configuration) -> Ready:
        """Raises ConfigError or StoreError; has changed nothing that anybody sees."""
        changes = diff(old.snapshot, new.snapshot)
        if faults := refusals(changes, new.snapshot, new.problem):
            raise ConfigError(faults)
        live = await self._house.live.prepare(new.settings, new.tokens)
        endpoints = self._house.gateway.prepare(new.settings)
        if faults := await self._prove(live, new.problem):
            raise ConfigError(faults)
        await self._house.store.ensure_chats([chat.id for chat in live.settings.chats if chat.enabled])
        secrets = all_secrets(new.settings, self._edges.env)
        access = self._pages.prepare(new.settings) if self._pages is not None else None
        return Ready(changes, new, live, endpoints, secrets, access)

    async def _prove(self, live: Prepared, problem: Callable[[str, str], Problem]) -> list[Problem]:
        """A token that is new here must be of the account that the file names: a persona speaks from no other's."""
        faults = []
        for bot in live.bots.values():
            known = self._house.live.bots.get(bot.id)
            if bot.settings.enabled and (known is None or known.token != bot.token):
                fault = await self._prove_one(bot, known)
                if fault:
                    faults.append(problem("bots", f"{bot.settings.name}: {fault}"))
        return faults

    async def _prove_one(self, bot: BotState, known: BotState | None) -> str:
        """What is wrong with a bot's new token; "" when it is the right one."""
        telegram = self._house.telegram
        telegram.add(bot.id, bot.token.reveal())
        try:
            who = await self._house.sender.username(bot.id)
        finally:
            if known is not None:
                telegram.add(bot.id, known.token.reveal())
            else:
                telegram.remove(bot.id)
        if isinstance(who, BadToken):
            return f"Telegram refuses its token: {who.reason}"
        if not isinstance(who, str):
            return f"its new token could not be tried: {who.reason}; reload again later"
        if who.lower() != bot.settings.username.lower():
            return f"its token is @{who}'s, not @{bot.settings.username}'s: set the right one"
        return ""

    def _refuse(self, problems: Sequence[Problem]) -> None:
        self.words = refusal(problems)
        for problem in problems:
            log.error("reload.refused", **refused(problem))
        self._metrics.reload_successful.set(0)

    # --- commit
    def _commit(self, ready: Ready) -> None:
        """From here on nothing is awaited and nothing can fail."""
        house, new, changes = self._house, ready.configuration.settings, ready.changes
        rules = new.telegram
        logs.protect(*ready.secrets)
        logs.change(new.daemon.log_format, new.daemon.log_level, self._edges.env)
        if self._pages is not None and ready.access is not None:
            self._pages.commit(ready.access)
        house.gateway.commit(new, ready.endpoints)
        before = house.live.bots
        house.live.commit(ready.live)
        house.parts.guards[:] = self._edges.guards(new)
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
