"""Bodies that come compressed."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from backports import zstd

from gateway.errors import BodyTooLarge, InvalidRequest, UnsupportedEncoding
from gateway.http.asgi import read_body_within
from gateway.http.encodings import AT_ONCE, decoded, encoding
from tests.exchange.asgi import Arriving, asked

LIMIT = 1_000_000
WITHIN = 60.0
Compress = Callable[[bytes], bytes]


def bare(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


WAYS: list[tuple[str, Compress]] = [
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", bare),
    ("zstd", zstd.compress),
]
NAMED = pytest.mark.parametrize(
    ("name", "compress"), WAYS, ids=["gzip", "x-gzip", "zlib", "bare", "zstd"]
)
SIZES = (1, 1000, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, LIMIT - 1, LIMIT)


def text(size: int) -> bytes:
    return (b"".join(b"%d " % number for number in range(size // 4 + 1)))[:size]


@NAMED
async def test_each_encoding_gives_back_what_went_in(name: str, compress: Compress) -> None:
    """Of every size around the borders where the way of decoding changes."""
    for size in SIZES:
        plain = text(size)
        assert await decoded(compress(plain), name, LIMIT) == plain, size


@NAMED
async def test_one_byte_over_the_limit_is_too_large(name: str, compress: Compress) -> None:
    """The limit is that of plain bodies, and the message names its setting."""
    scope = asked(headers=[(b"content-encoding", name.encode())])
    with pytest.raises(BodyTooLarge, match=r"server\.max_body_mb"):
        await read_body_within(scope, Arriving(compress(text(LIMIT + 1))), LIMIT, WITHIN)


@NAMED
async def test_a_bomb_takes_no_more_than_the_limit(name: str, compress: Compress) -> None:
    """100 MB of zeros in at most 100 kB: no more than the limit of it is ever there."""
    bomb = compress(bytes(100_000_000))
    assert len(bomb) < 100_000
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLarge):
            await read_body_within(
                asked(headers=[(b"content-encoding", name.encode())]), Arriving(bomb), LIMIT, WITHIN
            )
        assert tracemalloc.get_traced_memory()[1] < 4 * LIMIT
    finally:
        tracemalloc.stop()


@NAMED
async def test_a_body_that_is_cut_is_an_error_at_every_byte(name: str, compress: Compress) -> None:
    """It is never taken for a shorter one."""
    whole = compress(b'{"model": "gpt-4o", "messages": []}')
    for end in range(len(whole)):
        with pytest.raises(InvalidRequest) as caught:
            await decoded(whole[:end], name, LIMIT)
        assert caught.value.code == "invalid_encoding"


@NAMED
async def test_what_follows_the_end_is_an_error(name: str, compress: Compress) -> None:
    """Nothing that was sent is dropped unread: not another member, not a byte."""
    for more in (b"x", compress(b"more")):
        with pytest.raises(InvalidRequest, match="something follows its end"):
            await decoded(compress(b"whole") + more, name, LIMIT)


@pytest.mark.parametrize("name", ["gzip", "deflate", "zstd"])
async def test_garbage_is_an_error(name: str) -> None:
    """And so is a plain body that says it is encoded."""
    for body in (b"", b"\x00", b"\xff" * 1000, b'{"model": "gpt-4o"}'):
        with pytest.raises(InvalidRequest, match="is not valid"):
            await decoded(body, name, LIMIT)


async def test_a_window_larger_than_decoders_must_have_is_refused() -> None:
    """A frame that asks for 64 MB of memory does not get it."""
    options: dict[int, int] = {
        zstd.CompressionParameter.window_log: 26,
        zstd.CompressionParameter.strategy: 9,
    }
    compressor = zstd.ZstdCompressor(options=options)
    frame = compressor.compress(text(1000)) + compressor.flush()
    with pytest.raises(InvalidRequest, match="memory"):
        await decoded(frame, "zstd", LIMIT)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b"", None),
        (b"identity", None),
        (b"GZIP", "gzip"),
        (b" zstd ", "zstd"),
        (b"identity, gzip", "gzip"),
    ],
)
def test_an_encoding_is_read_as_the_standard_says(value: bytes, name: str | None) -> None:
    """Whatever its case; identity is none."""
    assert encoding(value) == name


@pytest.mark.parametrize("value", [b"br", b"compress", b"gzip, gzip", b"\xff", b"aes128gcm"])
def test_another_encoding_is_refused_by_name(value: bytes) -> None:
    """With those that are read."""
    with pytest.raises(UnsupportedEncoding, match="gzip, deflate, zstd"):
        encoding(value)


async def test_forty_encodings_on_top_of_each_other_are_refused_unread() -> None:
    """In one header or in forty."""
    body = b"x"
    for _ in range(40):
        body = gzip.compress(body)
    for headers in (
        [(b"content-encoding", b", ".join([b"gzip"] * 40))],
        [(b"content-encoding", b"gzip")] * 40,
    ):
        with pytest.raises(UnsupportedEncoding):
            await read_body_within(asked(headers=headers), Arriving(body), LIMIT, WITHIN)
