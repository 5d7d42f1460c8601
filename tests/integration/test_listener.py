"""Polling: nothing that Telegram delivered is lost or confirmed too early, and nobody is asked too often."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from aiogram.types import ChatMemberRestricted
from structlog.testing import capture_logs
from structlog.typing import EventDict

from piyasad.clock import SystemClock
from piyasad.model import Received
from piyasad.sandbox.server import Sandbox
from piyasad.sandbox.telegram import Fault
from piyasad.store.interface import StoreError
from piyasad.telegram import listener
from piyasad.telegram.errors import BadToken, Conflict, NotSent, Throttled, Uncertain
from piyasad.telegram.intake import Intake
from piyasad.telegram.listener import ALL_UPDATES, IDLE_UPDATES, InboxFailed, Poller
from piyasad.telegram.sender import Sender
from piyasad.telegram.skew import Skew
from tests.telegram_kit import BOT, CHAT, raw_server, refusal, reply, sender_to

OTHER = BOT + 1
PATIENCE = 10.0


@dataclass
class Inbox:
    """Writes down what comes; refuses the texts in `refuse`, or everything while `down`."""

    events: list[tuple[Any, ...]] = field(default_factory=list)
    refuse: set[str] = field(default_factory=set)
    down: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def _note(self, *event: Any) -> None:
        if self.down:
            raise StoreError("the store is away")
        self.events.append(event)
        self.news.set()

    async def received(self, said: Received) -> None:
        if said.text in self.refuse:
            raise StoreError("this text cannot be stored")
        self._note("received", said)

    async def edited(self, chat_id: int, telegram_id: int, text: str) -> None:
        self._note("edited", chat_id, telegram_id, text)

    async def witnessed(
        self, bot_id: int, chat_id: int, telegram_id: int, text: str, reply_to: int | None, at: float
    ) -> None:
        self._note("witnessed", bot_id, chat_id, telegram_id, text, reply_to)

    async def membership(self, bot_id: int, chat_id: int, inside: bool) -> None:
        self._note("membership", bot_id, chat_id, inside)

    async def private(self, bot_id: int, chat_id: int) -> None:
        self._note("private", bot_id, chat_id)

    async def migrated(self, old: int, new: int) -> None:
        self._note("migrated", old, new)

    @property
    def texts(self) -> list[str]:
        """What members said."""
        return [event[1].text for event in self.events if event[0] == "received"]

    async def until(self, count: int) -> None:
        """Wait for so many events."""
        async with asyncio.timeout(PATIENCE):
            while len(self.events) < count:
                self.news.clear()
                await self.news.wait()


class Desk:
    """A poller with everything that it is handed."""

    def __init__(self, sender: Sender, offset: int = 0, bot: int = BOT) -> None:
        self.inbox = Inbox()
        self.saved: list[int] = []
        self.parked: list[int] = []
        self.poller = Poller(
            bot,
            sender,
            Intake(self.inbox, Skew(), SystemClock(), lambda bot_id, chat_id: None),
            SystemClock(),
            random.Random(1),
            offset=offset,
            may_poll=lambda: True,
            save=self._save,
            parked=self.parked.append,
        )

    async def _save(self, bot_id: int, offset: int) -> None:
        self.saved.append(offset)

    @asynccontextmanager
    async def running(self, wait: float = 20.0) -> AsyncIterator[asyncio.Task[None]]:
        """The poller at work."""
        task = asyncio.create_task(self.poller.run(lambda: wait))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task], timeout=PATIENCE)
            assert task.done()


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[EventDict]]:
    """What is logged, instead of tracebacks on the terminal."""
    with capture_logs() as events:
        yield events


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rests of milliseconds instead of seconds."""
    monkeypatch.setattr(listener, "BACKOFF_FIRST", 0.01)
    monkeypatch.setattr(listener, "BACKOFF_MOST", 0.02)
    monkeypatch.setattr(listener, "CONFLICT_SECONDS", 0.01)


