"""Paths that answer by a model, in whichever dialect: raw ASGI, since this is the way of every
request. What is peculiar to a dialect stands in its ``Surface``.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

import structlog
from starlette.types import Receive, Scope, Send

from gateway.domain.call import Call
from gateway.domain.events import (
    Called,
    Continued,
    Delta,
    Failed,
    Finished,
    Reasoned,
    Relayed,
    Usage,
)
from gateway.engine.attempt import Serving, Told
from gateway.engine.loop import Engine
from gateway.errors import GatewayError, InternalFault, Unavailable
from gateway.http.exchange import (
    EVENT_STREAM,
    JSON,
    ClientGone,
    Header,
    Manners,
    read_body,
    send_error,
    send_whole,
)


class Writer(Protocol):
    """From events to the bytes of an answer, where the target does not speak the dialect."""

    def piece(self, piece: Delta | Reasoned | Called, /) -> bytes:
        """The bytes of a stream that carry a piece."""
        ...

    def keep(self, piece: Delta | Reasoned | Called, /) -> None:
        """Collect a piece for an answer that is not streamed."""
        ...

    def count(self, usage: Usage, /) -> None: ...

    def resume(self, continued: Continued, /) -> None:
        """Go on with an answer that the app has the beginning of."""
        ...

    def end(self, finished: Finished, /) -> bytes:
        """The last bytes of a stream."""
        ...

    def whole(self, finished: Finished, /) -> bytes:
        """The body of an answer that is not streamed."""
        ...


class Surface(Manners, Protocol):
    """One path, in one dialect."""

    def call(self, scope: Scope, body: bytes, *, id: str, received: float, deadline: float) -> Call:
        """What is asked for. Raises ``InvalidRequest``."""
        ...

    def writer(self, call: Call) -> Writer: ...


class Generate:
    """``max_body`` is in bytes, ``deadline`` in seconds for the whole of a request."""

    def __init__(self, engine: Engine, surface: Surface, *, max_body: int, deadline: float) -> None:
        self._engine = engine
        self.surface = surface
        self._max_body = max_body
        self._deadline = deadline
        self._log = structlog.get_logger("gateway.http")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        received = time.monotonic()
        # An id, and no secret: the kernel need not be asked for it.
        request_id = f"{random.getrandbits(128):032x}"
        reply = _Reply(send, self.surface, request_id)
        try:
            body = await read_body(scope, receive, self._max_body)
            deadline = received + self._deadline
            call = self.surface.call(
                scope, body, id=request_id, received=received, deadline=deadline
            )
            await self._serve(call, receive, reply)
        except ClientGone:
            return
        except GatewayError as error:
            await reply.fail(error)
        except TimeoutError:
            seconds = f"{self._deadline:g}"
            await reply.fail(
                Unavailable(f"No answer within {seconds} s (server.deadline).", code="deadline")
            )
        except Exception:  # noqa: BLE001 - the engine's edge: one request fails, not the process
            self._log.exception("request_failed", request_id=request_id)
            await reply.fail(InternalFault(f"Internal error; request id {request_id}."))

    async def _serve(self, call: Call, receive: Receive, reply: _Reply) -> None:
        hang_up = _HangUp(receive)
        try:
            async with (
                asyncio.timeout(self._deadline),
                aclosing(self._engine.run(call)) as events,
            ):
                await reply.answer(call, events)
        except asyncio.CancelledError:
            if hang_up.happened():
                raise ClientGone from None
            raise
        finally:
            hang_up.stop()


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
    """Turns the engine's events into one HTTP answer."""

    def __init__(self, send: Send, surface: Surface, request_id: str) -> None:
        self._send = send
        self._surface = surface
        self._request_id = request_id
        self._streaming = False

    async def answer(self, call: Call, events: AsyncGenerator[Told, None]) -> None:
        writer = self._surface.writer(call)
        headers: list[Header] = []
        relayed: list[bytes] = []
        relays = False
        async for event in events:
            match event:
                case Serving():
                    headers = self._headers(event)
                    if call.stream:
                        await self._start(headers)
                case Delta() | Reasoned() | Called():
                    if call.stream:
                        await self._piece(writer.piece(event))
                    else:
                        writer.keep(event)
                case Relayed(data=data):
                    relays = True
                    if call.stream:
                        await self._piece(data)
                    else:
                        relayed.append(data)
                case Continued():
                    relays = False
                    writer.resume(event)
                case Usage():
                    writer.count(event)
                case Finished():
                    if not call.stream:
                        whole = b"".join(relayed) if relays else writer.whole(event)
                        await send_whole(self._send, 200, whole, [JSON, *headers])
                    else:
                        await self._end(b"" if relays else writer.end(event))
                case Failed():
                    await self.fail(_broken(event))
                case _:
                    pass

    async def fail(self, error: GatewayError) -> None:
        """An error as a whole answer, or as the event that ends a stream that has begun."""
        if self._streaming:
            await self._end(self._surface.event(error, self._request_id))
        else:
            await send_error(self._send, self._surface, error, self._request_id)

    def _headers(self, serving: Serving) -> list[Header]:
        headers: list[Header] = [
            *self._surface.ids(self._request_id),
            (b"x-gateway-served-by", serving.target.id.encode()),
            (b"x-gateway-locality", serving.target.locality.encode()),
            (b"x-gateway-policy", serving.revision.encode()),
        ]
        if serving.failover is not None:
            headers.append((b"x-gateway-failover", serving.failover.encode()))
        if serving.warning is not None:
            text = serving.warning.encode("ascii", "replace").replace(b'"', b"'")
            headers.append((b"warning", b'299 sovereign-gateway "' + text + b'"'))
        return headers

    async def _start(self, headers: list[Header]) -> None:
        self._streaming = True
        await self._send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [*EVENT_STREAM, *headers],
            }
        )

    async def _piece(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def _end(self, data: bytes) -> None:
        self._streaming = False
        await self._send({"type": "http.response.body", "body": data})


def _broken(failure: Failed) -> GatewayError:
    return Unavailable(
        f"The answer broke off ({failure.kind}); what was sent so far is not complete.",
        code="stream_interrupted",
    )
