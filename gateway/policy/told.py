"""What a channel that routes by itself is told: which of its providers policy lets it choose."""

from __future__ import annotations

from datetime import datetime

from gateway.domain.decision import Labels, Verdict
from gateway.domain.target import Target
from gateway.policy.compile import Policy
from gateway.policy.evaluate import evaluate
from gateway.vendors.routers import Router, served_by


def providers_allowed(
    policy: Policy, target: Target, router: Router, labels: Labels, now: datetime
) -> tuple[str, ...]:
    """The slugs of the providers that may serve a target, sorted: those that policy does not deny
    in the role of a channel, beside all other parties of the target.
    """
    return tuple(
        sorted(
            slug
            for slug, party in router.providers.items()
            if evaluate(
                policy,
                f"{target.id}@{slug}",
                served_by(target.identity, party),
                labels,
                now,
            ).acted
            is not Verdict.DENY
        )
    )
