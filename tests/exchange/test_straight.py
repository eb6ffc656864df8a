"""Exchanges with an app, on a real socket: by ASGI, and straight from the connection. What an app
sees is the same.
"""

from __future__ import annotations

import asyncio
import logging

import pytest

from gateway.errors import BodyUnread
from gateway.http.asgi import AsgiExchange
from gateway.http.exchange import ClientGone, Exchange, lines
from gateway.http.straight import StraightExchange
from tests.exchange.connected import KIND, App, connected, echo, post, until

BOTH = pytest.mark.parametrize("straight", [True, False], ids=["straight", "asgi"])


async def chunks(exchange: Exchange) -> None:
    await exchange.body()
    exchange.begin(200, KIND, b"one")
    exchange.go_on(b"two")
    exchange.end(b"three")


@BOTH
async def test_answers_are_the_same(straight: bool) -> None:
    """Head and body of a whole one, and of one in pieces, on one connection."""
    app = App(echo, straight=straight)
    async with connected(app) as client:
        await client.ask(post(b"said"))
        assert await client.until(b"said") == (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 4\r\n\r\nsaid"
        )
        app._serve = chunks
        await client.ask(post())
        assert await client.until(b"0\r\n\r\n") == (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n"
            b"3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n"
        )
    assert app.ways == [StraightExchange if straight else AsgiExchange] * 2


@BOTH
async def test_a_body_comes_in_any_pieces(straight: bool) -> None:
    """By length or in chunks, byte by byte or 300 kB at once."""
    body = b"0123456789" * 30_000
    head, _, _ = post(b"").partition(b"content-length")
    async with connected(App(echo, straight=straight)) as client:
        for data in (
            [post(body)],
            [bytes([one]) for one in post(b"a few")],
            [head + b"transfer-encoding: chunked\r\n\r\n", b"3\r\nabc\r\n", b"1\r\nd\r\n0\r\n\r\n"],
        ):
            await client.ask(*data)
        await client.ask(post(b"last", b"connection: close"))
        answers = (await client.rest()).split(b"HTTP/1.1 200 OK\r\n")[1:]
    said = [answer.partition(b"\r\n\r\n")[2] for answer in answers]
    assert said == [body, b"a few", b"abcd", b"last"]


@BOTH
async def test_requests_that_come_together_are_answered_in_their_order(straight: bool) -> None:
    """The slow one first, none while another is answered, and each with its own body."""
    under_way = 0

    async def slowly(exchange: Exchange) -> None:
        nonlocal under_way
        body = await exchange.body()
        under_way += 1
        assert under_way == 1
        await asyncio.sleep(0.1 if body == b"first" else 0)
        under_way -= 1
        exchange.whole(200, KIND, body)

    async with connected(App(slowly, straight=straight)) as client:
        other = post(b"other", b"origin: http://page", b"connection: close")
        await client.ask(post(b"first") + post(b"second") + post(b"third") + other)
        answers = (await client.rest()).split(b"HTTP/1.1 200 OK\r\n")[1:]
    said = [answer.partition(b"\r\n\r\n")[2] for answer in answers]
    assert said == [b"first", b"second", b"third", b"other"]


@pytest.mark.parametrize(
    ("straight", "more"),
    # By ASGI uvicorn tells it to the last of several alone.
    [(True, b""), (True, post(b"behind it")), (False, b"")],
    ids=["straight", "straight, with another behind it", "asgi"],
)
async def test_who_answers_is_told_that_the_app_goes_away(straight: bool, more: bytes) -> None:
    """In the middle of an answer, once; what is sent to it then is lost without a word."""
    gone = asyncio.Event()
    told: list[bytes] = []

    def leave() -> None:
        told.append(b"gone")
        gone.set()

    async def stream(exchange: Exchange) -> None:
        told.append(await exchange.body())
        exchange.watch(leave)
        exchange.begin(200, KIND, b"one")
        # Of what comes behind it nothing is read, so that it is seen where something is sent.
        while not gone.is_set():
            exchange.go_on(b"two")
            await exchange.drain()
            await asyncio.sleep(0.01)
        exchange.go_on(b"two")
        exchange.end(b"")
        exchange.watch(None)

    async with connected(App(stream, straight=straight)) as client:
        await client.ask(post(b"asked") + more)
        await client.until(b"one")
        client.writer.transport.abort()
        await asyncio.wait_for(gone.wait(), 10)
    assert told == [b"asked", b"gone"]


@BOTH
async def test_half_a_body_is_none(straight: bool) -> None:
    """Its app is gone: nobody is answered, and the next connection is none the worse."""
    raised: list[type[Exception]] = []

    async def reads(exchange: Exchange) -> None:
        try:
            await exchange.body()
        except ClientGone as error:
            raised.append(type(error))

    async with connected(App(reads, straight=straight)) as client:
        await client.ask(post(b"0123456789")[:-5])
        await asyncio.sleep(0.05)
        client.writer.transport.abort()
        await until(lambda: bool(raised))
    assert raised == [ClientGone]


