"""Who asks whether we are bots."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from piyasad.language.identity import is_identity_question
from piyasad.language.text import fold

LINES = tomllib.loads((Path(__file__).parents[1] / "data" / "identity.toml").read_text("utf-8"))


@pytest.mark.parametrize("line", LINES["learn_asks"] + LINES["held_asks"])
def test_who_asks_if_we_are_bots_is_understood(line: str) -> None:
    assert is_identity_question(fold(line))


@pytest.mark.parametrize("line", LINES["learn_tells"] + LINES["held_tells"])
def test_talk_about_bots_and_truth_is_not_that_question(line: str) -> None:
    assert not is_identity_question(fold(line))


def test_there_are_sixty_wordings_and_more() -> None:
    assert len(LINES["held_asks"]) >= 60
