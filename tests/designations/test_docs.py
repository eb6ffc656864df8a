"""The commands of the documents, run as they stand, in a folder of their own."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.main import root
from gateway.config.designations import load_designations
from gateway.config.shipped import load_catalog
from gateway.vendors.published import generic

ROOT = Path(__file__).resolve().parents[2]
LISTS = Path(__file__).parent / "lists"
DOWNLOADED = {
    "consolidated.json": "csl.json",
    "consolidated.csv": "csl.csv",
    "SDN.XML": "sdn.xml",
    "SAM_Exclusions_Public_Extract.CSV": "sam.csv",
    "own-list.csv": "generic.csv",
}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped configuration with the lists that the document says to download."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    shutil.copytree(ROOT / "models", tmp_path / "models")
    for name, file in DOWNLOADED.items():
        shutil.copy(LISTS / file, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def commands(document: str) -> list[list[str]]:
    blocks = re.findall(
        r"^```sh\n(.*?)^```", (ROOT / document).read_text(), re.DOTALL | re.MULTILINE
    )
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def test_every_command_of_the_document_runs(checkout: Path) -> None:
    """One after the other, as a reader would."""
    for program, *arguments in commands("docs/designations.md"):
        if program == "mv":
            source, target = arguments
            shutil.move(source, target)
            continue
        assert program == "gateway"
        result = CliRunner().invoke(root, arguments)
        assert result.exit_code == 0, (arguments, result.output, result.exception)


def test_the_file_of_the_document_loads(tmp_path: Path) -> None:
    """Its fields are those of the schema."""
    text = (ROOT / "docs" / "designations.md").read_text()
    (block,) = re.findall(r"^```yaml\n(version: 1\n.*?)^```", text, re.DOTALL | re.MULTILINE)
    (tmp_path / "a.yaml").write_text(block)
    (fact,) = load_designations(tmp_path, load_catalog())
    assert [str(change.status) for change in fact.history] == ["announced", "in_force", "stayed"]


def test_the_columns_of_the_document_are_those_that_are_read() -> None:
    """The required ones first, each by its name."""
    text = (ROOT / "docs" / "designations.md").read_text()
    paragraph = text[text.index("The first row of a `generic`") :].split("\n\n")[0]
    named = re.findall(r"`([a-z_]+)`", paragraph)
    assert named[0] == "generic"
    assert tuple(named[1:]) == generic.COLUMNS


def test_nothing_that_ships_takes_a_side() -> None:
    """No designation is in force by default, and none lies there to be picked up."""
    shipped = ROOT / "configs" / "designations"
    assert load_designations(shipped, load_catalog()) == ()
    assert {path.name for path in shipped.iterdir()} <= {"README.md", "proposed"}
