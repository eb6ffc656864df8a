"""Exchanges by ASGI: of all paths with any server, and of those that no model answers with ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, cast

from starlette.types import Message, Receive, Scope, Send

from gateway.errors import BodyLate, GatewayError
from gateway.http.exchange import JSON, Body, ClientGone, Manners, told_of
from gateway.http.head import Head, Header


async def read_body_within(scope: Scope, receive: Receive, limit: int, within: float) -> bytes:
    """The body of a request, as ``Exchange.body``; ``within`` are seconds in which it must have
    come. Raises ``BodyLate``.
    """
    try:
        async with asyncio.timeout(within):
            return await _body(Head.of(scope), receive, limit)
    except TimeoutError:
        raise BodyLate(within) from None


async def _body(head: Head, receive: Receive, limit: int) -> bytes:
    body, more = Body(head, limit), True
    body.check()
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        more = body.add(message.get("body", b"")) and message.get("more_body", False)
    return await body.plain()


async def send_whole(
    send: Send, status: int, body: bytes, headers: Iterable[Header] = (JSON,)
) -> None:
    """Send a complete answer."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


async def send_error(
    send: Send,
    manners: Manners,
    error: GatewayError,
    request_id: str,
    headers: Iterable[Header] = (),
) -> None:
    """Send an error, with ``headers`` beside those that belong to it."""
    body = manners.envelope(error, request_id)
    await send_whole(send, manners.status(error), body, [JSON, *headers, *told_of(error)])


class AsgiExchange:
    """Implements ``Exchange``, for the task that makes it."""

    waits: ClassVar[bool] = True

    def __init__(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        self.head = Head.of(scope)
        self.task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._receive = receive
        self._send = send
        self._limit = limit
        self._messages: list[Message] = []
        self._watching: asyncio.Task[None] | None = None

    async def body(self) -> bytes:
        return await _body(self.head, self._receive, self._limit)

    def watch(self, gone: Callable[[], None] | None) -> None:
        if self._watching is not None:
            self._watching.cancel()
        self._watching = None if gone is None else asyncio.create_task(self._wait(gone))

    async def _wait(self, gone: Callable[[], None]) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        gone()

    def whole(self, status: int, headers: bytes, body: bytes) -> None:
        self._start(status, headers + b"content-length: %d\r\n" % len(body))
        self.end(body)

    def begin(self, status: int, headers: bytes, data: bytes) -> None:
        self._start(status, headers)
        self.go_on(data)

    def go_on(self, data: bytes) -> None:
        self._messages.append({"type": "http.response.body", "body": data, "more_body": True})

    def end(self, data: bytes) -> None:
        self._messages.append({"type": "http.response.body", "body": data})

    @property
    def full(self) -> bool:
        return bool(self._messages)

    async def drain(self) -> None:
        messages, self._messages = self._messages, []
        for message in messages:
            await self._send(message)

    def _start(self, status: int, headers: bytes) -> None:
        parts = (line.partition(b": ") for line in headers.split(b"\r\n")[:-1])
        pairs = [(name, value) for name, _, value in parts]
        self._messages.append({"type": "http.response.start", "status": status, "headers": pairs})
