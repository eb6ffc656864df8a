"""The bytes of one file as text with places, and what cannot be read of them."""

from __future__ import annotations

import bisect
import codecs
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from gateway.readiness.scan.notes import Notes, Place

LONGEST_LINE = 20_000
"""Characters: what is longer was written by a machine, and is not taken apart."""


LONGEST_ENTRY = 2_000
"""Characters of a line of a list of packages that are looked at."""


class Unreadable(Exception):
    """A file is not what its name says. The message holds nothing of its content."""


@dataclass(slots=True)
class Source:
    """``text`` with ``\\n`` or ``\\r\\n``; lines are counted once they are asked for."""

    path: str
    text: str
    data: bytes
    _starts: list[int] = field(default_factory=list)

    def place(self, offset: int) -> Place:
        """Line and column, from 1, of an offset of ``text``."""
        if not self._starts:
            self._starts = [0]
            at = self.text.find("\n")
            while at >= 0:
                self._starts.append(at + 1)
                at = self.text.find("\n", at + 1)
        line = bisect.bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def lines(self) -> Iterator[tuple[int, str]]:
        """Lines with their numbers, of long ones only what a person would have written."""
        for number, line in enumerate(self.text.splitlines(), 1):
            yield number, line[:LONGEST_ENTRY]

    def find(self, words: str, start: int = 0) -> Place:
        """The place of the first occurrence, of the file as a whole where there is none."""
        at = self.text.find(words, start)
        return self.place(at) if at >= 0 else (0, 0)


Reader: TypeAlias = Callable[[Source, Notes], None]
"""Takes one file apart. Raises ``Unreadable``; whatever else a library raises of it is its own to
turn into one.
"""


def decoded(path: str, data: bytes, notes: Notes) -> Source:
    """The text of a file: UTF-8, UTF-16 with its mark, or else Latin-1, which is told. Raises
    ``Unreadable`` for what is no text.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return Source(path, data.decode("utf-16"), data)
        except UnicodeDecodeError:
            raise Unreadable("it is not the UTF-16 that its mark says") from None
    try:
        return Source(path, data.decode("utf-8-sig"), data)
    except UnicodeDecodeError as error:
        if b"\0" in data:
            raise Unreadable("it is no text") from None
        notes.unread.append(f"byte {error.start} is not UTF-8: it was read as Latin-1")
        return Source(path, data.decode("latin-1"), data)
