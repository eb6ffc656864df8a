"""One line in the log for each request that is over, made and written by a thread of its own: who
reads the log slowly keeps no request waiting.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Sequence
from enum import StrEnum

from structlog.typing import EventDict

from gateway.audit.record import Record
from gateway.processes.logs import rendered


class Which(StrEnum):
    """Of which requests a line is written."""

    ALL = "all"
    FAILURES = "failures"
    """Those whose answer is no success, or broke off, and that the app did not cancel."""
    NONE = "none"


class RequestLog:
    """Writes to standard error, as all other logs."""

    def __init__(self, which: Which) -> None:
        self._which = which
        self._queue: queue.SimpleQueue[Sequence[Record]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._drain, name="request-log", daemon=True)
        self._thread.start()

    def write(self, records: Sequence[Record]) -> None:
        if self._which is not Which.ALL:
            wanted = self._which is Which.FAILURES
            records = [record for record in records if wanted and _failed(record)]
        if records:
            self._queue.put(records)

    def close(self) -> None:
        """Write what waits."""
        self._queue.put(())
        self._thread.join()

    def _drain(self) -> None:
        while records := self._queue.get():
            lines = [rendered("info", line(record)) for record in records]
            sys.stderr.write("\n".join(lines) + "\n")


def line(record: Record) -> EventDict:
    """What the log says of a request; what is not known is left out."""
    told: EventDict = {
        "event": "request",
        "request_id": record.id,
        "client_request_id": record.client_request_id,
        "key": record.key,
        "api": record.api,
        "model": _safe(record.model[:200]),
        "target": record.served_by,
        "failover": record.failover,
        "outcome": _safe(record.outcome[:200]),
        "status": record.status,
        "ms": round(record.duration_us / 1000, 1),
        "attempts": len(record.attempts),
        "prompt_tokens": record.prompt_tokens,
        "completion_tokens": record.completion_tokens,
    }
    return {name: value for name, value in told.items() if value not in (None, "")}


def _safe(word: str) -> str:
    """What an app or a vendor wrote is to be in one line, whatever it is."""
    return word if word.isprintable() else ascii(word)


def _failed(record: Record) -> bool:
    return record.outcome not in ("served", "cancelled")
