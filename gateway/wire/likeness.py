"""Chunks of a stream that differ in their text alone, as most of an answer's do: read by what they
have in common with one that was read before, without parsing them.

Theory of operation. In JSON a string ends at its first quote that is not escaped, and nothing in it
means anything outside of it. So where one text was found in a payload, and another was read from
its place with all else the same, every payload of the same beginning and end with any plain text
between them says the same but for that text. Plain is: UTF-8 without a quote, a backslash or a
control character, which stands for itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from msgspec.structs import replace

from gateway.wire.relay import Chunk

_PROBE = b"another text than it was"
_PADDING = b'"obfuscation":"'
"""Before what some vendors fill their chunks with, so that no size gives a text away."""

_Around: TypeAlias = tuple[bytes, bytes]


class Likeness:
    """``chunk`` is one that was read; ``payload`` and ``data`` are what stands (before, behind) the
    text in its payload and in what the app gets. With ``padded`` two such pairs are what stands
    around the padding in what is behind the text.
    """

    __slots__ = ("_data", "_event", "_padded", "_payload", "chunk")

    def __init__(
        self,
        chunk: Chunk,
        payload: _Around,
        data: _Around,
        padded: tuple[_Around, _Around] | None = None,
    ) -> None:
        self.chunk = chunk
        self._payload = payload
        self._event = b"data: " + payload[0], payload[1] + b"\n\n"
        self._data = data
        self._padded = padded

    def read(self, payload: bytes) -> Chunk | None:
        """What a payload says; ``None`` where it is not like the other."""
        found = self._found(payload, self._payload, b"")
        return None if found is None else replace(self.chunk, data=found[0], text=found[1])

    def whole(self, event: bytes) -> tuple[bytes, str] | None:
        """What the app gets for bytes that are one event, and its text, as ``read`` of that event
        says; ``None`` where they are no such, or not like the other.
        """
        # What is plain has no line's end in it, nor has what stands around it.
        return self._found(event, self._event, b"\n\n")

    def _found(self, data: bytes, around: _Around, last: bytes) -> tuple[bytes, str] | None:
        """What the app gets for what is like ``around``, of which ``last`` is no payload."""
        begin, end = around
        if not data.startswith(begin):
            return None
        before, after = self._data
        quote = data.find(b'"', len(begin))
        said, rest = data[len(begin) : quote], data[quote:]
        if rest != end:
            padded = self._behind(rest.removesuffix(last)) if rest.endswith(last) else None
            if padded is None:
                return None
            after = padded
        text = _plain(said)
        if not text or quote < 0:
            return None
        return b"%b%b%b" % (before, said, after), text

    def _behind(self, rest: bytes) -> bytes | None:
        """What the app gets behind the text, where only the padding differs."""
        if self._padded is None:
            return None
        (begin, end), (before, after) = self._padded
        padding = rest[len(begin) : len(rest) - len(end)]
        if b"%b%b%b" % (begin, padding, end) != rest or _plain(padding) is None:
            return None
        return b"%b%b%b" % (before, padding, after)


def _plain(said: bytes) -> str | None:
    """The text that stands for itself in a string; ``None`` for what may not, or may mean more.
    What cannot be printed but by escapes is rare.
    """
    if b'"' in said or b"\\" in said:
        return None
    try:
        text = said.decode()
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None


def learn(payload: bytes, chunk: Chunk, read: Callable[[bytes], Chunk]) -> Likeness | None:
    """What the payload that was ``read`` as ``chunk`` has in common with those that say another
    text; ``None`` where that cannot be told, or they may say more than a text.
    """
    quoted = b'"%b"' % chunk.text.encode("utf-8", "surrogatepass")
    asked, told = _split(payload, quoted), _split(chunk.data, quoted)
    if asked is None or told is None or b"\n" in payload or b"\r" in payload:
        return None
    same = replace(chunk, data=_PROBE.join(told), text=_PROBE.decode())
    if read(_PROBE.join(asked)) != same or same != _only_text(same):
        return None
    padded = _split_padding(asked[1]), _split_padding(told[1])
    if padded[0] is not None and padded[1] is not None:
        more = replace(same, data=b"%b%b%b" % (told[0], _PROBE, _PROBE.join(padded[1])))
        if read(b"%b%b%b" % (asked[0], _PROBE, _PROBE.join(padded[0]))) == more:
            return Likeness(chunk, asked, told, (padded[0], padded[1]))
    return Likeness(chunk, asked, told)


def _split(data: bytes, quoted: bytes) -> _Around | None:
    """What stands around a string's own text, where the string is there once."""
    if data.count(quoted) != 1:
        return None
    at = data.find(quoted) + 1
    return data[:at], data[at + len(quoted) - 2 :]


def _split_padding(rest: bytes) -> _Around | None:
    at = rest.find(_PADDING) + len(_PADDING)
    quote = rest.find(b'"', at)
    return None if at < len(_PADDING) or quote < 0 else (rest[:at], rest[quote:])


def _only_text(chunk: Chunk) -> Chunk:
    """A chunk that says no more than this one's text."""
    return Chunk(
        chunk.data,
        chunk.text,
        choices=chunk.choices,
        content=True,
        model=chunk.model,
        provider=chunk.provider,
        id=chunk.id,
        created=chunk.created,
    )
