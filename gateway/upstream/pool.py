"""Connections kept alive, by channel. Every one is made, and used again, through the guard."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import defaultdict
from functools import cached_property
from typing import cast

from gateway.domain.events import FailureKind
from gateway.upstream.channel import Channel
from gateway.upstream.connection import Connection
from gateway.upstream.fault import AttemptFault, EgressRefused
from gateway.upstream.guard import EgressGuard, Permit
from gateway.upstream.proxy import Proxy, Tunnel
from gateway.upstream.tls import told

IDLE = 30.0
"""Seconds that an unused connection is kept."""
MOST_IDLE = 256
"""Unused connections kept for one channel."""


class Pool:
    """``tls`` is what checks certificates; ``idle`` how many seconds an unused connection lives."""

    def __init__(self, guard: EgressGuard, tls: ssl.SSLContext, *, idle: float = IDLE) -> None:
        self._guard = guard
        self._tls = tls
        self._idle_time = idle
        self._idle: defaultdict[str, list[Connection]] = defaultdict(list)
        self._busy: set[Connection] = set()
        self._making: defaultdict[str, set[asyncio.Timeout]] = defaultdict(set)
        self._epochs: defaultdict[str, int] = defaultdict(int)
        self._timer: asyncio.TimerHandle | None = None

    @cached_property
    def loop(self) -> asyncio.AbstractEventLoop:
        """That of all connections. To ask for the running one is a system call each time, to see
        whether this process has forked.
        """
        return asyncio.get_running_loop()

    async def take(
        self, channel: Channel, permit: Permit, limit: float, *, fresh: bool = False
    ) -> Connection:
        """An open connection for what ``permit`` speaks of; a new one where ``fresh``. ``limit`` is
        in seconds.

        Raises ``AttemptFault``.
        """
        kept = None if fresh else self.kept(channel, permit)
        return kept or await self.connect(channel, permit, limit)

    def kept(self, channel: Channel, permit: Permit) -> Connection | None:
        """One that is open already, as ``take`` gives it, where there is one. Does no I/O."""
        self._guard.ask(channel, permit)
        idle = self._idle[channel.name]
        while idle:
            connection = idle.pop()
            if connection.quiet:
                self._busy.add(connection)
                return connection
            connection.abort()
        return None

    async def connect(self, channel: Channel, permit: Permit, limit: float) -> Connection:
        """A new one, as ``take`` gives it."""
        connection = await self._connect(channel, permit, min(limit, channel.connect_timeout))
        try:
            # Policy may have come to deny it to this caller alone, which is no reason for a sweep.
            self._guard.ask(channel, permit)
        except EgressRefused:
            connection.abort()
            raise
        self._busy.add(connection)
        return connection

    def give_back(self, connection: Connection, *, finished: bool) -> None:
        """Keep a connection whose answer is ``finished`` if it can be used again; else close it."""
        if finished and connection.clean and self._current(connection):
            self._keep(connection)
        elif finished and connection.open and not connection.complete and self._current(connection):
            connection.drain(self._drained)
        else:
            self._busy.discard(connection)
            connection.abort()

    def sweep(self, channel: str) -> None:
        """Close a channel's unused connections at once, and those in use after their answer; what
        is being connected is given up.
        """
        self._epochs[channel] += 1
        for timer in self._making[channel]:
            # One that has run out already, and was not heard of yet, takes no other time.
            if not timer.expired():
                timer.reschedule(0)
        for connection in self._idle.pop(channel, ()):
            connection.abort()

    async def close(self) -> None:
        """Close everything, answers that are under way included."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for channel in list(self._idle):
            self.sweep(channel)
        for connection in list(self._busy):
            self._epochs[connection.channel] += 1
            connection.abort()
        self._busy.clear()
        await asyncio.sleep(0)

    def _current(self, connection: Connection) -> bool:
        return connection.epoch == self._epochs[connection.channel]

    def _drained(self, connection: Connection) -> None:
        if connection.clean and self._current(connection):
            self._keep(connection)
        else:
            self._busy.discard(connection)
            connection.abort()

    def _keep(self, connection: Connection) -> None:
        self._busy.discard(connection)
        idle = self._idle[connection.channel]
        if len(idle) >= MOST_IDLE:
            connection.abort()
            return
        connection.reset()
        loop = self.loop
        connection.idle_since = loop.time()
        idle.append(connection)
        if self._timer is None:
            self._timer = loop.call_later(self._idle_time, self._expire)

    def _expire(self) -> None:
        """One timer for all, set for the connection that has been unused the longest."""
        loop = self.loop
        # A timer may come a little early by the resolution of the loop's clock.
        oldest = loop.time() - self._idle_time + 0.01
        times: list[float] = []
        for channel, connections in self._idle.items():
            kept = [c for c in connections if c.open and c.idle_since > oldest]
            for connection in connections:
                if connection.idle_since <= oldest:
                    connection.abort()
            self._idle[channel] = kept
            # The last one given back is the first taken again, so the oldest stands first.
            times += [kept[0].idle_since] if kept else []
        when = min(times, default=None)
        self._timer = (
            loop.call_at(when + self._idle_time, self._expire) if when is not None else None
        )

    async def _connect(self, channel: Channel, permit: Permit, limit: float) -> Connection:
        try:
            async with asyncio.timeout(limit) as timer:
                self._making[channel.name].add(timer)
                try:
                    addresses = await self._guard.check(channel, permit)
                    return await self._dial(channel, permit, addresses, limit)
                finally:
                    self._making[channel.name].discard(timer)
        except TimeoutError:
            # A sweep makes time run out as well.
            self._guard.ask(channel, permit)
            raise AttemptFault(
                "the connection was not made in time", FailureKind.CONNECT_TIMEOUT
            ) from None
        except ssl.SSLError as error:
            raise AttemptFault(told(error), FailureKind.TLS) from None
        except OSError:
            raise AttemptFault("the connection could not be made") from None

    async def _dial(
        self, channel: Channel, permit: Permit, addresses: list[tuple[str, int]], limit: float
    ) -> Connection:
        """Try each address in turn, with a fair share of the time for each."""
        for address in addresses[:-1]:
            try:
                async with asyncio.timeout(limit / len(addresses)):
                    return await self._open(channel, address)
            except OSError:
                # The time that it took is time in which policy may have changed.
                self._guard.ask(channel, permit)
        return await self._open(channel, addresses[-1])

    async def _open(self, channel: Channel, address: tuple[str, int]) -> Connection:
        loop = self.loop
        connection = Connection(channel.name, self._epochs[channel.name], loop)
        trust = (channel.trust or self._tls) if channel.tls else None
        if channel.proxy is not None:
            await _through(channel.proxy, address, channel, trust, connection)
            return connection
        await loop.create_connection(
            lambda: connection,
            address[0],
            address[1],
            ssl=trust,
            server_hostname=channel.host if trust else None,
            # What has been checked is what is dialled: no name is looked up again here.
            flags=socket.AI_NUMERICHOST,
        )
        return connection


