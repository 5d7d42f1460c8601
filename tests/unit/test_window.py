"""The live window of a chat."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from piyasad.chat.window import REMEMBERED, WINDOW, Line, Room
from piyasad.language.topics import TopicBook
from piyasad.model import Kind, Mention, Message
from tests.unit.room_kit import CHAT, NOW, Talk


def _message(number: int, at: float) -> Message:
    return Message(number, CHAT, 1, "Bot", Kind.CONTINUE, f"satır {number}", at, telegram_id=number)


def test_a_message_is_added_once_by_telegram_id_and_by_row() -> None:
    room = Room(CHAT)
    first = _message(1, NOW)
    assert room.add(first)
    assert not room.add(first)
    assert not room.add(replace(first, id=99))
    assert not room.add(replace(first, telegram_id=None))
    assert room.known(1)
    assert not room.known(2)
    assert len(room) == 1


def test_a_view_stays_the_same_object_until_something_changes() -> None:
    talk = Talk()
    talk.bot(1)
    view = talk.room.view(NOW)
    assert talk.room.view(NOW + 5) is view
    talk.bot(2)
    assert talk.room.view(NOW + 5) is not view
    assert len(view.messages) == 1


def test_the_window_is_bounded_and_old_ids_stay_known() -> None:
    room = Room(CHAT)
    room.fill(_message(number, NOW + number) for number in range(1, WINDOW + 50))
    assert len(room.view(NOW).messages) == WINDOW
    assert room.known(3)
    assert not room.add(_message(3, NOW + 3))


@given(st.permutations(range(1, 12)))
def test_late_messages_find_their_place_in_time(order: list[int]) -> None:
    room = Room(CHAT)
    room.fill(_message(number, NOW + number) for number in order)
    assert [message.id for message in room.view(NOW).messages] == sorted(order)


def test_a_message_older_than_a_full_window_is_remembered_but_not_shown() -> None:
    room = Room(CHAT)
    room.fill(_message(number, NOW + number) for number in range(10, 10 + WINDOW))
    assert room.add(_message(1, NOW))
    assert room.add(_message(9000, NOW + 15.5))
    shown = [message.id for message in room.view(NOW).messages]
    assert 1 not in shown
    assert 9000 in shown
    assert len(shown) == WINDOW


def test_depth_counts_bots_replies_since_a_person() -> None:
    talk = Talk()
    first = talk.bot(1)
    second = talk.bot(2, to=first)
    third = talk.bot(1, to=second)
    asked = talk.person("Neden?", to=third)
    talk.bot(2, to=asked)
    assert [line.depth for line in talk.room.view(NOW).lines] == [0, 1, 2, 0, 0]


def test_an_edit_is_read_anew() -> None:
    talk = Talk()
    said = talk.person("Dolar düştü.")
    assert not talk.room.view(NOW).lines[0].question
    assert talk.room.replace_text(said, "Bitcoin düşer mi?")
    line = talk.room.view(NOW).lines[0]
    assert (line.question, line.topics[0]) == (True, "Kripto")
    assert not talk.room.replace_text(1, "yok")


def test_new_topics_sort_the_window_anew() -> None:
    talk = Talk()
    talk.bot(1, "Dolar bugün sakin.")
    talk.room.retopic(("Döviz", "Altın"))
    assert talk.room.view(NOW).lines[0].topics == ("Döviz",)
    view = talk.room.view(NOW)
    talk.room.retopic(("Döviz", "Altın"))
    assert talk.room.view(NOW) is view


def test_news_heats_the_room() -> None:
    talk = Talk()
    talk.bot(1)
    assert talk.room.view(NOW).heat(NOW, 0.6) == 1
    talk.room.news(NOW)
    assert talk.room.view(NOW).heat(NOW, 0.6) > 1


def test_ids_are_not_remembered_without_end() -> None:
    room = Room(CHAT)
    room.fill(_message(number, NOW + number) for number in range(1, REMEMBERED + 10))
    assert not room.known(5)
    assert room.known(20)


def test_a_view_finds_lines_people_and_silence() -> None:
    talk = Talk()
    empty = talk.room.view(NOW)
    assert (empty.last, empty.last_at, empty.last_person_at()) == (None, None, None)
    assert empty.silent_for(NOW) == float("inf")
    said = talk.person(ago=100)
    talk.bot(1, ago=40)
    view = talk.room.view(NOW)
    assert view.last_person_at() == NOW - 100
    assert view.silent_for(NOW) == 40
    line = view.line(said)
    assert line is not None
    assert line.message.telegram_id == said
    assert view.line(None) is None
    assert view.line(5) is None
    assert [each.message.bot_id for each in view.since(NOW - 50)] == [1]


def test_the_accounts_that_a_line_names_are_those_that_telegram_marked() -> None:
    marked = Message(
        1, CHAT, None, "Cem", Kind.PERSON, "@a_bot @b_bot", NOW,
        mentions=(Mention(handle="a_bot"), Mention(user_id=7), Mention(command="/x"), Mention(command="/x", handle="c_bot")),
    )  # fmt: skip
    assert Line.of(marked, TopicBook.of(())).handles == ("a_bot", "#7", "c_bot")
    assert Line.of(replace(marked, mentions=()), TopicBook.of(())).handles == ("a_bot", "b_bot")