@pytest.fixture
def tokens(sandbox: Sandbox) -> dict[int, str]:
    """Two bots in one chat; `BOT` is its administrator and hears all."""
    tokens = {
        BOT: sandbox.add_bot(BOT, "Mehmet", "mehmet_deneme_bot"),
        OTHER: sandbox.add_bot(OTHER, "Ayşe", "ayse_deneme_bot"),
    }
    sandbox.add_chat(CHAT, "Piyasa", bots=[BOT, OTHER], admins=[BOT])
    return tokens


def drained(sandbox: Sandbox) -> int:
    """How many updates still wait for the bot at Telegram."""
    return len(sandbox.world.bots[BOT].updates)


async def test_what_members_say_comes_in_and_is_confirmed_afterwards(sandbox: Sandbox, tokens: dict[int, str]) -> None:
    async with sender_to(sandbox.telegram_url, *tokens.items()) as (sender, _):
        desk = Desk(sender)
        async with desk.running():
            line = sandbox.say(CHAT, "Deniz", "Dolar ne olur?")
            await desk.inbox.until(1)
            answer = sandbox.say(CHAT, "Ece", "Bilmem", reply_to=line.id)
            await desk.inbox.until(2)
        said = desk.inbox.events[1][1]
        assert (said.chat_id, said.telegram_id, said.author, said.text, said.reply_to) == (
            CHAT,
            answer.id,
            "Ece",
            "Bilmem",
            line.id,
        )
        assert desk.saved[-1] == desk.poller.offset
        assert await Desk(sender, desk.poller.offset).poller.poll(0, ALL_UPDATES) == 0
        assert drained(sandbox) == 0


async def test_an_edit_comes_in(sandbox: Sandbox, tokens: dict[int, str]) -> None:
    async with sender_to(sandbox.telegram_url, *tokens.items()) as (sender, _):
        desk = Desk(sender)
        await desk.poller.poll(0, ALL_UPDATES)  # Telegram keeps to what the last poll wanted
        desk.inbox.events.clear()
        group = sandbox.world.groups[CHAT]
        line = sandbox.say(CHAT, "Deniz", "yanlış")
        sandbox.world.edit(group, line, "doğru")
        await desk.poller.poll(0, ALL_UPDATES)
    assert [event[0] for event in desk.inbox.events] == ["received", "edited"]
    assert desk.inbox.events[1] == ("edited", CHAT, line.id, "doğru")


async def test_what_the_inbox_refuses_is_not_confirmed_and_comes_again(
    sandbox: Sandbox, tokens: dict[int, str], quick: None
) -> None:
    async with sender_to(sandbox.telegram_url, *tokens.items()) as (sender, _):
        desk = Desk(sender)
        desk.inbox.down = True
        sandbox.say(CHAT, "Deniz", "bir")
        sandbox.say(CHAT, "Deniz", "iki")
        for _ in range(3 * listener.STUCK_TRIES):  # for as long as everything is refused nothing is dropped
            assert isinstance(await desk.poller.poll(0, ALL_UPDATES), InboxFailed)
        assert (desk.poller.offset, desk.saved, drained(sandbox)) == (0, [], 2)
        desk.inbox.down = False
        async with desk.running():
            await desk.inbox.until(2)
    assert desk.inbox.texts == ["bir", "iki"]


async def test_an_update_that_never_goes_in_is_dropped_when_others_do(
    sandbox: Sandbox, tokens: dict[int, str], quick: None, logs: list[EventDict]
) -> None:
    async with sender_to(sandbox.telegram_url, *tokens.items()) as (sender, _):
        desk = Desk(sender)
        desk.inbox.refuse = {"zehir", "zehir 2"}
        for text in ("bir", "zehir", "zehir 2", "iki"):
            sandbox.say(CHAT, "Deniz", text)
        for _ in range(3 * listener.STUCK_TRIES):
            await desk.poller.poll(0, ALL_UPDATES)
        assert desk.inbox.texts == ["bir", "iki"]
        assert len([event for event in logs if event["event"] == "listener.dropped"]) == 1
        assert await desk.poller.poll(0, ALL_UPDATES) == 0
        assert drained(sandbox) == 0


