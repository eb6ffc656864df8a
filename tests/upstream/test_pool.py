"""The pool by itself: how long and how many unused connections it keeps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from gateway.domain.call import Api
from gateway.domain.events import FailureKind
from gateway.upstream import relay as relay_file
from gateway.upstream.channel import Channel
from gateway.upstream.connection import Connection
from gateway.upstream.fault import AttemptFault
from gateway.upstream.guard import EgressGuard
from gateway.upstream.pool import Pool
from tests.simulators.vendor import VendorSimulator
from tests.upstream import channels
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    import ssl

    from tests.upstream.conftest import Bench, MakeBench


def always() -> bool:
    return True


@asynccontextmanager
async def pool_of(idle: float, tls: ssl.SSLContext) -> AsyncIterator[Pool]:
    pool = Pool(EgressGuard(), tls, idle=idle)
    try:
        yield pool
    finally:
        await pool.close()


async def used(pool: Pool, channel: Channel) -> Connection:
    """A connection that has carried one answer and was given back."""
    connection = await pool.take(channel, always, 1)
    body = b"{}"
    connection.send(channel.heads[Api.CHAT][0], body)
    until = asyncio.get_running_loop().time() + 1
    await connection.head(until)
    while await connection.read(until):
        pass
    pool.give_back(connection, finished=True)
    return connection


async def eventually(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110 - it lives in another thread's loop
            await asyncio.sleep(0.002)


async def test_an_unused_connection_is_closed_in_time(
    vendor: VendorSimulator, channel: Channel, tls: ssl.SSLContext
) -> None:
    """Not before its time, and not a second period after it, also where another was used since."""
    async with pool_of(3, tls) as pool:
        both = await asyncio.gather(used(pool, channel), used(pool, channel))
        assert vendor.open == 2
        await asyncio.sleep(1.5)
        # The one that was given back last is taken first.
        second = await used(pool, channel)
        (first,) = (one for one in both if one is not second)
        assert first.open
        await eventually(lambda: not first.open)
        assert second.open
        await eventually(lambda: not second.open)
        await eventually(lambda: vendor.open == 0)


async def test_close_leaves_nothing_open(
    vendor: VendorSimulator, channel: Channel, tls: ssl.SSLContext
) -> None:
    """Connections in use and unused are closed together."""
    async with pool_of(30, tls) as pool:
        await used(pool, channel)
        await pool.take(channel, always, 1)
        await pool.take(channel, always, 1)
        await eventually(lambda: vendor.open == 2)
    await eventually(lambda: vendor.open == 0)


async def test_a_connection_that_cannot_be_made_in_time(make_bench: MakeBench) -> None:
    """A resolver that hangs is a connect time-out, not a hanging request."""

    async def hang(name: str, port: int) -> list[str]:
        await asyncio.sleep(60)
        return []

    bench = make_bench(host="vendor.test", allow_private=True, resolve=hang, connect=0.5)
    assert await bench.kind() is FailureKind.CONNECT_TIMEOUT


async def test_a_sweep_at_the_very_instant_at_which_a_connection_runs_out_of_time(
    tls: ssl.SSLContext,
) -> None:
    """The clock has struck for it and its task has not heard yet: the sweep lets it be, and gives
    up the others.
    """
    loop = asyncio.get_running_loop()
    hanging = 0

    async def hang(name: str, port: int) -> list[str]:
        nonlocal hanging
        hanging += 1
        await asyncio.sleep(60)
        return []

    pool = Pool(EgressGuard(hang), tls)
    channel = channels.channel("https://vendor.test/v1", connect=30)
    soon = asyncio.create_task(pool.take(channel, always, 0.1))
    late = asyncio.create_task(pool.take(channel, always, 30))
    await eventually(lambda: hanging == 2)
    timers = set(pool._making[channel.name])
    (first,) = (timer for timer in timers if (timer.when() or 0) < loop.time() + 5)
    (other,) = timers - {first}
    swept = loop.create_future()

    def sweep() -> None:
        states = first.expired(), soon.done(), other.expired()
        try:
            pool.sweep(channel.name)
        except RuntimeError as error:
            swept.set_exception(error)
        else:
            swept.set_result(states)

    when = first.when()
    assert when is not None
    # Due together with it, and behind it.
    loop.call_at(when, sweep)
    assert await swept == (True, False, False)
    for task in (soon, late):
        with pytest.raises(AttemptFault) as caught:
            await asyncio.wait_for(task, PATIENCE)
        assert caught.value.kind is FailureKind.CONNECT_TIMEOUT
    await pool.close()


async def test_the_next_address_is_tried(make_bench: MakeBench) -> None:
    """A name with a dead address and a live one is reached."""

    async def two(name: str, port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    bench = make_bench(host="vendor.test", allow_private=True, resolve=two)
    assert "vendor answer" in await bench.text()


async def test_a_body_over_the_limit(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain answer is not buffered without end, and its connection is not used again."""
    monkeypatch.setattr(relay_file, "MOST_BODY", 100_000)
    bench.vendor.behave("answer", words=["x" * 200_000])
    failure = await bench.failure()
    assert (failure.kind, failure.message) == (FailureKind.MALFORMED, "the answer is too long")
    bench.vendor.behave("answer")
    await bench.text()
    assert len(bench.vendor.connections) == 2


async def test_an_endless_error_body_keeps_its_status(bench: Bench) -> None:
    """What is too long to be an envelope is not read on, and the status still counts."""
    head = b"HTTP/1.1 503 Busy\r\nContent-Length: 100000000\r\n\r\n"
    bench.vendor.behave("raw", data=head + b"x" * 200_000, keep=True)
    failure = await bench.failure()
    assert (failure.kind, failure.status) == (FailureKind.SERVER_ERROR, 503)
    await eventually(lambda: bench.vendor.open == 0)


async def test_a_consumer_that_lags_stops_the_sender(bench: Bench) -> None:
    """Of 32 MB that nobody reads, little arrives: the vendor's writes wait."""
    bench.vendor.behave("answer", words=["x" * 1_000_000] * 32)
    async with aclosing(bench.attempt(stream=True)) as events:
        await anext(events)
        await asyncio.sleep(0.2)
        connection = next(iter(bench.backend.pool._busy))
        assert connection._answer.buffered < 2_000_000
