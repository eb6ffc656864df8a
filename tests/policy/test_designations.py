"""Facts decide nothing by themselves; rules that refer to them decide as of the day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.decision import Labels, Verdict
from gateway.domain.identity import Identity, Locality, Party, Role
from gateway.policy.compile import Policy, compile_policy
from gateway.policy.evaluate import evaluate
from gateway.policy.rules import DesignationMatch, Match, PolicyDocument, Rule, vendor_rule
from gateway.vendors.designations import Designation, Status, StatusChange

ANNOUNCED = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ANTHROPIC = Identity(
    "amazon",
    "anthropic",
    "claude-sonnet-4-5",
    (),
    Locality.CLOUD,
    (Party(Role.CHANNEL, "amazon"), Party(Role.DEVELOPER, "anthropic")),
)


def fact(*history: tuple[int, Status], scope: str = "federal") -> Designation:
    """Anthropic's, its history as days after the announcement."""
    return Designation(
        f"anthropic-{scope}",
        "anthropic",
        "an agency",
        frozenset({scope}),
        tuple(StatusChange(ANNOUNCED + days * DAY, status) for days, status in history),
        "https://example.org/designation",
        ANNOUNCED.date(),
    )


def follow(**match: frozenset[str]) -> Rule:
    asked = DesignationMatch(**match)  # type: ignore[arg-type]
    return Rule("follow-designations", Match(designation=asked), Verdict.DENY)


def policy(rule: Rule, *facts: Designation) -> Policy:
    allowed = [vendor_rule(vendor, Verdict.ALLOW, "") for vendor in ("amazon", "anthropic")]
    return compile_policy([PolicyDocument("a.yaml", rules=(rule, *allowed))], facts)


def decided(policy: Policy, day: int) -> tuple[str, str]:
    at = ANNOUNCED + day * DAY
    decision = evaluate(policy, "bedrock/claude", ANTHROPIC, Labels(), at)
    return str(decision.verdict), decision.rule


def test_a_rule_follows_the_history_of_a_designation_day_by_day() -> None:
    """Announced is not in force; stayed lifts it; in force again denies again."""
    history = fact(
        (0, Status.ANNOUNCED), (5, Status.IN_FORCE), (9, Status.STAYED), (12, Status.IN_FORCE)
    )
    followed = policy(follow(), history)
    denied = ("deny", "follow-designations")
    allowed = ("allow", "amazon")
    seen = [decided(followed, day) for day in (-1, 0, 4, 5, 8, 9, 11, 12, 400)]
    assert seen == [*[allowed] * 3, denied, denied, allowed, allowed, denied, denied]


@pytest.mark.parametrize(
    ("match", "verdict"),
    [
        ({"scope": frozenset({"federal"})}, "deny"),
        ({"scope": frozenset({"state", "federal"})}, "deny"),
        ({"scope": frozenset({"state"})}, "allow"),
        ({"authority": frozenset({"an agency"})}, "deny"),
        ({"authority": frozenset({"another"})}, "allow"),
        ({"id": frozenset({"anthropic-federal"})}, "deny"),
        ({"id": frozenset({"anthropic-state"})}, "allow"),
        ({"status": frozenset({Status.IN_FORCE, Status.ANNOUNCED})}, "deny"),
        ({"status": frozenset({Status.VACATED})}, "allow"),
    ],
)
def test_all_that_a_match_says_of_a_designation_must_hold(
    match: dict[str, frozenset[str]], verdict: str
) -> None:
    """Any of the words of each key, and all of the keys."""
    followed = policy(follow(**match), fact((0, Status.IN_FORCE)))
    assert decided(followed, 1)[0] == verdict


def test_a_fact_that_no_rule_refers_to_decides_nothing() -> None:
    """The designation stands, the operator's rules say nothing of it."""
    unrelated = Rule("r", Match(vendor=frozenset({"deepseek"})), Verdict.DENY)
    assert decided(policy(unrelated, fact((0, Status.IN_FORCE))), 1) == ("allow", "amazon")


def test_a_rule_may_ask_for_a_vendor_and_a_designation_of_it() -> None:
    """Both must hold of the same party."""
    both = Match(vendor=frozenset({"amazon"}), designation=DesignationMatch())
    rule = Rule("r", both, Verdict.DENY)
    assert decided(policy(rule, fact((0, Status.IN_FORCE))), 1) == ("allow", "amazon")


def test_a_rule_with_a_designation_judges_the_designated_party_only_in_its_roles() -> None:
    """It is no rule about the whole target."""
    facts = fact((0, Status.IN_FORCE))
    in_channel = Match(designation=DesignationMatch(), roles=frozenset({Role.CHANNEL}))
    assert decided(policy(Rule("r", in_channel, Verdict.DENY), facts), 1)[0] == "allow"
    as_developer = Match(designation=DesignationMatch(), roles=frozenset({Role.DEVELOPER}))
    decision = evaluate(
        policy(Rule("r", as_developer, Verdict.DENY), facts),
        "bedrock/claude",
        ANTHROPIC,
        Labels(),
        ANNOUNCED,
    )
    assert (decision.verdict, decision.vendor) == (Verdict.DENY, "anthropic")
    assert decision.role is Role.DEVELOPER


def test_a_history_checks_itself() -> None:
    """In the order of time, with zones, and not empty; the status is told as of any day."""
    history = fact((0, Status.ANNOUNCED), (5, Status.VACATED))
    assert history.status_at(ANNOUNCED - DAY) is None
    assert history.status_at(ANNOUNCED) is Status.ANNOUNCED
    assert history.status_at(ANNOUNCED + 5 * DAY) is Status.VACATED
    with pytest.raises(ValueError, match="at least one dated status"):
        fact()
    with pytest.raises(ValueError, match="order of time"):
        fact((5, Status.ANNOUNCED), (5, Status.IN_FORCE))
