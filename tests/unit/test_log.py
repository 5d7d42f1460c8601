"""The log: its forms, and that no secret gets through, whichever way it comes."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
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


def work(do: Callable[[], object]) -> int:
    """How many calls it takes, Python's and C's."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        do()
    finally:
        sys.setprofile(None)
    return calls


def unknown(number: int) -> list[str]:
    """Secrets of no known form."""
    return [hashlib.sha256(str(i).encode()).hexdigest()[:40] for i in range(number)]


def test_each_secret_more_costs_the_same_to_learn() -> None:
    def learn(number: int) -> int:
        redactor, secrets = logs.Redactor(), unknown(number)

        def add_all() -> None:
            for secret in secrets:
                redactor.add(secret)

        return work(add_all)

    assert learn(2000) < 2.2 * learn(1000)


def test_a_line_costs_the_same_however_many_secrets_there_are() -> None:
    line = "nothing secret in here, only words and 0123456789abcdef " * 10

    def clean(number: int) -> int:
        redactor = logs.Redactor()
        for secret in unknown(number):
            redactor.add(secret)
        return work(lambda: redactor.clean(line))

    assert clean(2000) == clean(10)
    assert clean(10) < 3 * len(line)


@pytest.mark.parametrize("number", [0, 57, 999])
def test_each_of_a_thousand_secrets_is_taken_out_wherever_it_stands(number: int) -> None:
    redactor, secrets = logs.Redactor(), unknown(1000)
    for secret in secrets:
        redactor.add(secret)
    secret = secrets[number]
    for text in (secret, f"x{secret}y", f"a {secret}{secret[:7]}", f"k={secret}&l={secrets[3]}"):
        clean = redactor.clean(text)
        assert secret not in clean
        assert clean == text.replace(secret, "<secret>").replace(secrets[3], "<secret>")


def test_of_two_secrets_that_begin_alike_the_longer_is_taken_whole() -> None:
    redactor = logs.Redactor()
    for secret in ("abcdefgh", "abcdefgh-and-more", "abcdefgh-and"):
        redactor.add(secret)
    assert redactor.clean("abcdefgh-and-more abcdefgh-an abcdefgh-and!") == "<secret> <secret>-an <secret>!"


@pytest.mark.parametrize("written", ["pa%2Fss%3Aword%2B1", "pa%2fss%3aword%2b1", "pa/ss%3Aword%2B1"])
def test_a_secret_is_known_as_it_stands_in_an_address(written: str) -> None:
    redactor = logs.Redactor()
    redactor.add("pa/ss:word+1")
    assert redactor.clean(f"GET /x?p={written}&n=1") == "GET /x?p=<secret>&n=1"


def test_short_words_and_tokens_of_a_known_form_are_not_looked_up() -> None:
    redactor = logs.Redactor()
    redactor.add("short")
    for number in range(1000):
        redactor.add(f"{7100000000 + number}:{'A' * 35}")
    assert redactor.clean("short") == "short"
    assert not any(redactor._known.values())


def test_every_way_into_the_log_is_redacted() -> None:
    out = to_json()
    logs.protect(KEY)
    mine = structlog.stdlib.get_logger("piyasad.test")
    mine.info(
        "plain",
        url=f"/bot{TOKEN}/x",
        nested={"a": [KEY, 1, None, True], KEY: {"b": (KEY,)}},
        other=ValueError(KEY),
        pair=(KEY,),
    )
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


def test_form_and_level_change_while_the_daemon_runs() -> None:
    out = to_json("info")
    mine = structlog.stdlib.get_logger("piyasad.test")
    mine.info("first")
    logs.change("console", "warning", {})
    mine.info("unheard")
    mine.warning("second", key=KEY)
    logging.getLogger("library").error("third")
    first, second, third = out.getvalue().splitlines()
    assert json.loads(first)["event"] == "first"
    assert (second[0], "second" in second, "third" in third) == ("2", True, True)


def test_the_form_of_somebody_elses_log_stays() -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    logging.getLogger().handlers[:] = [handler]
    logs.change("json", "error", {})
    logging.getLogger("library").warning("unheard")
    logging.getLogger("library").error("heard")
    assert out.getvalue() == "heard\n"


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
