"""The sandbox's Bot API as aiogram sees it: every method, every refusal, limits, faults."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import (
    ClientDecodeError,
    TelegramBadRequest,
    TelegramForbiddenError,
    TelegramMigrateToChat,
    TelegramNetworkError,
    TelegramNotFound,
    TelegramRetryAfter,
    TelegramServerError,
    TelegramUnauthorizedError,
)
from aiogram.types import LinkPreviewOptions, ReactionTypeEmoji, ReplyParameters

from piyasad.sandbox.server import Sandbox
from piyasad.sandbox.telegram import Fault

CHAT = -1001000000001
ALI, AYSE = 7200000001, 7200000002


@dataclass
class Town:
    """Two bots in one group of a sandbox; `ali` rules there and hears all, `ayse` keeps privacy mode."""

    box: Sandbox
    session: AiohttpSession
    ali: Bot
    ayse: Bot

    def bot(self, token: str) -> Bot:
        return Bot(token, session=self.session)

    async def raw(self, path: str, **keys: Any) -> tuple[int, dict[str, Any]]:
        """A request without aiogram: its status and its JSON."""
        async with (
            aiohttp.ClientSession() as http,
            http.request(keys.pop("how", "POST"), f"{self.box.telegram_url}/{path}", **keys) as answer,
        ):
            return answer.status, json.loads(await answer.text())


@pytest_asyncio.fixture
async def town(sandbox: Sandbox) -> AsyncIterator[Town]:
    ali = sandbox.add_bot(ALI, "Ali Hoca 🤖", "ali_hoca_bot")
    ayse = sandbox.add_bot(AYSE, "Ayşe 🤖", "ayse_bot", privacy=True)
    sandbox.add_chat(CHAT, "Piyasa", bots=[AYSE], admins=[ALI])
    session = AiohttpSession(api=TelegramAPIServer.from_base(sandbox.telegram_url))
    try:
        yield Town(sandbox, session, Bot(ali, session=session), Bot(ayse, session=session))
    finally:
        await session.close()


# --- every method, read by aiogram's own types
async def test_a_bot_knows_itself(town: Town) -> None:
    me = await town.ali.get_me()
    assert (me.id, me.username, me.is_bot, me.can_read_all_group_messages) == (ALI, "ali_hoca_bot", True, True)
    assert (await town.ayse.get_me()).can_read_all_group_messages is False


async def test_a_message_is_sent_seen_and_recorded(town: Town) -> None:
    asked = town.box.say(CHAT, "Deniz", "Dolar ne olur?")
    sent = await town.ali.send_message(
        CHAT,
        "  📈 Kur sakin.  ",
        reply_parameters=ReplyParameters(message_id=asked.id),
        link_preview_options=LinkPreviewOptions(is_disabled=True),
        disable_notification=True,
    )
    assert (sent.text, sent.chat.id, sent.chat.type) == ("📈 Kur sakin.", CHAT, "supergroup")
    assert sent.reply_to_message is not None
    assert sent.reply_to_message.text == "Dolar ne olur?"
    delivered = town.box.messages(CHAT)[-1]
    assert (delivered["id"], delivered["user"], delivered["text"], delivered["reply_to"]) == (
        sent.message_id,
        ALI,
        "📈 Kur sakin.",
        asked.id,
    )


async def test_a_topic_is_written_into_if_it_is_there(town: Town) -> None:
    town.box.add_chat(CHAT, "Piyasa", admins=[ALI], threads=[4])
    sent = await town.ali.send_message(CHAT, "Konuda", message_thread_id=4)
    assert (sent.message_thread_id, sent.is_topic_message, sent.chat.is_forum) == (4, True, True)
    with pytest.raises(TelegramBadRequest, match="message thread not found"):
        await town.ali.send_message(CHAT, "Konuda", message_thread_id=5)


async def test_updates_carry_what_people_do(town: Town) -> None:
    assert await town.ali.get_updates() == []
    line = town.box.say(CHAT, "Deniz", "@ali_hoca_bot ne dersin?")
    town.box.world.edit(town.box.world.groups[CHAT], line, "@ali_hoca_bot ne dersiniz?")
    town.box.world.membership(town.box.world.groups[CHAT], town.box.world.bots[ALI], "member")
    new, edited, moved = await town.ali.get_updates()
    assert new.message is not None
    assert new.message.entities is not None
    assert new.message.entities[0].extract_from(new.message.text or "") == "@ali_hoca_bot"
    assert new.message.from_user is not None
    assert new.message.from_user.first_name == "Deniz"
    assert edited.edited_message is not None
    assert edited.edited_message.text == "@ali_hoca_bot ne dersiniz?"
    assert moved.my_chat_member is not None
    assert moved.my_chat_member.new_chat_member.status == "member"
    assert await town.ali.get_updates(offset=moved.update_id + 1) == []


async def test_privacy_mode_holds_over_http(town: Town) -> None:
    town.box.say(CHAT, "Deniz", "herkese selam")
    town.box.say(CHAT, "Deniz", "@ayse_bot sence?")
    assert len(await town.ali.get_updates()) == 2
    assert [update.message.text for update in await town.ayse.get_updates() if update.message] == ["@ayse_bot sence?"]


async def test_chat_member_reaction_pin_and_typing(town: Town) -> None:
    line = town.box.say(CHAT, "Deniz", "Merhaba")
    assert await town.ali.send_chat_action(CHAT, "typing")
    assert await town.ayse.set_message_reaction(CHAT, line.id, [ReactionTypeEmoji(emoji="👍")])
    assert town.box.messages(CHAT)[0]["reactions"] == {str(AYSE): "👍"}
    assert await town.ayse.set_message_reaction(CHAT, line.id, [])
    assert town.box.messages(CHAT)[0]["reactions"] == {}
    assert await town.ali.pin_chat_message(CHAT, line.id, disable_notification=True)
    chat = await town.ali.get_chat(CHAT)
    assert (chat.title, chat.available_reactions) == ("Piyasa", None)
    assert chat.pinned_message is not None
    assert chat.pinned_message.message_id == line.id
    pins = [update.message for update in await town.ayse.get_updates() if update.message]
    assert [message.pinned_message is not None for message in pins] == [True]
    ruler = await town.ayse.get_chat_member(CHAT, ALI)
    assert (ruler.status, getattr(ruler, "can_pin_messages", None)) == ("administrator", True)
    assert (await town.ali.get_chat_member(CHAT, AYSE)).status == "member"
    assert (await town.ali.get_chat_member(CHAT, line.user)).status == "member"
    town.box.world.membership(town.box.world.groups[CHAT], town.box.world.bots[AYSE], "kicked")
    assert (await town.ali.get_chat_member(CHAT, AYSE)).status == "kicked"


async def test_a_chat_names_the_reactions_it_allows(town: Town) -> None:
    town.box.add_chat(CHAT, "Piyasa", admins=[ALI], reactions=["👍", "🔥"])
    line = town.box.say(CHAT, "Deniz", "Merhaba")
    chat = await town.ali.get_chat(CHAT)
    assert [getattr(each, "emoji", None) for each in chat.available_reactions or ()] == ["👍", "🔥"]
    with pytest.raises(TelegramBadRequest, match="REACTION_INVALID"):
        await town.ali.set_message_reaction(CHAT, line.id, [ReactionTypeEmoji(emoji="🤔")])
    town.box.add_chat(CHAT, "Piyasa", admins=[ALI], reactions=[])
    assert (await town.ali.get_chat(CHAT)).available_reactions == []


async def test_name_and_descriptions_are_kept(town: Town) -> None:
    assert (await town.ali.get_my_name()).name == "Ali Hoca 🤖"
    assert await town.ali.set_my_name("Ali Hoca (yapay zekâ) 🤖")
    assert await town.ali.set_my_description("Yapay zekâ karakteri")
    assert await town.ali.set_my_short_description("Yapay zekâ")
    assert (await town.ali.get_my_name()).name == "Ali Hoca (yapay zekâ) 🤖"
    assert (await town.ali.get_my_description()).description == "Yapay zekâ karakteri"
    assert (await town.ali.get_my_short_description()).short_description == "Yapay zekâ"
    assert (await town.ali.get_me()).first_name == "Ali Hoca (yapay zekâ) 🤖"
    assert await town.ali.set_my_name("")
    for too_long in (
        town.ali.set_my_name("x" * 65),
        town.ali.set_my_description("x" * 513),
        town.ali.set_my_short_description("x" * 121),
    ):
        with pytest.raises(TelegramBadRequest, match="too long"):
            await too_long


async def test_webhooks_are_none_and_leaving_is_told(town: Town) -> None:
    town.box.say(CHAT, "Deniz", "Merhaba")
    info = await town.ali.get_webhook_info()
    assert (info.url, info.pending_update_count) == ("", 1)
    assert await town.ali.delete_webhook(drop_pending_updates=True)
    assert await town.ali.leave_chat(CHAT)
    (left,) = await town.ali.get_updates()
    assert left.my_chat_member is not None
    assert left.my_chat_member.new_chat_member.status == "left"
    with pytest.raises(TelegramForbiddenError, match="bot is not a member of the supergroup chat"):
        await town.ali.send_message(CHAT, "Geri döndüm")


async def test_in_private_the_person_begins(town: Town) -> None:
    deniz = town.box.world.person("Deniz")
    with pytest.raises(TelegramForbiddenError, match="bot can't initiate conversation with a user"):
        await town.ali.send_message(deniz.id, "Merhaba")
    town.box.world.whisper(town.box.world.bots[ALI], deniz, "/start")
    (update,) = await town.ali.get_updates()
    assert update.message is not None
    assert (update.message.chat.type, update.message.text) == ("private", "/start")
    assert await town.ali.send_chat_action(deniz.id, "typing")
    sent = await town.ali.send_message(deniz.id, "Merhaba", reply_parameters=ReplyParameters(message_id=1))
    assert sent.chat.id == deniz.id
    assert [row["text"] for row in town.box.messages(deniz.id)] == ["/start", "Merhaba"]
    assert town.box.messages() == []


# --- refusals, in Telegram's words
@pytest.mark.parametrize(
    ("method", "given", "code", "words"),
    [
        ("sendMessage", {"chat_id": CHAT}, 400, "Bad Request: message text is empty"),
        ("sendMessage", {"chat_id": CHAT, "text": ""}, 400, "Bad Request: message text is empty"),
        ("sendMessage", {"chat_id": CHAT, "text": None}, 400, "Bad Request: message text is empty"),
        ("sendMessage", {"chat_id": CHAT, "text": " \n "}, 400, "Bad Request: text must be non-empty"),
        ("sendMessage", {"chat_id": CHAT, "text": "x" * 4097}, 400, "Bad Request: message is too long"),
        ("sendMessage", {"chat_id": CHAT, "text": "📈" * 2049}, 400, "Bad Request: message is too long"),
        ("sendMessage", {"chat_id": CHAT, "text": "ş" * 20000}, 400, "Bad Request: text is too long"),
        ("sendMessage", {"chat_id": CHAT, "text": "\ud800"}, 400, "Bad Request: strings must be encoded in UTF-8"),
        ("sendMessage", {"text": "Merhaba"}, 400, "Bad Request: chat_id is empty"),
        ("sendMessage", {"chat_id": "Piyasa", "text": "Merhaba"}, 400, "Bad Request: chat not found"),
        ("sendMessage", {"chat_id": -1009, "text": "Merhaba"}, 400, "Bad Request: chat not found"),
        ("sendMessage", {"chat_id": 999, "text": "Merhaba"}, 400, "Bad Request: chat not found"),
        (
            "sendMessage",
            {"chat_id": CHAT, "text": "Merhaba", "reply_parameters": {"message_id": 77}},
            400,
            "Bad Request: message to be replied not found",
        ),
        (
            "sendMessage",
            {"chat_id": CHAT, "text": "Merhaba", "reply_parameters": "{"},
            400,
            "Bad Request: can't parse reply parameters JSON object",
        ),
        (
            "sendMessage",
            {"chat_id": CHAT, "text": "Merhaba", "reply_parameters": "[1]"},
            400,
            "Bad Request: object expected as reply parameters",
        ),
        (
            "sendChatAction",
            {"chat_id": CHAT, "action": "thinking"},
            400,
            "Bad Request: wrong parameter action in request",
        ),
        ("setMessageReaction", {"chat_id": CHAT, "message_id": 9}, 400, "Bad Request: message to react not found"),
        (
            "setMessageReaction",
            {"chat_id": CHAT, "message_id": 1, "reaction": [{"type": "emoji", "emoji": "📈"}]},
            400,
            "Bad Request: REACTION_INVALID",
        ),
        (
            "setMessageReaction",
            {"chat_id": CHAT, "message_id": 1, "reaction": [{"type": "emoji", "emoji": "👍"}] * 2},
            400,
            "Bad Request: REACTIONS_TOO_MANY",
        ),
        (
            "setMessageReaction",
            {"chat_id": CHAT, "message_id": 1, "reaction": '["👍"]'},
            400,
            "Bad Request: expected an Array of ReactionType",
        ),
        ("pinChatMessage", {"chat_id": CHAT, "message_id": 9}, 400, "Bad Request: message to pin not found"),
        (
            "pinChatMessage",
            {"chat_id": CHAT, "message_id": 1},
            400,
            "Bad Request: not enough rights to manage pinned messages in the chat",
        ),
        ("getChatMember", {"chat_id": CHAT, "user_id": 42}, 400, "Bad Request: PARTICIPANT_ID_INVALID"),
        ("getChatMember", {"chat_id": CHAT}, 400, "Bad Request: invalid user_id specified"),
        ("getChat", {"chat_id": -1008}, 400, "Bad Request: chat not found"),
        ("sendSticker", {"chat_id": CHAT}, 404, "Not Found: method not found"),
        ("", {}, 404, "Not Found: method not found"),
    ],
)
async def test_refusals_are_worded_as_the_real_ones(
    town: Town, method: str, given: dict[str, Any], code: int, words: str
) -> None:
    town.box.say(CHAT, "Deniz", "Merhaba")
    status, answer = await town.raw(f"bot{town.ayse.token}/{method}", json=given)
    assert (status, answer) == (code, {"ok": False, "error_code": code, "description": words})
    assert len(town.box.messages()) == 1


@pytest.mark.parametrize(
    ("token", "code", "words"),
    [
        ("abc", 404, "Not Found"),
        ("123:", 404, "Not Found"),
        (":abc", 404, "Not Found"),
        ("0123:abc", 404, "Not Found"),
        ("", 404, "Not Found"),
        ("123:" + "x" * 90, 404, "Not Found"),
        ("7200000009:AbCdEfGhIjKlMnOpQrStUvWxYz_0123456", 401, "Unauthorized"),
    ],
)
async def test_a_token_that_is_none(town: Town, token: str, code: int, words: str) -> None:
    status, answer = await town.raw(f"bot{token}/getMe")
    assert (status, answer) == (code, {"ok": False, "error_code": code, "description": words})


async def test_errors_become_aiogram_s_own(town: Town) -> None:
    world = town.box.world
    with pytest.raises(TelegramNotFound):
        await town.bot(f"{ALI}:x" + "x" * 80).get_me()
    world.membership(world.groups[CHAT], world.bots[AYSE], "kicked")
    with pytest.raises(TelegramForbiddenError, match="bot was kicked from the supergroup chat"):
        await town.ayse.send_message(CHAT, "Merhaba")
    basic = world.add_group(-77, "Eski", bots=[ALI])
    with pytest.raises(TelegramForbiddenError, match="bot is not a member of the group chat"):
        await town.ayse.send_message(-77, "Merhaba")
    world.migrate(basic, -1001000000077)
    with pytest.raises(TelegramMigrateToChat) as moved:
        await town.ali.send_message(-77, "Merhaba")
    assert moved.value.migrate_to_chat_id == -1001000000077
    assert (await town.ali.send_message(-1001000000077, "Merhaba")).message_id == 2
    world.revoked[town.ali.token] = None
    with pytest.raises(TelegramUnauthorizedError):
        await town.ali.get_me()


async def test_a_reply_to_nothing_is_sent_without_it_if_that_is_allowed(town: Town) -> None:
    lost = ReplyParameters(message_id=77, allow_sending_without_reply=True)
    sent = await town.ali.send_message(CHAT, "Merhaba", reply_parameters=lost)
    assert sent.reply_to_message is None


async def test_parameters_come_in_every_way_that_the_real_server_takes(town: Town) -> None:
    town.box.api.limits.change({"chat_per_second": 100})
    path = f"bot{town.ali.token}/SendMessage"
    text = {"chat_id": str(CHAT), "text": "Merhaba"}
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("chat_id", str(CHAT))
    form.add_field("text", "Merhaba")
    answers = [
        await town.raw(path, how="GET", params=text),
        await town.raw(path, data=text),
        await town.raw(path, data=form),
        await town.raw(path, json={"chat_id": CHAT, "text": "Merhaba"}),
        await town.raw(path, params={"chat_id": str(CHAT)}, json={"text": "Merhaba"}),
        await town.raw(path, json={"chat_id": CHAT, "text": 100}),
    ]
    assert [(status, answer["ok"]) for status, answer in answers] == [(200, True)] * 6
    assert [row["text"] for row in town.box.messages()] == ["Merhaba"] * 5 + ["100"]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"data": "{", "headers": {"Content-Type": "application/json"}}, "parse request body as JSON"),
        ({"json": [1]}, "must be an object"),
        ({"data": "x", "headers": {"Content-Type": "multipart/form-data"}}, "parse the form"),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused(town: Town, keys: dict[str, Any], words: str) -> None:
    status, answer = await town.raw(f"bot{town.ali.token}/sendMessage", **keys)
    assert status == 400
    assert words in answer["description"]


# --- limits
async def test_a_message_too_many_is_refused_with_the_wait_and_written_down(town: Town) -> None:
    await town.ali.send_message(CHAT, "bir")
    with pytest.raises(TelegramRetryAfter) as refused:
        await town.ali.send_message(CHAT, "iki")
    assert refused.value.retry_after == 1
    assert [row["text"] for row in town.box.messages()] == ["bir"]
    assert [(each["bot"], each["chat"], each["limit"]) for each in town.box.violations] == [
        (ALI, CHAT, "chat_per_second")
    ]
    assert town.box.api.tally.throttled == 1


async def test_a_429_says_the_wait_in_its_header_too(town: Town) -> None:
    town.box.api.faults.append(Fault("429", seconds=7))
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{town.box.telegram_url}/bot{town.ali.token}/getMe") as answer,
    ):
        assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
        assert (await answer.json())["parameters"] == {"retry_after": 7}


async def test_opened_limits_let_everything_through(town: Town) -> None:
    town.box.api.limits.change({"per_second": 1e9, "chat_per_second": 1e9, "group_per_minute": 1e9})
    await asyncio.gather(*(town.ali.send_message(CHAT, f"{number}") for number in range(60)))
    assert sorted(int(row["text"]) for row in town.box.messages()) == list(range(60))
    assert town.box.violations == []
    assert town.box.api.tally.requests["sendmessage"] == 60


async def test_new_tokens_are_limited_when_told_to(town: Town) -> None:
    town.box.api.limits.change({"new_tokens_per_minute": 1})
    await town.ali.get_me()
    with pytest.raises(TelegramRetryAfter):
        await town.ayse.get_me()
    await town.ali.get_me()


# --- faults
@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("429", TelegramRetryAfter),
        ("500", TelegramServerError),
        ("502", ClientDecodeError),
        ("kicked", TelegramForbiddenError),
        ("bad_token", TelegramUnauthorizedError),
        ("cut_before", TelegramNetworkError),
    ],
)
async def test_a_fault_before_the_message_is_accepted_delivers_nothing(
    town: Town, kind: str, error: type[Exception]
) -> None:
    town.box.api.faults.append(Fault(kind, method="sendMessage", bot=ALI, chat=CHAT, times=1))
    await town.ayse.send_message(CHAT, "başka bir bot")
    with pytest.raises(error):
        await town.ali.send_message(CHAT, "olmadı")
    assert [row["text"] for row in town.box.messages()] == ["başka bir bot"]
    await town.ali.send_message(CHAT, "oldu")
    assert town.box.messages()[-1]["text"] == "oldu"


async def test_a_cut_after_the_message_was_accepted_delivers_it_without_an_answer(town: Town) -> None:
    town.box.api.faults.append(Fault("cut_after", method="sendMessage", times=1))
    with pytest.raises(TelegramNetworkError):
        await town.ali.send_message(CHAT, "gitti")
    assert [row["text"] for row in town.box.messages()] == ["gitti"]


async def test_latency_comes_before_anything_is_done(town: Town) -> None:
    town.box.api.faults.append(Fault("latency", method="sendMessage", seconds=0.2))
    sending = asyncio.create_task(town.ali.send_message(CHAT, "yavaş"))
    await asyncio.sleep(0.05)
    assert town.box.messages() == []
    await sending
    assert len(town.box.messages()) == 1


async def test_a_bad_gateway_answers_no_json(town: Town) -> None:
    town.box.api.faults.append(Fault("502"))
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{town.box.telegram_url}/bot{town.ali.token}/getMe") as answer,
    ):
        assert (answer.status, answer.content_type) == (502, "text/html")
