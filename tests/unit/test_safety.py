"""The safety guard: what must stop stops in every disguise, what must live lives."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piyasad.guards.safety import SafetyGuard
from tests.cases import case

LINES = tomllib.loads((Path(__file__).parents[1] / "data" / "safety.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("line", LINES["stop"])
def test_this_is_not_sent(line: str) -> None:
    assert SafetyGuard().check(case(line)) is not None


@pytest.mark.parametrize("line", LINES["pass"])
def test_this_may_be_said(line: str) -> None:
    assert SafetyGuard().check(case(line)) is None


@given(st.sampled_from(["Kesin kazanç var", "Hemen alın", "İçeriden bilgi geldi"]), st.integers(0, 3))
def test_case_and_invisible_signs_do_not_help(line: str, disguise: int) -> None:
    shapes = (
        line.replace("i", "İ").replace("ı", "I").upper(),
        line.lower(),
        "\u200b".join(line),
        "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in line),
    )
    assert SafetyGuard().check(case(shapes[disguise])) is not None
