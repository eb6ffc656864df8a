"""Many clients at once, for some seconds."""

from __future__ import annotations

import asyncio
import signal
import ssl
import time
from dataclasses import dataclass
from typing import Any

from benchmarks.load.asked import Address
from benchmarks.load.connection import Connection, Course, Tally

PAUSE = 0.1
"""Seconds that a client waits after a bad answer."""
CHECK = 0.25
"""Seconds between two looks for what takes too long."""
MOST = 10_000_000
"""Requests of one load: their times take 160 MB."""


@dataclass(frozen=True, slots=True)
class Load:
    """``clients`` send ``request`` to ``address`` for ``seconds``, at most ``requests`` times; an
    answer may take ``patience`` seconds.
    """

    address: Address
    request: bytes
    stream: bool
    clients: int
    seconds: float
    requests: int = MOST
    patience: float = 60.0


@dataclass(frozen=True, slots=True)
class Found:
    """What a load has shown. ``busy`` is the share of a core that the clients themselves took."""

    seconds: float
    tally: Tally
    busy: float

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return self.tally.within / self.seconds

    @property
    def failed(self) -> int:
        return self.tally.kinds.total()

    def data(self) -> dict[str, Any]:
        """Times in milliseconds; ``None`` where nothing was answered."""
        tally = self.tally
        return {
            "seconds": self.seconds,
            "requests_per_second": self.rate,
            "answered": len(tally.latencies),
            "failed": self.failed,
            "errors": [
                {"kind": kind, "count": count, "said": tally.said[kind]}
                for kind, count in tally.kinds.most_common()
            ],
            "latency_ms": percentiles(tally.latencies),
            "first_byte_ms": percentiles(tally.firsts),
            "client_busy": self.busy,
        }


def percentiles(seconds: Any) -> dict[str, float] | None:
    """In milliseconds: that which 50, 95 and 99 of 100 do not exceed, and the longest."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    last = len(ordered) - 1
    shares = {"p50": 0.50, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {name: ordered[round(share * last)] * 1e3 for name, share in shares.items()}


async def probe(load: Load) -> Tally:
    """One request alone, which shows whether the others have a chance."""
    course = Course(load.request, load.stream, time.perf_counter() + load.patience, left=1)
    await _watched(load, course, clients=1)
    return course.tally


async def put_under(load: Load) -> Found:
    """All requests that can be answered in the time; what is on its way then is waited for, but not
    counted in the rate. SIGINT ends it early.
    """
    began, own = time.perf_counter(), time.process_time()
    course = Course(load.request, load.stream, began + load.seconds, load.requests)
    await _watched(load, course, load.clients)
    until = min(course.until, time.perf_counter())
    ended = time.perf_counter()
    busy = (time.process_time() - own) / (ended - began)
    return Found(until - began, course.tally, busy)


async def _watched(load: Load, course: Course, clients: int) -> None:
    """All clients until their end, however long answers stay away."""
    loop = asyncio.get_running_loop()
    open_now: set[Connection] = set()
    tls = ssl.create_default_context() if load.address.tls else None
    overdue = loop.create_task(_overdue(load, open_now))
    loop.add_signal_handler(signal.SIGINT, _stop, course, open_now)
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(_client(load, course, open_now, tls))
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        overdue.cancel()


def _stop(course: Course, open_now: set[Connection]) -> None:
    course.until = time.perf_counter()
    for connection in open_now:
        connection.hang_up()


async def _client(
    load: Load, course: Course, open_now: set[Connection], tls: ssl.SSLContext | None
) -> None:
    """One connection after the other, as long as there is more to send."""
    while course.left > 0 and time.perf_counter() < course.until:
        connection = Connection(course)
        try:
            await _connect(connection, load, tls)
        except OSError as error:
            course.left -= 1
            course.tally.fault(_unreached(error), str(error))
            await asyncio.sleep(PAUSE)
            continue
        open_now.add(connection)
        good = await connection.closed
        open_now.discard(connection)
        if not good:
            await asyncio.sleep(PAUSE)


async def _connect(connection: Connection, load: Load, tls: ssl.SSLContext | None) -> None:
    host, port = load.address.host, load.address.port
    async with asyncio.timeout(load.patience):
        await asyncio.get_running_loop().create_connection(lambda: connection, host, port, ssl=tls)


async def _overdue(load: Load, open_now: set[Connection]) -> None:
    while True:
        await asyncio.sleep(CHECK)
        late = time.perf_counter() - load.patience
        for connection in list(open_now):
            if 0.0 < connection.began < late:
                connection.give_up(load.patience)


def _unreached(error: OSError) -> str:
    match error:
        case ConnectionRefusedError():
            return "refused: nobody listens there"
        case ssl.SSLCertVerificationError():
            return "its certificate is not trusted here"
        case TimeoutError():
            return "no connection in time"
        case _:
            return f"not connected: {type(error).__name__}"
