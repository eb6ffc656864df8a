"""From a vendor's socket to the app's, by the short way of a stream that flows: with all between,
but for the engine. The app gets what it would have got by the long way.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from gateway.audit.record import Record
from gateway.audit.transcript import Transcript
from gateway.domain.events import Relayed
from gateway.http.exchange import Exchange
from gateway.http.openai import ChatCompletions
from gateway.http.reply import Reply
from tests.exchange.connected import App, connected, post, until
from tests.upstream import channels
from tests.upstream.conftest import TARGET
from tests.upstream.raw_peer import RawPeer, Relay, call, raw_peer, relay_to
from tests.upstream.test_onward import DONE, HEAD, chunked, event, last

CLOSE = post(b"", b"connection: close")


class Between:
    """What serves an app; ``onward`` counts the events that went the short way."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self.onward = 0
        self.transcript = Transcript(heard=True)

    async def __call__(self, exchange: Exchange) -> None:
        await exchange.body()
        record = Record(id="1", at=datetime.now(UTC), api="chat/completions")
        reply = Reply(exchange, ChatCompletions(), record, self.transcript)

        def counted(event: Relayed) -> bool:
            went = reply.onward(event)
            self.onward += went
            return went

        # As ``Generate`` does.
        asked = replace(call(stream=True), onward=None if exchange.waits else counted)
        events = self._relay.backend.attempt(TARGET, asked)
        task = asyncio.current_task()
        assert task is not None
        cancel = task.cancel

        def gone() -> None:
            cancel()

        exchange.watch(gone)
        try:
            await reply.answer(asked, events)
        finally:
            await events.aclose()


@asynccontextmanager
async def between(
    script: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[Between]:
    async with raw_peer(RawPeer(script=script)) as peer:
        channel = channels.channel(f"http://127.0.0.1:{peer.port}/v1", wait=5)
        async with relay_to(channel) as relay:
            yield Between(relay)


def body(answer: bytes) -> bytes:
    """What stands in the chunks of an answer; without its end where that is missing."""
    at, found = answer.index(b"\r\n\r\n") + 4, []
    while at < len(answer):
        begin = answer.index(b"\r\n", at) + 2
        end = begin + int(answer[at : begin - 2], 16)
        found.append(answer[begin:end])
        at = end + 2
    return b"".join(found)


@pytest.mark.parametrize("seed", range(6))
async def test_the_app_and_the_transcript_have_the_same_bytes_by_either_way(seed: int) -> None:
    """Of a stream that ends, and of one that breaks off behind what went onward."""
    chosen = random.Random(seed)
    few = ["é日本 ", "", "x" * 3000]
    words = [chosen.choice([*["a", "b c"] * 8, *few]) for _ in range(60)]
    pieces = [HEAD, *(chunked(event(word)) for word in words)]
    if seed % 3:
        pieces += [chunked(last()), chunked(DONE) + b"0\r\n\r\n"]

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.002)

    bodies = []
    for straight in (True, False):
        async with (
            between(script) as serve,
            connected(App(serve, straight=straight)) as client,
        ):
            await client.ask(CLOSE)
            bodies.append(body(await client.rest()))
        assert (serve.onward > 0) is straight
        assert b"".join(serve.transcript.answer) == bodies[-1]
    assert bodies[0] == bodies[1]
    assert (bodies[0].endswith(DONE)) is bool(seed % 3)
    told = [json.loads(line[6:]) for line in bodies[0].split(b"\n\n") if line[:7] == b"data: {"]
    said = [one["choices"][0]["delta"].get("content", "") for one in told if "choices" in one]
    assert "".join(said) == "".join(words)


async def test_a_slow_app_holds_up_the_vendor() -> None:
    """No more is kept for it than the sockets take; once it reads, it gets all."""
    count, size = 1500, 20_000
    written = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD)
        for number in range(count):
            writer.write(chunked(event(str(number % 10) * size)))
            await writer.drain()
            written += 1
            await asyncio.sleep(0.001 if number < 20 else 0)
        writer.write(chunked(last() + DONE) + b"0\r\n\r\n")
        await writer.drain()

    async with between(script) as serve, connected(App(serve, straight=True)) as client:
        await client.ask(CLOSE)
        before = -1
        while before < written or not written:
            before = written
            await asyncio.sleep(0.3)
        assert written * size < 24_000_000
        assert client.server.transport.get_write_buffer_size() < 600_000
        answer = body(await client.rest())
    assert serve.onward > 5
    assert answer.count(b'"content"') == count
    assert answer.endswith(DONE)


async def test_an_app_that_goes_away_ends_what_goes_onward() -> None:
    """The vendor's connection with it."""
    gone = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD)
        try:
            while not reader.at_eof():
                writer.write(chunked(event("on and on ")))
                await writer.drain()
                await asyncio.sleep(0.001)
        finally:
            gone.set()

    async with between(script) as serve, connected(App(serve, straight=True)) as client:
        await client.ask(post())
        await until(lambda: serve.onward > 20)
        client.writer.close()
        await asyncio.wait_for(gone.wait(), 10)
        heard = serve.onward
        await asyncio.sleep(0.02)
        assert serve.onward == heard
