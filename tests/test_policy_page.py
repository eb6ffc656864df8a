"""The commands of docs/policy.md, run as they stand: what they print is what the page says."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.main import root

ROOT = Path(__file__).resolve().parents[1]
MISTAKEN = """\
version: 1
default: deny
vendors:
  antropic: deny
  mistral: risky
  mistral: allow
rules:
  - id: stay-home
    match: {locality: [cluod]}
    verdict: deny
  - id: nothing
    match: {}
    verdict: deny
    form: 2026-03-05
"""
TESTED = """\
version: 1
vendors: {openai: allow, anthropic: deny}
default: allow
tests:
  - name: claude is gone on Bedrock
    request: {model: "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0"}
    expect: {verdict: deny, rule: anthropic}
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped configuration, and the two policies that the page speaks of."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    shutil.copytree(ROOT / "models", tmp_path / "models")
    for name, text in (("mistaken", MISTAKEN), ("tested", TESTED)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "10.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "planted")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "planted")
    return tmp_path


def test_every_command_of_the_page_prints_what_it_says(checkout: Path) -> None:
    """One after the other; paths are those of a reader in the project's folder."""
    page = (ROOT / "docs" / "policy.md").read_text()
    blocks = re.findall(r"^```console\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    ran = 0
    for block in blocks:
        for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n?)*)", block, re.MULTILINE):
            program, *arguments = shlex.split(command)
            assert program == "gateway"
            result = CliRunner().invoke(root, arguments)
            assert not isinstance(result.exception, Exception), (command, result.exception)
            if expected:
                printed = result.output.replace(f"{checkout}/", "")
                assert printed == expected, command
            ran += 1
    assert ran >= 8
