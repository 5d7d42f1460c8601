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

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

# No word boundary before a token: in the Bot API's URLs it follows "/bot".
_TOKEN = re.compile(r"\d{6,}(?::|%3[Aa])[A-Za-z0-9_-]{30,}")
_KEY = re.compile(r"\b(?:sk|gsk|xai)[-_][A-Za-z0-9_-]{16,}|\bAIza[A-Za-z0-9_-]{30,}")
_DSN = re.compile(r"(\b[a-z][a-z0-9+]*://[^\s:/@]*):[^\s@]+@")
_NAMED = re.compile(r"(?i)\b(bearer\s+|(?:password|passwd|secret|api_?key|access_token)=)[^\s&,;)'\"]{4,}")
_SHORTEST_SECRET = 8


class Redactor:
    """A structlog processor that takes secrets out of everything that is about to be written."""

    def __init__(self) -> None:
        self._known: dict[str, None] = {}
        self._pattern: re.Pattern[str] | None = None

    def add(self, secret: str) -> None:
        """A secret by its value.

        Very short ones would redact ordinary words; those that a pattern knows anyway (a thousand bots' tokens) would
        only make each line slower.
        """
        if len(secret) >= _SHORTEST_SECRET and secret not in self._known and secret in self.clean(secret):
            self._known[secret] = None
            self._pattern = re.compile("|".join(map(re.escape, sorted(self._known, key=len, reverse=True))))

    def clean(self, text: str) -> str:
        """The text without secrets."""
        if self._pattern is not None:
            text = self._pattern.sub("<secret>", text)
        text = _KEY.sub("<secret>", _TOKEN.sub("<token>", text))
        return _NAMED.sub(r"\1<secret>", _DSN.sub(r"\1:<secret>@", text))

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
                return {key: self._value(each) for key, each in value.items()}
            case list() | tuple():
                return [self._value(each) for each in value]
            case _:
                return self.clean(str(value))


_redactor = Redactor()  # the log is the process's, as logging's root is


def protect(*secrets: str) -> None:
    """Never show these values."""
    for secret in secrets:
        _redactor.add(secret)


def setup(form: Literal["auto", "json", "console"], level: str, env: Mapping[str, str], *, stream: Any = None) -> None:
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
    handler = logging.StreamHandler(out)
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


def set_level(level: str) -> None:
    """Take another level from now on."""
    logging.getLogger().setLevel(level.upper())


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """The last words of a daemon that fails: a traceback like any other, redacted."""
    logging.getLogger("piyasad").critical("daemon.died", exc_info=(kind, error, trace))
