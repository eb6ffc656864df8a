"""The short way of a stream that flows, on a real socket: it says what the long way says."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import aclosing
from math import inf

import pytest
from msgspec.structs import replace

from gateway.domain.events import Event, Failed, FailureKind, Finished, Relayed
from tests.upstream import channels
from tests.upstream.conftest import TARGET
from tests.upstream.raw_peer import RawPeer, Relay, call, raw_peer, relay_to
from tests.waiting import PATIENCE

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
DONE = b"data: [DONE]\n\n"
IDLE = 1.2
"""Seconds that a channel waits for the next piece, where a test is about that."""


def event(text: str, **more: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    chunk = {"id": "c", "created": 1, "model": "v", "choices": [choice], **more}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def last() -> bytes:
    choice = {"index": 0, "delta": {}, "finish_reason": "stop"}
    return b"data: " + json.dumps({"model": "v", "choices": [choice]}).encode() + b"\n\n"


def spoken(pieces: list[bytes], pause: float = 0.0) -> RawPeer:
    """A peer that writes these one by one, then closes."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            # Twice: once for the loop's turn in which it is read, once for who waits for it.
            await asyncio.sleep(pause)
            await asyncio.sleep(0)
        writer.close()

    return RawPeer(script=script)


class App:
    """Hears the events of an answer; those that go ``onward`` as they come, until it is full."""

    def __init__(self, takes: float = inf) -> None:
        self.heard: list[Event] = []
        self.onward_events = 0
        self._takes = takes

    def onward(self, event: Relayed) -> bool:
        if self.onward_events >= self._takes:
            return False
        self.heard.append(event)
        self.onward_events += 1
        return True

    async def listen(self, relay: Relay, *, onward: bool) -> list[Event]:
        asked = replace(call(stream=True), onward=self.onward if onward else None)
        async with aclosing(relay.backend.attempt(TARGET, asked)) as batches:
            async for batch in batches:
                self.heard += batch
        return self.heard


def joined(events: list[Event]) -> tuple[bytes, str, int, list[Event]]:
    """What was relayed, put together, and all other events."""
    relayed = [event for event in events if isinstance(event, Relayed)]
    return (
        b"".join(event.data for event in relayed),
        "".join(event.text for event in relayed),
        sum(event.pieces for event in relayed),
        [event for event in events if not isinstance(event, Relayed)],
    )


async def both(pieces: list[bytes], pause: float = 0.0) -> App:
    """Who heard it by the short way, which said what the long one says."""
    async with raw_peer(spoken(pieces, pause)) as peer:
        channel = channels.channel(f"http://127.0.0.1:{peer.port}/v1", wait=PATIENCE)
        async with relay_to(channel) as relay:
            short, long = App(), App()
            said = joined(await short.listen(relay, onward=True))
            assert said == joined(await long.listen(relay, onward=False))
            assert long.onward_events == 0
    return short


async def test_a_stream_that_flows_goes_the_short_way() -> None:
    """All but its beginning and its end."""
    words = [f"word{number} " for number in range(40)]
    pieces = [HEAD, *(chunked(event(word)) for word in words), chunked(last() + DONE), b"0\r\n\r\n"]
    app = await both(pieces, 0.001)
    assert app.onward_events >= 30
    assert isinstance(app.heard[-1], Finished)
    assert "".join(one.text for one in app.heard if isinstance(one, Relayed)) == "".join(words)


async def test_events_that_come_together_go_the_short_way_together() -> None:
    """Each in a chunk of its own, as one who has fallen behind finds them."""
    three = b"".join(chunked(event(text)) for text in "abc")
    pieces = [HEAD, *(chunked(event("a")) for _ in range(3)), *([three] * 10)]
    app = await both([*pieces, chunked(last() + DONE), b"0\r\n\r\n"], 0.001)
    relayed = [one for one in app.heard if isinstance(one, Relayed)]
    assert sum(one.pieces >= 3 for one in relayed) >= 5
    assert app.onward_events >= 5


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_the_pieces_both_ways_say_the_same(seed: int) -> None:
    """Events that come together, in halves, with extensions of chunks, unlike each other, or of a
    model that is denied; streams that end, and such as break off.
    """
    chosen = random.Random(seed)
    texts = ["a", "hello", "é日本", '"', "\\", "", "b c"]
    events = []
    for _ in range(30):
        more: dict[str, object] = chosen.choice(
            [*[{}] * 8, {"obfuscation": "xx"}, {"model": "w"}, {"usage": None}]
        )
        events.append(event(chosen.choice(texts), **more))
    if seed % 3 == 0:
        events.insert(20, event("d", model="deepseek-chat"))
    wire = [HEAD]
    for one in events:
        cut = chosen.choice([0, 0, 0, 0, chosen.randrange(len(one))])
        for part in (one[:cut], one[cut:]):
            if part:
                line = chosen.choice([b"", b"", b"", b";x=y"])
                wire.append(b"%x%b\r\n%b\r\n" % (len(part), line, part))
    if seed % 4:
        wire += [chunked(last() + DONE), b"0\r\n\r\n"]
    pieces: list[bytes] = []
    for one in wire:
        if pieces and chosen.random() < 0.15:
            pieces[-1] += one
        elif chosen.random() < 0.1:
            cut = chosen.randrange(len(one))
            pieces += [one[:cut], one[cut:]]
        else:
            pieces.append(one)
    await both(pieces, 0.0005)


async def test_who_is_full_has_it_by_the_long_way() -> None:
    """In its place, and whole."""
    pieces = [HEAD, *(chunked(event(f"{number} ")) for number in range(30))]
    pieces += [chunked(last() + DONE), b"0\r\n\r\n"]
    async with raw_peer(spoken(pieces, 0.001)) as peer:
        channel = channels.channel(f"http://127.0.0.1:{peer.port}/v1", wait=PATIENCE)
        async with relay_to(channel) as relay:
            app = App(takes=10)
            events = await app.listen(relay, onward=True)
    assert app.onward_events == 10
    assert joined(events)[1] == "".join(f"{number} " for number in range(30))


async def test_each_piece_is_waited_for_anew() -> None:
    """A stream may last longer than its patience, and one that stops is given up after that."""
    pieces = [HEAD, *(chunked(event("a")) for _ in range(8))]

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(IDLE / 4)
        await reader.read()

    async with raw_peer(RawPeer(script=script)) as peer:
        channel = channels.channel(f"http://127.0.0.1:{peer.port}/v1", wait=IDLE)
        async with relay_to(channel) as relay:
            app, began = App(), asyncio.get_running_loop().time()
            events = await app.listen(relay, onward=True)
            took = asyncio.get_running_loop().time() - began
    assert app.onward_events >= 5
    assert joined(events)[1] == "a" * 8
    failure = events[-1]
    assert isinstance(failure, Failed)
    assert failure.kind is FailureKind.IDLE_TIMEOUT
    assert IDLE * 2.9 < took < IDLE * 2.9 + 10


async def test_nothing_goes_onward_once_nobody_waits() -> None:
    """Of a task that is cancelled, which policy or the app does."""
    async with raw_peer(spoken([HEAD, *(chunked(event("a")) for _ in range(200))], 0.002)) as peer:
        channel = channels.channel(f"http://127.0.0.1:{peer.port}/v1", wait=PATIENCE)
        async with relay_to(channel) as relay:
            app = App()
            task = asyncio.create_task(app.listen(relay, onward=True))
            async with asyncio.timeout(PATIENCE):
                while app.onward_events < 10:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.001)
            task.cancel()
            heard = len(app.heard)
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.sleep(0.02)
            assert len(app.heard) == heard
