"""A policy's own tests: what they expect, and what the policy says instead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gateway.domain.decision import Labels, Mode, Verdict
from gateway.domain.identity import Identity, Locality, Party, Role
from gateway.policy.compile import compile_policy
from gateway.policy.embedded_tests import Reach, coverage, run_tests
from gateway.policy.rules import Match, PolicyDocument, PolicyTest, Rule, Waiver, When, vendor_rule

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


def test_what_tests_reach_of_a_policy_is_told_rule_by_rule() -> None:
    """Deciding, matching only (in shadow too), or not at all; waivers likewise."""
    match = Match(vendor=frozenset({"openai"}))
    rules = (
        vendor_rule("openai", Verdict.ALLOW, "a.yaml:1"),
        vendor_rule("mistral", Verdict.DENY, "a.yaml:2"),
        Rule("ban", match, Verdict.DENY, When(team=frozenset({"red"})), waivable=True),
        Rule("watch", match, Verdict.DENY, mode=Mode.SHADOW),
    )
    later = NOW + timedelta(days=9)
    waivers = tuple(
        Waiver(id, "ban", "openai", "o", "a", "r", NOW, later, When(app=frozenset({id})))
        for id in ("W-1", "W-2")
    )
    tests = (
        PolicyTest("others", "openai/x", Verdict.ALLOW, "openai"),
        PolicyTest("lifted", "openai/x", Verdict.ALLOW, "ban", Labels(team="red", app="W-1")),
    )
    document = PolicyDocument("a.yaml", rules=rules, waivers=waivers, tests=tests)
    tested = compile_policy([document])
    found = coverage(tested, run_tests(tested, lambda _: OPENAI, NOW))
    assert [(one.kind, one.id, one.reach) for one in found] == [
        ("rule", "ban", Reach.DECIDES),
        ("rule", "mistral", Reach.NONE),
        ("rule", "openai", Reach.DECIDES),
        ("rule", "watch", Reach.MATCHES),
        ("waiver", "W-1", Reach.DECIDES),
        ("waiver", "W-2", Reach.NONE),
    ]
