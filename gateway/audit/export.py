"""The log in the formats of others: requests and events, without the chain."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TextIO

import msgspec

from gateway.audit.chosen import ANY, Chosen, within
from gateway.audit.ocsf import event
from gateway.audit.reader import BadLine, Line, read_log
from gateway.audit.table import COLUMNS, Row, Type, row

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a cell of text begins with that a spreadsheet takes for a formula (OWASP, CSV injection; the
full-width ones too): it gets an apostrophe in front. Apps choose models and ids.
"""


class Exported:
    """Lines on their way out, counted. ``bad`` of them are none, ``first_bad`` being the first; the
    last line of a log that is being written is not one of them.
    """

    def __init__(
        self,
        files: Sequence[Path],
        since: datetime | None = None,
        until: datetime | None = None,
        read: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._files = within(files, since, until)
        self._chosen = (Chosen(since, until), Chosen(since, until, event=ANY))
        self._read = read
        self.written = 0
        self.bad = 0
        self.first_bad: BadLine | None = None

    def lines(self) -> Iterator[Line]:
        """Raises StateError where a file cannot be read."""
        for file in self._files:
            for line in read_log([file]):
                if isinstance(line, BadLine):
                    if not line.cut:
                        self.bad += 1
                        self.first_bad = self.first_bad or line
                elif any(chosen.takes(line) for chosen in self._chosen):
                    self.written += 1
                    yield line
            self._read(file.stat().st_size)

    def rows(self) -> Iterator[Row]:
        """Of the table."""
        return filter(None, map(row, self.lines()))


def write_ocsf(lines: Iterable[Line], into: TextIO) -> None:
    """JSON lines, one event each."""
    for line in lines:
        told = event(line)
        if told is not None:
            into.write(msgspec.json.encode(told).decode() + "\n")


def write_csv(rows: Iterable[Row], into: TextIO) -> None:
    """By RFC 4180, with a line of names first. Times are RFC 3339, what is not there is empty."""
    writer = csv.writer(into)
    writer.writerow([column.name for column in COLUMNS])
    for one in rows:
        cells = zip(one, COLUMNS, strict=True)
        writer.writerow([_cell(value, column.type) for value, column in cells])


def _cell(value: object, type: Type) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    if type is Type.TRUTH:
        return "true" if value else "false"
    text = str(value)
    return f"'{text}" if type is Type.TEXT and text.startswith(FORMULA) else text
