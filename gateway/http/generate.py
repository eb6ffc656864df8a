"""Paths that answer by a model, in whichever dialect: raw ASGI, since this is the way of every
request. What is peculiar to a dialect stands in its ``Surface``.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial

import structlog
from msgspec.structs import replace
from starlette.types import Message, Receive, Scope, Send

from gateway.audit.journal import Journal
from gateway.audit.record import Record
from gateway.audit.transcript import Transcript
from gateway.domain.call import Call
from gateway.engine.loop import Engine
from gateway.engine.routes import not_configured
from gateway.errors import (
    BodyLate,
    BodyUnread,
    DeadlinePassed,
    GatewayError,
    InternalFault,
    Unauthenticated,
)
from gateway.http.arrival import Arrival
from gateway.http.door import Door
from gateway.http.exchange import ClientGone, header, peer, read_body
from gateway.http.ids import Names, client_id, names, new_id, traceparent
from gateway.http.quotas import Quotas
from gateway.http.reply import Reply
from gateway.http.surface import Surface

LONGEST_NAME = 256
"""Characters of a model's name, which is written down of every request: none is longer."""


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
            reply = Reply(heard, self.surface, record, given)
            try:
                await self._answer(scope, receive, reply, record, given, transcript)
                return
            except ClientGone:
                return
            except GatewayError as error:
                fault = error
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
        reply: Reply,
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
        body: bytes | None = None
        try:
            # One clock for all of it, which a request pays for once.
            async with asyncio.timeout(self._deadline):
                body = await read_body(scope, receive, self._max_body)
                if transcript is not None:
                    transcript.request = body
                deadline = received + self._deadline
                arrival = Arrival(scope, record.id, received, deadline, caller, given)
                await self._understood(arrival, body, receive, reply, record)
        except TimeoutError:
            late = BodyLate if body is None else DeadlinePassed
            raise late(self._deadline) from None

    async def _understood(
        self, arrival: Arrival, body: bytes, receive: Receive, reply: Reply, record: Record
    ) -> None:
        caller = arrival.caller
        call = await self.surface.call(arrival, body)
        call = replace(call, labels=caller.labels, client_id=record.client_request_id)
        record.model, record.stream = call.model[:LONGEST_NAME], call.stream
        if len(call.model) > LONGEST_NAME or not caller.may_ask(call.model):
            raise not_configured(call.model)
        admission = self._quotas.admit(caller, call)
        reply.rates = admission.headers
        with admission.settling(record):
            await self._serve(call, record, receive, reply)

    async def _serve(self, call: Call, record: Record, receive: Receive, reply: Reply) -> None:
        hang_up = _HangUp(receive)
        try:
            async with aclosing(self._engine.run(call, record)) as events:
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
