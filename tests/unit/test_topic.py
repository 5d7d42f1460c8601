"""Topics: recognised, cooled down, drawn."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from piyasad.behaviour import topic
from piyasad.language.topics import TopicBook
from tests.unit.room_kit import NOW, TOPICS, Talk, ali, ayse, zeynep


@pytest.mark.parametrize(
    ("line", "about"),
    [
        ("Dolara baktınız mı", "FX"),
        ("THYAO'yu izliyorum", "BIST"),
        ("ereglnin bilançosu güçlü", "BIST"),
        ("USDTRY sakin, euro da", "FX"),
        ("Bitcoin yine oynak", "Kripto"),
        ("Merkez bankası faizi indirmez", "Makro"),
        ("gram altın bu hafta dinlendi", "FX"),
        ("Enflasyon dolardan önemli, faiz de öyle", "Makro"),
    ],
)
def test_lines_find_their_topic(line: str, about: str) -> None:
    talk = Talk()
    talk.bot(1, line)
    assert talk.room.view(NOW).lines[0].topics[0] == about


def test_small_talk_has_no_topic() -> None:
    talk = Talk()
    talk.bot(1, "Günaydın, kahveler hazır mı?")
    view = talk.room.view(NOW)
    assert view.lines[0].topics == ()
    assert topic.current(view) is None


def test_a_topic_of_its_own_keeps_its_words() -> None:
    book = TopicBook.of(("Altın", "FX", "Uzay madenciliği"))
    assert book.about(["altin"]) == ()
    assert book.about(["alti"]) == ("Altın",)
    assert book.about(["uzay"]) == ("Uzay madenciliği",)


def test_the_present_topic_is_that_of_the_last_lines() -> None:
    talk = Talk()
    for _ in range(6):
        talk.bot(1, "Dolar sakin")
    assert topic.current(talk.room.view(NOW)) == "FX"
    for _ in range(3):
        talk.bot(2, "Bitcoin oynak")
    assert topic.current(talk.room.view(NOW)) == "Kripto"


def test_three_lines_in_an_hour_cool_a_topic_down_for_that_bot() -> None:
    talk = Talk()
    for ago in (3500, 2000, 100):
        talk.bot(1, "Dolar sakin", ago=ago)
        talk.bot(2, "Bitcoin oynak", ago=ago)
    view = talk.room.view(NOW)
    assert topic.cooling(view, 1, NOW) == {"FX": NOW - 100}
    assert topic.cooling(view, 3, NOW) == {}
    assert topic.cooling(view, 1, NOW + 200) == {}


def test_when_all_are_cool_the_longest_cooled_is_taken() -> None:
    cool = {name: NOW - ago for name, ago in zip(TOPICS, (10, 500, 300, 20), strict=True)}
    assert topic.choose(ali(), Talk().room.view(NOW), random.Random(1), NOW, cool=cool) == "FX"


def test_a_persona_opens_what_it_cares_about_more_often() -> None:
    rng = random.Random(5)
    view = Talk().room.view(NOW)
    opened = Counter(topic.choose(ayse(), view, rng, NOW) for _ in range(2000))
    assert opened["Kripto"] > opened["Makro"] * 1.8
    assert all(opened[name] > 100 for name in TOPICS)


def test_no_topic_drowns_the_others_over_a_long_talk() -> None:
    """The old fault: always the loudest topic, 60 of 64 messages about one."""
    rng = random.Random(6)
    talk = Talk()
    said = {"BIST": "Borsa canlı", "FX": "Dolar sakin", "Kripto": "Bitcoin oynak", "Makro": "Faiz konuşulur"}
    opened: Counter[str] = Counter()
    for number in range(64):
        chosen = topic.choose(ali(), talk.room.view(NOW), rng, NOW)
        assert chosen is not None
        opened[chosen] += 1
        talk.bot(50 + number, said[chosen], ago=64 - number)
    assert max(opened.values()) <= 26
    assert min(opened.values()) >= 6


def test_topics_in_cooldown_are_left_out() -> None:
    rng = random.Random(7)
    cool = {"FX": NOW, "Makro": NOW}
    assert {topic.choose(ali(), Talk().room.view(NOW), rng, NOW, cool=cool) for _ in range(100)} == {"BIST", "Kripto"}


def test_a_chat_without_topics_has_none_to_open() -> None:
    assert topic.choose(zeynep(), Talk(()).room.view(NOW), random.Random(1), NOW) is None


def test_picking_by_weight_survives_rounding() -> None:
    class One(random.Random):
        def random(self) -> float:
            return 1.0

    assert topic.pick(("a", "b"), (1.0, 1.0), One()) == "b"
