"""Answers that are no events and no JSON: bytes of sound, passed on as they come, by type."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.events import Event, Failed, FailureKind, Finished, Relayed, Started

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
OTHER = "application/octet-stream"
_SAFE = frozenset(
    {
        "audio/aac",
        "audio/basic",
        "audio/flac",
        "audio/l16",
        "audio/mp3",
        "audio/mp4",
        "audio/mpeg",
        "audio/ogg",
        "audio/opus",
        "audio/pcm",
        "audio/vnd.wave",
        "audio/wav",
        "audio/wave",
        "audio/webm",
        "audio/x-flac",
        "audio/x-wav",
    }
)
"""Types that the app is told: nothing in them runs in a browser."""


def sound(media: bytes) -> str | None:
    """The type under which an app is given the bytes of an answer that says it is ``media``;
    ``None`` where that is a page, or an error, and no sound.
    """
    word = media.decode("latin-1")
    if word in _SAFE:
        return word
    return None if word.startswith("text/") or word.endswith(("json", "xml")) else OTHER


def is_json(media: bytes) -> bool:
    """Whether an answer is JSON by its type."""
    return media.endswith((b"/json", b"+json"))


class ByteRelay:
    """An answer's bytes to events, without I/O: ``media`` is their type. The attributes are those
    of ``StreamRelay``: it begins with the first byte, and only the end of its body ends it.
    """

    def __init__(self, media: str, provider: str | None = None) -> None:
        self.started = False
        self.flowing = False
        self.ended = False
        self.finished = False
        self._media = media
        self._provider = provider

    def feed(self, data: bytes) -> list[Event]:
        """These bytes, which are not empty."""
        events: list[Event] = []
        if not self.started:
            self.started = self.flowing = True
            events.append(Started(provider=self._provider, media=self._media))
        return [*events, Relayed(data, binding=True)]

    def plain(self, pieces: Sequence[bytes]) -> Relayed | None:
        return Relayed(b"".join(pieces), binding=True) if self.started else None

    def end(self) -> list[Event]:
        """The body is over, and has come whole."""
        self.ended = True
        if not self.started:
            return [Failed(FailureKind.MALFORMED, "the answer is empty")]
        self.finished = True
        return [Finished()]

    def broken(self, failure: Failed) -> list[Event]:
        """No more will come."""
        self.ended = True
        return [failure]
