"""One client: a connection on which each request follows the answer to the last.

Answers are looked at only as far as it must be told whether they are good, since what the client
computes is taken from what it measures where both share a core.
"""

from __future__ import annotations

import asyncio
import json
import time
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import cast

import httptools

DONE = b"data: [DONE]"
FAULT = b'data: {"error"'
TAIL = 512
"""Bytes at the end of an answer that are kept: the end of a stream, or what an error says."""


@dataclass(slots=True)
class Tally:
    """What came of all requests. Times are in seconds; ``within`` counts the good answers that
    ended in the time asked for, ``kinds`` what was wrong with the others, ``said`` has an example.
    """

    latencies: array[float] = field(default_factory=lambda: array("d"))
    firsts: array[float] = field(default_factory=lambda: array("d"))
    within: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    said: dict[str, str] = field(default_factory=dict)

    def fault(self, kind: str, said: str = "") -> None:
        self.kinds[kind] += 1
        self.said.setdefault(kind, said)


@dataclass(slots=True)
class Course:
    """What all clients of a load share: what they send, until when (``time.perf_counter``), and how
    many may still be sent.
    """

    request: bytes
    stream: bool
    until: float
    left: int
    tally: Tally = field(default_factory=Tally)

    def more(self) -> bool:
        """Whether another may be sent; it is taken for sent."""
        if self.left <= 0 or time.perf_counter() >= self.until:
            return False
        self.left -= 1
        return True


class Connection(asyncio.Protocol):
    """Sends as long as there is more, and closes. ``closed`` is done with whether the last answer
    was good; ``began`` is when the request on its way was sent, 0 where there is none.
    """

    def __init__(self, course: Course) -> None:
        self.closed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.began = 0.0
        self._course = course
        self._first = 0.0
        self._last = b""
        self._good = True
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fault("no HTTP", str(error))
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.began:
            self._fault("the connection broke off before the answer's end", str(exc or ""))
        if not self.closed.done():
            self.closed.set_result(self._good)

    def hang_up(self) -> None:
        """Nobody waits for the answer any more."""
        self.began = 0.0
        self._transport.close()

    def give_up(self, seconds: float) -> None:
        """It takes too long."""
        self._fault(f"no answer within {seconds:g} s")
        self._transport.abort()

    def on_body(self, body: bytes) -> None:
        if not self._first:
            self._first = time.perf_counter()
        self._last = body if len(body) >= TAIL else (self._last + body)[-TAIL:]

    def on_message_complete(self) -> None:
        ended = time.perf_counter()
        tally, status = self._course.tally, self._parser.get_status_code()
        if status != 200:
            self._fault(*_refusal(status, self._last))
        elif self._course.stream and DONE not in self._last:
            said = self._last[-200:].decode(errors="replace")
            kind = "an error in the stream" if FAULT in self._last else "a stream without its end"
            self._fault(kind, said)
        else:
            tally.latencies.append(ended - self.began)
            if self._course.stream:
                tally.firsts.append(self._first - self.began)
            tally.within += ended <= self._course.until
            self.began = 0.0
        # After a bad answer the caller waits, so that what refuses is not asked ever faster.
        if self._good and self._parser.should_keep_alive():
            self._next()
        else:
            self._transport.close()

    def _next(self) -> None:
        if self._course.more():
            self._first, self._last = 0.0, b""
            self.began = time.perf_counter()
            self._transport.write(self._course.request)
        else:
            self._transport.close()

    def _fault(self, kind: str, said: str = "") -> None:
        self.began = 0.0
        self._good = False
        self._course.tally.fault(kind, said)


def _refusal(status: int, said: bytes) -> tuple[str, str]:
    """Kind and words of an error as vendors and gateways send it."""
    try:
        error = json.loads(said)["error"]
        return f"{status} {error['code'] or error['type']}", str(error["message"])
    except (ValueError, LookupError, TypeError):
        return str(status), said[:200].decode(errors="replace")