@BOTH
async def test_a_slow_reader_is_waited_for(straight: bool) -> None:
    """No more is kept for it than the transport takes at once; then the answer goes on."""
    sent = 0

    async def pours(exchange: Exchange) -> None:
        nonlocal sent
        await exchange.body()
        exchange.begin(200, KIND, b"")
        for _ in range(400):
            exchange.go_on(bytes(100_000))
            sent += 100_000
            if exchange.full:
                await exchange.drain()
        exchange.end(b"end")

    async with connected(App(pours, straight=straight)) as client:
        await client.ask(post(b"", b"connection: close"))
        await asyncio.sleep(0.3)
        assert sent < 20_000_000
        assert client.server.transport.get_write_buffer_size() < 300_000
        answer = await client.rest()
    assert sent == 40_000_000
    assert answer.endswith(b"3\r\nend\r\n0\r\n\r\n")
    assert answer.count(bytes(100_000)) == 400


async def test_an_old_client_gets_no_chunks() -> None:
    """HTTP/1.0: the end of the connection is that of the answer."""
    async with connected(App(chunks, straight=True)) as client:
        await client.ask(post(b"", b"connection: keep-alive", version=b"1.0"))
        assert await client.rest() == (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\nonetwothree"
        )


@BOTH
async def test_who_asks_before_sending_is_told(straight: bool) -> None:
    """To go on, or that it need not: then nothing of the body is waited for."""

    async def answers(exchange: Exchange) -> None:
        try:
            await echo(exchange)
        except BodyUnread:
            exchange.whole(413, lines([(b"connection", b"close")]), b"")

    async with connected(App(answers, straight=straight)) as client:
        head, _, body = post(b"said", b"expect: 100-continue").partition(b"\r\n\r\n")
        await client.ask(head + b"\r\n\r\n")
        assert await client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.ask(body)
        assert (await client.until(b"said")).startswith(b"HTTP/1.1 200 OK\r\n")
        large = post(b"", b"expect: 100-continue").replace(b"length: 0", b"length: 1000001")
        await client.ask(large)
        assert (await client.rest()).startswith(b"HTTP/1.1 413 ")


async def test_an_answer_that_is_left_ends_with_its_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Within its body, so that the app sees it; and that is nothing for the log."""

    async def leaves(exchange: Exchange) -> None:
        await exchange.body()
        exchange.begin(200, KIND, b"one")

    async with connected(App(leaves, straight=True)) as client:
        with caplog.at_level(logging.DEBUG, "uvicorn.error"):
            await client.ask(post())
            assert (await client.rest()).endswith(b"\r\n\r\n3\r\none\r\n")
    assert caplog.records == []


@pytest.mark.parametrize(
    "request_",
    [
        post(b"said", path=b"/x?q=1"),
        post(b"said", path=b"/%78"),
        post(b"said", b"origin: http://page.example"),
        post(b"said").replace(b"POST", b"PUT"),
        post(b"said", b"upgrade: h2c", b"connection: upgrade"),
    ],
    ids=["a query", "another spelling", "a page", "another method", "an upgrade"],
)
async def test_what_is_not_plain_goes_by_asgi(request_: bytes) -> None:
    app = App(echo, straight=True)
    async with connected(app) as client:
        await client.ask(request_)
        assert (await client.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
    assert app.ways == [AsgiExchange]


@BOTH
async def test_a_server_that_stops_lets_an_answer_come_to_its_end(straight: bool) -> None:
    """It says that it is the last."""
    asked, stopped = asyncio.Event(), asyncio.Event()

    async def waits(exchange: Exchange) -> None:
        await exchange.body()
        asked.set()
        await stopped.wait()
        exchange.whole(200, KIND, b"late")

    async with connected(App(waits, straight=straight)) as client:
        await client.ask(post())
        await asked.wait()
        client.server.shutdown()
        stopped.set()
        answer = await client.rest()
    assert b"\r\nconnection: close\r\n" in answer
    assert answer.endswith(b"late")


@BOTH
async def test_a_connection_is_kept_for_its_time_after_the_last_answer(straight: bool) -> None:
    """Not after the first, and not while one is awaited."""

    async def slowly(exchange: Exchange) -> None:
        await asyncio.sleep(float(await exchange.body()))
        exchange.whole(200, KIND, b"said")

    loop = asyncio.get_running_loop()
    async with connected(App(slowly, straight=straight), keep_alive=1) as client:
        for seconds in (b"0", b"1.3", b"0"):
            await asyncio.sleep(0.2)
            began = loop.time()
            await client.ask(post(seconds))
            await client.until(b"said")
        assert await client.rest() == b""
        assert loop.time() - began > 0.95


def test_no_value_of_a_header_is_more_than_that() -> None:
    """Whatever a name in the configuration or a vendor's word holds."""
    for value in (b"a\r\nset-cookie: b", b"a\nb", b"\x00", b"a\x7f"):
        with pytest.raises(ValueError, match="x-y cannot be sent"):
            lines([(b"x-y", value)])
    assert lines([(b"x-y", b"a\tb \xe9")]) == b"x-y: a\tb \xe9\r\n"
