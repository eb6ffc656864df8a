"""A connection of an app or an operator: uvicorn's, to which the head of a request (its first line
and headers) may be of any length and take any time, and which keeps all of it in memory before
anybody has asked who sends it.

What is POSTed to a path that a model answers goes straight there (``gateway.http.straight``), all
else by uvicorn's way, which is ASGI.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from httptools import HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.http.head import Head
from gateway.http.large import LARGE, Inlet
from gateway.http.straight import Line, Route, Straight, StraightExchange

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
        self._in_head = True
        self._late: asyncio.TimerHandle | None = None
        self._idle_since: float | None = None
        self._routes: Mapping[bytes, Route] = {}
        self._line: Line
        self._inlet = Inlet(self)
        self._large: StraightExchange | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._line = Line(transport, self.flow, self.server_state)
        if isinstance(self.app, Straight) and not self.root_path:
            self._routes = self.app.straight(self.server[1] if self.server else None)
        transport.set_protocol(self._inlet)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel()
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        self._line.lost()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._told = False
        super().data_received(data)
        # Of a header that does not end the parser tells nothing, and keeps all there is of it.
        self._untold = 0 if self._told else self._untold + len(data)
        if self._untold > MOST_HEAD and not self.transport.is_closing():
            self.send_400_response("")
        # Most heads are there at once.
        if self._in_head and self._late is None:
            self._wait()
        if self._large is not None:
            self._receive_rest(self._large)

    def rest_received(self) -> None:
        """The rest of a large body came, which no parser has seen."""
        self.parser = _parser(self)
        self.on_message_complete()

    @property
    def unwanted(self) -> bool:
        """Whether nobody waits for the body that comes."""
        return self.cycle.response_complete

    def on_message_begin(self) -> None:
        # The scope is made where somebody needs one.
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._told = self._in_head = True
        self._size = 0

    def on_url(self, url: bytes) -> None:
        self.url += url
        self._size += len(url)
        if self._size > MOST_HEAD:
            raise HeadTooLarge

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))
        self._size += len(name) + len(value)
        if self._size > MOST_HEAD:
            raise HeadTooLarge

    def on_headers_complete(self) -> None:
        self._told = True
        self._in_head = False
        self._cancel()
        route = self._routes.get(self.url)
        if route is None or not self._went_straight(route):
            self._go_by_asgi()

    def on_body(self, body: bytes) -> None:
        self._told = True
        cycle: object = self.cycle
        if not isinstance(cycle, StraightExchange):
            super().on_body(body)
        elif not cycle.response_complete:
            cycle.arrived(body)

    def on_message_complete(self) -> None:
        cycle: object = self.cycle
        if isinstance(cycle, StraightExchange):
            cycle.ended()
        else:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            exchange, by = self.pipeline.pop()
            if isinstance(exchange, StraightExchange):
                exchange.start(by, self.loop)
            else:
                self._start_asgi_task(exchange, by)
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._keep(self.timeout_keep_alive)

    def timeout_keep_alive_handler(self) -> None:
        # One timer outlasts many requests.
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._keep(left)
        else:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        if max(self._size, self._untold) > MOST_HEAD:
            msg = f"The head of a request may have {MOST_HEAD} bytes."
        super().send_400_response(msg)

    def _went_straight(self, route: Route) -> bool:
        parser = self.parser
        if parser.get_method() != b"POST" or parser.should_upgrade():
            return False
        version = parser.get_http_version()
        head = Head(self.headers, self.client[0] if self.client else "", version)
        if head.origin is not None:
            # Whether a page may read the answer is said by what stands around the app.
            return False
        # What follows the body is no header of it.
        self.headers = []
        keeps = version != "1.0" and parser.should_keep_alive()
        before = self.cycle
        exchange: Any = StraightExchange(
            self._line, head, route.max_body, self.on_response_complete, keep_alive=keeps
        )
        self.cycle = exchange
        if LARGE < head.length <= route.max_body and _plain(head):
            self._large = exchange
        if before is None or before.response_complete:
            exchange.start(route, self.loop)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, route))  # type: ignore[arg-type]
        return True

    def _receive_rest(self, exchange: StraightExchange) -> None:
        self._large = None
        if exchange.more_body and not self.transport.is_closing():
            self._inlet.receive(exchange.rest())

    def _go_by_asgi(self) -> None:
        url, headers = self.url, self.headers
        super().on_message_begin()
        super().on_url(url)
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None

    def _keep(self, within: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(within, self.timeout_keep_alive_handler)

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


def _plain(head: Head) -> bool:
    """Whether a body is what is sent after its head, of the length that is said there."""
    return not head.encodings and head.first(b"transfer-encoding") is None


def _parser(connection: Connection) -> HttpRequestParser:
    """A parser for what comes next, as uvicorn makes its own."""
    parser = HttpRequestParser(connection)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser
