"""One line in the log for each request that is over, made and written by a thread of its own: who
reads the log slowly keeps no request waiting.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from gateway.audit.record import Record
from gateway.background import Background
from gateway.processes.logs import are_json, rendered, write

_ENCODER = msgspec.json.Encoder()


class Which(StrEnum):
    """Of which requests a line is written."""

    ALL = "all"
    FAILURES = "failures"
    """Those whose answer is no success, or broke off, and that the app did not cancel."""
    NONE = "none"


class RequestLog:
    """Writes to standard error, as all other logs."""

    def __init__(self, which: Which, background: Background) -> None:
        self._which = which
        self._ending = threading.Event()
        self._queue: queue.SimpleQueue[Sequence[Record]] = queue.SimpleQueue()
        self._thread = background.thread("request log", self._drain, self._ending)
        self._thread.start()

    def write(self, records: Sequence[Record]) -> None:
        if self._which is not Which.ALL:
            wanted = self._which is Which.FAILURES
            records = [record for record in records if wanted and _failed(record)]
        if records:
            self._queue.put(records)

    def close(self) -> None:
        """Write what waits."""
        self._ending.set()
        self._queue.put(())
        self._thread.join()

    def _drain(self) -> None:
        while records := self._queue.get():
            write(_lines(records))


class Line(msgspec.Struct, omit_defaults=True, gc=False):
    """What the log says of a request, in the order in which it stands there; what is not known is
    left out. ``timestamp`` is when it is written.
    """

    timestamp: str
    level: str
    event: str
    request_id: str
    client_request_id: str | None = None
    key: str | None = None
    origin: str | None = None
    api: str | None = None
    model: str | None = None
    target: str | None = None
    failover: str | None = None
    outcome: str | None = None
    status: int | None = None
    ms: float | None = None
    attempts: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


def _lines(records: Sequence[Record]) -> str:
    """All at once; what structlog would make of each takes four times as long."""
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    lines = [_line(record, now) for record in records]
    if are_json():
        return _ENCODER.encode_lines(lines).decode()
    return "".join(f"{rendered(line.level, msgspec.to_builtins(line))}\n" for line in lines)


def _line(record: Record, now: str) -> Line:
    return Line(
        now,
        "info",
        "request",
        record.id,
        record.client_request_id or None,
        record.key,
        record.origin,
        record.api,
        _safe(record.model[:200]) or None,
        record.served_by,
        record.failover or None,
        _safe(record.outcome[:200]) or None,
        record.status,
        round(record.duration_us / 1000, 1),
        len(record.attempts),
        record.prompt_tokens,
        record.completion_tokens,
    )


def _safe(word: str) -> str:
    """What an app or a vendor wrote is to be in one line, whatever it is."""
    return word if word.isprintable() else ascii(word)


def _failed(record: Record) -> bool:
    return record.outcome not in ("served", "cancelled")
