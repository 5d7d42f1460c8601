"""What a provider is when its section says no more: address, models, limits of the free or first tier, prices.

Every preset is dated; `tests/unit/test_presets.py` holds prices and names against a kept price list and warns when a
date is 90 days old. A daily limit is a number, "none" (paid only: the budget paces) or "unknown" (there is a free tier
that publishes none).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Final

from piyasad.config.providers import NONE, UNKNOWN, Price, ProviderSettings

PRESETS: Final[Mapping[str, ProviderSettings]] = MappingProxyType(
    {
        "groq": ProviderSettings(
            kind="openai",
            base_url="https://api.groq.com/openai/v1",
            api_key_env=("GROQ_API_KEY",),
            model="openai/gpt-oss-120b",
            fallback_model="openai/gpt-oss-20b",
            quota_per_model=True,
            rpm=30,
            tpm=8_000,
            rpd=1_000,
            tpd=200_000,
            counts_cached=False,
            trains_on_data=False,
            price=Price(input=0.15, cached=0.075, output=0.60),
            quota_reset="rolling",
        ),
        "openai": ProviderSettings(
            kind="openai",
            base_url="https://api.openai.com/v1",
            api_key_env=("OPENAI_API_KEY",),
            model="gpt-6-luna",
            quota_per_model=True,
            rpd=NONE,
            tpd=NONE,
            trains_on_data=False,
            price=Price(input=0.10, cached=0.01, cache_write=0.125, output=0.50),
        ),
        "gemini": ProviderSettings(
            kind="gemini",
            base_url="https://generativelanguage.googleapis.com/v1beta",
            api_key_env=("GEMINI_API_KEY",),
            model="gemini-3.5-flash-lite",
            quota_per_model=True,
            rpd=UNKNOWN,  # per project and model; since 2026 shown in its console alone
            tpd=UNKNOWN,
            trains_on_data=True,  # what the free tier is sent may be used to improve products
            price=Price(input=0.30, cached=0.03, output=2.50),
            quota_reset="00:00 America/Los_Angeles",
        ),
        "anthropic": ProviderSettings(
            kind="anthropic",
            base_url="https://api.anthropic.com/v1",
            api_key_env=("ANTHROPIC_API_KEY",),
            model="claude-haiku-5-5",
            quota_per_model=True,
            rpd=NONE,
            tpd=NONE,
            trains_on_data=False,
            price=Price(input=0.10, cached=0.01, cache_write=0.125, output=0.50),
        ),
        "openrouter": ProviderSettings(
            kind="openai",
            base_url="https://openrouter.ai/api/v1",
            api_key_env=("OPENROUTER_API_KEY",),
            model="openai/gpt-oss-120b:free",
            fallback_model="openai/gpt-oss-20b:free",
            rpm=20,  # of all `:free` models together; 1,000 a day after ten credits
            rpd=50,
            tpd=NONE,
            trains_on_data=True,  # free endpoints may keep and train on what they are sent
            quota_reset="00:00 UTC",
        ),
        "mistral": ProviderSettings(
            kind="openai",
            base_url="https://api.mistral.ai/v1",
            api_key_env=("MISTRAL_API_KEY",),
            model="mistral-small-2603",
            rps=1,  # it counts requests a second and tokens a month; its free tier is reported ended
            rpd=UNKNOWN,
            tpd=UNKNOWN,
            trains_on_data=True,  # its free plan may; a paid one can be set not to
            price=Price(input=0.15, cached=0.015, output=0.60),
            quota_reset="00:00 UTC",
        ),
        "cerebras": ProviderSettings(
            kind="openai",
            base_url="https://api.cerebras.ai/v1",
            api_key_env=("CEREBRAS_API_KEY",),
            model="gpt-oss-120b",
            quota_per_model=True,
            rpm=5,  # of its trial
            rpd=UNKNOWN,
            tpd=UNKNOWN,
            trains_on_data=False,
            price=Price(input=0.35, output=0.75),
            quota_reset="00:00 UTC",
        ),
        "deepseek": ProviderSettings(
            kind="openai",
            base_url="https://api.deepseek.com/v1",
            api_key_env=("DEEPSEEK_API_KEY",),
            model="deepseek-flash",
            rpd=NONE,  # it limits calls at once alone
            tpd=NONE,
            trains_on_data=True,
            price=Price(input=0.30, cached=0.006, output=1.20),  # of its dear hours, 01-10 UTC
        ),
        "ollama": ProviderSettings(
            kind="openai", base_url="http://127.0.0.1:11434/v1", model="llama3.1", rpd=NONE, tpd=NONE
        ),
        "llama.cpp": ProviderSettings(
            kind="openai", base_url="http://127.0.0.1:8080/v1", model="default", rpd=NONE, tpd=NONE
        ),
        "lmstudio": ProviderSettings(
            kind="openai", base_url="http://127.0.0.1:1234/v1", model="local-model", rpd=NONE, tpd=NONE
        ),
        "vllm": ProviderSettings(kind="openai", base_url="http://127.0.0.1:8000/v1", rpd=NONE, tpd=NONE),
        "offline": ProviderSettings(kind="offline"),
    }
)

CHECKED: Final[Mapping[str, date]] = MappingProxyType(
    dict.fromkeys((name for name, preset in PRESETS.items() if not preset.is_near), date(2026, 11, 26))
)
"""When each preset was last held against what its provider says."""

LEAST_SEEN: Final[Mapping[str, Mapping[str, int]]] = MappingProxyType({"gemini": {"rpd": 20}})
"""By preset: the smallest daily figures that were seen for one of its models where none is published."""

LEAST_ASSUMED: Final[Mapping[str, int]] = MappingProxyType({"rpd": 50, "tpd": 50_000})
"""What the first day is paced by where not even that is known."""

UNIT: Final = MappingProxyType({"rpd": "requests", "tpd": "tokens"})


@dataclass(frozen=True, slots=True)
class DayLimit:
    """A daily limit. `amount` None: there is none. `source` is "file", "preset", or from what it is assumed."""

    amount: int | None
    source: str
    assumed: bool = False


def day_limit(provider: ProviderSettings, key: str, *, written: bool) -> DayLimit:
    """What a provider allows in a day, as far as the configuration tells; unknown is never infinite.

    Args:
        provider: with its preset filled in.
        key: rpd or tpd.
        written: the key stands in the file.
    """
    value = getattr(provider, key)
    source = "file" if written else "preset"
    if isinstance(value, int):
        return DayLimit(value, source)
    if value == NONE or (value is None and provider.is_near):
        return DayLimit(None, source)
    seen = LEAST_SEEN.get(provider.preset or "", {}).get(key)
    if seen is not None:
        return DayLimit(seen, f"assumed: {seen:,} a day were seen for one of its models", assumed=True)
    least = LEAST_ASSUMED[key]
    return DayLimit(least, "assumed: it publishes no figure" if value else "assumed: none is configured", assumed=True)
