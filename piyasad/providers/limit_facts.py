"""What a provider's answers say about its limits: every dialect's headers, and the words of a refusal.

The dialects read with it, `quota.py` draws the consequence. Pure. Nothing here trusts a provider further than a count.
Sources: console.groq.com/docs/rate-limits; platform.openai.com/docs/guides/rate-limits; docs.anthropic.com "Response
headers"; Mistral's and Cerebras' headers as their clients' issues quote them (2026).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from piyasad.clock import DAY

LONGER_THAN_MINUTES: Final = 3_600.0  # a window that takes longer than this to refill is a day's
SURE_SECONDS: Final = 5.0  # shorter resets may be rounded up so far that they prove nothing

_UNITS: Final = {"requests": "r", "req": "r", "tokens": "t", "input-tokens": "it", "output-tokens": "ot"}
_PERIODS: Final = {"minute": "pm", "day": "pd"}
_WHATS: Final = ("limit", "remaining", "reset")


def _names() -> dict[bytes, tuple[str, str, str]]:
    """By header: the unit, the period ("" when the header does not say) and what it tells."""
    found: dict[bytes, tuple[str, str, str]] = {}
    for unit, short in _UNITS.items():
        for what in _WHATS:
            found[f"anthropic-ratelimit-{unit}-{what}".encode()] = (short, "pm", what)
            found[f"x-ratelimit-{what}-{unit}".encode()] = (short, "", what)
            for period, ending in _PERIODS.items():
                found[f"x-ratelimit-{what}-{unit}-{period}".encode()] = (short, ending, what)
    return found


_HEADERS: Final = _names()
_PIECE: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}

_NUMBER: Final = r"(\d+(?:,\d{3})*)"
_GROQ: Final = re.compile(  # "on tokens per day (TPD): Limit 100000, Used 99990, Requested 500"; OpenAI's are alike
    rf"\((RPM|RPD|TPM|TPD|ITPM|OTPM)\): Limit:? {_NUMBER}(?:, Used:? {_NUMBER})?", re.IGNORECASE
)
_ANTHROPIC: Final = re.compile(rf"limit of {_NUMBER} (requests|input tokens|output tokens|tokens) per minute")
_ANTHROPIC_UNIT: Final = {"requests": "rpm", "tokens": "tpm", "input tokens": "itpm", "output tokens": "otpm"}


@dataclass(frozen=True, slots=True)
class Fact:
    """What a provider said about one limit. None: it did not say.

    `left` is what it would still admit, with all that it has counted; `reset` the seconds until nothing counts any
    more.
    """

    name: str  # rpm, tpm, itpm, otpm, rpd or tpd
    limit: int | None = None
    left: int | None = None
    reset: float | None = None
    refused: bool = False  # said in a refusal


def of_headers(headers: Iterable[tuple[bytes, bytes]], *, requests_a_day: bool = False) -> tuple[Fact, ...]:
    """The facts in a response's headers.

    Args:
        headers: names and values, as they came.
        requests_a_day: plain `x-ratelimit-*-requests` are the day's (Groq); else the time that they take to refill
            tells which window they are about, and without such a sign they are the minute's.
    """
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for name, value in headers:
        known = _HEADERS.get(name.lower())
        if known is not None:
            unit, period, what = known
            rows.setdefault((unit, period), {})[what] = value.decode("latin-1")
    if not rows:
        return ()
    if ("it", "pm") in rows or ("ot", "pm") in rows:
        rows.pop(("t", "pm"), None)  # Anthropic's plain "tokens" repeat whichever of the two is tighter
    facts = []
    for (unit, told), row in rows.items():
        limit, left, reset = _count(row.get("limit")), _count(row.get("remaining")), duration(row.get("reset"))
        if limit is None and left is None:
            continue
        period = told or ("pd" if unit == "r" and requests_a_day else _period(limit, left, reset))
        if f"{unit}{period}" in _KNOWN:
            facts.append(Fact(f"{unit}{period}", limit, left, reset))
    return tuple(facts)


def of_refusal(message: str, wait: float | None = None) -> tuple[Fact, ...]:
    """The facts in the words of a refusal. `wait`: what else it says to wait, after which its count is out of date."""
    facts = []
    for short, limit, used in _GROQ.findall(message):
        most = _int(limit)
        facts.append(Fact(short.lower(), most, max(0, most - _int(used)) if used else None, wait, refused=True))
    for limit, unit in _ANTHROPIC.findall(message):
        facts.append(Fact(_ANTHROPIC_UNIT[unit], _int(limit), refused=True))
    return tuple(facts)


def of_gemini(quota_id: str, value: str) -> Fact | None:
    """One violation of a `QuotaFailure`: "GenerateRequestsPerDayPerProjectPerModel-FreeTier" with its value."""
    period = "pd" if "PerDay" in quota_id else "pm" if "PerMinute" in quota_id else ""
    unit = "r" if "Requests" in quota_id else "it" if "InputToken" in quota_id else "t" if "Token" in quota_id else ""
    name = "tpd" if (unit, period) == ("it", "pd") else f"{unit}{period}"
    if name not in _KNOWN:
        return None
    limit = _count(value)
    return Fact(name, limit or None, refused=True)


def duration(text: str | None) -> float | None:
    """Seconds of "7m12.5s", "120ms" or "33011.4"; None for a time of day and for nothing."""
    if not text:
        return None
    pieces = _PIECE.findall(text)
    if pieces and "".join(map("".join, pieces)) == text:
        return sum(float(number) * _SECONDS[unit] for number, unit in pieces)
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 <= seconds <= DAY * 31 else None  # larger ones are dates


def _period(limit: int | None, left: int | None, reset: float | None) -> str:
    """Which window refills so slowly: a bucket of `limit` that lacks `limit - left` is full again in `reset`."""
    if limit is None or left is None or reset is None or left >= limit:
        return "pm"
    whole = reset * limit / (limit - left)
    return "pd" if whole > LONGER_THAN_MINUTES and reset > SURE_SECONDS else "pm"


_KNOWN: Final = frozenset({"rpm", "tpm", "itpm", "otpm", "rpd", "tpd"})


def _int(text: str) -> int:
    return int(text.replace(",", ""))


def _count(text: str | None) -> int | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return int(value) if 0 <= value <= 1e12 else None
