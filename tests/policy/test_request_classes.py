"""What rules tell apart, and nothing that they do not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.decision import Verdict
from gateway.domain.identity import Identity, Locality, Party, Role
from gateway.errors import StartupError
from gateway.policy.compile import compile_policy
from gateway.policy.request_classes import MOST, Classes, classes_of
from gateway.policy.rules import Match, PolicyDocument, Rule, When

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
OPENAI = Identity(
    "openai",
    "openai",
    "gpt-4o",
    (),
    Locality.CLOUD,
    (Party(Role.CHANNEL, "openai"), Party(Role.DEVELOPER, "openai")),
)


def classes(*rules: Rule) -> Classes:
    policy = compile_policy([PolicyDocument("a.yaml", rules=rules)])
    return classes_of(policy.briefs("openai/gpt-4o", OPENAI), NOW)


def rule(id: str, vendor: str = "openai", **when: frozenset[str]) -> Rule:
    return Rule(id, Match(vendor=frozenset({vendor})), Verdict.DENY, When(**when))


def test_values_that_stand_together_everywhere_are_one_case() -> None:
    """Three teams, of which no rule parts two, and whoever is none of them."""
    found = classes(
        rule("a", team=frozenset({"red", "blue", "green"})), rule("b", team=frozenset({"green"}))
    )
    assert {frozenset(case) for case in found.values[0]} == {
        frozenset({"blue", "red"}),
        frozenset({"green"}),
        frozenset(),
    }
    assert {one.labels.team for one in found} == {"blue", "green", None}


def test_tags_count_by_the_sets_that_they_meet() -> None:
    """Whoever meets the narrow set meets the wide one, so there are three cases of four."""
    found = classes(rule("a", tags=frozenset({"a", "b", "c"})), rule("b", tags=frozenset({"a"})))
    assert {one.labels.tags for one in found} == {frozenset(), frozenset("a"), frozenset("b")}


def test_rules_that_cannot_touch_the_target_tell_nothing_apart() -> None:
    """Neither their labels nor their dates count."""
    other = Rule(
        "m",
        Match(vendor=frozenset({"mistral"})),
        Verdict.DENY,
        When(team=frozenset({"red"})),
        start=NOW + DAY,
    )
    (one,) = classes(other)
    assert (one.labels.team, one.at) == (None, NOW)


def test_time_falls_into_spans_from_the_start_on() -> None:
    """What has begun before is no border."""
    match = Match(vendor=frozenset({"openai"}))
    dated = Rule("r", match, Verdict.DENY, start=NOW - DAY, end=NOW + DAY)
    assert classes(dated).spans == (NOW, NOW + DAY)


def test_too_many_classes_are_refused_with_their_number() -> None:
    """Nothing is left out silently."""
    with pytest.raises(StartupError, match=r"tell 131072 or more classes .* than 100000") as caught:
        classes(*(rule(f"r{n:02}", tags=frozenset({f"t{n}"})) for n in range(17)))
    assert (caught.value.code, MOST) == ("too_many_classes", 100_000)
