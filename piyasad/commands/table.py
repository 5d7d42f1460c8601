"""How tables are printed: drawn on a terminal, lines with tabs for other programs. `cli.py` calls it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final

WHOLE: Final = frozenset({"id", "chat"})
"""Columns that are never broken over two lines: somebody will copy them."""


def show(title: str, heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table; not on a terminal, its title after a #, the heads, the rows, and an empty line."""
    cells = [[" ".join(str("" if cell is None else cell).split()) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _draw(title, heads, cells)
    else:
        sys.stdout.write("\n".join((f"# {title}", *("\t".join(row) for row in [heads, *cells]), "\n")))


def _draw(title: str, heads: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), title_justify="left", header_style="bold")
    for head in heads:
        table.add_column(head, overflow="fold", no_wrap=head in WHOLE)
    for row in cells:
        table.add_row(*map(escape, row))
    Console().print(table)
