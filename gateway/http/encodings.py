"""Bodies that come compressed (``Content-Encoding``): decoded within the limit for plain ones, so
that what a small body grows to is never kept, nor waited for.

A body has one encoding at most: several on top of each other are refused, as are several gzip
members or zstd frames behind each other. No client is known to send either.
"""

from __future__ import annotations

import asyncio
import sys
import zlib
from collections.abc import Callable, Mapping
from typing import Protocol

from gateway.errors import InvalidRequest, UnsupportedEncoding

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ACCEPTED = "gzip, deflate, zstd"
"""For the header ``Accept-Encoding`` of a refusal (RFC 9110, 12.5.3)."""

AT_ONCE = 262_144
"""Bytes that are decoded on the event loop (about a millisecond); the rest is a thread's work."""

_WINDOW_LOG = 23
"""8 MiB, the window that every zstd decoder must have (RFC 8878, 3.1.1.1.2), and the most here."""


class _Decoder(Protocol):
    """Decodes one body, piece by piece."""

    def more(self, most: int) -> bytes:
        """The next plain bytes. Raises ``zlib.error`` or ``ZstdError``."""
        ...

    @property
    def ended(self) -> bool: ...

    @property
    def behind(self) -> bytes:
        """What follows the end."""
        ...


class _Zlib:
    def __init__(self, data: bytes, wbits: int) -> None:
        self._decoder = zlib.decompressobj(wbits)
        self._left = data

    def more(self, most: int) -> bytes:
        plain = self._decoder.decompress(self._left, most)
        self._left = self._decoder.unconsumed_tail
        return plain

    @property
    def ended(self) -> bool:
        return self._decoder.eof

    @property
    def behind(self) -> bytes:
        return self._decoder.unused_data


class _Zstd:
    def __init__(self, data: bytes) -> None:
        limits: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _WINDOW_LOG}
        self._decoder = zstd.ZstdDecompressor(options=limits)
        self._left = data

    def more(self, most: int) -> bytes:
        # It keeps what it has not come to by itself.
        data, self._left = self._left, b""
        return self._decoder.decompress(data, most)

    @property
    def ended(self) -> bool:
        return self._decoder.eof

    @property
    def behind(self) -> bytes:
        return self._decoder.unused_data


def _gzip(data: bytes) -> _Decoder:
    return _Zlib(data, 16 + zlib.MAX_WBITS)


def _deflate(data: bytes) -> _Decoder:
    """In the zlib format, as it should be, or bare, as some send it."""
    wrapped = len(data) > 1 and data[0] & 15 == 8 and int.from_bytes(data[:2], "big") % 31 == 0
    return _Zlib(data, zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)


_DECODERS: Mapping[str, Callable[[bytes], _Decoder]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "zstd": _Zstd,
}


def encoding(value: bytes) -> str | None:
    """The encoding that a header names; ``None`` is none. Raises ``UnsupportedEncoding``."""
    words = [word.strip().lower() for word in value.decode("latin-1").split(",")]
    named = [word for word in words if word not in ("", "identity")]
    if not named:
        return None
    if len(named) > 1 or named[0] not in _DECODERS:
        raise UnsupportedEncoding(
            f"Content-Encoding {', '.join(named)[:64]!r} is not accepted: send the body plain, or "
            f"in one of {ACCEPTED}."
        )
    return named[0]


async def decoded(body: bytes, name: str, limit: int) -> bytes:
    """The plain body, or its first ``limit + 1`` bytes where it is longer than that. Raises
    ``InvalidRequest`` where it is not what it is said to be.
    """
    decoder = _DECODERS[name](body)
    first = _pieces(decoder, name, min(AT_ONCE, limit + 1))
    if decoder.ended or len(first) > limit:
        return first
    return first + await asyncio.to_thread(_pieces, decoder, name, limit + 1 - len(first))


def _pieces(decoder: _Decoder, name: str, most: int) -> bytes:
    """``most`` plain bytes, or all where there are fewer."""
    pieces: list[bytes] = []
    while most > 0:
        try:
            piece = decoder.more(most)
        except (zlib.error, zstd.ZstdError) as error:
            raise _broken(name, str(error)) from None
        pieces.append(piece)
        most -= len(piece)
        if decoder.ended:
            break
        if not piece:
            raise _broken(name, "it ends in the middle")
    if decoder.behind:
        raise _broken(name, "something follows its end")
    return b"".join(pieces)


def _broken(name: str, why: str) -> InvalidRequest:
    return InvalidRequest(
        f"The body is not valid {name}, which Content-Encoding says it is: {why}.",
        code="invalid_encoding",
    )
