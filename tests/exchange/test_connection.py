"""What a connection may cost before anybody knows who has made it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from gateway.errors import BodyLate
from gateway.http import connection
from gateway.http.asgi import read_body_within
from gateway.http.connection import MOST_HEAD, Connection
from tests.exchange.asgi import asked

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
START = b"POST /x HTTP/1.1\r\nhost: here\r\n"


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    await asyncio.sleep(0.3)
    body = str(size).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def connected() -> AsyncIterator[Streams]:
    """A client's end, on a real socket."""
    config, state = Config(_app, log_config=None, lifespan="off", http=Connection), ServerState()
    config.load()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(config, state, {}), "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        yield reader, writer
        writer.close()


async def answered(streams: Streams, *sent: bytes) -> bytes:
    """All that comes until the connection ends; what is sent when it has is of no account."""
    reader, writer = streams
    try:
        for data in sent:
            writer.write(data)
            await writer.drain()
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        return await asyncio.wait_for(reader.read(), 10)


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"GET /", b"x" * 1000),
        (b"GET / HTTP/1.1\r\nhost: here\r\nx: ", b"x" * 1000),
        (b"GET / HTTP/1.1\r\nhost: here\r\n", b"x: " + b"x" * 100 + b"\r\n"),
        (START + b"transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nx: ", b"x" * 1000),
    ],
)
async def test_a_head_that_does_not_end_is_cut_off(start: bytes, more: bytes) -> None:
    """In its first line, in one header, in many, in a trailer."""
    async with connected() as (reader, writer):
        writer.write(start)
        sent = 0
        while sent < 40 * MOST_HEAD and not reader.at_eof():
            writer.write(more)
            sent += len(more)
            try:
                await writer.drain()
            except ConnectionError:
                break
            await asyncio.sleep(0)
        assert sent < 40 * MOST_HEAD


async def test_a_large_head_is_told_so() -> None:
    header = b"x: " + b"x" * (MOST_HEAD + 1) + b"\r\n"
    async with connected() as streams:
        answer = await answered(streams, START + header + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b"The head of a request may have 65536 bytes.")


async def test_what_is_large_and_no_head_comes_through() -> None:
    """A header of 60 kB, and bodies in pieces of any size, one request behind the other."""
    header = b"x: " + b"x" * 60_000 + b"\r\n"
    body = b"b" * 500_000
    length = b"content-length: %d\r\n" % len(body)
    pieces = b"".join(b"1\r\nx\r\n" for _ in range(30_000)) + b"0\r\n\r\n"
    async with connected() as streams:
        answer = await answered(
            streams,
            START + header + length + b"\r\n" + body,
            START + b"transfer-encoding: chunked\r\n\r\n" + pieces,
            START + b"connection: close\r\ncontent-length: 1\r\n\r\nx",
        )
    assert answer.count(b"HTTP/1.1 200 ") == 3
    assert answer.split(b"\r\n\r\n")[1].startswith(b"500000")


async def test_a_head_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor half of the next one; but nobody is cut off who waits for an answer."""
    monkeypatch.setattr(connection, "HEAD_WITHIN", 0.2)
    async with connected() as streams:
        assert await answered(streams) == b""
    async with connected() as streams:
        whole = START + b"content-length: 1\r\n\r\nx"
        answer = await answered(streams, whole + START)
    assert answer.count(b"HTTP/1.1 200 ") == 1


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async def receive() -> dict[str, object]:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"x", "more_body": True}

    with pytest.raises(BodyLate, match=r"within 0\.1 s"):
        await read_body_within(asked(), receive, 1000, 0.1)
