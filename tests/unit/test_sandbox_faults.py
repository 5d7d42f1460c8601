"""Faults hit what they are about, as often as they are told to."""

from __future__ import annotations

import random
from typing import Any

import pytest

from piyasad.sandbox.faults import KINDS, Fault, struck

SEND: dict[str, Any] = {"chat_id": "-1001", "text": "Merhaba"}


@pytest.mark.parametrize(
    ("fault", "hit"),
    [
        (Fault("500"), True),
        (Fault("500", method="sendMessage", bot=7, chat=-1001), True),
        (Fault("500", method="getMe"), False),
        (Fault("500", bot=8), False),
        (Fault("500", chat=-1002), False),
        (Fault("500", times=0), False),
        (Fault("500", probability=0.0), False),
    ],
)
def test_it_hits_by_method_bot_and_chat(fault: Fault, hit: bool) -> None:
    assert fault.hits("sendmessage", 7, SEND, random.Random(1)) is hit


def test_a_counted_fault_is_gone_when_it_is_used_up() -> None:
    faults = [Fault("429", times=2, method="sendmessage"), Fault("latency", bot=8)]
    hits = [len(struck(faults, "sendmessage", 7, SEND, random.Random(1))) for _ in range(4)]
    assert hits == [1, 1, 0, 0]
    assert [fault.kind for fault in faults] == ["latency"]
    assert len(struck(faults, "getupdates", 8, {}, random.Random(1))) == 1


def test_several_faults_strike_together_in_their_order() -> None:
    faults = [Fault("latency"), Fault("cut_after")]
    assert [fault.kind for fault in struck(faults, "getme", 7, {}, random.Random(1))] == ["latency", "cut_after"]


def test_probability_is_a_share_of_the_calls_and_misses_use_nothing_up() -> None:
    fault, rng = Fault("500", probability=0.25, times=10_000), random.Random(1)
    hits = sum(fault.hits("getme", 7, {}, rng) for _ in range(4000))
    assert 900 < hits < 1100
    assert fault.times == 10_000 - hits


@pytest.mark.parametrize(
    "keys", [{"kind": "503"}, {"kind": ""}, {"probability": 1.5}, {"times": -1}, {"seconds": -0.1}]
)
def test_a_fault_that_cannot_be_meant_is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"no such fault|between"):
        Fault(**({"kind": "500"} | keys))


def test_a_number_is_a_kind_too() -> None:
    assert Fault(429).kind in KINDS  # type: ignore[arg-type]
