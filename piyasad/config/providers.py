"""[providers.NAME]: one LLM API, its models, keys, limits and prices. Part of the configuration's contract.

What a section leaves out follows its preset (`presets.py`). Secrets are only named here, never held.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, model_validator

from piyasad.config.section import MOST, Flag, Money, Name, Positive, Section, Variable, WebAddress, as_list, fault

NONE: Final = "none"  # paid only: the budget paces
_PRIVATE_NAMES: Final = (".local", ".lan", ".internal", ".home.arpa", ".localhost")
UNKNOWN: Final = "unknown"  # there is a free tier that publishes none: paced by a careful guess


def _daily(value: Any) -> int | str:
    if isinstance(value, str) and value in {NONE, UNKNOWN}:
        return value
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST:
        raise fault(f'expected a count of 1 or more, "none" or "unknown", found {value!r}')
    return value


Daily = Annotated[int | str, PlainValidator(_daily, json_schema_input_type=Positive | Literal["none", "unknown"])]


def _reset(value: str) -> str:
    if value == "rolling":
        return value
    clock, _, zone = value.partition(" ")
    hour, colon, minute = clock.partition(":")
    good = bool(colon) and len(hour) == 2 and len(minute) == 2 and hour.isdecimal() and minute.isdecimal()
    if not good or int(hour) > 23 or int(minute) > 59 or not zone.strip():
        raise fault(f'expected "rolling" or "HH:MM TZ" like "00:00 America/Los_Angeles", found {value!r}')
    try:
        ZoneInfo(zone.strip())
    except (KeyError, ValueError, OSError):
        raise fault(f"{zone.strip()!r} is no IANA time zone") from None
    return value


class Price(Section):
    """US dollars per million tokens."""

    input: Money = 0
    cached: Money | None = Field(None, description="read from the prompt cache; not set: as input")
    cache_write: Money | None = Field(None, description="written to the prompt cache; not set: as input")
    output: Money = 0


class ProviderSettings(Section):
    """[providers.NAME]: one LLM API. What is not written follows the preset (see `Settings.provider`)."""

    kind: Literal["openai", "gemini", "anthropic", "offline"] | None = Field(None, description="the API's dialect")
    preset: Name | None = Field(None, description="not set: the provider's name, if it is a preset's")
    base_url: WebAddress | None = Field(None, description="with its version: …/v1")
    api_key_env: Annotated[tuple[Variable, ...], BeforeValidator(as_list)] = Field(
        (), description="environment variable(s) that hold the key(s)"
    )
    api_key_file: Annotated[tuple[Path, ...], BeforeValidator(as_list)] = Field(
        (), description="file(s) (0600) that hold the key(s)"
    )
    separate_quota: Flag = Field(False, description="each key has a quota of its own")
    models: tuple[Name, ...] = Field((), description="instead of model: best first, each with limits of its own")
    quota_per_model: Flag | None = Field(None, description="the provider counts each model by itself")
    model: Name | None = None
    fallback_model: Name | None = Field(None, description="asked when the model is gone")
    temperature: Annotated[float, Field(strict=True, ge=0, le=2)] | None = None
    rps: Positive | None = Field(None, description="requests/s")
    rpm: Positive | None = Field(None, description="requests/min")
    rph: Positive | None = Field(None, description="requests/h")
    tpm: Positive | None = Field(None, description="tokens/min")
    tph: Positive | None = Field(None, description="tokens/h")
    itpm: Positive | None = Field(None, description="input tokens/min")
    otpm: Positive | None = Field(None, description="output tokens/min")
    rpd: Daily | None = Field(None, description='requests/day, "none" or "unknown"')
    tpd: Daily | None = Field(None, description='tokens/day, "none" or "unknown"')
    tokens_per_month: Positive | None = Field(None, description="tokens/month, by the calendar (UTC)")
    max_concurrency: Positive | None = Field(None, description="calls at once")
    counts_cached: Flag | None = Field(None, description="cached tokens count towards the limits")
    trains_on_data: Flag | None = Field(None, description="the provider may train on what it is sent")
    price: Price | None = Field(None, description="US dollars per million tokens")
    quota_reset: Annotated[str, AfterValidator(_reset)] | None = Field(None, description='"rolling" or "HH:MM TZ"')

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.models and self.model:
            raise fault("model is given, too; keep one of the two", "models")
        if len(set(self.models)) < len(self.models):
            raise fault("a model is named twice", "models")
        return self

    @property
    def asked(self) -> tuple[str, ...]:
        """The models to ask, best first."""
        return self.models or ((self.model,) if self.model else ())

    @property
    def host(self) -> str:
        """The server's host; "" without one."""
        return (urlsplit(self.base_url).hostname or "") if self.base_url else ""

    @property
    def is_here(self) -> bool:
        """Whether texts stay on this machine."""
        return self.kind == "offline" or is_here(self.host)

    @property
    def is_near(self) -> bool:
        """Whether the server stands on this machine or in a private network."""
        return self.kind == "offline" or is_near(self.host)


def is_here(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_near(host: str) -> bool:
    """Whether a host is this machine or stands in a private network."""
    try:
        return is_here(host) or ipaddress.ip_address(host).is_private
    except ValueError:  # a name: in the world outside every name has a dot
        return bool(host) and ("." not in host or host.endswith(_PRIVATE_NAMES))
