"""What documents say together: checked as a whole, with one revision."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from gateway.domain.decision import Drain, Handling, Mode, Verdict
from gateway.domain.identity import Locality, Role
from gateway.policy.compile import Policy, PolicyConflict, compile_policy
from gateway.policy.rules import (
    DesignationMatch,
    InFlight,
    Match,
    PolicyDocument,
    Rule,
    Waiver,
    When,
    vendor_rule,
)
from gateway.vendors.designations import Designation, Status, StatusChange

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def policy(*rules: Rule, **fields: Any) -> Policy:
    return compile_policy([PolicyDocument("a.yaml", rules=rules, **fields)])


def allow(vendor: str) -> Rule:
    return vendor_rule(vendor, Verdict.ALLOW, "a.yaml:1")


def waiver(expires: datetime) -> Waiver:
    """A waiver of yesterday."""
    return Waiver("W-7", "no-anthropic", "anthropic", "o", "a", "r", NOW - DAY, expires)


def test_documents_that_contradict_each_other_are_refused_with_all_reasons() -> None:
    """Mode, ids and waivers are checked over all files at once."""
    documents = [
        PolicyDocument("a", rules=(allow("openai"),), mode=Mode.ENFORCE),
        PolicyDocument("b", rules=(allow("openai"),), mode=Mode.SHADOW),
        PolicyDocument("c", waivers=(waiver(expires=NOW + 400 * DAY),)),
    ]
    with pytest.raises(PolicyConflict) as caught:
        compile_policy(documents)
    text = str(caught.value)
    assert "mode is enforce in another file" in text
    assert "two rules have the id 'openai'" in text
    assert "there is no rule 'no-anthropic'" in text
    assert "lasts at most 180 days" in text


def test_what_is_written_checks_itself() -> None:
    """A date without a zone, a span of no length, a match of nothing: none can be made."""
    match = Match(vendor=frozenset({"openai"}))
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 - what must be refused
    for wrong in (
        lambda: Match(),
        lambda: Match(vendor=frozenset({"openai"}), roles=frozenset()),
        lambda: Rule("", match, Verdict.DENY),
        lambda: Rule("r", match, Verdict.DENY, start=naive),
        lambda: Rule("r", match, Verdict.DENY, start=NOW, end=NOW),
        lambda: Rule("r", match, Verdict.RISKY, handling=Handling.DRAIN),
        lambda: Rule("r", match, Verdict.RISKY, handling=Handling.DRAIN, drain=Drain(NOW, NOW)),
        lambda: waiver(expires=NOW - DAY),
        lambda: PolicyDocument("a", max_waiver_days=0),
    ):
        with pytest.raises(ValueError, match=r"."):
            wrong()


def test_what_decides_changes_the_revision_and_where_it_stands_does_not() -> None:
    """File names and lines are not policy; verdicts, dates and `in_flight` are."""
    plain = policy(allow("openai"))
    moved = compile_policy(
        [PolicyDocument("z.yaml", rules=(vendor_rule("openai", Verdict.ALLOW, "z.yaml:9"),))]
    )
    assert moved.revision == plain.revision
    assert len(plain.revision) == 64
    others = (
        policy(vendor_rule("openai", Verdict.RISKY, "")),
        policy(replace(allow("openai"), end=NOW)),
        policy(allow("openai"), in_flight=InFlight.CUT),
        policy(allow("openai"), default=Verdict.ALLOW),
    )
    assert len({plain.revision, *(other.revision for other in others)}) == 5


FIRST = Rule("r", Match(vendor=frozenset({"zai"})), Verdict.RISKY, waivable=True)
WAIVED = Waiver("W", "r", "zai", "o", "a", "r", NOW - DAY, NOW + DAY)
WORD = frozenset({"x"})
CHANGES: list[tuple[type, dict[str, Any]]] = [
    (Match, {"vendor": frozenset({"zai", "xai"})}),
    (Match, {"roles": frozenset({Role.WEIGHTS})}),
    (Match, {"jurisdiction": frozenset({"CN"})}),
    (Match, {"locality": frozenset({Locality.CLOUD})}),
    (Match, {"region": WORD}),
    (Match, {"channel": WORD}),
    (Match, {"model": ("x",)}),
    (Match, {"designation": DesignationMatch()}),
    *((When, {label: WORD}) for label in ("team", "app", "environment", "data_class", "tags")),
    (Rule, {"verdict": Verdict.DENY}),
    (Rule, {"reason": "x"}),
    (Rule, {"authority": "x"}),
    (Rule, {"reference": "x"}),
    (Rule, {"start": NOW}),
    (Rule, {"end": NOW}),
    (Rule, {"handling": Handling.WARN}),
    (Rule, {"handling": Handling.DRAIN, "drain": Drain(NOW, NOW + DAY)}),
    (Rule, {"mode": Mode.SHADOW}),
    (Waiver, {"id": "X"}),
    (Waiver, {"vendor": "xai"}),
    (Waiver, {"owner": "x"}),
    (Waiver, {"approver": "x"}),
    (Waiver, {"reason": "x"}),
    (Waiver, {"granted": NOW}),
    (Waiver, {"expires": NOW + 2 * DAY}),
    (Waiver, {"when": When(team=WORD)}),
]


@pytest.mark.parametrize(
    ("part", "change"), CHANGES, ids=[f"{part.__name__}-{'-'.join(of)}" for part, of in CHANGES]
)
def test_whatever_decides_is_in_the_revision(part: type, change: dict[str, Any]) -> None:
    """A change of any one field of a rule or a waiver is another policy."""
    rule, lifted = FIRST, WAIVED
    if part is Match:
        rule = replace(FIRST, match=replace(FIRST.match, **change))
    elif part is When:
        rule = replace(FIRST, when=When(**change))
    elif part is Rule:
        rule = replace(FIRST, **change)
    else:
        lifted = replace(WAIVED, **change)
    before = policy(FIRST, waivers=(WAIVED,)).revision
    assert policy(rule, waivers=(lifted,)).revision != before


def test_no_field_that_decides_is_forgotten() -> None:
    """The cases above and the two ids and `waivable` beside them are all fields that there are."""
    for part, besides in (
        (Match, set()),
        (When, set()),
        (Rule, {"id", "match", "when", "waivable", "source"}),
        (Waiver, {"rule", "source"}),
    ):
        changed = {name for of, change in CHANGES if of is part for name in change}
        assert changed | besides == {field.name for field in fields(part)}, part
    plain = policy(FIRST)
    assert policy(replace(FIRST, waivable=False)).revision != plain.revision
    assert policy(replace(FIRST, id="s")).revision != plain.revision
    assert policy(FIRST, mode=Mode.SHADOW).revision != plain.revision


FACT = Designation(
    "d",
    "zai",
    "an agency",
    frozenset({"federal"}),
    (StatusChange(NOW - DAY, Status.ANNOUNCED), StatusChange(NOW, Status.IN_FORCE)),
    "https://example.org/d",
    NOW.date(),
)


def test_the_facts_that_a_policy_refers_to_are_in_its_revision() -> None:
    """A designation, its status and when that changed decide; the order of their files does not."""
    plain = policy(FIRST)
    other = replace(FACT, id="e")
    document = PolicyDocument("a.yaml", rules=(FIRST,))
    stayed = replace(FACT, history=(*FACT.history, StatusChange(NOW + DAY, Status.STAYED)))
    later = replace(FACT, history=(FACT.history[0],))
    revisions = [
        compile_policy([document], facts).revision
        for facts in ([], [FACT], [stayed], [later], [FACT, other])
    ]
    assert revisions[0] == plain.revision
    assert len(set(revisions)) == 5
    assert compile_policy([document], [other, FACT]).revision == revisions[-1]
    moved = replace(FACT, source="elsewhere.yaml:9")
    assert compile_policy([document], [moved]).revision == revisions[1]


def test_the_next_instant_at_which_a_verdict_may_change_by_itself_is_known() -> None:
    """Rules, waivers and designations; strictly after now; none after the last."""
    rule = replace(FIRST, start=NOW + 2 * DAY, end=NOW + 5 * DAY)
    document = PolicyDocument("a.yaml", rules=(rule,), waivers=(WAIVED,))
    dated = compile_policy([document], [FACT])
    seen = [NOW - 9 * DAY]
    while (change := dated.next_change(seen[-1])) is not None:
        seen.append(change)
    assert seen[1:] == [NOW - DAY, NOW, NOW + DAY, NOW + 2 * DAY, NOW + 5 * DAY]


def test_a_date_is_one_instant_in_any_zone() -> None:
    """The same instant, written in another zone, is the same policy."""
    east = NOW.astimezone(timezone(timedelta(hours=9)))
    assert policy(replace(FIRST, end=east)).revision == policy(replace(FIRST, end=NOW)).revision


def test_files_must_agree_on_in_flight() -> None:
    """The default is to finish; two files that differ are refused."""
    assert policy().in_flight is InFlight.FINISH
    with pytest.raises(PolicyConflict, match="in_flight is cut in another file"):
        compile_policy(
            [
                PolicyDocument("a", in_flight=InFlight.CUT),
                PolicyDocument("b", in_flight=InFlight.FINISH),
            ]
        )


def test_all_contradictions_are_said_at_once_and_where() -> None:
    """Each conflict names the place of the second of two; a rule must be waivable to be waived."""
    documents = [
        PolicyDocument("a", rules=(allow("openai"),), default=Verdict.ALLOW),
        PolicyDocument(
            "b",
            rules=(vendor_rule("anthropic", Verdict.DENY, "b:3"),),
            waivers=(replace(waiver(NOW + DAY), rule="anthropic", source="b:9"),),
            default=Verdict.DENY,
        ),
    ]
    with pytest.raises(PolicyConflict) as caught:
        compile_policy(documents)
    assert [(c.source, c.message) for c in caught.value.conflicts] == [
        ("b", "default is allow in another file"),
        ("b:9", "the rule 'anthropic' does not say waivable: true"),
    ]
