"""The score of a line as a target: each part alone, then the draw."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from piyasad.behaviour import target
from piyasad.chat.window import Line
from piyasad.personas.profile import Persona
from tests.unit.room_kit import NOW, Talk, ali, mehmet, persona, roster, zeynep

FOUR = roster()
PLAIN = persona(9, "Düz Adam", "duz_bot", persona={"emotion": {"empathy": 0.2}})


def _score(line: Line, who: Persona = PLAIN, **keys: Any) -> float:
    arguments: dict[str, Any] = {"now": NOW, "topics": (), "roster": FOUR, "bot_replies": 0} | keys
    return target.score(line, who, **arguments)


def _bot(text: str = "Öyle diyelim.", ago: float = 5000.0) -> Line:
    talk = Talk()
    return talk.line(talk.bot(3, text, ago=ago))


def _person(text: str = "Öyle diyelim.", ago: float = 5000.0) -> Line:
    talk = Talk()
    return talk.line(talk.person(text, ago=ago))


def test_a_person_counts_more_than_a_bot() -> None:
    assert _score(_person()) == 8 - 1
    assert _score(_bot()) == 2.5 - 1


@pytest.mark.parametrize(
    ("ago", "gain"), [(0, 3), (179, 3), (180, 2), (599, 2), (600, 1), (1799, 1), (1800, -1), (9999, -1)]
)
def test_age(ago: float, gain: float) -> None:
    assert _score(_bot(ago=ago)) == 2.5 + gain


def test_a_question_mark_and_curiosity() -> None:
    assert _score(_bot("Öyle mi?")) == 1.5 + 4
    assert _score(_bot("Merak ettim.")) == 1.5 + 3
    assert _score(_bot("Sizce?")) == 1.5 + 4 + 3


@pytest.mark.parametrize("text", ["Selam @duz_bot.", "Düz Adam haklı.", "Düz Adam'a katılıyorum."])
def test_the_mention_of_this_bot(text: str) -> None:
    assert _score(_bot(text)) == 1.5 + 15


@pytest.mark.parametrize("text", ["Düz yazdım.", "Adam haklı.", "@duz_botcu haklı.", "Adam düz konuşuyor."])
def test_half_a_name_is_no_mention(text: str) -> None:
    assert not target.mentions(_bot(text), PLAIN)


def test_a_name_of_one_word_is_mentioned_by_handle_only() -> None:
    one = persona(8, "Deniz", "deniz_bot")
    assert not target.mentions(_bot("Deniz güzel."), one)
    assert target.mentions(_bot("@deniz_bot selam."), one)


def test_each_watched_symbol_counts() -> None:
    assert _score(_bot("GARAN'a bakıyorum."), mehmet()) == 1.5 + 2.5 + 1  # and Mehmet has a relation to Ali
    assert _score(_bot("GARAN ve thyaoyu tutuyorum."), mehmet()) == 1.5 + 5 + 1
    assert _score(_bot("GARAN GARAN GARAN."), mehmet()) == 1.5 + 2.5 + 1


def test_a_watched_subject_of_two_words_counts_whole() -> None:
    who = persona(8, "Düz", "duz2_bot", persona={"watchlist": ["gram altın"]})
    assert _score(_bot("Gram altından söz ettik."), who) == 1.5 + 2.5
    assert _score(_bot("Altından söz ettik."), who) == 1.5


def test_each_topic_it_cares_about_counts() -> None:
    line = _bot("Dolar ve faiz aynı hikâye.")
    assert _score(line, topics=("FX",)) == 1.5 + 1.5
    assert _score(line, topics=("FX", "Makro")) == 1.5 + 3
    assert _score(line, topics=("BIST",)) == 1.5


def test_a_relation_to_the_author() -> None:
    assert _score(_bot(), mehmet()) == 1.5 + 1
    assert _score(_bot(), zeynep()) == 1.5


def test_empathy_for_a_low_mood() -> None:
    assert _score(_bot("Zarardayım, üzüldüm."), ali()) == 1.5 + 2
    assert _score(_bot("Zarardayım, üzüldüm.")) == 1.5
    assert _score(_bot("Harika gün."), ali()) == 1.5


def test_each_reply_of_a_bot_makes_it_less_attractive() -> None:
    assert _score(_bot(), bot_replies=2) == 1.5 - 6


def test_replies_of_bots_are_counted_and_peoples_are_not() -> None:
    talk = Talk()
    said = talk.bot(1)
    talk.bot(2, to=said)
    talk.bot(3, to=said)
    talk.person(to=said)
    assert target.bot_replies(talk.room.view(NOW)) == {said: 2}


def test_one_of_the_three_best_is_drawn_by_weight() -> None:
    talk = Talk()
    lines = [talk.line(talk.bot(1, f"satır {number}")) for number in range(5)]
    scored = list(zip((1.0, 9.0, 6.0, 3.0, 2.0), lines, strict=True))
    rng = random.Random(2)
    drawn = Counter(line.message.id for line in (target.draw(scored, rng) for _ in range(9000)) if line is not None)
    assert set(drawn) == {lines[1].message.id, lines[2].message.id, lines[3].message.id}
    assert drawn[lines[1].message.id] / 9000 == pytest.approx(0.5, abs=0.02)
    assert drawn[lines[2].message.id] / 9000 == pytest.approx(1 / 3, abs=0.02)


def test_negative_scores_can_be_drawn_and_nothing_gives_nothing() -> None:
    line = _bot()
    assert target.draw([(-7.0, line)], random.Random(1)) is line
    assert target.draw([], random.Random(1)) is None
