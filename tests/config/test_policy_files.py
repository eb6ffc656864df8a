"""The policy folder as a whole: schema, names across files, embedded tests."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.config.policy_files import PolicyLoader
from gateway.config.shipped import load_catalog
from gateway.config.sources import Sources
from gateway.domain.decision import Verdict
from gateway.domain.identity import Role
from gateway.errors import DocumentError
from gateway.policy.compile import Policy
from tests.config.by_name import resolver

SHIPPED = Path(__file__).parents[2] / "configs"


def load(folder: Path) -> Policy:
    sources = Sources(folder, folder.parent / "designations")
    return PolicyLoader(load_catalog(), resolver).load(sources, sources.read())


def refused(folder: Path) -> str:
    with pytest.raises(DocumentError) as caught:
        load(folder)
    return caught.value.message


def test_every_part_of_the_schema_is_taken(policies: Path) -> None:
    """Rules, dates without time, waivers and tests arrive as the policy room's types."""
    (policies / "20.yaml").write_text("""\
version: 1
mode: shadow
max_waiver_days: 90
rules:
  - id: wind-down
    match: {vendor: [mistral], roles: [developer, lineage], model: ["mistral-*"]}
    when: {team: [red], data_class: [cui]}
    verdict: risky
    handling: drain
    drain: {from: 2026-03-05, until: 2026-09-05T12:00:00}
    reason: NO
    from: 2026-03-05
    until: null
    waivable: true
waivers:
  - {id: W-7, rule: wind-down, vendor: mistral, owner: a, approver: b, reason: c,
     granted: 2026-03-10, expires: 2026-06-01}
tests:
  - {name: gone, request: {model: anthropic/claude}, expect: {verdict: deny, rule: anthropic}}
""")
    policy = load(policies)
    rule = next(rule for rule in policy.rules if rule.id == "wind-down")
    assert rule.start == datetime(2026, 3, 5, tzinfo=UTC)
    assert rule.drain is not None
    assert rule.drain.end == datetime(2026, 9, 5, 12, tzinfo=UTC)
    assert rule.match.roles == {Role.DEVELOPER, Role.LINEAGE}
    assert rule.when.data_class == {"cui"}
    assert (rule.reason, rule.waivable) == ("NO", True)
    assert rule.source == f"{policies / '20.yaml'}:5"
    assert policy.waivers[0].expires == datetime(2026, 6, 1, tzinfo=UTC)
    assert policy.default is Verdict.DENY
    assert policy.mode == "shadow"


