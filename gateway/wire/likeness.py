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

from msgspec.structs import replace

from gateway.wire.relay import Chunk

_PROBE = "another text than it was"


class Likeness:
    """``chunk`` is one that was read; ``payload`` and ``data`` are (beginning, end) of its payload
    and of what the app gets.
    """

    __slots__ = ("_chunk", "_data", "_payload", "_shortest")

    def __init__(
        self, chunk: Chunk, payload: tuple[bytes, bytes], data: tuple[bytes, bytes]
    ) -> None:
        self._chunk = chunk
        self._payload = payload
        self._data = data
        # The two do not overlap, and there is a text.
        self._shortest = len(payload[0]) + len(payload[1]) + 1

    def read(self, payload: bytes) -> Chunk | None:
        """What a payload says; ``None`` where it is not like the other."""
        begin, end = self._payload
        if (
            len(payload) < self._shortest
            or not payload.startswith(begin)
            or not payload.endswith(end)
        ):
            return None
        said = payload[len(begin) : -len(end)]
        if b'"' in said or b"\\" in said:
            return None
        try:
            text = said.decode()
        except UnicodeDecodeError:
            return None
        if not text.isprintable():
            # Control characters may not stand in a string; what else is not printable is rare.
            return None
        before, after = self._data
        like = self._chunk
        return Chunk(
            b"%b%b%b" % (before, said, after),
            text,
            (),
            like.choices,
            True,
            model=like.model,
            provider=like.provider,
            id=like.id,
            created=like.created,
        )


def learn(payload: bytes, chunk: Chunk, read: Callable[[bytes], Chunk]) -> Likeness | None:
    """What the payload that was ``read`` as ``chunk`` has in common with those that say another
    text; ``None`` where that cannot be told, or they may say more than a text.
    """
    text, data = chunk.text, chunk.data
    quoted = b'"%b"' % text.encode("utf-8", "surrogatepass")
    at, there = payload.find(quoted) + 1, data.find(quoted) + 1
    if not at or not there or payload.count(quoted) != 1 or data.count(quoted) != 1:
        return None
    size = len(quoted) - 2
    begin, end = payload[:at], payload[at + size :]
    before, after = data[:there], data[there + size :]
    probe = _PROBE.encode()
    other = read(b"%b%b%b" % (begin, probe, end))
    same = replace(chunk, data=b"%b%b%b" % (before, probe, after), text=_PROBE)
    if other != same or same != _only_text(same):
        return None
    return Likeness(chunk, (begin, end), (before, after))


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
