"""What the doctor says of policies, waivers and designations."""

from __future__ import annotations

from dataclasses import replace

import pytest
from click.testing import CliRunner

from gateway.cli.main import root
from gateway.readiness.doctor.policy import toggles
from tests.doctor.checkout import POLICY, Checkout, day, said

RULES = "version: 1\nvendors: {openai: allow}\nrules:\n"


def rule(id: str, vendor: str = "openai", verdict: str = "deny", more: str = "") -> str:
    return f"  - {{id: {id}, match: {{vendor: [{vendor}]}}, verdict: {verdict}{more}}}\n"


def test_shadow_mode_is_told_of(checkout: Checkout) -> None:
    """Of the whole policy a warning, of single rules that it is so."""
    assert checkout.only("shadow") == []
    checkout.ruled(POLICY + "mode: shadow\n")
    ((level, subject, message),) = checkout.only("shadow")
    assert (level, subject) == ("warning", "mode")
    assert "denies nothing" in message
    checkout.ruled(RULES + rule("try", more=", mode: shadow"))
    ((level, subject, _),) = checkout.only("shadow")
    assert (level, subject) == ("info", "rule try")


def test_a_default_that_allows_is_a_warning(checkout: Checkout) -> None:
    """Whoever no rule names is sent prompts then."""
    assert checkout.only("default-allow") == []
    checkout.ruled(POLICY + "default: allow\n")
    assert [row[:2] for row in checkout.only("default-allow")] == [("warning", "default")]


def test_rules_that_begin_or_end_soon_are_told_of(checkout: Checkout) -> None:
    """Within 14 days, not beyond; and those that have ended."""
    checkout.ruled(
        RULES
        + rule("begins", more=f', from: "{day(3.5)}"')
        + rule("later", more=f', from: "{day(20)}"')
        + rule("ends", "mistral", more=f', until: "{day(0.5)}"')
        + rule("ended", "mistral", more=f', until: "{day(-2)}"')
        + rule(
            "drains",
            "mistral",
            "risky",
            f', handling: drain, drain: {{from: "{day(-1)}", until: "{day(1.5)}"}}',
        )
    )
    told = {subject: (level, message) for level, subject, message in checkout.only("rule-dates")}
    assert {subject: level for subject, (level, _) in told.items()} == {
        "rule begins": "info",
        "rule ends": "warning",
        "rule ended": "info",
        "rule drains": "warning",
    }
    assert "deny begins in 3 days, on" in told["rule begins"][1]
    assert "ends within a day" in told["rule ends"][1]
    assert "over in 1 day," in told["rule drains"][1]


def test_rules_that_fall_on_nothing_are_named(checkout: Checkout) -> None:
    """Those of vendors that are configured, or behind what is, are not."""
    # Who trained weights of our own is in the role of that, which must be named.
    weights = "  - {id: own, match: {vendor: [alibaba], roles: [weights]}, verdict: deny}\n"
    checkout.ruled(RULES + weights + rule("far", "mistral"))
    assert [row[:2] for row in checkout.only("idle-rules")] == [("info", "rule far")]
    checkout.ruled(RULES + "".join(rule(f"r{n:02}", "mistral") for n in range(10)))
    ((_, subject, _),) = checkout.only("idle-rules")
    assert subject == "rules r00, r01, r02, r03, r04, r05, r06, r07 and 2 more"


def test_a_policy_that_denies_without_a_test_is_told_of(checkout: Checkout) -> None:
    """One test is enough to be silent."""
    checkout.ruled(RULES + rule("ban", "mistral"))
    assert [row[:2] for row in checkout.only("untested")] == [("info", "rule ban")]
    test = "tests: [{name: t, request: {model: mistral/x}, expect: {verdict: deny}}]\n"
    checkout.ruled(RULES + rule("ban", "mistral") + test)
    assert checkout.only("untested") == []


