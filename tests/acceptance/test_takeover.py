"""A standby takes a killed daemon's bots within its lease, and what was asked at that moment is answered."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import asyncpg

from piyasad.sandbox.server import Sandbox
from tests.acceptance.daemons import CHAT, daemon, until, write_world

HELD_SECONDS, ANSWERED_SECONDS = 13.0, 25.0


async def test_a_standby_holds_a_killed_daemons_bots_and_answers_what_was_asked_at_the_kill(
    sandbox: Sandbox, pg_dsn: str, home: Path
) -> None:
    config = write_world(sandbox, home, bots=3, postgres=pg_dsn)
    connection = await asyncpg.connect(pg_dsn)

    async def held_by(daemon_id: str) -> int:
        found: int = await connection.fetchval("SELECT count(*) FROM bot WHERE owner = $1", daemon_id)
        return found

    async def newest() -> str:
        found: str = await connection.fetchval("SELECT id FROM daemon ORDER BY beat DESC, id LIMIT 1")
        return found

    try:
        async with daemon(config) as first:
            await first.ready()
            old = await newest()
            assert await held_by(old) == 3
            async with daemon(config, name="standby") as standby:

                async def waits() -> bool:
                    return any("daemon.ready" in line for line in standby.events())

                await until(waits, "the standby has started")
                assert await held_by(old) == 3
                assert (await standby.get("/-/ready"))[0] == 503
                heir: str = await connection.fetchval("SELECT id FROM daemon WHERE id <> $1", old)
                question = sandbox.say(CHAT, "Deniz", "sizce dolar ne olur?")
                first.process.kill()
                killed = time.monotonic()

                async def held() -> bool:
                    return await held_by(heir) == 3

                await until(held, "the standby holds the bots", HELD_SECONDS)
                assert time.monotonic() - killed <= HELD_SECONDS

                async def answered() -> bool:
                    return any(m["reply_to"] == question.id and m["bot"] for m in sandbox.messages())

                await until(answered, "an answer", ANSWERED_SECONDS - (time.monotonic() - killed))
                await asyncio.sleep(3)
        answers = [m for m in sandbox.messages() if m["reply_to"] == question.id and m["bot"]]
        assert len({m["text"] for m in answers}) == len(answers)
        assert sandbox.api.tally.violations == []
        assert not any("listener.stranger" in line for line in standby.events())
    finally:
        await connection.close()
