"""``docs/scan.md`` names what the command has, and the figures that its corpus gives."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
import yaml

from gateway.cli.scan import scan
from gateway.readiness.scan.finding import Reach, Said, Signal
from tests.scan.corpus import figures, outcome, snippets

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "scan.md").read_text()


@pytest.mark.parametrize("option", [one for one in scan.params if isinstance(one, click.Option)])
def test_every_option_is_told(option: click.Option) -> None:
    assert option.opts[0] in PAGE


@pytest.mark.parametrize("word", [*Reach, *Said, *(one for one in Signal if one != "suppression")])
def test_every_word_of_a_finding_is_told(word: str) -> None:
    assert f"`{word}`" in PAGE


@pytest.mark.parametrize(("name", "held_out"), [("tuned", False), ("held out", True)])
def test_the_figures_are_those_of_the_corpus(name: str, held_out: bool) -> None:
    part = [outcome(one) for one in snippets() if one.held_out is held_out]
    found = figures(part)

    row = f"| {name} | {len(part)} | {found.recall:.3f} | {found.precision:.3f} |"
    assert row in PAGE
    assert f"has {len(snippets())} labelled snippets" in PAGE


def test_the_hook_is_of_a_command_that_there_is() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())

    assert hook["entry"] == f"gateway {scan.name}"
    assert hook["require_serial"] is True
