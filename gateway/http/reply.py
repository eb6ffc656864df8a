"""What the engine tells of a call, as one HTTP answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from functools import lru_cache

from gateway.audit.record import Record
from gateway.audit.transcript import Transcript
from gateway.domain.call import Call
from gateway.domain.events import (
    Called,
    Continued,
    Delta,
    Embedded,
    Failed,
    Finished,
    Reasoned,
    Relayed,
    Started,
    Usage,
)
from gateway.engine.attempt import Serving, Told
from gateway.errors import GatewayError, Unavailable
from gateway.http.exchange import EVENT_STREAM, JSON, Exchange, lines, sound_lines, told_of
from gateway.http.head import Header
from gateway.http.ids import told
from gateway.http.surface import Surface
from gateway.wire.writer import Writer

_STREAMED = lines(
    (
        (b"cache-control", b"no-cache"),
        # Tells nginx and its like not to collect the stream before passing it on.
        (b"x-accel-buffering", b"no"),
    )
)


class Reply:
    """Turns the engine's events into one HTTP answer. ``rates`` gives the headers that tell what is
    left of the limits of whoever asks, in lines as they are sent.
    """

    def __init__(
        self, exchange: Exchange, surface: Surface, record: Record, transcript: Transcript | None
    ) -> None:
        self._exchange = exchange
        self._surface = surface
        self._record = record
        self._heard = transcript.answer if transcript is not None and transcript.heard else None
        self._streaming = False
        self._pieces: list[bytes] = []
        self._writer: Writer | None = None
        self._headers = b""
        self._media: str | None = None
        self.rates: Callable[[], bytes] = bytes

    async def answer(self, call: Call, events: AsyncGenerator[Sequence[Told], None]) -> None:
        exchange, stream = self._exchange, call.stream
        writer = self._writer = self._surface.writer(call)
        relays = False
        async for batch in events:
            for event in batch:
                if type(event) is Relayed:
                    relays = True
                    self._pieces.append(writer.relay(event.data) if stream else event.data)
                elif type(event) is Delta or type(event) is Reasoned or type(event) is Called:
                    if stream:
                        self._pieces.append(writer.piece(event))
                    else:
                        writer.keep(event)
                elif type(event) is Usage:
                    writer.count(event)
                elif type(event) is Serving:
                    self._headers = self._told(event)
                elif type(event) is Started:
                    self._media = event.media
                elif type(event) is Finished:
                    await self._finish(call, writer, event, relays)
                elif type(event) is Embedded:
                    writer.embed(event.vectors)
                elif type(event) is Continued:
                    relays = False
                    writer.resume(event)
                elif type(event) is Failed:
                    if stream and self._pieces:
                        self._send(self._joined())
                    self.fail(_broken(event))
            if stream and self._pieces:
                self._send(self._joined())
            if exchange.full:
                await exchange.drain()

    def onward(self, event: Relayed) -> bool:
        """More of a stream that flows, by the short way: whether it has been sent."""
        exchange, writer = self._exchange, self._writer
        if not self._streaming or writer is None or exchange.full:
            return False
        data = writer.relay(event.data)
        if self._heard is not None:
            self._heard.append(data)
        exchange.go_on(data)
        return True

    async def _finish(self, call: Call, writer: Writer, event: Finished, relays: bool) -> None:
        if call.stream:
            last = writer.relayed_end(event) if relays else writer.end(event)
        else:
            last = writer.relayed_whole(self._joined()) if relays else writer.whole(event)
        await self._surface.settled(call, writer)
        if call.stream:
            self._end(last)
        else:
            self._whole(200, _kind(self._media, JSON) + self._headers, last)

    def fail(self, error: GatewayError, *more: Header) -> None:
        """An error as a whole answer, which has ``more`` headers, or as the event that ends a
        stream that has begun. Where that is of no events, it is left without its end: the
        connection is then closed within the body, and the app sees that something is missing.
        """
        if not self._streaming:
            status = self._surface.status(error)
            body = self._surface.envelope(error, self._record.id)
            headers = lines((JSON, *self._ids(), *more)) + self.rates() + lines(told_of(error))
            self._whole(status, headers, body)
        elif self._media is None:
            last = b"" if self._writer is None else self._writer.broken(error)
            self._end(last or self._surface.event(error, self._record.id))

    def _told(self, serving: Serving) -> bytes:
        target = serving.target
        served = _served(target.id, target.locality, serving.revision)
        # What an app calls its request is well formed, or not taken.
        found = sound_lines(self._ids()) + self.rates() + served
        if serving.failover is not None:
            found += lines(((b"x-gateway-failover", serving.failover.encode()),))
        if serving.warning is not None:
            text = serving.warning.encode("ascii", "replace").replace(b'"', b"'")
            found += lines(((b"warning", b'299 sovereign-gateway "' + text + b'"'),))
        return found

    def _ids(self) -> list[Header]:
        return told(self._surface, self._record.id, self._exchange.head.names)

    def _whole(self, status: int, headers: bytes, body: bytes) -> None:
        self._record.status = status
        self._hear(body)
        self._exchange.whole(status, headers, body)

    def _joined(self) -> bytes:
        """What came together, or of a plain answer all of it."""
        pieces, self._pieces = self._pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _send(self, data: bytes) -> None:
        """Bytes of a stream, which begins with the first of them."""
        if self._heard is not None:
            self._heard.append(data)
        if self._streaming:
            self._exchange.go_on(data)
            return
        self._streaming = True
        self._record.status = 200
        headers = _kind(self._media, EVENT_STREAM) + _STREAMED + self._headers
        self._exchange.begin(200, headers, data)

    def _end(self, data: bytes) -> None:
        data = self._joined() + data
        if not self._streaming:
            self._send(data)
            data = b""
        self._streaming = False
        self._hear(data)
        self._exchange.end(data)

    def _hear(self, data: bytes) -> None:
        if self._heard is not None:
            self._heard.append(data)


@lru_cache(maxsize=1024)
def _served(target: str, locality: str, revision: str) -> bytes:
    return lines(
        (
            (b"x-gateway-served-by", target.encode()),
            (b"x-gateway-locality", locality.encode()),
            (b"x-gateway-policy", revision.encode()),
        )
    )


@lru_cache(maxsize=64)
def _kind(media: str | None, usual: Header) -> bytes:
    """The header that tells of which type an answer is."""
    return lines((usual if media is None else (usual[0], media.encode("ascii")),))


def _broken(failure: Failed) -> GatewayError:
    return Unavailable(
        f"The answer broke off ({failure.kind}); what was sent so far is not complete.",
        code="stream_interrupted",
    )
