"""The sender over real sockets: one call is one request, and what became of it is never guessed wrongly."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest

from piyasad.sandbox.server import Sandbox
from piyasad.sandbox.telegram import Fault
from piyasad.telegram import client as client_module
from piyasad.telegram.client import PUBLIC_API, Clients
from piyasad.telegram.errors import (
    BadToken,
    Conflict,
    Done,
    Failure,
    Forbidden,
    Migrated,
    NotSent,
    Rejected,
    ReplyGone,
    Sent,
    Throttled,
    Uncertain,
)
from tests.telegram_kit import BOT, CHAT, SENT, TOKEN, Answer, cut, raw_server, refusal, reply, sender_to, silence

TIMEOUT = 5.0


async def outcome_of(answer: Answer, *, before_reading: bool = False, timeout: float = TIMEOUT) -> Sent | Failure:
    """What the sender says of one message that is answered so; it must have made one request only."""
    async with raw_server(answer, before_reading=before_reading) as server, sender_to(server.url) as (sender, _):
        result = await sender.send(BOT, CHAT, "Merhaba", reply_to=None, thread_id=None, timeout=timeout)
        assert server.connections == 1
        assert len(server.requests) <= 1
        return result


# --- what surely did not leave
async def test_a_refused_connection_sent_nothing() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        async with sender_to(f"http://127.0.0.1:{nobody.getsockname()[1]}") as (sender, metrics):
            result = await sender.send(BOT, CHAT, "Merhaba", reply_to=None, thread_id=None, timeout=TIMEOUT)
            assert isinstance(result, NotSent)
            assert metrics.telegram_requests.children()[0][0] == ("sendMessage", "notsent")


async def test_a_name_that_does_not_exist_sent_nothing() -> None:
    async with sender_to("http://api.telegram.invalid") as (sender, _):
        result = await sender.send(BOT, CHAT, "Merhaba", reply_to=None, thread_id=None, timeout=TIMEOUT)
    assert isinstance(result, NotSent)


async def test_a_connection_that_is_never_made_sent_nothing() -> None:
    """A listener whose queue is full: the handshake gets no answer, as behind a firewall that drops."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        async with sender_to(f"http://127.0.0.1:{listener.getsockname()[1]}") as (sender, _):
            result = await sender.send(BOT, CHAT, "Merhaba", reply_to=None, thread_id=None, timeout=0.6)
        for filler in fillers:
            filler.close()
    assert isinstance(result, NotSent)


async def test_a_request_that_waited_for_a_free_connection_in_vain_sent_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_module, "SPARE_CONNECTIONS", 1)
    async with raw_server(silence) as server, sender_to(server.url) as (sender, _):
        holds = asyncio.create_task(sender.send(BOT, CHAT, "tutan", reply_to=None, thread_id=None, timeout=TIMEOUT))
        await server.request()
        waits = await sender.send(BOT, CHAT, "bekleyen", reply_to=None, thread_id=None, timeout=0.4)
        assert isinstance(waits, NotSent)
        assert len(server.requests) == 1
        holds.cancel()
        with pytest.raises(asyncio.CancelledError):
            await holds


async def test_a_tls_handshake_that_fails_sent_nothing() -> None:
    async with (
        raw_server(cut, before_reading=True) as server,
        sender_to(server.url.replace("http://", "https://")) as (sender, _),
    ):
        result = await sender.send(BOT, CHAT, "Merhaba", reply_to=None, thread_id=None, timeout=TIMEOUT)
    assert isinstance(result, NotSent)


async def test_a_bot_that_is_not_ours_any_more_makes_no_request() -> None:
    async with raw_server(reply()) as server, sender_to(server.url) as (sender, _):
        result = await sender.send(BOT + 1, CHAT, "Merhaba", reply_to=None, thread_id=None, timeout=TIMEOUT)
        assert isinstance(result, Rejected)
        assert server.connections == 0


# --- what may have been delivered
async def test_a_cut_after_the_request_was_read_is_uncertain() -> None:
    assert isinstance(await outcome_of(cut), Uncertain)


async def test_a_cut_before_the_request_was_read_is_uncertain_too() -> None:
    """From here the two cannot be told apart: the request had left."""
    assert isinstance(await outcome_of(cut, before_reading=True), Uncertain)


async def test_no_answer_in_time_is_uncertain() -> None:
    assert isinstance(await outcome_of(silence, timeout=0.3), Uncertain)


