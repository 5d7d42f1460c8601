"""The baseline: a bare loop that makes the same HTTP calls and the same two grouped writes, and nothing else.

Runs as a process of its own: `python -m bench.bare JSON`; prints the messages it made and the CPU it took as JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from typing import Any

import aiohttp
import uvloop

from bench.field import CHAT, FIRST_BOT, KEY, handle, token
from piyasad.clock import SystemClock
from piyasad.model import DaemonRow, Draft, Kind, State
from piyasad.providers.client import make_client
from piyasad.store.postgres import PostgresStore

PROMPT = "Sen bir piyasa sohbetinde konuşan bir yapay zekâ karakterisin. " * 45
"""About as long as a prompt of the daemon in this bench."""


async def main(given: dict[str, Any]) -> dict[str, float]:
    """Warm up, measure, report."""
    store = await PostgresStore.connect(given["dsn"], SystemClock())
    client = make_client()
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1000))
    bots = [(FIRST_BOT + n, f"Bot {n:04}", handle(n)) for n in range(given["bots"])]
    await store.enter(DaemonRow("bare", 1, 1, "bench", 1, "", 0.0, True, ""), 3600)
    fences = {lease.bot_id: lease.fence for lease in await store.take("bare", bots)}
    rng = random.Random(1)
    made = 0

    async def one(number: int) -> None:
        nonlocal made
        bot_id, chat = FIRST_BOT + number, CHAT - number % given["chats"]
        body = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 90}
        while True:
            await asyncio.sleep(given["mean"] * (0.5 + rng.random()))
            answer = await client.post(
                f"{given['llm']}llm/openai/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {KEY}"}
            )
            text = answer.json()["choices"][0]["message"]["content"]
            claim = await store.claim(Draft(bot_id, fences[bot_id], chat, Kind.CONTINUE, text, "Bot"))
            assert claim is not None
            sent = {"chat_id": chat, "text": text}
            async with session.post(f"{given['api']}bot{token(number)}/sendMessage", json=sent) as response:
                result = (await response.json())["result"]
            await store.settle(claim, State.SENT, telegram_id=result["message_id"], at=float(result["date"]))
            made += 1

    tasks = [asyncio.create_task(one(number)) for number in range(given["bots"])]
    await asyncio.sleep(given["warm"])
    first, began = made, time.process_time()
    await asyncio.sleep(given["seconds"])
    used, messages = time.process_time() - began, made - first
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await session.close()
    await client.aclose()
    await store.leave("bare", "bench")
    await store.close()
    return {"messages": messages, "cpu": used}


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.write(json.dumps(runner.run(main(json.loads(sys.argv[1])))) + "\n")
