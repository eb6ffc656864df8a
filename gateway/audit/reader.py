"""Reads audit logs again: every record, and every line that is none, with its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gateway.audit.record import Record
from gateway.errors import StateError


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no record. ``cut`` says that it is the last of its file and has no end: its
    process was killed, or is just writing it.
    """

    file: str
    line: int
    reason: str
    cut: bool


def log_files(path: Path) -> list[Path]:
    """A file as it is; of a folder its ``audit-*.jsonl``. Raises StateError where there is none."""
    files = sorted(path.glob("audit-*.jsonl")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise StateError(f"there is no audit log in {path}: expected a file or audit-*.jsonl")
    return files


def read_log(files: Iterable[Path]) -> Iterator[Record | BadLine]:
    """What the files hold, in their order. Raises StateError where one cannot be read."""
    decoder = msgspec.json.Decoder(Record)
    for file in files:
        try:
            with file.open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    try:
                        yield decoder.decode(line)
                    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
                        yield BadLine(str(file), number, str(error), not line.endswith(b"\n"))
        except OSError as error:
            raise StateError(f"{file} cannot be read: {error.strerror or error}") from None
