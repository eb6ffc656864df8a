"""What tests reach of a policy is told rule by rule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gateway.domain.decision import Labels, Mode, Verdict
from gateway.domain.identity import Identity, Locality, Party, Role
from gateway.policy.compile import compile_policy
from gateway.policy.coverage import Reach, coverage
from gateway.policy.embedded_tests import run_tests
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
MATCH = Match(vendor=frozenset({"openai"}))
RULES = (
    vendor_rule("openai", Verdict.ALLOW, "a.yaml:1"),
    vendor_rule("mistral", Verdict.DENY, "a.yaml:2"),
    Rule("ban", MATCH, Verdict.DENY, When(team=frozenset({"red"})), waivable=True),
    Rule("ban-too", MATCH, Verdict.DENY, When(app=frozenset({"hard"}))),
    Rule("watch", MATCH, Verdict.DENY, mode=Mode.SHADOW),
)
WAIVERS = tuple(
    Waiver(id, "ban", "openai", "o", "a", "r", NOW, NOW + timedelta(days=9), When(app=apps))
    for id, apps in (
        ("W-1", frozenset({"soft"})),
        ("W-2", frozenset({"hard"})),
        ("W-3", frozenset({"none"})),
    )
)


def reached(*tests: PolicyTest) -> dict[str, Reach]:
    document = PolicyDocument("a.yaml", rules=RULES, waivers=WAIVERS, tests=tests)
    policy = compile_policy([document])
    found = coverage(policy, run_tests(policy, lambda _: OPENAI, NOW))
    kinds = {one.id: one.kind for one in found}
    assert {id for id, kind in kinds.items() if kind == "waiver"} == {"W-1", "W-2", "W-3"}
    return {one.id: one.reach for one in found}


def test_without_tests_nothing_is_reached() -> None:
    assert set(reached().values()) == {Reach.NONE}


def test_what_decides_and_what_only_matches_are_told_apart() -> None:
    """A rule in shadow never decides."""
    found = reached(PolicyTest("others", "openai/x", Verdict.ALLOW, "openai"))
    assert found.pop("openai") is Reach.DECIDES
    assert found.pop("watch") is Reach.MATCHES
    assert set(found.values()) == {Reach.NONE}


def test_a_waiver_that_lifts_decides_with_its_rule() -> None:
    """The rule that it lifts is the one that is reported."""
    found = reached(PolicyTest("w", "openai/x", Verdict.ALLOW, None, Labels("red", "soft")))
    assert (found["W-1"], found["ban"], found["openai"]) == (
        Reach.DECIDES,
        Reach.DECIDES,
        Reach.MATCHES,
    )
    assert (found["W-2"], found["W-3"]) == (Reach.NONE, Reach.NONE)


def test_a_waiver_that_lifts_in_vain_only_matches() -> None:
    """Another rule denies all the same."""
    found = reached(PolicyTest("w", "openai/x", Verdict.DENY, None, Labels("red", "hard")))
    assert (found["W-2"], found["ban"], found["ban-too"]) == (
        Reach.MATCHES,
        Reach.MATCHES,
        Reach.DECIDES,
    )


def test_a_test_that_fails_reaches_what_it_reaches() -> None:
    """Coverage is of what was asked, whatever was expected."""
    found = reached(PolicyTest("wrong", "openai/x", Verdict.DENY))
    assert found["openai"] is Reach.DECIDES
