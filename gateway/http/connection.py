"""A connection of an app or an operator: uvicorn's, to which the head of a request (its first line
and headers) may be of any length and take any time, and which keeps all of it in memory before
anybody has asked who sends it.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD = 64 * 1024
"""Bytes: other servers take 8 to 48 kB; the token of an issuer alone may have 16."""
HEAD_WITHIN = 30.0
"""Seconds from its first byte or, of the first request, from when the connection was made."""


class HeadTooLarge(Exception):
    """Raised where the parser tells of a header: it then reads no more."""


class Connection(HttpToolsProtocol):
    """A head, or trailers, that are too large are answered 400 and the connection is closed, like
    all that is no HTTP. A head that does not come is closed without a word.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._told = False
        self._untold = 0
        self._size = 0
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._told = False
        super().data_received(data)
        # Of a header that does not end the parser tells nothing, and keeps all there is of it.
        self._untold = 0 if self._told else self._untold + len(data)
        if self._untold > MOST_HEAD and not self.transport.is_closing():
            self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._told = True
        self._size = 0
        if self._late is None:
            self._wait()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._told = True
        self._cancel()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._told = True
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        if max(self._size, self._untold) > MOST_HEAD:
            msg = f"The head of a request may have {MOST_HEAD} bytes."
        super().send_400_response(msg)

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > MOST_HEAD:
            raise HeadTooLarge

    def _wait(self) -> None:
        self._late = self.loop.call_later(HEAD_WITHIN, self._close)

    def _cancel(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _close(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            # The head of the next request is not read while this one is answered.
            self._wait()
        else:
            self.transport.close()