def test_the_order_of_files_does_not_matter(tmp_path: Path) -> None:
    """The revision is that of the rules, wherever they stand."""
    revisions = set()
    for number, names in enumerate((("a", "b"), ("b", "a"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / f"{names[0]}.yaml").write_text("version: 1\nvendors: {openai: allow}\n")
        (folder / f"{names[1]}.yaml").write_text("version: 1\nvendors: {mistral: deny}\n")
        revisions.add(load(folder).revision)
    assert len(revisions) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vendors: {opnai: allow}", "2:11: unknown vendor 'opnai'"),
        ("vendors: {mistral: dney}", "2:20: expected 'allow', 'risky' or 'deny'"),
        ("rules: [{id: x, match: {}, verdict: deny}]", "2:24: an empty match"),
        ("rules: [{id: x, match: {roles: [lineage]}, verdict: deny}]", "2:24: an empty match"),
        ("rules: [{id: x, match: {vendor: []}, verdict: deny}]", "2:33: must not be empty"),
        ("rules: [{id: x, match: {vendor: mistral}, verdict: deny}]", "2:33: expected a list"),
        (
            "rules: [{id: x, match: {designation: {status: [inforce]}}, verdict: deny}]",
            "2:48: expected 'announced', 'in_force', 'stayed', 'enjoined', 'vacated' or 'expired'",
        ),
        (
            "rules: [{id: x, match: {designation: {id: [order-1]}}, verdict: deny}]",
            "2:44: there is no designation 'order-1'",
        ),
        (
            "rules: [{id: x, match: {vendor: [mistral]}, verdict: deny, from: soon}]",
            "2:66: expected a date or a time",
        ),
        ("rules: [{id: default, match: {vendor: [mistral]}, verdict: deny}]", "is reserved"),
        ("in_flight: abort", "2:12: expected 'finish' or 'cut'"),
        (
            "waivers: [{id: w, rule: anthropic, vendor: anthropic, owner: a, approver: b, "
            "reason: c, granted: 2026-01-01}]",
            "2:11: missing key 'expires'",
        ),
        (
            "waivers: [{id: w, rule: anthropic, vendor: anthropic, owner: a, approver: b, "
            "reason: c, granted: 2026-01-01, expires: 2026-12-01}]",
            "a waiver lasts at most 180 days from 'granted'",
        ),
        (
            "waivers: [{id: w, rule: anthropc, vendor: anthropic, owner: a, approver: b, "
            "reason: c, granted: 2026-01-01, expires: 2026-02-01}]",
            "there is no rule 'anthropc'\n",
        ),
        (
            "tests: [{name: t, request: {model: openai/x}, expect: {verdict: deny}}]",
            "2:16: the test 't': expected deny, got allow by rule openai",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place(policies: Path, text: str, expected: str) -> None:
    """Each mistake that the specification names, with file, line and column."""
    (policies / "20.yaml").write_text(f"version: 1\n{text}\n")
    message = refused(policies)
    assert message.startswith(f"{policies / '20.yaml'}:2:")
    assert expected in message


def test_two_rules_with_one_id_name_both_places(policies: Path) -> None:
    """A line of ``vendors:`` counts as a rule of that name."""
    (policies / "20.yaml").write_text("version: 1\nvendors: {openai: deny}\n")
    first = f"{policies / '10-vendors.yaml'}:4"
    assert refused(policies).startswith(
        f"{policies / '20.yaml'}:2:11: "
        f"the rule id 'openai' is given a second time: first at {first}"
    )


def test_files_that_disagree_are_refused(policies: Path) -> None:
    """Neither of two defaults wins by the order of files."""
    (policies / "20.yaml").write_text("version: 1\ndefault: allow\n")
    assert "'default' is 'deny' at" in refused(policies)


def test_mistakes_of_all_files_are_told_at_once(policies: Path) -> None:
    """A file that does not parse does not hide what is wrong in another."""
    (policies / "20.yaml").write_text("version: 1\nbogus: 1\n")
    (policies / "30.yaml").write_text("version: [\n")
    message = refused(policies)
    assert "20.yaml:2:1: unknown key 'bogus'" in message
    assert "30.yaml:2:1: not valid YAML" in message


def test_a_doubled_key_does_not_hide_what_is_wrong_below_it(policies: Path) -> None:
    """All mistakes of a file at once, whether YAML's or the schema's, and each once."""
    (policies / "20.yaml").write_text("""\
version: 1
vendors: {mistral: risky, mistral: allow}
rules:
  - {id: a, match: {locality: [cluod]}, verdict: deny}
  - {id: &b b, match: {}, verdict: deny}
""")
    with pytest.raises(DocumentError) as caught:
        load(policies)
    assert [(p.line, p.message, p.hint) for p in caught.value.problems] == [
        (2, "duplicate key 'mistral': first given on line 2", ""),
        (4, "expected 'local', 'sovereign' or 'cloud'", "did you mean 'cloud'?"),
        (5, "an anchor (&) is not allowed here", 'quote it if a value begins with "&"'),
        (
            5,
            "an empty match would be every target",
            "name a vendor, jurisdiction, locality, region, channel, model or designation",
        ),
    ]


def test_the_shipped_policy_loads_and_takes_no_sides() -> None:
    """Every vendor it names is allowed, all others are denied."""
    policy = load(SHIPPED / "policies")
    assert policy.default is Verdict.DENY
    assert {rule.verdict for rule in policy.rules} == {Verdict.ALLOW}
    assert {rule.id for rule in policy.rules} == {"openai", "anthropic"}
