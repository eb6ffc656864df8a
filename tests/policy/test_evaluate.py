"""Verdicts and their reasons, by the specification's section "Verdict"."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.decision import Drain, Handling, Labels, Mode, Verdict
from gateway.domain.identity import SELF, UNKNOWN, Identity, Locality, Party, Role
from gateway.policy.compile import Policy, compile_policy
from gateway.policy.evaluate import evaluate, share_sent
from gateway.policy.rules import (
    Match,
    PolicyDocument,
    Rule,
    Waiver,
    When,
    vendor_rule,
)

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def cloud(channel: str, developer: str, *lineage: str, home: str = "US") -> Identity:
    """A cloud target of that channel and developer."""
    parties = [Party(Role.CHANNEL, channel, frozenset({"US"}))]
    parties.append(Party(Role.DEVELOPER, developer, frozenset({home})))
    parties += [Party(Role.LINEAGE, vendor) for vendor in lineage]
    return Identity(channel, developer, "model-1", lineage, Locality.CLOUD, tuple(parties))


LOCAL = Identity(
    SELF,
    "huggingface",
    "smollm2",
    ("meta",),
    Locality.LOCAL,
    (
        Party(Role.CHANNEL, SELF),
        Party(Role.WEIGHTS, "huggingface"),
        Party(Role.LINEAGE, "meta"),
    ),
)


def policy(*rules: Rule, **fields: Any) -> Policy:
    return compile_policy([PolicyDocument("a.yaml", rules=rules, **fields)])


def allow(vendor: str) -> Rule:
    return vendor_rule(vendor, Verdict.ALLOW, "a.yaml:1")


def deny(vendor: str, **fields: Any) -> Rule:
    match = Match(vendor=frozenset({vendor}), **fields.pop("match", {}))
    return Rule(id=f"no-{vendor}", match=match, verdict=Verdict.DENY, **fields)


CASES = [
    # rules, identity, verdict, deciding rule
    ([], cloud("openai", "openai"), "deny", "default"),
    ([allow("openai")], cloud("openai", "openai"), "allow", "openai"),
    ([allow("openai")], cloud("openrouter", "openai"), "deny", "default"),
    ([allow("openai"), allow("openrouter")], cloud("openrouter", "openai"), "allow", "openai"),
    ([allow("openrouter")], cloud("openrouter", UNKNOWN), "deny", "default"),
    ([allow("openrouter"), allow(UNKNOWN)], cloud("openrouter", UNKNOWN), "allow", "openrouter"),
    ([allow("amazon"), deny("anthropic")], cloud("amazon", "anthropic"), "deny", "no-anthropic"),
    ([allow("openai"), deny("openai")], cloud("openai", "openai"), "deny", "no-openai"),
    ([], LOCAL, "allow", "default"),
    ([deny("huggingface")], LOCAL, "allow", "default"),
    (
        [deny("huggingface", match={"roles": frozenset({Role.WEIGHTS})})],
        LOCAL,
        "deny",
        "no-huggingface",
    ),
    ([deny("meta", match={"roles": frozenset({Role.LINEAGE})})], LOCAL, "deny", "no-meta"),
    (
        [allow("groq"), allow("deepseek"), deny("meta")],
        cloud("groq", "deepseek", "meta"),
        "allow",
        "deepseek",
    ),
    (
        [
            allow("groq"),
            allow("deepseek"),
            Rule("cn", Match(jurisdiction=frozenset({"CN"})), Verdict.DENY),
        ],
        cloud("groq", "deepseek", home="CN"),
        "deny",
        "cn",
    ),
    (
        [Rule("home", Match(locality=frozenset({Locality.CLOUD})), Verdict.DENY)],
        cloud("openai", "openai"),
        "deny",
        "home",
    ),
    (
        [Rule("all", Match(locality=frozenset({Locality.CLOUD})), Verdict.ALLOW)],
        cloud("openrouter", UNKNOWN),
        "deny",
        "default",
    ),
    (
        [allow("openai"), Rule("m", Match(model=("model-*",)), Verdict.RISKY)],
        cloud("openai", "openai"),
        "risky",
        "m",
    ),
]


@pytest.mark.parametrize(("rules", "identity", "verdict", "rule"), CASES)
def test_the_worst_party_decides(
    rules: list[Rule], identity: Identity, verdict: str, rule: str
) -> None:
    """Verdict and deciding rule are those of the table."""
    decision = evaluate(policy(*rules), "c/m", identity, Labels(), NOW)
    assert (decision.verdict, decision.rule) == (verdict, rule)


def test_from_is_inclusive_and_until_exclusive() -> None:
    """A rule holds from its first instant to just before its last."""
    dated = policy(allow("openai"), deny("openai", start=NOW, end=NOW + DAY))
    target = cloud("openai", "openai")
    verdicts = [
        evaluate(dated, "c/m", target, Labels(), at).verdict
        for at in (NOW - timedelta(seconds=1), NOW, NOW + DAY - timedelta(seconds=1), NOW + DAY)
    ]
    assert verdicts == ["allow", "deny", "deny", "allow"]


def test_when_tells_callers_apart() -> None:
    """A rule for a data class leaves other callers alone."""
    rules = policy(allow("openai"), deny("openai", when=When(data_class=frozenset({"cui"}))))
    target = cloud("openai", "openai")
    assert evaluate(rules, "c/m", target, Labels(data_class="cui"), NOW).rule == "no-openai"
    assert evaluate(rules, "c/m", target, Labels(), NOW).rule == "openai"


def waiver(**fields: Any) -> Waiver:
    base: dict[str, Any] = {
        "id": "W-7",
        "rule": "no-anthropic",
        "vendor": "anthropic",
        "owner": "o",
        "approver": "a",
        "reason": "r",
        "granted": NOW - DAY,
        "expires": NOW + DAY,
    }
    return Waiver(**(base | fields))


def test_a_waiver_lifts_only_the_rule_it_names() -> None:
    """Another deny on the same vendor still holds."""
    ban = deny("anthropic", waivable=True)
    target = cloud("anthropic", "anthropic")
    lifted = evaluate(policy(ban, waivers=(waiver(),)), "c/m", target, Labels(), NOW)
    assert (lifted.verdict, lifted.waiver) == (Verdict.ALLOW, "W-7")
    other = Rule("second", Match(vendor=frozenset({"anthropic"})), Verdict.DENY)
    held = evaluate(policy(ban, other, waivers=(waiver(),)), "c/m", target, Labels(), NOW)
    assert (held.verdict, held.rule) == (Verdict.DENY, "second")


@pytest.mark.parametrize(("channel", "rule"), [("amazon", "amazon"), ("zai", "no-anthropic")])
def test_a_waiver_is_reported_whichever_partys_rule_comes_first(channel: str, rule: str) -> None:
    """The deciding rule is the first by id; that a waiver was needed is said all the same."""
    ban = deny("anthropic", waivable=True)
    rules = policy(ban, allow(channel), waivers=(waiver(),))
    decision = evaluate(rules, "c/m", cloud(channel, "anthropic"), Labels(), NOW)
    assert (decision.verdict, decision.rule, decision.waiver) == ("allow", rule, "W-7")
    assert decision.matched == tuple(sorted((channel, "no-anthropic")))


def test_a_denied_target_reports_no_waiver() -> None:
    """A waiver on one party helps nothing where another is denied."""
    rules = policy(deny("anthropic", waivable=True), deny("amazon"), waivers=(waiver(),))
    decision = evaluate(rules, "c/m", cloud("amazon", "anthropic"), Labels(), NOW)
    assert (decision.verdict, decision.rule, decision.waiver) == ("deny", "no-amazon", None)


@given(days=st.integers(0, 400))
def test_an_expired_waiver_is_no_waiver(days: int) -> None:
    """From the instant of its expiry on, the deny holds again."""
    ban = deny("anthropic", waivable=True)
    held = evaluate(
        policy(ban, waivers=(waiver(),)),
        "c/m",
        cloud("anthropic", "anthropic"),
        Labels(),
        NOW + DAY + timedelta(days=days),
    )
    assert (held.verdict, held.waiver) == (Verdict.DENY, None)


def test_shadow_decides_and_never_acts() -> None:
    """In shadow mode the verdict is recorded and everything passes; a shadow rule is listed."""
    shadow = compile_policy([PolicyDocument("a", rules=(deny("openai"),), mode=Mode.SHADOW)])
    decision = evaluate(shadow, "c/m", cloud("openai", "openai"), Labels(), NOW)
    assert (decision.verdict, decision.acted) == (Verdict.DENY, Verdict.ALLOW)
    single = policy(allow("openai"), deny("openai", mode=Mode.SHADOW))
    decision = evaluate(single, "c/m", cloud("openai", "openai"), Labels(), NOW)
    assert (decision.verdict, decision.shadowed) == (Verdict.ALLOW, ("no-openai",))


def test_a_drain_falls_from_all_to_nothing() -> None:
    """The share is 1 at the start, about half in the middle, 0 at the end; a replay agrees."""
    drain = Drain(NOW, NOW + 100 * DAY)
    rule = Rule(
        "d",
        Match(vendor=frozenset({"openai"})),
        Verdict.RISKY,
        handling=Handling.DRAIN,
        drain=drain,
    )
    decision = evaluate(policy(rule), "c/m", cloud("openai", "openai"), Labels(), NOW)

    def share(at: datetime) -> float:
        return sum(share_sent(decision, f"r{n}", at) for n in range(1000)) / 1000

    assert share(NOW) == 1.0
    assert 0.4 < share(NOW + 50 * DAY) < 0.6
    assert share(NOW + 100 * DAY) == 0.0
    assert share(NOW + 50 * DAY) == share(NOW + 50 * DAY)


VENDORS = st.sampled_from(["openai", "anthropic", "amazon", UNKNOWN])
RULES = st.lists(
    st.tuples(VENDORS, st.sampled_from(list(Verdict))), max_size=5, unique_by=lambda row: row[0]
)


def built(rows: list[tuple[str, Verdict]]) -> list[Rule]:
    return [vendor_rule(vendor, verdict, f"a.yaml:{n}") for n, (vendor, verdict) in enumerate(rows)]


@given(rows=RULES, denied=VENDORS, channel=VENDORS, developer=VENDORS)
def test_a_deny_never_enlarges_what_is_allowed(
    rows: list[tuple[str, Verdict]], denied: str, channel: str, developer: str
) -> None:
    """What is denied stays denied whatever deny is added."""
    target = cloud(channel, developer)
    rules = built(rows)
    before = evaluate(policy(*rules), "c/m", target, Labels(), NOW)
    after = evaluate(policy(*rules, deny(denied)), "c/m", target, Labels(), NOW)
    order = [Verdict.ALLOW, Verdict.RISKY, Verdict.DENY]
    assert order.index(after.verdict) >= order.index(before.verdict)


@given(rows=RULES, channel=VENDORS, developer=VENDORS, data=st.data())
def test_order_never_matters(
    rows: list[tuple[str, Verdict]], channel: str, developer: str, data: st.DataObject
) -> None:
    """Rules in any order, over any files, make the same revision and the same decision."""
    rules = built(rows)
    shuffled = data.draw(st.permutations(rules))
    cut = data.draw(st.integers(0, len(rules)))
    one = compile_policy([PolicyDocument("a", rules=tuple(rules))])
    two = compile_policy(
        [
            PolicyDocument("z", rules=tuple(shuffled[:cut])),
            PolicyDocument("b", rules=tuple(shuffled[cut:])),
        ]
    )
    target = cloud(channel, developer)
    assert one.revision == two.revision
    assert evaluate(one, "c/m", target, Labels(), NOW) == evaluate(
        two, "c/m", target, Labels(), NOW
    )


def test_a_channel_is_matched_by_its_vendor_or_its_configured_name() -> None:
    """`channel: [amazon]` holds for a channel that the operator calls `bedrock`."""
    for word, verdict in (("amazon", "deny"), ("bedrock", "deny"), ("azure", "allow")):
        rule = Rule("x", Match(channel=frozenset({word})), Verdict.DENY)
        rules = policy(allow("amazon"), allow("anthropic"), rule)
        decision = evaluate(rules, "bedrock/m", cloud("amazon", "anthropic"), Labels(), NOW)
        assert (decision.verdict, decision.rule) == (
            verdict,
            "x" if verdict == "deny" else "amazon",
        )


@pytest.mark.parametrize("pattern", ["model-1", "MODEL-*", "c/M", "c/*"])
def test_a_model_pattern_is_no_matter_of_case(pattern: str) -> None:
    """Canonical names are in lower case; an operator may write them as the maker does."""
    rule = Rule("m", Match(model=(pattern,)), Verdict.DENY)
    decision = evaluate(
        policy(allow("openai"), rule), "c/M", cloud("openai", "openai"), Labels(), NOW
    )
    assert (decision.verdict, decision.rule) == (Verdict.DENY, "m")


def test_a_region_is_no_matter_of_case() -> None:
    """`us` and `US` are one region, and a target without a region is in none."""
    rules = policy(allow("openai"), Rule("r", Match(region=frozenset({"us-east-1"})), Verdict.DENY))
    target = cloud("openai", "openai")
    there = replace(target, region="US-EAST-1")
    assert evaluate(rules, "c/m", there, Labels(), NOW).rule == "r"
    assert evaluate(rules, "c/m", target, Labels(), NOW).rule == "openai"


def test_a_waiver_of_a_risky_rule_lifts_that_rule_alone() -> None:
    """What is waived counts as allowed; another risky rule on the vendor still counts."""
    caution = Rule(
        "no-anthropic", Match(vendor=frozenset({"anthropic"})), Verdict.RISKY, waivable=True
    )
    other = Rule("other", Match(vendor=frozenset({"anthropic"})), Verdict.RISKY)
    target = cloud("anthropic", "anthropic")
    lifted = evaluate(policy(caution, waivers=(waiver(),)), "c/m", target, Labels(), NOW)
    assert (lifted.verdict, lifted.rule, lifted.waiver) == ("allow", "no-anthropic", "W-7")
    held = evaluate(policy(caution, other, waivers=(waiver(),)), "c/m", target, Labels(), NOW)
    assert (held.verdict, held.rule, held.waiver) == ("risky", "other", None)


def test_a_waiver_is_for_those_it_names() -> None:
    """Another team, another vendor, or a time before it was granted: the deny holds."""
    ban = deny("anthropic", waivable=True)
    target = cloud("anthropic", "anthropic")
    team = waiver(when=When(team=frozenset({"red"})))
    cases = [
        (team, Labels(team="red"), NOW, "allow"),
        (team, Labels(team="blue"), NOW, "deny"),
        (waiver(vendor="openai"), Labels(), NOW, "deny"),
        (waiver(), Labels(), NOW - 2 * DAY, "deny"),
    ]
    for given_waiver, labels, at, verdict in cases:
        decision = evaluate(policy(ban, waivers=(given_waiver,)), "c/m", target, labels, at)
        assert (decision.verdict, decision.rule) == (verdict, "no-anthropic")


def test_a_default_of_risky_is_handled_as_avoid() -> None:
    """A verdict of risky always says what is done with it."""
    rules = policy(default=Verdict.RISKY)
    decision = evaluate(rules, "c/m", cloud("openai", "openai"), Labels(), NOW)
    assert (decision.verdict, decision.rule, decision.handling) == ("risky", "default", "avoid")


NAMED = st.frozensets(VENDORS, max_size=2)
ANY_RULE = st.builds(
    lambda id_, vendor, roles, locality, verdict: Rule(
        id_, Match(vendor=vendor, roles=roles, locality=locality), verdict
    ),
    st.uuids().map(str),
    NAMED,
    st.frozensets(st.sampled_from(list(Role)), min_size=1),
    st.just(frozenset(Locality)),
    st.sampled_from(list(Verdict)),
)


@given(rules=st.lists(ANY_RULE, max_size=6), channel=VENDORS, developer=VENDORS, lineage=VENDORS)
def test_the_index_leaves_out_no_rule_that_counts(
    rules: list[Rule], channel: str, developer: str, lineage: str
) -> None:
    """What matched is just what a look at every rule finds, and the worst of it decides."""
    target = cloud(channel, developer, lineage)
    decision = evaluate(policy(*rules), "c/m", target, Labels(), NOW)
    fitting = {
        rule.id
        for rule in rules
        for party in target.parties
        if rule.match.fits(party)
        # Nothing but a deny or a rule that names it says anything of what nobody could name.
        and (
            party.vendor != UNKNOWN or rule.verdict is Verdict.DENY or UNKNOWN in rule.match.vendor
        )
    }
    assert set(decision.matched) == fitting
    denies = {r.id for r in rules if r.verdict is Verdict.DENY} & fitting
    if denies and UNKNOWN not in (channel, developer, lineage):
        assert decision.verdict is Verdict.DENY
        assert decision.rule in denies | {"default"}


@given(rules=st.lists(ANY_RULE, max_size=6), added=ANY_RULE, channel=VENDORS, developer=VENDORS)
def test_no_deny_of_any_form_enlarges_what_is_allowed(
    rules: list[Rule], added: Rule, channel: str, developer: str
) -> None:
    """Whatever a deny names, no verdict gets milder."""
    order = [Verdict.ALLOW, Verdict.RISKY, Verdict.DENY]
    target = cloud(channel, developer)
    before = evaluate(policy(*rules), "c/m", target, Labels(), NOW)
    denied = replace(added, verdict=Verdict.DENY)
    after = evaluate(policy(*rules, denied), "c/m", target, Labels(), NOW)
    assert order.index(after.verdict) >= order.index(before.verdict)