@pytest.mark.parametrize(
    "answer",
    [
        refusal(500, "Internal Server Error"),
        refusal(502, "Bad Gateway"),
        refusal(500, "Internal Server Error: restart"),
        reply(502, b"<html>Bad Gateway</html>", kind="text/html"),
        reply(500, {"ok": False}),
        reply(500, [1, 2]),
        reply(200, b"<html>Log in to this hotel's network</html>", kind="text/html"),
        reply(200, b"\xff\xfe\x00 not UTF-8", kind="text/plain; charset=nonsense"),
        reply(200, b""),
        reply(200, {"ok": True}),
        reply(200, {"ok": True, "result": True}),
        reply(200, {"ok": True, "result": {"message_id": "x", "date": 5}}),
        reply(200, [SENT]),
        reply(200, b'{"ok": true, "resu', length=500),
        reply(403, b"<html>Forbidden by a proxy</html>", kind="text/html"),
        reply(302, b"", headers="Location: http://127.0.0.1:9/\r\n"),
    ],
    ids=[
        "500", "502", "restart", "html 502", "no description", "list 500", "html 200", "garbage", "empty", "no result",
        "true", "wrong types", "list", "cut short", "html 403", "redirect",
    ],
)  # fmt: skip
async def test_an_answer_that_is_not_the_bot_api_s_leaves_it_open(answer: Answer) -> None:
    assert isinstance(await outcome_of(answer), Uncertain)


async def test_a_redirect_is_not_followed() -> None:
    """The token is in the address and the message in the body: neither goes anywhere else, nor twice."""
    async with raw_server(reply()) as other:
        away = reply(307, b"", headers=f"Location: {other.url}/bot{TOKEN}/sendMessage\r\n")
        assert isinstance(await outcome_of(away), Uncertain)
        assert other.connections == 0


async def test_a_connection_that_was_closed_while_idle_is_not_used_again() -> None:
    """A server ends kept connections; the next message opens a new one and is delivered."""

    async def once(writer: asyncio.StreamWriter) -> None:
        await reply(headers="Connection: keep-alive\r\n")(writer)
        writer.close()

    async with raw_server(once) as server, sender_to(server.url) as (sender, _):
        for number in range(3):
            result = await sender.send(BOT, CHAT, f"{number}", reply_to=None, thread_id=None, timeout=TIMEOUT)
            assert isinstance(result, Sent)
            await asyncio.sleep(0.05)
        assert len(server.requests) == 3


# --- what Telegram says
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (refusal(429, "Too Many Requests: retry after 7", retry_after=7), Throttled),
        (refusal(429, "Too Many Requests"), Throttled),
        (refusal(400, "Bad Request: group chat was upgraded to a supergroup chat", migrate_to_chat_id=-100), Migrated),
        (refusal(400, "Bad Request: message to be replied not found"), ReplyGone),
        (refusal(400, "Bad Request: chat not found"), Forbidden),
        (refusal(400, "Bad Request: message is too long"), Rejected),
        (refusal(401, "Unauthorized"), BadToken),
        (refusal(403, "Forbidden: bot was kicked from the supergroup chat"), Forbidden),
        (refusal(404, "Not Found"), BadToken),
        (refusal(409, "Conflict: terminated by other getUpdates request"), Conflict),
        (refusal(413, "Request Entity Too Large"), Rejected),
        (refusal(418, "I'm a teapot"), Rejected),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
async def test_each_refusal_has_its_outcome(answer: Answer, outcome: type[Failure]) -> None:
    assert type(await outcome_of(answer)) is outcome


async def test_a_sent_message_says_its_id_and_telegram_s_date() -> None:
    assert await outcome_of(reply()) == Sent(17, 1795424400.0)


async def test_a_429_is_seen_in_the_metrics() -> None:
    answer = refusal(429, "Too Many Requests: retry after 7", retry_after=7)
    async with raw_server(answer) as server, sender_to(server.url) as (sender, metrics):
        await sender.send(BOT, CHAT, "Merhaba", reply_to=None, thread_id=None, timeout=TIMEOUT)
        assert metrics.registry.get_sample_value("piyasad_telegram_retry_after_seconds") == 7
        labels = {"method": "sendMessage", "outcome": "throttled"}
        assert metrics.registry.get_sample_value("piyasad_telegram_requests_total", labels) == 1


# --- what travels
async def test_a_message_is_plain_text_without_previews_and_its_reply_must_exist() -> None:
    async with raw_server(reply()) as server, sender_to(server.url) as (sender, _):
        await sender.send(BOT, CHAT, "*yıldız* <b>", reply_to=12, thread_id=3, timeout=TIMEOUT)
        await sender.send(BOT, CHAT, "düz", reply_to=None, thread_id=None, timeout=TIMEOUT)
        first, second = server.requests
    assert first.path == f"/bot{TOKEN}/sendMessage"
    assert first.body == {
        "chat_id": CHAT,
        "text": "*yıldız* <b>",
        "message_thread_id": 3,
        "reply_parameters": {"message_id": 12, "allow_sending_without_reply": False},
        "link_preview_options": {"is_disabled": True},
    }
    assert second.body == {"chat_id": CHAT, "text": "düz", "link_preview_options": {"is_disabled": True}}


