"""What an LLM provider counts per key: exact sliding windows, the wording of its refusals, its headers.

Used by `llm.py` alone. It enforces the strictest reading of a limit (every sliding window), so a client that
passes here passes at the real ones, which refill a bucket continuously. Knows nothing of HTTP.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, fields

MINUTE = 60.0
DAY = 86_400.0


@dataclass(slots=True)
class Limits:
    """A key's limits; None: no limit."""

    rpm: int | None = None
    tpm: int | None = None
    rpd: int | None = None
    tpd: int | None = None

    @classmethod
    def of(cls, values: dict[str, object]) -> Limits:
        """From a JSON object. Raises ValueError for an unknown name or a value that is no count."""
        known = {field.name for field in fields(cls)}
        for name, value in values.items():
            if name not in known or not (value is None or (isinstance(value, int) and value >= 0)):
                raise ValueError(f"{name} = {value!r}: expected one of {', '.join(sorted(known))} and a count or null")
        return cls(**values)  # type: ignore[arg-type]


class Entry:
    """An amount admitted at a time; the amount may be corrected while it counts."""

    __slots__ = ("amount", "at", "gone")

    def __init__(self, at: float, amount: int) -> None:
        self.at = at
        self.amount = amount
        self.gone = False


class Window:
    """The sum of what was admitted in the last `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.used = 0
        self.most = 0  # the highest sum ever seen: for tests
        self._entries: deque[Entry] = deque()
        # Entries of a day are merged by the second, else a day of a bench would hold millions.
        self._grain = seconds / DAY

    def expire(self, now: float) -> None:
        """Forget what is older than the window."""
        entries = self._entries
        oldest = now - self.seconds
        while entries and entries[0].at <= oldest:
            entry = entries.popleft()
            entry.gone = True
            self.used -= entry.amount

    def add(self, amount: int, now: float) -> Entry:
        """Count an amount; the entry's time is that of the last one merged into it."""
        self.used += amount
        self.most = max(self.most, self.used)
        last = self._entries[-1] if self._entries else None
        if last is not None and int(last.at / self._grain) == int(now / self._grain):
            last.amount += amount
            last.at = now
            return last
        entry = Entry(now, amount)
        self._entries.append(entry)
        return entry

    def correct(self, entry: Entry, difference: int) -> None:
        """The real amount is known now."""
        if not entry.gone:
            entry.amount += difference
            self.used += difference
            self.most = max(self.most, self.used)

    def wait(self, amount: int, limit: int, now: float) -> float:
        """Seconds until `amount` fits below `limit` if nothing else comes."""
        over = self.used + amount - limit
        for entry in self._entries:
            if over <= 0:
                break
            over -= entry.amount
            if over <= 0:
                return max(0.001, entry.at + self.seconds - now)
        return 0.001 if over <= 0 else self.seconds


@dataclass(slots=True)
class Refusal:
    """Why a request is not admitted: `too_large` can never pass, else it may after `wait` seconds."""

    what: str  # "requests" or "tokens"
    per: str  # "minute" or "day"
    short: str  # RPM, TPM, RPD, TPD
    limit: int
    used: int
    requested: int
    wait: float
    too_large: bool = False

    def text(self, model: str, organization: str) -> str:
        """The message in Groq's words (as quoted in many public issue reports, 2025–2026)."""
        where = f"for model `{model}` in organization `{organization}` service tier `on_demand`"
        on = f"on {self.what} per {self.per} ({self.short}): Limit {self.limit}"
        upgrade = "Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing"
        if self.too_large:
            return (
                f"Request too large {where} {on}, Requested {self.requested}, "
                f"please reduce your message size and try again. {upgrade}"
            )
        return (
            f"Rate limit reached {where} {on}, Used {self.used}, Requested {self.requested}. "
            f"Please try again in {go_duration(self.wait)}. {upgrade}"
        )


class Account:
    """All windows of one key."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.requests_minute = Window(MINUTE)
        self.requests_day = Window(DAY)
        self.tokens_minute = Window(MINUTE)
        self.tokens_day = Window(DAY)

    def admit(self, tokens: int, now: float) -> tuple[Entry, Entry] | Refusal:
        """Count a request with its tokens (prompt plus max_tokens), or say which limit is in the way."""
        limits = self.limits
        checks = (
            ("requests", "day", "RPD", self.requests_day, limits.rpd, 1),
            ("requests", "minute", "RPM", self.requests_minute, limits.rpm, 1),
            ("tokens", "day", "TPD", self.tokens_day, limits.tpd, tokens),
            ("tokens", "minute", "TPM", self.tokens_minute, limits.tpm, tokens),
        )
        for what, per, short, window, limit, amount in checks:
            window.expire(now)
            if limit is not None and window.used + amount > limit:
                large = amount > limit
                wait = 0.0 if large else window.wait(amount, limit, now)
                return Refusal(what, per, short, limit, window.used, amount, wait, large)
        self.requests_minute.add(1, now)
        self.requests_day.add(1, now)
        return self.tokens_minute.add(tokens, now), self.tokens_day.add(tokens, now)

    def settle(self, entries: tuple[Entry, Entry], difference: int) -> None:
        """The tokens really used differ from those admitted."""
        self.tokens_minute.correct(entries[0], difference)
        self.tokens_day.correct(entries[1], difference)

    def headers(self, now: float) -> dict[str, str]:
        """Groq's: `*-requests` is always the day's limit, `*-tokens` always the minute's.

        Source: console.groq.com/docs/rate-limits, "Rate Limit Headers".
        """
        found: dict[str, str] = {}
        for name, window, limit in (
            ("requests", self.requests_day, self.limits.rpd),
            ("tokens", self.tokens_minute, self.limits.tpm),
        ):
            if limit is not None:
                window.expire(now)
                left = max(0, limit - window.used)
                found[f"x-ratelimit-limit-{name}"] = str(limit)
                found[f"x-ratelimit-remaining-{name}"] = str(left)
                found[f"x-ratelimit-reset-{name}"] = go_duration(
                    window.seconds * (limit - left) / limit if limit else 0
                )
        return found


def go_duration(seconds: float) -> str:
    """A duration as Go prints it: 7m12s, 2m59.56s, 1h0m3s, 120ms."""
    if seconds < 1:
        return f"{_plain(round(seconds * 1000, 3))}ms" if seconds > 0 else "0s"
    whole = math.floor(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, secs = divmod(rest, 60)
    tail = f"{_plain(round(secs + seconds - whole, 3))}s"
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + tail


def _plain(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")
