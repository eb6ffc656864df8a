"""A difference between two policies is found for whoever it concerns, and for nobody else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from gateway.domain.decision import Drain, Handling, Labels, Mode, Verdict
from gateway.domain.identity import Identity, Locality, Party, Role
from gateway.domain.target import Target
from gateway.policy.compile import Policy, compile_policy
from gateway.policy.diff import Change, Outcome, Requests, Tags, Values, diff
from gateway.policy.evaluate import evaluate
from gateway.policy.request_classes import EVER, LABELS
from gateway.policy.rules import (
    DesignationMatch,
    Match,
    PolicyDocument,
    Rule,
    Waiver,
    When,
    vendor_rule,
)
from gateway.vendors.designations import Designation, Status, StatusChange
from tests.policy.test_properties import HOUR, identities, labels, policies, rebuilt, words

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
ANY = Values()
ALLOW = vendor_rule("openai", Verdict.ALLOW, "")


def policy(*rules: Rule, **fields: Any) -> Policy:
    return compile_policy([PolicyDocument("a.yaml", rules=(ALLOW, *rules), **fields)])


def ban(**fields: Any) -> Rule:
    return Rule("ban", Match(vendor=frozenset({"openai"})), Verdict.DENY, **fields)


def changes(old: Policy, new: Policy) -> list[Change]:
    return diff(old, new, [OPENAI], NOW)


def among(requests: Requests, who: Labels, at: datetime) -> bool:
    """Whether a request is one of those that are meant, by what is said of them alone."""
    for label in LABELS:
        values, mine = getattr(requests, label), getattr(who, label)
        if mine in values.none_of or (values.any_of and mine not in values.any_of):
            return False
    if requests.tags and not any(_has(some, who.tags) for some in requests.tags):
        return False
    return any(
        (since is None or since <= at) and (until is None or at < until)
        for since, until in requests.spans
    )


def _has(meant: Tags, tags: frozenset[str]) -> bool:
    return tags.isdisjoint(meant.none_of) and all(tags & set(some) for some in meant.any_of)


anybody = st.builds(
    structs.replace,
    labels,
    team=st.sampled_from((None, "red", "blue", "green")),
    app=st.sampled_from((None, "red", "blue", "green")),
    tags=words("red", "blue", "green"),
)
instants = st.builds(
    lambda hours, edge: NOW + hours * HOUR + edge,
    st.integers(-4, 5),
    st.sampled_from((timedelta(0), -timedelta(microseconds=1), HOUR / 3)),
)


@settings(max_examples=400)
@given(policies(), st.data(), identities(), st.lists(st.tuples(anybody, instants), min_size=5))
def test_a_request_changes_if_and_only_if_its_class_is_in_the_difference(
    old: Policy, data: st.DataObject, identity: Identity, asked: list[tuple[Labels, datetime]]
) -> None:
    """Whatever the policies, the target, the caller and the instant: what the difference says of a
    request, both outcomes and once, is what the policies decide. New policies are other ones, or
    the old one with some rules and waivers less.
    """
    new = data.draw(policies() | part_of(old))
    target = Target("bedrock", "m", identity)
    found = diff(old, new, [target], EVER)
    for who, at in asked:
        before, after = (
            Outcome.of(evaluate(one, target.id, identity, who, at), at) for one in (old, new)
        )
        said = [(one.old, one.new) for one in found if among(one.requests, who, at)]
        assert said == ([(before, after)] if before != after else [])


def part_of(policy: Policy) -> st.SearchStrategy[Policy]:
    rules = st.frozensets(st.sampled_from(policy.rules)) if policy.rules else st.just(frozenset())

    def kept(rules: frozenset[Rule]) -> Policy:
        ids = {rule.id for rule in rules}
        waivers = tuple(waiver for waiver in policy.waivers if waiver.rule in ids)
        return rebuilt(policy, tuple(rules), waivers)

    return rules.map(kept)


def test_the_same_policy_changes_nothing() -> None:
    assert changes(policy(ban()), policy(ban())) == []


def test_a_ban_for_all_is_one_line() -> None:
    """Nothing distinguishes callers or instants, so nothing is said of them."""
    (change,) = changes(policy(), policy(ban()))
    assert (change.targets, change.verdict) == (("openai/gpt-4o",), True)
    assert (change.old.verdict, change.old.rule) == ("allow", "openai")
    assert (change.new.verdict, change.new.rule) == ("deny", "ban")
    assert change.requests == Requests(ANY, ANY, ANY, ANY, (), ((NOW, None),))


def test_those_whom_it_concerns_are_named_and_when() -> None:
    """Two values of a label are joined, spans that follow each other too."""
    when = When(team=frozenset({"red", "blue"}), data_class=frozenset({"cui"}))
    old = policy(ban(when=When(team=frozenset({"green"}))))
    new = policy(ban(when=when, start=NOW + DAY, end=NOW + 3 * DAY))
    added, lifted = sorted(changes(old, new), key=lambda change: change.new.verdict != "deny")
    assert added.requests.team == Values(any_of=("blue", "red"))
    assert added.requests.data_class == Values(any_of=("cui",))
    assert added.requests.spans == ((NOW + DAY, NOW + 3 * DAY),)
    assert (lifted.old.verdict, lifted.new.verdict) == ("deny", "allow")
    assert lifted.requests.team == Values(any_of=("green",))
    assert lifted.requests.spans == ((NOW, None),)


def test_all_but_one_team_are_named_by_that_one() -> None:
    """Who gives no label is among them."""
    (change,) = changes(policy(ban()), policy(ban(when=When(team=frozenset({"red"})))))
    assert change.requests.team == Values(none_of=("red",))


def test_a_waiver_is_a_change_for_whom_it_covers_while_it_holds() -> None:
    """The rule that is reported stays the same; the waiver is named."""
    red = When(team=frozenset({"red"}))
    waiver = Waiver("W", "ban", "openai", "o", "a", "r", NOW - DAY, NOW + DAY, red)
    (change,) = changes(policy(ban(waivable=True)), policy(ban(waivable=True), waivers=(waiver,)))
    assert (change.old.verdict, change.new.verdict, change.verdict) == ("deny", "allow", True)
    assert (change.new.rule, change.new.waiver) == ("ban", "W")
    assert change.requests.team == Values(any_of=("red",))
    assert change.requests.spans == ((NOW, NOW + DAY),)


def test_another_rule_with_the_same_verdict_is_marked_apart() -> None:
    """The verdict stays; what decides is another."""
    other = Rule("a-ban", Match(vendor=frozenset({"openai"})), Verdict.DENY)
    (change,) = changes(policy(ban()), policy(ban(), other))
    assert (change.verdict, change.old.rule, change.new.rule) == (False, "ban", "a-ban")


def test_shadow_mode_changes_what_is_acted_on() -> None:
    """The verdict's word is the same, and nothing is held back any more."""
    (change,) = changes(policy(ban()), policy(ban(), mode=Mode.SHADOW))
    assert (change.verdict, change.old.acted, change.new.acted) == (True, "deny", "allow")


