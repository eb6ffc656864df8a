"""Paths that answer by a model, in whichever dialect: raw ASGI, since this is the way of every
request. What is peculiar to a dialect stands in its ``Surface``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

import structlog
from starlette.types import Message, Receive, Scope, Send

from gateway.audit.journal import Journal
from gateway.audit.record import Record
from gateway.audit.transcript import Transcript
from gateway.domain.call import Api, Call
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
from gateway.engine.loop import Engine
from gateway.engine.routes import not_configured
from gateway.errors import (
    BodyLate,
    BodyUnread,
    DeadlinePassed,
    GatewayError,
    InternalFault,
    Unauthenticated,
    Unavailable,
)
from gateway.http.arrival import Arrival
from gateway.http.door import Door
from gateway.http.exchange import (
    EVENT_STREAM,
    JSON,
    ClientGone,
    Header,
    Manners,
    header,
    peer,
    read_body,
    send_error,
    send_whole,
)
from gateway.http.ids import Names, client_id, names, new_id, told, traceparent
from gateway.http.quotas import Quotas
from gateway.wire.writer import Writer

LONGEST_NAME = 256
"""Characters of a model's name, which is written down of every request: none is longer."""


class Surface(Manners, Protocol):
    """One path, in one dialect."""

    api: Api

    async def call(self, arrival: Arrival, body: bytes) -> Call:
        """What is asked for. Raises ``RequestError``."""
        ...

    def writer(self, call: Call) -> Writer: ...

    async def settled(self, call: Call, writer: Writer) -> None:
        """An answer is complete, and its last bytes are about to be sent."""
        return


class Generate:
    """``max_body`` is in bytes, ``deadline`` in seconds for the whole of a request."""

    def __init__(
        self,
        engine: Engine,
        door: Door,
        quotas: Quotas,
        journal: Journal,
        surface: Surface,
        *,
        max_body: int,
        deadline: float,
    ) -> None:
        self._engine = engine
        self._door = door
        self._quotas = quotas
        self._journal = journal
        self.surface = surface
        self._max_body = max_body
        self._deadline = deadline
        self._log = structlog.get_logger("gateway.http")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = names(scope)
        record = Record(
            id=new_id(),
            at=datetime.now(UTC),
            api=self.surface.api,
            client_request_id=client_id(given),
            traceparent=traceparent(scope),
            cost=0,
        )
        with self._journal.request(record) as transcript:
            heard = send if transcript is None else _overheard(send, transcript)
            reply = _Reply(heard, self.surface, record, given)
            try:
                await self._answer(scope, receive, reply, record, given, transcript)
                return
            except ClientGone:
                return
            except GatewayError as error:
                fault = error
            except TimeoutError:
                fault = DeadlinePassed(self._deadline)
            except Exception:  # noqa: BLE001 - the engine's edge: one request fails, not the process
                self._log.exception("request_failed")
                fault = InternalFault(f"Internal error; request id {record.id}.")
            record.failed(fault)
            if isinstance(fault, Unauthenticated):
                record.peer = peer(scope)
            if header(scope, b"expect") is not None and not isinstance(
                fault, BodyUnread | BodyLate
            ):
                # Perhaps before its body was asked for: what comes next may be that, or a request.
                reply.more.append((b"connection", b"close"))
            await reply.fail(fault)

    async def _answer(
        self,
        scope: Scope,
        receive: Receive,
        reply: _Reply,
        record: Record,
        given: Names,
        transcript: Transcript | None,
    ) -> None:
        received = time.monotonic()
        caller = self._door.who(scope)
        record.labels = caller.labels
        record.key = None if caller.key is None else caller.key.id
        self._journal.check()
        reply.rates = partial(self._quotas.headers, caller, self.surface.api.dialect)
        body = await read_body(scope, receive, self._max_body, self._deadline)
        if transcript is not None:
            transcript.request = body
        arrival = Arrival(scope, record.id, received, received + self._deadline, caller, given)
        call = await self.surface.call(arrival, body)
        call = replace(call, labels=caller.labels, client_id=record.client_request_id)
        record.model, record.stream = call.model[:LONGEST_NAME], call.stream
        if len(call.model) > LONGEST_NAME or not caller.may_ask(call.model):
            raise not_configured(call.model)
        admission = self._quotas.admit(caller, call)
        reply.rates = admission.headers
        with admission.settling(record):
            await self._serve(call, record, receive, reply)

    async def _serve(self, call: Call, record: Record, receive: Receive, reply: _Reply) -> None:
        hang_up = _HangUp(receive)
        try:
            async with (
                asyncio.timeout(self._deadline),
                aclosing(self._engine.run(call, record)) as events,
            ):
                await reply.answer(call, events)
        except asyncio.CancelledError:
            if hang_up.happened():
                raise ClientGone from None
            raise
        finally:
            hang_up.stop()


def _overheard(send: Send, transcript: Transcript) -> Send:
    """Sends, and writes along what is sent of the answer's body."""
    if not transcript.heard:
        return send

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.body":
            transcript.answer.append(message.get("body", b""))
        await send(message)

    return sending


class _HangUp:
    """Cancels the task that made it when the app closes its connection."""

    def __init__(self, receive: Receive) -> None:
        self._cancelled: asyncio.Task[object] | None = None
        self._serving = asyncio.current_task()
        self._receive = receive
        self._task = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if self._serving is not None:
            self._cancelled = self._serving
            self._serving.cancel()

    def happened(self) -> bool:
        """Whether a cancellation was this one's; it is then taken back, having done its work."""
        if self._cancelled is None:
            return False
        self._cancelled.uncancel()
        return True

    def stop(self) -> None:
        self._task.cancel()


class _Reply:
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

    async def answer(self, call: Call, events: AsyncGenerator[Told, None]) -> None:
        writer = self._writer = self._surface.writer(call)
        relayed: list[bytes] = []
        relays = False
        async for event in events:
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
                        writer.relayed_whole(b"".join(relayed)) if relays else writer.whole(event)
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
