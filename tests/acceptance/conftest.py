"""Fixtures of the process tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder for a daemon with a database of its own.

    Not pytest's: as root the database runs as another user, and pytest closes its own folders to others again with
    every session that starts.
    """
    folder = Path(tempfile.mkdtemp(prefix="piyasad-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
