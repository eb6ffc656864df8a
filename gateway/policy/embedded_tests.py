"""A policy's own tests, run before it is put in force."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from gateway.domain.identity import Identity
from gateway.policy.compile import Policy
from gateway.policy.evaluate import evaluate


@dataclass(frozen=True, slots=True)
class TestFailure:
    """What a test expected and what the policy says instead."""

    __test__ = False  # not a test class of pytest's

    name: str
    message: str


def run_tests(
    policy: Policy, identify: Callable[[str], Identity], now: datetime
) -> tuple[TestFailure, ...]:
    """Run all tests; ``identify`` says who is behind a target's id, ``now`` is for tests without a
    date of their own.
    """
    failures = []
    for test in policy.tests:
        identity = identify(test.model)
        decision = evaluate(policy, test.model, identity, test.labels, test.at or now)
        if decision.verdict is not test.verdict:
            got = f"{decision.verdict} by rule {decision.rule}"
            failures.append(TestFailure(test.name, f"expected {test.verdict}, got {got}"))
        elif test.rule is not None and decision.rule != test.rule:
            message = f"expected rule {test.rule}, got {decision.rule}"
            failures.append(TestFailure(test.name, message))
    return tuple(failures)
