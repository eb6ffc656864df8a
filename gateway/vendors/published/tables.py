"""Rows of comma-separated values, read with bounds; every row knows its line."""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from gateway.vendors.published.rows import Item, Listed, Malformed, UnreadableList

MAX_LINE = 1_000_000
"""Bytes of one line. A longer one is no row of a published list."""

_UNDECODABLE = "\ufffd"
_END_OF_FILE = "\x1a"
"""What the classic files of OFAC end in, alone on the last line."""


@dataclass(frozen=True, slots=True)
class Row:
    """The fields of one row; ``line`` is where it begins."""

    line: int
    fields: tuple[str, ...]


def rows(chunks: Iterable[bytes]) -> Iterator[Row | Malformed]:
    """Every row of a CSV file. One that is not well-formed is told with the lines it swallowed."""
    reader = csv.reader(_lines(chunks), strict=True)
    while True:
        first = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            last = max(reader.line_num, first)
            upto = "" if last == first else f", up to line {last}"
            yield Malformed(first, f"not valid CSV ({error}{upto})")
            continue
        if fields in ([], [_END_OF_FILE]):
            continue
        if any(_UNDECODABLE in field for field in fields):
            yield Malformed(first, "not valid UTF-8")
        else:
            yield Row(first, tuple(field.strip() for field in fields))


def records(
    chunks: Iterable[bytes],
    listed: Callable[[int, Mapping[str, str]], Listed],
    *,
    required: Collection[str],
    known: Collection[str] | None = None,
) -> Iterator[Item]:
    """What ``listed`` makes of every row: of its line, and a mapping by the names of the first row,
    which are taken as they are. It raises ValueError where the row is malformed.

    Raises UnreadableList where a ``required`` column is missing, or one is not among ``known``.
    """
    found = rows(chunks)
    head = next(found, None)
    if not isinstance(head, Row):
        raise UnreadableList(1, "expected a first row with the names of the columns")
    names = head.fields
    for name in required:
        if name not in names:
            raise UnreadableList(1, f"expected a column {name!r}; there are: {', '.join(names)}")
    for name in names if known is not None else ():
        if name not in (known or ()) or names.count(name) > 1:
            raise UnreadableList(1, f"unexpected column {name!r}; known: {', '.join(known or ())}")
    for row in found:
        if isinstance(row, Malformed):
            yield row
        elif len(row.fields) != len(names):
            yield Malformed(row.line, f"{len(row.fields)} fields where {len(names)} are named")
        else:
            try:
                yield listed(row.line, dict(zip(names, row.fields, strict=True)))
            except ValueError as error:
                yield Malformed(row.line, str(error))


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines as text, each with its end; bytes that are not UTF-8 leave a mark in theirs."""
    number = 0
    held = b""
    for chunk in chunks:
        held += chunk
        *whole, held = held.split(b"\n")
        for line in whole:
            number += 1
            yield _text(line + b"\n", number)
        if len(held) > MAX_LINE:
            raise UnreadableList(number + 1, f"a line of over {MAX_LINE} bytes: this is no CSV")
    if held:
        yield _text(held, number + 1)


def _text(line: bytes, number: int) -> str:
    if len(line) > MAX_LINE:
        raise UnreadableList(number, f"a line of over {MAX_LINE} bytes: this is no CSV")
    if number == 1 and line.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UnreadableList(1, "this is UTF-16: save the file as UTF-8")
    return line.decode("utf-8-sig" if number == 1 else "utf-8", errors="replace")
