"""Where the head of an answer ends, and whether it may begin as it does: RFC 9112, strictly. Pure.

The parser behind it (llhttp) refuses most of what is ambiguous, and is lenient where the RFC lets a
recipient be: with empty lines before an answer, any byte in a reason phrase, any three digits for a
status. Here it is not, and a head counts the same in whatever pieces it comes.
"""

from __future__ import annotations

import re

MOST_HEAD = 64 * 1024
"""Bytes of an answer's head, its interim answers included."""
MOST_HEADERS = 256
"""Header fields of one head."""

_BEGIN = b"HTTP/1."
_END = b"\r\n\r\n"
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] [1-5][0-9]{2}(?: [\t\x20-\x7e\x80-\xff]*)?\r\n")


class FramingError(Exception):
    """What came is not the head of an answer, or too long for one. The message says it."""


class HeadReader:
    """The heads of one answer and its interim answers, one after the other."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._size = 0

    def begin(self) -> None:
        """Nothing has come of the next answer."""
        self._size = 0

    def cut(self, data: bytes) -> int | None:
        """How many of these bytes belong to the head that is being read; ``None`` where all do and
        it goes on. Raises ``FramingError``.
        """
        held = self._held
        before = len(held)
        if before:
            held += data
            found = held.find(_END, max(0, before - len(_END) + 1))
        else:
            found = data.find(_END)
        size = before + len(data) if found < 0 else found + len(_END)
        if self._size + size > MOST_HEAD:
            raise FramingError("the answer's head is too long")
        if found < 0:
            if not before:
                held += data
            if not _BEGIN.startswith(held[: len(_BEGIN)]):
                raise FramingError("the answer is not HTTP")
            return None
        head = held if before else data
        if not _STATUS_LINE.match(head):
            raise FramingError("the answer is not HTTP")
        if head.count(b"\n", 0, size) > MOST_HEADERS + 2:
            raise FramingError("the answer has too many header fields")
        if before:
            held.clear()
        self._size += size
        return size - before
