"""Traces, usage figures and lessons on their way to the database: buffered, bounded, written about once a second.

Only the writer uses it. Losing some of them when the database is away for long is allowed, and counted; blocking a turn
for them is not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import asyncpg
import structlog

from piyasad.model import Lesson, TurnTrace, Usage
from piyasad.store import sql
from piyasad.store.failure import is_row_fault, tell
from piyasad.store.plain_text import clean, clean_json

log = structlog.stdlib.get_logger(__name__)

TRACES_MAX = 10_000
"""Traces kept while the database is away; then the oldest go. About 10 MB."""

ROWS_MAX = 200
"""Traces in one statement: their JSON is made on the event loop, 200 take about 3 ms."""

_Key = tuple[str, str, str, float]


class Deferred:
    """The buffers. `waiting` says whether there is something to write, `dropped` how many traces were lost."""

    EVERY_SECONDS: ClassVar[float] = 1.0

    def __init__(self) -> None:
        self.armed = False
        self.due = False
        self.dropped = 0
        self._traces: deque[TurnTrace] = deque()
        self._usage: dict[_Key, Usage] = {}
        self._lessons: dict[tuple[str, str, str, str], Lesson] = {}

    @property
    def waiting(self) -> bool:
        """Whether anything is buffered."""
        return bool(self._traces or self._usage or self._lessons)

    def record(self, traces: Sequence[TurnTrace]) -> None:
        """Buffer traces; the oldest are dropped and counted when there are too many."""
        self._traces.extend(traces)
        while len(self._traces) > TRACES_MAX:
            self._traces.popleft()
            self.dropped += 1

    def add(self, rows: Sequence[Usage]) -> None:
        """Add figures to their hour."""
        for row in rows:
            hour = row.at - row.at % 3600
            key = (clean(row.provider), clean(row.key), clean(row.model), hour)
            had = self._usage.get(key)
            self._usage[key] = (
                replace(row, provider=key[0], key=key[1], model=key[2], at=hour) if had is None else had.plus(row)
            )

    def learn(self, lessons: Sequence[Lesson]) -> None:
        """Buffer lessons: the newest of each."""
        for lesson in lessons:
            key = clean(lesson.provider), clean(lesson.key), clean(lesson.model), clean(lesson.about)
            self._lessons[key] = lesson

    async def write(self, connection: asyncpg.Connection) -> None:
        """Write everything buffered; on a lost connection it stays buffered.

        Figures are kept on a cut connection although the commit may have taken place: counting a call twice is safe
        for a quota, losing one is not.
        """
        while self._traces:
            batch = [self._traces.popleft() for _ in range(min(len(self._traces), ROWS_MAX))]
            try:
                await self._write_traces(connection, batch)
            except BaseException:
                self._traces.extendleft(reversed(batch))
                raise
        if self._usage:
            usage, self._usage = self._usage, {}
            try:
                await self._write_usage(connection, list(usage.values()))
            except BaseException:
                self.add(list(usage.values()))
                raise
        if self._lessons:
            lessons, self._lessons = self._lessons, {}
            try:
                await self._write_lessons(connection, lessons)
            except BaseException:
                self._lessons = lessons | self._lessons  # what was learned meanwhile is newer
                raise

    async def _write_traces(self, connection: asyncpg.Connection, batch: list[TurnTrace]) -> None:
        try:
            await connection.execute(
                sql.RECORD_TURNS,
                [clean(trace.id) for trace in batch],
                [trace.bot_id for trace in batch],
                [trace.chat_id for trace in batch],
                [trace.at for trace in batch],
                [clean(trace.intent) for trace in batch],
                [clean(trace.outcome) for trace in batch],
                [clean_json(trace.detail) for trace in batch],
            )
        except asyncpg.PostgresError as error:
            if not is_row_fault(error):
                raise
            if len(batch) > 1:
                for trace in batch:
                    await self._write_traces(connection, [trace])
                return
            self.dropped += 1
            log.error("store.trace_refused", error=tell(error))

    async def _write_lessons(
        self, connection: asyncpg.Connection, lessons: dict[tuple[str, str, str, str], Lesson]
    ) -> None:
        columns = zip(*lessons, strict=True)
        try:
            await connection.execute(sql.LEARN, *map(list, columns), [clean_json(row.what) for row in lessons.values()])
        except asyncpg.PostgresError as error:
            if not is_row_fault(error):
                raise
            log.error("store.lesson_refused", error=tell(error))

    async def _write_usage(self, connection: asyncpg.Connection, rows: list[Usage]) -> None:
        try:
            await connection.execute(
                sql.ADD_USAGE,
                [row.provider for row in rows],
                [row.key for row in rows],
                [row.model for row in rows],
                [row.at for row in rows],
                [row.requests for row in rows],
                [row.prompt for row in rows],
                [row.cached for row in rows],
                [row.completion for row in rows],
                [row.cost for row in rows],
            )
        except asyncpg.PostgresError as error:
            if not is_row_fault(error):
                raise
            if len(rows) > 1:
                for row in rows:
                    await self._write_usage(connection, [row])
                return
            log.error("store.usage_refused", error=tell(error))
