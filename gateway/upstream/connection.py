"""One HTTP/1.1 connection: requests out, one answer at a time in, with bounds on what it holds.

Theory of operation. A connection is idle until ``send`` makes it wait for an answer's ``head``, and
then for the pieces to ``read``, until the answer is ``complete``. At any time it can be lost, which
leaves a fault that whoever waits next is given, after the pieces that came before it. ``reset``
makes a finished connection idle again; ``drain`` lets the last bytes of an answer that nobody reads
on arrive first.

Both directions are held back by their reader. Who does not ``read`` stops the peer at
``HIGH_WATER``. A body longer than ``SLICE`` goes out as the peer takes it, written from the
transport's own calls; ``flush`` waits for its end. An answer that comes before that counts, and its
connection is not used again: what a peer has not read of a body, it might take for a request.
"""

from __future__ import annotations

import asyncio
import math
import os
import select
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, cast

from gateway.domain.events import FailureKind
from gateway.upstream.answer import BODY, DONE, HEAD, IDLE, AnswerReader
from gateway.upstream.fault import AttemptFault, StaleConnection
from gateway.upstream.tls import told
from gateway.wire.sent import Sent, joined

Through: TypeAlias = Callable[[Sequence[bytes]], float | None]
"""Takes pieces of a body, as they were sent, from the socket's own call, and says until when (loop
time) more is waited for; ``None`` where they are to be read as usual."""
HIGH_WATER = 256 * 1024
SLICE = 512 * 1024
"""Bytes of a request's body that the transport is given at a time: a prompt of 75,000 tokens goes
out in one call, and is out before its answer comes."""
TICK = 0.001
"""Seconds by which a timer of the loop may come early."""
DRAIN = 2.0
"""Seconds that the end of an answer may take once its last event has been read."""
MOST_SALVAGED = 1024 * 1024


