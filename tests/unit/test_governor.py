"""What stops loops of bots, and what puts people first."""

from __future__ import annotations

import pytest

from piyasad.behaviour import governor, people
from piyasad.behaviour.governor import Reason
from tests.unit.room_kit import NOW, Talk


def test_nobody_speaks_twice_while_another_could() -> None:
    talk = Talk()
    assert governor.may_speak(talk.room.view(NOW), 1, NOW, bots=4) is None
    talk.bot(1)
    view = talk.room.view(NOW)
    assert governor.may_speak(view, 1, NOW, bots=2) is Reason.TWICE
    assert governor.may_speak(view, 2, NOW, bots=2) is None
    assert governor.may_speak(view, 1, NOW, bots=1) is None


def test_a_person_between_lets_a_bot_speak_again() -> None:
    talk = Talk()
    talk.bot(1)
    talk.person()
    assert governor.may_speak(talk.room.view(NOW), 1, NOW, bots=4) is None


def test_a_pair_does_not_hold_the_floor_when_a_third_could_speak() -> None:
    talk = Talk()
    for speaker in (1, 2, 1, 2):
        talk.bot(speaker)
    view = talk.room.view(NOW)
    assert governor.may_speak(view, 1, NOW, bots=3) is Reason.PAIR_RUN
    assert governor.may_speak(view, 3, NOW, bots=3) is None
    assert governor.may_speak(view, 1, NOW, bots=2) is None


@pytest.mark.parametrize("speakers", [(1, 3, 1, 2), (2, 2, 1, 2), (1, 2, None, 2), (3, 2, 1, 2)])
def test_three_lines_by_turns_are_no_run(speakers: tuple[int | None, ...]) -> None:
    talk = Talk()
    for speaker in speakers:
        talk.person() if speaker is None else talk.bot(speaker)
    assert governor.may_speak(talk.room.view(NOW), 1, NOW, bots=3) is None


def test_an_old_run_is_forgotten() -> None:
    talk = Talk()
    for speaker in (1, 2, 1, 2):
        talk.bot(speaker, ago=700)
    assert governor.may_speak(talk.room.view(NOW), 1, NOW, bots=3) is None


def test_a_chain_of_replies_ends_at_depth_six() -> None:
    talk = Talk()
    last = talk.bot(9)
    for number in range(6):
        assert governor.may_reply(talk.room.view(NOW), 7, talk.line(last), NOW, share_left=True) is None
        last = talk.bot(10 + number, to=last)
    assert talk.line(last).depth == 6
    assert governor.may_reply(talk.room.view(NOW), 7, talk.line(last), NOW, share_left=True) is Reason.DEPTH


def test_a_person_may_always_be_replied_to() -> None:
    talk = Talk()
    asked = talk.person(to=talk.bot(1))
    assert governor.may_reply(talk.room.view(NOW), 1, talk.line(asked), NOW, share_left=False) is None


def test_a_pair_replies_to_each_other_four_times_in_a_row_at_most() -> None:
    talk = Talk()
    last = talk.bot(1, ago=300)
    for number in range(4):
        speaker, other = (2, 1) if number % 2 == 0 else (1, 2)
        assert governor.may_reply(talk.room.view(NOW), speaker, talk.line(last), NOW, share_left=True) is None
        last = talk.bot(speaker, ago=290 - number, to=last)
        assert other != speaker
    assert governor.may_reply(talk.room.view(NOW), 2, talk.line(last), NOW, share_left=True) is Reason.PAIR_RUN
    assert governor.may_reply(talk.room.view(NOW), 3, talk.line(last), NOW, share_left=True) is None


def test_a_pair_replies_to_each_other_eight_times_in_ten_minutes_at_most() -> None:
    talk = Talk()
    for number in range(8):
        start = talk.bot(1, ago=500 - number * 20)
        talk.bot(2, ago=490 - number * 20, to=start)
        talk.bot(3, ago=489 - number * 20)
    start = talk.bot(1, ago=5)
    assert governor.may_reply(talk.room.view(NOW), 2, talk.line(start), NOW, share_left=True) is Reason.PAIR_RATE
    assert governor.may_reply(talk.room.view(NOW), 2, talk.line(start), NOW + 300, share_left=True) is None


def test_at_most_seven_tenths_of_the_lines_answer_a_bot() -> None:
    talk = Talk()
    assert not governor.replies_allowed(talk.room.view(NOW), NOW)
    for _ in range(3):
        talk.bot(1)
    view = talk.room.view(NOW)
    assert governor.replies_allowed(view, NOW)
    sent = answers = 0
    for number in range(60):
        allowed = governor.replies_allowed(talk.room.view(NOW), NOW)
        talk.bot(10 + number, to=1001 if allowed else None)
        sent, answers = sent + 1, answers + allowed
    assert 0.6 < answers / (sent + 3) <= 0.7


def test_with_people_about_replies_to_bots_are_free() -> None:
    talk = Talk()
    talk.person(ago=30)
    assert governor.replies_allowed(talk.room.view(NOW), NOW)
    assert not governor.replies_allowed(talk.room.view(NOW), NOW + 600)


# --- people first


def test_two_people_in_exchange_are_seen_until_three_minutes_after() -> None:
    talk = Talk()
    talk.person(user=1, ago=200)
    talk.person(user=2, ago=150)
    assert not people.talking(talk.room.view(NOW), NOW)
    talk.bot(1, ago=120)
    talk.person(user=1, ago=100)
    view = talk.room.view(NOW)
    assert people.talking(view, NOW)
    assert people.talking(view, NOW + 79)
    assert not people.talking(view, NOW + 80)


def test_one_person_alone_or_a_slow_pair_is_no_exchange() -> None:
    talk = Talk()
    for ago in (50, 40, 30, 20):
        talk.person(user=1, ago=ago)
    assert not people.talking(talk.room.view(NOW), NOW)
    slow = Talk()
    for user, ago in ((1, 300), (2, 150), (1, 10)):
        slow.person(user=user, ago=ago)
    assert not people.talking(slow.room.view(NOW), NOW)


def test_bots_keep_to_their_share_while_people_are_about() -> None:
    talk = Talk()
    for number in range(30):
        talk.bot(1 + number % 4, ago=590 - number)
    assert not people.share_reached(talk.room.view(NOW), NOW, 0.6)
    for number in range(4):
        talk.person(ago=200 - number)
    bots = 0
    while not people.share_reached(talk.room.view(NOW), NOW, 0.6):
        talk.bot(1 + bots % 4, ago=100 - bots)
        bots += 1
    assert bots == 6
    assert not people.share_reached(talk.room.view(NOW), NOW + 600, 0.6)
    assert not people.share_reached(talk.room.view(NOW), NOW, 1.0)


def test_what_people_say_to_each_other_is_theirs() -> None:
    talk = Talk()
    handles = {"mehmet_bot"}
    said = talk.person(user=1)
    assert not people.to_a_person(talk.line(said), handles)
    assert people.to_a_person(talk.line(talk.person(user=2, to=said)), handles)
    assert not people.to_a_person(talk.line(talk.person(user=1, to=said)), handles)
    assert people.to_a_person(talk.line(talk.person(to=5)), handles)
    assert people.to_a_person(talk.line(talk.person("@cem_12 ne dersin?")), handles)
    assert not people.to_a_person(talk.line(talk.person("@mehmet_bot ne dersin?")), handles)
    assert not people.to_a_person(talk.line(talk.bot(1, "@cem_12 selam")), handles)
    assert not people.to_a_person(talk.line(talk.person(to=talk.bot(1))), handles)
