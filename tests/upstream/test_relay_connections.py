"""Connections: kept, retried, swept, cancelled, and never trusted with what was not asked for."""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from gateway.domain.call import Api
from gateway.domain.events import FailureKind
from tests.simulators.delivery import WHOLE
from tests.simulators.vendor import VendorSimulator
from tests.upstream import channels
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from tests.upstream.conftest import Bench

BODY = b'{"model":"m","choices":[{"message":{"content":"vendor answer"}}]}'


def framed(*headers: bytes, body: bytes = BODY) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", *headers, b"", body])


LENGTH = b"Content-Length: %d" % len(BODY)


async def until_open(vendor: VendorSimulator, number: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while vendor.open != number:  # noqa: ASYNC110 - it lives in another thread's loop
            await asyncio.sleep(0.002)


async def until_kept(bench: Bench) -> None:
    """Until the end of the last answer has come, and its connection is there for the next."""
    async with asyncio.timeout(PATIENCE):
        while not bench.backend.pool._idle["vendor"]:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.002)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_connection_is_used_again(bench: Bench, stream: bool) -> None:
    """Many requests in a row share one connection."""
    for _ in range(5):
        assert "vendor" in await bench.text(stream=stream)
        await until_kept(bench)
    assert len(bench.vendor.connections) == 1


async def test_the_end_of_a_body_may_come_after_its_last_event(bench: Bench) -> None:
    """The app does not wait for it, and the connection is kept all the same."""
    end = threading.Event()
    bench.vendor.behave("answer", ahead=WHOLE, released=end)
    try:
        async with asyncio.timeout(PATIENCE):
            await bench.text(stream=True)
    finally:
        end.set()
    await until_kept(bench)
    await bench.text(stream=True)
    assert len(bench.vendor.connections) == 1


async def test_an_error_does_not_cost_the_connection(bench: Bench) -> None:
    """A vendor's refusal is an answer like any other."""
    bench.vendor.behave("500")
    await bench.events()
    await bench.events()
    assert len(bench.vendor.connections) == 1


async def test_a_kept_connection_closed_without_an_answer_is_retried_once(bench: Bench) -> None:
    """The retry is made on a new connection, and a second silence is a failure."""
    await bench.events()
    bench.vendor.behave("raw", data=b"")
    assert await bench.kind() is FailureKind.REFUSED
    assert [request.connection for request in bench.vendor.requests] == [0, 0, 1]


async def test_a_connection_that_died_while_idle_goes_unnoticed(bench: Bench) -> None:
    """The app gets its answer although the peer closed the kept connection."""
    await bench.events()
    bench.vendor.drop_connections()
    assert "vendor answer" in await bench.text()
    assert len(bench.vendor.connections) == 2


async def test_an_answer_that_has_begun_is_not_retried(bench: Bench) -> None:
    """After the first byte a loss is a failure, on a kept connection too."""
    await bench.events()
    bench.vendor.behave("break_off")
    assert await bench.kind() is FailureKind.TRUNCATED
    assert len(bench.vendor.requests) == 2


async def test_a_sweep_closes_idle_connections_at_once(bench: Bench) -> None:
    """The vendor sees the connection go without a further request."""
    await bench.events()
    assert bench.vendor.open == 1
    bench.backend.sweep("vendor")
    await until_open(bench.vendor, 0)


async def test_a_connection_in_use_is_not_kept_after_a_sweep(bench: Bench) -> None:
    """The answer that is under way goes on; its connection is closed after it."""
    bench.vendor.behave("answer", delay=0.1)
    running = asyncio.create_task(bench.text())
    await asyncio.sleep(0.05)
    bench.backend.sweep("vendor")
    assert "vendor answer" in await running
    await until_open(bench.vendor, 0)


async def test_a_denied_channel_does_not_use_a_kept_connection(bench: Bench) -> None:
    """Policy is asked for every use, not only where a socket is made."""
    await bench.events()
    bench.denied.add("vendor")
    assert await bench.kind() is FailureKind.EGRESS_REFUSED
    assert len(bench.vendor.requests) == 1


async def test_closing_the_generator_closes_the_connection(bench: Bench) -> None:
    """An app that goes away mid-stream is seen by the vendor."""
    bench.vendor.behave("stall_mid_stream")
    async with aclosing(bench.attempt(stream=True)) as events:
        await anext(events)
    await until_open(bench.vendor, 0)


async def test_cancelling_while_waiting_closes_the_connection(bench: Bench) -> None:
    """A task cancelled before the first byte leaves nothing open."""
    bench.vendor.behave("stall")
    running = asyncio.create_task(bench.events())
    await until_open(bench.vendor, 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until_open(bench.vendor, 0)


@pytest.mark.parametrize(
    "data",
    [
        framed(LENGTH, b"Transfer-Encoding: chunked"),
        framed(LENGTH, b"Content-Length: 1"),
        framed(LENGTH, b"X: " + b"a" * 70_000),
        framed(LENGTH, b"Content-Encoding: gzip"),
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 40 + framed(LENGTH),
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/x\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_answers_that_are_not_trusted(bench: Bench, data: bytes) -> None:
    """Ambiguous, endless, encoded, switching and redirecting answers are malformed."""
    bench.vendor.behave("raw", data=data)
    assert await bench.kind() is FailureKind.MALFORMED
    assert len(bench.vendor.requests) == 1


async def test_interim_answers_are_skipped(bench: Bench) -> None:
    """The answer behind a 103 is the answer."""
    bench.vendor.behave("raw", data=b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + framed(LENGTH))
    assert "vendor answer" in await bench.text()


async def test_a_body_may_end_with_the_connection(bench: Bench) -> None:
    """An answer without a length is complete when the peer closes."""
    bench.vendor.behave("raw", data=framed(b"Content-Type: application/json"))
    assert "vendor answer" in await bench.text()


async def test_a_connection_that_may_not_be_kept_is_closed_at_once(bench: Bench) -> None:
    """A vendor that says it closes and does not is not waited for."""
    bench.vendor.behave("raw", data=framed(LENGTH, b"Connection: close"), keep=True)
    await bench.events()
    await until_open(bench.vendor, 0)


async def test_leftovers_are_never_the_next_answer(bench: Bench) -> None:
    """A second answer that nobody asked for ends the connection."""
    bench.vendor.behave("raw", data=framed(LENGTH) + framed(LENGTH), keep=True)
    await bench.events()
    bench.vendor.behave("answer")
    assert "in pieces" in await bench.text()
    assert len(bench.vendor.connections) == 2


async def test_a_large_answer_passes_the_back_pressure(bench: Bench) -> None:
    """Megabytes arrive whole although reading is paused on the way."""
    bench.vendor.behave("answer", words=["x" * 1_000_000] * 5)
    assert (await bench.text()).count("x") >= 5_000_000
    assert (await bench.text(stream=True)).count("x") >= 5_000_000


def test_a_channel_does_not_show_its_key() -> None:
    """Neither the key nor the request's head is in the representation."""
    channel = channels.channel("https://vendor.test/v1", api_key="sk-planted")
    assert "sk-planted" not in repr(channel)
    assert b"sk-planted" in channel.heads[Api.CHAT][0]
