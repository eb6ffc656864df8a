"""Whether a policy leaves a target to anybody: tried for whoever its rules tell apart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.decision import Mode, Verdict
from gateway.domain.identity import Identity, Locality, Party, Role
from gateway.domain.target import Target
from gateway.policy.anyone import anyone_may
from gateway.policy.compile import Policy, compile_policy
from gateway.policy.rules import Match, PolicyDocument, Rule, Waiver, When

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
AZURE = Target(
    "azure",
    "prod",
    Identity(
        "microsoft",
        "openai",
        "gpt-4o",
        (),
        Locality.CLOUD,
        (Party(Role.CHANNEL, "microsoft"), Party(Role.DEVELOPER, "openai")),
    ),
)


def policy(*rules: Rule, mode: Mode = Mode.ENFORCE, waivers: tuple[Waiver, ...] = ()) -> Policy:
    return compile_policy([PolicyDocument("a.yaml", mode=mode, rules=rules, waivers=waivers)])


def rule(id: str, verdict: str, *vendors: str, when: When | None = None, **more: object) -> Rule:
    match = Match(vendor=frozenset(vendors or ("microsoft", "openai")))
    return Rule(id, match, Verdict(verdict), when or When(), **more)  # type: ignore[arg-type]


def team(*names: str) -> When:
    return When(team=frozenset(names))


@pytest.mark.parametrize(
    ("found", "rules"),
    [
        (False, []),
        (True, [rule("a", "allow")]),
        (True, [rule("a", "risky")]),
        # Only one party is allowed to anybody.
        (False, [rule("a", "allow", "openai", when=team("red"))]),
        (True, [rule("a", "allow", when=team("red"))]),
        # Each party is allowed to somebody, and both to nobody, or to who is both.
        (
            False,
            [
                rule("a", "allow", "openai", when=team("red")),
                rule("b", "allow", "microsoft", when=team("blue")),
            ],
        ),
        (
            True,
            [
                rule("a", "allow", "openai", when=team("red", "green")),
                rule("b", "allow", "microsoft", when=When(tags=frozenset({"x"}))),
            ],
        ),
        # A ban on all but one team; on everybody; on the one team that was allowed.
        (True, [rule("a", "allow"), rule("b", "deny", when=team("red"))]),
        (False, [rule("a", "allow"), rule("b", "deny")]),
        (False, [rule("a", "allow", when=team("red")), rule("b", "deny", when=team("red"))]),
        # What has not begun, and what is over.
        (False, [rule("a", "allow", when=team("red"), start=NOW + DAY)]),
        (False, [rule("a", "allow", when=team("red"), end=NOW)]),
        (True, [rule("a", "allow", when=team("red"), start=NOW, end=NOW + DAY)]),
        (True, [rule("a", "allow"), rule("b", "deny", start=NOW + DAY)]),
    ],
)
def test_anybody(found: bool, rules: list[Rule]) -> None:
    assert anyone_may(policy(*rules), AZURE, NOW) is found


def test_a_waiver_leaves_a_target_to_whom_it_is_for() -> None:
    """As long as it lasts."""
    waiver = Waiver("W-1", "b", "openai", "o", "a", "r", NOW - DAY, NOW + DAY, team("red"))
    both = policy(rule("a", "allow"), rule("b", "deny", waivable=True), waivers=(waiver,))
    assert not anyone_may(both, AZURE, NOW)
    one = policy(rule("a", "allow"), rule("b", "deny", "openai", waivable=True), waivers=(waiver,))
    assert anyone_may(one, AZURE, NOW)
    assert not anyone_may(one, AZURE, NOW + DAY)


def test_who_only_looks_on_denies_nobody() -> None:
    """Shadow mode holds nothing back."""
    assert anyone_may(policy(rule("a", "deny"), mode=Mode.SHADOW), AZURE, NOW)


def test_too_many_classes_are_nobody() -> None:
    """It is not guessed: what is kept open for nobody in particular is closed."""
    words = [frozenset({f"t{n}"}) for n in range(20)]
    rules = [rule(f"r{n}", "deny", when=When(tags=some)) for n, some in enumerate(words)]
    allow = rule("a", "allow", when=team("red"))
    assert not anyone_may(policy(allow, *rules), AZURE, NOW)
    assert anyone_may(policy(allow, *rules[:5]), AZURE, NOW)
