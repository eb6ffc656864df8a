"""``docs/doctor.md`` has every check, by its group and in the order of the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import click
import pytest
from click import Command, Context, Group

from gateway.cli.doctor import doctor
from gateway.cli.main import root
from gateway.readiness.doctor import finding
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


def advised() -> Iterator[tuple[str, ...]]:
    """The commands that findings tell people to use, as far as their words are fixed."""
    for file in sorted(Path(finding.__file__).parent.glob("*.py")):
        # A text may go on in the next line of the code.
        text = re.sub(r'"\n\s+f?"', "", file.read_text())
        for words in re.findall(r"gateway ((?:[a-z-]+ ?)+(?:--[a-z]+)?)", text):
            command = words.split()
            if command[0] in root.list_commands(Context(root)):
                yield tuple(command)


@pytest.mark.parametrize("words", sorted(set(advised())), ids=" ".join)
def test_what_it_tells_people_to_do_can_be_done(words: tuple[str, ...]) -> None:
    """The command is there, and has the option."""
    command: Command = root
    for word in words:
        if word.startswith("--"):
            assert any(word in one.opts for one in command.params)
        elif isinstance(command, Group):
            found = command.get_command(Context(command), word)
            assert found is not None, word
            command = found


def test_it_tells_people_of_many_commands() -> None:
    assert len(set(advised())) >= 12
