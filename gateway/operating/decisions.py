"""Requests that were, out of their records, and why they went where they did. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.audit.record import AttemptRecord, JudgedTarget, Record
from gateway.domain.plan import LeftOut
from gateway.http.seen import Attempted, DecidedTarget, DecisionState

SERVED = "served"
_BY_RULE = frozenset({LeftOut.POLICY, LeftOut.RISKY})


def decision_state(record: Record) -> DecisionState:
    return DecisionState(
        id=record.id,
        at=record.at,
        model=record.model,
        api=record.api,
        stream=record.stream,
        key=record.key,
        team=record.labels.team,
        app=record.labels.app,
        outcome=record.outcome,
        status=record.status,
        served_by=record.served_by,
        locality=record.locality,
        failover=record.failover,
        policy=record.policy,
        explanation=explanation(record),
        targets=[_target(target) for target in record.targets],
        attempts=[_attempt(attempt) for attempt in record.attempts],
        prompt_tokens=record.prompt_tokens,
        completion_tokens=record.completion_tokens,
        duration_us=record.duration_us,
    )


def explanation(record: Record) -> str:
    """In a sentence: who served it, and why nobody that stands before."""
    if record.outcome == SERVED and record.failover is None and record.served_by is not None:
        return f"Served by its first choice, {record.served_by}."
    why = "; ".join(_why(record))
    if record.outcome == SERVED and record.served_by is not None:
        return f"Served by {record.served_by}, since {why}." if why else f"By {record.served_by}."
    said = record.outcome.replace("_", " ").capitalize()
    return f"{said}: {why}." if why else f"{said}."


def _why(record: Record) -> Iterator[str]:
    """Of each target up to the one that served, why it did not."""
    failed = {one.target: one.outcome for one in record.attempts if one.outcome != SERVED}
    for target in record.targets:
        if target.target in failed:
            yield f"{target.target} failed ({failed[target.target].replace('_', ' ')})"
        elif target.left_out in _BY_RULE:
            reason = f": {target.reason}" if target.reason else ""
            yield f"{target.target} is {target.verdict} by rule {target.rule}{reason}"
        elif target.left_out:
            yield f"{target.target} was left out ({target.left_out.replace('_', ' ')})"
        if target.target == record.served_by:
            return


def _target(target: JudgedTarget) -> DecidedTarget:
    return DecidedTarget(
        target=target.target,
        locality=target.locality,
        verdict=target.verdict,
        rule=target.rule,
        reason=target.reason,
        left_out=target.left_out,
    )


def _attempt(attempt: AttemptRecord) -> Attempted:
    return Attempted(
        target=attempt.target,
        outcome=attempt.outcome,
        duration_us=attempt.duration_us,
        first_content_us=attempt.first_content_us,
        status=attempt.status,
    )
