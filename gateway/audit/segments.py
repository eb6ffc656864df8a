"""The files of a log: ``audit-00000001.jsonl`` and so on, and what stands at the end of one."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from gateway.audit.chain import Head, Kind, head, link

NAME = re.compile(r"audit-([0-9]{8})\.jsonl\Z")
FIRST_LOOK = 1 << 20
"""Bytes from a segment's end that are read for its last line; more where that is not enough."""


@dataclass(frozen=True, slots=True)
class Tail:
    """What a segment ends with. ``last`` is its last line without the newline, empty where it has
    none; ``size`` is that of all lines, behind which ``torn`` stands, which is none. ``unsigned``
    lines stand behind the last checkpoint, written at ``signed_at`` (RFC 3339) where one was found.
    """

    last: bytes
    size: int
    torn: bytes
    unsigned: int
    signed_at: str | None

    @property
    def head(self) -> Head | None:
        return head(self.last) if self.last else None


def segment(folder: Path, number: int) -> Path:
    return folder / f"audit-{number:08}.jsonl"


def numbers(folder: Path) -> list[int]:
    """Of the segments that are there, in order."""
    found = (NAME.match(entry.name) for entry in os.scandir(folder))
    return sorted(int(match[1]) for match in found if match)


def tail(path: Path, begin: int = 0) -> Tail:
    """Of what stands in a segment from byte ``begin``, where a line begins. Raises ``OSError``."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        look = FIRST_LOOK
        while True:
            start = max(begin, size - look)
            file.seek(start)
            data = file.read(size - start)
            if start > begin:
                data = data[data.find(b"\n") + 1 :] if b"\n" in data else b""
            whole = _whole(data)
            if whole or start == begin:
                break
            look *= 4
    lines = data[:whole].split(b"\n")[:-1]
    signed = next((at for at in range(len(lines) - 1, -1, -1) if signs(lines[at])), None)
    return Tail(
        last=lines[-1] if lines else b"",
        size=size - len(data) + whole,
        torn=data[whole:],
        unsigned=len(lines) - (0 if signed is None else signed + 1),
        signed_at=None if signed is None else link(lines[signed]).at,
    )


def first_line(path: Path) -> bytes:
    """Without its newline. Raises ``OSError``."""
    with path.open("rb") as file:
        return file.readline().rstrip(b"\n")


def signs(written: bytes) -> bool:
    """Whether a line is a checkpoint."""
    # In text, quotes are escaped: only an object within a line can look like it.
    if b'"kind":"checkpoint"' not in written:
        return False
    try:
        return link(written).kind is Kind.CHECKPOINT
    except ValueError:
        return False


def _whole(data: bytes) -> int:
    """How many bytes of ``data`` are up to the end of its last line that is one of a log."""
    end = data.rfind(b"\n") + 1
    while end:
        begin = data.rfind(b"\n", 0, end - 1) + 1
        try:
            link(data[begin : end - 1])
        except ValueError:
            end = begin
        else:
            break
    return end
