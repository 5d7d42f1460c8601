"""The providers in memory: they write and count as the sandbox's do, and fail as the real ones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from piyasad.clock import DAY, LoopClock
from piyasad.config.providers import ProviderSettings
from piyasad.gateway.quota.quota import next_reset
from piyasad.model import Class
from piyasad.providers.interface import (
    BadKey,
    NotSent,
    Provider,
    ProviderError,
    Refused,
    Request,
    ServerFault,
    Throttled,
    TimedOut,
    Transient,
)
from piyasad.simulation.model import Models, Trouble
from tests.virtual import NOON, run_virtual

ASKED = Request(1, Class.TOPIC, "Sen Ali Hoca'sın.", "Dolar hakkında yaz.", 100, 0.9, 1e12)
PROMPT = 6 + 4 + 6 + 4  # tokens of the two texts, and what each message costs


def settings(**keys: object) -> ProviderSettings:
    return ProviderSettings.model_validate({"kind": "openai", "base_url": "https://x.test/v1", "model": "m", **keys})


def play(work: Callable[[Models, LoopClock], Awaitable[None]]) -> None:
    run_virtual(lambda clock: work(Models(clock, 1), clock))


async def ask(provider: Provider, times: int) -> list[str]:
    outcomes = []
    for _ in range(times):
        try:
            outcomes.append((await provider.complete(ASKED, timeout=30.0)).finish)
        except ProviderError as error:
            outcomes.append(type(error).__name__)
    return outcomes


def test_it_writes_a_line_and_says_what_it_cost() -> None:
    async def work(models: Models, clock: LoopClock) -> None:
        provider = models.open("groq", settings(), "key")
        answer = await provider.complete(ASKED, timeout=30.0)
        assert len(answer.text) > 20
        assert (answer.provider, answer.model, answer.prompt_tokens) == ("groq", "m", PROMPT)
        (call,) = models.calls
        assert (call.bot_id, call.prompt, call.completion, call.text) == (
            1,
            PROMPT,
            answer.completion_tokens,
            answer.text,
        )
        assert 0.6 < clock.mono() < 1.5

    play(work)


@pytest.mark.parametrize(
    ("limit", "passes"),
    [
        ({"rpm": 3}, 3),
        ({"rpd": 2}, 2),
        ({"tpm": PROMPT + 100}, 1),
        ({"tpd": PROMPT + 99}, 0),
        ({"max_concurrency": 1}, 9),
    ],
)
def test_a_limit_that_is_overrun_is_refused_and_noted(limit: dict[str, object], passes: int) -> None:
    async def work(models: Models, clock: LoopClock) -> None:
        outcomes = await ask(models.open("groq", settings(**limit), "key"), 9)
        assert outcomes == ["stop"] * passes + ["Throttled"] * (9 - passes)
        assert len(models.overruns) == 9 - passes

    play(work)


def test_calls_at_once_beyond_the_concurrency_are_refused() -> None:
    async def work(models: Models, clock: LoopClock) -> None:
        provider = models.open("groq", settings(max_concurrency=2), "key")
        outcomes = await asyncio.gather(*(ask(provider, 1) for _ in range(3)))
        assert sorted(each[0] for each in outcomes) == ["Throttled", "stop", "stop"]

    play(work)


def test_each_key_has_an_account_by_model_where_it_counts_so_and_a_later_daemon_finds_it_used() -> None:
    async def work(models: Models, clock: LoopClock) -> None:
        limit = settings(rpd=1)
        assert await ask(models.open("groq", limit, "a"), 1) == ["stop"]
        assert await ask(models.open("groq", limit, "a"), 1) == ["Throttled"]
        assert await ask(models.open("groq", limit, "b"), 1) == ["stop"]
        assert await ask(models.open("groq", settings(rpd=1, model="other"), "a"), 1) == ["Throttled"]
        by_model = {"rpd": 1, "quota_per_model": True}
        assert await ask(models.open("gemini", settings(**by_model), "a"), 2) == ["stop", "Throttled"]
        assert await ask(models.open("gemini", settings(**by_model, model="other"), "a"), 1) == ["stop"]

    play(work)


def test_a_day_begins_when_the_provider_says() -> None:
    async def work(models: Models, clock: LoopClock) -> None:
        reset = "13:00 Europe/Istanbul"
        provider = models.open("gemini", settings(rpd=1, quota_reset=reset), "key")
        assert await ask(provider, 1) == ["stop"]
        with pytest.raises(Throttled) as refused:
            await provider.complete(ASKED, timeout=30.0)
        assert refused.value.retry_after == pytest.approx(next_reset(NOON, reset) - clock.wall())
        await asyncio.sleep(3600)
        assert await ask(provider, 1) == ["stop"]

    play(work)


def test_a_month_ends_by_the_calendar() -> None:
    async def work(models: Models, clock: LoopClock) -> None:
        provider = models.open("mistral", settings(tokens_per_month=PROMPT + 150), "key")
        assert await ask(provider, 2) == ["stop", "Throttled"]
        await asyncio.sleep(8 * DAY)  # it is the 1st of December
        assert await ask(provider, 1) == ["stop"]

    play(work)


@pytest.mark.parametrize(
    ("kind", "error", "seconds"),
    [
        ("server", ServerFault, 0.03),
        ("no_connection", NotSent, 0.03),
        ("throttled", Throttled, 0.03),
        ("refused", Refused, 0.03),
        ("bad_key", BadKey, 0.03),
        ("hang", TimedOut, 30.0),
        ("cut", Transient, 1.0),
    ],
)
def test_a_trouble_is_what_the_gateway_would_see(kind: str, error: type[ProviderError], seconds: float) -> None:
    async def work(models: Models, clock: LoopClock) -> None:
        models.troubles.append(Trouble(kind, "groq"))
        provider = models.open("groq", settings(), "key")
        with pytest.raises(error):
            await provider.complete(ASKED, timeout=30.0)
        assert clock.mono() == pytest.approx(seconds, rel=0.5)
        assert (await models.open("openai", settings(), "key").complete(ASKED, timeout=30.0)).text

    play(work)


def test_a_slow_answer_within_its_time_is_an_answer() -> None:
    async def work(models: Models, clock: LoopClock) -> None:
        models.troubles.append(Trouble("slow", seconds=10.0))
        provider = models.open("groq", settings(), "key")
        assert (await provider.complete(ASKED, timeout=30.0)).text
        assert clock.mono() > 10
        with pytest.raises(TimedOut):
            await provider.complete(ASKED, timeout=5.0)

    play(work)
