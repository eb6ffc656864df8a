"""A difference between two policies is found for whoever it concerns, and for nobody else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import Phase, given, settings

from gateway.domain.decision import Labels, Mode, Verdict
from gateway.domain.identity import Identity, Locality, Party, Role
from gateway.domain.target import Target
from gateway.errors import StartupError
from gateway.policy.compile import Policy, compile_policy
from gateway.policy.diff import OTHER, Change, Outcome, Requests, diff
from gateway.policy.evaluate import evaluate
from gateway.policy.request_classes import LABELS, Classes, classes_of
from gateway.policy.rules import Match, PolicyDocument, Rule, Waiver, When, vendor_rule
from tests.policy.test_properties import identities, labels, moments, policies

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
START = NOW - DAY
OPENAI = Target(
    "openai",
    "gpt-4o",
    Identity(
        "openai",
        "openai",
        "gpt-4o",
        (),
        Locality.CLOUD,
        (Party(Role.CHANNEL, "openai"), Party(Role.DEVELOPER, "openai")),
    ),
)
ALLOW = vendor_rule("openai", Verdict.ALLOW, "")


def policy(*rules: Rule, **fields: Any) -> Policy:
    return compile_policy([PolicyDocument("a.yaml", rules=(ALLOW, *rules), **fields)])


def ban(**fields: Any) -> Rule:
    return Rule("ban", Match(vendor=frozenset({"openai"})), Verdict.DENY, **fields)


def changes(old: Policy, new: Policy) -> list[Change]:
    return list(diff(old, new, [OPENAI], NOW))


def holds(requests: Requests, who: Labels, at: datetime, classes: Classes) -> bool:
    """Whether a request is one of those that are meant."""
    for label in LABELS:
        mine = getattr(who, label)
        word = mine if mine in classes.values[label] else OTHER
        words = getattr(requests, label)
        if words and word not in words:
            return False
    tags = tuple(sorted(who.tags & set(requests.mentioned)))
    if requests.tags and tags not in requests.tags:
        return False
    return any(since <= at and (until is None or at < until) for since, until in requests.spans)


@settings(max_examples=100, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(policies(), policies(), identities(), labels, moments)
def test_a_request_changes_if_and_only_if_its_class_is_in_the_difference(
    old: Policy, new: Policy, identity: Identity, who: Labels, at: datetime
) -> None:
    """Whatever the policies, the target, the caller and the instant."""
    target = Target("bedrock", "m", identity)
    briefs = [*old.briefs(target.id, identity), *new.briefs(target.id, identity)]
    classes = classes_of(briefs, START)
    before, after = (Outcome.of(evaluate(one, target.id, identity, who, at)) for one in (old, new))
    found = [
        (change.old, change.new)
        for change in diff(old, new, [target], START)
        if holds(change.requests, who, at, classes)
    ]
    assert found == ([] if before == after else [(before, after)])


def test_the_same_policy_changes_nothing() -> None:
    assert changes(policy(ban()), policy(ban())) == []


def test_a_ban_for_all_is_one_line() -> None:
    """Nothing distinguishes callers or instants, so nothing is said of them."""
    (change,) = changes(policy(), policy(ban()))
    assert (change.target, change.verdict) == ("openai/gpt-4o", True)
    assert (change.old.verdict, change.old.rule) == ("allow", "openai")
    assert (change.new.verdict, change.new.rule) == ("deny", "ban")
    assert change.requests == Requests((), (), (), (), (), (), ((NOW, None),))


def test_those_whom_it_concerns_are_named_and_when() -> None:
    """Two values of a label are joined, spans that follow each other too."""
    when = When(team=frozenset({"red", "blue"}), data_class=frozenset({"cui"}))
    old = policy(ban(when=When(team=frozenset({"green"}))))
    new = policy(ban(when=when, start=NOW + DAY, end=NOW + 3 * DAY))
    added, lifted = sorted(changes(old, new), key=lambda change: change.new.verdict != "deny")
    assert (added.requests.team, added.requests.data_class) == (("blue", "red"), ("cui",))
    assert added.requests.spans == ((NOW + DAY, NOW + 3 * DAY),)
    assert (lifted.old.verdict, lifted.new.verdict) == ("deny", "allow")
    assert lifted.requests.team == ("green",)
    assert lifted.requests.spans == ((NOW, None),)


def test_all_but_one_team_is_any_other() -> None:
    """Who gives no label is among them."""
    old = policy(ban())
    new = policy(ban(waivable=True), waivers=(WAIVER,))
    found = {change.requests.team: change for change in changes(old, new)}
    assert set(found) == {("red",)}
    kept = policy(ban(when=When(team=frozenset({"red"}))))
    (change,) = changes(old, kept)
    assert change.requests.team == (OTHER,)


WAIVER = Waiver(
    "W", "ban", "openai", "o", "a", "r", NOW - DAY, NOW + DAY, When(team=frozenset({"red"}))
)


def test_another_rule_with_the_same_verdict_is_marked_apart() -> None:
    """The verdict stays; what decides is another."""
    other = Rule("a-ban", Match(vendor=frozenset({"openai"})), Verdict.DENY)
    (change,) = changes(policy(ban()), policy(ban(), other))
    assert (change.verdict, change.old.rule, change.new.rule) == (False, "ban", "a-ban")


def test_shadow_mode_changes_what_is_acted_on() -> None:
    """The verdict's word is the same, and nothing is held back any more."""
    (change,) = changes(policy(ban()), policy(ban(), mode=Mode.SHADOW))
    assert (change.verdict, change.old.acted, change.new.acted) == (True, "deny", "allow")


def test_tags_are_looked_at_in_every_combination() -> None:
    """A rule for one tag and a rule for another: whoever has the first, with or without it."""
    batch = Rule(
        "batch", Match(vendor=frozenset({"openai"})), Verdict.RISKY, When(tags=frozenset({"batch"}))
    )
    old = policy(batch)
    new = policy(batch, ban(when=When(tags=frozenset({"eu"}))))
    found = {change.old.verdict: change.requests.tags for change in changes(old, new)}
    assert found == {"allow": (("eu",),), "risky": (("batch", "eu"),)}


def test_too_many_classes_are_refused_and_not_sampled() -> None:
    """With the number, and what to do."""
    many = frozenset(f"t{n}" for n in range(20))
    with pytest.raises(StartupError, match="tell 1048576 classes of requests apart"):
        changes(policy(), policy(ban(when=When(tags=many))))
