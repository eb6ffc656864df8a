"""Whether policy leaves a target to anybody at all: what is asked where nobody in particular is."""

from __future__ import annotations

import itertools
from datetime import datetime

from gateway.domain.decision import Labels, Verdict
from gateway.domain.target import Target
from gateway.errors import StartupError
from gateway.policy.compile import Policy
from gateway.policy.evaluate import evaluate
from gateway.policy.request_classes import classes_at

MOST = 10_000
"""Classes of requests that are tried: beyond, nobody is taken to be left."""


def anyone_may(policy: Policy, target: Target, now: datetime) -> bool:
    """Whether there are labels for which policy does not deny the target at ``now``."""

    def may(labels: Labels) -> bool:
        decision = evaluate(policy, target.id, target.identity, labels, now)
        return decision.acted is not Verdict.DENY

    if may(Labels()):
        return True
    try:
        classes = classes_at(policy.briefs(target.id, target.identity), now)
    except StartupError:
        return False
    return any(may(one.labels) for one in itertools.islice(classes, MOST))
