"""Bodies that are received into one piece of memory: on real sockets, by both event loops."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Awaitable, Callable

import pytest
import uvloop

from gateway.errors import BodyTooLarge
from gateway.http.exchange import ClientGone, Exchange, lines
from gateway.http.large import LARGE, STEP, Large
from tests.exchange.connected import KIND, LIMIT, App, Client, connected, echo, post, until

LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
Loop = Callable[[], asyncio.AbstractEventLoop]
OK = b"HTTP/1.1 200 OK\r\n"


def run(loop: Loop, test: Awaitable[None]) -> None:
    async def main() -> None:
        await test

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())


def written(size: int) -> bytes:
    """A body of which no two places look alike."""
    return b"".join(b"%08x" % at for at in range(size // 8 + 1))[:size]


async def answer(client: Client) -> bytes:
    """The body of the next answer."""
    head = await client.until(b"\r\n\r\n")
    assert head.startswith(OK), head
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return await asyncio.wait_for(client.reader.readexactly(length), 10)


@LOOPS
@pytest.mark.parametrize("size", [LARGE, LARGE + 1, 65_536, 300_000, STEP + 1, LIMIT])
@pytest.mark.parametrize("piece", [997, LARGE - 1, 65_537, 4_000_000])
def test_a_large_body_comes_in_any_pieces(loop: Loop, size: int, piece: int) -> None:
    """Two in a row, a small request right behind each in the same write, all on one connection."""
    app = App(echo, straight=True)

    async def test() -> None:
        async with connected(app) as client:
            sent = post(written(size)) + post(b"small")
            sent += post(written(size)[::-1]) + post(b"last", b"connection: close")
            pieces = [sent[at : at + piece] for at in range(0, len(sent), piece)]
            sending = asyncio.create_task(client.ask(*pieces))
            assert await answer(client) == written(size)
            assert await answer(client) == b"small"
            assert await answer(client) == written(size)[::-1]
            assert await answer(client) == b"last"
            assert await client.rest() == b""
            await sending

    run(loop, test())


@LOOPS
@pytest.mark.parametrize("came", [0, 1, 20_000, 299_999])
def test_a_large_body_that_breaks_off_is_none(loop: Loop, came: int) -> None:
    """Whether the app closes its end or is cut off; nobody is answered."""
    raised: list[bool] = []

    async def reads(exchange: Exchange) -> None:
        try:
            await exchange.body()
        except ClientGone:
            raised.append(True)

    async def test(abort: bool) -> None:
        async with connected(App(reads, straight=True)) as client:
            request = post(written(300_000))
            await client.ask(request[: len(request) - 300_000 + came])
            await asyncio.sleep(0.05)
            if abort:
                client.writer.transport.abort()
            else:
                client.writer.write_eof()
                assert await client.rest() == b""
            await until(lambda: bool(raised))

    run(loop, test(abort=True))
    run(loop, test(abort=False))
    assert raised == [True, True]


@LOOPS
def test_who_asks_before_sending_much_is_told(loop: Loop) -> None:
    async def test() -> None:
        async with connected(App(echo, straight=True)) as client:
            head, end, body = post(written(300_000), b"expect: 100-continue").partition(b"\r\n\r\n")
            await client.ask(head + end)
            assert await client.until(end) == b"HTTP/1.1 100 Continue\r\n\r\n"
            await client.ask(body)
            assert await answer(client) == body
            await client.ask(post(b"next"))
            assert await answer(client) == b"next"

    run(loop, test())


@LOOPS
def test_an_old_client_may_send_much(loop: Loop) -> None:
    """HTTP/1.0: the connection ends with the answer."""

    async def test() -> None:
        async with connected(App(echo, straight=True)) as client:
            await client.ask(post(written(300_000), version=b"1.0"))
            head, _, body = (await client.rest()).partition(b"\r\n\r\n")
            assert b"\r\nconnection: close" in head
            assert body == written(300_000)

    run(loop, test())


@LOOPS
def test_what_is_refused_by_its_head_is_thrown_away(loop: Loop) -> None:
    """While it comes; the connection goes on behind it."""

    async def refuses(exchange: Exchange) -> None:
        refused = exchange.head.first(b"x-refused") is not None
        exchange.whole(200, KIND, b"no" if refused else await exchange.body())

    async def test() -> None:
        async with connected(App(refuses, straight=True)) as client:
            request = post(written(LIMIT), b"x-refused: 1")
            await client.ask(request[:30_000])
            assert await answer(client) == b"no"
            await client.ask(request[30_000:] + post(written(20_000)))
            assert await answer(client) == written(20_000)

    run(loop, test())


@LOOPS
def test_a_server_that_stops_lets_a_large_body_come_to_its_end(loop: Loop) -> None:
    async def test() -> None:
        async with connected(App(echo, straight=True)) as client:
            request = post(written(300_000))
            await client.ask(request[:100_000])
            await asyncio.sleep(0.05)
            client.server.shutdown()
            await client.ask(request[100_000:])
            head, _, body = (await client.rest()).partition(b"\r\n\r\n")
            assert b"\r\nconnection: close" in head
            assert body == written(300_000)

    run(loop, test())


@LOOPS
def test_a_connection_is_not_idle_while_a_large_body_comes(loop: Loop) -> None:
    """After an answer on it, for longer than idle ones are kept."""

    async def test() -> None:
        async with connected(App(echo, straight=True), keep_alive=1) as client:
            await client.ask(post(b"first"))
            assert await answer(client) == b"first"
            request = post(written(300_000))
            for at in range(0, len(request), 60_000):
                await client.ask(request[at : at + 60_000])
                await asyncio.sleep(0.3)
            assert await answer(client) == written(300_000)

    run(loop, test())


@LOOPS
def test_what_is_too_large_is_told_so(loop: Loop) -> None:
    async def tells(exchange: Exchange) -> None:
        try:
            await echo(exchange)
        except BodyTooLarge:
            exchange.whole(413, lines([(b"connection", b"close")]), b"")

    async def test() -> None:
        async with connected(App(tells, straight=True)) as client:
            await client.ask(post(bytes(LIMIT + 1)))
            assert (await client.rest()).startswith(b"HTTP/1.1 413 ")

    run(loop, test())


def test_a_length_that_chunks_contradict_is_no_request() -> None:
    """What one server takes for a body, another might take for a request."""

    async def test() -> None:
        async with connected(App(echo, straight=True)) as client:
            request = post(written(20_000), b"transfer-encoding: chunked")
            await client.ask(request.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
            assert (await client.rest()).startswith(b"HTTP/1.1 400 ")

    run(uvloop.new_event_loop, test())


def test_to_announce_much_takes_no_memory() -> None:
    """By the head nothing, and by what comes no more than a step, or twice of what came."""
    tracemalloc.start()
    try:
        large = Large(20_000_000, [bytes(100)])
        assert tracemalloc.get_traced_memory()[0] < 10_000
        came = 100
        while large.left:
            room = len(large.room())
            assert tracemalloc.get_traced_memory()[0] < max(STEP, 2 * came) + 10_000
            came += room
            assert large.came(room) is (came == 20_000_000)
        tracemalloc.reset_peak()
        assert len(large.value()) == 20_000_000
        # And it is handed on without a copy.
        assert tracemalloc.get_traced_memory()[1] < 20_010_000
    finally:
        tracemalloc.stop()


def test_a_body_is_right_while_somebody_looks_into_it() -> None:
    large = Large(20_000, [b"12"])
    room = large.room()
    room[:] = written(19_998)
    assert large.came(19_998)
    assert large.value() == b"12" + written(19_998)
    assert room == written(19_998)


@LOOPS
def test_what_came_of_a_body_that_broke_off_is_let_go(loop: Loop) -> None:
    """Though somebody still has the exchange."""
    gone: list[Exchange] = []

    async def reads(exchange: Exchange) -> None:
        try:
            await exchange.body()
        except ClientGone:
            gone.append(exchange)

    async def test() -> None:
        async with connected(App(reads, straight=True)) as client:
            sent = post(written(400_000))[:-100_000]
            before = tracemalloc.get_traced_memory()[0]
            await client.ask(sent)
            await until(lambda: tracemalloc.get_traced_memory()[0] > before + 400_000)
            client.writer.transport.abort()
            await until(lambda: bool(gone))
            await until(lambda: tracemalloc.get_traced_memory()[0] < before + 100_000)

    tracemalloc.start()
    try:
        run(loop, test())
    finally:
        tracemalloc.stop()
