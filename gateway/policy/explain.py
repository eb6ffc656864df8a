"""A plan in the words and the shape that ``gateway policy explain --format json`` prints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from gateway.domain.decision import Decision, Labels
from gateway.domain.plan import Plan
from gateway.domain.target import Target
from gateway.policy.compile import Policy
from gateway.policy.evaluate import share_left


@dataclass(frozen=True, slots=True)
class ExplainedPolicy:
    revision: str
    mode: str


@dataclass(frozen=True, slots=True)
class ExplainedRequest:
    """``said`` is what the request says of itself, beside what is known of whoever asks."""

    model: str
    team: str | None
    app: str | None
    environment: str | None
    data_class: str | None
    tags: list[str]
    said: dict[str, str | list[str]]


@dataclass(frozen=True, slots=True)
class ExplainedTarget:
    """``shadowed`` are rules in shadow mode that matched and did not count; ``drained`` is the
    share of requests, 0 to 1, that a drain still sends here; ``left_out`` is why the target is not
    in the plan, and empty where it is.
    """

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
    reference: str | None
    waiver: str | None
    matched: list[str]
    shadowed: list[str]
    drained: float | None
    left_out: str


@dataclass(frozen=True, slots=True)
class ExplainedRule:
    """A rule that matched one of the targets; ``source`` is where it is written."""

    id: str
    verdict: str
    mode: str
    reason: str
    source: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """``outcome`` is the locality of the first target of the plan, or ``denied``."""

    at: datetime
    policy: ExplainedPolicy
    request: ExplainedRequest
    targets: list[ExplainedTarget]
    rules: list[ExplainedRule]
    plan: list[str]
    outcome: str


def explain(policy: Policy, plan: Plan, model: str, labels: Labels, at: datetime) -> Explanation:
    """Put a plan that was made by ``policy`` into words. ``targets`` stand in the order of the
    configuration, ``rules`` by id.
    """
    judged = plan.judged
    spoke = {rule for _, decision, _ in judged for rule in (*decision.matched, *decision.shadowed)}
    return Explanation(
        at=at,
        policy=ExplainedPolicy(policy.revision, policy.mode),
        request=ExplainedRequest(
            model,
            labels.team,
            labels.app,
            labels.environment,
            labels.data_class,
            sorted(labels.tags),
            dict(_said(labels)),
        ),
        targets=[_target(target, decision, why or "", at) for target, decision, why in judged],
        rules=[
            ExplainedRule(rule.id, rule.verdict, rule.mode, rule.reason, rule.source)
            for rule in policy.rules
            if rule.id in spoke
        ],
        plan=[step.target.id for step in plan.steps],
        outcome=str(plan.steps[0].target.locality) if plan.steps else "denied",
    )


def _said(labels: Labels) -> Iterator[tuple[str, str | list[str]]]:
    claimed = labels.claimed
    for name in () if claimed is None else ("team", "app", "environment", "data_class"):
        value = getattr(claimed, name)
        if value is not None and value != getattr(labels, name):
            yield name, value
    if claimed is not None and claimed.tags - labels.tags:
        yield "tags", sorted(claimed.tags - labels.tags)


def _target(target: Target, decision: Decision, left_out: str, at: datetime) -> ExplainedTarget:
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
        reference=decision.reference,
        waiver=decision.waiver,
        matched=list(decision.matched),
        shadowed=list(decision.shadowed),
        drained=share_left(decision.drain, at) if decision.drain else None,
        left_out=left_out,
    )
