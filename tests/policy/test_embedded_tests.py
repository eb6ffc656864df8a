"""A policy's own tests: what they expect, and what the policy says instead."""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.domain.decision import Labels, Verdict
from gateway.domain.identity import Identity, Locality, Party, Role
from gateway.policy.compile import compile_policy
from gateway.policy.embedded_tests import run_tests
from gateway.policy.rules import Match, PolicyDocument, PolicyTest, Rule, When, vendor_rule

NOW = datetime(2026, 6, 1, tzinfo=UTC)
OPENAI = Identity(
    "openai",
    "openai",
    "gpt-4o",
    (),
    Locality.CLOUD,
    (Party(Role.CHANNEL, "openai"), Party(Role.DEVELOPER, "openai")),
)


def test_a_policys_own_test_asserts_verdict_and_rule() -> None:
    """A failing test says what was expected and what came."""
    tests = (
        PolicyTest("right", "openai/x", Verdict.ALLOW, "openai"),
        PolicyTest("wrong verdict", "openai/x", Verdict.DENY),
        PolicyTest("wrong rule", "openai/x", Verdict.ALLOW, "default"),
    )
    rules = (vendor_rule("openai", Verdict.ALLOW, "a.yaml:1"),)
    tested = compile_policy([PolicyDocument("a.yaml", rules=rules, tests=tests)])
    failures = run_tests(tested, lambda _: OPENAI, NOW)
    assert [(one.test.name, one.failure) for one in failures if one.failure] == [
        ("wrong rule", "expected rule default, got openai"),
        ("wrong verdict", "expected deny, got allow by rule openai"),
    ]


def test_a_test_brings_its_own_caller_and_date() -> None:
    """Labels and `at` of the test count; without `at` it is the instant of the load."""
    match = Match(vendor=frozenset({"openai"}))
    ban = Rule("ban", match, Verdict.DENY, when=When(team=frozenset({"red"})), start=NOW)
    red = Labels(team="red")
    tests = (
        PolicyTest("now", "openai/x", Verdict.DENY, "ban", red),
        PolicyTest(
            "before", "openai/x", Verdict.ALLOW, "openai", red, datetime(2026, 1, 1, tzinfo=UTC)
        ),
        PolicyTest("others", "openai/x", Verdict.ALLOW, "openai"),
        PolicyTest("wrong", "openai/x", Verdict.ALLOW, "openai", red),
    )
    rules = (ban, vendor_rule("openai", Verdict.ALLOW, "a.yaml:1"))
    tested = compile_policy([PolicyDocument("a.yaml", rules=rules, tests=tests)])
    failures = run_tests(tested, lambda _: OPENAI, NOW)
    assert [(one.test.name, one.failure) for one in failures if one.failure] == [
        ("wrong", "expected allow, got deny by rule ban")
    ]
