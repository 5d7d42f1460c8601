"""The log: structlog over the standard library, JSON under systemd or when asked, colours on a terminal.

Every value and every traceback goes through `Redactor`: no token, key or password is ever shown. The engine calls
`setup` once and `protect` for each secret it knows.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal
from urllib.parse import quote

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

# No word boundary before a token: in the Bot API's URLs it follows "/bot".
_TOKEN = re.compile(r"\d{6,}(?::|%3[Aa])[A-Za-z0-9_-]{30,}")
_KEY = re.compile(r"\b(?:sk|gsk|xai)[-_][A-Za-z0-9_-]{16,}|\bAIza[A-Za-z0-9_-]{30,}")
_DSN = re.compile(r"(\b[a-z][a-z0-9+]*://[^\s:/@]*):[^\s@]+@")
_NAMED = re.compile(r"(?i)\b(bearer\s+|(?:password|passwd|secret|api_?key|access_token)=)[^\s&,;)'\"]{4,}")
_ESCAPE = re.compile(r"%[0-9A-F]{2}")
_SHORTEST_SECRET = 8


class Redactor:
    """A structlog processor that takes secrets out of everything that is about to be written."""

    def __init__(self) -> None:
        self._known: dict[str, list[str]] = {}  # by their first characters, the longest first

    def add(self, secret: str) -> None:
        """A secret by its value; it is known as it stands in a URL, too.

        Very short ones would redact ordinary words; those that a pattern knows anyway are not looked up a second time.
        """
        if len(secret) < _SHORTEST_SECRET:
            return
        for form in (secret, *(each for safe in ("", "/") for each in _encoded(secret, safe))):
            same = self._known.setdefault(form[:_SHORTEST_SECRET], [])
            if form not in same and _without_forms(form) not in ("<token>", "<secret>"):
                same.append(form)
                same.sort(key=len, reverse=True)

    def clean(self, text: str) -> str:
        """The text without secrets. Its cost grows with the text, not with the number of secrets."""
        return _without_forms(self._without_known(text))

    def _without_known(self, text: str) -> str:
        parts: list[str] = []
        kept = at = 0
        last = len(text) - _SHORTEST_SECRET if self._known else -1
        while at <= last:
            same = self._known.get(text[at : at + _SHORTEST_SECRET])
            found = next((each for each in same if text.startswith(each, at)), "") if same else ""
            if found:
                parts += (text[kept:at], "<secret>")
                kept = at = at + len(found)
            else:
                at += 1
        return "".join((*parts, text[kept:]))

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Redact every value, at any depth."""
        return {key: self._value(value) for key, value in event.items()}

    def _value(self, value: Any) -> Any:
        match value:
            case str():
                return self.clean(value)
            case bool() | int() | float() | None:
                return value
            case Mapping():
                return {self._value(key): self._value(each) for key, each in value.items()}
            case list() | tuple():
                return [self._value(each) for each in value]
            case _:
                return self.clean(str(value))


def _without_forms(text: str) -> str:
    """The text without what has the form of a secret."""
    text = _KEY.sub("<secret>", _TOKEN.sub("<token>", text))
    return _NAMED.sub(r"\1<secret>", _DSN.sub(r"\1:<secret>@", text))


def _encoded(secret: str, safe: str) -> tuple[str, str]:
    """A secret as a URL writes it, with capital and with small hexadecimal digits."""
    capital = quote(secret, safe=safe, errors="replace")
    return capital, _ESCAPE.sub(lambda match: match[0].lower(), capital)


Form = Literal["auto", "json", "console"]

_redactor = Redactor()  # the log is the process's, as logging's root is


def protect(*secrets: str) -> None:
    """Never show these values."""
    for secret in secrets:
        _redactor.add(secret)


class _Handler(logging.StreamHandler[Any]):
    """The handler that `setup` makes, to be known again."""


def setup(form: Form, level: str, env: Mapping[str, str], *, stream: Any = None) -> None:
    """Send structlog's and the standard library's records to stderr, redacted, as JSON or for a terminal.

    Also what nobody caught (an exception, a warning) and what the logging itself cannot do.
    """
    out = stream if stream is not None else sys.stderr
    under_systemd = bool(env.get("JOURNAL_STREAM") or env.get("INVOCATION_ID"))
    as_json = form == "json" or (form == "auto" and (under_systemd or not out.isatty()))
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redactor,
    ]
    last: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=out.isatty() and not env.get("NO_COLOR"))
    )
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = _Handler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("aiogram", "aiohttp.access", "httpx", "httpcore", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.raiseExceptions = False  # its report of a record that cannot be written would not be redacted
    logging.captureWarnings(True)
    sys.excepthook = _uncaught


def change(form: Form, level: str, env: Mapping[str, str]) -> None:
    """Take another form and level from now on. Where the log is somebody else's (a test's), its form stays."""
    ours = next((each for each in logging.getLogger().handlers if isinstance(each, _Handler)), None)
    if ours is not None:
        setup(form, level, env, stream=ours.stream)
    else:
        logging.getLogger().setLevel(level.upper())


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """The last words of a daemon that fails: a traceback like any other, redacted."""
    logging.getLogger("piyasad").critical("daemon.died", exc_info=(kind, error, trace))
