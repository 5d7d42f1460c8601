"""A virtual day of the shipped room on 100,000 tokens, and the prompts' stable part against the server that caches it.

Everything from scheduler to ledger is the daemon's own code; the model writes, counts and refuses as the sandbox's does.
"""

from __future__ import annotations

import asyncio
import functools
import random
import time
from collections.abc import Sequence
from math import ceil
from statistics import median

import pytest

from piyasad.bots.compose import SLIM_HISTORY
from piyasad.clock import DAY, SystemClock
from piyasad.config.settings import Settings
from piyasad.gateway.gateway import build
from piyasad.metrics import Metrics
from piyasad.model import Class, Kind, Usage
from piyasad.providers.interface import Request
from piyasad.sandbox.llm import LlmConfig, LlmKey, LlmServer
from piyasad.sandbox.llm_text import count_tokens, write
from piyasad.simulation.model import Call
from piyasad.simulation.virtual_day import VirtualDay
from tests.day import CLOSES, HOUR, MIDNIGHT, RESET, hour_of, lines, lived, rationed, visits
from tests.llm import serving

TOKENS = 100_000
SEEDS = (1, 2, 3, 4)
LATE = 5.0  # the day begins so much after the reset: it is surely the new one's


@functools.cache
def day(seed: int) -> tuple[VirtualDay, dict[str, float]]:
    """The room after its day, which ends at the reset; and by prompt, how much the quota stretched the talk then."""
    stretches: dict[str, float] = {}

    async def guest(day: VirtualDay) -> None:
        def writing(last: str, rng: random.Random) -> str:
            stretches[last] = day.house.gateway.stretch()
            return write(last, rng)

        day.outside.models.write = writing
        await visits(day, 1)

    made = VirtualDay(rationed(TOKENS, RESET), seed=seed, start=MIDNIGHT + LATE, guest=guest)
    made.run((DAY - LATE) / HOUR)
    return made, stretches


def calls_of(seed: int) -> list[Call]:
    return day(seed)[0].outside.models.calls


def p95(values: Sequence[float]) -> float:
    return sorted(values)[ceil(len(values) * 0.95) - 1]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_hundred_thousand_tokens_give_a_hundred_and_ten_lines(seed: int) -> None:
    made, _ = day(seed)
    calls = calls_of(seed)
    used = sum(call.prompt + call.completion for call in calls)
    assert len(lines(made)) >= 110
    assert 0.95 * TOKENS <= used <= TOKENS
    assert made.outside.models.overruns == []
    assert len(calls) <= 1.2 * len(lines(made))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_days_prompts_are_as_small_as_promised(seed: int) -> None:
    assert median(call.prompt for call in calls_of(seed)) <= 800
    assert p95([call.prompt for call in calls_of(seed)]) <= 1200


@pytest.mark.parametrize("seed", SEEDS)
def test_the_room_is_heard_in_its_last_hour(seed: int) -> None:
    assert any(hour_of(line.sent_at) == CLOSES // HOUR - 1 for line in lines(day(seed)[0]))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_day_is_spread_over_the_hours_in_which_somebody_is_awake(seed: int) -> None:
    heard = [hour_of(line.sent_at) for line in lines(day(seed)[0])]
    assert set(heard) <= set(range(8, 23))
    assert len(set(heard)) >= 14  # from six to eight in the evening one bot is awake, and it never speaks for long
    assert 0.2 <= sum(hour < 13 for hour in heard) / len(heard) <= 0.6


@pytest.mark.parametrize("seed", SEEDS)
def test_who_asks_is_answered_and_never_waits_for_the_pace(seed: int) -> None:
    made, _ = day(seed)
    answers = [trace for trace in made.turns if trace.intent == "answer"]
    assert len(answers) >= 15
    unsaid = [trace for trace in answers if trace.outcome != "sent"]
    assert all(trace.outcome == "dropped" and trace.detail["verdicts"] for trace in unsaid), (
        "a guard's word, no limit's"
    )
    assert len(unsaid) <= len(answers) / 10
    assert made.metrics.llm_wait.labels(Class.ANSWER.value)._sum.get() == 0.0
    asked = {said.id: said.at for said in made.said}
    sent = {arrival.message_id: arrival.at for arrival in made.outside.telegram.arrivals}
    took = [sent[line.telegram_id] - asked[line.reply_to or 0] for line in lines(made) if line.kind is Kind.ANSWER]
    assert p95(took) <= 8.0


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stretched_room_sees_little_of_its_past(seed: int) -> None:
    stretches = day(seed)[1]
    slim = [call for call in calls_of(seed) if stretches[call.user] > 2.0]
    assert len(slim) >= 40
    wide = [call for call in slim if shown(call.user) > SLIM_HISTORY or "Bu konuda demiştin" in call.user]
    assert len(wide) <= 1, "the stretch may have moved since a prompt was made"


def shown(user: str) -> int:
    """Lines of history in a prompt."""
    _, _, rest = user.partition("<<<\n")
    return len(rest.partition("\n>>>")[0].splitlines()) if rest else 0


# --- the stable part

TURNS = 50


async def test_fifty_turns_of_a_persona_share_their_prefix_and_the_server_counts_the_hits() -> None:
    prompts = await asyncio.to_thread(fifty_turns)
    (system,) = {call.system for call in prompts}  # the same bytes
    hit = count_tokens(system) // 128 * 128
    accounting: list[Usage] = []
    server = LlmServer(LlmConfig(keys=(LlmKey("key-a"),), cache_minimum=128))
    async with serving(server) as url:
        row = {"kind": "openai", "base_url": url, "model": "gpt-4.1-mini", "api_key_env": "KEY_A"}
        settings = Settings.model_validate({"providers": {"a": row}, "gateway": {"route": ["a"]}})
        gateway = build(settings, {"KEY_A": "key-a"}, SystemClock(), Metrics(), on_usage=accounting.append)
        for call in prompts:
            request = Request(call.bot_id, call.klass, call.system, call.user, 100, 0.9, time.monotonic() + 20)
            await gateway.complete(request)
        await gateway.close()
        total = server.usage()["total"]
    assert total["answered"] == TURNS
    assert total["cached_tokens"] == sum(row.cached for row in accounting) == (TURNS - 1) * hit
    assert hit >= 384
    assert sum(row.prompt for row in accounting) == total["prompt_tokens"] == sum(call.prompt for call in prompts)


def fifty_turns() -> list[Call]:
    """The first fifty prompts of one persona in a room without a quota: topics, replies, answers, rewrites, refreshes."""
    made = lived(10**9, RESET, 24, days_of_visits=1)
    zeynep = made.outside.accounts.ids["Zeynep Yeni"]
    calls = [call for call in made.outside.models.calls if call.bot_id == zeynep][:TURNS]
    assert len(calls) == TURNS
    return calls
