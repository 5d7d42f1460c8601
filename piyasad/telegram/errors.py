"""What became of a call to the Bot API: the outcomes, and how an exception becomes one. Pure.

The question that matters is whether the request may have reached Telegram. aiogram folds every transport failure into
`TelegramNetworkError`, so the answer is in `__cause__`; what is not surely undelivered is uncertain.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import aiohttp
from aiogram import exceptions


@dataclass(frozen=True, slots=True)
class Sent:
    """Delivered: Telegram's message id, and its date (Unix seconds)."""

    message_id: int
    date: float
    ok: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """A call other than a message that Telegram took."""

    ok: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True)
class NotSent:
    """Surely never reached Telegram: try again."""

    reason: str
    ok: bool = False


@dataclass(frozen=True, slots=True)
class Throttled:
    """429: wait `retry_after` seconds. Not delivered."""

    retry_after: float
    reason: str
    ok: bool = False


@dataclass(frozen=True, slots=True)
class Migrated:
    """The group is a supergroup now. Not delivered."""

    new_chat_id: int
    reason: str = "the group became a supergroup"
    ok: bool = False


@dataclass(frozen=True, slots=True)
class ReplyGone:
    """The message to be replied to does not exist any more. Not delivered."""

    reason: str = "the answered message is gone"
    ok: bool = False


@dataclass(frozen=True, slots=True)
class BadToken:
    """401: the token was revoked. Not delivered."""

    reason: str = "the token is not valid any more; get a new one from @BotFather (/token) and set it"
    ok: bool = False


@dataclass(frozen=True, slots=True)
class Forbidden:
    """403, or a chat that does not know the bot: it is not in the chat or may not write there. Not delivered."""

    reason: str
    ok: bool = False


@dataclass(frozen=True, slots=True)
class Conflict:
    """409: another poll runs with this token."""

    reason: str
    ok: bool = False


@dataclass(frozen=True, slots=True)
class Rejected:
    """Another 4xx: the request itself is wrong. Not delivered."""

    reason: str
    ok: bool = False


@dataclass(frozen=True, slots=True)
class Uncertain:
    """The request left and no answer came, or a 5xx: it may have been delivered."""

    reason: str
    ok: bool = False


Failure = NotSent | Throttled | Migrated | ReplyGone | BadToken | Forbidden | Conflict | Rejected | Uncertain


class UnknownBot(Exception):
    """A call as a bot that is not (or no longer) ours. No request was made."""


DEFAULT_RETRY_SECONDS = 5.0
"""The wait after a 429 that does not say how long."""

_TOKEN = re.compile(r"\d{6,}(?::|%3[Aa])[A-Za-z0-9_-]{30,}")
_TOO_MANY = re.compile(r"too many requests(?:: retry after (\d+))?", re.I)
_GONE = re.compile(r"message to be replied not found|replied message not found|reply message not found", re.I)
_NOT_IN_CHAT = re.compile(
    r"chat not found|bot is not a member|not enough rights to send|have no rights to send|CHAT_WRITE_FORBIDDEN|"
    r"need administrator rights|bot was kicked|group chat was deactivated|PEER_ID_INVALID",
    re.I,
)


def redact(text: str) -> str:
    """The text without anything that looks like a bot token (HTTP errors quote URLs, and the token is in them)."""
    return _TOKEN.sub("<token>", text)


def classify(error: BaseException) -> Failure:
    """What an exception of a Bot API call means.

    Raises:
        TypeError: `error` is none that such a call raises; it is a fault of ours and must not be hidden.
    """
    words = redact(str(getattr(error, "message", None) or ""))
    match error:
        case exceptions.TelegramRetryAfter():
            return Throttled(float(error.retry_after), f"429: wait {error.retry_after} s")
        case exceptions.TelegramMigrateToChat():
            return Migrated(error.migrate_to_chat_id)
        case exceptions.TelegramUnauthorizedError():
            return BadToken()
        case exceptions.TelegramForbiddenError():
            return Forbidden(words)
        case exceptions.TelegramConflictError():
            return Conflict(words)
        case exceptions.TelegramNotFound():
            # the real server words a malformed token as 404 "Not Found"; an unknown chat is a 400
            return BadToken() if words.strip().lower() in {"not found", "unauthorized"} else Rejected(words)
        case exceptions.TelegramBadRequest():
            if _GONE.search(words):
                return ReplyGone()
            return Forbidden(words) if _NOT_IN_CHAT.search(words) else Rejected(words)
        case exceptions.TelegramEntityTooLarge():
            return Rejected("the request is too large")
        case exceptions.TelegramServerError():
            return Uncertain(words)
        case exceptions.TelegramNetworkError():
            return _transport(error.__cause__)
        case exceptions.ClientDecodeError():
            return Uncertain("the answer is not the Bot API's")
        case exceptions.TelegramAPIError():
            asked = _TOO_MANY.search(words)
            if asked is None:
                return Rejected(words)
            return Throttled(float(asked[1] or DEFAULT_RETRY_SECONDS), words)
        case UnknownBot():
            return Rejected("this bot is not ours any more")
        case aiohttp.ClientError() | TimeoutError() | OSError():
            return _transport(error)
        case _:
            raise TypeError(f"not a Bot API failure: {type(error).__name__}") from error


def _transport(cause: BaseException | None) -> NotSent | Uncertain:
    """Whether a broken transport means that nothing left this machine."""
    name = type(cause).__name__
    match cause:
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError() | aiohttp.InvalidURL():
            return NotSent(f"no connection ({name})")
        case aiohttp.ClientConnectionError() if isinstance(cause.__cause__, ConnectionRefusedError):
            return NotSent("connection refused")
        case _:
            return Uncertain(f"the connection broke after the request left ({name})")
