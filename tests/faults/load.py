"""Load on a gateway: requests that arrive when their time has come, whether or not those before
have been answered. Raw sockets and a parser in C, so that it takes little of the machine.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import httptools

from tests.faults.verdict import INVALID, WAITS, verdict

PATIENCE = 15.0
"""Seconds within which every answer must have ended."""
KEPT = 3.0
"""Seconds after which an unused connection is not used again: the gateway closes it after 5."""
LEFT = "the app went away"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of request: the configured ``model``, its share of all of them, and how large its
    bodies are, in bytes.
    """

    model: str
    share: float
    smallest: int
    largest: int


@dataclass(slots=True)
class Request:
    """One request. ``began`` is in seconds since 1970; ``seconds`` until it had ended."""

    number: int
    model: str
    stream: bool
    leaves: bool
    began: float
    id: str = ""
    served_by: str = ""
    failover: str = ""
    told_to_wait: bool = False
    seconds: float = 0.0
    verdict: str = ""


@dataclass(slots=True)
class Tally:
    """What came of all requests: ``began`` by number, ``ids`` those that the gateway gave."""

    began: list[float] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    verdicts: Counter[str] = field(default_factory=Counter)
    served: Counter[str] = field(default_factory=Counter)
    failovers: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    late: float = 0.0
    """How many seconds the load was behind its own time, at worst."""


class Load:
    """``kinds`` with shares that sum up to 1; ``streamed`` and ``leaving`` are shares too."""

    def __init__(
        self,
        port: int,
        kinds: Sequence[Kind],
        *,
        rate: float,
        streamed: float = 0.5,
        leaving: float = 0.02,
        seed: int = 1,
    ) -> None:
        self.tally = Tally()
        self.running = 0
        self._port = port
        self._kinds = kinds
        self._rate = rate
        self._streamed = streamed
        self._leaving = leaving
        self._random = random.Random(seed)
        self._quiet = asyncio.Event()
        self._idle: list[_Connection] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, seconds: float) -> None:
        """Send for so long, and wait for what is still under way."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        end = due + seconds
        while due < end:
            await asyncio.sleep(due - loop.time())
            self.tally.late = max(self.tally.late, loop.time() - due)
            task = asyncio.create_task(self._one())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            due += self._random.expovariate(self._rate)
        try:
            await asyncio.wait_for(self._quiet.wait(), PATIENCE)
        except TimeoutError:
            self.tally.verdicts[f"{INVALID}: no end within {PATIENCE:g} s"] += self.running
        for connection in self._idle:
            connection.close()

    async def _one(self) -> None:
        request, body = self._next()
        self.running += 1
        self._quiet.clear()
        connection = self._connection()
        if connection is None:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(
                lambda: _Connection(self), "127.0.0.1", self._port
            )
        connection.send(request, body)

    def _connection(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.open and time.time() - connection.idle_since < KEPT:
                return connection
            connection.close()
        return None

    def _next(self) -> tuple[Request, bytes]:
        kind = self._random.choices(self._kinds, [kind.share for kind in self._kinds])[0]
        stream = self._random.random() < self._streamed
        leaves = stream and self._random.random() < self._leaving
        request = Request(len(self.tally.began), kind.model, stream, leaves, time.time())
        self.tally.began.append(request.began)
        size = self._random.randint(kind.smallest, kind.largest)
        text = f"{request.number} is a number. " * (size // 24)
        question = [{"role": "user", "content": text + "What comes next?"}]
        body = {
            "model": kind.model,
            "user": str(request.number),
            "stream": stream,
            "max_tokens": 6,
            "ignore_eos": True,  # so that the local model has something to say
            "messages": question,
        }
        return request, json.dumps(body).encode()

    def ended(self, request: Request, connection: _Connection, *, keep: bool) -> None:
        self.running -= 1
        if not self.running:
            self._quiet.set()
        tally = self.tally
        request.seconds = time.time() - request.began
        if request.seconds > PATIENCE:
            request.verdict = f"{INVALID}: no end within {PATIENCE:g} s"
        tally.verdicts[request.verdict] += 1
        tally.seconds.append(request.seconds)
        if request.id:
            tally.ids.add(request.id)
        if request.served_by:
            tally.served[request.served_by.partition("/")[0]] += 1
            tally.failovers[request.failover or "none"] += 1
        if keep:
            connection.idle_since = time.time()
            self._idle.append(connection)
        else:
            connection.close()


class _Connection(asyncio.Protocol):
    """One kept-alive connection, one request at a time."""

    def __init__(self, load: Load) -> None:
        self.idle_since = 0.0
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._request: Request | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body = bytearray()

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def send(self, request: Request, body: bytes) -> None:
        self._request = request
        self._body.clear()
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        if self._transport is None:
            self._end(f"{INVALID}: the connection was closed before the request", keep=False)
            return
        self._transport.write(head.encode() + body)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._end(f"{INVALID}: {error}", keep=False)
        if self._body and self._request is not None and self._request.leaves:
            self._end(LEFT, keep=False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._end(f"{INVALID}: the connection was closed within the answer", keep=False)

    def on_header(self, name: bytes, value: bytes) -> None:
        request = self._request
        if request is None:
            return
        match name:
            case b"x-gateway-request-id":
                request.id = value.decode()
            case b"x-gateway-served-by":
                request.served_by = value.decode()
            case b"x-gateway-failover":
                request.failover = value.decode()
            case b"retry-after":
                request.told_to_wait = value.isdigit()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        request = self._request
        if request is None:
            return
        status = self._parser.get_status_code()
        words = verdict(status, bytes(self._body), request.model, stream=request.stream)
        if words in WAITS and not request.told_to_wait:
            words = f"{INVALID}: {words} without Retry-After"
        self._end(words, keep=self._parser.should_keep_alive())

    def _end(self, words: str, *, keep: bool) -> None:
        if self._request is not None:
            request, self._request = self._request, None
            request.verdict = words
            self._load.ended(request, self, keep=keep)