async def test_a_reaction_says_its_type() -> None:
    """`ReactionTypeEmoji.type` must be "emoji" (Bot API); a field left at its default would not travel."""
    async with raw_server(reply(200, {"ok": True, "result": True})) as server, sender_to(server.url) as (sender, _):
        assert await sender.react(BOT, CHAT, 12, "👍") == Done()
        assert server.requests[0].body == {
            "chat_id": CHAT,
            "message_id": 12,
            "reaction": [{"type": "emoji", "emoji": "👍"}],
        }


async def test_a_poll_names_what_it_wants() -> None:
    async with raw_server(reply(200, {"ok": True, "result": []})) as server, sender_to(server.url) as (sender, _):
        assert await sender.updates(BOT, 0, 30.0, ("message", "my_chat_member")) == []
        assert await sender.updates(BOT, 5, 0, ("message",)) == []
        first, second = (request.body for request in server.requests)
    assert first == {"timeout": 30, "limit": 100, "allowed_updates": ["message", "my_chat_member"]}
    assert second == {"offset": 5, "timeout": 0, "limit": 100, "allowed_updates": ["message"]}


async def test_an_update_that_nobody_can_read_does_not_hold_up_the_others() -> None:
    rows = [
        {"update_id": 1, "message": {"message_id": "?", "from_the_future": True}},
        {
            "update_id": 2,
            "message": {"message_id": 9, "date": 1, "chat": {"id": CHAT, "type": "supergroup"}, "text": "x"},
        },
    ]
    async with raw_server(reply(200, {"ok": True, "result": rows})) as server, sender_to(server.url) as (sender, _):
        updates = await sender.updates(BOT, 0, 0, ("message",))
    assert isinstance(updates, list)
    assert [update.update_id for update in updates] == [1, 2]
    assert updates[0].message is None
    assert updates[1].message is not None


@pytest.mark.parametrize("content", [{"ok": True, "result": 5}, {"ok": True, "result": [{"no": "number"}]}, [], b"<>"])
async def test_updates_that_are_none_are_an_outcome(content: object) -> None:
    async with raw_server(reply(200, content)) as server, sender_to(server.url) as (sender, _):
        assert isinstance(await sender.updates(BOT, 0, 0, ("message",)), Uncertain)


async def test_a_stranger_s_failure_shows_no_token(caplog: pytest.LogCaptureFixture) -> None:
    answers: list[Callable[[], Answer]] = [lambda: cut, lambda: refusal(400, f"Bad Request: /bot{TOKEN}/ is odd")]
    for answer in answers:
        result = await outcome_of(answer())
        assert TOKEN not in repr(result)
    clients = Clients("http://127.0.0.1:9", 1)
    clients.add(BOT, TOKEN)
    assert TOKEN not in repr(clients)
    await clients.close()
    assert TOKEN not in caplog.text


async def test_the_public_api_is_shown_twenty_new_tokens_a_minute() -> None:
    clients = Clients(PUBLIC_API, 1)
    try:
        for bot in range(20):
            assert clients.wait_new(bot) == 0
        assert clients.wait_new(20) > 50
        assert clients.wait_new(3) == 0, "who was shown already may go on"
        clients.add(3, f"3:{'a' * 35}")
        clients.add(3, f"3:{'b' * 35}")
        assert clients.wait_new(3) > 50, "a new token is a new one"
    finally:
        await clients.close()
    own = Clients("http://127.0.0.1:9", 1)
    assert [own.wait_new(bot) for bot in range(100)] == [0.0] * 100
    await own.close()


async def test_a_chat_s_allowed_reactions_are_read_whatever_else_the_chat_says() -> None:
    allowed = [{"type": "emoji", "emoji": "👍"}, {"type": "custom_emoji", "custom_emoji_id": "5"}, "new"]
    chat = {"ok": True, "result": {"id": CHAT, "available_reactions": allowed}}
    async with raw_server(reply(200, chat)) as server, sender_to(server.url) as (sender, _):
        assert await sender.reactions(BOT, CHAT) == ("👍",)


@pytest.mark.parametrize("content", [{"ok": True, "result": True}, {"ok": True}, b"<html>"])
async def test_a_member_or_chat_that_is_none_is_an_outcome(content: object) -> None:
    async with raw_server(reply(200, content)) as server, sender_to(server.url) as (sender, _):
        assert isinstance(await sender.is_admin(BOT, CHAT), Uncertain)
        assert isinstance(await sender.reactions(BOT, CHAT), Uncertain)


