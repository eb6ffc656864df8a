"""From a model's bytes to text that may be shown: whole characters, and nothing past a stop."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TextStream:
    """One answer's text. What may be the beginning of a stop string is held back until it is
    known not to be one; bytes of an incomplete character likewise.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self.stopped = False

    def feed(self, piece: bytes) -> str:
        """The text that may be shown now, perhaps empty. Sets ``stopped`` at a stop string, which
        itself and what follows it are not shown.
        """
        self._held += self._decoder.decode(piece)
        if not self._stops or not self._held:
            text, self._held = self._held, ""
            return text
        found = [at for at in (self._held.find(stop) for stop in self._stops) if at >= 0]
        if found:
            self.stopped = True
            text, self._held = self._held[: min(found)], ""
            return text
        cut = len(self._held) - self._risky()
        text, self._held = self._held[:cut], self._held[cut:]
        return text

    def finish(self) -> str:
        """What was held back, at the end. Bytes of a character that never came whole are lost."""
        text, self._held = self._held, ""
        return text

    def _risky(self) -> int:
        """The length of the longest end of the held text that begins a stop string."""
        for length in range(min(len(self._held), max(map(len, self._stops)) - 1), 0, -1):
            end = self._held[-length:]
            if any(stop.startswith(end) for stop in self._stops):
                return length
        return 0
