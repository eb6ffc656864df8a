"""Requests: nothing that the configuration or an app writes can split one, and none is sent twice
that may have been done.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from itertools import chain
from typing import cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.domain.call import Api
from gateway.domain.events import Failed, FailureKind
from gateway.upstream.channel import Channel
from gateway.upstream.guard import EgressGuard
from gateway.upstream.relay import RelayBackend
from tests.upstream import channels
from tests.upstream.conftest import TARGET, NoDeepSeek
from tests.upstream.raw_peer import RawPeer, call, raw_peer, read_request, relay_to, reset

BODY = b'{"model":"m","choices":[{"message":{"content":"vendor answer"}}]}'
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
NASTY = st.text(
    st.one_of(st.sampled_from("\r\n\0\t :;/?#@%\x85\u2028é\u010a\u560aA"), st.characters()),
    max_size=12,
)

NASTY_ASCII = st.text(st.sampled_from('\r\n\0\t :;/?#@%"\\A'), max_size=12)


def lines_of(request: bytes) -> list[bytes]:
    """A request's head by its lines; it is whole, and has no line's end but CRLF."""
    lines = request.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line or b"\0" in line for line in lines)
    return lines


@given(key=NASTY, organization=NASTY, path=NASTY, host=st.sampled_from(["vendor.test", "[::1]"]))
@example(key="a\r\nX: b", organization="", path="", host="vendor.test")
@example(key="", organization="a\nX: b", path="", host="vendor.test")
@example(key="", organization="", path="/v1 HTTP/1.1\r\nX: b", host="vendor.test")
@example(key="\u010a", organization="\u560d\u560a", path="/\u010d", host="vendor.test")
def test_a_configuration_cannot_split_a_request(
    key: str, organization: str, path: str, host: str
) -> None:
    """It is refused, or stands in its own line and in no other."""
    try:
        made = channels.channel(
            f"https://{host}/{path}", api_key=key or None, organization=organization or None
        )
    except ValueError:
        return
    for request in (*chain.from_iterable(made.heads.values()), made.listing):
        first, *rest = lines_of(request)
        assert first.count(b" ") == 2
        assert first.endswith(b" HTTP/1.1")
        names = [line.partition(b":")[0] for line in rest if line]
        assert names[:3] == [b"Host", b"User-Agent", b"Accept-Encoding"]
        known = {b"Authorization", b"OpenAI-Organization", b"Accept", b"Content-Type"}
        assert set(names[3:]) <= known | {b"Content-Length"}
        assert len(set(names)) == len(names)


@given(host=NASTY)
@example(host="vendor.test\r\nX: b")
@example(host="vendor.test x")
@example(host="vendor\u3002test")
def test_a_hosts_name_cannot_split_a_request(host: str) -> None:
    """Nor can it be more than a name."""
    made: Channel | None = None
    with suppress(ValueError):
        made = channels.channel(f"https://{host}/v1")
    if made is not None:
        host_line = lines_of(made.heads[Api.CHAT][0])[1]
        assert host_line.startswith(b"Host: ")
        assert b" " not in host_line.removeprefix(b"Host: ")


# Neither a configuration nor JSON that is read here can hold half a surrogate pair.
@given(model=st.text(st.characters(codec="utf-8"), max_size=12) | NASTY_ASCII, text=NASTY)
async def test_an_app_cannot_split_a_request(model: str, text: str) -> None:
    """What it writes is in the body, whose length is counted; the model's name is JSON there."""
    async with raw_peer(RawPeer(GOOD)) as peer:
        channel = channels.channel(f"http://127.0.0.1:{peer.port}/v1")
        backend = RelayBackend({"vendor": channel}, EgressGuard(), NoDeepSeek())
        target = replace(TARGET, model=model)
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
        asked = replace(
            call(), body=json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        )
        _ = [event async for batch in backend.attempt(target, asked) for event in batch]
        await backend.close()
    [(_, request)] = peer.requests
    head, _, sent = request.partition(b"\r\n\r\n")
    assert len(lines_of(head)) == 7
    assert json.loads(sent)["model"] == model
    assert len(peer.requests) == 1


