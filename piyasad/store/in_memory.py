"""The store in memory: the whole interface without a server, for `simulate`, the fuzzer and tests in virtual time.

`MemoryDatabase` is what a server would hold, with a clock of its own; `InMemoryStore` is one daemon's way to it, and
several daemons may share one. Each method does its work in one step between two turns of the loop, as a transaction
would, and never waits. It keeps the promises of `interface.py` as PostgreSQL does: one contract suite runs on both.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from piyasad.clock import DAY
from piyasad.language.fingerprint import fingerprint
from piyasad.model import (
    BotRow,
    ChatRow,
    Claim,
    DaemonRow,
    Draft,
    Grant,
    Kind,
    Lease,
    Lesson,
    Message,
    Received,
    Said,
    State,
    Stimulus,
    StimulusKey,
    TurnTrace,
    Usage,
)
from piyasad.store import answer_budget
from piyasad.store.interface import (
    LATE_SECONDS,
    NOTICE_SECONDS,
    TRIES_MOST,
    WITNESS_AFTER_SECONDS,
    WITNESS_BEFORE_SECONDS,
    StoreError,
)
from piyasad.store.memory_database import MemoryDatabase
from piyasad.store.memory_people import PeopleInMemory
from piyasad.store.memory_tables import Bot, Chat, Daemon, Row, StimulusRow
from piyasad.store.partitions import first_kept, start_of
from piyasad.store.plain_text import clean, clean_json

__all__ = ["InMemoryStore", "MemoryDatabase"]


class InMemoryStore(PeopleInMemory):
    """`Store` of one daemon on a shared `MemoryDatabase`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._db = database
        self._daemon_id: str | None = None
        self._closed = False

    async def close(self) -> None:
        self._closed = True

    # --- daemons and leases

    async def enter(self, daemon: DaemonRow, ttl: float) -> None:
        await self._ready()
        now = self._db.now()
        self._daemon_id = daemon.id
        known = self._db.daemons.get(daemon.id)
        if known is None:
            d = daemon
            self._db.daemons[d.id] = Daemon(d.id, d.shard, d.shards, d.host, d.pid, d.config_hash, now, now + ttl)
        else:
            known.beat, known.expiry, known.config_hash = now, now + ttl, daemon.config_hash

    async def beat(self, daemon_id: str, ttl: float) -> bool:
        await self._ready()
        if not self._db.alive(daemon_id):
            return False
        daemon = self._db.daemons[daemon_id]
        daemon.beat, daemon.expiry = self._db.now(), self._db.now() + ttl
        return True

    async def report(self, daemon_id: str, report: Mapping[str, Any]) -> None:
        await self._ready()
        if (daemon := self._db.daemons.get(daemon_id)) is not None:
            daemon.report = report

    async def leave(self, daemon_id: str, summary: str) -> None:
        await self._ready()
        if (daemon := self._db.daemons.get(daemon_id)) is not None:
            daemon.expiry, daemon.drain = min(daemon.expiry, self._db.now()), clean(summary)
        self._free(daemon_id, self._db.bots)

    async def free_in(self, bot_ids: Collection[int]) -> float | None:
        await self._ready()
        owners = {bot.owner for bot_id in bot_ids if (bot := self._db.bots.get(bot_id)) and bot.owner is not None}
        ends = [
            self._db.daemons[owner].expiry if owner in self._db.daemons else 0.0 for owner in owners - {self._daemon_id}
        ]
        return max(0.0, min(ends) - self._db.now()) if ends else None

    async def expire_others(self, daemon_id: str) -> None:
        await self._ready()
        for daemon in self._db.daemons.values():
            if daemon.id != daemon_id:
                daemon.expiry = min(daemon.expiry, self._db.now())

    async def take(self, daemon_id: str, bots: Sequence[tuple[int, str, str]]) -> list[Lease]:
        await self._ready()
        leases = []
        for bot_id, name, username in sorted({bot[0]: bot for bot in bots}.values()):
            bot = self._db.bots.setdefault(bot_id, Bot(bot_id, clean(name), clean(username)))
            if self._db.alive(bot.owner):
                continue
            bot.owner, bot.name, bot.username = daemon_id, clean(name), clean(username)
            bot.fence += 1
            for row in self._db.ledger.unsettled(bot_id):
                if row.state is State.SENDING:
                    self._db.settle(row, State.UNCERTAIN, "the daemon that was sending it is gone")
            leases.append(Lease(bot_id, bot.fence, bot.update_offset, bot.state, bot.disclosed_at))
        return leases

    async def free(self, daemon_id: str, bot_ids: Collection[int]) -> None:
        await self._ready()
        self._free(daemon_id, bot_ids)

    async def bots(self) -> list[BotRow]:
        await self._ready()
        return [
            BotRow(b.id, b.name, b.username, b.owner, self._db.alive(b.owner), b.fence, b.state, b.state_reason)
            for _, b in sorted(self._db.bots.items())
        ]

    async def daemons(self) -> list[DaemonRow]:
        await self._ready()
        now = self._db.now()
        seen = sorted((d for d in self._db.daemons.values() if d.beat > now - DAY), key=lambda d: (-d.beat, d.id))
        return [
            DaemonRow(
                d.id, d.shard, d.shards, d.host, d.pid, d.config_hash, d.beat, d.expiry > now, d.drain, dict(d.report)
            )
            for d in seen
        ]

    async def set_bot_state(self, bot_id: int, state: str, reason: str) -> None:
        await self._ready()
        if (bot := self._db.bots.get(bot_id)) is not None:
            bot.state, bot.state_reason = clean(state), clean(reason)

    async def set_disclosed(self, bot_id: int, at: float) -> None:
        await self._ready()
        if (bot := self._db.bots.get(bot_id)) is not None:
            bot.disclosed_at = at

    async def set_offset(self, bot_id: int, fence: int, offset: int) -> None:
        await self._ready()
        if (bot := self._db.bots.get(bot_id)) is not None and bot.fence == fence:
            bot.update_offset = offset

    # --- chats

    async def chats(self) -> list[ChatRow]:
        await self._ready()
        return [
            ChatRow(chat.id, chat.ear, chat.notice_at, chat.notice_message_id)
            for _, chat in sorted(self._db.chats.items())
        ]

    async def ensure_chats(self, chat_ids: Collection[int]) -> None:
        await self._ready()
        for chat_id in chat_ids:
            self._db.chats.setdefault(chat_id, Chat(chat_id))

    async def set_ear(self, chat_id: int, old: int | None, new: int | None) -> bool:
        await self._ready()
        chat = self._db.chats.get(chat_id)
        if chat is None or chat.ear != old:
            return False
        chat.ear = new
        return True

    async def claim_notice(self, chat_id: int, now: float, older_than: float) -> bool:
        await self._ready()
        chat = self._db.chats.get(chat_id)
        if chat is None:
            return False
        due = chat.notice_at is None or chat.notice_at < older_than
        if not due and (chat.notice_message_id is not None or (chat.notice_at or 0.0) >= now - NOTICE_SECONDS):
            return False
        chat.notice_at, chat.notice_older = now, older_than
        return True

    async def rekey_chat(self, old: int, new: int) -> None:
        await self._ready()
        if (was := self._db.chats.pop(old, None)) is None:
            return
        chat = self._db.chats.setdefault(new, Chat(new))
        chat.ear = was.ear if chat.ear is None else chat.ear
        if was.notice_at is not None and (chat.notice_at is None or chat.notice_at < was.notice_at):
            chat.notice_at, chat.notice_older = was.notice_at, was.notice_older
        if chat.notice_message_id is None:
            chat.notice_message_id = was.notice_message_id

    # --- the ledger

    async def claim(self, draft: Draft) -> Claim | None:
        await self._ready()
        if not self._db.may_claim(draft):
            return None
        row = Row(
            self._db.ledger.new_id(),
            draft.chat_id,
            draft.bot_id,
            clean(draft.author),
            draft.kind,
            clean(draft.text),
            State.SENDING,
            self._db.now(),
            reply_to=draft.reply_to,
            thread_id=draft.thread_id,
            fence=draft.fence,
            turn_id=draft.turn_id,
            stimulus=draft.stimulus,
            restated=draft.restated,
            said_hash=fingerprint(clean(draft.text)),
        )
        if draft.stimulus is not None:
            stimulus = self._db.stimuli.rows[draft.stimulus]
            stimulus.answer_id = row.id
            self._db.stimuli.move(stimulus, "taken")
        self._db.ledger.add(row)
        return Claim(row.id, row.created_at, draft)

    async def settle(
        self, claim: Claim, state: State, *, telegram_id: int | None = None, at: float | None = None, reason: str = ""
    ) -> None:
        self._check()
        row = self._db.ledger.rows.get(claim.id)
        if row is not None and row.state in {State.SENDING, State.UNCERTAIN}:
            if state is State.SENT and telegram_id is None and row.telegram_id is None:
                self._db.settle(row, State.UNCERTAIN, "its settlement was refused")
                raise StoreError("a sent message needs Telegram's id")
            self._settle(row, state, telegram_id, at, clean(reason))
        await asyncio.sleep(0)  # after the work: what was handed in is written, even if the caller is cancelled

    async def receive(self, rows: Sequence[Received]) -> list[Message | None]:
        await self._ready()
        return [self._receive(said) for said in rows]

    async def edit(self, chat_id: int, telegram_id: int, text: str) -> None:
        await self._ready()
        for row in self._db.ledger.at(chat_id, telegram_id):
            if row.state is State.RECEIVED:
                row.text = clean(text)

    async def witness(
        self, bot_id: int, chat_id: int, telegram_id: int, text: str, reply_to: int | None, at: float
    ) -> bool:
        await self._ready()
        found = [
            row
            for row in self._db.ledger.unsettled(bot_id)
            if (row.chat_id, row.text, row.reply_to) == (chat_id, clean(text), reply_to)
            and -WITNESS_BEFORE_SECONDS <= row.created_at - at <= WITNESS_AFTER_SECONDS
        ]
        if not found or self._db.ledger.at(chat_id, telegram_id):
            return False
        nearest = min(found, key=lambda row: (abs(row.created_at - at), row.id))
        self._settle(nearest, State.SENT, telegram_id, at, "seen by another bot")
        return True

    async def recent(self, chat_id: int, limit: int) -> list[Message]:
        await self._ready()
        return _oldest_first(self._db.ledger.recent(chat_id, limit))

    async def tail(self, chat_ids: Collection[int], after: float, limit: int = 1000) -> list[Message]:
        await self._ready()
        seen = self._db.ledger.seen(chat_ids, after, limit)
        return _oldest_first(row for row in seen if row.created_at >= after - 2 * DAY)

    async def now(self) -> float:
        await self._ready()
        return self._db.now()

    async def said(self, bot_ids: Collection[int], since: float) -> list[Said]:
        await self._ready()
        rows = [
            row
            for bot_id in set(bot_ids)
            for row in self._db.ledger.claimed(bot_id, since - LATE_SECONDS)
            if row.state is not State.FAILED and row.said_at >= since
        ]
        rows.sort(key=lambda row: (row.said_at, row.id))
        return [
            Said(row.bot_id or 0, row.chat_id, row.kind, row.text, row.said_at, row.restated, row.reply_to)
            for row in rows
        ]

    # --- stimuli

    async def merge_stimuli(self, keys: Collection[StimulusKey]) -> None:
        await self._ready()
        for key in keys:
            row = self._db.stimuli.rows.get(key)
            if row is not None and self._db.waits(row):
                self._db.stimuli.move(row, "merged")

    async def take_stimulus(self, key: StimulusKey, bot_id: int, *, counts: bool) -> Grant:
        await self._ready()
        row, bot = self._db.stimuli.rows.get(key), self._db.bots.get(bot_id)
        if row is None or bot is None or not self._is_ours(bot) or not self._db.may_take(row, bot_id):
            return Grant.GONE
        if row.tries >= TRIES_MOST:
            self._db.stimuli.move(row, "dropped", "failed")
            return Grant.GONE
        grant = self._db.grant(row) if counts else Grant.ANSWER
        if grant is Grant.SILENCE:
            self._db.stimuli.move(row, "dropped", "budget")
        else:
            self._db.stimuli.take(row, bot_id, bot.fence, grant if counts else None, self._db.now())
        return grant

    async def answers_free_at(self, user_id: int) -> float:
        await self._ready()
        return answer_budget.free_at(
            row.taken_at
            for row in self._db.stimuli.granted(user_id, self._db.now())
            if row.grant is Grant.ANSWER and row.state in {"taken", "answered"}
        )

    async def close_stimulus(self, key: StimulusKey, state: str, reason: str = "") -> None:
        await self._ready()
        row = self._db.stimuli.rows.get(key)
        if row is None or row.answer_id is not None or row.state not in {"open", "taken"}:
            return
        taker = self._db.bots.get(row.taken_by or 0)
        ours = taker is not None and taker.owner is not None and taker.owner == self._daemon_id
        ours = ours and taker is not None and taker.fence == row.taken_fence
        if row.state == "taken" and not ours and not self._db.waits(row):
            return
        row.taken_by = row.taken_fence = None
        self._db.stimuli.move(row, clean(state), clean(reason))

    async def open_stimuli(self, bot_ids: Collection[int], chat_ids: Collection[int], since: float) -> list[Stimulus]:
        await self._ready()
        waiting = [
            row
            for row in self._db.stimuli.waiting(bot_ids, chat_ids)
            if row.created_at >= since and self._db.waits(row) and self._is_kept(row, since)
        ]
        waiting.sort(key=lambda row: (row.created_at, row.message_id, row.key.bot_id))
        return [Stimulus(*row.key, self._db.ledger.rows[row.message_id].message()) for row in waiting]

    # --- traces and figures

    def record_turns(self, traces: Sequence[TurnTrace]) -> None:
        for trace in traces:
            self._db.turns.setdefault((trace.id, trace.at), trace)

    def add_usage(self, rows: Sequence[Usage]) -> None:
        for row in rows:
            key = row.at - row.at % 3600, clean(row.provider), clean(row.key), clean(row.model)
            had = self._db.usage.get(key)
            self._db.usage[key] = (
                had.plus(row) if had else replace(row, at=key[0], provider=key[1], key=key[2], model=key[3])
            )

    async def usage(self, since: float) -> list[Usage]:
        await self._ready()
        return [row for key, row in sorted(self._db.usage.items()) if key[0] >= since]

    def learn(self, lessons: Sequence[Lesson]) -> None:
        for row in lessons:
            key = clean(row.provider), clean(row.key), clean(row.model), clean(row.about)
            self._db.learned[key] = Lesson(*key, json.loads(clean_json(row.what))), self._db.now()

    async def lessons(self, since: float) -> list[Lesson]:
        await self._ready()
        return [lesson for _, (lesson, at) in sorted(self._db.learned.items()) if at >= since]

    async def uncertain(self) -> int:
        await self._ready()
        return self._db.ledger.uncertain

    async def counts(self, since: float) -> Mapping[str, int]:
        await self._ready()
        return Counter(str(row.state) for row in self._db.ledger.rows.values() if row.created_at >= since)

    async def outcomes(self, since: float) -> list[tuple[int, str, str, int]]:
        await self._ready()
        found: Counter[tuple[int, str, str]] = Counter()
        for turn in self._db.turns.values():
            if turn.at >= since:
                found[turn.bot_id, clean(turn.intent), clean(turn.outcome)] += turn.detail.get("times", 1)
        return [(*key, number) for key, number in sorted(found.items())]

    async def last(self, limit: int) -> list[Message]:
        await self._ready()
        return [row.message() for row in self._db.ledger.last(limit)]

    async def maintain(self, now: float, retention_days: int) -> None:
        await self._ready()
        before = start_of(first_kept(now, retention_days))
        self._db.ledger.forget(before)
        self._db.turns = {key: turn for key, turn in self._db.turns.items() if turn.at >= before}
        self._db.stimuli.forget(now - retention_days * DAY)
        for daemon in [d for d in self._db.daemons.values() if d.expiry < now - retention_days * DAY]:
            del self._db.daemons[daemon.id]

    # --- steps

    async def _ready(self) -> None:
        """Let the loop turn once, as every real store would, then do the work in one step."""
        self._check()
        await asyncio.sleep(0)

    def _check(self) -> None:
        if self._closed:
            raise StoreError("the store is closed")

    def _is_ours(self, bot: Bot) -> bool:
        return bot.owner is not None and bot.owner == self._daemon_id and self._db.alive(bot.owner)

    def _is_kept(self, row: StimulusRow, since: float) -> bool:
        asked = self._db.ledger.rows.get(row.message_id)
        return asked is not None and asked.created_at >= since - 2 * DAY

    def _free(self, daemon_id: str, bot_ids: Collection[int]) -> None:
        for bot_id in bot_ids:
            if (bot := self._db.bots.get(bot_id)) is not None and bot.owner == daemon_id:
                bot.owner = None

    def _settle(self, row: Row, state: State, telegram_id: int | None, at: float | None, reason: str) -> None:
        if telegram_id is not None:
            row.telegram_id = telegram_id
        if state is State.SENT:
            row.sent_at, row.seen_at = (self._db.now() if at is None else at), self._db.now()
        self._db.settle(row, state, reason)

    def _receive(self, said: Received) -> Message | None:
        known = self._db.ledger.at(said.chat_id, said.telegram_id)
        if any(row.created_at == said.at for row in known):
            return None
        row = Row(
            self._db.ledger.new_id(),
            said.chat_id,
            None,
            clean(said.author),
            Kind.PERSON,
            clean(said.text),
            State.RECEIVED,
            said.at,
            user_id=said.user_id,
            telegram_id=said.telegram_id,
            reply_to=said.reply_to,
            thread_id=said.thread_id,
            seen_at=self._db.now(),
            handle=clean(said.handle),
        )
        self._db.ledger.add(row)
        for bot_id in said.to:
            key = StimulusKey(said.chat_id, said.telegram_id, bot_id)
            self._db.stimuli.add(StimulusRow(key, row.id, said.user_id, self._db.now()))
        return row.message()


def _oldest_first(rows: Iterable[Row]) -> list[Message]:
    return sorted((row.message() for row in rows), key=lambda message: (message.at, message.id))
