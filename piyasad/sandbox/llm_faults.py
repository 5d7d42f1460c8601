"""The moods that the sandbox's LLM provider can be put into, and its error bodies in the real ones' words.

Used by `llm.py` and its dialects alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from piyasad.sandbox.llm_limits import Refusal

# Before anything is counted: refusals, a hang, a cut. "429" is an injected refusal and no violation of the client's.
BEFORE = frozenset(
    {"401", "403", "404", "413", "429", "500", "502", "503", "529", "insufficient_quota", "hang", "cut_before", "html"}
)
# After the request was admitted and counted: what becomes of the answer.
AFTER = frozenset({"cut_after", "cut_body", "empty", "truncated", "refusal"})
FAULTS = BEFORE | AFTER


@dataclass(slots=True)
class Fault:
    """A mood: applied with `share` to requests of `key` and `model` ("": all), at most `count` times (None: always)."""

    kind: str
    share: float = 1.0
    count: int | None = None
    key: str = ""
    model: str = ""
    seconds: float | None = None  # retry-after of a 429, length of a hang

    def __post_init__(self) -> None:
        if self.kind not in FAULTS:
            raise ValueError(f"unknown fault {self.kind!r}; one of {', '.join(sorted(FAULTS))}")
        if not 0 <= self.share <= 1:
            raise ValueError("share: expected 0 to 1")


# Status, message, type and code, as OpenAI and Groq word them (public issue reports, 2025–2026).
PLAIN: Mapping[str, tuple[int, str, str, str | None]] = {
    "401": (401, "Invalid API Key", "invalid_request_error", "invalid_api_key"),
    "403": (403, "Your organization is restricted.", "invalid_request_error", "organization_restricted"),
    "404": (
        404,
        "The model `MODEL` does not exist or you do not have access to it.",
        "invalid_request_error",
        "model_not_found",
    ),
    "413": (413, "Request Entity Too Large", "invalid_request_error", "request_too_large"),
    "500": (500, "Internal Server Error", "internal_server_error", None),
    "502": (502, "Bad Gateway", "internal_server_error", None),
    "503": (503, "Service Unavailable", "internal_server_error", None),
    "529": (529, "Overloaded", "overloaded_error", None),
    "insufficient_quota": (
        429,
        "You exceeded your current quota, please check your plan and billing details. For more information on this "
        "error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.",
        "insufficient_quota",
        "insufficient_quota",
    ),
}


class ApiError(Exception):
    """A refusal, before a dialect puts it into its own form."""

    def __init__(
        self,
        status: int,
        message: str,
        kind: str,
        code: str | None = None,
        param: str | None = None,
        refusal: Refusal | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.code = code
        self.param = param
        self.refusal = refusal
