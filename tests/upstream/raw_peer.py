"""A peer on a real socket that answers with bytes as they are, and closes as it is told."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.domain.call import Api, Call, Chat
from gateway.domain.events import Event, Failed, Finished, Relayed
from gateway.upstream.channel import Channel
from gateway.upstream.guard import EgressGuard
from gateway.upstream.relay import RelayBackend
from tests.simulators.loops import shut
from tests.upstream.conftest import TARGET, NoDeepSeek

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""What is done on a connection instead of reading a request and answering it."""


@dataclass
class RawPeer:
    """``connections`` counts those accepted, ``requests`` the requests read whole (head and body)
    with the number of their connection. Each answer is ``answer``, in pieces of ``size`` bytes;
    ``then`` is what follows it: ``keep``, ``close``, ``half`` (FIN, and the reading side stays
    open) or ``reset``.
    """

    answer: bytes = b""
    size: int = 1 << 30
    then: str = "keep"
    script: Script | None = None
    port: int = 0
    connections: int = 0
    requests: list[tuple[int, bytes]] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        writer.transport.get_extra_info("socket").setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )
        try:
            if self.script is not None:
                await self.script(reader, writer)
            else:
                while await self._answered(number, reader, writer):
                    pass
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # the peer has gone, or the test is over
        finally:
            writer.close()

    async def _answered(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        request = await read_request(reader)
        self.requests.append((number, request))
        answer, then = self.answer, self.then
        for at in range(0, len(answer), self.size):
            writer.write(answer[at : at + self.size])
            await writer.drain()
            # Whoever is on the other side of this loop reads this piece by itself.
            await asyncio.sleep(0)
        if then == "half":
            writer.write_eof()
            await reader.read()
        elif then == "reset":
            reset(writer)
        return then == "keep"


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """A request's head and body. Raises ``EOFError`` where there is none."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head + await reader.readexactly(length)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def raw_peer(
    peer: RawPeer, tls: ssl.SSLContext | None = None, *, receive: int | None = None
) -> AsyncIterator[RawPeer]:
    """The peer, listening on 127.0.0.1 in this event loop; ``receive`` is the size of its
    sockets' receive buffers in bytes.
    """
    sock = socket.socket()
    if receive is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    sock.bind(("127.0.0.1", 0))
    server = await asyncio.start_server(peer.serve, sock=sock, ssl=tls, limit=1 << 16)
    peer.port = sock.getsockname()[1]
    try:
        yield peer
    finally:
        await shut(server)
        for task in peer.tasks:
            task.cancel()
        await asyncio.gather(*peer.tasks, return_exceptions=True)


def call(text: str = "hi", *, stream: bool = False, alone: bool = False) -> Call:
    """A chat completion that asks ``text``; ``alone`` is as in ``Call``."""
    now = time.monotonic()
    body = b'{"model":"gpt-4o","messages":[{"role":"user","content":"%b"}]}' % text.encode()
    return Call("1", Api.CHAT, "gpt-4o", stream, body, Chat(()), now, now + 30, alone=alone)


@dataclass
class Relay:
    """A relay to one channel, and what its attempts come to."""

    backend: RelayBackend

    async def ask(self, text: str = "hi", *, alone: bool = False) -> Failed | str:
        """The failure, or the answer as the app gets it."""
        batches = self.backend.attempt(TARGET, call(text, alone=alone))
        events: list[Event] = [event async for batch in batches for event in batch]
        last = events[-1]
        if isinstance(last, Failed):
            return last
        assert isinstance(last, Finished)
        return b"".join(event.data for event in events if isinstance(event, Relayed)).decode()


@asynccontextmanager
async def relay_to(channel: Channel) -> AsyncIterator[Relay]:
    backend = RelayBackend({"vendor": channel}, EgressGuard(), NoDeepSeek())
    try:
        yield Relay(backend)
    finally:
        await backend.close()
