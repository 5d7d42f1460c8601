"""The log: its forms, and that no secret gets through, whichever way it comes."""

from __future__ import annotations

import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from piyasad.ops import log as logs

TOKEN = "7100000001:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
KEY = "q8Zr-own-provider-key-0042"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restore() -> Iterator[None]:
    """The process's logging as it was."""
    root = logging.getLogger()
    state = list(root.handlers), root.level, sys.excepthook, logging.raiseExceptions
    yield
    root.handlers[:], sys.excepthook, logging.raiseExceptions = state[0], state[2], state[3]
    root.setLevel(state[1])
    logging.captureWarnings(False)
    structlog.reset_defaults()


def to_json(level: str = "debug") -> io.StringIO:
    out = io.StringIO()
    logs.setup("json", level, {}, stream=out)
    return out


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"token {TOKEN}!", "token <token>!"),
        (f"https://api.telegram.org/bot{TOKEN}/sendMessage", "https://api.telegram.org/bot<token>/sendMessage"),
        (f"/bot{TOKEN.replace(':', '%3A')}/getMe", "/bot<token>/getMe"),
        ("gsk_abcdefghijklmnop1234 refused", "<secret> refused"),
        ("Incorrect API key provided: sk-proj-abcdEFGH1234567890", "Incorrect API key provided: <secret>"),
        ("?key=AIzaSyA1234567890abcdefghijklmnopqrstu", "?key=<secret>"),
        ("postgresql://ali:s3cr:et/x@db:5432/piyasad", "postgresql://ali:<secret>@db:5432/piyasad"),
        ("host=db password=s3cret user=ali", "host=db password=<secret> user=ali"),
        ("postgresql:///x?password=s3cret&host=db", "postgresql:///x?password=<secret>&host=db"),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer <secret>"),
        (f"key {KEY}.", "key <secret>."),
    ],
)
def test_a_secret_is_taken_out(text: str, clean: str) -> None:
    redactor = logs.Redactor()
    redactor.add(KEY)
    assert redactor.clean(text) == clean
    assert redactor.clean(clean) == clean


@pytest.mark.parametrize(
    "text",
    [
        "12:30:45 2026-11-23T18:30:01 took 7100000001 ms",
        "http://127.0.0.1:8420/ and http://[::1]:9464/metrics",
        "chat -1001000000001, reply to 42",
        "the bearer of news; secret: none; password authentication failed for user ali",
        "skor sk-1 gsk_ THYAO",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert logs.Redactor().clean(text) == text


def test_tokens_that_a_pattern_knows_do_not_slow_each_line() -> None:
    redactor = logs.Redactor()
    for number in range(1000):
        redactor.add(f"{7100000000 + number}:{'A' * 35}")
    redactor.add("short")
    assert redactor._pattern is None


def test_every_way_into_the_log_is_redacted() -> None:
    out = to_json()
    logs.protect(KEY)
    mine = structlog.stdlib.get_logger("piyasad.test")
    mine.info("plain", url=f"/bot{TOKEN}/x", nested={"a": [KEY, 1, None, True]}, other=ValueError(KEY), pair=(KEY,))
    mine.warning(f"event {TOKEN}")
    logging.getLogger("library").error("foreign %s", f"bot{TOKEN}")
    try:
        try:
            raise ValueError(f"cannot reach /bot{TOKEN}/sendMessage")
        except ValueError as cause:
            raise RuntimeError(KEY) from cause
    except RuntimeError as error:
        mine.error("failed", exc_info=error)
        logging.getLogger("library").exception("also")
        sys.excepthook(type(error), error, error.__traceback__)
    text = out.getvalue()
    assert len(lines(out)) == 6
    assert text.count("RuntimeError") >= 3
    assert TOKEN.partition(":")[2] not in text
    assert KEY not in text


def test_json_lines_have_level_and_time() -> None:
    out = to_json("info")
    structlog.stdlib.get_logger("piyasad.test").debug("unheard")
    structlog.stdlib.get_logger("piyasad.test").info("bot.parked", bot="Ayşe", cure="…")
    (line,) = lines(out)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "bot.parked", "level": "info", "bot": "Ayşe", "cure": "…"}
    assert "Ayşe" in out.getvalue()


@pytest.mark.parametrize(
    ("form", "env", "stream", "is_json", "colours"),
    [
        ("auto", {}, Terminal(), False, True),
        ("auto", {"NO_COLOR": "1"}, Terminal(), False, False),
        ("auto", {"JOURNAL_STREAM": "8:1"}, Terminal(), True, False),
        ("auto", {"INVOCATION_ID": "ab"}, io.StringIO(), True, False),
        ("auto", {}, io.StringIO(), True, False),
        ("json", {}, Terminal(), True, False),
        ("console", {"INVOCATION_ID": "ab"}, io.StringIO(), False, False),
    ],
)
def test_the_form_fits_the_place(
    form: Any, env: dict[str, str], stream: io.StringIO, is_json: bool, colours: bool
) -> None:
    logs.setup(form, "info", env, stream=stream)
    structlog.stdlib.get_logger("piyasad.test").info("daemon.ready", bots=4)
    text = stream.getvalue()
    assert text.startswith("{") == is_json
    assert ("\x1b[" in text) == colours
    assert "daemon.ready" in text


def test_a_traceback_is_readable_on_a_terminal() -> None:
    out = io.StringIO()
    logs.setup("console", "info", {}, stream=out)
    try:
        raise ValueError(f"bot{TOKEN}")
    except ValueError as error:
        structlog.stdlib.get_logger("piyasad.test").error("task.crashed", exc_info=error)
    assert "Traceback (most recent call last)" in out.getvalue()
    assert "ValueError: bot<token>" in out.getvalue()


def test_warnings_are_logged_and_chatter_is_not() -> None:
    out = to_json("info")
    logging.getLogger("aiogram.event").info("Update id=1 is handled")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old thing", stacklevel=1)
    (line,) = lines(out)
    assert "old thing" in line["event"]


def test_a_record_that_cannot_be_written_says_nothing_in_clear(capsys: pytest.CaptureFixture[str]) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    logs.setup("json", "info", {}, stream=Closed())
    structlog.stdlib.get_logger("piyasad.test").info("lost", token=TOKEN)
    assert capsys.readouterr().err == ""
