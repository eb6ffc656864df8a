"""What the engine tells of a call, as one HTTP answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence

from starlette.types import Send

from gateway.audit.record import Record
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
from gateway.http.exchange import EVENT_STREAM, JSON, Header, send_error, send_whole
from gateway.http.ids import Names, told
from gateway.http.surface import Surface
from gateway.wire.writer import Writer


class Reply:
    """Turns the engine's events into one HTTP answer. ``rates`` gives the headers that tell what is
    left of the limits of whoever asks.
    """

    def __init__(self, send: Send, surface: Surface, record: Record, given: Names) -> None:
        self._send = send
        self._surface = surface
        self._record = record
        self._given = given
        self._streaming = False
        self._writer: Writer | None = None
        self._headers: list[Header] = []
        self._media: bytes | None = None
        self.rates: Callable[[], list[Header]] = list
        self.more: list[Header] = []

    async def answer(self, call: Call, events: AsyncGenerator[Sequence[Told], None]) -> None:
        writer = self._writer = self._surface.writer(call)
        relayed: list[bytes] = []
        relays = False
        async for batch in events:
            for event in batch:
                match event:
                    case Serving():
                        self._headers = self._told(event)
                    case Started(media=media):
                        self._media = None if media is None else media.encode("ascii")
                    case Delta() | Reasoned() | Called():
                        if call.stream:
                            await self._piece(writer.piece(event))
                        else:
                            writer.keep(event)
                    case Relayed(data=data):
                        relays = True
                        if call.stream:
                            await self._piece(writer.relay(data))
                        else:
                            relayed.append(data)
                    case Embedded(vectors=vectors):
                        writer.embed(vectors)
                    case Continued():
                        relays = False
                        writer.resume(event)
                    case Usage():
                        writer.count(event)
                    case Finished():
                        if call.stream:
                            last = writer.relayed_end(event) if relays else writer.end(event)
                            await self._surface.settled(call, writer)
                            await self._end(last)
                            continue
                        whole = (
                            writer.relayed_whole(b"".join(relayed))
                            if relays
                            else writer.whole(event)
                        )
                        await self._surface.settled(call, writer)
                        self._record.status = 200
                        await send_whole(self._send, 200, whole, [self._type(JSON), *self._headers])
                    case Failed():
                        await self.fail(_broken(event))

    async def fail(self, error: GatewayError) -> None:
        """An error as a whole answer, or as the event that ends a stream that has begun. Where
        that is of no events, it is left without its end: the server then closes the connection
        within the body, and the app sees that something is missing.
        """
        if self._streaming and self._media is not None:
            self._streaming = False
        elif self._streaming:
            last = b"" if self._writer is None else self._writer.broken(error)
            await self._end(last or self._surface.event(error, self._record.id))
        else:
            self._record.status = self._surface.status(error)
            headers = [*self._ids(), *self.rates()]
            await send_error(self._send, self._surface, error, self._record.id, headers)

    def _told(self, serving: Serving) -> list[Header]:
        headers: list[Header] = [
            *self._ids(),
            (b"x-gateway-served-by", serving.target.id.encode()),
            (b"x-gateway-locality", serving.target.locality.encode()),
            (b"x-gateway-policy", serving.revision.encode()),
            *self.rates(),
        ]
        if serving.failover is not None:
            headers.append((b"x-gateway-failover", serving.failover.encode()))
        if serving.warning is not None:
            text = serving.warning.encode("ascii", "replace").replace(b'"', b"'")
            headers.append((b"warning", b'299 sovereign-gateway "' + text + b'"'))
        return headers

    def _ids(self) -> list[Header]:
        return [*told(self._surface, self._record.id, self._given), *self.more]

    def _type(self, usual: Header) -> Header:
        return usual if self._media is None else (usual[0], self._media)

    async def _piece(self, data: bytes) -> None:
        """Bytes of a stream, which begins with the first of them."""
        if not self._streaming:
            self._streaming = True
            self._record.status = 200
            kind, *rest = EVENT_STREAM
            headers = [self._type(kind), *rest, *self._headers]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def _end(self, data: bytes) -> None:
        if not self._streaming:
            await self._piece(data)
            data = b""
        self._streaming = False
        await self._send({"type": "http.response.body", "body": data})


def _broken(failure: Failed) -> GatewayError:
    return Unavailable(
        f"The answer broke off ({failure.kind}); what was sent so far is not complete.",
        code="stream_interrupted",
    )
