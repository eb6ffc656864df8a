"""docs/clients.md shows the lines that the apps of ``make test-conformance`` run."""

from __future__ import annotations

from pathlib import Path

from tests.clients.page import report
from tests.clients.suites import SUITES

ROOT = Path(__file__).resolve().parents[1]


def test_the_page_is_up_to_date() -> None:
    """`make docs` writes it anew."""
    assert (ROOT / "docs" / "clients.md").read_text() == report()


def test_every_client_has_its_lines() -> None:
    """An app that nobody is shown would be forgotten."""
    template = (ROOT / "tests" / "clients" / "page.md").read_text()
    for suite in SUITES:
        assert f"{suite.path.parent.name}/{suite.path.name} " in template


def test_the_lock_of_the_node_clients_names_no_address() -> None:
    lock = (ROOT / "tests" / "clients" / "node" / "package-lock.json").read_text()
    assert '"integrity"' in lock
    assert "http" not in lock