async def _through(
    proxy: Proxy,
    address: tuple[str, int],
    channel: Channel,
    trust: ssl.SSLContext | None,
    connection: Connection,
) -> None:
    """Connect to a channel through its proxy, which is at ``address``; with ``trust``, TLS with the
    vendor goes through the tunnel.
    """
    loop = asyncio.get_running_loop()
    try:
        _, tunnel = await loop.create_connection(
            lambda: Tunnel(loop),
            address[0],
            address[1],
            ssl=proxy.tls,
            server_hostname=proxy.host if proxy.tls else None,
            flags=socket.AI_NUMERICHOST,
        )
    except ssl.SSLError as error:
        raise AttemptFault(told(error, "the proxy"), FailureKind.TLS) from None
    except OSError:
        raise AttemptFault("the connection to the proxy could not be made") from None
    transport = await tunnel.open(proxy.request(channel.host, channel.port))
    if trust is None:
        transport.set_protocol(connection)
        connection.connection_made(transport)
        transport.resume_reading()
        return
    try:
        secured = await loop.start_tls(transport, connection, trust, server_hostname=channel.host)
    except BaseException:
        transport.abort()
        raise
    # typeshed allows for ``None``, which is for transports that are closed already.
    connection.connection_made(cast(asyncio.Transport, secured))
