"""The entries of the arrays of one JSON object, one at a time, however long the file is."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator
from typing import Any

from gateway.vendors.published.rows import UnreadableList

MAX_ENTRY = 1_000_000
"""Characters of one entry. A longer one is no row of a published list."""

_BLANK = " \t\r\n"


def entries(chunks: Iterable[bytes]) -> Iterator[tuple[int, str, Any]]:
    """Line, key and value of every entry of every array right under the top.

    ``{"total": 2, "results": [{…}, {…}]}`` gives two entries of ``results``; what is no array
    is passed over. Raises UnreadableList where the file is not such an object.
    """
    text = _Text(chunks)
    text.expect("{")
    if text.peek() == "}":
        return
    while True:
        key = text.value()
        if not isinstance(key, str):
            raise text.wrong("expected a key")
        text.expect(":")
        if text.peek() == "[":
            yield from _array(text, key)
        else:
            text.value()
        if text.peek() != ",":
            break
        text.expect(",")
    text.expect("}")
    if text.peek():
        raise text.wrong("expected the end of the file")


def _array(text: _Text, key: str) -> Iterator[tuple[int, str, Any]]:
    text.expect("[")
    if text.peek() == "]":
        text.expect("]")
        return
    while True:
        text.peek()
        line = text.line
        yield line, key, text.value()
        if text.peek() != ",":
            break
        text.expect(",")
    text.expect("]")


class _Text:
    """The part of the file that is held: at most one entry and one chunk."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.line = 1
        self._chunks = iter(chunks)
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._scan = json.JSONDecoder().raw_decode
        self._held = ""
        self._at = 0
        self._ended = False

    def wrong(self, message: str) -> UnreadableList:
        return UnreadableList(self.line, f"not the JSON of such a list: {message}")

    def peek(self) -> str:
        """The next character that is no blank, without taking it; nothing at the end."""
        while True:
            while self._at < len(self._held):
                character = self._held[self._at]
                if character not in _BLANK:
                    return character
                self._take(self._at + 1)
            if not self._more():
                return ""

    def expect(self, character: str) -> None:
        found = self.peek()
        if found != character:
            raise self.wrong(f"expected {character!r}, not {found or 'the end of the file'!r}")
        self._take(self._at + 1)

    def value(self) -> Any:
        """The value that begins here; more of the file is read until it is whole."""
        self.peek()
        while True:
            try:
                value, end = self._scan(self._held, self._at)
            except (ValueError, RecursionError) as error:
                if len(self._held) - self._at > MAX_ENTRY:
                    raise self.wrong(f"an entry of over {MAX_ENTRY} characters") from None
                if not self._more():
                    raise self.wrong(str(error)) from None
                continue
            # A number that ends where the chunk ends may go on in the next one.
            if end < len(self._held) or not self._more():
                self._take(end)
                return value

    def _take(self, end: int) -> None:
        self.line += self._held.count("\n", self._at, end)
        self._at = end

    def _more(self) -> bool:
        if self._ended:
            return False
        chunk = next(self._chunks, None)
        self._ended = chunk is None
        try:
            text = self._decode(chunk or b"", self._ended)
        except UnicodeDecodeError:
            raise self.wrong("not valid UTF-8") from None
        self._held = self._held[self._at :] + text
        self._at = 0
        return bool(text) or not self._ended
