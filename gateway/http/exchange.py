"""One HTTP exchange with an app, by whichever way it came: a bounded body, and an answer."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Protocol

from gateway.errors import (
    BodyLate,
    BodyTooLarge,
    BodyUnread,
    GatewayError,
    Unauthenticated,
    UnsupportedEncoding,
)
from gateway.http.encodings import ACCEPTED, decoded, encoding
from gateway.http.head import Head, Header
from gateway.http.large import Large

JSON: Header = (b"content-type", b"application/json")
EVENT_STREAM: Header = (b"content-type", b"text/event-stream; charset=utf-8")

DISCARDED = 4
"""A body is read on, and thrown away, up to this many times the limit: a client that is still
sending when its connection is closed sees a reset instead of the 413.
"""
_UNSENDABLE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class ClientGone(Exception):
    """The app closed its connection: nobody is left to answer."""


class Exchange(Protocol):
    """An answer is begun, gone on with and ended, or sent as a whole. All of that is done at once,
    as far as the app takes it: when ``full``, nothing is to be sent before ``drain`` comes back.
    ``headers`` are those of ``lines``. What is sent to an app that is gone is lost without a word.
    ``task`` is the one that answers. Where it ``waits``, nothing goes out before ``drain``.
    """

    head: Head
    task: asyncio.Task[Any]
    waits: ClassVar[bool]

    async def body(self) -> bytes:
        """The whole body, plain. Raises ``BodyTooLarge``, keeping no more than the limit,
        ``UnsupportedEncoding``, ``InvalidRequest`` and ``ClientGone``.
        """
        ...

    def watch(self, gone: Callable[[], None] | None) -> None:
        """Call that when the app goes away before its answer is complete; or nothing any more."""
        ...

    def whole(self, status: int, headers: bytes, body: bytes) -> None: ...

    def begin(self, status: int, headers: bytes, data: bytes) -> None: ...

    def go_on(self, data: bytes) -> None: ...

    def end(self, data: bytes) -> None: ...

    @property
    def full(self) -> bool: ...

    async def drain(self) -> None: ...


class Body:
    """A body as it comes. Of one that is larger than ``limit`` (bytes, as it is sent and as it is
    meant) nothing more is kept.
    """

    __slots__ = ("_head", "_large", "_limit", "_pieces", "_size")

    def __init__(self, head: Head, limit: int) -> None:
        self._head = head
        self._limit = limit
        self._pieces: list[bytes] = []
        self._size = 0
        self._large: Large | None = None

    def check(self) -> None:
        """Raises ``BodyUnread`` where nothing of it needs to be sent."""
        # Whoever asks before sending is spared the sending.
        if self._head.expects and self._head.length > self._limit:
            raise BodyUnread(_too_large(self._limit))

    def add(self, piece: bytes) -> bool:
        """Whether to read on."""
        self._size += len(piece)
        if self._size <= self._limit:
            self._pieces.append(piece)
            return True
        return self._size <= self._limit * DISCARDED

    def rest(self) -> Large:
        """Where the rest comes in, of one that is as long as its head says and within the limit."""
        pieces, self._pieces = self._pieces, []
        self._large = Large(self._head.length, pieces)
        return self._large

    async def plain(self) -> bytes:
        """All of it. Raises ``BodyTooLarge``, ``UnsupportedEncoding`` and ``InvalidRequest``."""
        if self._large is not None:
            return self._large.value()
        if self._size > self._limit:
            unread = self._size > self._limit * DISCARDED
            raise (BodyUnread if unread else BodyTooLarge)(_too_large(self._limit))
        pieces, self._pieces = self._pieces, []
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if not self._head.encodings:
            return body
        name = encoding(b",".join(self._head.encodings))
        if name is None:
            return body
        del pieces
        body = await decoded(body, name, self._limit)
        if len(body) > self._limit:
            raise BodyTooLarge(_too_large(self._limit))
        return body


def _too_large(limit: int) -> str:
    return (
        f"The body is larger than {limit / 1_000_000:g} MB (server.max_body_mb). "
        "Send less, or ask the operator to raise the limit."
    )


def lines(headers: Iterable[Header]) -> bytes:
    """Headers as they are sent, each with its end. Raises ``ValueError`` where a value would be
    more than that.
    """
    given = [*headers]
    if _UNSENDABLE.search(b"".join([value for _, value in given])):
        bad = next(name for name, value in given if _UNSENDABLE.search(value))
        raise ValueError(f"the value of the header {bad.decode()} cannot be sent")
    return sound_lines(given)


def sound_lines(headers: Iterable[Header]) -> bytes:
    """As ``lines``, of headers of our own making."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


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
