"""Apps that ask one thing after another, and look at every answer.

One that is told to wait waits, but no longer than ``MOST_WAIT``: what is measured is what the
gateway does with those that come too early, too.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import httptools

from tests.faults.verdict import INVALID, WAITS, verdict

TOKENS = 8
MOST_WAIT = 1.0
PATIENCE = 20.0
"""Seconds within which every answer must have ended."""


@dataclass(frozen=True, slots=True)
class Answer:
    """``began`` and ``ended`` are of the monotonic clock, in seconds; ``words`` is the verdict and
    ``by`` the channel of the target that served it, empty where none did.
    """

    began: float
    ended: float
    words: str
    by: str

    @property
    def served(self) -> bool:
        return self.words == "a whole answer"

    @property
    def broken(self) -> bool:
        """Neither a good answer nor an error that the API has."""
        return self.words.startswith(INVALID)


@dataclass(slots=True)
class Apps:
    """``count`` of them, each on a connection of its own, that wait ``pause`` seconds between two
    requests.
    """

    port: int
    key: str
    model: str
    count: int
    pause: float = 0.0
    answers: list[Answer] = field(default_factory=list)
    ended: bool = False

    async def run(self) -> None:
        """Ask until ``ended`` is set, and wait for what is under way."""
        loop = asyncio.get_running_loop()
        apps = [
            (await loop.create_connection(lambda: _App(self), "127.0.0.1", self.port))[1]
            for _ in range(self.count)
        ]
        try:
            await asyncio.gather(*(app.ask_on() for app in apps))
        finally:
            for app in apps:
                app.close()

    @property
    def request(self) -> bytes:
        question = [{"role": "user", "content": "In which country is the city of Paris?"}]
        body = {"model": self.model, "max_tokens": TOKENS, "messages": question}
        # So that the local model has something to say.
        raw = json.dumps({**body, "temperature": 0, "ignore_eos": True}).encode()
        return (
            "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
            f"content-type: application/json\r\nauthorization: Bearer {self.key}\r\n"
            f"content-length: {len(raw)}\r\n\r\n"
        ).encode() + raw


class _App(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, apps: Apps) -> None:
        self._apps = apps
        self._request = apps.request
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[str] | None = None
        self._begin()

    async def ask_on(self) -> None:
        while not self._apps.ended:
            began = time.monotonic()
            words = await self._ask()
            if words in WAITS and not self._wait:
                words = f"{INVALID}: {words} without Retry-After"
            self._apps.answers.append(Answer(began, time.monotonic(), words, self._by))
            if self._transport is None:
                return
            await asyncio.sleep(max(min(self._wait, MOST_WAIT), self._apps.pause))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    async def _ask(self) -> str:
        self._begin()
        if self._transport is None:
            return f"{INVALID}: the connection was closed"
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(self._request)
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._answer
        except TimeoutError:
            self._transport.abort()
            self._transport = None
            return f"{INVALID}: no end within {PATIENCE:g} s"

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._body = bytearray()
        self._by = ""
        self._wait = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._end(f"{INVALID}: the connection was closed within the answer")

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        match name.lower():
            case b"x-gateway-served-by":
                self._by = value.decode().partition("/")[0]
            case b"retry-after":
                self._wait = float(value)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        self._end(verdict(status, bytes(self._body), self._apps.model, stream=False))

    def _end(self, words: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(words)


def counted(answers: Sequence[Answer]) -> dict[str, int]:
    """How many of each verdict."""
    return dict(Counter(answer.words for answer in answers).most_common())
