"""How long lines are, and how often they ask."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from piyasad.behaviour import length
from piyasad.config import ConversationSettings
from piyasad.language.length import plan
from piyasad.model import IntentKind, Length
from piyasad.personas.profile import Persona
from tests.unit.room_kit import NOW, Talk, ali, ayse, mehmet, persona, zeynep

SETTINGS = ConversationSettings()


def _shares(who: Persona, kind: IntentKind, *, explains: bool = False) -> dict[Length, float]:
    rng = random.Random(1)
    drawn = Counter(length.draw(rng, SETTINGS, who, kind, explains=explains) for _ in range(8000))
    return {each: drawn[each] / 8000 for each in Length}


def test_a_usual_line_keeps_the_configured_shares() -> None:
    shares = _shares(mehmet(), IntentKind.CONTINUE)
    assert shares[Length.SHORT] == pytest.approx(0.55, abs=0.02)
    assert shares[Length.MEDIUM] == pytest.approx(0.35, abs=0.02)
    assert shares[Length.LONG] == pytest.approx(0.10, abs=0.02)


def test_a_plain_reply_is_shorter_and_an_answered_question_longer() -> None:
    usual = _shares(mehmet(), IntentKind.CONTINUE)[Length.SHORT]
    assert _shares(mehmet(), IntentKind.REPLY)[Length.SHORT] > usual + 0.05
    assert _shares(mehmet(), IntentKind.ANSWER, explains=True)[Length.SHORT] < usual - 0.1


def test_terse_personas_write_less_and_wordy_ones_more() -> None:
    wordy = persona(9, "Uzun Anlatan", "uzun_bot", persona={"style": "uzun, ayrıntılı anlatır"})
    usual = _shares(mehmet(), IntentKind.TOPIC)[Length.SHORT]
    assert _shares(ayse(), IntentKind.TOPIC)[Length.SHORT] > usual + 0.05
    assert _shares(wordy, IntentKind.TOPIC)[Length.SHORT] < usual - 0.05


def test_a_plan_grows_with_the_length() -> None:
    plans = [plan(each) for each in (Length.SHORT, Length.MEDIUM, Length.LONG)]
    assert [each.sentences for each in plans] == [2, 3, 4]
    assert sorted(each.max_tokens for each in plans) == [each.max_tokens for each in plans]


@pytest.mark.parametrize(("who", "most"), [(ali(), 0.25), (zeynep(), 0.5)])
def test_one_line_in_four_asks_at_most_and_a_beginners_two(who: Persona, most: float) -> None:
    rng = random.Random(3)
    talk = Talk()
    asked = 0
    for number in range(120):
        ask = length.may_ask(who, talk.room.view(NOW), rng)
        asked += ask
        talk.bot(who.bot_id, "Sizce de öyle mi?" if ask else "Öyle.", ago=500 - number)
        talk.bot(77, "Sizce?", ago=500 - number)
    assert most * 0.4 < asked / 120 <= most + 0.01
