"""Long requests, slow and early peers, long answers: what is held back, and what is never lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import cast

import pytest
import uvloop

from gateway.domain.call import Api
from gateway.domain.events import Failed, FailureKind, Relayed
from gateway.upstream import channel as channel_file
from gateway.upstream.connection import HIGH_WATER, SLICE, Connection
from tests.upstream import channels
from tests.upstream.conftest import TARGET
from tests.upstream.raw_peer import (
    RawPeer,
    Relay,
    call,
    raw_peer,
    read_request,
    relay_to,
    reset,
)

LONG = "x" * 20_000_000
BODY = b'{"model":"m","choices":[{"message":{"content":"vendor answer"}}]}'
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
TOO_LARGE = b"HTTP/1.1 413 X\r\nContent-Length: 0\r\n\r\n"
REFUSED = b"HTTP/1.1 401 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])

Loop = Callable[[], asyncio.AbstractEventLoop]


def channel_at(peer: RawPeer, *, wait: float = 1) -> channel_file.Channel:
    return channels.channel(f"http://127.0.0.1:{peer.port}/v1", wait=wait)


def only_connection(relay: Relay) -> Connection:
    return next(iter(relay.backend.pool._busy))


async def test_a_long_request_goes_out_as_the_peer_reads_it() -> None:
    """Of 20 MB little waits in the transport at any time, and all of it arrives."""
    held: list[int] = []

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen = 0
        while seen < len(LONG):
            data = await reader.read(1 << 16)
            seen += len(data)
            transport = only_connection(relay)._transport
            assert transport is not None
            held.append(transport.get_write_buffer_size())
            await asyncio.sleep(0.0005)
        peer.requests.append((1, b"%d" % seen))
        writer.write(GOOD)
        await writer.drain()
        await reader.read()

    peer = RawPeer(script=slowly)
    async with raw_peer(peer), relay_to(channel_at(peer)) as relay:
        assert "vendor answer" in str(await relay.ask(LONG))
    assert max(held) <= SLICE
    assert len(peer.requests) == 1


@LOOPS
@pytest.mark.parametrize("size", [10_000, 300_000, SLICE, 2_000_000])
def test_where_the_model_is_alone_a_request_goes_out_in_pieces(loop: Loop, size: int) -> None:
    """What arrives is what would have been sent in one, twice over one connection."""
    peer = RawPeer(answer=GOOD)
    text = "0123456789" * (size // 10)

    async def twice() -> None:
        async with raw_peer(peer), relay_to(channel_at(peer, wait=9)) as relay:
            for alone in (True, False, True):
                assert "vendor answer" in str(await relay.ask(text, alone=alone))

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(twice())
    assert {number for number, _ in peer.requests} == {1}
    assert len({request for _, request in peer.requests}) == 1
    body = peer.requests[0][1].partition(b"\r\n\r\n")[2]
    assert body == call(text).body.replace(b'"gpt-4o"', b'"gpt-4o-mini"')


async def test_the_answer_is_waited_for_from_when_the_request_is_out() -> None:
    """Sending takes longer than an answer may, and is no failure while the peer goes on reading."""

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen = 0
        while seen < len(LONG):
            seen += len(await reader.read(1 << 16))
            await asyncio.sleep(0.004)
        writer.write(GOOD)
        await writer.drain()
        await reader.read()

    peer = RawPeer(script=slowly)
    # With small buffers it is the reader who sets the pace, not the kernel.
    async with raw_peer(peer, receive=1 << 16), relay_to(channel_at(peer, wait=0.6)) as relay:
        began = time.monotonic()
        assert "vendor answer" in str(await relay.ask(LONG))
        assert time.monotonic() - began > 0.9


async def test_a_peer_that_stops_reading() -> None:
    """It is waited for as long as for an answer that stops, and not until the deadline."""

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        await asyncio.sleep(60)

    peer = RawPeer(script=never)
    async with raw_peer(peer), relay_to(channel_at(peer, wait=0.3)) as relay:
        failed = await relay.ask(LONG)
    assert isinstance(failed, Failed)
    assert failed.kind is FailureKind.FIRST_TOKEN_TIMEOUT
    assert "stopped reading" in failed.message


async def test_cancelling_while_a_request_goes_out() -> None:
    """The connection is gone at once, and what was not sent is not kept."""
    begun, over = asyncio.Event(), asyncio.Event()

    async def watched(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        begun.set()
        await asyncio.sleep(0.2)
        with suppress(ConnectionError):
            while await reader.read(1 << 20):
                pass
        over.set()

    peer = RawPeer(script=watched)
    async with raw_peer(peer), relay_to(channel_at(peer, wait=9)) as relay:
        asking = asyncio.create_task(relay.ask(LONG))
        await begun.wait()
        connection = only_connection(relay)
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        await asyncio.sleep(0)
        assert not connection.open
        assert connection.out
        async with asyncio.timeout(30):
            await over.wait()


@LOOPS
@pytest.mark.parametrize("then", ["reads on", "closes", "resets", "resets at once"])
@pytest.mark.parametrize(
    ("early", "kind"),
    [(TOO_LARGE, FailureKind.REQUEST_FAULT), (REFUSED, FailureKind.UNAUTHORIZED)],
    ids=["413", "401"],
)
def test_an_answer_that_comes_before_the_request_is_out(
    early: bytes, kind: FailureKind, then: str, loop: object
) -> None:
    """It counts, whatever the peer does after it, and its connection is not used again."""

    async def eager(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if peer.connections > 1:
            await read_request(reader)
            writer.write(GOOD)
            await writer.drain()
            return
        await reader.readuntil(b"\r\n\r\n")
        writer.write(early)
        await writer.drain()
        if then == "reads on":
            while await reader.read(1 << 20):
                pass
        elif then == "resets at once":
            reset(writer)
        elif then == "resets":
            await asyncio.sleep(0.05)
            reset(writer)

    peer = RawPeer(script=eager)

    async def both() -> None:
        async with raw_peer(peer), relay_to(channel_at(peer)) as relay:
            failed = await relay.ask(LONG)
            assert isinstance(failed, Failed)
            assert failed.kind is kind
            assert "vendor answer" in str(await relay.ask())
            assert peer.connections == 2

    with asyncio.Runner(loop_factory=loop) as runner:  # type: ignore[arg-type]
        runner.run(both())


@LOOPS
def test_an_answer_that_waits_behind_a_reset_is_read(loop: object) -> None:
    """A peer that turns connections away answers and resets before it is asked: the write fails,
    and the answer is there all the same.
    """

    async def full(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 503 X\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        reset(writer)

    peer = RawPeer(script=full)

    async def late() -> None:
        async with raw_peer(peer), relay_to(channel_at(peer)) as relay:
            pool = relay.backend.pool
            channel = channel_at(peer)
            made = await pool.take(channel, lambda: True, 1)
            # Its answer and its reset arrive while this loop has not looked.
            transport = cast(asyncio.Transport, made._transport)
            transport.pause_reading()
            await asyncio.sleep(0.05)
            made.send(channel.heads[Api.CHAT][0], b"{}")
            assert await made.head(asyncio.get_running_loop().time() + 1) == 503
            pool.give_back(made, finished=True)
            assert not made.open

    with asyncio.Runner(loop_factory=loop) as runner:  # type: ignore[arg-type]
        runner.run(late())


async def test_an_early_answer_that_is_no_refusal_does_not_stop_the_request() -> None:
    """A peer may answer while it reads: it is sent all of the request."""
    whole = asyncio.Event()

    async def eager(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        writer.write(GOOD.partition(b"{")[0])
        await writer.drain()
        await reader.readexactly(length)
        whole.set()
        writer.write(BODY)
        await writer.drain()
        await reader.read()

    peer = RawPeer(script=eager)
    async with raw_peer(peer), relay_to(channel_at(peer)) as relay:
        assert "vendor answer" in str(await relay.ask("x" * 9_000_000))
        assert whole.is_set()


async def test_an_answer_of_100_mb_is_not_held_in_memory() -> None:
    """An app that reads slowly holds the vendor back: hardly more is sent than it has read."""
    event = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % (b"x" * 10_000)
    piece = (b"%x\r\n%b\r\n" % (len(event), event)) * 10
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await read_request(reader)
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        while sent < 100_000_000:
            writer.write(piece)
            await writer.drain()
            sent += len(piece)
        done = b"data: [DONE]\n\n"
        writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(done), done))
        await writer.drain()

    peer = RawPeer(script=endless)
    read = most_held = most_ahead = 0
    async with (
        raw_peer(peer),
        relay_to(channel_at(peer, wait=5)) as relay,
        aclosing(relay.backend.attempt(TARGET, call(stream=True))) as events,
    ):
        async for batch in events:
            for event_ in batch:
                if isinstance(event_, Relayed):
                    read += len(event_.data)
                    if read > 10_000_000 and not most_held:
                        await asyncio.sleep(0.2)
                    for connection in relay.backend.pool._busy:
                        most_held = max(most_held, connection._answer.buffered)
                    most_ahead = max(most_ahead, sent - read)
    assert read > 100_000_000
    assert most_held <= HIGH_WATER + (256 << 10)
    # Both kernels' buffers are in this.
    assert most_ahead < 20_000_000
