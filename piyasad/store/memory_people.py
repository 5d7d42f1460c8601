"""The part of `InMemoryStore` about people: the same promises as `postgres_people.py`, on tables in memory."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection
from dataclasses import replace

from piyasad.language.known import turkish
from piyasad.model import Message, State
from piyasad.privacy.erase import Eraser
from piyasad.store.memory_database import MemoryDatabase
from piyasad.store.memory_tables import Row
from piyasad.store.people import FORGOTTEN_SECONDS, Erased, Evidence, Held, Saying, id_in_texts


class PeopleInMemory(ABC):
    """`People` on a `MemoryDatabase`."""

    _db: MemoryDatabase

    @abstractmethod
    async def _ready(self) -> None:
        """The store's own: let others have a turn, and refuse once it is closed."""

    # --- what our bots said

    async def sayings(self, fingerprint: bytes, limit: int = 100) -> list[Saying]:
        await self._ready()
        found = [self._saying(message_id) for message_id, row in self._db.said.items() if row.hash == fingerprint]
        return sorted(found, key=lambda saying: (-saying.at, -saying.message_id))[:limit]

    async def saying_at(self, chat_id: int, telegram_id: int) -> Saying | None:
        await self._ready()
        place = chat_id, telegram_id
        found = [key for key, row in self._db.said.items() if (row.chat_id, row.telegram_id) == place]
        return self._saying(max(found)) if found else None

    async def saying(self, message_id: int) -> Saying | None:
        await self._ready()
        return self._saying(message_id) if message_id in self._db.said else None

    async def message_at(self, chat_id: int, telegram_id: int) -> Message | None:
        await self._ready()
        found = self._db.ledger.at(chat_id, telegram_id)
        return max(found, key=lambda row: row.created_at).message() if found else None

    async def evidence(self, message_id: int) -> Evidence | None:
        await self._ready()
        row = self._db.ledger.rows.get(message_id)
        if row is None:
            return None
        at = row.created_at if row.sent_at is None else row.sent_at
        in_chat = [each for each in self._db.ledger.rows.values() if each.chat_id == row.chat_id]
        notices = [
            each
            for each in in_chat
            if each.kind == "notice" and each.state is State.SENT and (each.sent_at or each.created_at) <= at
        ]
        people = dict.fromkeys(
            (each.user_id, each.author, each.handle)
            for each in sorted(in_chat, key=lambda each: each.created_at)
            if each.user_id is not None
        )
        return Evidence(
            row.message(),
            str(row.state),
            row.reason,
            row.created_at,
            row.sent_at,
            handle=row.handle,
            turn=next((turn for turn in self._db.turns.values() if turn.id == row.turn_id), None),
            target=await self.message_at(row.chat_id, row.reply_to) if row.reply_to is not None else None,
            notice=max(notices, key=lambda each: each.sent_at or 0.0).message() if notices else None,
            said=await self.saying(row.id),
            people=tuple((user_id, author, handle) for user_id, author, handle in people if user_id is not None),
        )

    # --- a member's rights

    async def members(self, handle: str) -> list[int]:
        await self._ready()
        rows = [
            row
            for row in self._db.ledger.rows.values()
            if row.user_id is not None and row.handle and row.handle.lower() == handle.lower()
        ]
        rows.sort(key=lambda row: row.created_at, reverse=True)
        return list(dict.fromkeys(row.user_id for row in rows if row.user_id is not None))

    async def held_on(self, user_id: int, newest: int = 20) -> Held:
        await self._ready()
        rows = self._lines_of(user_id)
        return Held(
            user_id,
            names=tuple(dict.fromkeys(row.author for row in rows)),
            handles=tuple(dict.fromkeys(row.handle for row in rows if row.handle)),
            messages=len(rows),
            first=rows[-1].created_at if rows else None,
            last=rows[0].created_at if rows else None,
            newest=tuple(row.message() for row in rows[:newest]),
            stimuli=sum(row.user_id == user_id for row in self._db.stimuli.rows.values()),
            opted_out=_hash(user_id) in self._db.opted_out,
        )

    async def opt_out(self, user_id: int, *, out: bool = True) -> None:
        await self._ready()
        (self._db.opted_out.add if out else self._db.opted_out.discard)(_hash(user_id))

    async def is_opted_out(self, user_id: int) -> bool:
        await self._ready()
        return _hash(user_id) in self._db.opted_out

    async def forgotten(self, user_ids: Collection[int], since: float) -> set[int]:
        await self._ready()
        since = max(since, self._db.now() - FORGOTTEN_SECONDS)
        return {each for each in user_ids if self._db.forgotten.get(_hash(each), 0.0) >= since}

    async def forget(
        self, user_id: int | None, *, names: Collection[str] = (), handles: Collection[str] = ()
    ) -> Erased:
        await self._ready()
        lines = self._lines_of(user_id) if user_id is not None else []
        eraser = Eraser(
            id_in_texts(user_id, {row.chat_id for row in lines}),
            {*names, *(row.author for row in lines)},
            {*handles, *(row.handle for row in lines)},
            [row.text for row in lines],
            bots=[bot.name for bot in self._db.bots.values()],
            is_word=turkish().__contains__,
        )
        rewritten = self._rewrite(eraser, lines)
        deleted: Counter[str] = Counter()
        if user_id is not None:
            db, private = self._db, max(user_id, 0)  # a person's private chat bears their id
            deleted["message"] = db.ledger.drop(lambda row: row.user_id == user_id or row.chat_id == private)
            deleted["stimulus"] = db.stimuli.drop(lambda row: row.user_id == user_id or row.key.chat_id == private)
            db.forgotten = {each: at for each, at in db.forgotten.items() if at > db.now() - FORGOTTEN_SECONDS}
            db.forgotten[_hash(user_id)] = db.now()
        return Erased({table: number for table, number in deleted.items() if number}, dict(rewritten))

    def _rewrite(self, eraser: Eraser, lines: list[Row]) -> Counter[str]:
        rewritten: Counter[str] = Counter()
        theirs = {row.id for row in lines}
        chats, places = {row.chat_id for row in lines}, {(row.chat_id, row.telegram_id) for row in lines}
        for row in self._db.ledger.rows.values():
            if row.id in theirs:
                continue
            before = row.text, row.reason
            if row.bot_id is None:
                row.text = eraser.theirs(row.text)
            else:
                row.text = eraser.ours(row.text, to_them=(row.chat_id, row.reply_to) in places)
            row.reason = eraser.ours(row.reason)
            rewritten["message"] += (row.text, row.reason) != before
        for key, turn in self._db.turns.items():
            detail = eraser.value(turn.detail, prompts=turn.chat_id in chats)
            if detail != turn.detail:
                self._db.turns[key] = replace(turn, detail=detail)
                rewritten["turn"] += 1
        return +rewritten

    def _lines_of(self, user_id: int) -> list[Row]:
        """The member's lines, newest first."""
        rows = [row for row in self._db.ledger.rows.values() if row.user_id == user_id]
        return sorted(rows, key=lambda row: (-row.created_at, -row.id))

    def _saying(self, message_id: int) -> Saying:
        row = self._db.said[message_id]
        bot = self._db.bots.get(row.bot_id)
        name, username = (bot.name, bot.username) if bot is not None else ("", "")
        return Saying(message_id, row.bot_id, name, username, row.chat_id, row.telegram_id, row.at, row.hash)


def _hash(user_id: int) -> bytes:
    """Here, too, nobody's id stands; a salt would die with the process."""
    return hashlib.sha256(str(user_id).encode()).digest()
