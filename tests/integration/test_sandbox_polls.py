"""getUpdates of the sandbox: long polls, two at a time, hasty ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest_asyncio

from piyasad.sandbox import polls
from piyasad.sandbox.polls import CONFLICT
from piyasad.sandbox.server import Sandbox

CHAT = -1001000000001
ALI = 7200000001


async def soon(task: asyncio.Task[Any]) -> Any:
    """Its result, which is not to be waited for long."""
    async with asyncio.timeout(2):
        return await task


class Client:
    """Polls with one token."""

    def __init__(self, box: Sandbox, http: aiohttp.ClientSession) -> None:
        self.box = box
        self._http = http
        self._url = f"{box.telegram_url}/bot{box.world.bots[ALI].token}/getUpdates"

    async def poll(self, **given: Any) -> dict[str, Any]:
        async with self._http.post(self._url, json=given) as answer:
            found: dict[str, Any] = await answer.json()
            return found

    async def texts(self, **given: Any) -> list[str]:
        return [update["message"]["text"] for update in (await self.poll(**given))["result"]]

    async def waiting(self) -> None:
        """Until a poll waits at the server."""
        async with asyncio.timeout(5):
            while self.box.world.bots[ALI].waiter is None:
                await asyncio.sleep(0.005)

    def says(self, *texts: str) -> None:
        for text in texts:
            self.box.say(CHAT, "Deniz", text)


@pytest_asyncio.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[Client]:
    sandbox.add_bot(ALI, "Ali", "ali_bot")
    sandbox.add_chat(CHAT, bots=[ALI])
    async with aiohttp.ClientSession() as http:
        yield Client(sandbox, http)


async def test_a_long_poll_ends_with_the_first_update(client: Client) -> None:
    poll = asyncio.create_task(client.texts(timeout=50))
    await client.waiting()
    client.says("Merhaba")
    assert await soon(poll) == ["Merhaba"]


async def test_a_long_poll_ends_empty_after_its_time(client: Client) -> None:
    began = time.monotonic()
    assert await client.texts(timeout=1) == []
    assert 0.9 < time.monotonic() - began < 3


async def test_limit_and_offset_take_the_queue_piece_by_piece(client: Client) -> None:
    client.says(*"abcde")
    first = (await client.poll(limit=2))["result"]
    assert [update["message"]["text"] for update in first] == ["a", "b"]
    assert await client.texts(limit=0) == ["a"], "a limit is at least one"
    assert await client.texts(offset=first[-1]["update_id"] + 1) == ["c", "d", "e"]
    assert await client.texts(offset=-1) == ["e"]
    assert await client.texts(offset=10**9 * 3) == ["e"], "an offset beyond the end confirms nothing"


async def test_at_most_a_hundred_come_at_once(client: Client) -> None:
    client.says(*map(str, range(150)))
    assert len(await client.texts(limit=1000)) == 100


async def test_kinds_that_are_not_wanted_are_not_queued_until_they_are(client: Client) -> None:
    world = client.box.world
    await client.poll(allowed_updates=["message"])
    world.membership(world.groups[CHAT], world.bots[ALI], "administrator")
    await client.poll()
    world.membership(world.groups[CHAT], world.bots[ALI], "member")
    await client.poll(allowed_updates="[]")
    world.membership(world.groups[CHAT], world.bots[ALI], "administrator")
    assert len((await client.poll())["result"]) == 1


async def test_of_two_polls_the_older_is_told_and_the_younger_goes_on(client: Client) -> None:
    older = asyncio.create_task(client.poll(timeout=50))
    await client.waiting()
    younger = asyncio.create_task(client.texts(timeout=50))
    assert await soon(older) == {"ok": False, "error_code": 409, "description": CONFLICT}
    await client.waiting()
    client.says("Merhaba")
    assert await soon(younger) == ["Merhaba"]
    assert (client.box.api.tally.conflicts, client.box.api.tally.conflicts_of[ALI]) == (1, 1)


async def test_a_poll_that_need_not_wait_ends_no_other(client: Client) -> None:
    older = asyncio.create_task(client.texts(timeout=50))
    await client.waiting()
    assert await client.texts(timeout=0) == []
    client.says("Merhaba")
    assert await soon(older) == ["Merhaba"]
    assert client.box.api.tally.conflicts == 0


async def test_a_second_conflict_within_three_seconds_is_told_three_seconds_later(
    client: Client, monkeypatch: Any
) -> None:
    monkeypatch.setattr(polls, "CONFLICT_SECONDS", 0.4)
    tasks = []
    for _ in range(3):
        tasks.append(asyncio.create_task(client.poll(timeout=50)))
        await asyncio.sleep(0.1)
    began = time.monotonic()
    assert [(await task)["error_code"] for task in tasks[:2]] == [409, 409]
    assert time.monotonic() - began > 0.2
    client.says("Merhaba")
    assert (await tasks[2])["ok"]


async def test_a_client_that_is_gone_makes_no_conflict(client: Client) -> None:
    async with aiohttp.ClientSession() as http:
        gone = asyncio.create_task(Client(client.box, http).poll(timeout=50))
        await client.waiting()
        gone.cancel()
        await asyncio.wait([gone])
    await asyncio.sleep(0.05)
    assert await client.texts(timeout=1) == []
    assert client.box.api.tally.conflicts == 0


async def test_hasty_polls_are_slowed_down_as_by_the_real_server(client: Client, monkeypatch: Any) -> None:
    client.box.api.limits.hasty_polls = True
    monkeypatch.setattr(polls, "HASTY_WAIT", 1)
    client.says("bir", "iki", "üç")
    assert await client.texts() == ["bir", "iki", "üç"]
    assert await client.texts() == ["bir"], "the same offset at once gets one"
    last = client.box.world.bots[ALI].next_update
    assert await client.texts(offset=last) == []
    began = time.monotonic()
    assert await client.texts(offset=last) == []
    assert time.monotonic() - began > 0.9, "and waits although it did not want to"


async def test_the_server_ends_while_polls_wait(client: Client) -> None:
    waiting = asyncio.create_task(client.poll(timeout=50))
    await client.waiting()
    began = time.monotonic()
    await client.box.stop()
    assert time.monotonic() - began < 2
    assert (await asyncio.gather(waiting, return_exceptions=True))[0] == {"ok": True, "result": []}
