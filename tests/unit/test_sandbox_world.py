"""The sandbox's world: updates, membership, the record over restarts."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from piyasad.sandbox.objects import Bot, message, row
from piyasad.sandbox.polls import forget
from piyasad.sandbox.world import World

CHAT = -1001000000001
DESCRIBED: dict[str, Any] = {
    "header": "Sandbox",
    "bots": [
        {"id": 1, "token": "1:x", "name": "Ali 🤖", "username": "ali_bot", "colour": "#2f8f5b"},
        {"id": 2, "token": "2:x", "name": "Ayşe 🤖", "username": "ayse_bot", "privacy": True},
    ],
    "people": [{"id": 501, "name": "Deniz"}],
    "chats": [{"id": CHAT, "title": "Piyasa", "bots": [2], "admins": [1]}],
}


def made(state: Path | None = None, described: dict[str, Any] | None = None, at: float = 1795424400.25) -> World:
    world = World(state, now=lambda: at)
    world.load(DESCRIBED if described is None else described)
    return world


def kinds(bot: Bot) -> list[str]:
    return [next(key for key in update if key != "update_id") for update in bot.updates]


# --- what happens
def test_message_ids_of_a_supergroup_are_one_row_for_all() -> None:
    world = made()
    group, deniz = world.groups[CHAT], world.person("Deniz")
    first = world.say(group, deniz, "Merhaba")
    second = world.send(world.bots[1], group, "Hoş geldin", first.id, None)
    world.pin(group, second, 1)
    third = world.send(world.bots[2], group, "Selam", None, None)
    assert [first.id, second.id, third.id] == [1, 2, 4], "the service message about the pin has the third"
    assert message(second)["reply_to_message"]["text"] == "Merhaba"


def test_an_update_is_queued_only_for_kinds_that_were_asked_for() -> None:
    world = made()
    world.bots[1].allowed = ("message",)
    line = world.say(world.groups[CHAT], world.person("Deniz"), "Merhaba")
    world.edit(world.groups[CHAT], line, "Merhabalar")
    world.membership(world.groups[CHAT], world.bots[1], "member")
    assert kinds(world.bots[1]) == ["message"]


def test_an_edit_goes_to_those_who_may_see_the_message_and_only_if_it_changes_it() -> None:
    world = made()
    group = world.groups[CHAT]
    line = world.say(group, world.person("Deniz"), "@ayse_bot ne dersin?")
    world.edit(group, line, "@ayse_bot ne dersin?")
    assert (kinds(world.bots[1]), kinds(world.bots[2])) == (["message"], ["message"])
    world.edit(group, line, "boş verin")
    assert kinds(world.bots[1]) == ["message", "edited_message"]
    assert kinds(world.bots[2]) == ["message"], "it does not mention that bot any more"
    assert world.bots[1].updates[-1]["edited_message"]["edit_date"] == 1795424400


def test_a_service_message_reaches_every_bot_of_the_group_and_its_cause() -> None:
    world = made()
    group = world.groups[CHAT]
    line = world.send(world.bots[1], group, "Duyuru", None, None)
    world.pin(group, line, 1)
    assert (kinds(world.bots[1]), kinds(world.bots[2])) == (["message"], ["message"])
    assert world.bots[2].updates[-1]["message"]["pinned_message"]["message_id"] == line.id


@pytest.mark.parametrize("status", ["member", "administrator", "left", "kicked"])
def test_a_bot_learns_of_its_own_membership(status: str) -> None:
    world = made()
    world.membership(world.groups[CHAT], world.bots[1], status)
    change = world.bots[1].updates[-1]["my_chat_member"]
    assert (change["old_chat_member"]["status"], change["new_chat_member"]["status"]) == ("administrator", status)
    assert kinds(world.bots[2]) == []


def test_a_status_that_is_none_is_refused() -> None:
    world = made()
    with pytest.raises(ValueError, match="no such status"):
        world.membership(world.groups[CHAT], world.bots[1], "creator")


def test_a_basic_group_moves_with_its_members() -> None:
    world = made()
    old = world.add_group(-77, "Eski", bots=[2], admins=[1])
    new = world.migrate(old, -1001000000007)
    assert (old.kind, new.kind, new.members, old.moved_to) == ("group", "supergroup", old.members, -1001000000007)
    told = [update["message"] for update in world.bots[2].updates]
    assert [each.get("migrate_to_chat_id") or each.get("migrate_from_chat_id") for each in told] == [
        -1001000000007,
        -77,
    ]


def test_a_whisper_is_a_private_chat_of_those_two() -> None:
    world = made()
    deniz = world.person("Deniz")
    world.whisper(world.bots[1], deniz, "selam")
    world.send(world.bots[1], world.dialogue(world.bots[1], deniz), "merhaba", None, None)
    assert kinds(world.bots[1]) == ["message"]
    assert world.bots[1].updates[0]["message"]["chat"] == {"id": 501, "first_name": "Deniz", "type": "private"}
    assert [each["text"] for each in world.rows(501)] == ["selam", "merhaba"]
    assert world.rows() == [], "private lines are no lines of groups"


def test_bots_hear_each_other_in_bot_to_bot_mode_only() -> None:
    world = made()
    world.send(world.bots[2], world.groups[CHAT], "Merhaba", None, None)
    assert kinds(world.bots[1]) == []
    world.add_bot(1, "1:x", "Ali 🤖", "ali_bot", bot_to_bot=True)
    world.send(world.bots[2], world.groups[CHAT], "Merhaba", None, None)
    assert kinds(world.bots[1]) == ["message"]
    world.add_bot(1, "1:x", "Ali 🤖", "ali_bot")
    world.send(world.bots[2], world.groups[CHAT], "Merhaba", None, None)
    assert kinds(world.bots[1]) == ["message"]


@pytest.mark.parametrize(
    ("offset", "left"), [(0, [10, 11, 12]), (10, [10, 11, 12]), (12, [12]), (13, []), (14, [10, 11, 12]), (-1, [12])]
)
def test_an_offset_confirms_what_is_before_it(offset: int, left: list[int]) -> None:
    bot = Bot(1, "1:x", "Ali", "ali_bot", next_update=10)
    world = World()
    for _ in range(3):
        world.push(bot, {"message": {}})
    forget(bot, offset)
    assert [update["update_id"] for update in bot.updates] == left


def test_a_page_that_does_not_read_is_sent_away() -> None:
    world = made()
    queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    world.listeners.append(queue)
    for _ in range(1200):
        world.typing(world.bots[1], world.groups[CHAT])
    events = [queue.get_nowait() for _ in range(queue.qsize())]
    assert len(events) == 1001
    assert events[-1] == {"type": "end"}


# --- descriptions
@pytest.mark.parametrize(
    "described",
    [
        {"bots": [{"id": "1", "token": "1:x", "name": "A", "username": "a_bot"}]},
        {"bots": [{"id": 1, "token": "1:x", "name": "A"}]},
        {"bots": [{"id": 1, "token": "1:x", "name": "A", "username": "a_bot", "age": 3}]},
        {"bots": ["ali"]},
        {"bots": 3},
        {"chats": [{"id": 5, "title": "Piyasa"}]},
        {"chats": [{"id": CHAT, "title": "Piyasa", "bots": [99]}]},
        {"people": [{"name": "Deniz"}]},
        [],
    ],
)
def test_a_wrong_description_is_a_value_error(described: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        World().load(described)


# --- the record
def test_everything_is_as_it_was_after_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "sandbox.jsonl"
    world = made(state)
    group, deniz = world.groups[CHAT], world.person("Deniz")
    first = world.say(group, deniz, "Merhaba")
    second = world.send(world.bots[1], group, "Hoş geldin", first.id, None)
    world.edit(group, first, "Merhabalar")
    world.react(group, second, deniz.id, "👍")
    world.react(group, first, 1, "🔥")
    world.react(group, first, 1, None)
    world.pin(group, second, 1)
    world.rename(world.bots[1], name="Ali Hoca 🤖", description="Yapay zekâ")
    world.membership(group, world.bots[2], "kicked")
    world.bot_from({"id": 3, "token": "3:x", "name": "Yeni", "username": "yeni_bot", "bot_to_bot": True})
    other = world.add_group(-1001000000002, "Öteki", admins=[3], reactions=["👍"], threads=[4])
    world.send(world.bots[3], other, "Konuda", None, 4)
    basic = world.add_group(-77, "Eski", bots=[3])
    world.migrate(basic, -1001000000003)
    world.whisper(world.bots[1], world.person("Ece"), "selam")
    world.close()
    again = made(state)
    again.close()
    assert again.rows() == world.rows()
    assert again.rows(502) == world.rows(502)
    for chat, before in world.groups.items():
        after = again.groups[chat]
        assert (after.members, after.pinned, after.next_id, after.reactions, after.threads, after.moved_to) == (
            before.members,
            before.pinned,
            before.next_id,
            before.reactions,
            before.threads,
            before.moved_to,
        )
    assert again.bots[1].user() == world.bots[1].user()
    assert again.bots[1].description == "Yapay zekâ"
    assert again.tokens["3:x"].bot_to_bot
    assert again.person("Ece").id == 502


def test_the_record_of_a_second_life_goes_on_where_the_first_ended(tmp_path: Path) -> None:
    state = tmp_path / "sandbox.jsonl"
    for life in range(3):
        world = made(state)
        line = world.say(world.groups[CHAT], world.person("Deniz"), f"{life}")
        assert line.id == life + 1
        world.close()
    world = made(state)
    world.close()
    assert [each["text"] for each in world.rows()] == ["0", "1", "2"]


def test_a_line_torn_by_a_kill_takes_no_other_with_it(tmp_path: Path) -> None:
    state = tmp_path / "sandbox.jsonl"
    world = made(state)
    world.say(world.groups[CHAT], world.person("Deniz"), "bir")
    world.close()
    with state.open("a", encoding="utf-8") as file:
        file.write('{"type": "message", "id": 2, "cha')
    world = made(state)
    world.say(world.groups[CHAT], world.person("Deniz"), "iki")
    world.close()
    world = made(state)
    world.close()
    assert [(each["id"], each["text"]) for each in world.rows()] == [(1, "bir"), (2, "iki")]


@pytest.mark.parametrize(
    "junk",
    ["[]", "3", "{}", '{"type": "message"}', '{"type": "edit", "chat": -1001000000001, "id": 99, "text": "x"}'],
)
def test_junk_in_the_record_is_passed_over(tmp_path: Path, junk: str) -> None:
    state = tmp_path / "sandbox.jsonl"
    state.write_text(junk + "\n", encoding="utf-8")
    world = made(state)
    world.close()
    assert world.rows() == []


def test_the_record_is_its_owner_s_only(tmp_path: Path) -> None:
    state = tmp_path / "sandbox.jsonl"
    made(state).close()
    assert os.stat(state).st_mode & 0o777 == 0o600


def test_each_event_is_in_the_file_when_the_call_returns(tmp_path: Path) -> None:
    state = tmp_path / "sandbox.jsonl"
    world = made(state)
    line = world.say(world.groups[CHAT], world.person("Deniz"), "Merhaba")
    assert json.loads(state.read_text(encoding="utf-8").splitlines()[-1]) == row(line)
    world.close()


def test_update_ids_grow_over_a_restart(tmp_path: Path) -> None:
    before = made(at=1795424400.0)
    for _ in range(5):
        before.say(before.groups[CHAT], before.person("Deniz"), "Merhaba")
    after = made(at=1795424460.0)
    assert after.bots[1].next_update > before.bots[1].next_update
