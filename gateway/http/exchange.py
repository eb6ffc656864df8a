"""One HTTP exchange as raw ASGI: reading a bounded body, sending an answer or an error."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterable
from typing import Protocol

from starlette.types import Receive, Scope, Send

from gateway.errors import (
    BodyLate,
    BodyTooLarge,
    BodyUnread,
    GatewayError,
    Unauthenticated,
    UnsupportedEncoding,
)
from gateway.http.encodings import ACCEPTED, decoded, encoding

Header = tuple[bytes, bytes]

JSON: Header = (b"content-type", b"application/json")
EVENT_STREAM: tuple[Header, ...] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    # Tells nginx and its like not to collect the stream before passing it on.
    (b"x-accel-buffering", b"no"),
)


DISCARDED = 4
"""A body is read on, and thrown away, up to this many times the limit: a client that is still
sending when its connection is closed sees a reset instead of the 413.
"""


class ClientGone(Exception):
    """The app closed its connection: nobody is left to answer."""


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header of that (lower-case) name."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return None


def peer(scope: Scope) -> str:
    """The address that a request comes from; empty where it has none."""
    client = scope.get("client")
    return str(client[0]) if client else ""


async def read_body_within(scope: Scope, receive: Receive, limit: int, within: float) -> bytes:
    """As ``read_body``; ``within`` are seconds in which it must have come. Raises ``BodyLate``."""
    try:
        async with asyncio.timeout(within):
            return await read_body(scope, receive, limit)
    except TimeoutError:
        raise BodyLate(within) from None


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body, plain. ``limit`` is in bytes, for the body as it is sent and as it is meant.
    Raises ``BodyTooLarge``, keeping no more than that, ``UnsupportedEncoding`` and
    ``InvalidRequest``.
    """
    encodings: list[bytes] = []
    for name, value in scope["headers"]:
        if name == b"content-encoding":
            encodings.append(value)
        elif name == b"expect" and _length(scope) > limit:
            # Whoever asks before sending is spared the sending.
            raise BodyUnread(_too_large(limit))
    body = await _received(receive, limit)
    if not encodings:
        return body
    name = encoding(b",".join(encodings))
    if name is None:
        return body
    body = await decoded(body, name, limit)
    if len(body) > limit:
        raise BodyTooLarge(_too_large(limit))
    return body


async def _received(receive: Receive, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    async for piece in _pieces(receive):
        size += len(piece)
        if size > limit * DISCARDED:
            raise BodyUnread(_too_large(limit))
        if size <= limit:
            pieces.append(piece)
    if size > limit:
        raise BodyTooLarge(_too_large(limit))
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _length(scope: Scope) -> int:
    value = header(scope, b"content-length") or b"0"
    return int(value) if value.isdigit() else 0


async def _pieces(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


def _too_large(limit: int) -> str:
    return (
        f"The body is larger than {limit / 1_000_000:g} MB (server.max_body_mb). "
        "Send less, or ask the operator to raise the limit."
    )


async def send_whole(
    send: Send, status: int, body: bytes, headers: Iterable[Header] = (JSON,)
) -> None:
    """Send a complete answer."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


class Manners(Protocol):
    """How a dialect tells of what went wrong."""

    def ids(self, request_id: str) -> list[Header]:
        """The headers that tell a request's id."""
        ...

    def status(self, error: GatewayError) -> int:
        """The HTTP status of an error."""
        ...

    def envelope(self, error: GatewayError, request_id: str) -> bytes:
        """The JSON body of an error."""
        ...

    def event(self, error: GatewayError, request_id: str) -> bytes:
        """The event that ends a stream which had already begun."""
        ...


async def send_error(
    send: Send,
    manners: Manners,
    error: GatewayError,
    request_id: str,
    ids: Iterable[Header] | None = None,
) -> None:
    """Send an error. ``ids`` are the headers that tell them, where the app has its own."""
    body = manners.envelope(error, request_id)
    ids = manners.ids(request_id) if ids is None else ids
    await send_whole(send, manners.status(error), body, [JSON, *ids, *told_of(error)])


def told_of(error: GatewayError) -> list[Header]:
    """The headers that belong to an error, in every dialect: ``Retry-After`` where waiting helps,
    and what the official SDKs obey: whether to send the request again, and after how many
    milliseconds.
    """
    headers: list[Header] = [(b"x-should-retry", b"true" if error.again else b"false")]
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % math.ceil(error.retry_after)))
        headers.append((b"retry-after-ms", b"%d" % math.ceil(error.retry_after * 1000)))
    if isinstance(error, Unauthenticated):
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, UnsupportedEncoding):
        headers.append((b"accept-encoding", ACCEPTED.encode()))
    if isinstance(error, BodyUnread | BodyLate):
        headers.append((b"connection", b"close"))
    return headers
