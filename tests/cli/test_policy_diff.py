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
    assert "router/openai/gpt-4o\n  allow by openai → deny by no-routers\n" in result.output
    assert "team: red\n      from 2030-01-01T00:00:00+00:00 on\n" in result.output
    assert "1 change of the verdict" in result.output
    assert "local/smollm2" not in result.output


def test_json_and_a_later_instant(house: Path) -> None:
    """From after the rule's beginning there is no more to say of time."""
    answer = json.loads(run(house, "old", "new", "--format", "json", "--from", "2031-01-01").output)
    assert (answer["targets"], answer["from"]) == (3, "2031-01-01T00:00:00+00:00")
    (change,) = answer["changes"]
    assert (change["target"], change["verdict"]) == ("router/openai/gpt-4o", True)
    assert (change["old"]["rule"], change["new"]["rule"]) == ("openai", "no-routers")
    assert change["requests"]["team"] == ["red"]
    assert change["requests"]["spans"] == [["2031-01-01 00:00:00+00:00", None]]


def test_the_past_is_compared_where_that_is_asked_for(house: Path) -> None:
    """A rule that has ended changes nothing from now on, and did."""
    (house / "new" / "10.yaml").write_text(NEW.replace("from: 2030-01-01", "until: 2020-01-01"))
    assert run(house, "old", "new").exit_code == 0
    result = run(house, "old", "new", "--all-time")
    assert result.exit_code == 1
    assert "until 2020-01-01T00:00:00+00:00" in result.output


def test_a_folder_that_is_not_there_is_usage(house: Path) -> None:
    assert run(house, "old", "none").exit_code == 2
