"""What holds of every policy, not only of those that somebody thought of."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.audit.record import JudgedTarget, Record
from gateway.domain.decision import Drain, Handling, Labels, Mode, Verdict
from gateway.domain.identity import SELF, UNKNOWN, Identity, Locality, Party, Role
from gateway.domain.target import Target
from gateway.policy.compile import Policy, compile_policy
from gateway.policy.decided import decide
from gateway.policy.evaluate import evaluate
from gateway.policy.rules import (
    DesignationMatch,
    Match,
    PolicyDocument,
    Rule,
    Waiver,
    When,
)
from gateway.routing.health import Health
from gateway.routing.plan import Candidate, make_plan
from gateway.vendors.designations import Designation, Status, StatusChange

NOW = datetime(2026, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
VENDORS = ("openai", "anthropic", "meta", "deepseek", UNKNOWN)
COUNTRIES = ("US", "CN")
WORDS = ("red", "blue")

moments = st.integers(-3, 3).map(lambda hours: NOW + hours * HOUR)


def words(*known: str) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(known), max_size=2)


whens = st.builds(
    When, team=words(*WORDS), app=words(*WORDS), data_class=words(*WORDS), tags=words(*WORDS)
)
labels = st.builds(
    Labels,
    team=st.sampled_from((None, *WORDS)),
    app=st.sampled_from((None, *WORDS)),
    data_class=st.sampled_from((None, *WORDS)),
    tags=words(*WORDS),
)
roles = st.frozensets(st.sampled_from(tuple(Role)), min_size=1)
facts = st.builds(
    lambda number, vendor, scope, statuses: Designation(
        f"d{number}",
        vendor,
        "an agency",
        scope,
        tuple(StatusChange(NOW + (i - 1) * HOUR, s) for i, s in enumerate(statuses)),
        "https://example.org/",
        NOW.date(),
    ),
    st.integers(0, 3),
    st.sampled_from(VENDORS[:-1]),
    words(*WORDS),
    st.lists(st.sampled_from(tuple(Status)), min_size=1, max_size=3),
)
asked = st.builds(
    DesignationMatch,
    scope=words(*WORDS),
    status=st.frozensets(st.sampled_from(tuple(Status)), min_size=1),
)


@st.composite
def matches(draw: st.DrawFn) -> Match:
    """A match that says something."""
    match = Match(
        vendor=draw(words(*VENDORS)),
        roles=draw(roles),
        jurisdiction=draw(words(*COUNTRIES)),
        locality=draw(st.frozensets(st.sampled_from(tuple(Locality)), min_size=1)),
        channel=draw(words("openai", "bedrock")),
        model=tuple(draw(words("claude-*", "gpt-4o", "*/gpt*"))),
        designation=draw(st.none() | asked),
    )
    return (
        match if draw(st.booleans()) else dataclasses.replace(match, locality=frozenset(Locality))
    )


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    verdict = draw(st.sampled_from(tuple(Verdict)))
    drained = verdict is Verdict.RISKY and draw(st.booleans())
    start = draw(st.none() | moments)
    end = draw(st.none() | moments)
    return Rule(
        id=f"r{draw(st.integers(0, 9))}",
        match=draw(matches()),
        verdict=verdict,
        when=draw(whens),
        reason=draw(st.sampled_from(("", "a reason"))),
        start=start,
        end=None if start is not None and end is not None and end <= start else end,
        waivable=draw(st.booleans()),
        handling=Handling.DRAIN if drained else Handling.AVOID,
        drain=Drain(NOW - 2 * HOUR, NOW + 2 * HOUR) if drained else None,
        mode=draw(st.sampled_from(tuple(Mode))),
    )


@st.composite
def identities(draw: st.DrawFn) -> Identity:
    """Any mix of vendors, in our house or in a cloud."""
    locality = draw(st.sampled_from(tuple(Locality)))
    channel = draw(st.sampled_from(VENDORS)) if locality is Locality.CLOUD else SELF
    developer = draw(st.sampled_from(VENDORS))
    lineage = tuple(sorted(draw(words("meta", "deepseek"))))
    maker = Role.DEVELOPER if locality is Locality.CLOUD else Role.WEIGHTS
    vendors = [(Role.CHANNEL, channel), (maker, developer)]
    vendors += [(Role.LINEAGE, vendor) for vendor in lineage]
    parties = tuple(Party(role, vendor, draw(words(*COUNTRIES))) for role, vendor in vendors)
    model = draw(st.sampled_from(("claude-sonnet-4-5", "gpt-4o")))
    return Identity(channel, developer, model, lineage, locality, parties)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Rules, waivers of the waivable ones, and facts."""
    drawn = draw(st.lists(rules(), max_size=8, unique_by=lambda rule: rule.id))
    return compile_policy(
        [
            PolicyDocument(
                "a.yaml",
                rules=tuple(drawn),
                waivers=tuple(draw(waivers_of(drawn))),
                default=draw(st.sampled_from((Verdict.ALLOW, Verdict.DENY))),
                mode=draw(st.sampled_from(tuple(Mode))),
            )
        ],
        draw(st.lists(facts, max_size=3, unique_by=lambda fact: fact.id)),
    )


