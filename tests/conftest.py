"""Loads the shared fixtures and marks tests by their folder."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["tests.fixtures.postgres", "tests.fixtures.redis", "tests.fixtures.sandbox", "tests.fixtures.store"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = Path(str(item.path)).parent.name
        if folder in {"unit", "integration", "acceptance"}:
            item.add_marker(getattr(pytest.mark, folder))
