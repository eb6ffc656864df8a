"""An HTTP proxy on 127.0.0.1: opens tunnels by CONNECT, records them, and fails as it is told."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from tests.simulators.loops import abandon, shut

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@dataclass(frozen=True, slots=True)
class SeenTunnel:
    """What was asked for (``host:port``), with the head's fields, their names in lower case."""

    authority: str
    headers: dict[str, str]


@dataclass
class ProxySimulator:
    """``tunnels`` holds each request for one; ``connections`` counts what was accepted. All names
    lead to ``vendor``, a port of this machine: the proxy is who resolves them. ``answer`` is what
    it says, and only with a 2xx does it open the way.
    """

    vendor: int
    tls: ssl.SSLContext | None = None
    answer: bytes = ESTABLISHED
    port: int = 0
    connections: int = 0
    tunnels: list[SeenTunnel] = field(default_factory=list)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._run(self._start())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        if self._server is not None:
            await shut(self._server)
        await abandon()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            line, *fields = head.rstrip("\r\n").split("\r\n")
            method, authority, _ = line.split(" ")
            pairs = (field.split(": ", 1) for field in fields)
            self.tunnels.append(SeenTunnel(authority, {n.lower(): v for n, v in pairs}))
            assert method == "CONNECT"
            writer.write(self.answer)
            await writer.drain()
            if self.answer.startswith(b"HTTP/1.1 2") and b"\r\n\r\n" in self.answer:
                await self._carry(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # either end has gone, or the test is over
        finally:
            writer.close()
            # The loop may be stopped right behind this, and would leave the socket open.
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await writer.wait_closed()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.vendor)
        try:
            ways = [
                self._loop.create_task(_copy(reader, back)),
                self._loop.create_task(_copy(there, writer)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        finally:
            back.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
