"""One HTTP/1.1 connection: requests out, one answer at a time in, with bounds on what it holds.

Theory of operation. A connection is ``IDLE``; ``send`` makes it wait for a ``HEAD``; then the
``BODY`` comes in pieces until the answer is ``DONE``. At any time it can be lost, which leaves a
``fault`` that whoever waits next is given, after the pieces that came before it. ``reset`` makes a
finished connection ``IDLE`` again; ``drain`` lets the last bytes of an answer that nobody reads on
arrive first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import cast

import httptools

from gateway.domain.events import FailureKind
from gateway.upstream.fault import AttemptFault, StaleConnection

MOST_HEAD = 64 * 1024
MOST_HEADERS = 256
"""Header fields of an answer, its trailers and its interim answers included."""
MOST_INTERIM = 16
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
HIGH_WATER = 256 * 1024
DRAIN = 2.0
"""Seconds that the end of an answer may take once its last event has been read."""


class Phase(Enum):
    IDLE = "idle"
    HEAD = "head"
    BODY = "body"
    DONE = "done"


class Connection(asyncio.Protocol):
    """``epoch`` is the pool's; ``reused`` says whether it has carried an answer before."""

    def __init__(self, channel: str, epoch: int, loop: asyncio.AbstractEventLoop) -> None:
        self.channel = channel
        self.epoch = epoch
        self.reused = False
        self.idle_since = 0.0
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._drained: Callable[[Connection], None] | None = None
        self._drain_timer: asyncio.TimerHandle | None = None
        self._begin(Phase.IDLE)

    def _begin(self, phase: Phase) -> None:
        self._phase = phase
        self._pieces: list[bytes] = []
        self._buffered = 0
        self._head_size = 0
        self._fields = 0
        self._interim = 0
        self._answered = False
        self._keep = False
        self._unframed = False
        self._paused = False
        self._fault: AttemptFault | None = None
        self.headers = {}

    # What the pool and the relay call.

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    @property
    def complete(self) -> bool:
        """Whether the whole answer has come."""
        return self._phase is Phase.DONE

    @property
    def clean(self) -> bool:
        """Whether another request may be sent: all read, all written, nothing left over."""
        transport = self._transport
        return (
            self._phase is Phase.DONE
            and self._keep
            and transport is not None
            and not transport.is_closing()
            and transport.get_write_buffer_size() == 0
        )

    def send(self, head: bytes, body: bytes) -> None:
        """Send a request whose ``head`` ends where the body's length is to stand. Raises
        ``StaleConnection`` where the peer has closed already.
        """
        self._write((b"%b%d\r\n\r\n" % (head, len(body)), body))

    def ask(self, request: bytes) -> None:
        """Send a whole request without a body. Raises as ``send`` does."""
        self._write((request,))

    async def head(self, until: float) -> int:
        """Wait for the answer's head; its status. Raises ``AttemptFault`` or ``TimeoutError``."""
        while self._phase is Phase.HEAD:
            if self._fault is not None:
                raise self._fault
            await self._wait(until)
        return self.status

    async def read(self, until: float) -> bytes:
        """The next bytes of the body, empty at its end. Raises as ``head`` does."""
        while not self._pieces:
            if self._phase is Phase.DONE:
                return b""
            if self._fault is not None:
                raise self._fault
            await self._wait(until)
        pieces, self._pieces, self._buffered = self._pieces, [], 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def reset(self) -> None:
        """Make a clean connection ready for the next request."""
        self._begin(Phase.IDLE)
        self.reused = True

    def drain(self, drained: Callable[[Connection], None]) -> None:
        """Let the answer's end arrive unread, then call ``drained``; abort if it does not come."""
        self._drained = drained
        self._drain_timer = self._loop.call_later(DRAIN, self.abort)
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._phase in (Phase.IDLE, Phase.DONE):
            # Nothing was asked: whatever this is, it must not be taken for the next answer.
            self._keep = False
            self.abort()
            return
        self._answered = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail("the answer switches protocols")
        except httptools.HttpParserError:
            self._keep = False
            if not self.complete:
                self._fail("the answer is not HTTP")
        if self._phase is Phase.HEAD:
            self._head_size += len(data)
            self._bound_head()
        elif self._buffered > HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._after_data()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._keep = False
        if self._drain_timer is not None:
            self._drain_timer.cancel()
        if self._phase is Phase.BODY and self._unframed and exc is None:
            self._phase = Phase.DONE
        elif self._phase in (Phase.HEAD, Phase.BODY) and self._fault is None:
            self._fault = self._loss()
        if self._drained is not None:
            drained, self._drained = self._drained, None
            drained(self)
        self._wake()

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self._phase is Phase.DONE:
            self._keep = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_size += len(name) + len(value)
        self._fields += 1
        self._bound_head()
        if self._phase is not Phase.HEAD:
            return
        lowered = name.lower()
        if lowered in _FRAMING and lowered in self.headers:
            self._fail("the answer says twice where it ends")
        self.headers[lowered] = value

    def on_headers_complete(self) -> None:
        # The parser reads on to the end of its data after a fault: nothing of it may count.
        if self._phase is not Phase.HEAD or self._fault is not None:
            return
        self.status = self._parser.get_status_code()
        if 100 <= self.status < 200:
            self._interim += 1
            self.headers = {}
            if self.status == 101 or self._interim > MOST_INTERIM:
                self._fail("the answer does not come to its point")
            return
        lengths = b"content-length" in self.headers
        chunked = b"transfer-encoding" in self.headers
        version = self._parser.get_http_version()
        if lengths and chunked:
            self._fail("the answer has a length and a transfer encoding")
            return
        if version not in ("1.0", "1.1") or (chunked and version == "1.0"):
            self._fail("the answer is not HTTP/1.1")
            return
        if chunked and self.headers[b"transfer-encoding"].lower() != b"chunked":
            self._fail("the answer's transfer encoding is not plain chunks")
            return
        if self.headers.get(b"content-encoding", b"identity").lower() != b"identity":
            self._fail("the answer is encoded in a way that was not asked for")
            return
        self._unframed = not lengths and not chunked and self.status not in (204, 304)
        self._keep = self._parser.should_keep_alive() and not self._unframed
        self._phase = Phase.BODY

    def on_body(self, body: bytes) -> None:
        if self._phase is Phase.BODY and self._drained is None:
            self._pieces.append(body)
            self._buffered += len(body)

    def on_message_complete(self) -> None:
        if self._phase is Phase.BODY and self._fault is None:
            self._phase = Phase.DONE

    # Inside.

    def _write(self, pieces: tuple[bytes, ...]) -> None:
        if self._transport is None or self._transport.is_closing():
            raise StaleConnection("the connection was closed while it was idle")
        self._begin(Phase.HEAD)
        self._transport.writelines(pieces)

    def _after_data(self) -> None:
        drained = self._drained
        if drained is not None and self._phase is Phase.DONE:
            self._drained = None
            if self._drain_timer is not None:
                self._drain_timer.cancel()
                self._drain_timer = None
            drained(self)
            return
        self._wake()

    def _bound_head(self) -> None:
        too_long = self._head_size > MOST_HEAD or self._fields > MOST_HEADERS
        if too_long and self._fault is None:
            self._fail("the answer's head is too long")

    def _loss(self) -> AttemptFault:
        if self._phase is Phase.BODY or self._answered:
            return AttemptFault("the answer broke off", FailureKind.TRUNCATED)
        if self.reused:
            return StaleConnection("a kept connection was closed before it answered")
        return AttemptFault("the vendor closed the connection before it answered")

    def _fail(self, message: str) -> None:
        if self._fault is None:
            self._fault = AttemptFault(message, FailureKind.MALFORMED)
        self._keep = False
        self.abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self, until: float) -> None:
        """Wait until something has changed. Raises ``TimeoutError`` at ``until`` (loop time)."""
        waiter = self._waiter = self._loop.create_future()
        timer = self._loop.call_at(until, _expire, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None


def _expire(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())
