"""What became of a call: pure classification of aiogram's exceptions. Broken transports are tried over sockets.

See `tests/integration/test_sender.py` for those: what a cut or a timeout means is only known from the real thing.
"""

from __future__ import annotations

import ssl
from typing import cast

import aiohttp
import pytest
from aiogram import exceptions
from aiogram.methods import SendMessage
from aiohttp.client_reqrep import ConnectionKey

from piyasad.telegram.errors import (
    DEFAULT_RETRY_SECONDS,
    BadToken,
    Conflict,
    Failure,
    Forbidden,
    Migrated,
    NotSent,
    Rejected,
    ReplyGone,
    Throttled,
    Uncertain,
    UnknownBot,
    classify,
    redact,
)

METHOD = SendMessage(chat_id=-1001000000001, text="Merhaba")
TOKEN = "7200000001:" + "AbCdEfGhIjKlMnOpQrStUvWxYz_0123456-"
KEY = ConnectionKey("api", 443, True, True, None, None, None)


def network(cause: BaseException | None) -> exceptions.TelegramNetworkError:
    """As aiogram raises it: all transports' failures in one, the cause underneath."""
    error = exceptions.TelegramNetworkError(method=METHOD, message="it broke")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (exceptions.TelegramRetryAfter(METHOD, "Too Many Requests: retry after 7", 7), Throttled),
        (exceptions.TelegramMigrateToChat(METHOD, "group chat was upgraded to a supergroup chat", -100), Migrated),
        (exceptions.TelegramUnauthorizedError(METHOD, "Unauthorized"), BadToken),
        (exceptions.TelegramNotFound(METHOD, "Not Found"), BadToken),
        (exceptions.TelegramNotFound(METHOD, "Not Found: method not found"), Rejected),
        (exceptions.TelegramForbiddenError(METHOD, "Forbidden: bot was kicked from the supergroup chat"), Forbidden),
        (exceptions.TelegramConflictError(METHOD, "Conflict: terminated by other getUpdates request"), Conflict),
        (exceptions.TelegramBadRequest(METHOD, "Bad Request: message to be replied not found"), ReplyGone),
        (exceptions.TelegramBadRequest(METHOD, "Bad Request: replied message not found"), ReplyGone),
        (exceptions.TelegramBadRequest(METHOD, "Bad Request: chat not found"), Forbidden),
        (exceptions.TelegramBadRequest(METHOD, "Bad Request: have no rights to send a message"), Forbidden),
        (exceptions.TelegramBadRequest(METHOD, "Bad Request: CHAT_WRITE_FORBIDDEN"), Forbidden),
        (exceptions.TelegramBadRequest(METHOD, "Bad Request: message text is empty"), Rejected),
        (exceptions.TelegramBadRequest(METHOD, "Bad Request: REACTION_INVALID"), Rejected),
        (exceptions.TelegramEntityTooLarge(METHOD, "Request Entity Too Large"), Rejected),
        (exceptions.TelegramAPIError(METHOD, "Bad Request: something new"), Rejected),
        (exceptions.TelegramServerError(METHOD, "Internal Server Error"), Uncertain),
        (exceptions.RestartingTelegram(METHOD, "Internal Server Error: restart"), Uncertain),
        (exceptions.ClientDecodeError("Failed to decode object", ValueError("x"), "<html>"), Uncertain),
        (UnknownBot(5), Rejected),
        (network(ConnectionRefusedError()), Uncertain),
        (network(None), Uncertain),
        (network(TimeoutError()), Uncertain),
        (network(aiohttp.ServerDisconnectedError()), Uncertain),
        (network(aiohttp.ClientPayloadError("half an answer")), Uncertain),
        (network(aiohttp.ClientOSError(104, "reset")), Uncertain),
        (network(aiohttp.SocketTimeoutError()), Uncertain),
        (network(aiohttp.ConnectionTimeoutError()), NotSent),
        (network(aiohttp.ClientConnectorError(KEY, OSError(111, "refused"))), NotSent),
        (network(aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "no such name"))), NotSent),
        (network(aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "handshake"))), NotSent),
        (network(aiohttp.ClientConnectorCertificateError(KEY, ssl.CertificateError())), NotSent),
        (network(aiohttp.ClientProxyConnectionError(KEY, OSError(111, "refused"))), NotSent),
        (network(aiohttp.InvalidURL("nothing")), NotSent),
        (ConnectionResetError(), Uncertain),
        (TimeoutError(), Uncertain),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else type(value).__name__,
)
def test_each_failure_has_its_outcome(error: Exception, outcome: type[Failure]) -> None:
    failure = classify(error)
    assert type(failure) is outcome
    assert not failure.ok
    assert failure.reason


def test_what_may_have_been_delivered_is_never_said_to_be_unsent() -> None:
    """An error of a kind that nobody thought of is uncertain, not `NotSent`."""

    class Strange(aiohttp.ClientError):
        """From a future aiohttp."""

    assert isinstance(classify(network(Strange())), Uncertain)
    assert isinstance(classify(network(ValueError())), Uncertain)


def test_a_429_says_how_long_even_where_only_its_words_do() -> None:
    assert classify(exceptions.TelegramRetryAfter(METHOD, "Too Many Requests", 7)) == Throttled(7.0, "429: wait 7 s")
    words = classify(exceptions.TelegramAPIError(METHOD, "Too Many Requests: retry after 12"))
    assert isinstance(words, Throttled)
    assert words.retry_after == 12
    silent = classify(exceptions.TelegramAPIError(METHOD, "Too Many Requests"))
    assert isinstance(silent, Throttled)
    assert silent.retry_after == DEFAULT_RETRY_SECONDS


def test_a_moved_group_says_where_to() -> None:
    moved = classify(exceptions.TelegramMigrateToChat(METHOD, "upgraded", -1009))
    assert isinstance(moved, Migrated)
    assert moved.new_chat_id == -1009


def test_a_refusal_without_words_is_still_one() -> None:
    assert classify(exceptions.TelegramAPIError(METHOD, cast(str, None))) == Rejected("")


def test_a_fault_of_ours_is_not_hidden() -> None:
    with pytest.raises(TypeError, match="KeyError"):
        classify(KeyError("chat"))


@pytest.mark.parametrize(
    "text",
    [
        f"Cannot connect to https://api.telegram.org/bot{TOKEN}/sendMessage",
        f"https://api.telegram.org/bot{TOKEN.replace(':', '%3A')}/getMe failed",
        f"two: {TOKEN} and {TOKEN}",
    ],
)
def test_no_token_is_left_in_a_text(text: str) -> None:
    assert TOKEN.partition(":")[2] not in redact(text)
    assert "<token>" in redact(text)


def test_ordinary_text_is_left_alone() -> None:
    text = "Bad Request: chat -1001234567890 not found at 12:30:45"
    assert redact(text) == text


def test_no_token_comes_out_of_a_failure() -> None:
    said = f"Bad Request: https://api.telegram.org/bot{TOKEN}/x is wrong"
    for kind in (exceptions.TelegramBadRequest, exceptions.TelegramForbiddenError, exceptions.TelegramConflictError):
        assert TOKEN not in classify(kind(METHOD, said)).reason
    assert TOKEN not in classify(network(aiohttp.InvalidURL(f"http://x/bot{TOKEN}"))).reason
