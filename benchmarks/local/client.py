"""Asks one question and takes the times of its answer: over HTTP, or at a worker's own socket.

What the client computes is taken from the servers it shares the cores with, so an answer is read
as it comes and looked at when it has ended.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gateway.domain.call import Chat, Message, Sampling
from gateway.local.protocol import Accepted, Done, Generate, Hello, Refused, Text, reply_decoder
from gateway.local.protocol import encode as frame

CONTENT = re.compile(rb'"content": ?"[^"]')
END = b"data: [DONE]"
READ = 1 << 16


@dataclass(frozen=True, slots=True)
class Question:
    """``tokens`` are generated, whatever the model says; ``system`` may be empty."""

    text: str
    tokens: int
    system: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """Times are in seconds of ``time.perf_counter``. ``fault`` says what went wrong."""

    began: float
    first: float = 0.0
    ended: float = 0.0
    prompt: int = 0
    cached: int = 0
    tokens: int = 0
    fault: str | None = None

    @property
    def wait(self) -> float:
        """Seconds to the first token."""
        return self.first - self.began


class Asking(Protocol):
    """A question on its way. ``accepted`` and ``first`` are set when it has a slot and when its
    first token is here.
    """

    accepted: asyncio.Event
    first: asyncio.Event

    async def answer(self) -> Answer: ...
    def hang_up(self) -> None: ...


class Peer(Protocol):
    """Something that answers. ``tells_accepted``: whether it says when a request gets a slot."""

    name: str
    tells_accepted: bool

    async def ask(self, question: Question) -> Asking: ...


class HttpPeer:
    """A server of chat completions in the OpenAI dialect on this machine."""

    tells_accepted = False

    def __init__(self, name: str, port: int, model: str) -> None:
        self.name = name
        self._port = port
        self._model = model

    async def ask(self, question: Question) -> Asking:
        """On a connection of its own, as apps behind a proxy have it."""
        messages = [{"role": "user", "content": question.text}]
        if question.system:
            messages.insert(0, {"role": "system", "content": question.system})
        body = json.dumps(
            {
                "model": self._model,
                "messages": messages,
                "max_tokens": question.tokens,
                "temperature": 0,
                "ignore_eos": True,
                "stream": True,
                "stream_options": {"include_usage": True},
            }
        ).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            "Content-Type: application/json\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode()
        loop = asyncio.get_running_loop()
        asking = _HttpAsking(time.perf_counter())
        try:
            transport, _ = await loop.create_connection(lambda: asking, "127.0.0.1", self._port)
        except OSError as error:
            asking.connection_lost(error)
        else:
            transport.write(head + body)
        return asking


class _HttpAsking(asyncio.Protocol):
    def __init__(self, began: float) -> None:
        self.accepted = asyncio.Event()
        self.first = asyncio.Event()
        self._began = began
        self._first = 0.0
        self._ended = 0.0
        self._data = bytearray()
        self._closed = asyncio.Event()
        self._transport: asyncio.BaseTransport | None = None
        self._lost: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self._first and CONTENT.search(self._data):
            self._first = time.perf_counter()
            self.accepted.set()
            self.first.set()
        if END in data:
            self._ended = time.perf_counter()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = exc
        self._ended = self._ended or time.perf_counter()
        self.accepted.set()
        self.first.set()
        self._closed.set()

    def hang_up(self) -> None:
        if self._transport is not None:
            self._transport.close()

    async def answer(self) -> Answer:
        await self._closed.wait()
        return _read(bytes(self._data), Answer(self._began, self._first, self._ended), self._lost)


def _read(data: bytes, times: Answer, lost: Exception | None) -> Answer:
    """The figures of a whole answer, or what is wrong with it."""
    head, _, rest = data.partition(b"\r\n\r\n")
    status = head.partition(b"\r\n")[0].decode("ascii", "replace")
    usage: dict[str, int] | None = None
    cached = 0
    for line in rest.split(b"\n"):
        if line.startswith(b"data: {") and b'"usage"' in line:
            found = json.loads(line[6:]).get("usage")
            if found:
                usage = found
                cached = (found.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
    fault = None
    if " 200 " not in status:
        fault = f"{status or lost or 'no answer'}: {rest[:200]!r}"
    elif END not in rest:
        fault = f"the stream broke off: {rest[-200:]!r}"
    elif usage is None:
        fault = "the stream told no usage"
    if fault is not None or usage is None:
        return Answer(times.began, times.first, times.ended, fault=fault)
    tokens = usage["completion_tokens"]
    return Answer(times.began, times.first, times.ended, usage["prompt_tokens"], cached, tokens)


class WorkerPeer:
    """The worker of a running gateway, asked over its Unix socket without the gateway."""

    tells_accepted = True

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self._path = path

    async def ask(self, question: Question) -> Asking:
        messages = [Message("user", question.text)]
        if question.system:
            messages.insert(0, Message("system", question.system))
        sampling = Sampling(temperature=0.0, ignore_end=True)
        chat = Chat(tuple(messages), sampling, max_tokens=question.tokens)
        asking = _WorkerAsking(time.perf_counter())
        await asking.open(self._path, frame(Generate(1, chat)))
        return asking


class _WorkerAsking:
    def __init__(self, began: float) -> None:
        self.accepted = asyncio.Event()
        self.first = asyncio.Event()
        self._began = began
        self._first = 0.0
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[Answer] | None = None

    async def open(self, path: Path, request: bytes) -> None:
        reader, self._writer = await asyncio.open_unix_connection(path)
        self._writer.write(request)
        self._reading = asyncio.create_task(self._read(reader))

    def hang_up(self) -> None:
        if self._writer is not None:
            self._writer.close()

    async def answer(self) -> Answer:
        assert self._reading is not None
        return await self._reading

    async def _read(self, reader: asyncio.StreamReader) -> Answer:
        decoder = reply_decoder()
        fault = "the worker closed the connection"
        try:
            while data := await reader.read(READ):
                for reply in decoder.feed(data):
                    match reply:
                        case Accepted():
                            self.accepted.set()
                        case Text() if not self._first:
                            self._first = time.perf_counter()
                            self.first.set()
                        case Done():
                            return self._whole(reply)
                        case Refused(message=message):
                            fault = message
                            break
                        case Hello() | Text():
                            pass
                        case other:
                            fault = f"unexpected: {other}"
        except ConnectionError as error:
            fault = str(error)
        finally:
            self.hang_up()
            self.accepted.set()
            self.first.set()
        return Answer(self._began, self._first, time.perf_counter(), fault=fault)

    def _whole(self, done: Done) -> Answer:
        return Answer(
            self._began,
            self._first,
            time.perf_counter(),
            done.prompt_tokens,
            done.cached,
            done.completion_tokens,
        )
