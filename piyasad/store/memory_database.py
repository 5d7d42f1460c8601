"""What the daemons on one store in memory share: its tables, its clock, and the rules that several calls need.

`InMemoryStore` works on it; what it decides (who may claim, what waits, what a settlement moves) is what the SQL of
`sql.py` says. It waits for nothing.
"""

from __future__ import annotations

from piyasad.clock import Clock
from piyasad.model import Draft, Grant, Kind, Lesson, State, TurnTrace, Usage
from piyasad.store import answer_budget
from piyasad.store.interface import NOTICE_AGAIN_SECONDS
from piyasad.store.memory_tables import Bot, Chat, Daemon, Ledger, Row, SaidRow, Stimuli, StimulusRow


class MemoryDatabase:
    """All rows. Its clock is the only one that leases, budgets and rows go by."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.daemons: dict[str, Daemon] = {}
        self.bots: dict[int, Bot] = {}
        self.chats: dict[int, Chat] = {}
        self.ledger = Ledger()
        self.stimuli = Stimuli()
        self.turns: dict[tuple[str, float], TurnTrace] = {}
        self.usage: dict[tuple[float, str, str, str], Usage] = {}
        self.learned: dict[tuple[str, str, str, str], tuple[Lesson, float]] = {}
        self.said: dict[int, SaidRow] = {}
        self.opted_out: set[bytes] = set()
        self.forgotten: dict[bytes, float] = {}

    def now(self) -> float:
        """The database's clock, Unix seconds."""
        return self.clock.wall()

    def alive(self, daemon_id: str | None) -> bool:
        """Whether that daemon's lease runs."""
        daemon = self.daemons.get(daemon_id or "")
        return daemon is not None and daemon.expiry > self.now()

    # --- rules that several methods need

    def waits(self, row: StimulusRow) -> bool:
        """Whether a stimulus is open, or taken by somebody who is gone with no row on its way."""
        if row.answer_id is not None:
            return False
        return row.state == "open" or (row.state == "taken" and not self._is_held(row))

    def may_take(self, row: StimulusRow, bot_id: int) -> bool:
        """Whether a bot may take a stimulus: what waits, and what it has already taken."""
        return self.waits(row) or (row.state == "taken" and row.answer_id is None and row.taken_by == bot_id)

    def grant(self, row: StimulusRow) -> Grant:
        """What its member gets for it by the budget, itself not counted."""
        counted = [
            other
            for other in self.stimuli.granted(row.user_id, self.now())
            if other is not row and (other.state == "answered" or (other.state == "taken" and not self.waits(other)))
        ]
        answers = [other.taken_at for other in counted if other.grant is Grant.ANSWER]
        polite = [other.taken_at for other in counted if other.grant is Grant.POLITE]
        return answer_budget.grant(answers, max(polite, default=None), self.now())

    def may_claim(self, draft: Draft) -> bool:
        """Whether a row may be claimed: the fence is the bot's, and the stimulus is taken by it under that fence."""
        bot = self.bots.get(draft.bot_id)
        if bot is None or bot.owner is None or bot.fence != draft.fence:
            return False
        if draft.stimulus is None:
            return True
        row = self.stimuli.rows.get(draft.stimulus)
        if row is None or row.answer_id is not None or (row.taken_by, row.taken_fence) != (bot.id, bot.fence):
            return False
        return row.state == "taken" or (row.state == "open" and row.grant in {None, self.grant(row)})

    def settle(self, row: Row, state: State, reason: str) -> None:
        """End a row, with what hangs on it: the stimulus it answers, its chat's notice, what is kept of it."""
        self.ledger.settle(row, state, reason)
        if state is State.SENT and row.bot_id is not None:
            self.said[row.id] = SaidRow(
                row.said_hash, row.bot_id, row.chat_id, row.telegram_id, row.sent_at or row.created_at
            )
        stimulus = self.stimuli.rows.get(row.stimulus) if row.stimulus is not None else None
        if stimulus is not None and stimulus.answer_id == row.id:
            if state is State.FAILED:
                stimulus.answer_id = None
            self.stimuli.move(stimulus, "open" if state is State.FAILED else "answered")
        if row.kind is Kind.NOTICE and state is State.SENT:
            self.chats.setdefault(row.chat_id, Chat(row.chat_id)).notice_message_id = row.telegram_id
        elif row.kind is Kind.NOTICE and state is State.FAILED and (chat := self.chats.get(row.chat_id)) is not None:
            posted = chat.notice_message_id is not None and chat.notice_older is not None
            chat.notice_at = (chat.notice_older or 0.0) + NOTICE_AGAIN_SECONDS if posted else None

    def _is_held(self, row: StimulusRow) -> bool:
        bot = self.bots.get(row.taken_by or 0)
        return bot is not None and bot.fence == row.taken_fence and self.alive(bot.owner)
