"""The table of clients: what was run for each, and what came of it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

WIDTHS = (24, 33, 52)
"""Of the columns, in characters; the last one is as wide as it is."""
HEAD = ("client", "version", "what was run", "result")


@dataclass(frozen=True, slots=True)
class Row:
    client: str
    version: str
    what: str
    result: str


def table(rows: Iterable[Row]) -> str:
    """Columns of text; what does not fit goes on in the next line."""
    lines = [_line(HEAD), _line(tuple("-" * width for width in (*WIDTHS, 8)))]
    for row in rows:
        cells = (row.client, row.version, row.what)
        folded = [
            textwrap.wrap(cell, width, break_on_hyphens=False)
            for cell, width in zip(cells, WIDTHS, strict=True)
        ]
        folded.append([row.result])
        for at in range(max(map(len, folded))):
            lines.append(_line(tuple(cell[at] if at < len(cell) else "" for cell in folded)))
    return "".join(f"{line}\n" for line in lines)


def _line(cells: tuple[str, ...]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=False)]
    return "  ".join((*padded, cells[-1])).rstrip()
