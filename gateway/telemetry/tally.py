"""What is counted of each request once it is over.

No label has a value that a caller or a vendor could choose: a model is told by the name, or the
pattern, under which it is configured, and a vendor's own error code by one word for all of them.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.audit.record import Record
from gateway.domain.call import Api
from gateway.domain.decision import DENY
from gateway.domain.events import FailureKind
from gateway.telemetry.canaries import CANARY, CanaryTally
from gateway.telemetry.counts import Counter, Counts, Histogram
from gateway.telemetry.timing import SECONDS, first_content, rate

UNKNOWN = "(unknown)"
"""The label of models that are not configured."""
VENDOR_FAULT = "vendor_fault"
"""The outcome of requests in which a vendor found fault."""
MODEL_NOT_FOUND = "model_not_found"
_REQUEST_FAULT = FailureKind.REQUEST_FAULT
COUNTING = frozenset({Api.COUNT_TOKENS, Api.INPUT_TOKENS})
"""APIs whose requests ask for nothing but the number of tokens."""

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
    SECONDS,
)
FIRST = Histogram(
    "gateway_time_to_first_token_seconds",
    "From the arrival of a request for a stream to the first content of its answer.",
    ("model", "target"),
    SECONDS,
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
    SECONDS,
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
    there is none. What the gateway asked by itself is none of the apps' requests.
    """

    def __init__(self, counts: Counts, name: Callable[[str], str | None]) -> None:
        self._name = name
        self._requests = counts.counter(REQUESTS)
        self._duration = counts.histogram(DURATION)
        self._first = counts.histogram(FIRST)
        self._rate = counts.histogram(RATE)
        self._cost = counts.counter(COST)
        self._outcomes = counts.counter(ATTEMPTS)
        self._attempt_duration = counts.histogram(ATTEMPT_DURATION)
        self._broken_off = counts.counter(BROKEN_OFF)
        self._kinds = counts.counter(TOKENS)
        self._denied = counts.counter(DENIED)
        self._shadowed = counts.counter(SHADOWED)
        self.canaries = CanaryTally(counts)

    def take(self, record: Record) -> None:
        if record.origin is not None:
            if record.origin == CANARY:
                self.canaries.take(record, self.model(record))
            return
        model, target = self.model(record), record.served_by or ""
        labels = (model, target, record.locality or "", outcome(record), record.failover or "")
        self._requests[labels].add(1.0)
        of = (model, target)
        self._duration[of].add(record.duration_us / 1e6)
        if record.stream and (first := first_content(record)) is not None:
            self._first[of].add(first)
            if record.outcome == "served" and (tokens := rate(record, first)) is not None:
                self._rate[of].add(tokens)
        if record.cost:
            self._cost[of].add(record.cost / 1e6)
        for attempt in record.attempts:
            self._outcomes[attempt.target, attempt.outcome].add(1.0)
            self._attempt_duration[attempt.target,].add(attempt.duration_us / 1e6)
            if attempt.seam is not None:
                self._broken_off[attempt.target,].add(1.0)
        if record.api not in COUNTING:
            self._tokens(record, target)
        for judged in record.targets:
            if judged.verdict is DENY:
                self._denied[judged.rule, judged.party, judged.mode].add(1.0)
            for rule in judged.shadowed:
                self._shadowed[rule,].add(1.0)

    def model(self, record: Record) -> str:
        """The label of the model that was asked for."""
        if not record.model or record.outcome == MODEL_NOT_FOUND:
            return UNKNOWN
        return self._name(record.model) or UNKNOWN

    def _tokens(self, record: Record, target: str) -> None:
        if record.prompt_tokens:
            self._kinds[target, "prompt"].add(record.prompt_tokens)
        if record.cached_tokens:
            self._kinds[target, "cached"].add(record.cached_tokens)
        if record.completion_tokens:
            self._kinds[target, "completion"].add(record.completion_tokens)
        if record.reasoning_tokens:
            self._kinds[target, "reasoning"].add(record.reasoning_tokens)


def outcome(record: Record) -> str:
    if record.attempts and record.attempts[-1].outcome == _REQUEST_FAULT:
        return VENDOR_FAULT
    return record.outcome
