"""The daemon as a process against the sandbox: it talks, reloads, survives a kill, and its ledger tells the truth."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import asyncpg

from piyasad.sandbox.server import Sandbox
from piyasad.sandbox.telegram import Fault
from tests.acceptance.daemons import CHAT, Daemon, bot_block, daemon, free_port, until, write_world


async def rows(dsn: str, sql: str, *args: Any) -> list[dict[str, Any]]:
    connection = await asyncpg.connect(dsn)
    try:
        return [dict(row) for row in await connection.fetch(sql, *args)]
    finally:
        await connection.close()


async def spoken(box: Sandbox, least: int, chat: int | None = None) -> list[dict[str, Any]]:
    async def enough() -> list[dict[str, Any]]:
        lines = [row for row in box.messages(chat) if row["bot"]]
        return lines if len(lines) >= least else []

    found: list[dict[str, Any]] = await until(enough, f"{least} lines of bots")
    return found


async def agrees(box: Sandbox, dsn: str) -> None:
    """Every delivered message has a `sent` row and every `sent` row a delivered message, letter by letter."""
    ledger = await rows(
        dsn, "SELECT chat_id, telegram_message_id, bot_id, text, reply_to FROM message WHERE state = 'sent'"
    )
    told = {(r["chat_id"], r["telegram_message_id"], r["bot_id"], r["text"], r["reply_to"]) for r in ledger}
    seen = {(m["chat"], m["id"], m["user"], m["text"], m["reply_to"]) for m in box.messages() if m["bot"]}
    assert told == seen
    assert len(ledger) == len(told)
    people = await rows(dsn, "SELECT chat_id, telegram_message_id FROM message WHERE state = 'received'")
    assert {(r["chat_id"], r["telegram_message_id"]) for r in people} == {
        (m["chat"], m["id"]) for m in box.messages() if not m["bot"]
    }


async def test_bots_talk_answer_and_drain_and_the_ledger_agrees(sandbox: Sandbox, pg_dsn: str, home: Path) -> None:
    config = write_world(sandbox, home, bots=4, postgres=pg_dsn)
    async with daemon(config) as running:
        await running.ready()
        await spoken(sandbox, 6)
        asked = sandbox.say(CHAT, "Deniz", "@bot002_deneme_bot dolar için ne düşünüyorsun?")

        async def answered() -> bool:
            return any(m["reply_to"] == asked.id and m["username"] == "bot002_deneme_bot" for m in sandbox.messages())

        await until(answered, "an answer by the bot that was asked", 15)
        open_question = sandbox.say(CHAT, "Deniz", "sizce enflasyon düşer mi?")

        async def one_answer() -> bool:
            return any(m["reply_to"] == open_question.id for m in sandbox.messages())

        await until(one_answer, "an answer to a question to nobody", 15)
        assert await running.metric("piyasad_loop_lag_seconds_count") > 0
        assert await running.end() == 0
    answers = await rows(pg_dsn, "SELECT bot_id FROM message WHERE kind = 'answer' AND reply_to = $1", open_question.id)
    assert len(answers) == 1
    assert not await rows(pg_dsn, "SELECT 1 FROM message WHERE state IN ('sending', 'uncertain')")
    await agrees(sandbox, pg_dsn)
    assert sandbox.api.tally.violations == []
    assert sandbox.api.tally.conflicts == 0
    assert not any("7200000000:" in line for line in running.events())


async def test_a_reload_touches_only_what_changed_and_a_bad_file_touches_nothing(
    sandbox: Sandbox, pg_dsn: str, home: Path
) -> None:
    config = write_world(sandbox, home, bots=3, postgres=pg_dsn)
    good = config.read_text(encoding="utf-8")
    async with daemon(config) as running:
        await running.ready()
        await spoken(sandbox, 2)
        config.write_text(good.replace("bot_share_max", "bot_share_maxx"), encoding="utf-8")
        running.process.send_signal(signal.SIGHUP)

        async def refused() -> bool:
            return await running.metric("piyasad_config_last_reload_successful") == 0

        await until(refused, "the bad file is refused")
        assert any("bot_share_max" in line and "reload.refused" in line for line in running.events())
        assert (await running.get("/-/ready"))[0] == 200
        changed = good.replace('Bot 001"\n', 'Bot 001"\n').replace(
            bot_block("Bot 001", "bot001_deneme_bot", CHAT), bot_block("Bot 001", "bot001_deneme_bot", CHAT, "aceleci")
        )
        without = changed.replace(bot_block("Bot 002", "bot002_deneme_bot", CHAT), "")
        config.write_text(without, encoding="utf-8")
        running.process.send_signal(signal.SIGHUP)

        async def taken() -> bool:
            return any("reload.done" in line for line in running.events())

        await until(taken, "the good file is taken")
        line = next(line for line in running.events() if "reload.done" in line)
        assert '"changed": ["Bot 001"]' in line
        assert '"removed": ["Bot 002"]' in line
        assert '"unchanged": 1' in line

        async def given_up() -> bool:
            owners = await rows(pg_dsn, "SELECT name, owner IS NOT NULL AS owned FROM bot ORDER BY name")
            return [row["owned"] for row in owners] == [True, True, False]

        await until(given_up, "the removed bot is given up when its turn has ended")
        fences = await rows(pg_dsn, "SELECT DISTINCT fence FROM bot")
        assert len(fences) == 1  # nobody changed hands
        config.write_text(changed, encoding="utf-8")
        running.process.send_signal(signal.SIGHUP)

        async def back() -> bool:
            found = await rows(pg_dsn, "SELECT 1 FROM bot WHERE name = 'Bot 002' AND owner IS NOT NULL")
            return bool(found)

        await until(back, "the removed bot is back")
        assert await running.end() == 0
    await agrees(sandbox, pg_dsn)


async def test_after_a_kill_nothing_is_said_twice_and_the_talk_goes_on(sandbox: Sandbox, home: Path) -> None:
    config = write_world(sandbox, home, bots=4, mean=1.0)  # the private database
    async with daemon(config) as first:
        await first.ready()
        await spoken(sandbox, 5)
        # requests hang after they were taken: the kill comes while the outcome is unknown
        sandbox.api.faults.append(Fault("latency", method="sendmessage", seconds=2.0))
        await asyncio.sleep(1.5)
        first.process.kill()
        await first.process.wait()
    sandbox.api.faults.clear()
    before = len(sandbox.messages())
    async with daemon(config, name="second") as second:
        await second.ready()
        await spoken(sandbox, before + 4)
        dsn = await running_dsn_of(home)
        states = await rows(dsn, "SELECT state, count(*) AS number FROM message GROUP BY state")
        assert "sending" not in {row["state"] for row in states} or await until_settled(dsn)
        sent = await rows(
            dsn,
            "SELECT chat_id, telegram_message_id FROM message WHERE state = 'sent' AND telegram_message_id IS NOT NULL",
        )
        assert len(sent) == len({(r["chat_id"], r["telegram_message_id"]) for r in sent})
        assert await second.end() == 0
    texts = [(m["user"], m["text"]) for m in sandbox.messages() if m["bot"]]
    assert len(texts) == len(set(texts))
    assert sandbox.api.tally.violations == []


async def running_dsn_of(folder: Path) -> str:
    from piyasad.store.embedded import running_dsn

    dsn = running_dsn(folder / "data")
    assert dsn is not None
    return dsn


async def until_settled(dsn: str) -> bool:
    async def settled() -> bool:
        return not await rows(
            dsn, "SELECT 1 FROM message WHERE state = 'sending' AND created_at < now() - interval '5 s'"
        )

    return bool(await until(settled, "old claims are settled"))


async def test_four_shards_share_the_bots_and_a_killed_one_is_replaced(
    sandbox: Sandbox, pg_dsn: str, home: Path
) -> None:
    config = write_world(sandbox, home, bots=10, chats=2, postgres=pg_dsn)
    running: dict[int, Daemon] = {}
    stack = [daemon(config, "--shard", f"{shard}/4", name=f"shard{shard}") for shard in range(4)]
    entered = []
    try:
        for shard, each in enumerate(stack):
            running[shard] = await each.__aenter__()
            entered.append(each)
        for started in running.values():
            await started.ready()
        owners = await rows(pg_dsn, "SELECT owner, count(*) AS number FROM bot GROUP BY owner")
        assert sorted(row["number"] for row in owners) == [2, 2, 3, 3]
        await spoken(sandbox, 10)
        question = sandbox.say(CHAT, "Deniz", "sizce altın ne olur?")

        async def one_answer() -> bool:
            return any(m["reply_to"] == question.id for m in sandbox.messages())

        await until(one_answer, "one answer from four shards", 20)
        victim = await rows(pg_dsn, "SELECT id FROM daemon WHERE shard = 0")
        orphans = {row["id"] for row in await rows(pg_dsn, "SELECT id FROM bot WHERE owner = $1", victim[0]["id"])}
        assert orphans
        running[0].process.kill()
        await running[0].process.wait()
        heir = daemon(config, "--shard", "0/4", name="heir")
        running[0] = await heir.__aenter__()
        entered.append(heir)

        async def taken_up() -> bool:
            again = await rows(
                pg_dsn, "SELECT id FROM bot WHERE owner <> $1 AND id = ANY($2)", victim[0]["id"], list(orphans)
            )
            return {row["id"] for row in again} == orphans

        await until(taken_up, "the killed shard's bots are taken up")
        before = len([m for m in sandbox.messages() if m["user"] in orphans])

        async def speaks_again() -> bool:
            return len([m for m in sandbox.messages() if m["user"] in orphans]) > before

        await until(speaks_again, "they speak again")
    finally:
        for each in reversed(entered):
            await each.__aexit__(None, None, None)
    answers = [m for m in sandbox.messages() if m["reply_to"] == question.id and m["bot"]]
    claims = await rows(pg_dsn, "SELECT slot, taken_by, state FROM stimulus WHERE telegram_id = $1", question.id)
    assert len(claims) == 1  # four shards saw the question, one bot took it
    assert claims[0]["taken_by"] is not None
    kinds = await rows(pg_dsn, "SELECT kind FROM message WHERE reply_to = $1 AND state = 'sent'", question.id)
    assert [row["kind"] for row in kinds].count("answer") == (claims[0]["state"] == "answered")
    assert answers
    texts = [(m["user"], m["chat"], m["text"]) for m in sandbox.messages() if m["bot"]]
    assert len(texts) == len(set(texts))
    assert sandbox.api.tally.conflicts == 0
    assert sandbox.api.tally.violations == []


async def test_an_occupied_port_starts_nothing(sandbox: Sandbox, home: Path) -> None:
    config = write_world(sandbox, home, bots=1)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "piyasad", "run", "--config", str(config)),
        *("--listen", f"127.0.0.1:{sandbox._port}", "--data-dir", str(home / "data")),
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"SANDBOX_KEY": "sk-sandbox-0000000000"},
    )
    _, text = await process.communicate()
    assert process.returncode == 2
    assert b"http.listen" in text
    assert b"--listen" in text
    assert b"Traceback" not in text
    assert not (home / "data" / "postgres").exists()


async def ends_with_2(*args: str, env: dict[str, str] | None = None) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "piyasad", "run", "--listen", f"127.0.0.1:{free_port()}", *args),
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"SANDBOX_KEY": "sk-sandbox-0000000000"} | (env or {}),
    )
    async with asyncio.timeout(60):
        _, text = await process.communicate()
    assert process.returncode == 2, text.decode()
    assert b"Traceback" not in text
    return text.decode()


async def test_a_route_without_any_key_starts_nothing(sandbox: Sandbox, home: Path) -> None:
    config = write_world(sandbox, home, bots=1)
    text = await ends_with_2("--config", str(config), "--data-dir", str(home / "data"), env={"SANDBOX_KEY": ""})
    assert "gateway.route" in text
    assert "SANDBOX_KEY" in text
    assert not (home / "data" / "postgres").exists()


async def test_a_second_daemon_on_the_same_private_database_is_refused(sandbox: Sandbox, home: Path) -> None:
    config = write_world(sandbox, home, bots=1)
    async with daemon(config) as first:
        await first.ready()
        text = await ends_with_2("--config", str(config), "--data-dir", str(home / "data"))
        assert "store.data_dir" in text
        assert str(first.process.pid) in text
        assert (await first.get("/-/ready"))[0] == 200


async def test_a_data_directory_that_is_a_file_is_refused(sandbox: Sandbox, home: Path) -> None:
    config = write_world(sandbox, home, bots=1)
    (home / "data").write_text("not a folder")
    text = await ends_with_2("--config", str(config), "--data-dir", str(home / "data"))
    assert "store.data_dir" in text
    assert str(home / "data") in text
