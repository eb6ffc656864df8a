"""Where everything goes that is to be known of requests afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

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

    @contextmanager
    def request(self, record: Record) -> Iterator[Transcript | None]:
        """Around a request: its record is written once, whatever became of it. Where its words are
        wanted, they are to be put into what this gives.
        """
        began = time.monotonic()
        transcript = self._log.begin()
        try:
            yield transcript
        finally:
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