async def test_what_was_taken_before_a_refusal_is_confirmed(sandbox: Sandbox, tokens: dict[int, str]) -> None:
    async with sender_to(sandbox.telegram_url, *tokens.items()) as (sender, _):
        desk = Desk(sender)
        desk.inbox.refuse = {"zehir"}
        for text in ("bir", "zehir"):
            sandbox.say(CHAT, "Deniz", text)
        assert isinstance(await desk.poller.poll(0, ALL_UPDATES), InboxFailed)
        assert desk.saved == [desk.poller.offset]
        await desk.poller.poll(0, ALL_UPDATES)
    assert desk.inbox.texts == ["bir"], "and not handed in a second time"


async def test_a_short_poll_takes_a_long_backlog_to_its_end(sandbox: Sandbox, tokens: dict[int, str]) -> None:
    async with sender_to(sandbox.telegram_url, *tokens.items()) as (sender, _):
        for number in range(250):
            sandbox.say(CHAT, "Deniz", f"{number}")
        desk = Desk(sender)
        assert await desk.poller.poll(0, IDLE_UPDATES) == 250
    assert desk.inbox.texts == [f"{number}" for number in range(250)]


async def test_two_polls_with_one_token_are_told_and_wait_longer_than_telegram_ends_the_older(
    sandbox: Sandbox, tokens: dict[int, str]
) -> None:
    assert listener.CONFLICT_SECONDS > 3
    async with sender_to(sandbox.telegram_url, *tokens.items()) as (sender, _):
        first, second = Desk(sender), Desk(sender)
        older = asyncio.create_task(first.poller.poll(20, ALL_UPDATES))
        async with asyncio.timeout(PATIENCE):
            while sandbox.world.bots[BOT].waiter is None:
                await asyncio.sleep(0.01)
        younger = asyncio.create_task(second.poller.poll(1, ALL_UPDATES))
        assert isinstance(await older, Conflict)
        assert await younger == 0
        rest = first.poller._rest(Conflict("terminated by other getUpdates request"), 0.0)
    assert 3 < rest <= 2 * listener.CONFLICT_SECONDS


async def test_a_webhook_in_the_way_is_ended(quick: None) -> None:
    async with raw_server(reply()) as server, sender_to(server.url) as (sender, _):
        webhook = True

        async def answer(writer: asyncio.StreamWriter) -> None:
            nonlocal webhook
            if server.requests[-1].path.endswith("/deleteWebhook"):
                webhook = False
                await reply(200, {"ok": True, "result": True})(writer)
            elif webhook:
                words = "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook first"
                await refusal(409, words)(writer)
            else:
                await reply(200, {"ok": True, "result": [private_update(1)]})(writer)

        server.answer = answer
        desk = Desk(sender)
        async with desk.running():
            await desk.inbox.until(1)
        assert [request.path.rpartition("/")[2] for request in server.requests[:3]] == [
            "getUpdates",
            "deleteWebhook",
            "getUpdates",
        ]
        assert server.requests[1].body == {"drop_pending_updates": False}


async def test_a_refused_token_parks_the_bot_and_ends_the_poll(sandbox: Sandbox, tokens: dict[int, str]) -> None:
    sandbox.world.revoked[tokens[BOT]] = None
    async with sender_to(sandbox.telegram_url, *tokens.items()) as (sender, _):
        desk = Desk(sender)
        async with asyncio.timeout(PATIENCE):
            await desk.poller.run(lambda: 20.0)
        assert desk.parked == [BOT]
        assert isinstance(await desk.poller.poll(0, IDLE_UPDATES), BadToken)


async def test_after_errors_it_goes_on(sandbox: Sandbox, tokens: dict[int, str], quick: None) -> None:
    for kind in ("500", "cut_before", "cut_after"):
        sandbox.api.faults.append(Fault(kind, method="getUpdates", times=1))
    async with sender_to(sandbox.telegram_url, *tokens.items()) as (sender, _):
        desk = Desk(sender)
        sandbox.say(CHAT, "Deniz", "hâlâ orada mısınız?")
        async with desk.running():
            await desk.inbox.until(1)
    assert desk.inbox.texts == ["hâlâ orada mısınız?"]


