"""What stands in a provider's answer, read without trust: JSON of any shape, texts in any wrapping, counts of any kind.

The dialects read with it. Pure; nothing here raises for what a server sent.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from piyasad.language import border

MOST_COUNTED: Final = 1_000_000  # tokens of one call; what is told beyond is no count
_DEEPEST: Final = 6  # wrappings of a text
_TEXT_KEYS: Final = ("text", "content", "parts", "value", "output_text")
_NO_TEXT: Final = ("think", "reason", "thought", "tool", "function", "image", "audio", "refusal")

_CUT: Final = frozenset(
    {"length", "max_tokens", "model_length", "max_output_tokens", "max_completion_tokens", "token_limit"}
)
_REFUSED: Final = ("content_filter", "safety", "prohibited", "blocklist", "spii", "recitation", "refus", "moderat",
                   "sensitive", "guardrail", "policy", "blocked")  # fmt: skip
_BROKEN: Final = ("error", "insufficient", "abort", "cancel", "malformed", "overload", "unavailable")


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, read whole and unpacked."""

    status: int
    headers: httpx.Headers
    content: bytes

    @property
    def kind(self) -> str:
        """What it is instead of an answer: its content type and length, never its text."""
        kind = self.headers.get("content-type", "no content type").partition(";")[0]
        return f"{border.received(kind, 40)}, {len(self.content)} bytes"


def json_of(content: bytes | str) -> Any:
    """The JSON in a body; None when it holds none."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):  # no JSON, no text, a number of thousands of digits, or brackets without end
        return None


def json_object(content: bytes | str) -> dict[str, Any]:
    """The JSON object in a body, taken out of a list if it is wrapped in one; empty when there is none."""
    found = json_of(content)
    if isinstance(found, list):
        found = next((row for row in found if isinstance(row, dict)), None)
    return found if isinstance(found, dict) else {}


def rows_of(value: Any) -> list[dict[str, Any]]:
    """The objects in a list; one that stands alone is a list of one."""
    rows = value if isinstance(value, list) else [value]
    return [row for row in rows if isinstance(row, dict)]


def object_of(value: Any) -> dict[str, Any]:
    """An object, or an empty one."""
    return value if isinstance(value, dict) else {}


def text_of(value: Any) -> str:
    """The text in a text, in a list of parts or in nested ones; what is thought, called or drawn is none."""
    return "".join(_texts(value, _DEEPEST))


def _texts(value: Any, deep: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and deep:
        for part in value:
            yield from _texts(part, deep - 1)
    elif isinstance(value, dict) and deep and not value.get("thought"):
        kind = str(value.get("type") or "").lower()
        if not any(word in kind for word in _NO_TEXT):
            yield from _texts(next((value[key] for key in _TEXT_KEYS if value.get(key)), ""), deep - 1)


def finish_of(value: Any) -> str:
    """Why the text ended: "stop", "length", "refused", "broken", whatever the provider calls it."""
    word = str(value or "stop").lower()
    if word in _CUT:
        return "length"
    if any(part in word for part in _REFUSED):
        return "refused"
    return "broken" if any(part in word for part in _BROKEN) else "stop"


def count_of(value: Any) -> int:
    """A count of tokens as a provider gives it; 0 for anything that is none, or that no call can use."""
    if isinstance(value, str):
        try:
            value = float(value[:32])
        except ValueError:
            return 0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MOST_COUNTED:
        return 0
    return math.ceil(value)


def first_count(rows: Iterable[Mapping[str, Any]], names: Iterable[str]) -> int:
    """The first of several names under which a count stands in one of several objects."""
    names = tuple(names)
    return next((count for row in rows for name in names if (count := count_of(row.get(name)))), 0)
