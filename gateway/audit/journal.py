"""Where everything goes that is to be known of requests afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar, Token

from structlog.contextvars import STRUCTLOG_KEY_PREFIX

from gateway.audit.happening import Happening
from gateway.audit.record import Record
from gateway.audit.sink import AuditSink
from gateway.audit.transcript import Transcript

Observer = Callable[[Record], None]
"""Is told of every finished request. Must neither block nor raise."""

_REQUEST: ContextVar[str] = ContextVar(f"{STRUCTLOG_KEY_PREFIX}request_id")
"""What is logged tells it: set here, as structlog would, for a tenth of what its own way costs."""


class UnderWay:
    """A request, as a context."""

    __slots__ = ("_before", "_began", "_journal", "_record", "_transcript")

    def __init__(self, journal: Journal, record: Record, transcript: Transcript | None) -> None:
        self._journal = journal
        self._record = record
        self._transcript = transcript

    def __enter__(self) -> Transcript | None:
        self._began = time.monotonic_ns()
        self._journal.under_way += 1
        self._before: Token[str] = _REQUEST.set(self._record.id)
        return self._transcript

    def __exit__(self, *_: object) -> None:
        _REQUEST.reset(self._before)
        self._record.duration_us = (time.monotonic_ns() - self._began) // 1000
        self._journal.over(self._record, self._transcript)


class Journal:
    """The audit log, and whoever counts along."""

    def __init__(self, log: AuditSink, observers: Sequence[Observer] = ()) -> None:
        self._log = log
        self._observers = observers
        self.under_way = 0
        """Requests that have begun and are not over."""

    def request(self, record: Record, *, worded: bool = True) -> UnderWay:
        """Around a request: its record is written once, whatever became of it, and what is logged
        meanwhile tells its id. Where its words are wanted, they are to be put into what this gives;
        one that is not ``worded`` has none to keep.
        """
        return UnderWay(self, record, self._log.begin() if worded else None)

    def over(self, record: Record, transcript: Transcript | None) -> None:
        """Of a request that was under way."""
        self.under_way -= 1
        self._log.write(record, transcript)
        for observe in self._observers:
            observe(record)

    def check(self) -> None:
        """Raises ``AuditUnavailable`` where nothing may be done now that should be recorded."""
        self._log.check()

    def happened(self, happening: Happening) -> None:
        self._log.write(happening)
