"""How an answer is framed: byte by byte and all at once, what is accepted and what is not."""

from __future__ import annotations

import asyncio

import pytest

from gateway.upstream.connection import Connection
from gateway.upstream.fault import AttemptFault

BODY = b"the body"
LENGTH = b"Content-Length: 8"
CHUNKED = b"Transfer-Encoding: chunked"
CHUNKS = b"3\r\nthe\r\n5\r\n body\r\n0\r\n\r\n"


def answer(*fields: bytes, body: bytes = BODY, version: bytes = b"HTTP/1.1") -> bytes:
    return b"\r\n".join([version + b" 200 OK", *fields, b"", body])


class Wire(asyncio.Transport):
    """A transport that only notes whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    def write(self, data: object) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass


async def read(data: bytes, size: int, *, then_closed: bool = False) -> tuple[bytes, bool]:
    """The body, and whether the connection may be used again. ``size`` is that of the pieces."""
    loop = asyncio.get_running_loop()
    wire, connection = Wire(), Connection("vendor", 0, loop)
    connection.connection_made(wire)
    connection.send(b"", b"")
    for at in range(0, len(data), size):
        if wire.closed:
            break
        connection.data_received(data[at : at + size])
    if wire.closed or then_closed:
        connection.connection_lost(None)
    until = loop.time() + 0.05
    await connection.head(until)
    body = b""
    while piece := await connection.read(until):
        body += piece
    return body, connection.clean


ACCEPTED = [
    (answer(LENGTH), True),
    (answer(CHUNKED, body=CHUNKS), True),
    (answer(b"transfer-encoding: Chunked", body=CHUNKS), True),
    (answer(CHUNKED, body=b"8;name=value\r\nthe body\r\n0\r\n\r\n"), True),
    (answer(CHUNKED, body=b"8\r\nthe body\r\n0\r\nX-Trailer: 1\r\n\r\n"), True),
    (answer(LENGTH, b"Connection: close"), False),
    (answer(LENGTH, version=b"HTTP/1.0"), False),
    (answer(LENGTH, body=BODY + answer(LENGTH)), False),
    (b"HTTP/1.1 100 Continue\r\n\r\n" + answer(LENGTH), True),
    (b"HTTP/1.1 103 Early Hints\r\nContent-Length: 99\r\n\r\n" + answer(LENGTH), True),
]

REFUSED = [
    answer(LENGTH, CHUNKED, body=CHUNKS),
    answer(CHUNKED, LENGTH, body=CHUNKS),
    answer(LENGTH, LENGTH),
    answer(LENGTH, b"Content-Length: 7"),
    answer(b"Content-Length: 8, 8"),
    answer(b"Content-Length: +8"),
    answer(b"Content-Length: -8"),
    answer(b"Content-Length:"),
    answer(b"Content-Length: 0x8"),
    answer(b"Content-Length : 8"),
    answer(CHUNKED, CHUNKED, body=CHUNKS),
    answer(b"Transfer-Encoding: gzip, chunked", body=CHUNKS),
    answer(b"Transfer-Encoding: chunked, identity", body=CHUNKS),
    answer(b"Transfer-Encoding: identity"),
    answer(b"Transfer-Encoding: xchunked", body=CHUNKS),
    answer(CHUNKED, body=CHUNKS, version=b"HTTP/1.0"),
    answer(LENGTH, version=b"HTTP/2.0"),
    answer(LENGTH, version=b"HTTP/0.9"),
    answer(LENGTH, b"X: a\r\n folded"),
    answer(LENGTH, b"X: a\0b"),
    answer(LENGTH, b"X: a\rContent-Length: 1"),
    answer(LENGTH).replace(b"\r\n", b"\n"),
    answer(CHUNKED, body=b"8\nthe body\r\n0\r\n\r\n"),
    answer(CHUNKED, body=b"8\r\nthe body0\r\n\r\n"),
    answer(CHUNKED, body=b"fffffffffffffffff\r\nthe body\r\n0\r\n\r\n"),
    answer(CHUNKED, body=b"8\r\nthe body\r\n0\r\nContent-Length: 8\r\n\r\n"),
    answer(LENGTH, *[b"a: b"] * 300),
    answer(LENGTH, b"X: " + b"a" * 70_000),
    answer(CHUNKED, body=b"8\r\nthe body\r\n0\r\nX: " + b"a" * 70_000 + b"\r\n\r\n"),
    b"GET / HTTP/1.1\r\n\r\n",
]


@pytest.mark.parametrize("size", [1, 7, 1_000_000])
@pytest.mark.parametrize(("data", "again"), ACCEPTED)
async def test_what_is_accepted(data: bytes, again: bool, size: int) -> None:
    """The body comes out whole, whatever pieces it comes in."""
    body, clean = await read(data, size)
    assert body == BODY
    assert clean is again


@pytest.mark.parametrize("size", [1, 7, 1_000_000])
@pytest.mark.parametrize("data", REFUSED)
async def test_what_is_refused(data: bytes, size: int) -> None:
    """No ambiguity about where an answer ends, and no endless head, is waited for."""
    with pytest.raises(AttemptFault) as caught:
        await read(data, size)
    assert caught.value.kind == "malformed"


async def test_a_body_that_ends_too_early_is_truncated() -> None:
    """A close within a counted or chunked body is no end of it."""
    for data in (answer(b"Content-Length: 9"), answer(CHUNKED, body=b"8\r\nthe body\r\n")):
        with pytest.raises(AttemptFault) as caught:
            await read(data, 100, then_closed=True)
        assert caught.value.kind == "truncated"
