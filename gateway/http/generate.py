"""Paths that answer by a model, in whichever dialect, and by whichever way a request comes: as ASGI
has it, or straight from a connection of ours. What is peculiar to a dialect stands in its
``Surface``.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from functools import partial

import structlog
from msgspec.structs import replace
from starlette.types import Receive, Scope, Send

from gateway.audit.journal import Journal
from gateway.audit.record import Record
from gateway.audit.transcript import Transcript
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
from gateway.http.asgi import AsgiExchange
from gateway.http.door import Door
from gateway.http.ending import Deadlines, Why
from gateway.http.exchange import ClientGone, Exchange
from gateway.http.head import Header
from gateway.http.ids import Ids
from gateway.http.quotas import Quotas
from gateway.http.reply import Reply
from gateway.http.surface import Runs, Surface

LONGEST_NAME = 256
"""Characters of a model's name, which is written down of every request: none is longer."""


class Generate:
    """``max_body`` is in bytes, ``deadline`` in seconds for the whole of a request."""

    def __init__(
        self,
        engine: Runs,
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
        self._dialect = surface.api.dialect
        self.max_body = max_body
        self._deadlines = Deadlines(deadline)
        self._ids = Ids()
        self._log = structlog.get_logger("gateway.http")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = AsgiExchange(scope, receive, send, self.max_body)
        await self.serve(exchange)
        await exchange.drain()

    async def serve(self, exchange: Exchange) -> None:
        """Answers one request."""
        head = exchange.head
        record = Record(
            id=self._ids.new(),
            at=datetime.now(UTC),
            api=self.surface.api,
            client_request_id=head.client_id,
            traceparent=head.traceparent,
            cost=0,
        )
        with self._journal.request(record) as transcript:
            reply = Reply(exchange, self.surface, record, transcript)
            try:
                await self._answer(exchange, reply, record, transcript)
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
                record.peer = head.peer
            more: tuple[Header, ...] = ()
            if head.expects and not isinstance(fault, BodyUnread | BodyLate):
                # Perhaps before its body was asked for: what comes next may be that, or a request.
                more = ((b"connection", b"close"),)
            reply.fail(fault, *more)

    async def _answer(
        self, exchange: Exchange, reply: Reply, record: Record, transcript: Transcript | None
    ) -> None:
        received = time.monotonic()
        caller = self._door.who(exchange.head, record.at)
        record.labels = caller.labels
        record.key = None if caller.key is None else caller.key.id
        self._journal.check()
        reply.rates = partial(self._quotas.headers, caller, self._dialect)
        body: bytes | None = None
        within = self._deadlines.within
        # One clock for all of it.
        ending = self._deadlines.begin(exchange.task)
        try:
            body = await exchange.body()
            if transcript is not None:
                transcript.request = body
            arrival = Arrival(exchange.head, record.id, received, received + within, caller)
            call = await self.surface.call(arrival, body)
            record.model, record.stream = call.model[:LONGEST_NAME], call.stream
            if len(call.model) > LONGEST_NAME or not caller.may_ask(call.model):
                raise not_configured(call.model)
            admission = self._quotas.admit(caller, call)
            reply.rates = admission.headers
            exchange.watch(ending.gone)
            with admission.settling(record):
                if call.stream and not exchange.waits:
                    call = replace(call, onward=reply.onward)
                told = self._engine.run(call, record, exchange.task)
                try:
                    await reply.answer(call, told)
                finally:
                    await told.aclose()
        except asyncio.CancelledError:
            why = ending.cancelled()
            if why is None:
                raise
            if why is Why.GONE:
                raise ClientGone from None
            late = BodyLate if body is None else DeadlinePassed
            raise late(within) from None
        finally:
            ending.stop()
            exchange.watch(None)
