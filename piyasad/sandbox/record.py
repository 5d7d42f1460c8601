"""The sandbox's memory over restarts: a file of JSON lines, one for each event. `world.py` writes and replays it.

Readable by its owner only: bots that were added while it ran stand in it with their tokens.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any


class Record:
    """The file; None: nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: IO[str] | None = None

    @property
    def open(self) -> bool:
        """Whether events are written."""
        return self._file is not None

    def rows(self) -> Iterator[dict[str, Any]]:
        """What was kept. A line that a killed process left half written is passed over.

        Raises:
            OSError: the file cannot be read.
        """
        if self._path is None or not self._path.exists():
            return
        with self._path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                try:
                    row = json.loads(line)
                except ValueError:
                    continue
                if isinstance(row, dict):
                    yield row

    def start(self) -> None:
        """Go on writing behind what is there, on a line of its own.

        Raises:
            OSError: the file cannot be written.
        """
        if self._path is None:
            return
        number = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        size = os.fstat(number).st_size
        torn = size > 0 and os.pread(number, 1, size - 1) != b"\n"
        self._file = open(number, "a", encoding="utf-8", buffering=1)  # noqa: SIM115 - it stays open
        if torn:
            self._file.write("\n")

    def keep(self, event: Mapping[str, Any]) -> None:
        """Write an event; it is with the operating system when this returns, so a kill of the process loses none."""
        if self._file is not None:
            self._file.write(json.dumps(event, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
