"""How vendors stand, over all targets that involve them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from gateway.domain.decision import Verdict
from gateway.domain.identity import Identity, Locality, Party, Role
from gateway.domain.target import Target
from gateway.policy.compile import Policy, compile_policy
from gateway.policy.rules import Match, PolicyDocument, Rule, When, vendor_rule
from gateway.policy.standing import Standing, standings

NOW = datetime(2026, 11, 26, 1, tzinfo=UTC)


def target(channel: str, developer: str, model: str = "m", role: Role = Role.DEVELOPER) -> Target:
    parties = (Party(Role.CHANNEL, channel), Party(role, developer))
    identity = Identity(channel, developer, model, (), Locality.CLOUD, parties, source=model)
    return Target(channel, f"{developer}-{model}", identity)


def policy(*rules: Rule) -> Policy:
    return compile_policy([PolicyDocument("a.yaml", rules=rules)])


def of(rules: list[Rule], *targets: Target) -> dict[str, Standing]:
    found = standings(policy(*rules), targets, {"far": frozenset({"FR"})}, NOW)
    return {one.vendor: one for one in found}


ALLOWED = [
    vendor_rule("openai", Verdict.ALLOW, "a.yaml:3"),
    vendor_rule("azure", Verdict.ALLOW, "b"),
]


def test_what_no_rule_allows_is_denied_by_default() -> None:
    """And is no ban: nobody has said so."""
    found = of(ALLOWED, target("azure", "openai"), target("azure", "mistral"))
    assert (found["mistral"].verdict, found["mistral"].rule) == (Verdict.DENY, None)
    assert found["openai"].verdict is Verdict.ALLOW
    assert list(found) == ["mistral", "azure", "openai"]


def test_a_rule_counts_before_the_default_and_the_worst_before_all() -> None:
    """Of a vendor that stands otherwise in another role, that is told."""
    ban = Rule(
        "no", Match(vendor=frozenset({"meta"})), Verdict.DENY, reason="why", source="c.yaml:9"
    )
    found = of(
        [*ALLOWED, ban],
        target("azure", "meta"),
        target("openai", "meta", "n", Role.LINEAGE),
    )
    meta = found["meta"]
    assert (meta.verdict, meta.rule, meta.reason) == (Verdict.DENY, ban, "why")
    assert meta.everywhere is False
    assert meta.roles == (Role.DEVELOPER, Role.LINEAGE)
    assert meta.targets == ("azure/meta-m", "openai/meta-n")


def test_a_vendor_that_is_banned_is_told_though_nothing_involves_it() -> None:
    """As long as the ban holds; by its country, too."""
    ban = Rule("no", Match(vendor=frozenset({"far"})), Verdict.DENY, end=NOW + timedelta(days=1))
    found = of([*ALLOWED, ban], target("azure", "openai"))
    assert (found["far"].rule, found["far"].targets) == (ban, ())
    past = replace(ban, end=NOW)
    assert "far" not in of([*ALLOWED, past], target("azure", "openai"))


def test_rules_for_some_requests_are_named_and_do_not_count() -> None:
    some = Rule(
        "cui",
        Match(vendor=frozenset({"openai"})),
        Verdict.DENY,
        When(data_class=frozenset({"cui"})),
    )
    openai = of([*ALLOWED, some], target("azure", "openai"))["openai"]
    assert (openai.verdict, openai.conditional) == (Verdict.ALLOW, ("cui",))


def test_we_are_no_vendor() -> None:
    """Nor is it told of our own models who we are."""
    assert "self" not in of(ALLOWED, target("self", "openai"))