@pytest.mark.parametrize("how", ["FIN", "reset"])
async def test_a_peer_that_closes_after_each_answer_loses_no_request(how: str) -> None:
    """llama-server does so after streams, without a word. 200 in a row, at once and after a pause
    in which the close can arrive, are each answered and each sent once.
    """
    seen: list[bytes] = []

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(GOOD)
        await writer.drain()
        if how == "reset":
            # Let the answer arrive: a reset may otherwise overtake it.
            await asyncio.sleep(0.001)
            reset(writer)

    peer = RawPeer(script=once)
    async with raw_peer(peer), relay_to(channel_at(peer)) as relay:
        for number in range(200):
            assert "vendor answer" in str(await relay.ask(f"request {number}"))
            await asyncio.sleep((0, 0, 0.001, 0.003)[number % 4])
    assert len(seen) == 200
    assert all(b"request %d" % number in request for number, request in enumerate(seen))


async def test_a_close_that_crosses_the_request_is_met_by_one_retry() -> None:
    """The peer reads the request on a kept connection and closes instead of answering."""
    peer = RawPeer()
    answered = 0

    async def moody(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        for served in range(2):
            request = await read_request(reader)
            peer.requests.append((peer.connections, request))
            if served == 0:
                answered += 1
                writer.write(GOOD)
                await writer.drain()

    peer.script = moody
    async with raw_peer(peer), relay_to(channel_at(peer)) as relay:
        for _ in range(200):
            assert "vendor answer" in str(await relay.ask())
    assert answered == 200
    assert peer.connections == 200
    # All but the first were sent on a kept connection, and once more.
    assert len(peer.requests) == 399


@pytest.mark.parametrize("begun", [b"H", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_an_answer_that_has_begun_by_a_byte_is_not_asked_for_again(begun: bytes) -> None:
    """On a kept connection too: the request may have been done."""
    async with raw_peer(RawPeer(GOOD)) as peer, relay_to(channel_at(peer)) as relay:
        assert "vendor answer" in str(await relay.ask())
        peer.answer, peer.then = begun, "close"
        failed = await relay.ask()
        assert isinstance(failed, Failed)
        assert failed.kind is FailureKind.TRUNCATED
    assert [number for number, _ in peer.requests] == [1, 1]


@pytest.mark.parametrize("then", ["close", "half", "reset"])
async def test_a_new_connection_that_is_closed_without_an_answer_is_not_tried_again(
    then: str,
) -> None:
    """It was not idle: the peer had the request, and chose not to answer."""
    async with raw_peer(RawPeer(b"", then=then)) as peer, relay_to(channel_at(peer)) as relay:
        failed = await relay.ask()
        assert isinstance(failed, Failed)
        assert failed.kind is FailureKind.REFUSED
    assert len(peer.requests) == 1


async def test_a_silent_peer_is_not_asked_again() -> None:
    """A time-out on a kept connection says nothing of whether the request was done."""
    async with raw_peer(RawPeer(GOOD)) as peer, relay_to(channel_at(peer, wait=0.2)) as relay:
        assert "vendor answer" in str(await relay.ask())
        peer.answer = b""
        failed = await relay.ask()
        assert isinstance(failed, Failed)
        assert failed.kind is FailureKind.FIRST_TOKEN_TIMEOUT
    assert len(peer.requests) == 2


async def test_what_comes_while_nobody_looks_is_not_the_next_answer() -> None:
    """An answer that nobody asked for waits in the kernel when the next request is to be sent: the
    connection is not used for it.
    """
    smuggle = asyncio.Event()

    async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(GOOD)
        await writer.drain()
        if peer.connections == 1:
            await smuggle.wait()
            writer.write(GOOD.replace(b"vendor answer", b"smuggled here"))
            await writer.drain()
        await reader.read()

    peer = RawPeer(script=twice)
    async with raw_peer(peer), relay_to(channel_at(peer)) as relay:
        assert "vendor answer" in str(await relay.ask())
        [idle] = relay.backend.pool._idle["vendor"]
        transport = cast(asyncio.Transport, idle._transport)
        # As if this loop had been busy with something else.
        transport.pause_reading()
        smuggle.set()
        await asyncio.sleep(0.05)
        assert idle.open
        assert not idle.quiet
        assert "vendor answer" in str(await relay.ask())
        assert not idle.open
    assert peer.connections == 2


def channel_at(peer: RawPeer, *, wait: float = 1) -> Channel:
    return channels.channel(f"http://127.0.0.1:{peer.port}/v1", wait=wait)