def waivers_of(rules: list[Rule]) -> st.SearchStrategy[list[Waiver]]:
    waivable = [rule.id for rule in rules if rule.waivable]
    if not waivable:
        return st.just([])
    one = st.builds(
        lambda number, rule, vendor, when, granted, hours: Waiver(
            f"W{number}", rule, vendor, "o", "a", "r", granted, granted + hours * HOUR, when
        ),
        st.integers(0, 5),
        st.sampled_from(waivable),
        st.sampled_from(VENDORS),
        whens,
        moments,
        st.integers(1, 3),
    )
    return st.lists(one, max_size=3, unique_by=lambda waiver: waiver.id)


def rebuilt(policy: Policy, rules: tuple[Rule, ...], waivers: tuple[Waiver, ...]) -> Policy:
    document = PolicyDocument(
        "a.yaml", rules=rules, waivers=waivers, default=policy.default, mode=policy.mode
    )
    return compile_policy([document], policy.designations)


SEVERITY = {Verdict.ALLOW: 0, Verdict.RISKY: 1, Verdict.DENY: 2}


@given(policies(), identities(), labels, moments, matches(), whens)
def test_adding_a_deny_never_enlarges_what_is_allowed(
    policy: Policy, identity: Identity, who: Labels, now: datetime, match: Match, when: When
) -> None:
    """Whatever the new rule matches, no verdict gets milder by it."""
    ban = Rule("zz-ban", match, Verdict.DENY, when)
    stricter = rebuilt(policy, (*policy.rules, ban), policy.waivers)
    before = evaluate(policy, "bedrock/m", identity, who, now)
    after = evaluate(stricter, "bedrock/m", identity, who, now)
    assert SEVERITY[after.verdict] >= SEVERITY[before.verdict], after


@given(policies(), identities(), labels, moments, st.randoms())
def test_the_order_of_rules_and_of_files_never_matters(
    policy: Policy, identity: Identity, who: Labels, now: datetime, random: object
) -> None:
    """Shuffled and spread over files, it is the same policy with the same decisions."""
    shuffled = list(policy.rules)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    documents = [
        PolicyDocument("z.yaml", waivers=policy.waivers[::-1], default=policy.default),
        *(PolicyDocument(f"{rule.id}.yaml", rules=(rule,)) for rule in shuffled),
        PolicyDocument("a.yaml", mode=policy.mode),
    ]
    spread = compile_policy(documents, policy.designations[::-1])
    assert spread.canonical == policy.canonical
    once = evaluate(policy, "bedrock/m", identity, who, now)
    assert evaluate(spread, "bedrock/m", identity, who, now) == once


@given(policies(), st.lists(identities(), min_size=1, max_size=4), labels, moments)
def test_a_plan_never_contains_a_denied_target(
    policy: Policy, several: list[Identity], who: Labels, now: datetime
) -> None:
    """Nor a risky one that is to be avoided; in shadow mode all are there."""
    candidates = []
    for number, identity in enumerate(several):
        target = Target(f"c{number}", "m", identity)
        decision = evaluate(policy, target.id, identity, who, now)
        candidates.append(Candidate(target, decision, Health()))
    plan = make_plan(candidates, needs=frozenset(), risky_last_resort=False, now=0.0)
    planned = {step.target.id for step in plan.steps}
    for candidate in candidates:
        verdict = candidate.decision.verdict
        expected = policy.mode is Mode.SHADOW or verdict is Verdict.ALLOW
        assert (candidate.target.id in planned) is expected, candidate.decision


