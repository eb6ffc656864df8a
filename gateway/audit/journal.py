"""Where everything goes that is to be known of requests afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from gateway.audit.happening import Happening
from gateway.audit.record import Record
from gateway.audit.sink import AuditSink

Observer = Callable[[Record], None]
"""Is told of every finished request. Must neither block nor raise."""


class Journal:
    """The audit log, and whoever counts along."""

    def __init__(self, log: AuditSink, observers: Sequence[Observer] = ()) -> None:
        self._log = log
        self._observers = observers

    @contextmanager
    def request(self, record: Record) -> Iterator[None]:
        """Around a request: its record is written once, whatever became of it."""
        began = time.monotonic()
        try:
            yield
        finally:
            record.duration_us = microseconds(time.monotonic() - began)
            self._log.write(record)
            for observe in self._observers:
                observe(record)

    def happened(self, happening: Happening) -> None:
        self._log.write(happening)


def microseconds(seconds: float) -> int:
    """Times as records have them: whole numbers are written in one way only."""
    return round(seconds * 1_000_000)
