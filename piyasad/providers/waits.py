"""How long a provider says to wait: its headers, its words, and the fields of its refusals, in whatever form.

`http.py` and `refusal.py` read with it. Pure. What is no time (a word, a negative number, a time long past) says
nothing, and no word of a provider holds longer than `MOST_WAIT`: then it is asked once more.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from piyasad.clock import DAY

MOST_WAIT: Final = DAY
_YEARS: Final = (1e9, 4e9)  # Unix times from 2001 to 2096; in milliseconds a thousand times that

_UNIT: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": DAY}
_LONG_UNITS: Final = (
    ("milli", "ms"),
    ("msec", "ms"),
    ("sec", "s"),
    ("min", "m"),
    ("hour", "h"),
    ("hr", "h"),
    ("day", "d"),
)
_LETTERS: Final = r"(?:milliseconds?|msecs?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)(?![a-z])"
_PIECE: Final = re.compile(rf"(\d{{1,12}}(?:\.\d{{1,12}})?)\s{{0,2}}({_LETTERS})", re.IGNORECASE)
_SPAN: Final = rf"(?:\d{{1,12}}(?:\.\d{{1,12}})?\s{{0,2}}{_LETTERS}(?:,? and |, | )?){{1,5}}"
# "try again in 7m12s", "retry after 20 seconds", "please wait 1 minute", "resets in 2 hours", "back in 3 days"
_AGAIN: Final = re.compile(
    rf"(?:again|retry|retrying|wait|resets?|renews?|available|back)\b[^.;\d]{{0,32}}?({_SPAN})", re.IGNORECASE
)
_WINDOWS: Final = (
    ("month", re.compile(r"per[ _-]?month|monthly", re.IGNORECASE)),
    ("day", re.compile(r"per[ _-]?day|daily|\b[RT]PD\b", re.IGNORECASE)),
    ("hour", re.compile(r"per[ _-]?hour|hourly|\b[RT]PH\b", re.IGNORECASE)),
    ("minute", re.compile(r"per[ _-]?min|\b(?:[RT]|IT|OT)PM\b", re.IGNORECASE)),
    ("second", re.compile(r"per[ _-]?sec|\bRPS\b", re.IGNORECASE)),
)


def wait_of(headers: Mapping[str, str], message: str, wall: float | None = None) -> float | None:
    """Seconds to wait: the longer of the headers' and the message's word; None: not said.

    Args:
        wall: the time here, for a header that tells a time of day where the response does not tell its own.
    """
    found = [seconds for seconds in (_header_wait(headers, wall), body_wait(message)) if seconds is not None]
    return max(found) if found else None


def body_wait(message: str) -> float | None:
    """Seconds that a message says to wait: "try again in 7m12.5s", "wait 20 seconds"."""
    match = _AGAIN.search(message)
    return None if match is None else bounded(_sum(match[1]))


def window_of(message: str) -> str:
    """Which window a refusal is about: "month", "day", "hour", "minute", "second" or ""."""
    return next((name for name, pattern in _WINDOWS if pattern.search(message)), "")


def moment(value: object, now: float | None, *, unit: float = 1.0) -> float | None:
    """Seconds until what a field says: a number of seconds, a duration, a Unix time or a date; None for anything else.

    Args:
        now: Unix time, for times of day.
        unit: seconds that a bare number counts in.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return _number(float(value) if abs(value) < 1e300 else math.inf, now, unit)
    text = str(value).strip()[:64]
    try:
        return _number(float(text), now, unit)
    except ValueError:
        pass
    pieces = _PIECE.findall(text)
    if pieces and "".join(map("".join, pieces)) == text.replace(" ", ""):
        return bounded(_sum(text))
    then = _date(text)
    return None if then is None or now is None else bounded(then - now)


def now_of(headers: Mapping[str, str], wall: float | None) -> float | None:
    """The time at which a provider answered, by its own clock if it tells it."""
    then = _date(headers.get("date", "")[:64])
    return wall if then is None else then


def bounded(seconds: float) -> float | None:
    """A wait that can be meant; None for one that cannot."""
    return min(seconds, MOST_WAIT) if seconds >= 0 else None


def _header_wait(headers: Mapping[str, str], wall: float | None) -> float | None:
    now = now_of(headers, wall)
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0), ("x-retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        told = [moment(part, now, unit=unit) for part in _parts(value)]
        if waits := [seconds for seconds in told if seconds is not None]:
            return max(waits)
    return None


def _parts(value: str) -> list[str]:
    """A header that came twice is joined by a comma; a date holds one itself."""
    return [value] if re.match(r"\s*[A-Za-z]{3}", value) else value[:200].split(",")


def _number(value: float, now: float | None, unit: float) -> float | None:
    if math.isnan(value) or value < 0:
        return None
    for scale in (1.0, 1000.0):
        low, high = _YEARS[0] * scale, _YEARS[1] * scale
        if low <= value <= high:
            return None if now is None else bounded(value / scale - now)
    return bounded(value * unit)


def _date(text: str) -> float | None:
    """The Unix time of an HTTP date or an RFC 3339 one."""
    try:
        then = datetime.fromisoformat(text) if text[:4].isdigit() else parsedate_to_datetime(text)
        return (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _sum(text: str) -> float:
    return math.fsum(float(number) * _UNIT[_short(unit)] for number, unit in _PIECE.findall(text))


def _short(unit: str) -> str:
    unit = unit.lower()
    return unit if unit in _UNIT else next(short for long, short in _LONG_UNITS if unit.startswith(long))
