"""Traces and metrics by OpenTelemetry, made of records once their requests are over.

The SDK and its OTLP exporter are the usual ones, but for two things. What they send goes out by a
``Post`` of ours, which asks the egress guard, and never by a connection of their own; and their
settings are all given here, so that no ``OTEL_…`` variable opens a way out, or loads anything. It
is imported only where it is configured, since that takes a quarter of a second.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import TimeoutError as NoAnswer
from urllib.parse import urlsplit

import requests
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from requests.adapters import BaseAdapter

from gateway.audit.record import AttemptRecord, Record
from gateway.background import Background
from gateway.telemetry.conventions import (
    attempt_attributes,
    attempt_name,
    attempt_span,
    request_attributes,
    request_span,
)
from gateway.telemetry.post import Post
from gateway.telemetry.tally import COUNTING, outcome
from gateway.telemetry.timing import first_content, rate

WITHIN = 5.0
"""Seconds for one export, with all that is tried of it."""
MOST_WAITING = 10_000
"""Spans that wait to be sent; beyond that the oldest are lost."""
_NOWHERE = "http://otlp.invalid"
"""What the exporters take for their address: a name that leads nowhere."""

_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKEN_SECONDS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_TOKENS = tuple(4**power for power in range(14))
"""Upper bounds as the conventions have them."""


class Otel:
    """For one serving process, whose event loop is running. ``name`` as ``Tally`` has it;
    ``interval`` is in seconds, ``sample`` the share of requests that are traced where nobody has
    decided that already.
    """

    def __init__(
        self,
        post: Post,
        name: Callable[[Record], str],
        background: Background,
        *,
        version: str,
        interval: float,
        sample: float,
    ) -> None:
        self._name = name
        session = _session(post, asyncio.get_running_loop())
        resource = Resource(
            {
                "service.name": "sovereign-gateway",
                "service.version": version,
                "service.instance.id": str(uuid.uuid4()),
            }
        )
        self._tracers = _tracers(session, resource, interval, sample)
        self._tracer = self._tracers.get_tracer("gateway", version)
        self._parents = TraceContextTextMapPropagator()
        self._meters = _meters(session, resource, interval)
        self._instruments = _Instruments(self._meters, version)
        self._queue: queue.SimpleQueue[Sequence[Record]] = queue.SimpleQueue()
        self._ending = threading.Event()
        self._thread = background.thread("otel", self._drain, self._ending)
        self._thread.start()

    def write(self, records: Sequence[Record]) -> None:
        if records:
            self._queue.put(records)

    def close(self) -> None:
        """Send what waits, within about ``WITHIN`` seconds. Blocks: for another thread than the
        event loop's.
        """
        self._ending.set()
        self._queue.put(())
        self._thread.join()
        self._tracers.shutdown()
        self._meters.shutdown(WITHIN * 1000)

    def _drain(self) -> None:
        while records := self._queue.get():
            for record in records:
                model = self._name(record)
                self._trace(record, model)
                self._instruments.take(record, model)

    def _trace(self, record: Record, model: str) -> None:
        began = int(record.at.timestamp() * 1_000_000)
        ended = began + record.duration_us
        carrier = {"traceparent": record.traceparent} if record.traceparent is not None else {}
        span = self._tracer.start_span(
            f"POST /v1/{record.api}",
            context=self._parents.extract(carrier, Context()),
            kind=SpanKind.SERVER,
            attributes=request_span(record, model, outcome(record)),
            start_time=began * 1000,
        )
        within = set_span_in_context(span, Context())
        for attempt, at in _in_time(record.attempts, ended):
            inner = self._tracer.start_span(
                attempt_name(record, attempt),
                context=within,
                kind=SpanKind.CLIENT,
                attributes=attempt_span(record, attempt),
                start_time=at * 1000,
            )
            if attempt.outcome not in ("served", "cancelled"):
                inner.set_status(Status(StatusCode.ERROR, attempt.outcome))
            inner.end((at + attempt.duration_us) * 1000)
        if record.outcome == "broken" or (record.status or 0) >= 500:
            span.set_status(Status(StatusCode.ERROR, outcome(record)))
        span.end(ended * 1000)


class _Instruments:
    """The metrics that the conventions name."""

    def __init__(self, meters: MeterProvider, version: str) -> None:
        meter = meters.get_meter("gateway", version)

        def seconds(
            name: str, text: str, bounds: Sequence[float] = _SECONDS
        ) -> Callable[..., None]:
            return meter.create_histogram(
                name, "s", text, explicit_bucket_boundaries_advisory=bounds
            ).record

        self._operation = seconds(
            "gen_ai.client.operation.duration", "Duration of an attempt on a target."
        )
        self._request = seconds("gen_ai.server.request.duration", "Duration of a request.")
        self._first = seconds(
            "gen_ai.server.time_to_first_token", "Time to the first content of a stream."
        )
        self._each = seconds(
            "gen_ai.server.time_per_output_token",
            "Time for each token of a stream behind the first.",
            _TOKEN_SECONDS,
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Tokens of an attempt.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        ).record

    def take(self, record: Record, model: str) -> None:
        for attempt in record.attempts:
            of = attempt_attributes(record, attempt)
            self._operation(attempt.duration_us / 1e6, of)
            if record.api in COUNTING:
                continue
            for kind, tokens in (
                ("input", attempt.prompt_tokens),
                ("output", attempt.completion_tokens),
            ):
                if tokens is not None:
                    self._tokens(tokens, of | {"gen_ai.token.type": kind})
        of = request_attributes(record, model, outcome(record))
        self._request(record.duration_us / 1e6, of)
        if record.stream and record.outcome == "served" and (first := first_content(record)):
            self._first(first, of)
            if (speed := rate(record, first)) is not None:
                self._each(1 / speed, of)


def _in_time(attempts: Sequence[AttemptRecord], ended: int) -> Iterator[tuple[AttemptRecord, int]]:
    """Each attempt and when it began, in microseconds since the epoch: one right behind the other
    up to the request's end, since the pauses between them are not written down.
    """
    at = ended - sum(attempt.duration_us for attempt in attempts)
    for attempt in attempts:
        yield attempt, at
        at += attempt.duration_us


class _Way(BaseAdapter):
    """How a session of ``requests`` reaches anybody: by our ``Post``, and only where that leads."""

    def __init__(self, post: Post, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._post = post
        self._loop = loop

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: float | tuple[float | None, float | None] | None = None,
        verify: bool | str = True,
        cert: bytes | str | tuple[bytes | str, bytes | str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        limit = timeout if isinstance(timeout, float) else WITHIN
        body = request.body if isinstance(request.body, bytes) else b""
        kind = request.headers.get("content-type", "application/x-protobuf")
        path = urlsplit(str(request.url)).path
        posting = asyncio.run_coroutine_threadsafe(
            _awaited(self._post(path, str(kind), body, limit)), self._loop
        )
        try:
            status = posting.result(limit + 1)
        except NoAnswer:
            posting.cancel()
            raise requests.ConnectTimeout("no answer in time") from None
        except OSError as error:
            raise requests.ConnectionError(str(error)) from None
        if 300 <= status < 400:
            raise requests.exceptions.InvalidURL("it redirects: never followed")
        answer = requests.Response()
        answer.status_code = status
        # What else it says is not for our log: it may say our own headers.
        answer.reason = f"status {status}"
        answer._content = b""
        answer.request = request
        return answer

    def close(self) -> None:
        """There is nothing of its own."""


async def _awaited(posting: Awaitable[int]) -> int:
    return await posting


def _tracers(
    session: requests.Session, resource: Resource, interval: float, sample: float
) -> TracerProvider:
    silent = NoOpMeterProvider()
    tracers = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(sample)),
        resource=resource,
        shutdown_on_exit=False,
        span_limits=SpanLimits(),
        meter_provider=silent,
    )
    tracers.add_span_processor(
        BatchSpanProcessor(
            OTLPSpanExporter(
                f"{_NOWHERE}/v1/traces",
                timeout=WITHIN,
                compression=Compression.NoCompression,
                session=session,
                meter_provider=silent,
            ),
            max_queue_size=MOST_WAITING,
            schedule_delay_millis=interval * 1000,
            max_export_batch_size=512,
            export_timeout_millis=WITHIN * 1000,
            meter_provider=silent,
        )
    )
    return tracers


def _meters(session: requests.Session, resource: Resource, interval: float) -> MeterProvider:
    return MeterProvider(
        [
            PeriodicExportingMetricReader(
                OTLPMetricExporter(
                    f"{_NOWHERE}/v1/metrics",
                    timeout=WITHIN,
                    compression=Compression.NoCompression,
                    session=session,
                    meter_provider=NoOpMeterProvider(),
                ),
                export_interval_millis=interval * 1000,
                export_timeout_millis=WITHIN * 1000,
            )
        ],
        resource=resource,
        exemplar_filter=AlwaysOffExemplarFilter(),
        shutdown_on_exit=False,
    )


def _session(post: Post, loop: asyncio.AbstractEventLoop) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.adapters.clear()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Way(post, loop))
    return session