async def test_cancelling_ends_a_long_poll_at_once(sandbox: Sandbox, tokens: dict[int, str]) -> None:
    async with sender_to(sandbox.telegram_url, *tokens.items()) as (sender, _):
        task = asyncio.create_task(Desk(sender).poller.run(lambda: 50.0))
        await asyncio.sleep(0.1)
        began = SystemClock().mono()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert SystemClock().mono() - began < 1.0


async def test_a_server_that_answers_nothing_at_once_is_not_asked_without_a_rest() -> None:
    async with raw_server(reply(200, {"ok": True, "result": []})) as server, sender_to(server.url) as (sender, _):
        async with Desk(sender).running(wait=30.0):
            await asyncio.sleep(0.5)
        assert len(server.requests) == 1


def private_update(number: int, **keys: Any) -> dict[str, Any]:
    """A line in a private chat."""
    who = {"id": 5, "is_bot": False, "first_name": "Deniz"}
    return group_update(number, **({"chat": {"id": 5, "type": "private"}, "from": who} | keys))


def group_update(number: int, **keys: Any) -> dict[str, Any]:
    """A member's line in the group; `keys` change it."""
    message = {
        "message_id": number,
        "date": 1795424400,
        "chat": {"id": CHAT, "type": "supergroup", "title": "Piyasa"},
        "from": {"id": 5, "is_bot": False, "first_name": "Deniz", "last_name": "Ak"},
        "text": "x",
    }
    return {"update_id": number, "message": message | keys}


