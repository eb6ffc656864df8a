"""An app with many connections, on each of which one request follows another for some seconds.

``python -m benchmarks.operators.client`` prints how many were answered, and ends with 1 where one
was not. The key, if there is one, is its input.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import cast

import httptools
import uvloop

END = b"data: [DONE]"
SCRAPE = 1.0
"""Seconds between two scrapes of ``/metrics``, of which a usual one has 15."""


class App(asyncio.Protocol):
    """One connection. ``answered`` counts; ``fault`` says what went wrong."""

    def __init__(self, request: bytes, *, stream: bool, ended: asyncio.Event) -> None:
        self.answered = 0
        self.fault = ""
        self.closed = asyncio.get_running_loop().create_future()
        self._request = request
        self._stream = stream
        self._ended = ended
        self._parser = httptools.HttpResponseParser(self)
        self._last = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._ended.is_set():
            self.fault = self.fault or "the connection was lost"
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._last = (self._last + body)[-512:]

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        whole = status == 200 and (END in self._last) is self._stream
        if not whole:
            self.fault = f"{status}: {self._last.decode(errors='replace')}"
        if self._ended.is_set() or self.fault:
            self._transport.close()
            return
        self.answered += 1
        self._last = b""
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(self._request)


def _request(given: argparse.Namespace, key: str) -> bytes:
    question = "In which country is the city of Paris, and how is it governed? " * 4
    body = {"model": given.model, "messages": [{"role": "user", "content": question}]}
    if given.kind == "stream":
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    raw = json.dumps(body).encode()
    shown = f"authorization: Bearer {key}\r\n" if key else ""
    return (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        f"content-type: application/json\r\n{shown}content-length: {len(raw)}\r\n\r\n"
    ).encode() + raw


async def _scrape(port: int) -> None:
    while True:
        await asyncio.sleep(SCRAPE)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")
        assert b" 200 " in await reader.readline()
        await reader.read(-1)
        writer.close()


async def run(given: argparse.Namespace, key: str) -> int:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    request, stream = _request(given, key), given.kind == "stream"
    apps = [
        (
            await loop.create_connection(
                lambda: App(request, stream=stream, ended=ended), "127.0.0.1", given.port
            )
        )[1]
        for _ in range(given.connections)
    ]
    scraping = loop.create_task(_scrape(given.port)) if given.scrape else None
    await asyncio.sleep(given.seconds)
    ended.set()
    await asyncio.gather(*(app.closed for app in apps))
    if scraping is not None:
        scraping.cancel()
        await asyncio.gather(scraping, return_exceptions=True)
        assert scraping.cancelled(), scraping.exception()
    faults = {app.fault for app in apps} - {""}
    sys.stderr.write("".join(f"{fault}\n" for fault in faults))
    print(sum(app.answered for app in apps))
    return 1 if faults else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--kind", choices=("plain", "stream"), required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--scrape", type=int, default=0)
    given = parser.parse_args()
    return uvloop.run(run(given, sys.stdin.read().strip()))


if __name__ == "__main__":
    sys.exit(main())
