"""A decision that stays the same is made once: between two instants at which something begins or
ends to hold, only who asks and for which target make a difference.
"""

from __future__ import annotations

from datetime import datetime

from gateway.domain.decision import Decision, Labels
from gateway.domain.identity import Identity
from gateway.policy.compile import Policy
from gateway.policy.evaluate import evaluate


def decide(
    policy: Policy, target: str, identity: Identity, labels: Labels, now: datetime
) -> Decision:
    """What ``evaluate`` says, remembered by the policy: another policy remembers nothing of it."""
    period = policy.period(now)
    decision = period.said(target, identity, labels)
    if decision is None:
        decision = evaluate(policy, target, identity, labels, now)
        if lasts(decision, labels):
            period.keep(decision, identity, labels)
    return decision


def lasts(decision: Decision, labels: Labels) -> bool:
    """Whether a decision holds for as long as the period that it was made in. Which of two drains
    is the stricter one, where labels claim to be others, changes from instant to instant.
    """
    return labels.claimed is None or decision.drain is None