async def events_of(*updates: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What the inbox gets of these updates."""
    answer = reply(200, {"ok": True, "result": list(updates)})
    async with raw_server(answer) as server, sender_to(server.url) as (sender, _):
        desk = Desk(sender)
        assert await desk.poller.poll(0, ALL_UPDATES) == len(updates)
        assert desk.poller.offset == max(update["update_id"] for update in updates) + 1
        return desk.inbox.events


ANONYMOUS = {"id": 1087968824, "is_bot": True, "first_name": "Group", "username": "GroupAnonymousBot"}
BROTHER = {"id": OTHER, "is_bot": True, "first_name": "Ayşe"}
NESTED = {"message_id": 3, "date": 1, "chat": {"id": CHAT, "type": "supergroup"}}


@pytest.mark.parametrize(
    ("keys", "author", "user"),
    [
        ({}, "Deniz Ak", 5),
        ({"text": None, "caption": "bir resim"}, "Deniz Ak", 5),
        ({"from": ANONYMOUS, "sender_chat": {"id": CHAT, "type": "supergroup", "title": "Piyasa"}}, "Piyasa", CHAT),
    ],
    ids=["member", "caption", "anonymous administrator"],
)
async def test_who_said_it(keys: dict[str, Any], author: str, user: int) -> None:
    (event,) = await events_of(group_update(1, **keys))
    assert event[0] == "received"
    said = event[1]
    assert (said.author, said.user_id, said.at) == (author, user, 1795424400.0)
    assert said.text in {"x", "bir resim"}


async def test_a_bot_s_line_is_a_witness_of_it() -> None:
    (event,) = await events_of(group_update(1, **{"from": BROTHER, "reply_to_message": NESTED}))
    assert event == ("witnessed", OTHER, CHAT, 1, "x", 3)


@pytest.mark.parametrize(
    ("keys", "reply_to", "thread"),
    [
        ({"reply_to_message": NESTED}, 3, None),
        ({"reply_to_message": NESTED, "message_thread_id": 3}, 3, None),
        ({"reply_to_message": NESTED, "message_thread_id": 3, "is_topic_message": True}, None, 3),
        ({"reply_to_message": NESTED, "message_thread_id": 2, "is_topic_message": True}, 3, 2),
    ],
    ids=["reply", "reply thread", "line in a topic", "reply in a topic"],
)
async def test_whom_it_answers(keys: dict[str, Any], reply_to: int | None, thread: int | None) -> None:
    (event,) = await events_of(group_update(1, **keys))
    assert (event[1].reply_to, event[1].thread_id) == (reply_to, thread)


async def test_what_says_nothing_is_passed_over() -> None:
    nothing = [
        group_update(1, text=None, new_chat_title="Yeni ad"),
        group_update(2, chat={"id": -1007, "type": "channel", "title": "Kanal"}),
        {"update_id": 3},
        {"update_id": 4, "poll": {"id": "1"}},
        {"update_id": 5, "edited_message": group_update(5, **{"from": BROTHER})["message"]},
        {"update_id": 6, "edited_message": private_update(6)["message"]},
        {"update_id": 7, "edited_message": group_update(7, text=None)["message"]},
        private_update(8, **{"from": BROTHER}),
        {"update_id": 9, "my_chat_member": member_change("left", chat={"id": 5, "type": "private"})},
        group_update(10, **{"from": None}),
    ]
    assert await events_of(*nothing) == []


def member_change(status: str, **keys: Any) -> dict[str, Any]:
    """The polling bot's own standing changed."""
    me = {"id": BOT, "is_bot": True, "first_name": "Mehmet"}
    new: dict[str, Any] = {"user": me, "status": status, "until_date": 0}
    if status == "restricted":
        fields = ChatMemberRestricted.model_fields  # every right that this aiogram knows
        new |= {name: False for name in fields if name.startswith("can_")}
    new["is_member"] = keys.pop("is_member", True)
    return {
        "chat": {"id": CHAT, "type": "supergroup"},
        "from": me,
        "date": 1,
        "old_chat_member": {"user": me, "status": "member"},
        "new_chat_member": new,
    } | keys


@pytest.mark.parametrize(
    ("change", "inside"),
    [
        (member_change("member"), True),
        (member_change("left"), False),
        (member_change("kicked"), False),
        (member_change("restricted", is_member=True), True),
        (member_change("restricted", is_member=False), False),
    ],
    ids=["added", "left", "kicked", "restricted", "restricted and gone"],
)
async def test_whether_the_bot_is_in_the_group(change: dict[str, Any], inside: bool) -> None:
    assert await events_of({"update_id": 1, "my_chat_member": change}) == [("membership", BOT, CHAT, inside)]


async def test_private_lines_and_moves_come_in() -> None:
    events = await events_of(
        private_update(1),
        group_update(2, chat={"id": -500, "type": "group"}, text=None, migrate_to_chat_id=CHAT),
        group_update(3, text=None, migrate_from_chat_id=-500),
    )
    assert events == [("private", BOT, 5), ("migrated", -500, CHAT)]


async def test_rests_grow_to_a_bound_and_a_good_answer_ends_them() -> None:
    poller = Desk(cast(Sender, None)).poller
    rests = [poller._rest(Uncertain("cut"), 0.0) for _ in range(12)]
    assert rests[0] <= 1.5 * listener.BACKOFF_FIRST
    assert max(rests) <= 1.5 * listener.BACKOFF_MOST
    assert rests[-1] >= 0.5 * listener.BACKOFF_MOST
    assert poller._rest(Throttled(77.0, "429"), 0.0) == 77.0
    assert poller._rest(3, 0.9) == 0.0
    assert poller._rest(0, 0.9) == 0.9
    assert poller._rest(NotSent("refused"), 0.0) <= 1.5 * listener.BACKOFF_FIRST


@pytest.mark.parametrize(
    "noise",
    [b"HTTP/1.1 abc\r\n\r\n", b"\x00\xff\x00\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\n", b""],
    ids=["status line", "binary", "length", "nothing"],
)
async def test_a_server_that_speaks_no_http_is_one_line_and_no_traceback(
    quick: None, logs: list[EventDict], noise: bytes
) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        if len(server.requests) > 4:
            await reply(200, {"ok": True, "result": [private_update(1)]})(writer)
            return
        writer.write(noise)
        await writer.drain()
        writer.close()

    async with raw_server(reply()) as server, sender_to(server.url) as (sender, _):
        server.answer = answer
        desk = Desk(sender)
        async with desk.running():
            await desk.inbox.until(1)
    assert [event["event"] for event in logs] == ["polling.down", "polling.up"]
    assert not [event for event in logs if "exc_info" in event]
