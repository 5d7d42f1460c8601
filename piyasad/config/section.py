"""What every configuration model stands on: the strict base class and the small types with their ranges.

`talk.py`, `service.py`, `persona.py` and `settings.py` build the contract from these.
Ranges refuse nonsense, not benches. Nothing here reads a file or the environment.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, model_validator
from pydantic_core import PydanticCustomError

from piyasad.model import TimeRange

MOST = 10**12  # the largest count or limit anybody may write: high enough to open a limit, low enough to add up


class Section(BaseModel):
    """A table of the configuration: frozen, and a key it does not know is an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True, str_strip_whitespace=True
    )


def fault(message: str, key: str = "") -> PydanticCustomError:
    """A rule's refusal in our own words; `key` names the key inside the table that is to blame."""
    return PydanticCustomError("piyasad", "{message}", {"message": message, "key": key})


_RANGE = re.compile(r"(\d{1,2}):(\d{2})\s*[-–]\s*(\d{1,2}):(\d{2})")


def parse_range(value: Any) -> TimeRange:
    """Read "HH:MM-HH:MM". The end may be "24:00"; an end before the start wraps midnight."""
    if isinstance(value, TimeRange):
        return value
    match = _RANGE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise fault(f'expected a time range like "09:30-12:00", found {value!r}')
    start_hour, start_minute, end_hour, end_minute = (int(part) for part in match.groups())
    start, end = start_hour * 60 + start_minute, end_hour * 60 + end_minute
    for text, hour, minute, most in (
        (f"{match[1]}:{match[2]}", start_hour, start_minute, 23 * 60 + 59),
        (f"{match[3]}:{match[4]}", end_hour, end_minute, 24 * 60),
    ):
        if minute > 59 or hour * 60 + minute > most:
            raise fault(f"{value!r}: there is no {text} on a clock; hours go from 00:00 to 23:59, an end may be 24:00")
    if start == end:
        raise fault(f'{value!r} starts where it ends; write "00:00-24:00" for the whole day, or leave the list empty')
    return TimeRange(start, end)


def format_range(value: TimeRange) -> str:
    """The range as it is written in the file."""
    return f"{value.start // 60:02d}:{value.start % 60:02d}-{value.end // 60:02d}:{value.end % 60:02d}"


def split_address(value: str) -> tuple[str, int]:
    """Host and port of "HOST:PORT" ("[::1]:9464" for IPv6). Raises ValueError when it is not one."""
    host, colon, port = value.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    ok = colon and host and (bracketed or ":" not in host) and not re.search(r"[\s/\[\]]", host)
    if not ok or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(value)
    return host, int(port)


def _address(value: str) -> str:
    try:
        split_address(value)
    except ValueError:
        raise fault(f'expected "HOST:PORT" with a port up to 65535, like "127.0.0.1:9464", found {value!r}') from None
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise fault(f'{value!r} is no IANA time zone; write one like "Europe/Istanbul"') from None
    return value


def _web(value: str) -> str:
    try:
        parts = urlsplit(value)
        ok = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        ok = False
    if not ok:
        raise fault("expected an address that starts with http:// or https://")
    if parts.username or parts.password:
        raise fault("an address carries no user name or password: secrets never stand in the file")
    return value.rstrip("/")


def _variable(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        # The value is not quoted back: who writes a token here by mistake shall not find it in a log.
        raise fault("expected the NAME of an environment variable (letters, digits, _), not the secret itself")
    return value


def _jitter(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise fault(f"the first factor ({value[0]:g}) is greater than the second ({value[1]:g}); swap them")
    return value


def as_list(value: Any) -> Any:
    """A single string where a list is meant counts as a list of one."""
    return (value,) if isinstance(value, str) else value


Flag = Annotated[bool, Field(strict=True)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]  # 0 never, 1 always
Delay = Annotated[float, Field(strict=True, ge=0.01, le=MOST)]  # seconds
Span = Annotated[float, Field(strict=True, ge=0, le=MOST)]  # a length of time that may be 0
Factor = Annotated[float, Field(strict=True, ge=0.001, le=1_000_000)]
Rate = Annotated[float, Field(strict=True, ge=0.001, le=MOST)]  # events per unit of time
Money = Annotated[float, Field(strict=True, ge=0, le=MOST)]
Count = Annotated[int, Field(strict=True, ge=0, le=MOST)]
Positive = Annotated[int, Field(strict=True, ge=1, le=MOST)]
Text = Annotated[str, Field(max_length=4096)]
Name = Annotated[str, Field(min_length=1, max_length=64)]
Symbol = Annotated[str, Field(min_length=1, max_length=64)]
Range = Annotated[
    TimeRange,
    PlainValidator(parse_range, json_schema_input_type=str),
    PlainSerializer(format_range, return_type=str),
]
Ranges = tuple[Range, ...]
Address = Annotated[str, AfterValidator(_address)]
Zone = Annotated[str, AfterValidator(_zone)]
WebAddress = Annotated[str, AfterValidator(_web)]
Variable = Annotated[str, AfterValidator(_variable)]
Jitter = Annotated[tuple[Factor, Factor], AfterValidator(_jitter)]


class Between(Section):
    """Two numbers, `min` and `max`; the unit is the key's that holds them."""

    min: Delay
    max: Delay

    @model_validator(mode="before")
    @classmethod
    def _single(cls, value: Any) -> Any:
        """One number stands for both ends."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            return {"min": value, "max": value}
        return value

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise fault(f"min ({self.min:g}) is greater than max ({self.max:g}); swap them")
        return self


class HourlyLimit(Section):
    """A bot's messages an hour: its cap is drawn anew from min to max, both included."""

    min: Positive = 6
    max: Positive = 12

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise fault(f"min ({self.min}) is greater than max ({self.max}); swap them")
        return self
