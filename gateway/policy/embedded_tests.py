"""A policy's own tests, run before it is put in force, and what of the policy they reach."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gateway.domain.decision import Decision
from gateway.domain.identity import Identity
from gateway.policy.compile import Policy
from gateway.policy.evaluate import evaluate
from gateway.policy.rules import PolicyTest


@dataclass(frozen=True, slots=True)
class Tested:
    """A test, and what the policy decides of its request."""

    __test__ = False  # not a test class of pytest's

    test: PolicyTest
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


class Reach(StrEnum):
    """How far the tests reach a rule or a waiver."""

    DECIDES = "decides"
    """It is what a test's decision rests on."""
    MATCHES = "matches"
    """It matches in a test, and something else decides."""
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Covered:
    """A rule or a waiver (``kind``), where it is written, and how far tests reach it."""

    kind: str
    id: str
    source: str
    reach: Reach


def run_tests(
    policy: Policy, identify: Callable[[str], Identity], now: datetime
) -> tuple[Tested, ...]:
    """Run all tests, by name; ``identify`` says who is behind a target's id, ``now`` is for tests
    without a date of their own.
    """
    return tuple(
        Tested(
            test,
            evaluate(policy, test.model, identify(test.model), test.labels, test.at or now),
        )
        for test in policy.tests
    )


def coverage(policy: Policy, tested: Iterable[Tested]) -> tuple[Covered, ...]:
    """Every rule and waiver of a policy, by id, with how far its tests reach it."""
    decisions = [one.decision for one in tested]
    deciding = {decision.rule for decision in decisions}
    matching = {id for one in decisions for id in (*one.matched, *one.shadowed)}
    lifting = {decision.waiver for decision in decisions}

    def reach(id: str) -> Reach:
        if id in deciding:
            return Reach.DECIDES
        return Reach.MATCHES if id in matching else Reach.NONE

    rules = [Covered("rule", rule.id, rule.source, reach(rule.id)) for rule in policy.rules]
    waivers = [
        Covered(
            "waiver",
            waiver.id,
            waiver.source,
            Reach.DECIDES if waiver.id in lifting else Reach.NONE,
        )
        for waiver in policy.waivers
    ]
    return (*rules, *waivers)
