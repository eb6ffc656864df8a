"""A vendor that takes little of the machine, and a sink for telemetry: the same answer to each.

``python -m benchmarks.operators.vendor`` prints its address, and for each line that it is given
how many spans, metrics and requests for answers came. It ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from typing import cast

import httptools
import uvloop

WORDS = 32
_USAGE = {"prompt_tokens": 24, "completion_tokens": WORDS, "total_tokens": 24 + WORDS}
_WHOLE = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "gpt-4o",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "word " * WORDS},
                "finish_reason": "stop",
            }
        ],
        "usage": _USAGE,
    }
).encode()
SOUGHT = b'"stream":true', b'"stream": true'


def _chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return _event({"choices": [choice]})


def _event(fields: dict[str, object]) -> bytes:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000}
    return b"data: %b\n\n" % json.dumps({**head, "model": "gpt-4o", **fields}).encode()


def _plain(type: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n"
    return head % (type, len(body)) + body


def _streamed() -> list[bytes]:
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    events = [
        _chunk({"role": "assistant", "content": ""}),
        *(_chunk({"content": "word "}) for _ in range(WORDS)),
        _chunk({}, "stop"),
        _event({"choices": [], "usage": _USAGE}),
        b"data: [DONE]\n\n",
    ]
    return [head, *(b"%x\r\n%b\r\n" % (len(event), event) for event in events), b"0\r\n\r\n"]


PLAIN = _plain(b"application/json", _WHOLE)
EMPTY = _plain(b"application/x-protobuf", b"")
STREAM = _streamed()


class Peer(asyncio.Protocol):
    """One connection."""

    def __init__(self, seen: Counter[str]) -> None:
        self._seen = seen
        self._parser = httptools.HttpRequestParser(self)
        self._path = b""
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._path = url
        self._body = []

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._seen[self._path.decode().rpartition("/")[2]] += 1
        if not self._path.endswith(b"/completions"):
            self._transport.write(EMPTY)
        elif any(sought in b"".join(self._body) for sought in SOUGHT):
            # Each event in a piece of its own, as from a model that writes.
            for piece in STREAM:
                self._transport.write(piece)
        else:
            self._transport.write(PLAIN)


async def serve() -> None:
    loop = asyncio.get_running_loop()
    seen: Counter[str] = Counter()
    server = await loop.create_server(lambda: Peer(seen), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(seen), flush=True)
    server.close()


if __name__ == "__main__":
    uvloop.run(serve())
