"""A plan in the words and the shape that ``gateway policy explain --format json`` prints."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.domain.decision import Decision, Labels
from gateway.domain.plan import Plan
from gateway.domain.target import Target


@dataclass(frozen=True, slots=True)
class ExplainedPolicy:
    revision: str
    mode: str


@dataclass(frozen=True, slots=True)
class ExplainedRequest:
    model: str
    team: str | None
    app: str | None
    environment: str | None
    data_class: str | None
    tags: list[str]


@dataclass(frozen=True, slots=True)
class ExplainedTarget:
    """``left_out`` is why the target is not in the plan, and empty where it is."""

    target: str
    channel: str
    developer: str
    model: str
    lineage: list[str]
    locality: str
    jurisdiction: list[str]
    verdict: str
    handling: str | None
    rule: str
    reason: str
    waiver: str | None
    matched: list[str]
    left_out: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """``outcome`` is the locality of the first target of the plan, or ``denied``."""

    at: datetime
    policy: ExplainedPolicy
    request: ExplainedRequest
    targets: list[ExplainedTarget]
    plan: list[str]
    outcome: str


def explain(plan: Plan, model: str, labels: Labels, at: datetime) -> Explanation:
    """Put a plan into words. ``targets`` stand in the order of the configuration."""
    judged = plan.judged
    decision = judged[0][1]
    return Explanation(
        at=at,
        policy=ExplainedPolicy(decision.revision, decision.mode),
        request=ExplainedRequest(
            model,
            labels.team,
            labels.app,
            labels.environment,
            labels.data_class,
            sorted(labels.tags),
        ),
        targets=[_target(target, decision, why or "") for target, decision, why in judged],
        plan=[step.target.id for step in plan.steps],
        outcome=str(plan.steps[0].target.locality) if plan.steps else "denied",
    )


def _target(target: Target, decision: Decision, left_out: str) -> ExplainedTarget:
    identity = target.identity
    return ExplainedTarget(
        target=target.id,
        channel=identity.channel,
        developer=identity.developer,
        model=identity.model,
        lineage=list(identity.lineage),
        locality=identity.locality,
        jurisdiction=list(identity.jurisdiction),
        verdict=decision.verdict,
        handling=decision.handling,
        rule=decision.rule,
        reason=decision.reason,
        waiver=decision.waiver,
        matched=list(decision.matched),
        left_out=left_out,
    )
