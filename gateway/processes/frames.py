"""Messages over a Unix stream socket: a 4-byte big-endian length and that many bytes of msgpack."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec

LENGTH_BYTES = 4
MAX_FRAME = 32 << 20
T = TypeVar("T")


class ProtocolError(Exception):
    """The peer sent what is no frame of this protocol; the connection is of no more use."""


def frame(message: msgspec.Struct) -> bytes:
    """One whole frame. Raises ProtocolError where it would be over ``MAX_FRAME`` bytes, or has a
    whole number of more than 64 bits, which Python and JSON have and msgpack does not.
    """
    try:
        body = msgspec.msgpack.encode(message)
    except OverflowError:
        raise ProtocolError("a number of more than 64 bits cannot be passed on") from None
    if len(body) > MAX_FRAME:
        raise ProtocolError(f"a frame of {len(body)} bytes is over the limit of {MAX_FRAME}")
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


class FrameDecoder(Generic[T]):
    """Bytes in any pieces to messages. Holds at most one incomplete frame."""

    def __init__(self, decoder: msgspec.msgpack.Decoder[T]) -> None:
        self._decoder = decoder
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[T]:
        """The messages that ``data`` completes. Raises ProtocolError, after which it is spent."""
        self._buffer += data
        at = 0
        try:
            while (end := self._frame_end(at)) is not None:
                frame = memoryview(self._buffer)[at + LENGTH_BYTES : end]
                try:
                    message = self._decoder.decode(frame)
                except msgspec.DecodeError as error:
                    raise ProtocolError(f"not a message of this protocol: {error}") from error
                finally:
                    frame.release()
                at = end
                yield message
        finally:
            del self._buffer[:at]

    @property
    def pending(self) -> int:
        """How many bytes of an incomplete frame are held."""
        return len(self._buffer)

    def _frame_end(self, at: int) -> int | None:
        if len(self._buffer) - at < LENGTH_BYTES:
            return None
        length = int.from_bytes(self._buffer[at : at + LENGTH_BYTES], "big")
        if length > MAX_FRAME:
            raise ProtocolError(f"a frame of {length} bytes is over the limit of {MAX_FRAME}")
        end = at + LENGTH_BYTES + length
        return end if end <= len(self._buffer) else None
