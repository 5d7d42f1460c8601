"""The store's pure rules: days and retention, what text PostgreSQL takes, what a failure says, which migrations run."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from piyasad.clock import DAY
from piyasad.model import Grant
from piyasad.store import answer_budget, partitions
from piyasad.store.embedded import SOCKET_PATH_MAX, running_dsn, socket_dir_for
from piyasad.store.failure import is_down, is_row_fault, show_dsn, tell
from piyasad.store.interface import ANSWERS_DAY, ANSWERS_SHORT, SHORT_SECONDS
from piyasad.store.migrate import Migration, SchemaError, load, pending
from piyasad.store.plain_text import clean, clean_json

WALL = st.floats(min_value=1_000_000_000, max_value=4_000_000_000)


@given(WALL)
def test_a_days_partition_name_tells_its_day(now: float) -> None:
    day = partitions.day_of(now)
    assert partitions.parse(partitions.name_of("message", day)) == day
    assert partitions.parse("message_default") is None
    assert partitions.parse("stranger_20260101") is None


@given(WALL)
def test_now_a_day_ago_and_two_days_ahead_have_a_partition(now: float) -> None:
    wanted = partitions.wanted(now)
    assert {partitions.day_of(now + offset * 86400) for offset in (-1, 0, 1, 2)} <= set(wanted)


@given(WALL, st.integers(min_value=0, max_value=400))
def test_retention_drops_only_days_that_are_wholly_too_old(now: float, days: int) -> None:
    today = partitions.day_of(now)
    there = [today - timedelta(days=back) for back in range(450)]
    dropped = set(partitions.expired(there, now, days))
    for day in there:
        assert (day in dropped) == (day < today - timedelta(days=max(1, days)))


@given(st.text(st.characters(codec=None)))
def test_clean_text_is_what_postgresql_takes(text: str) -> None:
    cleaned = clean(text)
    assert "\0" not in cleaned
    cleaned.encode("utf-8")
    assert clean(cleaned) == cleaned
    if "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text):
        assert cleaned == text


def test_clean_json_takes_what_a_trace_may_hold() -> None:
    value = {"a\0": "b\0\ud800", "nan": float("nan"), "list": (1, 2.5, None, True), "path": Path("/x"), 3: {"k": "ğ"}}
    read = json.loads(clean_json(value))
    assert read == {"a": "b?", "nan": "nan", "list": [1, 2.5, None, True], "path": "/x", "3": {"k": "ğ"}}


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("postgresql://ali:secret@db.example:5433/piyasad?sslmode=require", "db.example:5433/piyasad"),
        ("postgresql://piyasad@/piyasad?host=%2Frun%2Fpg", "/run/pg/piyasad"),
        ("postgresql:///piyasad", "the default socket/piyasad"),
        ("postgresql://ali:secret@db:port/x", "the configured address"),
    ],
)
def test_a_dsn_is_shown_without_user_and_password(dsn: str, shown: str) -> None:
    assert show_dsn(dsn) == shown


def test_a_failures_text_quotes_no_row() -> None:
    error = asyncpg.PostgresError.new(
        {"C": "23514", "M": "new row violates a check", "D": "Failing row contains (ali)"}
    )
    assert tell(error).endswith("CheckViolationError: new row violates a check")
    assert is_row_fault(error)
    assert not is_down(error)
    told = tell(asyncpg.DataError("invalid input for query argument $1: 'ali'"))
    assert told == "a value that the database cannot hold (DataError)"
    assert is_down(ConnectionRefusedError(111, "Connection refused"))
    assert (
        tell(ConnectionRefusedError(111, "Connection refused")) == "no connection to the database: Connection refused"
    )
    assert tell(TimeoutError()) == "the database did not answer in time"
    assert tell(asyncpg.InterfaceError("x")) == "InterfaceError of the database connection"
    assert not is_down(asyncpg.exceptions.ClientConfigurationError("postgres://ali:secret@"))
    assert "secret" not in tell(asyncpg.exceptions.ClientConfigurationError("postgres://ali:secret@"))


@given(st.lists(st.sampled_from((0.0, 1.0, 40.0, 130.0, 599.0, 601.0, 2000.0)), max_size=120))
def test_a_member_never_gets_more_answers_than_the_windows_hold_and_one_polite_line_a_shortage(
    gaps: list[float],
) -> None:
    now, answers, said = 0.0, list[float](), list[Grant]()
    polite: float | None = None
    for gap in gaps:
        now += gap
        given = answer_budget.grant(answers, polite, now)
        said.append(given)
        if given is Grant.ANSWER:
            answers.append(now)
            said.clear()
        elif given is Grant.POLITE:
            polite = now
        assert sum(at > now - SHORT_SECONDS for at in answers) <= ANSWERS_SHORT
        assert sum(at > now - DAY for at in answers) <= ANSWERS_DAY
        assert said.count(Grant.POLITE) <= 1  # since the last answer
        if given is not Grant.ANSWER:
            assert sum(at > now - SHORT_SECONDS for at in answers) == ANSWERS_SHORT or len(answers) >= ANSWERS_DAY
            assert Grant.POLITE in said


FIRST, SECOND = Migration(1, "one", "SELECT 1"), Migration(2, "two", "SELECT 2")


def test_what_is_not_applied_is_pending_in_order() -> None:
    assert pending([FIRST, SECOND], {}) == [FIRST, SECOND]
    assert pending([FIRST, SECOND], {1: FIRST.checksum}) == [SECOND]
    assert pending([FIRST, SECOND], {1: FIRST.checksum, 2: SECOND.checksum}) == []


def test_a_changed_migration_and_a_newer_schema_are_errors() -> None:
    with pytest.raises(SchemaError, match="migration 0001 was changed"):
        pending([FIRST], {1: "other"})
    with pytest.raises(SchemaError, match="version 2, this piyasad knows up to 1"):
        pending([FIRST], {1: FIRST.checksum, 2: "any"})


def test_shipped_migrations_are_numbered_without_gaps() -> None:
    assert [migration.version for migration in load()] == list(range(1, len(load()) + 1))


@given(st.integers(min_value=1, max_value=300))
def test_a_sockets_path_always_fits(length: int) -> None:
    folder = socket_dir_for(Path("/") / ("d" * length), Path("/run/user/1000"))
    assert len(os.fsencode(folder / ".s.PGSQL.5432")) <= SOCKET_PATH_MAX


def test_no_server_is_found_where_none_runs(tmp_path: Path) -> None:
    assert running_dsn(tmp_path) is None
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\nx\n1\n5432\n/tmp\n\n1 2\nready\n")
    assert running_dsn(tmp_path) is None  # that process is not a server of this directory
