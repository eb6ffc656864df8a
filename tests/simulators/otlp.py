"""A receiver of OTLP over HTTP, which keeps what it is sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(slots=True)
class Posted:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Receiver:
    """``status`` and ``location`` are what it answers."""

    port: int
    posted: list[Posted] = field(default_factory=list)
    status: int = 200
    location: str | None = None

    def spans(self) -> list[dict[str, Any]]:
        """All spans so far, their attributes as a mapping."""
        found = []
        for one in [one for one in self.posted if one.path.endswith("/v1/traces")]:
            for resource in _read(ExportTraceServiceRequest, one.body).resource_spans:
                for scope in resource.scope_spans:
                    found += [
                        {
                            "name": span.name,
                            "kind": span.kind,
                            "trace": span.trace_id.hex(),
                            "id": span.span_id.hex(),
                            "parent": span.parent_span_id.hex(),
                            "began": span.start_time_unix_nano,
                            "ended": span.end_time_unix_nano,
                            "status": span.status.code,
                            "of": _values(resource.resource.attributes),
                            **_values(span.attributes),
                        }
                        for span in scope.spans
                    ]
        return found

    def points(self) -> dict[tuple[str, frozenset[tuple[str, Any]]], Any]:
        """The newest point of each histogram, by its name and attributes."""
        found = {}
        for one in [one for one in self.posted if one.path.endswith("/v1/metrics")]:
            for resource in _read(ExportMetricsServiceRequest, one.body).resource_metrics:
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        for point in metric.histogram.data_points:
                            of = frozenset(_values(point.attributes).items())
                            found[metric.name, of] = point
        return found


def _read(kind: Any, body: bytes) -> Any:
    """Messages of protobuf have no annotations."""
    return kind.FromString(body)


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a port of its own."""
    receiver = Receiver(0)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.posted.append(Posted(self.path, headers, body))
            self.send_response(receiver.status)
            if receiver.location is not None:
                self.send_header("location", receiver.location)
            answer = b"" if receiver.status == 200 else repr(headers).encode()
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
