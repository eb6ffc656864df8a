"""The commands of docs/models.md, run as they stand: what they print is what the page says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.main import root

ROOT = Path(__file__).resolve().parents[1]
SHOWN = re.findall(r"```\n\$ gateway (.+)\n((?:.+\n)+?)```", (ROOT / "docs/models.md").read_text())


@pytest.mark.parametrize(("command", "printed"), SHOWN, ids=[command for command, _ in SHOWN])
def test_the_page_shows_what_is_printed(
    command: str, printed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Word by word."""
    monkeypatch.chdir(ROOT)
    assert CliRunner().invoke(root, shlex.split(command)).output == printed


def test_the_page_shows_something() -> None:
    assert len(SHOWN) == 2
