"""The pages for who has things reviewed: both languages say the same, and name nothing that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from piyasad import cli

DOCS = Path(__file__).parents[2] / "docs"
ENGLISH, TURKISH = ((DOCS / name).read_text("utf-8") for name in ("legal.md", "legal.tr.md"))
MONTHS = {
    name: number
    for number, names in enumerate(
        ("March Mart", "June Haziran", "July Temmuz", "August Ağustos", "November Kasım", "December Aralık"), 1
    )
    for name in names.split()
}


def dates(text: str) -> list[tuple[str, int, str]]:
    """Every date with a day, in the order of the text."""
    found = re.findall(rf"(\d{{1,2}}) ({'|'.join(MONTHS)}) (\d{{4}})", text)
    return sorted((day, MONTHS[month], year) for day, month, year in found)


def test_both_languages_name_the_same_rules_dates_sources_and_commands() -> None:
    for pattern in (
        r"<(https://[^>]+)>",
        r"\b\d{4}/\d{4}\b",
        r"\b(?:6698|6362|7518|107/2|VI-104\.1|50\(2\)|4\.3)",
        r"`(/\w+)`",
    ):
        assert set(re.findall(pattern, ENGLISH)) == set(re.findall(pattern, TURKISH)) != set()
    assert set(dates(ENGLISH)) == set(dates(TURKISH)) != set()
    assert ENGLISH.count("\n## ") == TURKISH.count("\n## ")
    assert ENGLISH.count("\n| ") == TURKISH.count("\n| ")


@pytest.mark.parametrize("text", [ENGLISH, TURKISH], ids=["en", "tr"])
def test_every_command_and_anchor_that_a_page_names_is_there(text: str) -> None:
    commands = {
        command.name or command.callback.__name__ for command in cli.app.registered_commands if command.callback
    }
    assert set(re.findall(r"`piyasad (\w+)", text)) <= commands
    heads = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in re.findall(r"^## (.+)$", text, re.M)}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= heads


def test_neither_page_gives_advice_or_claims_compliance() -> None:
    assert "no legal advice and claims no compliance" in ENGLISH
    assert "hukuki görüş değildir ve mevzuata uygunluk iddiası taşımaz" in TURKISH
