"""Sockets of a process that cannot make any: the serving process makes them, and hands them over.

Two ways lead there, for the two kinds of code in litellm and what it stands on: an event loop whose
``create_connection`` asks for a socket, and the function by which blocking code makes one. A host's
name goes out as it is: nothing here is resolved.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
from urllib3.util import connection as urllib3_connection

from gateway.domain.events import FailureKind
from gateway.upstream.translate.protocol import MOST_PACKET, Dial, Dialled

BLOCKING = 30.0
"""Seconds that blocking code waits for a connection where it says nothing of it."""

Row: TypeAlias = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int]]


class DialFailed(OSError):
    """There is no connection, and why."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class Dialler:
    """Asks over ``packets``, from any thread."""

    def __init__(self, packets: socket.socket) -> None:
        self._packets = packets
        self._packets.setblocking(True)

    async def connect(self, host: str, port: int) -> socket.socket:
        """A connected socket that does not block. Raises ``DialFailed``. Cancelling gives up."""
        with self._ask(host, port) as answer:
            answer.setblocking(False)
            loop = asyncio.get_running_loop()
            answered = loop.create_future()
            loop.add_reader(answer, _wake, answered)
            try:
                await answered
            finally:
                loop.remove_reader(answer)
            made = _received(answer)
        made.setblocking(False)
        return made

    def create_connection(
        self, address: tuple[str, int], timeout: object = None, *_: object, **__: object
    ) -> socket.socket:
        """As ``socket.create_connection``, for code that blocks."""
        seconds = float(timeout) if isinstance(timeout, int | float) else BLOCKING
        with self._ask(*address) as answer:
            answer.settimeout(seconds)
            made = _received(answer)
        made.settimeout(seconds)
        return made

    def _ask(self, host: str, port: int) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            packet = msgspec.msgpack.encode(Dial(host, port))
            try:
                socket.send_fds(self._packets, [packet], [theirs.fileno()])
            except OSError:
                ours.close()
                raise DialFailed(FailureKind.REFUSED, "nobody is there to dial") from None
        return ours


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


def _received(answer: socket.socket) -> socket.socket:
    try:
        packet, descriptors, _, _ = socket.recv_fds(answer, MOST_PACKET, 1)
        said = msgspec.msgpack.decode(packet, type=Dialled)
    except TimeoutError:
        raise DialFailed(
            FailureKind.CONNECT_TIMEOUT, "the connection was not made in time"
        ) from None
    except (OSError, msgspec.MsgspecError):
        raise DialFailed(FailureKind.REFUSED, "nobody is there to dial") from None
    if not descriptors:
        raise DialFailed(said.kind or FailureKind.REFUSED, said.message)
    return socket.socket(fileno=descriptors[0])


class Loop(asyncio.SelectorEventLoop):
    """An event loop that has its connections made."""

    def __init__(self, dialler: Dialler) -> None:
        super().__init__()
        self._dialler = dialler

    # Both are typed as the standard library's are: by whoever calls them.
    async def create_connection(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str,
        port: int,
        *,
        ssl: Any = None,
        server_hostname: str | None = None,
        **_: object,
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        made = await self._dialler.connect(host, port)
        name = (server_hostname or host) if ssl else None
        return await super().create_connection(
            protocol_factory, sock=made, ssl=ssl, server_hostname=name
        )

    async def getaddrinfo(  # type: ignore[override]
        self, host: str | bytes, port: int, **_: object
    ) -> list[Row]:
        """One address, which is the name itself."""
        name = host.decode("ascii") if isinstance(host, bytes) else host
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (name, port))]


def take_over(dialler: Dialler) -> None:
    """From now on blocking code has its connections made, too."""
    socket.create_connection = dialler.create_connection  # type: ignore[assignment]
    urllib3_connection.create_connection = dialler.create_connection
