"""Bills of materials, judged by the validators of those who made the formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.error import SPDXParsingError
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from gateway.cli.main import root
from tests.scan.corpus import snippets

LEAST = 100
"""Packages, models and images of the corpus."""


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All snippets of the corpus: every kind of finding there is."""
    folder = tmp_path_factory.mktemp("everything")
    for snippet in snippets():
        path = folder / snippet.name / snippet.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(snippet.text)
    return folder


def scanned(tree: Path, form: str, out: Path) -> dict[str, Any]:
    done = CliRunner().invoke(root, ["scan", str(tree), "--format", form, "--output", str(out)])
    assert done.exit_code == 0, done.output
    document: dict[str, Any] = json.loads(out.read_text())
    return document


def cyclonedx_fault(path: Path) -> str | None:
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(path.read_text())
    return None if fault is None else str(fault)


def spdx_faults(path: Path) -> list[str]:
    try:
        document = parse_file(str(path))
    except SPDXParsingError as error:
        return [str(one) for one in error.get_messages()]
    return [one.validation_message for one in validate_full_spdx_document(document)]


def test_cyclonedx_is_valid(everything: Path, tmp_path: Path) -> None:
    """By the schema of version 1.6, which takes nothing that it does not know."""
    out = tmp_path / "bom.json"
    document = scanned(everything, "cyclonedx", out)
    assert len(document["components"]) > LEAST
    assert cyclonedx_fault(out) is None
    document["components"][0]["maker"] = "x"
    out.write_text(json.dumps(document))
    assert cyclonedx_fault(out) is not None


def test_spdx_is_valid(everything: Path, tmp_path: Path) -> None:
    """By the rules of version 2.3, each package and relationship."""
    out = tmp_path / "bom.spdx.json"
    document = scanned(everything, "spdx", out)
    assert len(document["packages"]) > LEAST
    assert spdx_faults(out) == []
    document["packages"][0]["SPDXID"] = "no id"
    document["packages"][1]["downloadLocation"] = "nowhere"
    out.write_text(json.dumps(document))
    assert len(spdx_faults(out)) >= 2


@pytest.mark.parametrize("form", ["cyclonedx", "spdx"])
def test_a_bill_of_nothing_is_valid(tmp_path: Path, form: str) -> None:
    (tmp_path / "tree").mkdir()
    out = tmp_path / f"{form}.json"
    scanned(tmp_path / "tree", form, out)
    assert (cyclonedx_fault(out) is None) if form == "cyclonedx" else (spdx_faults(out) == [])
