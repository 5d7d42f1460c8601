"""The moods that the sandbox's LLM provider can be put into, and its error bodies in the real ones' words.

Used by `llm.py` and its dialects alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from piyasad.sandbox.llm_limits import Refusal

# Before anything is counted: refusals, a hang, a cut. "429" is an injected refusal and no violation of the client's.
BEFORE = frozenset(
    {"401", "403", "404", "413", "429", "498", "500", "502", "503", "529", "insufficient_quota", "403_moderation"}
    | {"403_model", "no_system", "must_think", "hang", "cut_before", "html", "answer"}
)
# After the request was admitted and counted: what becomes of the answer.
AFTER = frozenset({"cut_after", "cut_body", "empty", "truncated", "refusal", "text", "parts", "thinks_first"})
FAULTS = BEFORE | AFTER
FORMS = frozenset({"", "in_200", "in_list", "on_top", "plain"})

# Texts that models and the servers before them gave.
ODD_TEXTS: Mapping[str, str] = {
    "half_emoji": "Bence sakin bir gün \ud83d",
    "long": "Bugün piyasada hacim düşük, herkes beklemede görünüyor. " * 480,
    "degenerate": "[ " * 25_000,
    "entities": "Bence\0 sakin bir gün &quot;bugün&quot; &amp; yarın.\\n\\nBekleyelim.",
}
THINKS_TOKENS = 450  # what a model that thinks first needs at least


@dataclass(slots=True)
class Fault:
    """A mood: applied with `share` to requests of `key` and `model` ("": all), at most `count` times (None: always).

    `answer` is a response word for word: `status`, `headers` and `body` (JSON, or a text that is sent as it is). `text`
    writes `text`, or the odd text of that name, however long. `no_system`, `must_think` and `thinks_first` are what a
    model cannot do: they strike only requests that ask it to. `form` wraps a refusal.
    """

    kind: str
    share: float = 1.0
    count: int | None = None
    key: str = ""
    model: str = ""
    seconds: float | None = None  # retry-after of a 429, length of a hang
    form: str = ""  # of a refusal: in a 200, in a list, its words on top without `error`, or plain text
    status: int = 200
    headers: Mapping[str, str] | None = None
    body: Any = None
    text: str = ""
    tokens: int = THINKS_TOKENS

    def __post_init__(self) -> None:
        if self.kind not in FAULTS:
            raise ValueError(f"unknown fault {self.kind!r}; one of {', '.join(sorted(FAULTS))}")
        if self.form not in FORMS:
            raise ValueError(f"unknown form {self.form!r}; one of {', '.join(sorted(FORMS - {''}))}")
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
    "403_moderation": (
        403,
        "Your chosen model requires moderation and your input was flagged",
        "invalid_request_error",
        "content_moderation",
    ),
    "403_model": (
        403,
        "Project `proj_x` does not have access to model `MODEL`",
        "invalid_request_error",
        "model_not_found",
    ),
    "413": (413, "Request Entity Too Large", "invalid_request_error", "request_too_large"),
    "498": (498, "Flex tier capacity exceeded: try again later.", "flex_capacity_exceeded", "capacity_exceeded"),
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
        form: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.code = code
        self.param = param
        self.refusal = refusal
        self.form = form


def verbatim(fault: Fault) -> web.Response:
    """The response that a fault holds word for word."""
    if isinstance(fault.body, str):
        response = web.Response(body=fault.body.encode(), status=fault.status, content_type="application/json")
    else:  # ASCII: half a surrogate pair travels as its escape
        response = web.json_response(fault.body, status=fault.status)
    for name, value in (fault.headers or {}).items():
        response.headers[name] = value
    return response


def reshaped(response: web.Response, form: str) -> web.Response:
    """A refusal in another of the forms in which servers and proxies hand refusals on."""
    body = json.loads(response.text or "{}")
    error = body.get("error", body)
    status = response.status
    if form == "plain":
        return web.Response(text=str(error.get("message")), status=status)
    if form == "in_200":
        made = web.json_response({"id": "gen-sandbox", "error": error | {"code": status}})
    elif form == "in_list":
        made = web.json_response([body], status=status)
    else:
        made = web.json_response({"object": "error"} | error, status=status)
    if "retry-after" in response.headers:
        made.headers["retry-after"] = response.headers["retry-after"]
    return made
