"""A policy's own tests, run before it is put in force."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from gateway.domain.decision import Decision
from gateway.domain.identity import Identity
from gateway.policy.compile import Policy
from gateway.policy.evaluate import evaluate
from gateway.policy.rules import PolicyTest


@dataclass(frozen=True, slots=True)
class Tested:
    """A test, and what the policy decides of its request: of that target, at that instant."""

    __test__ = False  # not a test class of pytest's

    test: PolicyTest
    identity: Identity
    at: datetime
    decision: Decision

    @property
    def failure(self) -> str | None:
        """What was expected and what came instead; ``None`` where the test passes."""
        expected, got = self.test, self.decision
        if got.verdict is not expected.verdict:
            return f"expected {expected.verdict}, got {got.verdict} by rule {got.rule}"
        if expected.rule is not None and got.rule != expected.rule:
            return f"expected rule {expected.rule}, got {got.rule}"
        return None


def run_tests(
    policy: Policy, identify: Callable[[str], Identity], now: datetime
) -> tuple[Tested, ...]:
    """Run all tests, by name; ``identify`` says who is behind a target's id, ``now`` is for tests
    without a date of their own.
    """
    tested = []
    for test in policy.tests:
        identity, at = identify(test.model), test.at or now
        decision = evaluate(policy, test.model, identity, test.labels, at)
        tested.append(Tested(test, identity, at, decision))
    return tuple(tested)