def test_another_end_of_a_drain_changes_what_is_sent_and_no_verdict() -> None:
    """Before both begin and after both end, the same is sent."""

    def drained(end: datetime) -> Rule:
        drain = Drain(NOW + DAY, end)
        vendors = Match(vendor=frozenset({"openai"}))
        return Rule("d", vendors, Verdict.RISKY, handling=Handling.DRAIN, drain=drain)

    found = changes(policy(drained(NOW + 2 * DAY)), policy(drained(NOW + 3 * DAY)))
    assert not any(change.verdict for change in found)
    assert [(change.requests.spans, change.old.drain == "none") for change in found] == [
        (((NOW + DAY, NOW + 2 * DAY),), False),
        (((NOW + 2 * DAY, NOW + 3 * DAY),), True),
    ]


def test_a_designation_that_is_stayed_lifts_what_follows_it_from_that_day() -> None:
    """The rules are the same; the facts are not."""
    match = Match(designation=DesignationMatch(scope=frozenset({"federal"})))
    document = PolicyDocument("a.yaml", rules=(ALLOW, Rule("follow", match, Verdict.DENY)))

    def known(*history: StatusChange) -> Policy:
        scope = frozenset({"federal"})
        fact = Designation("d", "openai", "a", scope, history, "https://example.org", NOW.date())
        return compile_policy([document], [fact])

    listed = StatusChange(NOW - DAY, Status.IN_FORCE)
    (change,) = changes(known(listed), known(listed, StatusChange(NOW + DAY, Status.STAYED)))
    assert (change.old.rule, change.new.rule) == ("follow", "openai")
    assert change.requests.spans == ((NOW + DAY, None),)


def test_tags_are_looked_at_in_every_combination() -> None:
    """A rule for one tag and a rule for another: whoever has the first, with or without it."""
    batch = Rule(
        "batch", Match(vendor=frozenset({"openai"})), Verdict.RISKY, When(tags=frozenset({"batch"}))
    )
    old = policy(batch)
    new = policy(batch, ban(when=When(tags=frozenset({"eu"}))))
    found = {change.old.verdict: change.requests.tags for change in changes(old, new)}
    assert found == {
        "allow": (Tags(any_of=(("eu",),), none_of=("batch",)),),
        "risky": (Tags(any_of=(("batch",), ("eu",))),),
    }


def test_tags_that_do_not_matter_are_not_said() -> None:
    """One rule comes for two tags and one goes for a third: alternatives, each as short as it
    can be.
    """
    one = ban(when=When(tags=frozenset({"a", "b"})))
    other = Rule("ban", one.match, Verdict.DENY, When(tags=frozenset({"c"})))
    found = {
        change.new.verdict: change.requests.tags for change in changes(policy(other), policy(one))
    }
    assert found == {
        "allow": (Tags(any_of=(("c",),), none_of=("a", "b")),),
        "deny": (Tags(any_of=(("a", "b"),), none_of=("c",)),),
    }
    (change,) = changes(policy(one), policy(ban(when=When(tags=frozenset({"a", "b", "c"})))))
    assert change.requests.tags == (Tags(any_of=(("c",),), none_of=("a", "b")),)


def test_targets_that_change_in_the_same_way_stand_together() -> None:
    """One line for both."""
    mini = structs.replace(OPENAI, model="gpt-4o-mini")
    (change,) = diff(policy(), policy(ban()), [OPENAI, mini], NOW)
    assert change.targets == ("openai/gpt-4o", "openai/gpt-4o-mini")


def test_rules_in_shadow_change_no_verdict() -> None:
    assert changes(policy(), policy(ban(mode=Mode.SHADOW))) == []
