"""A vendor that takes little of the machine, and a sink for telemetry: the same answer to each.

``python -m benchmarks.vendor PORT`` serves until it is ended. ``GET /seen`` tells how many
``completions``, ``traces`` and ``metrics`` came.
"""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request
from collections import Counter
from typing import cast

import httptools
import uvloop

from benchmarks.ground import Ground, free_port

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
        if self._path == b"/seen":
            self._transport.write(_plain(b"application/json", json.dumps(self._seen).encode()))
            return
        self._seen[self._path.decode().rpartition("/")[2]] += 1
        if not self._path.endswith(b"/completions"):
            self._transport.write(EMPTY)
        elif any(sought in b"".join(self._body) for sought in SOUGHT):
            # Each event in a piece of its own, as from a model that writes.
            for piece in STREAM:
                self._transport.write(piece)
        else:
            self._transport.write(PLAIN)


def start(ground: Ground, core: int | None) -> str:
    """Its URL. It runs on that core (``None``: on all) and ends with the ground."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.vendor", str(port)]
    ground.start(command, core=core, name=f"vendor-{port}", ready=port)
    return f"http://127.0.0.1:{port}"


def seen(url: str) -> dict[str, int]:
    """What has come to the vendor at that URL."""
    with urllib.request.urlopen(f"{url}/seen", timeout=10) as answer:  # noqa: S310 - our own
        found: dict[str, int] = json.load(answer)
        return found


async def serve(port: int) -> None:
    seen: Counter[str] = Counter()
    server = await asyncio.get_running_loop().create_server(lambda: Peer(seen), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
