"""Where everything goes that is to be known of requests afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from structlog.contextvars import bind_contextvars, reset_contextvars

from gateway.audit.happening import Happening
from gateway.audit.record import Record
from gateway.audit.sink import AuditSink
from gateway.audit.transcript import Transcript

Observer = Callable[[Record], None]
"""Is told of every finished request. Must neither block nor raise."""


class Journal:
    """The audit log, and whoever counts along."""

    def __init__(self, log: AuditSink, observers: Sequence[Observer] = ()) -> None:
        self._log = log
        self._observers = observers
        self.under_way = 0
        """Requests that have begun and are not over."""

    @contextmanager
    def request(self, record: Record) -> Iterator[Transcript | None]:
        """Around a request: its record is written once, whatever became of it, and what is logged
        meanwhile tells its id. Where its words are wanted, they are to be put into what this gives.
        """
        began = time.monotonic()
        self.under_way += 1
        before = bind_contextvars(request_id=record.id)
        transcript = self._log.begin()
        try:
            yield transcript
        finally:
            reset_contextvars(**before)
            self.under_way -= 1
            record.duration_us = microseconds(time.monotonic() - began)
            self._log.write(record, transcript)
            for observe in self._observers:
                observe(record)

    def check(self) -> None:
        """Raises ``AuditUnavailable`` where nothing may be done now that should be recorded."""
        self._log.check()

    def happened(self, happening: Happening) -> None:
        self._log.write(happening)


def microseconds(seconds: float) -> int:
    """Times as records have them: whole numbers are written in one way only."""
    return round(seconds * 1_000_000)
