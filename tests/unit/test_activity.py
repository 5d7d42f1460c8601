"""Activity: what the bots would like to say at each hour, by their own hours and the law's mean."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from piyasad.bots.activity import ActivityPlan
from piyasad.bots.state import LiveState
from piyasad.config import Settings
from piyasad.config.secrets import Secret
from tests.cases import CHAT
from tests.virtual import NOON

MIDNIGHT = NOON - 12 * 3600.0
HOUR, DAY = 3600.0, 86_400.0


@dataclass
class Still:
    """A clock that stands."""

    now: float = 0.0

    def wall(self) -> float:
        return NOON + self.now

    def mono(self) -> float:
        return self.now

    def boot(self) -> float:
        return self.now


def live(*hours: list[str], chat: dict[str, Any] | None = None, **pace: Any) -> LiveState:
    """One bot for each list of active hours, all held."""
    bots = [
        {"name": f"Bot {n}", "username": f"bot_{n}_bot", "token_env": f"T{n}", "chats": [CHAT], "active_hours": active}
        for n, active in enumerate(hours)
    ]
    settings = Settings.model_validate(
        {
            "chats": [{"id": CHAT, **(chat or {})}],
            "bots": bots,
            "pace": {"prime_hours": [], "prime_delay_seconds": 30, **pace},
        }
    )
    made = LiveState(settings, (0, 1), 1)
    tokens = {f"Bot {n}": Secret(f"{7100000000 + n}:{'a' * 35}") for n in range(len(hours))}
    made.commit(asyncio.run(made.prepare(settings, tokens)))
    for bot in made.bots.values():
        bot.held = True
    return made


def activity(*hours: list[str], **keys: Any) -> ActivityPlan:
    return ActivityPlan(live(*hours, **keys), Still())


def test_turns_come_at_the_laws_mean_while_the_bot_is_awake() -> None:
    made = activity(["09:00-12:00"])
    assert made.turns(MIDNIGHT, MIDNIGHT + DAY) == pytest.approx(3 * HOUR / 30)
    assert made.turns(MIDNIGHT + 8 * HOUR, MIDNIGHT + 9.5 * HOUR) == pytest.approx(0.5 * HOUR / 30)
    assert made.turns(MIDNIGHT + 12 * HOUR, MIDNIGHT + 33 * HOUR) == pytest.approx(0.0, abs=1e-6)
    assert made.turns(MIDNIGHT + 11 * HOUR, MIDNIGHT + 3 * DAY) == pytest.approx(7 * HOUR / 30)


def test_bots_and_prime_hours_add_up_and_hours_wrap_midnight() -> None:
    made = activity(
        ["22:00-02:00"], ["23:00-01:00"], prime_hours=["23:00-00:00"], mean_delay_seconds=30, prime_delay_seconds=15
    )
    assert made.turns(MIDNIGHT, MIDNIGHT + DAY) == pytest.approx((5 + 2 * 2 - 1) * HOUR / 30)
    assert made.turns(MIDNIGHT - HOUR, MIDNIGHT + HOUR) == pytest.approx((2 * 2 + 2) * HOUR / 30)


def test_the_room_is_silent_from_the_last_bots_end_and_in_quiet_hours() -> None:
    assert activity(["09:00-12:00"], ["20:00-23:00"]).idle(MIDNIGHT + DAY) == HOUR
    assert activity([]).idle(MIDNIGHT + DAY) == 0.0
    assert activity([], chat={"quiet_hours": ["22:30-08:00"]}).idle(MIDNIGHT + DAY) == 1.5 * HOUR


def test_who_is_not_ours_has_no_part_in_it() -> None:
    room = live(["09:00-12:00"], ["09:00-12:00"])
    next(iter(room.bots.values())).held = False
    whole, part = activity(["09:00-12:00"], ["09:00-12:00"]), ActivityPlan(room, Still())
    assert part.turns(MIDNIGHT, MIDNIGHT + DAY) == pytest.approx(whole.turns(MIDNIGHT, MIDNIGHT + DAY) / 2)
