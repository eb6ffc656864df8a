"""``gateway policy test``, on real files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import root

MODELS = Path(__file__).resolve().parents[2] / "models"
POLICY = """\
version: 1
vendors: {openai: allow, anthropic: deny}
rules:
  - {id: watch, match: {vendor: [openai]}, verdict: deny, mode: shadow}
tests:
  - {name: gpt is there, request: {model: openai/gpt-4o}, expect: {verdict: allow, rule: openai}}
"""
WRONG = """\
  - {name: claude is there, request: {model: anthropic/claude-sonnet-4-5}, expect: {verdict: allow}}
"""


@pytest.fixture
def house(tmp_path: Path) -> Path:
    (tmp_path / "gateway.yaml").write_text(f"local: {{manifests: {MODELS}}}\n")
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "10.yaml").write_text(POLICY)
    return tmp_path


def run(house: Path, *arguments: str) -> Result:
    config = str(house / "gateway.yaml")
    return CliRunner().invoke(root, ["policy", "test", "--config", config, *arguments])


def test_tests_that_pass_exit_with_0_and_show_what_they_reach(house: Path) -> None:
    """A rule that no test decides by is seen at a glance."""
    result = run(house)
    file = house / "policies" / "10.yaml"
    assert result.exit_code == 0, result.output
    assert "pass  gpt is there: allow by rule openai" in result.output
    assert "1 test, 0 failed" in result.output
    assert f"none     rule anthropic ({file}:2)" in result.output
    assert f"matches  rule watch ({file}:4)" in result.output
    assert "tests decide by 1 of 3 rules and waivers" in result.output


def test_a_failing_test_exits_with_1_and_says_why(house: Path) -> None:
    """Such a policy does not load anywhere else, and is told here all the same."""
    (house / "policies" / "10.yaml").write_text(POLICY + WRONG)
    result = run(house)
    assert result.exit_code == 1
    assert "FAIL  claude is there: expected allow, got deny by rule anthropic" in result.output
    answer = json.loads(run(house, "--format", "json").output)
    assert [(one["name"], one["passed"]) for one in answer["tests"]] == [
        ("claude is there", False),
        ("gpt is there", True),
    ]
    assert {one["id"]: one["reach"] for one in answer["coverage"]} == {
        "anthropic": "decides",
        "openai": "decides",
        "watch": "matches",
    }
