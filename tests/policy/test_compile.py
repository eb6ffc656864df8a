"""What documents say together: checked as a whole, with one revision."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.domain.decision import Drain, Handling, Mode, Verdict
from gateway.policy.compile import Policy, PolicyConflict, compile_policy
from gateway.policy.rules import InFlight, Match, PolicyDocument, Rule, Waiver, vendor_rule

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
    assert "names no known rule" in text
    assert "longer than 180 days" in text


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
        ("b:9", "waiver 'W-7': rule 'anthropic' is not waivable"),
    ]
