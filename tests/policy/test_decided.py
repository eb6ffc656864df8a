"""What is remembered of decisions, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gateway.domain.decision import Drain, Handling, Labels, Verdict
from gateway.domain.identity import Identity, Locality, Party, Role
from gateway.policy import periods
from gateway.policy.compile import Policy, compile_policy
from gateway.policy.decided import decide
from gateway.policy.rules import Match, PolicyDocument, Rule, When

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PARTIES = (Party(Role.CHANNEL, "openai"), Party(Role.DEVELOPER, "openai"))
OPENAI = Identity("openai", "openai", "gpt-4o", (), Locality.CLOUD, PARTIES)
MATCH = Match(vendor=frozenset({"openai"}))
TEAM = Labels(team="red")


def policy(*rules: Rule) -> Policy:
    return compile_policy([PolicyDocument("a.yaml", rules=rules, default=Verdict.ALLOW)])


def test_a_decision_is_made_once_until_a_rule_begins() -> None:
    """Up to the last microsecond it is the same object; then it is another."""
    ban = policy(Rule("ban", MATCH, Verdict.DENY, start=NOON))
    first = decide(ban, "openai/m", OPENAI, TEAM, NOON - HOUR)
    last = NOON - timedelta(microseconds=1)
    assert decide(ban, "openai/m", OPENAI, TEAM, last) is first
    assert (first.verdict, first.rule) == (Verdict.ALLOW, "default")
    denied = decide(ban, "openai/m", OPENAI, TEAM, NOON)
    assert (denied.verdict, denied.rule) == (Verdict.DENY, "ban")
    # Whoever asks about the past is told what held then.
    assert decide(ban, "openai/m", OPENAI, TEAM, last) == first


def test_another_policy_remembers_nothing() -> None:
    """A ban holds from the first question that is put to it."""
    before, after = policy(), policy(Rule("ban", MATCH, Verdict.DENY))
    assert decide(before, "openai/m", OPENAI, TEAM, NOON).verdict is Verdict.ALLOW
    assert decide(after, "openai/m", OPENAI, TEAM, NOON).verdict is Verdict.DENY


def test_which_drain_is_the_stricter_is_looked_at_anew() -> None:
    """Two teams are drained at different speeds: what lasts longer in the morning is shorter in
    the evening, with no rule that begins or ends between.
    """

    def drained(team: str, start: int, end: int) -> Rule:
        drain = Drain(NOON + start * HOUR, NOON + end * HOUR)
        when = When(team=frozenset({team}))
        return Rule(team, MATCH, Verdict.RISKY, when, handling=Handling.DRAIN, drain=drain)

    both = policy(drained("red", 0, 10), drained("blue", 4, 6))
    who = Labels(team="red", claimed=Labels(team="blue"))
    assert decide(both, "openai/m", OPENAI, who, NOON + 4 * HOUR).rule == "red"
    assert decide(both, "openai/m", OPENAI, who, NOON + 6 * HOUR).rule == "blue"


def test_what_is_remembered_has_a_bound() -> None:
    """Requests may claim to be anybody."""
    open_to_all = policy()
    for number in range(periods.MOST_SAID + 10):
        decide(open_to_all, "openai/m", OPENAI, Labels(app=str(number)), NOON)
    assert len(open_to_all.period(NOON)._said) <= periods.MOST_SAID
