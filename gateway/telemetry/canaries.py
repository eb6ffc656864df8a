"""What is counted of canaries: apart from what apps asked for, of which they are no part."""

from __future__ import annotations

from enum import StrEnum

from gateway.audit.record import Record
from gateway.domain.events import FailureKind
from gateway.telemetry.counts import Counter, Counts, Histogram
from gateway.telemetry.timing import SECONDS, first_content

CANARY = "canary"
"""The ``origin`` of their records."""
OWN = "(own)"
"""The label of the model where the gateway asked something of its own."""


class Skipped(StrEnum):
    """Why what was drawn was not asked, or not to its end."""

    AT_ONCE = "at_once"
    """As many as may be are under way."""
    BREAKER_OPEN = "breaker_open"
    BUSY = "busy"
    """No slot was to spare, or somebody came to want it."""
    NOT_LOADED = "not_loaded"
    NOT_RECORDED = "not_recorded"
    """The audit log cannot be written, and the configuration wants nothing done without."""


CANARIES = Counter(
    "gateway_canaries",
    "Canaries that are over, but for those that were skipped. outcome: served, cancelled, or the "
    "error's code; target: the local one.",
    ("model", "target", "outcome"),
)
DIFFERENCES = Counter(
    "gateway_canary_differences",
    "What answers of canaries did otherwise than those that the apps were given. what: failed, "
    "tools, functions, arguments, format, finish or empty.",
    ("model", "target", "what"),
)
FIRST = Histogram(
    "gateway_canary_time_to_first_token_seconds",
    "From asking to the first content: of canaries by the local target, and of the streams that "
    "they repeat by the target that served those.",
    ("model", "target"),
    SECONDS,
)
SKIPPED = Counter(
    "gateway_canaries_skipped",
    "Canaries that were drawn and not asked, or that gave way. why: at_once, breaker_open, busy, "
    "not_loaded or not_recorded.",
    ("why",),
)


def gave_way(record: Record) -> bool:
    """Whether the local model had no slot for it, or not to its end."""
    return bool(record.attempts) and record.attempts[-1].outcome == FailureKind.BUSY


class CanaryTally:
    def __init__(self, counts: Counts) -> None:
        self._canaries = counts.counter(CANARIES)
        self._differences = counts.counter(DIFFERENCES)
        self._first = counts.histogram(FIRST)
        self._skipped = counts.counter(SKIPPED)

    def take(self, record: Record, model: str) -> None:
        """A canary that is over; ``model`` is the label of the one that was asked for."""
        if gave_way(record):
            self.skipped(Skipped.BUSY)
            return
        target = record.served_by or (record.targets[0].target if record.targets else "")
        name = model if record.repeats else OWN
        self._canaries[name, target, record.outcome].add(1.0)
        for what in record.differs:
            self._differences[name, target, what].add(1.0)
        if (first := first_content(record)) is not None:
            self.first(name, target, first)

    def first(self, model: str, target: str, seconds: float) -> None:
        """When an answer had begun: a canary's, or that which it repeats."""
        self._first[model, target].add(seconds)

    def skipped(self, why: Skipped) -> None:
        self._skipped[why,].add(1.0)
