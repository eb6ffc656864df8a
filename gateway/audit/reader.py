"""Reads audit logs again: every line with its place, in memory that no line can fill.

A log is a folder of segments or one file. Whatever is no line of a log comes out as a ``BadLine``:
nothing that a file holds makes a reader raise.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec

from gateway.audit.happening import Happening
from gateway.audit.record import Record
from gateway.errors import StateError

LONGEST_LINE = 4 << 20
"""Bytes. A record of a hundred targets has 100 KB; what is longer is no line of ours."""
SEGMENTS = "audit-*.jsonl"
_BLOCK = 1 << 16


class Place(msgspec.Struct, frozen=True):
    """``line`` counts from 1; where a file is read backwards, from -1, its last line. It is 0 where
    it is not known.
    """

    file: str
    line: int


class Request(msgspec.Struct, frozen=True):
    place: Place
    seq: int
    prev: str
    record: Record


class Event(msgspec.Struct, frozen=True):
    place: Place
    seq: int
    prev: str
    happening: Happening


class Checkpoint(msgspec.Struct, frozen=True):
    """``key`` is the id of a public key, ``signature`` base64. Nothing is checked here."""

    place: Place
    seq: int
    prev: str
    at: datetime
    key: str
    signature: str


class BadLine(msgspec.Struct, frozen=True):
    """A line that is none of a log. ``cut`` says that it is the last of its file and has no end:
    its process was killed, or is just writing it.
    """

    place: Place
    reason: str
    cut: bool


Line = Request | Event | Checkpoint | BadLine


class Text(msgspec.Struct, frozen=True):
    """A line as it stands, without its newline. ``ended`` is false where it has none; ``long`` is
    true where it is longer than any, and ``content`` only its beginning.
    """

    line: int
    content: bytes
    ended: bool
    long: bool = False


def log_files(path: Path) -> list[Path]:
    """A file as it is; the segments of a folder in their order. Raises StateError where there is
    none.
    """
    files = sorted(path.glob(SEGMENTS)) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise StateError(f"there is no audit log in {path}: expected a file or {SEGMENTS}")
    return files


def texts(file: Path) -> Iterator[Text]:
    """The lines of a file as they stand. Raises StateError where it cannot be read."""
    try:
        with file.open("rb") as stream:
            for number, content in enumerate(iter(lambda: stream.readline(LONGEST_LINE), b""), 1):
                if content.endswith(b"\n"):
                    yield Text(number, content[:-1], True)
                elif len(content) < LONGEST_LINE:
                    yield Text(number, content, False)
                else:
                    yield Text(number, content[:_BLOCK], _skipped(stream), long=True)
    except OSError as error:
        raise StateError(f"{file} cannot be read: {error.strerror or error}") from None


def read_log(files: Iterable[Path]) -> Iterator[Line]:
    """What the files hold, in their order. Raises StateError where one cannot be read."""
    for file in files:
        name = str(file)
        for text in texts(file):
            yield parsed(text, Place(name, text.line))


def last(path: Path, count: int, wanted: Callable[[Line], bool] | None = None) -> list[Line]:
    """The last ``count`` lines, oldest first: of all, or of those that are ``wanted``. Reads from
    the end, and no more than it must. Nothing where there is no log yet. Raises StateError where a
    file cannot be read.
    """
    lines = backwards(_there(path))
    found = list(islice(lines if wanted is None else filter(wanted, lines), count))
    return found[::-1]


def last_texts(path: Path, count: int) -> list[Text]:
    """As ``last``, the lines as they stand."""
    return [text for _, text in islice(_backwards(_there(path)), count)][::-1]


def backwards(files: Iterable[Path]) -> Iterator[Line]:
    """What the files hold, from the last line of the last one. A file that is gone meanwhile ends
    it: with it went all that is older. Raises StateError where one cannot be read.
    """
    for place, text in _backwards(files):
        yield parsed(text, place)


def parsed(text: Text, place: Place) -> Line:
    """What a line says. Its chain is not looked at: that is what ``verify`` is for."""
    if text.long:
        return BadLine(place, f"longer than {LONGEST_LINE} bytes", not text.ended)
    try:
        head = _HEAD.decode(text.content)
        if head.kind == "request":
            return Request(place, head.seq, head.prev, _RECORD.decode(text.content))
        if head.kind == "event":
            return Event(place, head.seq, head.prev, _HAPPENING.decode(text.content))
        if head.kind == "checkpoint":
            mark = _MARK.decode(text.content)
            return Checkpoint(place, head.seq, head.prev, mark.at, mark.key, mark.signature)
    except RecursionError:
        return BadLine(place, "nested too deep", not text.ended)
    except (msgspec.DecodeError, ValueError) as error:
        return BadLine(place, str(error), not text.ended)
    return BadLine(place, f"a line of unknown kind {head.kind[:32]!r}", not text.ended)


def _there(path: Path) -> list[Path]:
    """The files of a log that may not be there yet."""
    return list(path.glob(SEGMENTS)) if path.is_dir() else [path]


def _backwards(files: Iterable[Path]) -> Iterator[tuple[Place, Text]]:
    for file in sorted(files, reverse=True):
        try:
            with file.open("rb") as stream:
                for number, text in enumerate(_from_the_end(stream), 1):
                    yield Place(str(file), -number), text
        except FileNotFoundError:
            return
        except OSError as error:
            raise StateError(f"{file} cannot be read: {error.strerror or error}") from None


def _skipped(stream: BinaryIO) -> bool:
    """Go to the end of a line of which some was read. Whether it has one."""
    while more := stream.readline(_BLOCK):
        if more.endswith(b"\n"):
            return True
    return False


def _from_the_end(stream: BinaryIO) -> Iterator[Text]:
    """The lines of a file, the last one first. Their numbers are not known."""
    place = stream.seek(0, os.SEEK_END)
    rest = bytearray()  # the beginning of it is still to be read
    ended, long = False, False
    while place:
        size = min(_BLOCK, place)
        place = stream.seek(place - size)
        parts = stream.read(size).split(b"\n")
        for part in reversed(parts[1:]):
            rest[:0] = part
            if rest or ended:
                yield Text(0, bytes(rest), ended, long)
            rest.clear()
            ended, long = True, False
        rest[:0] = parts[0]
        if len(rest) > LONGEST_LINE:
            long = True
            del rest[_BLOCK:]
    if rest or ended:
        yield Text(0, bytes(rest), ended, long)


class _Head(msgspec.Struct, frozen=True):
    kind: str
    seq: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
    prev: str


class _Mark(msgspec.Struct, frozen=True):
    at: datetime
    key: str
    signature: str


_HEAD = msgspec.json.Decoder(_Head)
_MARK = msgspec.json.Decoder(_Mark)
_RECORD = msgspec.json.Decoder(Record)
_HAPPENING = msgspec.json.Decoder(Happening)