class Connection(asyncio.Protocol):
    """``epoch`` is the pool's; ``reused`` says whether it has carried an answer before."""

    def __init__(self, channel: str, epoch: int, loop: asyncio.AbstractEventLoop) -> None:
        self.channel = channel
        self.epoch = epoch
        self.reused = False
        self.idle_since = 0.0
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._poll: select.poll | None = None
        self._answer = AnswerReader()
        self._fault: AttemptFault | None = None
        self._paused = False
        self._full = False
        self._outgoing: memoryview | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._through: Through | None = None
        self._until = self._rings = math.inf
        self._alarm: asyncio.TimerHandle | None = None
        self._drained: Callable[[Connection], None] | None = None
        self._drain_timer: asyncio.TimerHandle | None = None

    # What the pool and the relay call.

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    @property
    def complete(self) -> bool:
        """Whether the whole answer has come."""
        return self._answer.phase is DONE

    @property
    def headers(self) -> Mapping[bytes, bytes]:
        """The fields of the answer's head, their names in lower case."""
        return self._answer.headers

    @property
    def clean(self) -> bool:
        """Whether another request may be sent: all read, all written, nothing left over."""
        transport = self._transport
        return (
            self._answer.phase is DONE
            and self._answer.keep
            and not self._paused
            and transport is not None
            and not transport.is_closing()
            and transport.get_write_buffer_size() == 0
        )

    @property
    def quiet(self) -> bool:
        """Whether an idle connection is open and nothing has come on it, not even what the event
        loop has yet to see: neither a close, nor what would be taken for the next answer.
        """
        if self._transport is None or self._transport.is_closing():
            return False
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not self._poll.poll(0)

    @property
    def out(self) -> bool:
        """Whether all of the request is out, or need not be any more."""
        return self._outgoing is None

    def send(self, head: bytes, body: Sent) -> None:
        """Send a request whose ``head`` ends where the body's length is to stand. Where it is not
        ``out`` after that, ``flush`` waits for it. Raises ``StaleConnection`` where the peer has
        closed already.
        """
        pieces = (body,) if isinstance(body, bytes) else body
        size = sum(map(len, pieces))
        start = b"%b%d\r\n\r\n" % (head, size)
        if size <= SLICE:
            self._write((start, *pieces))
            return
        transport = self._write((start,))
        # From now on the transport says when it holds anything, and when it holds nothing more; of
        # a mark of 0, TLS would say the former only.
        transport.set_write_buffer_limits(high=1, low=0)
        self._outgoing = memoryview(joined(body))
        self._pump()

    async def flush(self, until: float, patience: float) -> None:
        """Wait until the request is out, or is answered before that. Raises ``AttemptFault``, or
        ``TimeoutError`` at ``until`` (loop time) or where the peer takes nothing for ``patience``
        seconds.
        """
        while self._outgoing is not None and self._answer.phase is HEAD:
            if self._fault is not None:
                raise self._fault
            await self.more(min(until, self._loop.time() + patience))

    def ask(self, request: bytes) -> None:
        """Send a whole request without a body. Raises as ``send`` does."""
        self._write((request,))

    async def head(self, until: float) -> int:
        """Wait for the answer's head; its status. Raises ``AttemptFault`` or ``TimeoutError``."""
        while (status := self.answered()) is None:
            await self.more(until)
        return status

    def answered(self) -> int | None:
        """The status of the answer's head, ``None`` where there is ``more`` to wait for. Raises
        ``AttemptFault``.
        """
        answer = self._answer
        if answer.phase is not HEAD:
            return answer.status
        if self._fault is not None:
            raise self._fault
        return None

    async def read(self, until: float) -> bytes:
        """The next bytes of the body, empty at its end. Raises as ``head`` does."""
        while (data := self.come()) is None:
            await self.more(until)
        return data

    def come(self) -> bytes | None:
        """What has come of the body and was not read: empty at its end, ``None`` where there is
        ``more`` to wait for. Raises ``AttemptFault``.
        """
        answer = self._answer
        if answer.pieces:
            if self._paused:
                self._resume()
            return answer.take()
        if answer.phase is DONE:
            return b""
        if self._fault is not None:
            raise self._fault
        return None

    def more(self, until: float, through: Through | None = None) -> asyncio.Future[None]:
        """Done once something has changed; it raises ``TimeoutError`` at ``until`` (loop time).
        What ``through`` takes of the body meanwhile has changed nothing.

        There is one alarm for all that is waited for on a connection. Each wait ends later than the
        one before as a rule: the alarm is set anew where it rings too early, and not each time.
        """
        self._wait_until(until)
        self._through = through
        waiter = self._waiter = self._loop.create_future()
        return waiter

    def reset(self) -> None:
        """Make a clean connection ready for the next request."""
        self._answer.idle()
        self.reused = True

    def drain(self, drained: Callable[[Connection], None]) -> None:
        """Let the answer's end arrive unread, then call ``drained``; abort if it does not come."""
        self._drained = drained
        self._drain_timer = self._loop.call_later(DRAIN, self.abort)
        self._answer.unread = True
        self._resume()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if self._outgoing is not None:
            self._pump()
            self._wake()

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        phase = answer.phase
        if phase is IDLE or phase is DONE:
            # Nothing was asked: whatever this is, it must not be taken for the next answer.
            answer.keep = False
            self.abort()
            return
        answer.feed(data)
        if self._through is not None and self._went_through(self._through, answer):
            return
        if answer.fault is not None:
            self._fail(answer.fault)
        elif self._outgoing is not None and phase is HEAD and answer.phase is not phase:
            self._answered_early(answer)
        if answer.buffered > HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._after_data()

    def eof_received(self) -> None:
        """The peer sends no more: the end of a body that has no other, else too early."""
        if self._meant():
            self._answer.ended()
        self._lost(None)
        self._wake()
        # The rest of a request is of no use to it; a close would wait until that is out.
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(exc, ConnectionError):
            self._salvage()
        self._transport = None
        self._poll = None
        if self._drain_timer is not None:
            self._drain_timer.cancel()
        if self._alarm is not None:
            self._alarm.cancel()
        self._lost(exc)
        if self._drained is not None:
            drained, self._drained = self._drained, None
            drained(self)
        self._wake()

    # Inside.

    def _write(self, pieces: tuple[bytes | memoryview, ...]) -> asyncio.Transport:
        if self._transport is None or self._transport.is_closing():
            raise StaleConnection("the connection was closed while it was idle")
        self._answer.begin()
        self._transport.writelines(pieces)
        return self._transport

    def _pump(self) -> None:
        """Give the transport as much of the body as it takes."""
        while self._outgoing and not self._full and self._transport is not None:
            piece, self._outgoing = self._outgoing[:SLICE], self._outgoing[SLICE:]
            self._transport.write(piece)
        if not self._outgoing and not self._full:
            self._outgoing = None

    def _answered_early(self, answer: AnswerReader) -> None:
        """The head has come before the request was out."""
        answer.keep = False
        if answer.status >= 300:
            # The peer has made up its mind, and would only throw the rest away.
            self._outgoing = None

    def _went_through(self, through: Through, answer: AnswerReader) -> bool:
        """Whether what has come of a body that goes on was taken at once by who waits for it."""
        waiter = self._waiter
        if waiter is None or waiter.done() or answer.phase is not BODY or answer.fault is not None:
            return False
        if not answer.pieces or (until := through(answer.pieces)) is None:
            return False
        answer.taken()
        self._wait_until(until)
        return True

    def _after_data(self) -> None:
        drained = self._drained
        if drained is not None and self.complete:
            self._drained = None
            if self._drain_timer is not None:
                self._drain_timer.cancel()
                self._drain_timer = None
            drained(self)
            return
        self._wake()

    def _resume(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def _meant(self) -> bool:
        """Whether the peer's end is its own word: below TLS, anybody on the way can forge it
        (RFC 9112, 9.8).
        """
        if self._transport is None:
            return False
        secured = self._transport.get_extra_info("ssl_object")
        if secured is None:
            return True
        try:
            return not secured.read(1)
        except ssl.SSLZeroReturnError:
            return True
        except ssl.SSLError:
            return False

    def _salvage(self) -> None:
        """Read what a peer sent before it reset the connection. A write that fails ends the
        transport although an answer may wait to be read: the one that says why.
        """
        transport, answer = self._transport, self._answer
        if answer.phase in (IDLE, DONE) or self._fault is not None:
            return
        if transport is None or transport.get_extra_info("ssl_object") is not None:
            return
        try:
            # The transport's own socket has no ``recv``.
            with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as sock:
                data = sock.recv(MOST_SALVAGED, socket.MSG_DONTWAIT)
        except OSError:
            return
        if data:
            self.data_received(data)

    def _lost(self, exc: Exception | None) -> None:
        """No more will come."""
        self._outgoing = None
        answer = self._answer
        answer.keep = False
        if answer.phase in (HEAD, BODY) and self._fault is None:
            self._fault = self._loss(answer, exc)

    def _loss(self, answer: AnswerReader, exc: Exception | None) -> AttemptFault:
        if answer.begun:
            return AttemptFault("the answer broke off", FailureKind.TRUNCATED)
        if isinstance(exc, ssl.SSLError):
            return AttemptFault(told(exc), FailureKind.TLS)
        if self.reused:
            return StaleConnection("a kept connection was closed before it answered")
        return AttemptFault("the vendor closed the connection before it answered")

    def _fail(self, message: str) -> None:
        if self._fault is None:
            self._fault = AttemptFault(message, FailureKind.MALFORMED)
        self._outgoing = None
        self.abort()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = self._through = None
            if not waiter.done():
                waiter.set_result(None)

    def _wait_until(self, until: float) -> None:
        self._until = until
        if until < self._rings:
            if self._alarm is not None:
                self._alarm.cancel()
            self._rings = until
            self._alarm = self._loop.call_at(until, self._ring)

    def _ring(self) -> None:
        self._alarm, self._rings = None, math.inf
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        if self._until - self._loop.time() > TICK:
            self._wait_until(self._until)
        else:
            waiter.set_exception(TimeoutError())
