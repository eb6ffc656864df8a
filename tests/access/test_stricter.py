"""What a request says of itself takes targets away, and never gives one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.access.callers import Access
from gateway.access.keyring import Keyring
from gateway.access.keys import LABELS, make
from gateway.domain.decision import Drain, Handling, Labels, Verdict
from gateway.domain.identity import Identity, Locality, Party, Role
from gateway.domain.plan import Plan
from gateway.domain.target import Target
from gateway.policy.compile import Policy, compile_policy
from gateway.policy.evaluate import evaluate, share_left, share_sent
from gateway.policy.rules import Match, PolicyDocument, Rule, When
from gateway.routing.health import Health
from gateway.routing.plan import Candidate, make_plan
from tests.policy.test_properties import NOW, SEVERITY, WORDS, identities, labels, policies

said = st.dictionaries(
    st.sampled_from(LABELS), st.sampled_from((*WORDS, "other", "red,blue")), min_size=1
).map(lambda found: {k: v for k, v in found.items() if k == "tags" or "," not in v})
"""What its headers say, by label."""
instants = st.integers(-3 * 60, 3 * 60).map(lambda minutes: NOW + timedelta(minutes=minutes))


def seen(labels: Labels, said: Mapping[str, str], now: datetime) -> Labels:
    """The labels of a request with a key that may set all of them."""
    written, key = make("any", now, labels=labels, may_set=LABELS)
    return Access(Keyring([key])).caller(written, said, near=False, now=now).labels


def plan(
    policy: Policy, several: Iterable[Identity], who: Labels, now: datetime, *, last_resort: bool
) -> Plan:
    candidates = []
    for number, identity in enumerate(several):
        target = Target(f"c{number}", "m", identity)
        decision = evaluate(policy, target.id, identity, who, now)
        drained = decision.handling is Handling.DRAIN and share_sent(decision, "r1", now)
        candidates.append(Candidate(target, decision, Health(), drained=drained))
    return make_plan(candidates, needs=frozenset(), risky_last_resort=last_resort, now=0.0)


@given(
    policies(),
    st.lists(identities(), min_size=1, max_size=4),
    labels,
    said,
    instants,
    st.booleans(),
)
def test_no_header_gives_a_target_that_the_key_alone_would_not_get(
    policy: Policy,
    several: list[Identity],
    who: Labels,
    said: Mapping[str, str],
    now: datetime,
    last_resort: bool,
) -> None:
    alone = plan(policy, several, who, now, last_resort=last_resort)
    with_headers = plan(policy, several, seen(who, said, now), now, last_resort=last_resort)
    planned = {step.target.id for step in alone.steps}
    assert {step.target.id for step in with_headers.steps} <= planned
    before = {target.id: decision for target, decision, _ in alone.judged}
    for target, decision, _ in with_headers.judged:
        assert SEVERITY[decision.verdict] >= SEVERITY[before[target.id].verdict]


def test_of_two_drains_the_one_that_sends_less() -> None:
    """Whichever of them is the key's own."""
    cloud = Identity(
        "openai",
        "openai",
        "m",
        (),
        Locality.CLOUD,
        (Party(Role.CHANNEL, "openai", frozenset()), Party(Role.DEVELOPER, "openai", frozenset())),
    )

    def drained(id: str, team: str, hours: int) -> Rule:
        return Rule(
            id,
            Match(vendor=frozenset({"openai"})),
            Verdict.RISKY,
            When(team=frozenset({team})),
            handling=Handling.DRAIN,
            drain=Drain(NOW - timedelta(hours=1), NOW + timedelta(hours=hours)),
        )

    document = PolicyDocument("a", rules=(drained("a", "red", 1), drained("b", "blue", 9)))
    policy = compile_policy([document], ())
    for own, other in (("red", "blue"), ("blue", "red")):
        who = seen(Labels(team=own), {"team": other}, NOW)
        decision = evaluate(policy, "openai/m", cloud, who, NOW)
        assert decision.drain is not None
        assert share_left(decision.drain, NOW) == 0.5
