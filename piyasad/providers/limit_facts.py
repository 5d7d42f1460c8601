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

from piyasad.providers.waits import moment

LONGER_THAN_MINUTES: Final = 3_600.0  # a window that takes longer than this to refill is a day's
MOST_LIMIT: Final = 10**12
SURE_SECONDS: Final = 5.0  # shorter resets may be rounded up so far that they prove nothing

_UNITS: Final = {"requests": "r", "req": "r", "tokens": "t", "input-tokens": "it", "output-tokens": "ot"}
_PERIODS: Final = {"second": "ps", "minute": "pm", "hour": "ph", "day": "pd", "month": "_month"}
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
    for what in _WHATS:  # OpenRouter's, and the IETF draft's: requests, of a window that only the reset tells
        found[f"x-ratelimit-{what}".encode()] = found[f"ratelimit-{what}".encode()] = ("r", "?", what)
    return found


_HEADERS: Final = _names()
_NUMBER: Final = r"(\d{1,15}(?:,\d{3}){0,5})"
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

    name: str  # the limit's key in the configuration: rpm, tpm, itpm, otpm, rpd, …
    limit: int | None = None
    left: int | None = None
    reset: float | None = None
    refused: bool = False  # said in a refusal


def of_headers(
    headers: Iterable[tuple[bytes, bytes]], *, requests_a_day: bool = False, now: float | None = None
) -> tuple[Fact, ...]:
    """The facts in a response's headers.

    Args:
        headers: names and values, as they came.
        now: Unix time by the provider's clock, for resets that are times of day.
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
    if ("r", "?") in rows:
        rows.setdefault(("r", ""), rows.pop(("r", "?")))  # what says its unit is believed rather
    facts = []
    for (unit, told), row in rows.items():
        limit, left, reset = _count(row.get("limit")), _count(row.get("remaining")), moment(row.get("reset"), now)
        if limit is None and left is None:
            continue
        period = told or ("pd" if unit == "r" and requests_a_day else _period(limit, left, reset))
        key = "tokens_per_month" if (unit, period) == ("t", "_month") else f"{unit}{period}"
        if key in _KNOWN:
            facts.append(Fact(key, limit, left, reset))
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


def _period(limit: int | None, left: int | None, reset: float | None) -> str:
    """Which window refills so slowly: a bucket of `limit` that lacks `limit - left` is full again in `reset`."""
    if limit is None or left is None or reset is None or left >= limit:
        return "pm"
    whole = reset * limit / (limit - left)
    return "pd" if whole > LONGER_THAN_MINUTES and reset > SURE_SECONDS else "pm"


_KNOWN: Final = frozenset({"rps", "rpm", "rph", "rpd", "tpm", "tph", "tpd", "itpm", "otpm", "tokens_per_month"})


def _int(text: str) -> int:
    return min(int(text.replace(",", "")[:15]), MOST_LIMIT)


def _count(text: str | None) -> int | None:
    if not text:
        return None
    try:
        value = float(text[:40].partition(",")[0].partition(";")[0])  # "100, 100;w=60" of the IETF draft
    except ValueError:
        return None
    return int(value) if 0 <= value <= MOST_LIMIT else None