def test_models_that_nobody_is_left_to_serve_are_wrong(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what policy says of each target; one that is risky, or for some alone, is a warning."""
    cloud = ("cloudy: {targets: [openai/gpt-4o, lab/qwen3-32b]}", "far: {targets: [openai/gpt-4o]}")
    checkout.configured(cloud)
    ((level, subject, message),) = checkout.only("nobody", 1)
    assert (level, subject) == ("error", "far")
    assert message == "nobody is left to serve it: openai/gpt-4o: no key"
    monkeypatch.setenv("NO_KEY", "planted")
    assert checkout.only("nobody") == []
    checkout.ruled(RULES + rule("ban"))
    ((_, _, message),) = checkout.only("nobody", 1)
    assert message.endswith("openai/gpt-4o: deny by ban")
    for words in (("risky", ""), ("deny", ", when: {team: [shop]}")):
        checkout.ruled(RULES + rule("some", "openai", *words))
        expected = [("warning", "far")] if words[0] == "risky" else []
        assert [row[:2] for row in checkout.only("nobody")] == expected
    checkout.ruled("version: 1\nrules:\n" + rule("some", "openai", "allow", ", when: {team: [x]}"))
    assert [row[:2] for row in checkout.only("nobody")] == [("warning", "far")]


def test_waivers_that_expire_are_told_of(checkout: Checkout) -> None:
    """Within 14 days a warning that names the owner; expired ones are only said."""
    waiver = (
        "  - {{id: {0}, rule: ban, vendor: openai, owner: ann, approver: bob, reason: r, "
        'granted: "{1}", expires: "{2}"}}\n'
    )
    checkout.ruled(
        RULES
        + rule("ban", more=", waivable: true")
        + "waivers:\n"
        + waiver.format("soon", day(-5), day(13))
        + waiver.format("gone", day(-5), day(-1))
        + waiver.format("long", day(-5), day(60))
    )
    told = {subject: (level, message) for level, subject, message in checkout.only("waivers")}
    assert {s: level for s, (level, _) in told.items()} == {
        "waiver soon": "warning",
        "waiver gone": "info",
    }
    assert "owned by ann: it expires in 12 days" in told["waiver soon"][1]


def test_a_ban_by_hand_is_told_of(checkout: Checkout) -> None:
    """As long as it is in force, with its reason."""
    command = ["ban", "openai", "--config", str(checkout.config), "--reason", "directive 12"]
    assert CliRunner().invoke(root, command).exit_code == 0
    ((level, subject, message),) = checkout.only("toggles")
    assert (level, subject) == ("info", "openai")
    assert message.endswith("directive 12")


def test_a_policy_that_cannot_be_written_to_cannot_ban(checkout: Checkout) -> None:
    """But one that must be signed is not written there by everybody."""
    found = checkout.examined()
    shut = replace(found, ruled=replace(found.ruled, writable=False))
    assert said([*toggles(shut)]) == [("warning", str(checkout.folder / "policies"))]


FACT = """\
version: 1
designations:
  - id: fact
    vendor: mistral
    authority: A
    scope: [federal]
    status: {status}
    source_url: https://example.org/1
    retrieved: {retrieved}
    {more}
"""
FOLLOWS = "  - {id: follow, match: {designation: {scope: [federal]}}, verdict: deny}\n"


def designated(
    checkout: Checkout, status: str, retrieved: int, more: str, rules: str = FOLLOWS
) -> None:
    """A fact that was read so many days ago."""
    text = FACT.format(status=status, retrieved=day(-retrieved)[:10], more=more)
    (checkout.folder / "designations" / "facts.yaml").write_text(text)
    checkout.ruled(RULES + rules)


def test_a_designation_that_was_read_long_ago_is_stale(checkout: Checkout) -> None:
    """A warning where a rule follows it; not where it is over."""
    begun = f"effective: {day(-90)[:10]}"
    designated(checkout, "in_force", 30, begun)
    assert checkout.only("stale") == []
    designated(checkout, "in_force", 31, begun)
    ((level, subject, message),) = checkout.only("stale")
    assert (level, subject) == ("warning", "designation fact")
    assert message.endswith("31 days ago, and follow follows it")
    designated(checkout, "in_force", 31, begun, rule("own", "mistral"))
    assert [row[0] for row in checkout.only("stale")] == ["info"]
    url = "source_url: https://example.org/2"
    ended = f"history: [{{on: {day(-90)[:10]}, status: vacated, {url}}}]"
    designated(checkout, "vacated", 80, ended)
    assert checkout.only("stale") == []


def test_a_phase_out_that_is_over_is_told_of(checkout: Checkout) -> None:
    """As long as the history says nothing of what became of it."""
    begun = f"effective: {day(-90)[:10]}"
    designated(checkout, "in_force", 1, f"{begun}\n    phase_out_until: {day(5)[:10]}")
    assert checkout.only("phase-out") == []
    designated(checkout, "in_force", 1, f"{begun}\n    phase_out_until: {day(-5)[:10]}")
    ((level, _, message),) = checkout.only("phase-out")
    assert (level, message.endswith("its status is still in_force")) == ("warning", True)


def test_what_is_announced_for_a_past_day_is_told_of(checkout: Checkout) -> None:
    """With a history that does not say that it took effect."""
    history = (
        f"history: [{{on: {day(-90)[:10]}, status: announced, source_url: https://example.org/1}}]"
        f"\n    effective: {day(-3)[:10]}"
    )
    designated(checkout, "announced", 1, history)
    assert [row[:2] for row in checkout.only("announced")] == [("warning", "designation fact")]
    designated(checkout, "announced", 1, f"announced: {day(-9)[:10]}\n    effective: {day(9)[:10]}")
    assert checkout.only("announced") == []


def test_a_rule_that_follows_no_designation_is_told_of(checkout: Checkout) -> None:
    """Of which there is none that fits its words."""
    designated(checkout, "in_force", 1, f"effective: {day(-90)[:10]}")
    assert checkout.only("unmatched") == []
    checkout.ruled(RULES + FOLLOWS.replace("federal", "fedral"))
    assert [row[:2] for row in checkout.only("unmatched")] == [("warning", "rule follow")]
