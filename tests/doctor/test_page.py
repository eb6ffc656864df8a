"""``docs/doctor.md`` has every check, by its group and in the order of the code."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

import click
import pytest

from gateway.cli.doctor import doctor
from gateway.readiness.doctor.checks import CHECKS, CONFIGURATION

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "doctor.md").read_text()


def test_the_tables_are_those_of_the_code() -> None:
    """What each check looks for is its docstring."""
    parts = re.findall(r"^## .*: `(\w+)`\n\n\| check \| .*\n\|---.*\n((?:\|.*\n)+)", PAGE, re.M)
    assert parts == [
        (group, "".join(f"| `{one.word}` | {one.says} |\n" for one in checks))
        for group, checks in groupby(CHECKS, lambda one: one.group)
    ]
    assert f"`{CONFIGURATION}`" in PAGE


@pytest.mark.parametrize("option", [one for one in doctor.params if isinstance(one, click.Option)])
def test_every_option_of_its_own_is_told(option: click.Option) -> None:
    if option.name not in ("config", "policy_dir"):
        assert option.opts[0] in PAGE
