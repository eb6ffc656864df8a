"""``gateway policy diff``, on real folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import root

MODELS = Path(__file__).resolve().parents[2] / "models"
CONFIG = f"""\
channels:
  openai: {{vendor: openai, kind: openai, base_url: "https://a.example", api_key: "${{K}}"}}
  router: {{vendor: openrouter, kind: openai, base_url: "https://b.example", api_key: "${{K}}"}}
models:
  gpt-4o: {{targets: [openai/gpt-4o, router/openai/gpt-4o, local/smollm2]}}
  again: {{targets: [openai/gpt-4o]}}
local:
  manifests: {MODELS}
  models: {{smollm2: {{manifest: smollm2-135m-instruct}}}}
"""
OLD = "version: 1\nvendors: {openai: allow, openrouter: allow}\n"
NEW = """\
version: 1
vendors: {openai: allow, openrouter: allow}
rules:
  - {id: no-routers, match: {vendor: [openrouter]}, verdict: deny, when: {team: [red]},
     from: 2030-01-01}
"""


@pytest.fixture
def house(tmp_path: Path) -> Path:
    (tmp_path / "gateway.yaml").write_text(CONFIG)
    for name, text in (("old", OLD), ("new", NEW)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "10.yaml").write_text(text)
    return tmp_path


def run(house: Path, old: str, new: str, *arguments: str) -> Result:
    folders = (str(house / old), str(house / new))
    config = ("--config", str(house / "gateway.yaml"))
    return CliRunner().invoke(root, ["policy", "diff", *folders, *config, *arguments])


def test_no_change_exits_with_0(house: Path) -> None:
    result = run(house, "old", "old")
    assert result.exit_code == 0, result.output
    assert "3 targets" in result.output
    assert "0 changes of the verdict" in result.output


def test_a_change_exits_with_1_and_says_who_and_when(house: Path) -> None:
    """One target of three, one team, from a day on."""
    result = run(house, "old", "new")
    assert result.exit_code == 1
    assert (
        "\nThe verdict changes\n"
        "  allow by openai → deny by no-routers\n"
        "    router/openai/gpt-4o\n"
        "      team red, from 2030-01-01\n"
        "\n1 change of the verdict, 0 only of the rule, handling, waiver or drain\n"
    ) in result.output
    assert "local/smollm2" not in result.output


def test_json_and_a_later_instant(house: Path) -> None:
    """From after the rule's beginning there is no more to say of time."""
    answer = json.loads(run(house, "old", "new", "--format", "json", "--from", "2031-01-01").output)
    assert answer["targets"] == ["local/smollm2", "openai/gpt-4o", "router/openai/gpt-4o"]
    assert answer["from"] == "2031-01-01T00:00:00+00:00"
    (change,) = answer["changes"]
    assert (change["targets"], change["verdict"]) == (["router/openai/gpt-4o"], True)
    assert (change["old"]["rule"], change["new"]["rule"]) == ("openai", "no-routers")
    assert change["requests"]["team"] == {"any_of": ["red"], "none_of": []}
    assert change["requests"]["spans"] == [["2031-01-01T00:00:00+00:00", None]]


def test_the_past_is_compared_where_that_is_asked_for(house: Path) -> None:
    """A rule that has ended changes nothing from now on, and did."""
    (house / "new" / "10.yaml").write_text(NEW.replace("from: 2030-01-01", "until: 2020-01-01"))
    assert run(house, "old", "new").exit_code == 0
    result = run(house, "old", "new", "--all-time")
    assert result.exit_code == 1
    assert "      team red, until 2020-01-01\n" in result.output
    answer = json.loads(run(house, "old", "new", "--all-time", "--format", "json").output)
    assert answer["from"] is None
    assert answer["changes"][0]["requests"]["spans"] == [[None, "2020-01-01T00:00:00+00:00"]]


def test_a_folder_that_is_not_there_is_usage(house: Path) -> None:
    assert run(house, "old", "none").exit_code == 2


FOLLOWED = """\
version: 1
default: allow
rules:
  - {id: follow, match: {designation: {scope: [federal]}}, verdict: deny}
"""
FACT = """\
version: 1
designations:
  - id: d-1
    vendor: openrouter
    authority: An office
    scope: [federal]
    status: in_force
    effective: 2026-03-05
    source_url: https://example.org/1
    retrieved: 2026-03-06
"""


def test_the_same_rules_after_other_facts(house: Path) -> None:
    """Each side may have designations of its own."""
    (house / "old" / "10.yaml").write_text(FOLLOWED)
    (house / "facts").mkdir()
    (house / "facts" / "a.yaml").write_text(FACT)
    assert run(house, "old", "old").exit_code == 0
    arguments = ("--designations-new", str(house / "facts"), "--all-time")
    result = run(house, "old", "old", *arguments)
    assert result.exit_code == 1
    assert "  allow by default → deny by follow\n    router/openai/gpt-4o\n" in result.output
    assert "      from 2026-03-05\n" in result.output


def test_a_rule_only_is_told_apart_from_a_verdict(house: Path) -> None:
    """Whoever reviews a change looks at the first block first."""
    (house / "new" / "10.yaml").write_text(
        OLD + "rules: [{id: a-yes, match: {vendor: [openai]}, verdict: allow}]\n"
    )
    result = run(house, "old", "new")
    assert result.exit_code == 1
    assert (
        "\nThe verdict stays\n"
        "  allow by openai → allow by a-yes\n"
        "    openai/gpt-4o router/openai/gpt-4o\n"
        "      every request\n"
        "\n0 changes of the verdict, 1 only of the rule, handling, waiver or drain\n"
    ) in result.output


def test_what_cannot_be_compared_is_neither_yes_nor_no(house: Path) -> None:
    """A mistake in a folder exits with 2, with its place; so does a policy of too many classes."""
    (house / "new" / "10.yaml").write_text("version: 1\nvendors: {openai: maybe}\n")
    result = run(house, "old", "new")
    assert result.exit_code == 2
    assert f"{house / 'new' / '10.yaml'}:2:" in result.output
    rules = "".join(
        f"  - {{id: r{n}, match: {{vendor: [openai]}}, verdict: deny, when: {{tags: [t{n}]}}}}\n"
        for n in range(17)
    )
    (house / "new" / "10.yaml").write_text(f"version: 1\nrules:\n{rules}")
    result = run(house, "old", "new")
    assert result.exit_code == 2
    assert "tell 131072 or more classes of requests apart" in result.output


def test_colours_are_for_terminals_only(house: Path) -> None:
    """No escape sequence goes into a pipe."""
    folders = (str(house / "old"), str(house / "new"))
    command = ["policy", "diff", *folders, "--config", str(house / "gateway.yaml")]
    assert "\x1b[31mdeny" in CliRunner().invoke(root, command, color=True).output
    assert "\x1b" not in CliRunner().invoke(root, command).output
