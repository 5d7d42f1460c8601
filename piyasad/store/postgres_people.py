"""The part of `PostgresStore` about people: who said what, what is held on a member, forgetting.

`postgres.py` inherits it. Forgetting walks over every table in short statements of its own, so that no claim and no
settlement ever waits for it, and deletes the member's rows last: a walk that was cut short can be begun anew.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Collection, Sequence

import asyncpg

from piyasad.language.known import turkish
from piyasad.model import Kind, Message, TurnTrace
from piyasad.privacy.erase import LABEL, Eraser
from piyasad.store import sql, sql_people
from piyasad.store.calls import Calls, Connection, transaction
from piyasad.store.people import Erased, Evidence, Held, Saying, id_in_texts
from piyasad.store.plain_text import clean
from piyasad.store.sweep import Part, Sweep
from piyasad.store.writer import Writer

PART_SECONDS = 120.0
"""One table, or one day of a table, takes no longer to be walked over."""

AGAIN_SECONDS = 60.0
"""What was written while a walk went on is walked over again, from so long before its beginning."""


class PeopleOnPostgres:
    """`People` on the pool of a `PostgresStore`."""

    def __init__(self, calls: Calls, writer: Writer) -> None:
        self.writer = writer
        self._calls = calls
        self._run = calls.run

    # --- what our bots said

    async def sayings(self, fingerprint: bytes, limit: int = 100) -> list[Saying]:
        return [Saying(**row) for row in await self._run("sayings", sql_people.SAYINGS, fingerprint, limit)]

    async def saying_at(self, chat_id: int, telegram_id: int) -> Saying | None:
        rows = await self._run("saying_at", sql_people.SAYING_AT, chat_id, telegram_id)
        return Saying(**rows[0]) if rows else None

    async def saying(self, message_id: int) -> Saying | None:
        rows = await self._run("saying", sql_people.SAYING, message_id)
        return Saying(**rows[0]) if rows else None

    async def message_at(self, chat_id: int, telegram_id: int) -> Message | None:
        rows = await self._run("message_at", sql_people.MESSAGE_AT, chat_id, telegram_id)
        return message(rows[0]) if rows else None

    async def evidence(self, message_id: int) -> Evidence | None:
        await self.writer.flush()
        rows = await self._run("evidence", sql_people.EVIDENCE, message_id)
        if not rows:
            return None
        [row] = rows
        line = message(row)
        at = row["claimed_at"] if row["sent_at"] is None else row["sent_at"]
        turns = await self._run("turn", sql_people.TURN, row["turn_id"], row["claimed_at"]) if row["turn_id"] else []
        notices = await self._run("notice_before", sql_people.NOTICE_BEFORE, line.chat_id, at)
        people = await self._run("people_in", sql_people.PEOPLE_IN, line.chat_id)
        return Evidence(
            line,
            row["state"],
            row["reason"],
            row["claimed_at"],
            row["sent_at"],
            handle=row["handle"],
            turn=_turn(turns[0]) if turns else None,
            target=await self.message_at(line.chat_id, line.reply_to) if line.reply_to is not None else None,
            notice=message(notices[0]) if notices else None,
            said=await self.saying(line.id),
            people=tuple((each["user_id"], each["author"], each["handle"]) for each in people),
        )

    # --- a member's rights

    async def members(self, handle: str) -> list[int]:
        return [row["user_id"] for row in await self._run("members", sql_people.MEMBERS, clean(handle))]

    async def held_on(self, user_id: int, newest: int = 20) -> Held:
        [row] = await self._run("held", sql_people.HELD, user_id)
        names = await self._run("held_names", sql_people.HELD_NAMES, user_id)
        lines = await self._run("held_newest", sql_people.HELD_NEWEST, user_id, newest)
        memories = await self._run("held_memories", sql_people.HELD_MEMORIES, user_id)
        return Held(
            user_id,
            names=tuple(dict.fromkeys(each["author"] for each in names)),
            handles=tuple(dict.fromkeys(each["handle"] for each in names if each["handle"])),
            newest=tuple(map(message, lines)),
            memories=tuple(each["text"] for each in memories),
            **row,
        )

    async def opt_out(self, user_id: int, *, out: bool = True) -> None:
        await self._run("opt_out", sql_people.OPT_OUT if out else sql_people.OPT_IN, user_id)

    async def is_opted_out(self, user_id: int) -> bool:
        [row] = await self._run("is_opted_out", sql_people.IS_OPTED_OUT, user_id)
        return bool(row[0])

    async def forgotten(self, user_ids: Collection[int], since: float) -> set[int]:
        return {row["id"] for row in await self._run("forgotten", sql_people.FORGOTTEN, list(user_ids), since)}

    async def forget(
        self, user_id: int | None, *, names: Collection[str] = (), handles: Collection[str] = ()
    ) -> Erased:
        await self.writer.flush()
        lines = await self._run("their_lines", sql_people.THEIR_LINES, user_id)
        chats = frozenset(line["chat_id"] for line in lines)
        eraser = Eraser(
            id_in_texts(user_id, chats),
            {*names, *(line["author"] for line in lines)},
            {*handles, *(line["handle"] for line in lines)},
            [line["text"] for line in lines],
            bots=[row["name"] for row in await self._run("bots", sql.BOTS)],
            is_word=(await asyncio.to_thread(turkish)).__contains__,  # the first time it reads a table
        )
        sweep = Sweep(
            eraser,
            user_id,
            chats=chats,
            places=frozenset((line["chat_id"], line["telegram_message_id"]) for line in lines),
            since=min((line["at"] for line in lines), default=0.0),
        )
        parts = [Part.of(row) for row in await self._run("parts", sql_people.PARTS)]
        [began] = await self._run("now", sql.NOW)
        rewritten = await self._walk(sweep, parts)
        deleted = await self._delete(user_id, [line["id"] for line in lines], parts) if user_id is not None else {}
        await self.writer.flush()
        rewritten += await self._walk(sweep.after(float(began[0]) - AGAIN_SECONDS), parts)
        return Erased(deleted, dict(rewritten))

    async def _walk(self, sweep: Sweep, parts: Sequence[Part]) -> Counter[str]:
        rewritten: Counter[str] = Counter()
        for part in parts:

            async def work(connection: Connection, part: Part = part) -> int:
                return await sweep.walk(connection, part)

            if number := await self._calls.call("forget", work, seconds=PART_SECONDS):
                rewritten[part.table] += number
        return rewritten

    async def _delete(self, user_id: int, message_ids: list[int], parts: Sequence[Part]) -> dict[str, int]:
        """Their rows, in one transaction. A person's private chat bears their id and goes; a group that wrote as
        itself stays.
        """
        columns = {part.table: part.all for part in parts}

        async def work(connection: Connection) -> dict[str, int]:
            deleted: Counter[str] = Counter()

            async def run(table: str, statement: str, *args: object) -> None:
                deleted[table] += int((await connection.execute(statement, *args)).rpartition(" ")[2])

            async with transaction(connection):
                for table in sorted(columns):
                    if "user_id" in columns[table]:
                        whose = " AND bot_id IS NULL" if table == "message" else ""
                        await run(table, f"DELETE FROM {table} WHERE user_id = $1{whose}", user_id)  # noqa: S608
                    if "receiver_id" in columns[table]:
                        away = "text = $2, receiver_id = NULL" if "text" in columns[table] else "receiver_id = NULL"
                        await connection.execute(
                            f"UPDATE {table} SET {away} WHERE receiver_id = $1",  # noqa: S608
                            *((user_id, LABEL) if "text" in columns[table] else (user_id,)),
                        )
                    if user_id < 0:
                        continue
                    if table == "said":
                        await connection.execute("UPDATE said SET chat_id = 0 WHERE chat_id = $1", user_id)
                    elif "chat_id" in columns[table]:
                        await run(table, f"DELETE FROM {table} WHERE chat_id = $1", user_id)  # noqa: S608
                await run("memory", "DELETE FROM memory WHERE message_id = ANY ($1::bigint[])", message_ids)
                await connection.execute("UPDATE message SET user_id = NULL WHERE user_id = $1", user_id)
                await connection.execute(sql_people.FORGET_FORGOTTEN)
                await connection.execute(sql_people.NOTE_FORGOTTEN, user_id)
            return {table: number for table, number in sorted(deleted.items()) if number}

        return await self._calls.call("forget", work)


def message(row: asyncpg.Record) -> Message:
    """A row with the columns of `sql.ROW`."""
    return Message(
        id=row["id"],
        chat_id=row["chat_id"],
        bot_id=row["bot_id"],
        author=row["author"],
        kind=Kind(row["kind"]),
        text=row["text"],
        at=row["at"],
        telegram_id=row["telegram_message_id"],
        user_id=row["user_id"],
        reply_to=row["reply_to"],
        thread_id=row["thread_id"],
    )


def _turn(row: asyncpg.Record) -> TurnTrace:
    return TurnTrace(**{**row, "detail": json.loads(row["detail"])})
