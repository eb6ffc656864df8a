"""The serving process's side of a translator's connections: made here, through the guard."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import TypeAlias

import msgspec
import structlog

from gateway.domain.events import FailureKind
from gateway.upstream.channel import Channel
from gateway.upstream.fault import AttemptFault
from gateway.upstream.guard import EgressGuard, Permit
from gateway.upstream.translate.protocol import MOST_PACKET, Dial, Dialled

MOST_LOGGED = 100
"""Characters of a host that a translator named."""

Endpoints: TypeAlias = Mapping[tuple[str, int], Channel]
"""What a channel's translator may reach, each as the guard is asked about it."""

_dials = msgspec.msgpack.Decoder(Dial)


class Dials:
    """Answers what comes over ``packets`` until it is closed, on the running loop. ``permit`` says
    whether anybody may use the channel now: which target a connection is for is not seen here.
    ``refused`` are the hosts that were asked for and are none of the channel's.
    """

    def __init__(
        self,
        channel: str,
        endpoints: Endpoints,
        guard: EgressGuard,
        permit: Permit,
        packets: socket.socket,
    ) -> None:
        self.refused: list[tuple[str, int]] = []
        self._channel = channel
        self._endpoints = endpoints
        self._guard = guard
        self._permit = permit
        self._packets = packets
        self._packets.setblocking(False)
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(packets, self._asked)

    def close(self) -> None:
        self._loop.remove_reader(self._packets)
        self._packets.close()
        for task in self._tasks:
            task.cancel()

    def _asked(self) -> None:
        try:
            packet, descriptors, _, _ = socket.recv_fds(self._packets, MOST_PACKET, 4)
        except BlockingIOError:
            return
        except OSError:
            packet, descriptors = b"", []
        answers = [socket.socket(fileno=descriptor) for descriptor in descriptors]
        for more in answers[1:]:
            more.close()
        try:
            dial = _dials.decode(packet)
        except msgspec.MsgspecError:
            # The end, or no packet of this protocol: nothing of it is answered any more.
            self._loop.remove_reader(self._packets)
            for answer in answers:
                answer.close()
            return
        if answers:
            task = self._loop.create_task(self._serve(dial, answers[0]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, dial: Dial, answer: socket.socket) -> None:
        made: socket.socket | None = None
        with answer:
            try:
                made = await self._made(dial.host.lower(), dial.port)
                said = Dialled()
            except AttemptFault as fault:
                said = Dialled(fault.kind, fault.message)
            with suppress(OSError):
                # Who gave up meanwhile has closed its end.
                descriptors = [made.fileno()] if made is not None else []
                socket.send_fds(answer, [msgspec.msgpack.encode(said)], descriptors)
            if made is not None:
                made.close()

    async def _made(self, host: str, port: int) -> socket.socket:
        """A connected socket. Raises ``AttemptFault``."""
        endpoint = self._endpoints.get((host, port))
        if endpoint is None:
            self.refused.append((host[:MOST_LOGGED], port))
            structlog.get_logger().warning(
                "translate_dial_refused",
                channel=self._channel,
                host=host[:MOST_LOGGED],
                port=port,
            )
            raise AttemptFault(
                "the API wants a connection to a host that is not the channel's",
                FailureKind.EGRESS_REFUSED,
            )
        limit = endpoint.connect_timeout
        try:
            async with asyncio.timeout(limit):
                addresses = await self._guard.check(endpoint, self._permit)
                made = await self._connected(addresses, limit)
        except TimeoutError:
            raise AttemptFault(
                "the connection was not made in time", FailureKind.CONNECT_TIMEOUT
            ) from None
        except OSError:
            raise AttemptFault("the connection could not be made") from None
        try:
            # Policy may have changed while it was being made.
            self._guard.ask(endpoint, self._permit)
        except AttemptFault:
            made.close()
            raise
        return made

    async def _connected(self, addresses: list[tuple[str, int]], limit: float) -> socket.socket:
        """Try each address in turn, with a fair share of the time for each."""
        for address in addresses[:-1]:
            with suppress(OSError):
                async with asyncio.timeout(limit / len(addresses)):
                    return await self._connect(address)
        return await self._connect(addresses[-1])

    async def _connect(self, address: tuple[str, int]) -> socket.socket:
        version = ipaddress.ip_address(address[0]).version
        made = socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET)
        try:
            made.setblocking(False)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.sock_connect(made, address)
        except BaseException:
            made.close()
            raise
        return made
