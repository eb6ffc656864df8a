"""The example of March 2026: one policy and dated facts give other verdicts on other days."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli.main import root

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = Path("configs/examples/march-2026")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy, so that a test leaves nothing in the checkout; no key is set."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    shutil.copytree(ROOT / "models", tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def commands() -> list[list[str]]:
    text = (ROOT / EXAMPLE / "README.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [shlex.split(line)[1:] for block in blocks for line in block.splitlines()]


def run(arguments: list[str]) -> str:
    result = CliRunner().invoke(root, arguments)
    assert result.exit_code == 0, (arguments, result.output, result.exception)
    return result.stdout


def explained(environment: str, at: str) -> dict[str, Any]:
    """What the command of the README answers, as JSON."""
    arguments = ["policy", "explain", "--config", str(EXAMPLE / "gateway.yaml")]
    arguments += ["--model", "claude-sonnet-4-5", "--environment", environment, "--at", at]
    answer: dict[str, Any] = json.loads(run([*arguments, "--format", "json"]))
    return answer


@pytest.mark.usefixtures("checkout")
@pytest.mark.parametrize(
    ("environment", "at", "verdict", "rule"),
    [
        ("defense", "2026-02-26", "allow", "anthropic"),
        ("defense", "2026-02-28", "risky", "announced-comes-last"),
        ("defense", "2026-03-10", "deny", "defense-work-follows-designations"),
        ("defense", "2026-04-05", "allow", "anthropic"),
        ("federal", "2026-02-28", "deny", "federal-work-follows-designations"),
        ("federal", "2026-03-10", "deny", "federal-work-follows-designations"),
        ("federal", "2026-04-05", "deny", "federal-work-follows-designations"),
        ("research", "2026-03-10", "allow", "anthropic"),
    ],
)
def test_the_verdict_is_that_of_the_day(environment: str, at: str, verdict: str, rule: str) -> None:
    """Through the vendor's own channel and through a reseller; our own hardware stays."""
    direct, resold, local = explained(environment, at)["targets"]
    assert (direct["verdict"], direct["rule"]) == (verdict, rule)
    assert resold["verdict"] == verdict
    assert local["verdict"] == "allow"


@pytest.mark.usefixtures("checkout")
def test_the_table_of_the_readme_is_what_explain_says() -> None:
    """Each day for each kind of work."""
    text = (ROOT / EXAMPLE / "README.md").read_text()
    rows = re.findall(r"^\| (\d+ \w+) \| (\w+) \| (\w+) \|", text, re.MULTILINE)
    assert len(rows) == 4
    for day, defense, federal in rows:
        at = datetime.strptime(f"{day} 2026", "%d %B %Y").replace(tzinfo=UTC).isoformat()
        for environment, verdict in (("defense", defense), ("federal", federal)):
            assert explained(environment, at)["targets"][0]["verdict"] == verdict


@pytest.mark.usefixtures("checkout")
def test_every_command_of_the_readme_runs() -> None:
    """As it stands, from the root of the project."""
    outputs = {" ".join(arguments): run(arguments) for arguments in commands()}
    assert len(outputs) == 6
    assert len(set(outputs.values())) == 6


@pytest.mark.usefixtures("checkout")
def test_every_fact_says_where_it_was_read() -> None:
    """Each change has its page, and what could not be verified stands in a note."""
    config = str(EXAMPLE / "gateway.yaml")
    shown = json.loads(
        run(["vendors", "show", "anthropic", "--config", config, "--format", "json"])
    )
    facts = shown["designations"]
    assert len(facts) == 3
    for fact in facts:
        assert "not verified" in fact["note"] or "not read" in fact["note"]
        assert all(change["source_url"].startswith("https://") for change in fact["history"])
        assert fact["history"][-1]["at"] < "2026-04-09"
