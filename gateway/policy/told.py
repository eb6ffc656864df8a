"""What a channel that routes by itself is told: which of its providers policy lets it choose."""

from __future__ import annotations

from datetime import datetime

from gateway.domain.decision import Handling, Labels, Verdict
from gateway.domain.target import Target
from gateway.policy.compile import Policy
from gateway.policy.evaluate import evaluate
from gateway.vendors.routers import Router, served_by


def providers_allowed(
    policy: Policy, target: Target, router: Router, labels: Labels, now: datetime
) -> tuple[str, ...]:
    """The slugs of the providers that may serve a target, sorted: those that policy does not deny
    in the role of a channel, beside all other parties of the target. Risky ones are among them
    only where policy leaves no better one, or says ``handling: warn``.
    """
    good, risky = [], []
    for slug, party in sorted(router.providers.items()):
        decision = evaluate(policy, target.id, served_by(target.identity, party), labels, now)
        if decision.acted is Verdict.ALLOW or decision.handling is Handling.WARN:
            good.append(slug)
        elif decision.acted is Verdict.RISKY:
            risky.append(slug)
    return tuple(good or risky)
