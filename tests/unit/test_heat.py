"""Heat: bursts and the lulls that pay them back."""

from __future__ import annotations

import random
from itertools import pairwise
from math import fsum, sqrt

from hypothesis import given
from hypothesis import strategies as st

from piyasad.chat.heat import COLD, HALF_LIFE
from tests.unit.room_kit import NOW, Talk


def test_bots_among_themselves_leave_the_law_alone() -> None:
    talk = Talk()
    first = talk.bot(1, "Dolar düşer mi?")
    talk.bot(2, "Bence düşmez.", to=first)
    assert talk.room.view(NOW).heat(NOW, 1.0) == 1.0


def test_a_persons_message_heats_and_a_question_more() -> None:
    said = COLD.after(NOW, person=True)
    asked = COLD.after(NOW, person=True, question=True)
    assert 1 < said.heat(NOW, 0.2) < asked.heat(NOW, 0.2)
    assert COLD.after(NOW, news=True).heat(NOW, 0.6) > 1
    assert COLD.after(NOW, reply=True).heat(NOW, 0.6) > 1


def test_heat_fades_into_a_lull_and_the_lull_into_nothing() -> None:
    warm = COLD.after(NOW, person=True)
    assert warm.heat(NOW + HALF_LIFE, 0.6) < warm.heat(NOW, 0.6)
    assert warm.heat(NOW + 400, 0.6) < 1
    assert abs(warm.heat(NOW + 24 * 3600, 0.6) - 1) < 0.001


def test_a_fresh_reply_to_a_person_counts_and_a_stale_one_does_not() -> None:
    talk = Talk()
    asked = talk.person(ago=200)
    before = talk.room.view(NOW).warmth
    talk.bot(1, to=asked, ago=10)
    assert talk.room.view(NOW).warmth == before
    talk.bot(2, to=talk.person(ago=5), ago=4)
    assert talk.room.view(NOW).warmth != before


@given(st.floats(-10, 1e5), st.lists(st.floats(0, 300), min_size=1, max_size=20))
def test_no_burstiness_means_no_heat_and_heat_is_bounded(later: float, gaps: list[float]) -> None:
    warm, at = COLD, NOW
    for gap in gaps:
        at += gap
        warm = warm.after(at, person=True, question=True)
    assert warm.heat(at + later, 0.0) == 1.0
    assert 0.1 <= warm.heat(at + later, 1.0) <= 10.0


def _burstiness(strength: float, lines: int) -> tuple[float, float]:
    """B of a chat's gaps and the mean heat over six hours: four bots, people who speak every 20 minutes."""
    rng = random.Random(1)
    warm, now, end = COLD, NOW, NOW + 6 * 3600.0
    times: list[float] = []
    people = [NOW + 1200.0 * number + extra for number in range(1, 18) for extra in (0.0, 20.0, 45.0)[:lines]]
    while now < end:
        rate = 4 / 30 * warm.heat(now, strength)
        now += 0.2
        while people and people[0] <= now:
            warm = warm.after(people.pop(0), person=True, question=len(people) % 3 == 2)
            times.append(now)
        if rng.random() < rate * 0.2:
            times.append(now)
    gaps = [after - before for before, after in pairwise(times) if after > before]
    mean = fsum(gaps) / len(gaps)
    deviation = sqrt(fsum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    return (deviation - mean) / (deviation + mean), 6 * 3600 * 4 / 30 / len(times)


def test_a_room_with_people_is_bursty_at_the_default() -> None:
    for lines in (1, 2, 3):
        measured, slowness = _burstiness(0.6, lines)
        assert measured >= 0.2
        assert 0.7 < slowness < 1.35  # and about as much is said as without heat


def test_without_burstiness_a_room_is_poisson() -> None:
    measured, _ = _burstiness(0.0, 0)
    assert abs(measured) <= 0.05
