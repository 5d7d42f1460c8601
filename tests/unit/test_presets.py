"""Presets against a kept price list: prices, names, dates; what they say of daily limits; what stays on this machine."""

from __future__ import annotations

import json
import warnings
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from piyasad.config import PRESETS, ProviderSettings, Settings
from piyasad.config.load import load
from piyasad.config.presets import CHECKED, day_limit
from piyasad.config.problems import ConfigError

KEPT = json.loads((Path(__file__).parents[1] / "data" / "prices.json").read_text())
STALE_DAYS = 90
FAR = sorted(CHECKED)


def test_there_is_a_preset_for_every_provider_that_is_promised() -> None:
    assert set(PRESETS) == {
        "groq", "openai", "gemini", "anthropic", "openrouter", "mistral", "cerebras", "deepseek", "ollama", "llama.cpp",
        "lmstudio", "vllm", "offline",
    }  # fmt: skip
    assert {name for name, preset in PRESETS.items() if not preset.is_near} == set(CHECKED)


@pytest.mark.parametrize("name", FAR)
def test_a_preset_says_of_each_daily_limit_what_it_is(name: str) -> None:
    preset = PRESETS[name]
    assert preset.rpd is not None
    assert preset.tpd is not None
    assert preset.trains_on_data is not None
    assert preset.api_key_env


@pytest.mark.parametrize("name", FAR)
def test_names_and_prices_are_those_of_the_kept_list(name: str) -> None:
    preset = PRESETS[name]
    for model in (*preset.asked, preset.fallback_model):
        if model is None:
            continue
        kept = KEPT["models"][name]
        assert model in kept, f"{model} is not in the price list: renamed or gone?"
        if model in preset.asked:
            price = preset.price.model_dump(exclude_none=True) if preset.price else {}
            assert {key: value for key, value in price.items() if value} == kept[model]


@pytest.mark.filterwarnings("default")
def test_a_preset_older_than_ninety_days_is_told() -> None:
    today = datetime.now(UTC).date()
    old = [name for name, checked in CHECKED.items() if (today - checked).days > STALE_DAYS]
    old += ["the price list"] if (today - date.fromisoformat(KEPT["as_of"])).days > STALE_DAYS else []
    if old:
        warnings.warn(f"to be checked anew: {', '.join(old)} (make prices)", UserWarning, stacklevel=1)


# --- daily limits
@pytest.mark.parametrize(
    ("rows", "amount", "source"),
    [
        ({"rpd": 7}, 7, "preset"),
        ({"rpd": "none"}, None, "preset"),
        ({"rpd": "unknown"}, 50, "assumed: it publishes no figure"),
        ({}, 50, "assumed: none is configured"),
        ({"base_url": "http://127.0.0.1:1/v1"}, None, "preset"),
        ({"base_url": "http://192.168.1.7:1/v1"}, None, "preset"),
        ({"base_url": "http://ollama:11434/v1"}, None, "preset"),
        ({"base_url": "http://gpu.local/v1"}, None, "preset"),
        ({"base_url": "http://192.168.1.7:1/v1", "rpd": "unknown"}, 50, "assumed: it publishes no figure"),
        ({"base_url": "https://api.example.com/v1"}, 50, "assumed: none is configured"),
        ({"preset": "gemini", "rpd": "unknown"}, 20, "assumed: 20 a day were seen for one of its models"),
    ],
)
def test_unknown_is_never_taken_for_infinite(rows: dict[str, Any], amount: int | None, source: str) -> None:
    found = day_limit(ProviderSettings.model_validate(rows), "rpd", written=False)
    assert (found.amount, found.source) == (amount, source)


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "infinite", "", None])
def test_a_daily_limit_is_a_count_or_one_of_two_words(value: object) -> None:
    if value is None:
        assert ProviderSettings(rpd=None).rpd is None
        return
    with pytest.raises(ValidationError, match="none"):
        ProviderSettings.model_validate({"rpd": value})


# --- models
def test_who_names_models_means_those_alone() -> None:
    settings = Settings.model_validate({"providers": {"groq": {"models": ["a", "b"]}}})
    groq = settings.provider("groq")
    assert groq is not None
    assert groq.asked == ("a", "b")
    with pytest.raises(ValidationError, match="keep one"):
        ProviderSettings(model="a", models=("b",))
    with pytest.raises(ValidationError, match="twice"):
        ProviderSettings(models=("b", "b"))


# --- local_only
def local(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "config.toml"
    file.write_text(text)
    return load(file, {})


def test_with_local_only_a_provider_beyond_this_machine_is_refused(tmp_path: Path) -> None:
    for route in ('["groq"]', '["ollama", "gemini"]', '["there"]', '["near"]'):
        with pytest.raises(ConfigError, match="beyond this machine"):
            local(
                tmp_path,
                f"""[gateway]
local_only = true
route = {route}
[providers.there]
kind = "openai"
base_url = "http://127.0.0.1.example.com/v1"
model = "m"
[providers.near]
kind = "openai"
base_url = "http://192.168.1.7/v1"
model = "m"
""",
            )
    with pytest.raises(ConfigError, match="local_only"):
        local(tmp_path, "[gateway]\nlocal_only = true\n")


def test_with_local_only_this_machine_s_servers_and_the_grammar_are_fine(tmp_path: Path) -> None:
    text = """[gateway]
local_only = true
route = ["ollama", "llama.cpp", "here", "offline"]
[providers.here]
kind = "openai"
base_url = "http://[::1]:9/v1"
model = "m"
"""
    assert local(tmp_path, text).gateway.local_only
