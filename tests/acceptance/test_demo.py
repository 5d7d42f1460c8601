"""`piyasad demo` as a stranger starts it: the four talk, a person joins in and is answered, and it ends cleanly."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from piyasad.store.embedded import Embedded
from tests.acceptance.daemons import CHAT, until

NAMES = {"Mehmet Yatırımcı 🤖", "Ayşe Scalper 🤖", "Ali Hoca 🤖", "Zeynep Yeni 🤖"}


class Demo:
    """A running demo and its page's address."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self.url = url

    async def messages(self) -> list[dict[str, Any]]:
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}sandbox/messages") as answer:
            found: list[dict[str, Any]] = (await answer.json())["messages"]
            return found

    async def say(self, text: str) -> int:
        body = {"chat": CHAT, "name": "Deniz", "text": text}
        async with aiohttp.ClientSession() as session, session.post(f"{self.url}sandbox/say", json=body) as answer:
            number: int = (await answer.json())["id"]
            return number


async def start(folder: Path) -> Demo:
    with (folder.parent / "demo.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "piyasad", "demo", "--data-dir", str(folder)),
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        line = (await process.stdout.readline()).decode()
    found = re.search(r"http://127\.0\.0\.1:\d+/", line)
    assert found, line
    return Demo(process, found[0])


async def ledger(folder: Path) -> list[dict[str, Any]]:
    """The ledger's rows, read after the daemon and its database have ended."""
    server = await Embedded.start(folder)
    try:
        connection = await asyncpg.connect(server.dsn)
        try:
            return [dict(row) for row in await connection.fetch("SELECT * FROM message ORDER BY id")]
        finally:
            await connection.close()
    finally:
        await server.stop()


async def test_the_four_talk_a_person_is_answered_and_the_ledger_agrees(home: Path) -> None:
    folder = home / "demo"
    folder.mkdir()
    demo = await start(folder)
    try:

        async def all_four() -> bool:
            return {m["name"] for m in await demo.messages() if m["bot"]} >= NAMES

        await until(all_four, "each of the four says something", 90)
        asked = await demo.say("Ali Hoca enflasyon için ne düşünüyorsun?")

        async def answered() -> bool:
            return any(m["reply_to"] == asked and m["name"].startswith("Ali Hoca") for m in await demo.messages())

        await until(answered, "Ali Hoca answers", 20)
        bot = await demo.say("@zeynep_yeni_bot sen bot musun?")

        async def honest() -> bool:
            return any(m["reply_to"] == bot and "yapay zekâ" in m["text"] for m in await demo.messages())

        await until(honest, "an honest answer", 20)
    finally:
        demo.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            code = await demo.process.wait()
    assert code == 0
    record = [json.loads(row) for row in (folder / "sandbox.jsonl").read_text(encoding="utf-8").splitlines()]
    delivered = [row for row in record if row["type"] == "message"]
    rows = await ledger(folder)
    sent = {(r["telegram_message_id"], r["bot_id"], r["text"], r["reply_to"]) for r in rows if r["state"] == "sent"}
    assert sent == {(m["id"], m["user"], m["text"], m["reply_to"]) for m in delivered if m["bot"]}
    received = {(r["telegram_message_id"], r["user_id"], r["text"]) for r in rows if r["state"] == "received"}
    assert received == {(m["id"], m["user"], m["text"]) for m in delivered if not m["bot"]}
    assert {r["state"] for r in rows} <= {"sent", "received", "failed"}
    assert delivered[0]["text"].startswith("Bu gruptaki 🤖 işaretli hesaplar yapay zekâ karakterleridir")
    await goes_on(folder, max(m["id"] for m in delivered))


async def goes_on(folder: Path, last: int) -> None:
    """Started again on the same data, the conversation goes on where it was, without another notice."""
    demo = await start(folder)
    try:

        async def more() -> bool:
            return any(m["id"] > last and m["bot"] for m in await demo.messages())

        await until(more, "the talk goes on", 60)
        notices = [m for m in await demo.messages() if m["text"].startswith("Bu gruptaki 🤖 işaretli hesaplar yapay")]
        assert len([m for m in notices if m["reply_to"] is None]) == 1
    finally:
        demo.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(20):
            code = await demo.process.wait()
    assert code == 0
