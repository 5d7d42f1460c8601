"""What PostgreSQL takes as text: UTF-8 without NUL. Used by the store for everything that comes from outside."""

from __future__ import annotations

import json
import math
from typing import Any


def clean(text: str) -> str:
    """The text without NUL characters, with lone surrogates replaced: the two things PostgreSQL refuses."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def clean_json(value: Any) -> str:
    """JSON that jsonb takes: texts as `clean` gives them, numbers finite, whatever else as its `str`."""
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, bool | int) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {clean(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return clean(str(value))
