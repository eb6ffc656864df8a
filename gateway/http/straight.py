"""Exchanges on a connection of ours, with nothing between the socket and who answers: measured, the
messages, tasks and copies of ASGI cost as much as all else that a relayed request does here.

It stands where uvicorn has a cycle of request and response, and keeps what that keeps: connections
go on or end, requests that come together are answered in their order, whoever waits to be told to
send a body is told, and an answer without a length goes in chunks, but to HTTP/1.0.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from gateway.http.exchange import Body, ClientGone, Exchange
from gateway.http.head import Head
from gateway.http.large import Large

JOINED = 65536
"""Bytes: a larger body is not copied to stand behind its head."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSES = b"\r\nconnection: close\r\n"


class Route(Protocol):
    """Who answers; ``max_body`` is in bytes."""

    max_body: int

    async def serve(self, exchange: Exchange) -> None: ...


@runtime_checkable
class Straight(Protocol):
    """An app that has such paths."""

    def straight(self, port: int | None) -> Mapping[bytes, Route]:
        """Who answers what is POSTed to a path, of those on a port."""
        ...


class Line:
    """What the exchanges of a connection share; ``tasks`` are those that the server waits for when
    it ends.
    """

    __slots__ = ("_lines", "_shared", "_state", "closed", "flow", "serving", "tasks", "transport")

    def __init__(self, transport: asyncio.Transport, flow: FlowControl, state: ServerState) -> None:
        self.transport = transport
        self.flow = flow
        self.serving: StraightExchange | None = None
        self.closed = asyncio.Event()
        self._state = state
        self.tasks = state.tasks
        self._shared: list[tuple[bytes, bytes]] = []
        self._lines = b""

    def shared(self) -> bytes:
        """The headers of all answers, which the server makes anew each second."""
        headers = self._state.default_headers
        if headers is not self._shared:
            self._shared = headers
            self._lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        return self._lines

    def lost(self) -> None:
        """Tells who answers that nobody is there any more."""
        if self.serving is not None:
            self.serving.lost()


class StraightExchange:
    """Implements ``Exchange``, and what uvicorn asks of a cycle: some attributes. ``answered`` is
    called when the answer is complete.
    """

    task: asyncio.Task[Any]
    waits: ClassVar[bool] = False

    __slots__ = (
        "_answered",
        "_body",
        "_chunked",
        "_gone",
        "_line",
        "_waiting",
        "disconnected",
        "head",
        "keep_alive",
        "message_event",
        "more_body",
        "response_complete",
        "response_started",
        "task",
    )

    def __init__(
        self, line: Line, head: Head, limit: int, answered: Callable[[], None], *, keep_alive: bool
    ) -> None:
        self.head = head
        self.keep_alive = keep_alive
        self.message_event = line.closed
        self.disconnected = False
        self.more_body = True
        self.response_started = False
        self.response_complete = False
        self._line = line
        self._body = Body(head, limit)
        self._answered = answered
        self._chunked = False
        self._gone: Callable[[], None] | None = None
        self._waiting: asyncio.Future[None] | None = None

    def start(self, route: Route, loop: asyncio.AbstractEventLoop) -> None:
        """Has it answered. What is left without its end then ends with its connection."""
        self.task = loop.create_task(self._run(route))
        self._line.tasks.add(self.task)

    async def _run(self, route: Route) -> None:
        self._line.serving = self
        self.disconnected = self._line.transport.is_closing()
        try:
            await route.serve(self)
        finally:
            # Not called back for that: it would cost a turn of the loop.
            self._line.tasks.discard(self.task)
            if not self.response_complete and not self.disconnected:
                self._line.transport.close()

    def arrived(self, piece: bytes) -> None:
        """Some of the body came."""
        if not self._body.add(piece):
            self.ended()

    def rest(self) -> Large:
        """What is left of the body comes in there."""
        return self._body.rest()

    def ended(self) -> None:
        """All of the body came, or as much as is of use."""
        self.more_body = False
        self._wake()

    def lost(self) -> None:
        """The app is gone."""
        self.disconnected = True
        self._wake()
        if self._gone is not None:
            self._gone()

    async def body(self) -> bytes:
        self._body.check()
        if self.more_body and not self.disconnected:
            if self.head.expects:
                self._line.transport.write(_CONTINUE)
            self._waiting = self.task.get_loop().create_future()
            await self._waiting
        if self.disconnected:
            raise ClientGone
        return await self._body.plain()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def watch(self, gone: Callable[[], None] | None) -> None:
        self._gone = gone
        if gone is not None and self.disconnected:
            gone()

    def whole(self, status: int, headers: bytes, body: bytes) -> None:
        length = b"content-length: %d\r\n\r\n" % len(body)
        self._start(status, headers, length, body)
        self._complete()

    def begin(self, status: int, headers: bytes, data: bytes) -> None:
        self._chunked = self.head.version != "1.0"
        framing = b"transfer-encoding: chunked\r\n\r\n" if self._chunked else b"\r\n"
        self._start(status, headers, framing, self._chunk(data))

    def go_on(self, data: bytes) -> None:
        if not self.disconnected:
            chunked = self._chunked and data
            # Not ``_chunk``: most of all that is sent in chunks goes through here.
            piece = b"%x\r\n%b\r\n" % (len(data), data) if chunked else data
            self._line.transport.write(piece)

    def end(self, data: bytes) -> None:
        if not self.disconnected:
            last = b"0\r\n\r\n" if self._chunked else b""
            self._line.transport.write(self._chunk(data) + last)
        self._complete()

    @property
    def full(self) -> bool:
        return self._line.flow.write_paused and not self.response_complete

    async def drain(self) -> None:
        await self._line.flow.drain()

    def _start(self, status: int, headers: bytes, framing: bytes, body: bytes) -> None:
        if self.response_started:
            raise RuntimeError("an answer is begun that has begun")
        self.response_started = True
        if self.disconnected:
            return
        shared, closing = self._line.shared(), b""
        if _CLOSES in headers:
            self.keep_alive = False
        elif not self.keep_alive:
            closing = b"connection: close\r\n"
        head = b"".join((STATUS_LINE[status], shared, headers, closing, framing))
        if len(body) <= JOINED:
            self._line.transport.write(head + body)
        else:
            self._line.transport.writelines((head, body))

    def _chunk(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self._chunked and data else data

    def _complete(self) -> None:
        if self.disconnected:
            return
        self.response_complete = True
        self._line.serving = None
        if not self.keep_alive:
            self._line.transport.close()
        self._answered()
