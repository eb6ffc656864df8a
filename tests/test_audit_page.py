"""docs/audit.md says of every field what it is, and its program verifies a log."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from gateway.audit.checkpoint import Signature
from gateway.audit.happening import Happening
from gateway.audit.record import AttemptRecord, JudgedTarget, Record
from gateway.audit.table import COLUMNS
from gateway.audit.verified import Check
from gateway.cli.main import root
from tests.audit.logs import NOW, Written, request

PAGE = (Path(__file__).resolve().parents[1] / "docs/audit.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table behind a heading."""
    part = PAGE.split(f"\n{heading}\n", 1)[1]
    table = re.search(r"\n\|---.*\n((?:\|.*\n)+)", part)
    assert table is not None
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in table[1].splitlines()
    ]


def names(heading: str) -> list[str]:
    return [row[0].strip("`") for row in rows(heading)]


@pytest.mark.parametrize(
    ("heading", "written"),
    [
        ("## What is written", ["kind", "seq", "prev", "at"]),
        ("### Request", [field.name for field in msgspec.structs.fields(Record)]),
        ("### Target", [field.name for field in msgspec.structs.fields(JudgedTarget)]),
        ("### Attempt", [field.name for field in msgspec.structs.fields(AttemptRecord)]),
        ("### Event", [field.name for field in msgspec.structs.fields(Happening)]),
        ("### Checkpoint", ["at", *(f.name for f in msgspec.structs.fields(Signature))]),
    ],
)
def test_every_field_that_is_written_is_explained(heading: str, written: list[str]) -> None:
    """And no other, in the order of the code."""
    assert names(heading) == written
    assert all(row[1] for row in rows(heading))


def test_the_columns_of_the_table_are_those_that_are_exported() -> None:
    assert rows("## Taking it elsewhere") == [
        [f"`{column.name}`", column.type.value, column.says] for column in COLUMNS
    ]


def test_every_check_is_named() -> None:
    named = re.findall(r"`(\w+)`", " ".join(row[0] for row in rows("## Is it whole")))
    assert set(named) == {check.value for check in Check}


def test_the_program_of_the_page_verifies_a_log_and_finds_what_was_altered(tmp_path: Path) -> None:
    """As it stands there."""
    program = tmp_path / "verify.py"
    (text,) = re.findall(r"```python\n(.+?)```", PAGE, re.DOTALL)
    assert len([line for line in text.splitlines() if line]) <= 15
    program.write_text(text)
    log = tmp_path / "log"
    happened = Happening("vendor.banned", NOW, subject="openai", reason="für immer")
    (*_, file) = Written().add(request(1), happened).sign().add(request(2)).sign().save(log, 2)

    def run() -> subprocess.CompletedProcess[str]:
        words = [sys.executable, str(program), str(log)]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    assert run().stdout == "5\n"
    file.write_bytes(file.read_bytes().replace(b'"cost":115', b'"cost":9'))
    assert "AssertionError" in run().stderr


def test_the_commands_of_the_page_exist() -> None:
    """With the options that it gives them."""
    commands = re.findall(r"^\$ gateway (audit .+?)(?: #.*)?$", PAGE, re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        words = shlex.split(command)
        options = {word for word in words if word.startswith("-")}
        help = CliRunner().invoke(root, [*words[:2], "--help"]).output
        assert all(option in help for option in options), command
        assert "Example: gateway audit" in " ".join(help.split())
