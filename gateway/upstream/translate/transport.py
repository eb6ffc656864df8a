"""The way of litellm's requests to a vendor, and what is remembered of each."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field

import httpx

from gateway.domain.events import FailureKind
from gateway.upstream.fault import AttemptFault
from gateway.upstream.translate.sockets import DialFailed
from gateway.upstream.translate.witness import Reader, Seen, reader

MOST_ERROR = 64 * 1024
MOST_TRIES = 4
"""Connections that may turn out to be closed before a request is given up."""
_EXPIRY = 20.0
"""Seconds that an unused connection is kept."""


@dataclass(slots=True)
class Exchange:
    """What one request came to. ``status`` is that of a refusal, with its ``headers`` and ``body``;
    ``fault`` is why there is no answer, or no end of it.
    """

    seen: Seen = field(default_factory=Seen)
    answered: bool = False
    status: int | None = None
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    body: bytes = b""
    fault: AttemptFault | None = None


_DRAIN = 2.0
"""Seconds that the end of a body may take once its answer is complete."""
_current: ContextVar[Exchange] = ContextVar("exchange")


@contextmanager
def watched() -> Iterator[Exchange]:
    """What is asked of the vendor inside is told here."""
    exchange = Exchange()
    token = _current.set(exchange)
    try:
        yield exchange
    finally:
        _current.reset(token)


class Transport(httpx.AsyncBaseTransport):  # type: ignore[misc] # untyped here
    """HTTP/1.1 with kept connections; ``connect`` is the seconds that making one may take. How long
    an answer may take is for the serving process to say.
    """

    def __init__(self, tls: ssl.SSLContext, connect: float) -> None:
        limits = httpx.Limits(max_connections=None, keepalive_expiry=_EXPIRY)
        self._inner = httpx.AsyncHTTPTransport(verify=tls, trust_env=False, limits=limits)
        self._times = {"connect": connect, "read": None, "write": None, "pool": None}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        exchange = _current.get()
        request.headers["accept-encoding"] = "identity"
        try:
            response = await self._send(request)
            return await _refusal(exchange, response) or _watched(exchange, response)
        except AttemptFault as fault:
            exchange.fault = fault
            raise

    async def aclose(self) -> None:
        """litellm closes the transport after a failure: the connections are not its to close."""

    async def _send(self, request: httpx.Request) -> httpx.Response:
        for _ in range(MOST_TRIES):
            made: list[str] = []

            async def trace(event: str, _: object, made: list[str] = made) -> None:
                if event == "connection.connect_tcp.started":
                    made.append(event)

            request.extensions = {"timeout": self._times, "trace": trace}
            try:
                return await self._inner.handle_async_request(request)
            except httpx.TransportError as error:
                fault = _fault(error)
                if made or not isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError):
                    raise fault from error
        raise fault


class _Stream(httpx.AsyncByteStream):  # type: ignore[misc] # untyped here
    """An answer's body on its way to litellm."""

    def __init__(self, inner: httpx.AsyncByteStream, read: Reader, exchange: Exchange) -> None:
        self._inner = inner
        self._pieces = aiter(inner)
        self._reader = read
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            try:
                async for data in self._pieces:
                    self._reader.feed(data)
                    # litellm reads no further than to an answer's end, where the connection could
                    # not be used again: the rest comes with what has that end.
                    ended = self._exchange.seen.complete
                    yield data + await self._rest() if ended else data
            except httpx.TransportError as error:
                raise AttemptFault("the answer broke off", FailureKind.TRUNCATED) from error
            self._reader.end()
        except AttemptFault as fault:
            self._exchange.fault = fault
            raise

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _rest(self) -> bytes:
        """What comes behind the end of the answer itself, if it comes soon."""
        rest = b""
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN):
                async for data in self._pieces:
                    self._reader.feed(data)
                    rest += data
        await self._inner.aclose()
        return rest


def _watched(exchange: Exchange, response: httpx.Response) -> httpx.Response:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise AttemptFault(
            "the answer is encoded in a way that was not asked for", FailureKind.MALFORMED
        )
    exchange.answered = True
    read = reader(response.headers.get("content-type", ""), exchange.seen)
    return httpx.Response(
        response.status_code,
        headers=response.headers,
        stream=_Stream(_bytes(response), read, exchange),
        extensions=response.extensions,
    )


async def _refusal(exchange: Exchange, response: httpx.Response) -> httpx.Response | None:
    """The answer with what of its body will be read, if it is none that was asked for."""
    if response.status_code == 200:
        return None
    exchange.status, exchange.headers = response.status_code, response.headers
    body = b""
    try:
        async for data in _bytes(response):
            body += data
            if len(body) > MOST_ERROR:
                break
    except httpx.TransportError:
        pass  # what has come of it will do: the status is known
    finally:
        await response.aclose()
    exchange.body = body[:MOST_ERROR]
    kept = {name: response.headers[name] for name in ("content-type",) if name in response.headers}
    return httpx.Response(response.status_code, headers=kept, content=exchange.body)


def _bytes(response: httpx.Response) -> httpx.AsyncByteStream:
    if not isinstance(response.stream, httpx.AsyncByteStream):
        raise AttemptFault("the answer has no body", FailureKind.MALFORMED)
    return response.stream


def _fault(error: httpx.TransportError) -> AttemptFault:
    """What a failure to send or to be answered is, told by what caused it."""
    if isinstance(error, httpx.TimeoutException):
        return AttemptFault("the connection was not made in time", FailureKind.CONNECT_TIMEOUT)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, DialFailed):
            return AttemptFault(cause.message, cause.kind)
        if isinstance(cause, ssl.SSLError):
            return AttemptFault("TLS with the vendor failed", FailureKind.TLS)
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.RemoteProtocolError | httpx.LocalProtocolError):
        if "disconnected" in str(error):
            return AttemptFault("the vendor closed the connection before it answered")
        return AttemptFault("the answer is not HTTP", FailureKind.MALFORMED)
    return AttemptFault("the vendor closed the connection before it answered")
