"""What stands at the far end of the wire: a name server, vendors at addresses of their own, and an
ear. All of it is to be made in the outer namespace, by a thread that is inside of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from tests.egress.frames import Packet, question, read
from tests.simulators.loops import abandon, shut

_EVERYTHING = 0x0003
_SOL_PACKET, _STATISTICS = 263, 6
_RCVBUFFORCE, _TIMESTAMPS = 33, 35
"""Of Linux, and without a name in Python: a buffer over the limit; with each frame, its time."""
_OUTGOING = 4
_ROOM = 64 << 20


class Capture:
    """All frames that arrive on an interface of this end, as packets, until it is left. ``lost``
    are those that the kernel had no room for.
    """

    def __init__(self, interface: str) -> None:
        self.packets: list[Packet] = []
        self.lost = 0
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERYTHING))
        self._socket.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, _ROOM)
        self._socket.setsockopt(socket.SOL_SOCKET, _TIMESTAMPS, 1)
        self._socket.bind((interface, 0))
        self._socket.settimeout(0.1)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        counts = self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 8)
        _, self.lost = struct.unpack("II", counts)
        self._socket.close()

    def _listen(self) -> None:
        while True:
            try:
                frame, told, _, source = self._socket.recvmsg(256, 64)
            except TimeoutError:
                # Only a silent wire is left: what was sent before has been read.
                if self._done.is_set():
                    return
                continue
            if source[2] != _OUTGOING:
                seconds, nanoseconds = struct.unpack("qq", told[0][2])
                self.packets.append(read(seconds + nanoseconds / 1e9, frame))


class NameServer:
    """Answers for ``names`` by IPv4, says of every other that there is none, and that it knows no
    addresses of other kinds.
    """

    def __init__(self, address: str, names: Mapping[str, str]) -> None:
        self._names = names
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 53))
        self._socket.settimeout(0.1)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while not self._done.is_set():
            try:
                message, client = self._socket.recvfrom(4096)
            except TimeoutError:
                continue
            self._socket.sendto(self._answer(message), client)

    def _answer(self, message: bytes) -> bytes:
        name, kind = question(message)
        end = message.index(b"\0", 12) + 5
        address = self._names.get(name)
        found = address is not None and kind == "A"
        flags = 0x8180 if address is not None else 0x8183
        head = message[:2] + struct.pack("!HHHHH", flags, 1, int(found), 0, 0)
        record = b""
        if address is not None and found:
            record = struct.pack("!HHHIH", 0xC00C, 1, 1, 0, 4) + socket.inet_aton(address)
        return head + message[12:end] + record


class Door:
    """An address and port at which somebody is reached who listens on 127.0.0.1 of this end."""

    def __init__(self, address: str, port: int, inner: int) -> None:
        self._address, self._port, self._inner = address, port, inner
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        opening = asyncio.start_server(self._serve, self._address, self._port)
        self._server = asyncio.run_coroutine_threadsafe(opening, self._loop).result(10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        await shut(self._server)
        await abandon()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner = await asyncio.open_connection("127.0.0.1", self._inner)
            async with asyncio.TaskGroup() as group:
                group.create_task(_carry(reader, inner[1]))
                group.create_task(_carry(inner[0], writer))
        except* (OSError, asyncio.CancelledError):
            # Nobody is there, or one side broke off: so does the other.
            pass
        finally:
            writer.transport.abort()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """All bytes until the end; then the other side's end too."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        with contextlib.suppress(OSError):
            writer.transport.abort()
