"""The sandbox's controls over HTTP, who may use them, and the sandbox as a whole: start, stop, state, a thousand bots."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from piyasad.sandbox.server import Sandbox, serve

CHAT = -1001000000001
ALI, AYSE = 7200000001, 7200000002
BOT = {"id": ALI, "token": f"{ALI}:x", "name": "Ali 🤖", "username": "ali_bot", "privacy": False}


class Desk:
    """Asks and commands a sandbox."""

    def __init__(self, box: Sandbox, http: aiohttp.ClientSession) -> None:
        self.box = box
        self.http = http

    async def get(self, what: str) -> Any:
        async with self.http.get(f"{self.box.url}sandbox/{what}") as answer:
            answer.raise_for_status()
            return await answer.json()

    async def post(self, what: str, **body: Any) -> Any:
        async with self.http.post(f"{self.box.url}sandbox/{what}", json=body) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def bot(self, method: str, token: str = f"{ALI}:x", **given: Any) -> Any:
        async with self.http.post(f"{self.box.telegram_url}/bot{token}/{method}", json=given) as answer:
            return await answer.json()

    @asynccontextmanager
    async def events(self) -> AsyncIterator[aiohttp.StreamReader]:
        """The event stream, opened."""
        async with self.http.get(f"{self.box.url}sandbox/events") as answer:
            assert answer.content_type == "text/event-stream"
            assert await answer.content.readline() == b": here\n"
            yield answer.content


async def event(stream: aiohttp.StreamReader) -> dict[str, Any]:
    """The next event."""
    async with asyncio.timeout(5):
        while True:
            line = await stream.readline()
            if line.startswith(b"data: "):
                found: dict[str, Any] = json.loads(line[6:])
                return found


@pytest_asyncio.fixture
async def desk(sandbox: Sandbox) -> AsyncIterator[Desk]:
    async with aiohttp.ClientSession() as http:
        yield Desk(sandbox, http)


@pytest_asyncio.fixture
async def town(desk: Desk) -> Desk:
    """One bot in one group, set up over HTTP."""
    await desk.post("bots", **BOT)
    await desk.post("chats", id=CHAT, title="Piyasa", admins=[ALI], threads=[4])
    return desk


# --- setting up, doing, asking
async def test_a_world_is_set_up_over_http(town: Desk) -> None:
    assert await town.post("people", id=777, name="Deniz") == {"id": 777, "is_bot": False, "first_name": "Deniz"}
    assert (await town.bot("getMe"))["result"]["username"] == "ali_bot"
    world = await town.get("world")
    assert (world["bots"][0]["name"], world["people"][0]["name"], world["chats"][0]["bots"]) == (
        "Ali 🤖",
        "Deniz",
        [ALI],
    )
    assert f"{ALI}:x" not in json.dumps(world), "a token is not shown"


async def test_people_write_reply_mention_edit_react_and_whisper(town: Desk) -> None:
    first = await town.post("say", chat=CHAT, name="Deniz", text=" Merhaba ")
    second = await town.post("say", chat=CHAT, name="Ece", text="sence?", mention="ali_bot", reply_to=first["id"])
    third = await town.post("say", chat=CHAT, user=first["user"], text="konuda", thread=4, mention=ALI)
    assert [each["text"] for each in (first, second, third)] == ["Merhaba", "@ali_bot sence?", "@ali_bot konuda"]
    assert (second["reply_to"], third["thread"], third["name"]) == (first["id"], 4, "Deniz")
    await town.post("edit", chat=CHAT, id=first["id"], text="Merhabalar")
    await town.post("react", chat=CHAT, id=first["id"], name="Ece", emoji="👍")
    await town.post("react", chat=CHAT, id=first["id"], name="Deniz", emoji="🔥")
    await town.post("react", chat=CHAT, id=first["id"], name="Deniz", emoji=None)
    await town.post("whisper", bot="ali_bot", name="Deniz", text="selam")
    messages = (await town.get(f"messages?chat={CHAT}"))["messages"]
    assert (messages[0]["text"], messages[0]["edited"], list(messages[0]["reactions"].values())) == (
        "Merhabalar",
        True,
        ["👍"],
    )
    assert [row["text"] for row in (await town.get(f"messages?chat={first['user']}"))["messages"]] == ["selam"]
    assert [row["id"] for row in (await town.get("messages?last=2"))["messages"]] == [2, 3]
    assert [row["id"] for row in (await town.get(f"messages?after={second['at']}"))["messages"]] == [3]
    updates = (await town.bot("getUpdates"))["result"]
    assert [next(key for key in update if key != "update_id") for update in updates] == [
        *("message", "message", "message", "edited_message", "message")
    ]


async def test_membership_migration_and_revocation(town: Desk) -> None:
    await town.post("members", chat=CHAT, bot=ALI, status="kicked")
    assert (await town.bot("sendMessage", chat_id=CHAT, text="x"))["error_code"] == 403
    assert (await town.get("world"))["chats"][0]["bots"] == []
    await town.post("members", chat=CHAT, bot=ALI)
    await town.post("chats", id=-77, title="Eski", bots=[ALI])
    await town.post("migrate", chat=-77, to=-1001000000077)
    moved = await town.bot("sendMessage", chat_id=-77, text="x")
    assert moved["parameters"] == {"migrate_to_chat_id": -1001000000077}
    assert [chat["id"] for chat in (await town.get("world"))["chats"]] == [CHAT, -1001000000077]
    await town.post("revoke", bot=ALI)
    assert (await town.bot("getMe"))["error_code"] == 401
    await town.post("revoke", bot=ALI, revoked=False)
    assert (await town.bot("getMe"))["ok"]


async def test_what_was_counted_can_be_asked_for(town: Desk) -> None:
    for text in ("bir", "iki"):
        await town.bot("sendMessage", chat_id=CHAT, text=text)
    polls = [asyncio.create_task(town.bot("getUpdates", timeout=5)) for _ in range(2)]
    await asyncio.wait(polls, return_when=asyncio.FIRST_COMPLETED)
    counted = await town.get("polls")
    assert (counted["conflicts"], counted["conflicts_of"], counted["waiting"]) == (1, {str(ALI): 1}, [ALI])
    stats = await town.get("stats")
    assert (stats["throttled"], stats["conflicts"], stats["messages"]) == (1, 1, 1)
    assert (stats["requests"]["sendmessage"], stats["requests"]["getupdates"]) == (2, 2)
    violations = await town.get("violations")
    assert [(each["bot"], each["limit"]) for each in violations] == [(ALI, "chat_per_second")]
    await town.post("say", chat=CHAT, name="Deniz", text="bitti")
    await asyncio.wait(polls)


async def test_limits_and_faults_are_switched_while_it_runs(town: Desk) -> None:
    assert (await town.post("limits", chat_per_second=1e9, chat_burst=2))["chat_burst"] == 2
    assert (await town.get("limits"))["chat_per_second"] == 1e9
    await town.post("faults", kind="500", method="getMe", times=1)
    assert [fault["kind"] for fault in await town.get("faults")] == ["500"]
    assert (await town.bot("getMe"))["error_code"] == 500
    assert await town.get("faults") == [], "it is used up"
    await town.post("faults", kind="bad_token")
    async with town.http.delete(f"{town.box.url}sandbox/faults") as answer:
        assert answer.status == 200
    assert (await town.bot("getMe"))["ok"]


async def test_everything_that_happens_is_told_as_it_happens(town: Desk) -> None:
    async with town.events() as stream:
        said = await town.post("say", chat=CHAT, name="Deniz", text="Merhaba")
        assert await event(stream) == said
        await town.bot("sendChatAction", chat_id=CHAT, action="typing")
        assert await event(stream) == {"type": "typing", "chat": CHAT, "user": ALI}
        await town.post("react", chat=CHAT, id=1, name="Deniz", emoji="👍")
        assert (await event(stream))["emoji"] == "👍"
        await town.post("edit", chat=CHAT, id=1, text="Selam")
        assert (await event(stream))["text"] == "Selam"
        await town.bot("pinChatMessage", chat_id=CHAT, message_id=1)
        assert (await event(stream))["type"] == "pin"
        await town.bot("setMyName", name="Ali Hoca 🤖")
        assert (await event(stream))["name"] == "Ali Hoca 🤖"
        await town.post("members", chat=CHAT, bot=ALI, status="member")
        assert (await event(stream))["type"] == "member"
        await town.post("bots", id=AYSE, token=f"{AYSE}:x", name="Ayşe", username="ayse_bot")
        assert await event(stream) == {"type": "world"}
        await town.post("whisper", bot=ALI, name="Deniz", text="gizli")
        await town.post("say", chat=CHAT, name="Deniz", text="açık")
        assert (await event(stream))["text"] == "açık", "private lines are not shown"
    async with asyncio.timeout(5):
        while town.box.world.listeners:
            town.box.world.typing(town.box.world.bots[ALI], town.box.world.groups[CHAT])
            await asyncio.sleep(0.01)


# --- what does not fit
@pytest.mark.parametrize(
    ("what", "body", "words"),
    [
        ("say", {"name": "Deniz", "text": "x"}, "chat is missing"),
        ("say", {"chat": "hiç", "name": "Deniz", "text": "x"}, "invalid literal"),
        ("say", {"chat": -5, "name": "Deniz", "text": "x"}, "no such chat"),
        ("say", {"chat": CHAT, "name": " ", "text": "x"}, "name is empty"),
        ("say", {"chat": CHAT, "text": "x"}, "name is missing"),
        ("say", {"chat": CHAT, "user": 9, "text": "x"}, "no such person"),
        ("say", {"chat": CHAT, "name": "Deniz"}, "text is missing"),
        ("say", {"chat": CHAT, "name": "Deniz", "text": "  "}, "between 1 and 4096"),
        ("say", {"chat": CHAT, "name": "Deniz", "text": "📈" * 2049}, "between 1 and 4096"),
        ("say", {"chat": CHAT, "name": "Deniz", "text": "\ud800"}, "surrogates not allowed"),
        ("say", {"chat": CHAT, "name": "Deniz", "text": "x", "reply_to": 9}, "no such message"),
        ("say", {"chat": CHAT, "name": "Deniz", "text": "x", "mention": "yok_bot"}, "no such bot"),
        ("edit", {"chat": CHAT, "id": 9, "text": "x"}, "no such message"),
        ("react", {"chat": CHAT, "id": 1, "name": "Deniz", "emoji": "📈"}, "does not know that reaction"),
        ("members", {"chat": CHAT, "bot": ALI, "status": "creator"}, "no such status"),
        ("bots", {"id": 1}, "token is missing"),
        ("bots", {**BOT, "id": "1"}, "a bot's id"),
        ("bots", {**BOT, "age": 3}, "unexpected keyword argument"),
        ("chats", {"id": 5, "title": "x"}, "negative id"),
        ("chats", {"id": -5, "title": "x", "bots": [3]}, "not there"),
        ("limits", {"per_hour": 3}, "no such limit"),
        ("faults", {"kind": "503"}, "no such fault"),
        ("faults", {}, "missing"),
    ],
)
async def test_what_does_not_fit_is_answered_with_a_sentence(
    town: Desk, what: str, body: dict[str, Any], words: str
) -> None:
    await town.post("say", chat=CHAT, name="Deniz", text="Merhaba")
    async with town.http.post(f"{town.box.url}sandbox/{what}", json=body) as answer:
        assert answer.status == 400
        assert words in await answer.text()
    assert len(town.box.messages()) == 1
    assert town.box.api.faults == []


@pytest.mark.parametrize("body", ["{", "[1]", '"x"', ""])
async def test_a_body_that_is_no_object_is_refused(town: Desk, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    async with town.http.post(f"{town.box.url}sandbox/say", data=body, headers=headers) as answer:
        assert answer.status == 400


@pytest.mark.parametrize("query", ["chat=x", "chat=-5", "last=x", "after=x"])
async def test_a_question_that_does_not_fit_is_refused(town: Desk, query: str) -> None:
    async with town.http.get(f"{town.box.url}sandbox/messages?{query}") as answer:
        assert answer.status == 400


# --- strangers
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "[::1]:1"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": ""}, 403),
        ({"Origin": "http://localhost:1"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
async def test_the_controls_answer_under_a_loopback_name_only(desk: Desk, headers: dict[str, str], status: int) -> None:
    for path in ("", "app.js", "sandbox/world", "llm/sandbox/usage"):
        async with desk.http.get(desk.box.url + path, headers=headers) as answer:
            assert answer.status == status, path


async def test_a_form_of_another_page_cannot_command(desk: Desk) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        for path in ("sandbox/limits", "llm/sandbox/limits"):
            headers = {"Content-Type": kind}
            async with desk.http.post(desk.box.url + path, data=b"{}", headers=headers) as answer:
                assert answer.status == 415


async def test_the_page_may_load_nothing_from_elsewhere(desk: Desk) -> None:
    async with desk.http.get(desk.box.url) as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'")
        assert "http" not in policy
        assert "http://" not in (await answer.text()).replace("http://www.w3.org/2000/svg", "")


# --- the whole
async def test_what_was_said_is_there_after_a_restart_and_ids_go_on(tmp_path: Path) -> None:
    state, described = (
        tmp_path / "sandbox.jsonl",
        {"bots": [BOT], "chats": [{"id": CHAT, "title": "P", "admins": [ALI]}]},
    )
    async with Sandbox(world=described, state=state) as box:
        first = box.say(CHAT, "Deniz", "Merhaba")
        offset = box.world.bots[ALI].next_update
    async with Sandbox(world=described, state=state) as box, aiohttp.ClientSession() as http:
        assert [row["id"] for row in box.messages()] == [first.id]
        said = box.say(CHAT, "Deniz", "Yine ben")
        assert said.id == first.id + 1
        url = f"{box.telegram_url}/bot{ALI}:x/getUpdates"
        async with http.post(url, json={"offset": offset}) as answer:
            updates = (await answer.json())["result"]
        assert [update["message"]["text"] for update in updates] == ["Yine ben"], "a kept offset loses nothing"


async def test_serve_runs_a_described_world_until_it_is_told_to_stop(tmp_path: Path) -> None:
    world = tmp_path / "world.json"
    world.write_text(json.dumps({"header": "Sandbox", "bots": [BOT]}), encoding="utf-8")
    ready: asyncio.Queue[str] = asyncio.Queue()
    until = asyncio.Event()
    task = asyncio.create_task(
        serve(host="127.0.0.1", port=0, world=world, state=None, on_ready=ready.put_nowait, until=until)
    )
    url = await ready.get()
    async with aiohttp.ClientSession() as http, http.get(f"{url}sandbox/world") as answer:
        assert (await answer.json())["header"] == "Sandbox"
    until.set()
    await task


@pytest.mark.parametrize("text", ["{", "[]", '{"bots": [{"id": 1}]}', "3"])
async def test_a_world_file_that_is_none_is_said(tmp_path: Path, text: str) -> None:
    world = tmp_path / "world.json"
    world.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"."):
        await serve(host="127.0.0.1", port=0, world=world, state=None, on_ready=print, until=asyncio.Event())


async def test_a_taken_port_is_an_os_error_and_lets_go_of_the_state(sandbox: Sandbox, tmp_path: Path) -> None:
    state = tmp_path / "sandbox.jsonl"
    other = Sandbox(port=sandbox._port, state=state)
    with pytest.raises(OSError, match="address already in use"):
        await other.start()
    assert not other.world.record.open


async def test_a_thousand_bots_are_served(sandbox: Sandbox) -> None:
    sandbox.api.limits.change({"per_second": 1e9, "chat_per_second": 1e9, "group_per_minute": 1e9})
    tokens = [sandbox.add_bot(ALI + n, f"Bot {n}", f"bot{n}_bot") for n in range(1000)]
    for chat in range(50):
        inside = [ALI + n for n in range(chat, 1000, 50)]
        sandbox.add_chat(CHAT - chat, bots=inside, admins=inside[:1])
    async with aiohttp.ClientSession() as http:

        async def speak(number: int) -> int:
            url = f"{sandbox.telegram_url}/bot{tokens[number]}/sendMessage"
            async with http.post(url, json={"chat_id": CHAT - number % 50, "text": f"{number}"}) as answer:
                return answer.status

        assert set(await asyncio.gather(*map(speak, range(1000)))) == {200}
    assert sorted(int(row["text"]) for row in sandbox.messages()) == list(range(1000))
    for chat in range(50):
        assert [row["id"] for row in sandbox.messages(CHAT - chat)] == list(range(1, 21))
