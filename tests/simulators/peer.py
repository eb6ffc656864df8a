"""A simulator's end of one connection: bytes out, whole or drop by drop, and every way to end."""

from __future__ import annotations

import asyncio
import socket
import struct


class Peer:
    """``drip`` is how many seconds pass between two bytes; ``None`` sends what there is at once.
    The methods that end a connection, or wait for its end, return ``False``: it does not go on.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.drip: float | None = None
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        if self.drip is None:
            self._writer.write(data)
            await self._writer.drain()
            return
        for at in range(len(data)):
            self._writer.write(data[at : at + 1])
            await self._writer.drain()
            await asyncio.sleep(self.drip)

    async def head(self, status: int, media: str, *lines: str) -> None:
        """The head of an answer. ``lines`` are its further fields, each without its end."""
        first = (f"HTTP/1.1 {status} X", f"content-type: {media}")
        await self.send("".join(f"{line}\r\n" for line in (*first, *lines, "")).encode())

    async def body(self, status: int, media: str, body: bytes, *lines: str) -> bool:
        """A whole answer; the connection goes on."""
        await self.head(status, media, *lines, f"content-length: {len(body)}")
        await self.send(body)
        return True

    async def chunk(self, data: bytes) -> None:
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def half_chunk(self, data: bytes) -> None:
        """A chunk that says how long it is, and half of it."""
        await self.send(b"%x\r\n%b" % (len(data), data[: len(data) // 2]))

    async def reset(self) -> bool:
        """RST, once what was sent has had time to arrive: a reset may otherwise overtake it."""
        await asyncio.sleep(0.05)
        reset(self._writer)
        return False

    async def wait(self) -> bool:
        """Say nothing more until the other end goes away."""
        await self._reader.read()
        return False


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN."""
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
