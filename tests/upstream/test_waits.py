"""How long a connection is waited for: one alarm for all waits, none of them too short or long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from gateway.upstream.connection import Connection

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])


class Deaf(asyncio.Transport):
    """Takes all that is written, and does nothing with it."""

    def writelines(self, _: object) -> None:
        return

    def is_closing(self) -> bool:
        return False


def asked(loop: asyncio.AbstractEventLoop) -> Connection:
    """A connection on which an answer is waited for."""
    connection = Connection("vendor", 0, loop)
    connection.connection_made(Deaf())
    connection.send(b"POST / HTTP/1.1\r\nContent-Length: ", b"{}")
    return connection


async def waited(connection: Connection, seconds: float) -> float:
    """How long it took until nobody waited any more."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(TimeoutError):
        await connection.more(began + seconds)
    return loop.time() - began


@LOOPS
@pytest.mark.parametrize(
    "seconds", [(0.6, 0.05), (0.05, 0.2), (0.1, 0.1), (0.6, 0.05, 0.1)], ids=str
)
def test_each_wait_is_as_long_as_it_was_meant_to_be(
    seconds: tuple[float, ...], loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Whatever the alarm was set to by the waits before, which something ended early."""

    async def play() -> None:
        connection = asked(asyncio.get_running_loop())
        for number, each in enumerate(seconds):
            took = await waited(connection, each)
            # The longest of the waits before is what it must not last.
            assert each - 0.003 <= took < each + 0.4, (number, took)
            something = connection.more(asyncio.get_running_loop().time() + each)
            connection.data_received(HEAD if number == 0 else b"1\r\nx\r\n")
            await something

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(play())


async def test_an_answer_that_comes_in_time_sets_one_alarm() -> None:
    """A wait that is no shorter than the one before costs no timer of its own."""
    loop = asyncio.get_running_loop()
    connection = asked(loop)
    alarms = set()
    connection.data_received(HEAD)
    for _ in range(50):
        something = connection.more(loop.time() + 5)
        alarms.add(connection._alarm)
        connection.data_received(b"1\r\nx\r\n")
        await something
        assert connection.come() == b"x"
    assert len(alarms) == 1
    connection.connection_lost(None)
    (alarm,) = alarms
    assert alarm is not None
    assert alarm.cancelled()


async def test_an_alarm_finds_nobody_who_waits() -> None:
    """What ended long ago is not failed by it, nor is whoever waits next."""
    loop = asyncio.get_running_loop()
    connection = asked(loop)
    something = connection.more(loop.time() + 0.02)
    connection.data_received(HEAD)
    await something
    await asyncio.sleep(0.04)
    assert something.result() is None
    assert await waited(connection, 0.05) >= 0.047
