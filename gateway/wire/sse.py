"""Server-sent events, split from bytes as they come, and written.

Source: the WHATWG HTML standard, "Server-sent events", interpreting an event stream.
"""

from __future__ import annotations

import re

MOST_EVENT = 4 * 1024 * 1024
_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"


def event(data: bytes, name: str = "") -> bytes:
    """The event that carries a JSON text. Raises ``ValueError`` where the name is none."""
    if b"\n" in data or b"\r" in data:
        # Within valid JSON a line's end can only stand between tokens.
        data = data.replace(b"\n", b" ").replace(b"\r", b" ")
    if not name:
        return b"data: %b\n\n" % data
    if "\n" in name or "\r" in name:
        raise ValueError("the name of an event is one line")
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


class EventSplitter:
    """Gives the data of each event, whatever pieces the stream comes in.

    ``oversized`` turns true, and stays so, once an event holds more than ``limit`` bytes.
    """

    def __init__(self, limit: int = MOST_EVENT) -> None:
        self.oversized = False
        self._limit = limit
        self._partial: list[bytes] = []
        self._data: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._first_line = True

    def alone(self, data: bytes) -> bool:
        """Whether bytes that are one event are the next one, with nothing before them."""
        return not (
            self._partial
            or self._data
            or self._first_line
            or self._after_cr
            or self.oversized
            or len(data) > self._limit
        )

    def feed(self, data: bytes) -> list[bytes]:
        """The data of the events that are now complete."""
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if not data or self.oversized:
            return []
        if (
            not (self._partial or self._data or self._first_line)
            and data.startswith(b"data: ")
            and data.find(b"\n") == len(data) - 2 <= self._limit
            and data.endswith(b"\n\n")
            and b"\r" not in data
        ):
            # As a vendor writes them, each piece of an answer for itself.
            return [data[6:-2]]
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            lines = _LINE_END.split(data)
        else:
            lines = data.split(b"\n")
        rest = lines.pop()
        events: list[bytes] = []
        for line in lines:
            if self._partial:
                self._partial.append(line)
                line = b"".join(self._partial)
                self._size -= len(line) - len(self._partial[-1])
                self._partial.clear()
            self._take(line, events)
            if self.oversized:
                return events
        if rest:
            self._partial.append(rest)
            self._grow(len(rest))
        return events

    def end(self) -> list[bytes]:
        """The stream is over: the data of an event whose blank line is missing, if there is one."""
        return self.feed(b"\n\n") if self._partial or self._data else []

    def _take(self, line: bytes, events: list[bytes]) -> None:
        if self._first_line:
            self._first_line = False
            line = line.removeprefix(_BOM)
        if not line:
            if self._data:
                events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                self._data.clear()
            self._size = 0
        elif line.startswith(b"data:"):
            # Counted as a line, like one that comes in pieces, before it is stripped.
            self._grow(len(line))
            self._data.append(line[6:] if line[5:6] == b" " else line[5:])
        else:
            self._grow(len(line))
            self._size -= len(line)
            if line == b"data":
                self._data.append(b"")

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > self._limit:
            self.oversized = True
