"""``POST /v1/chat/completions``: raw ASGI, since this is the way of every request."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing

import structlog
from starlette.types import Receive, Scope, Send

from gateway.domain.call import Call, Chat, Dialect
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
    read_body,
    send_error,
    send_whole,
)
from gateway.wire import openai_answer, openai_chat, openai_errors


class ChatCompletions:
    """``max_body`` is in bytes, ``deadline`` in seconds for the whole of a request."""

    def __init__(self, engine: Engine, *, max_body: int, deadline: float) -> None:
        self._engine = engine
        self._max_body = max_body
        self._deadline = deadline
        self._log = structlog.get_logger("gateway.http")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        received = time.monotonic()
        request_id = uuid.uuid4().hex
        reply = _Reply(send, request_id)
        try:
            body = await read_body(scope, receive, self._max_body)
            await self._serve(self._call(request_id, received, body), receive, reply)
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

    def _call(self, request_id: str, received: float, body: bytes) -> Call:
        request = openai_chat.parse(body)
        return Call(
            id=request_id,
            dialect=Dialect.OPENAI,
            model=request.model,
            stream=request.stream,
            body=body,
            task=request.chat,
            received=received,
            deadline=received + self._deadline,
            include_usage=request.include_usage,
            functions=request.functions,
            needs=request.needs,
            session=request.session,
        )


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
    """Turns the engine's events into one HTTP answer in the OpenAI dialect."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._id = (b"x-gateway-request-id", request_id.encode())
        self._request_id = request_id
        self._streaming = False

    async def answer(self, call: Call, events: AsyncGenerator[Told, None]) -> None:
        writer = openai_answer.ChatWriter(
            id=f"chatcmpl-{self._request_id}",
            model=call.model,
            created=int(time.time()),
            include_usage=call.include_usage,
            functions=call.functions,
            scores=isinstance(call.task, Chat) and call.task.logprobs is not None,
        )
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
                case Finished(reasons=reasons):
                    if not call.stream:
                        whole = b"".join(relayed) if relays else writer.whole(reasons)
                        await send_whole(self._send, 200, whole, [JSON, *headers])
                    else:
                        await self._end(b"" if relays else writer.end(reasons))
                case Failed():
                    await self.fail(_broken(event))
                case _:
                    pass

    async def fail(self, error: GatewayError) -> None:
        """An error as a whole answer, or as the event that ends a stream that has begun."""
        if self._streaming:
            await self._end(openai_errors.event(error))
        else:
            await send_error(self._send, error, [self._id])

    def _headers(self, serving: Serving) -> list[Header]:
        headers: list[Header] = [
            self._id,
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