instants = st.builds(
    lambda moment, seconds: moment + timedelta(seconds=seconds),
    moments,
    st.sampled_from((-1, -1e-6, 0, 1e-6, 1, 1800)),
)
callers = st.builds(lambda who, claimed: replace(who, claimed=claimed), labels, st.none() | labels)


@given(
    policies(),
    st.lists(identities(), min_size=1, max_size=3),
    st.lists(callers, min_size=1, max_size=3),
    st.lists(instants, min_size=2, max_size=8),
)
def test_what_is_remembered_is_what_would_be_decided(
    policy: Policy, several: list[Identity], who: list[Labels], times: list[datetime]
) -> None:
    """At every instant, in whatever order they come, right at the limits of a rule as well."""
    for now in times:
        for identity in several:
            for caller in who:
                fresh = evaluate(policy, "bedrock/m", identity, caller, now)
                assert decide(policy, "bedrock/m", identity, caller, now) == fresh
                assert decide(policy, "bedrock/m", identity, caller, now) == fresh


@given(policies(), identities(), callers, instants, instants)
def test_nothing_changes_by_itself_within_a_period(
    policy: Policy, identity: Identity, who: Labels, now: datetime, then: datetime
) -> None:
    """A verdict and its reasons stay until the instant that the policy names."""
    until = policy.next_change(now)
    assert policy.period(now).until == until
    if now <= then and (until is None or then < until):
        decision = evaluate(policy, "bedrock/m", identity, who, now)
        if decision.drain is None:
            assert evaluate(policy, "bedrock/m", identity, who, then) == decision


@given(policies(), identities(), labels, moments)
def test_clauses_found_by_label_are_those_that_hold(
    policy: Policy, identity: Identity, who: Labels, now: datetime
) -> None:
    """In their order, none twice and none left out."""
    for brief in policy.briefs("bedrock/m", identity):
        assert brief.holding(who, now) == [one for one in brief.clauses if one.holds(who, now)]
        assert brief.shadowing(who, now) == [one for one in brief.shadows if one.holds(who, now)]


@given(policies(), identities(), labels, moments)
def test_an_expired_waiver_is_no_waiver(
    policy: Policy, identity: Identity, who: Labels, now: datetime
) -> None:
    """Without those that do not run at the instant, the decision is the same."""
    running = tuple(w for w in policy.waivers if w.granted <= now < w.expires)
    without = rebuilt(policy, policy.rules, running)
    decision = evaluate(policy, "bedrock/m", identity, who, now)
    again = evaluate(without, "bedrock/m", identity, who, now)
    assert replace(again, revision=decision.revision) == decision
    if decision.waiver is not None:
        assert decision.waiver in {waiver.id for waiver in running}


@given(policies(), identities(), labels, moments)
def test_a_decision_recomputed_from_its_audit_record_is_the_same(
    policy: Policy, identity: Identity, who: Labels, now: datetime
) -> None:
    """What was written to the log and read again decides as it did, for whoever asked then."""
    target = Target("bedrock", "m", identity)
    decision = evaluate(policy, target.id, identity, who, now)
    judged = JudgedTarget.of(target, decision)
    record = Record("r1", now, "chat/completions", "m", labels=who, targets=(judged,))
    line = msgspec.json.encode(record)
    read = msgspec.json.decode(line, type=Record)
    (again,) = read.targets
    assert again == judged
    assert again.identity == identity
    recomputed = evaluate(policy, again.target, again.identity, read.labels, read.at)
    assert recomputed == decision
    assert not again.differs(recomputed)
    milder = replace(decision, verdict=Verdict.RISKY, rule="another")
    assert again.differs(milder)


@given(policies(), identities(), labels, moments)
def test_what_decides_is_among_what_matched(
    policy: Policy, identity: Identity, who: Labels, now: datetime
) -> None:
    """The deciding rule is one that matched, and every rule that matched was in force."""
    decision = evaluate(policy, "bedrock/m", identity, who, now)
    assert decision.rule in (*decision.matched, "default")
    by_id = {rule.id: rule for rule in policy.rules}
    for rule_id in (*decision.matched, *decision.shadowed):
        assert by_id[rule_id].in_force(now)
        assert by_id[rule_id].when.fits(who)
    assert all(by_id[rule_id].mode is Mode.SHADOW for rule_id in decision.shadowed)