# --- against the sandbox
@pytest.fixture
def town(sandbox: Sandbox) -> tuple[Sandbox, tuple[int, str]]:
    """A sandbox with one chat and one bot in it, its administrator."""
    token = sandbox.add_bot(BOT, "Mehmet Yatırımcı", "mehmet_deneme_bot")
    sandbox.add_chat(CHAT, "Piyasa", bots=[BOT], admins=[BOT])
    return sandbox, (BOT, token)


async def test_what_the_sender_says_is_what_the_sandbox_has(town: tuple[Sandbox, tuple[int, str]]) -> None:
    sandbox, bot = town
    async with sender_to(sandbox.telegram_url, bot) as (sender, _):
        person = sandbox.say(CHAT, "Deniz", "Merhaba")
        sent = await sender.send(BOT, CHAT, "Günaydın!", reply_to=person.id, thread_id=None, timeout=TIMEOUT)
        assert isinstance(sent, Sent)
        delivered = [row for row in sandbox.messages(CHAT) if row["id"] == sent.message_id]
        assert [row["text"] for row in delivered] == ["Günaydın!"]
        assert await sender.typing(BOT, CHAT, None) == Done()
        assert await sender.react(BOT, CHAT, person.id, "👍") == Done()
        assert isinstance(await sender.react(BOT, CHAT, person.id, "📈"), Rejected)
        assert await sender.pin(BOT, CHAT, sent.message_id) == Done()
        assert await sender.set_profile(BOT, name="Mehmet 🤖", description="Yapay zekâ", short=None) == Done()
        assert await sender.name(BOT) == "Mehmet 🤖"
        assert await sender.descriptions(BOT) == ("Yapay zekâ", "")
        assert isinstance(await sender.hears_all(BOT), bool)
        assert await sender.is_admin(BOT, CHAT) is True
        assert await sender.reactions(BOT, CHAT) is None
        assert await sender.drop_webhook(BOT) == Done()
        gone = await sender.send(BOT, CHAT, "Kime?", reply_to=4444, thread_id=None, timeout=TIMEOUT)
        assert isinstance(gone, ReplyGone)
        assert await sender.leave(BOT, CHAT) == Done()
        out = await sender.send(BOT, CHAT, "Geri döndüm", reply_to=None, thread_id=None, timeout=TIMEOUT)
        assert isinstance(out, Forbidden)


async def test_a_profile_change_ends_with_the_first_refusal(town: tuple[Sandbox, tuple[int, str]]) -> None:
    sandbox, bot = town
    async with sender_to(sandbox.telegram_url, bot) as (sender, _):
        result = await sender.set_profile(BOT, name="x" * 65, description="kalır", short="kalır")
        assert isinstance(result, Rejected)
        assert await sender.descriptions(BOT) == ("", "")


@pytest.mark.parametrize("method", ["getMyName", "getMyDescription", "getMyShortDescription"])
async def test_a_profile_that_cannot_be_read_is_an_outcome(town: tuple[Sandbox, tuple[int, str]], method: str) -> None:
    sandbox, bot = town
    sandbox.api.faults.append(Fault("bad_token", method=method))
    async with sender_to(sandbox.telegram_url, bot) as (sender, _):
        read = sender.name(BOT) if method == "getMyName" else sender.descriptions(BOT)
        assert isinstance(await read, BadToken)


async def test_a_429_pauses_that_method_of_that_bot_and_no_other(town: tuple[Sandbox, tuple[int, str]]) -> None:
    sandbox, bot = town
    sandbox.api.faults.append(Fault("429", method="getMyName", seconds=30.0))
    async with sender_to(sandbox.telegram_url, bot) as (sender, _):
        assert isinstance(await sender.name(BOT), Throttled)
        asked = sandbox.api.tally.requests["getmyname"]
        again = await sender.name(BOT)
        assert isinstance(again, Throttled)
        assert 0 < again.retry_after <= 30.0
        assert sandbox.api.tally.requests["getmyname"] == asked  # no request was made
        assert await sender.descriptions(BOT) == ("", "")
        assert isinstance(await sender.send(BOT, CHAT, "Selam", reply_to=None, thread_id=None, timeout=TIMEOUT), Sent)


@pytest.mark.parametrize(("kind", "delivered"), [("cut_before", 0), ("cut_after", 1), ("500", 0)])
async def test_the_sandbox_s_cuts_are_uncertain_and_sent_once_at_most(
    town: tuple[Sandbox, tuple[int, str]], kind: str, delivered: int
) -> None:
    sandbox, bot = town
    sandbox.api.faults.append(Fault(kind, method="sendMessage"))
    async with sender_to(sandbox.telegram_url, bot) as (sender, _):
        result = await sender.send(BOT, CHAT, "Bir kere", reply_to=None, thread_id=None, timeout=TIMEOUT)
        assert isinstance(result, Uncertain)
        assert sandbox.api.tally.requests["sendmessage"] == 1
        assert len(sandbox.messages(CHAT)) == delivered
