"""A vendor that speaks the OpenAI dialect on 127.0.0.1 and fails in the way it is told to.

Run on its own with ``python -m tests.simulators.vendor --port N [--behave NAME]``: each connection
and request is a line on standard output.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

from tests.simulators.model_lists import MISSING, listing
from tests.simulators.seen import SeenConnection, SeenRequest

MODEL = "gpt-4o-2024-08-06"
WORDS = ("vendor", " answer", " in", " pieces")
USAGE = {
    "prompt_tokens": 7,
    "completion_tokens": 4,
    "total_tokens": 11,
    "prompt_tokens_details": {"cached_tokens": 2},
}
ERRORS: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", "invalid_value", "Invalid 'temperature'."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    403: ("invalid_request_error", None, "You may not do this."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist."),
    413: ("invalid_request_error", None, "The request is too large."),
    422: ("invalid_request_error", None, "The request cannot be processed."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached."),
    451: ("policy", "unavailable_for_legal_reasons", "Not available."),
    500: ("server_error", None, "The server had an error."),
    503: ("server_error", None, "Overloaded."),
}
BEHAVIOURS = frozenset(
    {
        *("answer", "stall", "stall_mid_stream", "break_off", "html", "empty", "missing_done"),
        *("error_event", "broken_json", "close_after", "other_model", "raw", "refuse"),
        *(str(status) for status in ERRORS),
    }
)


class VendorSimulator:
    """The server lives in a thread and loop of its own, so that tests may block or use asyncio.

    ``connections`` holds each connection ever accepted (with ``tls``: whose handshake was done);
    ``requests`` each request for an answer, ``listed`` each for the list of models; ``open`` is how
    many connections are open now.
    """

    def __init__(
        self, *, port: int = 0, log: bool = False, tls: ssl.SSLContext | None = None
    ) -> None:
        self.connections: list[SeenConnection] = []
        self.requests: list[SeenRequest] = []
        self.listed: list[SeenRequest] = []
        self._port = port
        self._log = log
        self._tls = tls
        self._behaviour = "answer"
        self._options: dict[str, Any] = {}
        self._listing = MISSING
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}/v1"

    @property
    def open(self) -> int:
        return len(self._writers)

    def behave(self, name: str | int, **options: Any) -> Self:
        """Answer the next requests in this way.

        ``refuse``: stop listening, as ``kill`` does, until told otherwise; ``429``, ``503``, …:
        ``retry_after`` (a header's value), ``code``, ``message``, ``type``;
        ``break_off`` and ``stall_mid_stream``: ``after`` (pieces sent before); ``other_model``:
        ``model``; ``answer``: ``delay`` seconds before, ``pause`` between pieces, ``words``,
        ``linger`` between ``[DONE]`` and the end of the body, ``provider`` (what a router says),
        ``content`` (more fields of message and delta), ``headers`` (more lines of the head);
        ``raw``: ``data``, bytes sent as they are, after which the connection is closed unless
        ``keep``.
        """
        if str(name) not in BEHAVIOURS:
            raise ValueError(f"no behaviour {name!r}: {', '.join(sorted(BEHAVIOURS))}")
        before, self._behaviour, self._options = self._behaviour, str(name), options
        if self._behaviour == "refuse":
            self.kill()
        elif before == "refuse":
            self.revive()
        return self

    def list_models(self, shape: str, *models: str) -> Self:
        """Answer ``GET /models`` as such a server does (``tests.simulators.model_lists``)."""
        return self.list_raw(listing(shape, models))

    def list_raw(self, answer: bytes) -> Self:
        """Answer ``GET /models`` with these bytes, with none not at all; it begins with a 404."""
        self._listing = answer
        return self

    def kill(self) -> None:
        """Close the listener and reset every connection, as a process that dies does."""
        self._run(self._stop())

    def revive(self) -> None:
        """Listen again on the same port."""
        self._run(self._start())

    def drop_connections(self) -> None:
        """Close every connection, but go on listening."""
        self._run(self._drop())

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._start())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _start(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(
                self._serve,
                "127.0.0.1",
                self._port,
                limit=64 * 1024 * 1024,
                reuse_address=True,
                ssl=self._tls,
            )
            self._port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._drop()

    async def _drop(self) -> None:
        for writer in list(self._writers):
            _reset(writer)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        number = len(self.connections)
        self.connections.append(SeenConnection(time.time(), writer.get_extra_info("peername")[1]))
        self._say(f"connection {number}")
        try:
            while await self._one(number, reader, writer):
                pass
        except (OSError, EOFError, asyncio.CancelledError):
            # The peer went away, or the simulator was told to drop it: both are its job.
            pass
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)
            writer.close()

    async def _one(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Serve one request; whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = SeenRequest(number, first.split()[1], headers, body)
        if first.startswith("GET "):
            self.listed.append(request)
            self._say(f"list {len(self.listed)} on connection {number}: {first}")
            writer.write(self._listing)
            return bool(self._listing or await reader.read())
        self.requests.append(request)
        self._say(f"request {len(self.requests)} on connection {number}: {first}")
        exchange = _Exchange(reader, writer, request.json, self._options)
        return await exchange.perform(self._behaviour)

    def _say(self, line: str) -> None:
        if self._log:
            sys.stdout.write(f"{time.time():.3f} {line}\n")
            sys.stdout.flush()


class _Exchange:
    """One request and the way it is answered."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        request: dict[str, Any],
        options: dict[str, Any],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._stream = bool(request.get("stream"))
        self._usage = bool((request.get("stream_options") or {}).get("include_usage"))
        self._options = options
        self._model = MODEL

    async def perform(self, behaviour: str) -> bool:
        if behaviour.isdigit():
            return await self._refuse(int(behaviour))
        match behaviour:
            case "stall":
                await self._reader.read()
                return False
            case "raw":
                await self._send(self._options["data"])
                return bool(self._options.get("keep"))
            case "html":
                return await self._body(200, "text/html", b"<html><body>proxy</body></html>")
            case "empty":
                return await self._body(200, self._media, b"")
            case "broken_json":
                return await self._broken()
            case "other_model":
                self._model = self._options.get("model", "deepseek-chat")
        await asyncio.sleep(self._options.get("delay", 0))
        if self._stream:
            return await self._streamed(behaviour)
        return await self._plain(behaviour)

    @property
    def _media(self) -> str:
        return "text/event-stream" if self._stream else "application/json"

    async def _refuse(self, status: int) -> bool:
        kind, code, message = ERRORS[status]
        error = {
            "message": self._options.get("message", message),
            "type": self._options.get("type", kind),
            "param": self._options.get("param"),
            "code": self._options.get("code", code),
        }
        extra = ""
        if "retry_after" in self._options:
            extra = f"retry-after: {self._options['retry_after']}\r\n"
        body = json.dumps({"error": error}).encode()
        return await self._body(status, "application/json", body, extra)

    async def _broken(self) -> bool:
        if not self._stream:
            return await self._body(200, self._media, b'{"choices": [{"message"')
        await self._open_stream()
        await self._event({"role": "assistant", "content": WORDS[0]})
        await self._piece(b'data: {"choices": [{"delta"\n\n')
        return await self._close_stream()

    async def _plain(self, behaviour: str) -> bool:
        words = self._options.get("words", WORDS)
        message = {"role": "assistant", "content": "".join(words), "refusal": None}
        message |= self._options.get("content", {})
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        answer = {**self._head("chat.completion"), "choices": [choice], "usage": USAGE}
        body = json.dumps(answer).encode()
        if behaviour in ("break_off", "stall_mid_stream"):
            half = body[: len(body) // 2]
            await self._send(_head(200, "application/json", f"content-length: {len(body)}") + half)
            return await self._break() if behaviour == "break_off" else await self._wait()
        if behaviour == "error_event":
            body = json.dumps({"error": {"message": "late", "type": "server_error"}}).encode()
        elif behaviour == "missing_done":
            await self._send(_head(200, "application/json", f"content-length: {len(body)}"))
            await self._send(body[:-1])
            return False
        extra = self._options.get("headers", "")
        return await self._body(200, "application/json", body, extra) and behaviour != "close_after"

    async def _streamed(self, behaviour: str) -> bool:
        words = self._options.get("words", WORDS)
        fails = behaviour in ("break_off", "stall_mid_stream", "error_event")
        await self._open_stream()
        more = self._options.get("content", {})
        await self._event({"role": "assistant", "content": "", **more})
        for word in words[: self._options.get("after", 2)] if fails else words:
            await self._event({"content": word})
            await asyncio.sleep(self._options.get("pause", 0))
        if behaviour == "break_off":
            return await self._break()
        if behaviour == "stall_mid_stream":
            return await self._wait()
        if behaviour == "error_event":
            error = {"message": "The server had an error.", "type": "server_error", "code": None}
            await self._piece(b"data: " + json.dumps({"error": error}).encode() + b"\n\n")
            return await self._close_stream()
        await self._event({}, "stop")
        if self._usage:
            chunk = {**self._head("chat.completion.chunk"), "choices": [], "usage": USAGE}
            await self._piece(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        if behaviour != "missing_done":
            await self._piece(b"data: [DONE]\n\n")
        await asyncio.sleep(self._options.get("linger", 0))
        return await self._close_stream() and behaviour != "close_after"

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": "chatcmpl-sim",
            "object": kind,
            "created": 1_700_000_000,
            "model": self._model,
            "system_fingerprint": "fp_sim",
            **({"provider": self._options["provider"]} if "provider" in self._options else {}),
        }

    async def _open_stream(self) -> None:
        extra = self._options.get("headers", "")
        await self._send(_head(200, "text/event-stream", f"{extra}transfer-encoding: chunked"))

    async def _close_stream(self) -> bool:
        await self._send(b"0\r\n\r\n")
        return True

    async def _event(self, delta: dict[str, Any], reason: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        chunk = {**self._head("chat.completion.chunk"), "choices": [choice]}
        await self._piece(b"data: " + json.dumps(chunk).encode() + b"\n\n")

    async def _piece(self, data: bytes) -> None:
        await self._send(b"%x\r\n%b\r\n" % (len(data), data))

    async def _body(self, status: int, media: str, body: bytes, extra: str = "") -> bool:
        await self._send(_head(status, media, f"{extra}content-length: {len(body)}") + body)
        return True

    async def _break(self) -> bool:
        # Let what was sent arrive: a reset may otherwise overtake it.
        await asyncio.sleep(0.05)
        _reset(self._writer)
        return False

    async def _wait(self) -> bool:
        await self._reader.read()
        return False

    async def _send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


def _head(status: int, media: str, framing: str) -> bytes:
    return (f"HTTP/1.1 {status} X\r\ncontent-type: {media}\r\n{framing}\r\n\r\n").encode()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN."""
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--behave", default="answer", choices=sorted(BEHAVIOURS - {"raw"}))
    chosen = parser.parse_args()
    with VendorSimulator(port=chosen.port, log=True) as vendor:
        vendor.behave(chosen.behave)
        sys.stdout.write(f"listening on {vendor.url}\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(0)
