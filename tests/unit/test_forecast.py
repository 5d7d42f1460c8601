"""The forecast: its arithmetic by hand, its words, and its measured numbers against a virtual day of the daemon."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from piyasad.bots.forecast import (
    Allowance,
    Forecast,
    allowance,
    forecast,
    forecast_words,
    in_turn,
    progress,
    prompt_tokens,
    spoken_share,
    tokens_a_line,
    wanted_lines,
)
from piyasad.config import ProviderSettings, Settings
from piyasad.config.load import default_config, load
from piyasad.config.talk import ConversationSettings
from piyasad.personas.prompt import LEAST_LINES
from tests import day as virtual

CHAT, OTHER = -1001234567890, -1001234567891
MIDNIGHT = "00:00 Europe/Istanbul"
OPEN: dict[str, Any] = {
    "prime_hours": [],
    "prime_delay_seconds": 36,
    "mean_delay_seconds": 36,
    "jitter": [1.0, 1.0],
    "hourly_limit": {"min": 10**6, "max": 10**6},
    "chat_per_minute": 10**6,
}
ALWAYS = {"reaction_probability": 0.0, "continue_share": 1.0}  # every turn becomes a line


def bot(name: str = "Ali", **keys: Any) -> dict[str, Any]:
    return {"name": name, "username": f"{name.lower()}_bot", "chats": [CHAT]} | keys


def settings(**sections: Any) -> Settings:
    return Settings.model_validate({"chats": [{"id": CHAT}], "bots": [bot()], **sections})


def lines(**sections: Any) -> float:
    return math.fsum(wanted_lines(settings(**sections)).values())


# --- What is wanted


def test_the_law_alone_gives_a_line_in_36_seconds() -> None:
    assert lines(pace=OPEN, conversation=ALWAYS) == pytest.approx(2400)
    assert lines(pace=OPEN, conversation=ALWAYS, simulation={"scale": 0.5}) == pytest.approx(1200)
    prime = OPEN | {"prime_hours": ["06:00-12:00"], "prime_delay_seconds": 18}
    assert lines(pace=prime, conversation=ALWAYS) == pytest.approx(18 * 100 + 6 * 200)
    slow = [bot(pace={"mean_delay_seconds": 72, "multiplier": 2.0})]
    assert lines(pace=OPEN, conversation=ALWAYS, bots=slow) == pytest.approx(600)


def test_limits_hold_the_wish() -> None:
    nine = OPEN | {"hourly_limit": {"min": 6, "max": 12}}
    assert lines(pace=nine) == pytest.approx(24 * 9 * 0.86)
    assert lines(pace=OPEN | {"chat_per_minute": 1}) == pytest.approx(24 * 60 * 0.45)
    rare = OPEN | {"hourly_limit": {"min": 200, "max": 200}}
    assert lines(pace=rare, conversation=ALWAYS) == pytest.approx(2400)  # a limit that is not met takes nothing


def test_only_open_hours_count() -> None:
    nine = OPEN | {"hourly_limit": {"min": 6, "max": 12}}
    half = pytest.approx(12 * 9 * 0.86)
    assert lines(pace=nine, bots=[bot(active_hours=["09:00-21:00"])]) == half
    assert lines(pace=nine, chats=[{"id": CHAT, "quiet_hours": ["21:00-09:00"]}]) == half
    wrapped = [bot(active_hours=["22:10-01:40", "12:00-13:00"])]
    assert lines(pace=nine, bots=wrapped) == pytest.approx(4.5 * 9 * 0.86)
    for silent in (
        {"bots": [bot(enabled=False)]},
        {"chats": [{"id": CHAT, "enabled": False}]},
        {"simulation": {"active": False}},
        {"conversation": {"order": "manual"}},
    ):
        assert lines(pace=nine, **silent) == 0


def test_a_bot_s_turns_are_shared_by_its_chats() -> None:
    two = settings(pace=OPEN, conversation=ALWAYS, chats=[{"id": CHAT}, {"id": OTHER}], bots=[bot(chats=[CHAT, OTHER])])
    assert wanted_lines(two) == {("Ali", CHAT): pytest.approx(1200), ("Ali", OTHER): pytest.approx(1200)}


def test_no_bot_follows_itself() -> None:
    assert in_turn({"a": 60.0}) == {"a": 60.0}
    assert in_turn({"a": 60.0, "b": 60.0}) == {"a": 30.0, "b": 30.0}
    assert in_turn({"a": 30.0, "b": 60.0, "c": 10.0}) == pytest.approx({"a": 21.0, "b": 24.0, "c": 9.0})
    assert in_turn({"a": 0.0, "b": 0.0}) == {"a": 0.0, "b": 0.0}
    assert lines(pace=OPEN, conversation=ALWAYS, bots=[bot(), bot("Veli")]) == pytest.approx(2 * 1200)


def test_turns_that_become_lines() -> None:
    default = ConversationSettings()
    assert spoken_share(default) == pytest.approx(0.88 * (1 - 0.5 * 0.3 / 3))
    assert spoken_share(default, replies=False) == pytest.approx(0.88 * (1 - 0.3 / 3))
    assert spoken_share(default.model_copy(update={"order": "manual"})) == 0


# --- What it costs


@pytest.mark.parametrize(
    ("system", "history", "slim", "chars"),
    [
        (1000, 15, False, 2400),  # 800 tokens of 3 characters are aimed at: lines go until then
        (1000, 3, False, 1000 + 380 + 140 + 3 * 110),
        (1000, 15, True, 1000 + 380 + 8 * 110),  # no past, eight lines
        (2000, 15, False, 2000 + 380 + LEAST_LINES * 110),  # the past goes, so many lines stay
        (3000, 15, False, 3600),  # 1,200 tokens are the most
        (3500, 15, False, 3500 + 380 + 110),  # but the newest line stays
    ],
)
def test_a_prompt_s_tokens(system: int, history: int, slim: bool, chars: int) -> None:
    assert prompt_tokens(system, history, slim=slim) == pytest.approx(chars / 3.3 + 12)


def test_a_line_costs_its_calls() -> None:
    assert tokens_a_line(871) == pytest.approx(990)  # 1.1 × (871 + 29)


def test_what_a_provider_allows() -> None:
    provider = ProviderSettings(tpd=99_000, rpd=220, price={"input": 1.0, "output": 10.0}, quota_reset=MIDNIGHT)
    day = allowance("p", provider, frozenset({"tpd"}), 1, 871, paced=True)
    assert day.lines == pytest.approx(100)
    assert day.cost == pytest.approx(1.1 * (871 + 290) / 1e6)
    assert day.limits == ((99_000, "tokens", "file"), (220, "requests", "preset"))
    assert day.words() == "p allows 99,000 tokens (file) and 220 requests (preset) a day: about 100 lines."
    few = provider.model_copy(update={"rpd": 55})
    assert allowance("p", few, frozenset(), 1, 871, paced=True).lines == pytest.approx(50)
    rolling = provider.model_copy(update={"quota_reset": "rolling"})
    assert allowance("p", rolling, frozenset(), 1, 871, paced=True).lines == pytest.approx(95)
    assert allowance("p", rolling, frozenset(), 1, 871, paced=False).lines == pytest.approx(100)
    assert allowance("p", provider, frozenset(), 3, 871, paced=True).lines == pytest.approx(100)
    apart = provider.model_copy(update={"separate_quota": True})
    assert allowance("p", apart, frozenset(), 3, 871, paced=True).lines == pytest.approx(300)
    free = ProviderSettings(rpd="none", tpd="none")
    assert allowance("p", free, frozenset(), 1, 871, paced=True).lines == math.inf
    here = ProviderSettings(base_url="http://127.0.0.1:8080/v1")
    assert allowance("p", here, frozenset(), 1, 871, paced=True).lines == math.inf


def test_a_limit_that_nobody_tells_is_a_careful_guess_that_says_from_what() -> None:
    day = allowance("x", ProviderSettings(base_url="https://x.example/v1"), frozenset(), 1, 871, paced=False)
    assert day.limits == (
        (50_000, "tokens", "assumed: none is configured"),
        (50, "requests", "assumed: none is configured"),
    )
    assert day.lines == pytest.approx(50 / 1.1)
    gemini = Settings.model_validate({"gateway": {"route": ["gemini"]}}).provider("gemini")
    assert gemini is not None
    seen = allowance("gemini", gemini, frozenset(), 1, 871, paced=True)
    assert seen.limits[1] == (20, "requests", "assumed: 20 a day were seen for one of its models")
    assert "20 requests (assumed: 20 a day were seen" in seen.words()


def test_each_of_a_key_s_models_has_its_own_limits_where_the_provider_counts_so() -> None:
    rows = {"models": ["a", "b", "c"], "base_url": "https://x.example/v1", "rpd": 55, "tpd": "none"}
    one = allowance("x", ProviderSettings.model_validate(rows), frozenset(), 1, 871, paced=False)
    each = ProviderSettings.model_validate(rows | {"quota_per_model": True})
    assert allowance("x", each, frozenset(), 1, 871, paced=False).lines == pytest.approx(3 * one.lines)


def test_an_hour_s_and_a_month_s_limit_bound_the_day() -> None:
    rows = {"base_url": "http://127.0.0.1:1/v1", "tokens_per_month": 30 * 99_000}
    day = allowance("x", ProviderSettings.model_validate(rows), frozenset(), 1, 871, paced=False)
    assert day.limits == ((99_000, "tokens", "of a month"),)
    assert day.lines == pytest.approx(100)


def test_providers_write_in_their_order_within_limits_and_budget() -> None:
    first, second = Allowance("a", (), 100, 0.01), Allowance("b", (), 50, 0.0)
    assert progress(80, (first, second), math.inf) == pytest.approx((80, 0.8))
    assert progress(120, (first, second), math.inf) == pytest.approx((120, 1.0))
    assert progress(900, (first, second), math.inf) == pytest.approx((150, 1.0))
    assert progress(900, (first, second), 0.5) == pytest.approx((100, 0.5))
    assert progress(900, (), math.inf) == (0, 0)


# --- The whole


A_DAY = Forecast(
    bots=4,
    wanted=1240.0,
    calls=1364.0,
    tokens=1.1e6,
    allowances=(Allowance("groq", ((100_000, "tokens", "file"),), 128, 0.0),),
    budget=math.inf,
    paced=True,
    lines=128.0,
    cost=0.0,
)


def a_day(**changes: Any) -> Forecast:
    return replace(A_DAY, **changes)


def test_the_words() -> None:
    assert a_day().words() == [
        "4 bots want about 1,240 lines a day: 1,360 calls, 1.1 million tokens.",
        "groq allows 100,000 tokens (file) a day: about 128 lines.",
        "The talk is stretched 9.7 times: about 128 lines a day.",
    ]
    assert a_day(paced=False).words()[-1].startswith("After about 128 lines a day the quota is used up")
    assert a_day(lines=1240.0, cost=0.314).words()[-1] == (
        "The talk is not stretched: about 1,240 lines a day, for about $0.31."
    )
    assert a_day(lines=0.4).words()[-1] == "That is less than one line: nothing is said."
    assert a_day(bots=1, budget=0.5).words()[0].startswith("1 bot wants about")
    assert "The budget is $0.50 a day." in a_day(budget=0.5).words()
    assert a_day(wanted=0.0).words()[0].startswith("Nobody speaks unprompted")


def test_stretch_is_wanted_by_allowed() -> None:
    assert a_day().stretch == pytest.approx(9.6875)
    assert a_day(lines=1240.0).stretch == 1
    assert a_day(lines=0.0).stretch == math.inf


def test_the_route_decides() -> None:
    room = load(default_config(), {})
    groq = forecast(room, {"groq": 1})
    assert groq.lines < groq.wanted
    assert forecast(room).lines == forecast(room).wanted  # openai has no known daily limit
    assert forecast(room, {}).lines == 0
    assert forecast_words(room, {"groq": 1}) == groq.words()
    behind = load(default_config(), {}, overlay={"gateway": {"route": ["groq", "offline"]}})
    assert forecast(behind).lines == groq.lines  # offline is no reason to talk faster
    alone = load(default_config(), {}, overlay={"gateway": {"route": ["offline"]}})
    assert forecast(alone).lines == groq.wanted
    assert forecast(alone).cost == 0


def test_a_limit_s_source_is_the_file_or_the_preset() -> None:
    preset = settings(gateway={"route": ["groq"]}, providers={"groq": {"rpd": 500}})
    assert "200,000 tokens (preset) and 500 requests (file)" in forecast_words(preset)[1]


def test_a_budget_holds_the_lines_back() -> None:
    price = {"price": {"input": 1.0, "output": 1.0}}
    rich = settings(pace=OPEN, gateway={"route": ["openai"]}, providers={"openai": price})
    day = forecast(rich)
    assert day.cost == pytest.approx(day.tokens / 1e6)
    half = {"route": ["openai"], "budget_usd_per_day": day.cost / 2}
    poor = forecast(rich.model_copy(update={"gateway": settings(gateway=half).gateway}))
    assert poor.stretch == pytest.approx(2)
    month = {"route": ["openai"], "budget_usd_per_month": day.cost * 15}
    assert forecast(rich.model_copy(update={"gateway": settings(gateway=month).gateway})).stretch == pytest.approx(2)


def test_above_stretch_two_the_prompt_slims() -> None:
    def day(tokens: int) -> Forecast:
        return forecast(
            settings(pace=OPEN, gateway={"route": ["groq"]}, providers={"groq": {"tpd": tokens, "rpd": 10**9}})
        )

    much, little = day(1_200_000), day(600_000)
    assert much.stretch < 2 < little.stretch
    assert little.lines > 0.52 * much.lines


def day_of(tokens: int) -> tuple[int, int]:
    """Lines said and tokens used on a virtual day of the shipped room without people."""
    room = virtual.lived(tokens, MIDNIGHT, 24 - 6 / 3600, late=5.0)
    return len(virtual.lines(room)), sum(call.prompt + call.completion for call in room.outside.models.calls)


def test_the_measured_numbers_foretell_a_day_without_limits() -> None:
    said, used = day_of(10**9)
    day = forecast(virtual.shipped())
    assert day.wanted == pytest.approx(said, rel=0.12)
    assert day.tokens == pytest.approx(used, rel=0.12)


def test_they_foretell_a_day_of_100_000_tokens() -> None:
    said, _ = day_of(100_000)
    tight = {"kind": "openai", "base_url": "http://127.0.0.1/v1", "model": "m", "tpd": 100_000, "quota_reset": MIDNIGHT}
    day = forecast(virtual.shipped(providers={"t": tight}, gateway={"route": ["t"]}))
    assert day.lines == pytest.approx(said, rel=0.15)
    assert day.lines >= 110
