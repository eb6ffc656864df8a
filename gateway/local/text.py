"""From a model's bytes to pieces that may be shown: whole characters, and nothing past a stop."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from gateway.local.reader import Piece, PieceKind, Reader


class TextStream:
    """One answer's text. What may be the beginning of a stop string is held back until it is
    known not to be one; bytes of an incomplete character likewise. Stop strings count in content
    alone, not in thinking or in the arguments of calls. ``thinks`` says that what came last, as far
    as it can be told apart yet, is thinking.
    """

    def __init__(self, stops: Sequence[str], reader: Reader) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._reader = reader
        self._held = ""
        self.stopped: str | None = None
        self.called = False
        self.thinks = False

    def feed(self, piece: bytes) -> list[Piece]:
        """What may be shown now. A stop string stands in ``stopped`` once it has come; it and what
        follows it are not shown.
        """
        return self._through(self._reader.feed(self._decoder.decode(piece)))

    def finish(self) -> list[Piece]:
        """What was held back, at the end. Bytes of a character that never came whole are lost."""
        if self.stopped:
            return []
        pieces = self._through(self._reader.finish())
        if not self.stopped:
            pieces += _content(self._held)
        self._held = ""
        return pieces

    def _through(self, pieces: list[Piece]) -> list[Piece]:
        shown: list[Piece] = []
        for piece in pieces:
            self.thinks = piece.kind is PieceKind.REASONING
            if piece.kind is PieceKind.CONTENT and self._stops:
                shown += _content(self._cut(piece.text))
                if self.stopped:
                    break
                continue
            if self._held:
                # Content has ended, so what was held back is none.
                shown += _content(self._held)
                self._held = ""
            self.called = self.called or piece.kind is PieceKind.CALL
            shown.append(piece)
        return shown

    def _cut(self, text: str) -> str:
        """The content that may be shown when ``text`` has come."""
        self._held += text
        found = [(at, stop) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            at, self.stopped = min(found)
            text, self._held = self._held[:at], ""
            return text
        cut = len(self._held) - self._risky()
        text, self._held = self._held[:cut], self._held[cut:]
        return text

    def _risky(self) -> int:
        """The length of the longest end of the held text that begins a stop string."""
        for length in range(min(len(self._held), max(map(len, self._stops)) - 1), 0, -1):
            end = self._held[-length:]
            if any(stop.startswith(end) for stop in self._stops):
                return length
        return 0


def _content(text: str) -> list[Piece]:
    return [Piece(PieceKind.CONTENT, text)] if text else []
