"""What is counted of each request once it is over.

No label has a value that a caller or a vendor could choose: a model is told by the name, or the
pattern, under which it is configured, and a vendor's own error code by one word for all of them.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.audit.record import Record
from gateway.domain.call import Api
from gateway.domain.decision import Verdict
from gateway.domain.events import FailureKind
from gateway.telemetry.counts import Counter, Counts, Histogram
from gateway.telemetry.timing import first_content, rate

UNKNOWN = "(unknown)"
"""The label of models that are not configured."""
VENDOR_FAULT = "vendor_fault"
"""The outcome of requests in which a vendor found fault."""
MODEL_NOT_FOUND = "model_not_found"
COUNTING = frozenset({Api.COUNT_TOKENS, Api.INPUT_TOKENS})
"""APIs whose requests ask for nothing but the number of tokens."""

_SECONDS = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0),
)

REQUESTS = Counter(
    "gateway_requests",
    "Requests that are over. outcome: served, cancelled, broken (in mid-stream), or the error's "
    "code; target: who served, if anybody did; failover: why not the first of the model's targets.",
    ("model", "target", "locality", "outcome", "failover"),
)
DURATION = Histogram(
    "gateway_request_duration_seconds",
    "From a request's arrival to its end, whatever that was.",
    ("model", "target"),
    _SECONDS,
)
FIRST = Histogram(
    "gateway_time_to_first_token_seconds",
    "From the arrival of a request for a stream to the first content of its answer.",
    ("model", "target"),
    _SECONDS,
)
RATE = Histogram(
    "gateway_output_tokens_per_second",
    "Of each streamed answer that came to its end, from its first content on.",
    ("model", "target"),
    (1, 2, 5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 1000),
)
ATTEMPTS = Counter(
    "gateway_attempts",
    "Attempts on targets. outcome: served, cancelled, or how it failed.",
    ("target", "outcome"),
)
ATTEMPT_DURATION = Histogram(
    "gateway_attempt_duration_seconds",
    "From the beginning of an attempt to its end, whatever that was.",
    ("target",),
    _SECONDS,
)
BROKEN_OFF = Counter(
    "gateway_broken_off",
    "Answers of which an app had the beginning already when their target failed.",
    ("target",),
)
TOKENS = Counter(
    "gateway_tokens",
    "Tokens of answered requests. kind: prompt, cached (of the prompt, not computed again), "
    "completion, reasoning (of the completion).",
    ("target", "kind"),
)
COST = Counter(
    "gateway_cost",
    "What answered requests cost, in the currency of the configured prices.",
    ("model", "target"),
)
DENIED = Counter(
    "gateway_policy_denied",
    "Targets that policy denied to a request. mode: enforce, or shadow where it did not act.",
    ("rule", "vendor", "mode"),
)
SHADOWED = Counter(
    "gateway_policy_shadowed",
    "Targets for which a rule in shadow would have counted.",
    ("rule",),
)


class Tally:
    """``name`` is the configured name, or pattern, of a model that an app asked for; ``None`` where
    there is none.
    """

    def __init__(self, counts: Counts, name: Callable[[str], str | None]) -> None:
        self._counts = counts
        self._name = name

    def take(self, record: Record) -> None:
        counts = self._counts
        model, target = self.model(record), record.served_by or ""
        labels = (model, target, record.locality or "", outcome(record), record.failover or "")
        counts.add(REQUESTS, labels)
        of = (model, target)
        counts.observe(DURATION, of, record.duration_us / 1e6)
        if record.stream and (first := first_content(record)) is not None:
            counts.observe(FIRST, of, first)
            if record.outcome == "served" and (tokens := rate(record, first)) is not None:
                counts.observe(RATE, of, tokens)
        if record.cost:
            counts.add(COST, of, record.cost / 1e6)
        self._attempts(record)
        self._tokens(record, target)
        self._verdicts(record)

    def model(self, record: Record) -> str:
        """The label of the model that was asked for."""
        if not record.model or record.outcome == MODEL_NOT_FOUND:
            return UNKNOWN
        return self._name(record.model) or UNKNOWN

    def _attempts(self, record: Record) -> None:
        for attempt in record.attempts:
            self._counts.add(ATTEMPTS, (attempt.target, attempt.outcome))
            self._counts.observe(ATTEMPT_DURATION, (attempt.target,), attempt.duration_us / 1e6)
            if attempt.seam is not None:
                self._counts.add(BROKEN_OFF, (attempt.target,))

    def _tokens(self, record: Record, target: str) -> None:
        if record.api in COUNTING:
            return
        for kind, tokens in (
            ("prompt", record.prompt_tokens),
            ("cached", record.cached_tokens),
            ("completion", record.completion_tokens),
            ("reasoning", record.reasoning_tokens),
        ):
            if tokens:
                self._counts.add(TOKENS, (target, kind), tokens)

    def _verdicts(self, record: Record) -> None:
        for judged in record.targets:
            if judged.verdict is Verdict.DENY:
                self._counts.add(DENIED, (judged.rule, judged.party, judged.mode))
            for rule in judged.shadowed:
                self._counts.add(SHADOWED, (rule,))


def outcome(record: Record) -> str:
    if record.attempts and record.attempts[-1].outcome == FailureKind.REQUEST_FAULT:
        return VENDOR_FAULT
    return record.outcome
