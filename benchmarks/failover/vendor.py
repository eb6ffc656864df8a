"""A vendor that takes little of the machine, and that can be killed and revived.

``python -m benchmarks.failover.vendor`` prints its address. To each line that it is given it says
one line: ``up`` listens again, ``down`` stops listening and resets every connection, as a process
that dies does; anything else changes nothing. The answer is how many requests came, and when the
last byte of one did, in seconds of the monotonic clock, which all processes share. It ends with its
input.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
import time
from typing import cast

import httptools
import uvloop

from benchmarks.vendor import PLAIN


class Vendor:
    """``requests`` came whole; ``last`` is when a byte came."""

    def __init__(self) -> None:
        self.requests = 0
        self.last = 0.0
        self.peers: set[Peer] = set()
        self.port = 0
        self._server: asyncio.Server | None = None

    async def up(self) -> None:
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(
                lambda: Peer(self), "127.0.0.1", self.port, backlog=1024
            )
            self.port = self._server.sockets[0].getsockname()[1]

    def down(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for peer in list(self.peers):
            peer.reset()

    def told(self) -> str:
        return json.dumps({"requests": self.requests, "last": self.last})


class Peer(asyncio.Protocol):
    """One connection."""

    def __init__(self, vendor: Vendor) -> None:
        self._vendor = vendor
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._vendor.peers.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._vendor.peers.discard(self)

    def data_received(self, data: bytes) -> None:
        self._vendor.last = time.monotonic()
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._vendor.requests += 1
        self._transport.write(PLAIN)

    def reset(self) -> None:
        """RST, not FIN."""
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


async def serve() -> None:
    loop = asyncio.get_running_loop()
    vendor = Vendor()
    await vendor.up()
    print(f"http://127.0.0.1:{vendor.port}", flush=True)
    while word := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
        if word == "up":
            await vendor.up()
        elif word == "down":
            vendor.down()
        print(vendor.told(), flush=True)
    vendor.down()


if __name__ == "__main__":
    uvloop.run(serve())
