"""An HTTP proxy on the way to a channel: a tunnel through it by CONNECT, for plain HTTP too."""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from dataclasses import dataclass, field
from typing import Self, cast
from urllib.parse import urlsplit

from gateway import __version__
from gateway.domain.events import FailureKind
from gateway.upstream.fault import AttemptFault
from gateway.upstream.framing import FramingError, HeadReader

_HEAD = re.compile(
    rb"HTTP/1\.[01] ([0-9]{3})[^\r\n]*\r\n(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*\r\n)*\r\n"
)
_NOT_ACCEPTED = 407


@dataclass(frozen=True, slots=True)
class Proxy:
    """``tls`` is what checks the proxy's own certificate, ``None`` for ``http://``;
    ``credentials`` are ``user:password``.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    credentials: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str, credentials: str | None, tls: ssl.SSLContext) -> Self:
        """``url`` is ``http(s)://host:port``. Raises ``ValueError``."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port is None:
            raise ValueError("proxy must be http(s)://host:port")
        if credentials is not None and not credentials.partition(":")[1]:
            raise ValueError("proxy_auth must be user:password")
        secured = tls if parts.scheme == "https" else None
        return cls(parts.hostname, parts.port, secured, credentials)

    def request(self, host: str, port: int) -> bytes:
        """The request for a tunnel to ``host`` and ``port``."""
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        lines = [
            f"CONNECT {authority} HTTP/1.1",
            f"Host: {authority}",
            f"User-Agent: sovereign-gateway/{__version__}",
        ]
        if self.credentials is not None:
            encoded = base64.b64encode(self.credentials.encode()).decode("ascii")
            lines.append(f"Proxy-Authorization: Basic {encoded}")
        return "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii")


class Tunnel(asyncio.Protocol):
    """What a connection to a proxy is until the proxy has opened the way."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._transport: asyncio.Transport | None = None
        self._reader = HeadReader()
        self._head = b""
        self._over = False
        self._opened: asyncio.Future[None] = loop.create_future()

    async def open(self, request: bytes) -> asyncio.Transport:
        """Ask for the way; the transport that leads to its other end, its reading paused. Raises
        ``AttemptFault``.
        """
        transport = self._transport
        try:
            if transport is None:
                raise AttemptFault("the proxy closed the connection")
            transport.write(request)
            await self._opened
        except BaseException:
            if transport is not None:
                transport.abort()
            raise
        return transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        try:
            size = self._reader.cut(data)
        except FramingError:
            self._refuse("the proxy's answer is not HTTP, or too long", FailureKind.MALFORMED)
            return
        self._head += data if size is None else data[:size]
        if size is not None:
            self._judge(behind=len(data) > size)

    def eof_received(self) -> None:
        self._refuse("the proxy closed the connection")

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._refuse("the proxy closed the connection")

    def _judge(self, *, behind: bool) -> None:
        found = _HEAD.fullmatch(self._head)
        if found is None:
            self._refuse("the proxy's answer is not HTTP", FailureKind.MALFORMED)
            return
        status = int(found.group(1))
        if status == _NOT_ACCEPTED:
            self._refuse("the proxy does not accept its credentials (407)")
        elif not 200 <= status < 300:
            self._refuse(f"the proxy refused the way to the vendor: it answered {status}")
        elif behind:
            # We have not spoken yet: whoever speaks now is not the vendor.
            self._refuse("the proxy sent more than its answer", FailureKind.MALFORMED)
        else:
            self._over = True
            if self._transport is not None:
                self._transport.pause_reading()
            if not self._opened.done():
                self._opened.set_result(None)

    def _refuse(self, message: str, kind: FailureKind = FailureKind.REFUSED) -> None:
        self._over = True
        if not self._opened.done():
            self._opened.set_exception(AttemptFault(message, kind))
