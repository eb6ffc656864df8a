"""The server that the simulators of other vendors' APIs share: plain HTTP/1.1 on 127.0.0.1, with or
without TLS, that answers in one of a few ways that have names.

A vendor says what its API answers; this says how that goes wrong.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, Self

from tests.simulators.seen import SeenConnection, SeenRequest

WORDS = ("Paris", " is", " the", " capital", " of France.")
TOOL = ("get_weather", {"city": "Paris"})
BEHAVIOURS = frozenset(
    {
        *("answer", "tool", "cut", "end_early", "stall", "stall_mid_stream", "broken_event"),
        *("html", "redirect", "error_event", "other_model", "pause"),
    }
)


class ForeignVendor:
    """``with`` one of its subclasses ``as vendor``. What is answered is the subclass's: ``whole``
    for a plain answer, ``events`` for a stream's pieces, ``refusal`` for an error.
    """

    stream_media: ClassVar[str] = "text/event-stream"

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.connections: list[SeenConnection] = []
        self.requests: list[SeenRequest] = []
        self.hung_up = threading.Event()
        self.model: str | None = None
        self.behaviour = "answer"
        self.options: dict[str, Any] = {}
        self._tls = tls
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.vendor = self
        if tls is not None:
            self._server.tls = tls
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def behave(self, name: str | int, **options: Any) -> Self:
        """Answer the next requests in this way: a status (``message``, ``kind``, ``headers``), or
        ``cut``, ``end_early``, ``stall_mid_stream``, ``broken_event``, ``error_event`` and
        ``pause`` after so many pieces (``after``), ``other_model`` (``model``), or by their name.
        """
        if not isinstance(name, int) and name not in BEHAVIOURS:
            raise ValueError(f"no behaviour {name!r}: {', '.join(sorted(BEHAVIOURS))}")
        self.behaviour, self.options = str(name), options
        return self

    def check(self, request: SeenRequest) -> tuple[int, str] | None:
        """Status and message of the refusal, where the credentials are not right."""
        raise NotImplementedError

    def streams(self, request: SeenRequest) -> bool:
        raise NotImplementedError

    def whole(self, request: SeenRequest) -> bytes:
        raise NotImplementedError

    def events(self, request: SeenRequest) -> Iterator[bytes]:
        raise NotImplementedError

    def refusal(self, status: int, message: str, kind: str) -> tuple[bytes, Mapping[str, str]]:
        """Body and headers of an error."""
        raise NotImplementedError

    def error_event(self) -> bytes:
        raise NotImplementedError

    def close_connections(self) -> None:
        """Close those that are open, and go on listening."""
        for connection in list(self._server.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.behave("answer")
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    vendor: ForeignVendor
    tls: ssl.SSLContext | None = None
    daemon_threads = True
    block_on_close = False

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.open: set[socket.socket] = set()

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.tls is not None:
            request = self.tls.wrap_socket(request, server_side=True)
        self.vendor.connections.append(SeenConnection(time.time(), client_address[1]))
        self.open.add(request)
        try:
            super().finish_request(request, client_address)
        finally:
            self.open.discard(request)
            if self.tls is not None:
                request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A peer that goes away is its job."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        vendor = self.server.vendor
        length = int(self.headers.get("content-length", "0"))
        headers = {name.lower(): value for name, value in self.headers.items()}
        number = len(vendor.connections) - 1
        request = SeenRequest(number, self.path, headers, self.rfile.read(length), time.time())
        vendor.requests.append(request)
        try:
            self._perform(vendor, request)
        except OSError:
            vendor.hung_up.set()
            self.close_connection = True

    def _perform(self, vendor: ForeignVendor, request: SeenRequest) -> None:
        refused = vendor.check(request)
        if refused is not None:
            self._whole(refused[0], *vendor.refusal(*refused, ""))
        elif vendor.behaviour.isdigit():
            options = vendor.options
            status = int(vendor.behaviour)
            message = options.get("message", "Not this time.")
            body, headers = vendor.refusal(status, message, options.get("kind", ""))
            self._whole(status, body, {**headers, **options.get("headers", {})})
        elif vendor.behaviour == "html":
            self._whole(200, b"<html>maintenance</html>", {"content-type": "text/html"})
        elif vendor.behaviour == "redirect":
            self._whole(307, b"", {"location": "http://127.0.0.1:9/elsewhere"})
        elif vendor.behaviour == "stall":
            self._wait()
        elif vendor.streams(request):
            self._stream(vendor, request)
        else:
            vendor.model = vendor.options.get("model")
            self._plain(vendor, vendor.whole(request))

    def _plain(self, vendor: ForeignVendor, body: bytes) -> None:
        if vendor.behaviour == "cut":
            self._head(200, {"content-length": str(len(body))}, "application/json")
            self.wfile.write(body[: len(body) // 2])
            self._reset()
        elif vendor.behaviour == "broken_event":
            self._whole(200, body[:-3], {})
        else:
            self._whole(200, body, {})

    def _stream(self, vendor: ForeignVendor, request: SeenRequest) -> None:
        self._head(200, {"transfer-encoding": "chunked"}, vendor.stream_media)
        vendor.model = vendor.options.get("model")
        after = vendor.options.get("after", 3)
        for number, piece in enumerate(vendor.events(request)):
            if number == after:
                match vendor.behaviour:
                    case "cut":
                        time.sleep(0.05)  # a reset may overtake what was sent before it
                        return self._reset()
                    case "end_early":
                        break
                    case "stall_mid_stream":
                        return self._wait()
                    case "broken_event":
                        self._chunk(b'data: {"type": "content_block_delta", "del\n\n')
                    case "error_event":
                        self._chunk(vendor.error_event())
                        break
                    case "pause":
                        time.sleep(float(vendor.options["seconds"]))
            self._chunk(piece)
        self._chunk(b"")
        return None

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def _whole(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self._head(status, {"content-length": str(len(body)), **headers}, "application/json")
        self.wfile.write(body)

    def _head(self, status: int, headers: Mapping[str, str], media: str) -> None:
        self.send_response(status)
        for name, value in {"content-type": media, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _wait(self) -> None:
        """Until the peer goes away."""
        while self.connection.recv(1024):
            pass
        self.server.vendor.hung_up.set()
        self.close_connection = True

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: the tests ask what was seen."""


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
