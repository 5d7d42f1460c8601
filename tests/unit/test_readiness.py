"""When `/-/ready` says so, and the words for each reason why not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piyasad.ops.readiness import Facts, Readiness, readiness

GOOD = Facts(
    state="running",
    active=True,
    lease=True,
    wanted=4,
    held=4,
    able=3,
    holder="",
    silent={"Ali": "parked: Telegram refuses its token"},
    store_age=1.5,
    store_error="",
    telegram_age=29.0,
    telegram_error="",
    poll_seconds=30.0,
    providers={"groq": "bad key", "openai": ""},
)


def test_a_daemon_that_could_say_a_line_is_ready() -> None:
    assert readiness(GOOD) == Readiness(ready=True, reasons=())


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"state": "starting"}, "starting"),
        ({"state": "draining"}, "draining"),
        ({"active": False}, "nobody speaks: simulation.active is false"),
        ({"lease": False}, "no lease: the store does not prolong it, so others may take the bots"),
        # a dead key
        (
            {"providers": {"groq": "bad key", "openai": "breaker open"}},
            "no LLM provider can be used: groq: bad key, openai: breaker open",
        ),
        ({"providers": {}}, "no LLM provider can be used"),
        # an unreachable Telegram
        (
            {"telegram_age": 75.0, "telegram_error": "connection refused"},
            "Telegram has not answered for 75 s: connection refused",
        ),
        ({"telegram_age": None}, "Telegram has not answered yet"),
        # no bot at all
        ({"wanted": 0, "held": 0, "able": 0, "silent": {}}, "there is no enabled bot with a token on this shard"),
        (
            {"wanted": 0, "held": 0, "able": 0, "silent": dict.fromkeys("ABCDE", "$T is not set")},
            "there is no enabled bot with a token on this shard: A: $T is not set, B: $T is not set, C: $T is not set "
            "and 2 more",
        ),
        ({"able": 0}, "no bot may speak: Ali: parked: Telegram refuses its token"),
        # a full disk
        (
            {"store_age": 41.2, "store_error": "could not extend file: No space left on device"},
            "the store has taken no write for 41 s: could not extend file: No space left on device",
        ),
        ({"store_age": None, "store_error": "connection refused"}, "the store has not been written to yet: connection refused"),
        # another daemon speaks
        ({"held": 0, "able": 0, "holder": "0/2 evim 42"}, "standby: the bots are held by 0/2 evim 42"),
        ({"held": 0, "able": 0}, "no bot is held yet"),
    ],
)  # fmt: skip
def test_each_thing_that_keeps_bots_silent_is_a_reason_in_words(facts: dict[str, Any], reason: str) -> None:
    assert readiness(replace(GOOD, **facts)) == Readiness(ready=False, reasons=(reason,))


def test_all_reasons_are_said_at_once() -> None:
    worst = replace(GOOD, lease=False, store_age=60.0, telegram_age=600.0, providers={"groq": "bad key"}, able=0)
    assert len(readiness(worst).reasons) == 5


def test_a_standby_is_not_blamed_for_a_telegram_that_it_does_not_ask() -> None:
    standby = replace(GOOD, held=0, able=0, holder="0/1 evim 42", telegram_age=None)
    assert readiness(standby).reasons == ("standby: the bots are held by 0/1 evim 42",)


def test_a_telegram_that_failed_after_it_answered_in_time_is_still_one_that_answers() -> None:
    assert readiness(replace(GOOD, telegram_age=59.0, telegram_error="502")).ready
    assert not readiness(replace(GOOD, telegram_age=61.0, telegram_error="502")).ready
    assert readiness(replace(GOOD, telegram_age=400.0, poll_seconds=300.0)).ready


@given(
    st.builds(
        Facts,
        state=st.sampled_from(["running", "starting"]),
        active=st.booleans(),
        lease=st.booleans(),
        wanted=st.integers(0, 3),
        held=st.integers(0, 3),
        able=st.integers(0, 3),
        holder=st.sampled_from(["", "0/1 evim 42"]),
        silent=st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=3),
        store_age=st.none() | st.floats(0, 100),
        store_error=st.text(max_size=3),
        telegram_age=st.none() | st.floats(0, 1000),
        telegram_error=st.text(max_size=3),
        poll_seconds=st.sampled_from([30.0, 300.0]),
        providers=st.dictionaries(st.text(max_size=3), st.sampled_from(["", "bad key"]), max_size=3),
    )
)
def test_who_is_ready_has_all_that_a_line_needs(facts: Facts) -> None:
    found = readiness(facts)
    assert found.ready == (not found.reasons)
    if found.ready:
        assert facts.state == "running"
        assert facts.active
        assert facts.lease
        assert facts.held
        assert facts.able
        assert facts.store_age is not None
        assert facts.telegram_age is not None
        assert "" in facts.providers.values()
    else:
        assert all(reason.strip() for reason in found.reasons)
