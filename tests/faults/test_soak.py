"""The soak, for as long as a test may take."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.soak import soak
from tests.faults.soak_report import report

pytestmark = pytest.mark.alone

SECONDS = 20.0
RATE = 100.0
"""Requests a second: a machine that tests share is not to be what fails."""


def test_bad_weather(tmp_path: Path) -> None:
    """Every request ends well or typed, bans hold, and nothing is left behind."""
    findings = soak(tmp_path, SECONDS, RATE)
    assert findings.missed() == [], "\n".join(report(findings))
    assert findings.requests > SECONDS * RATE / 2
    assert len(findings.bans) >= 2
    assert all(findings.seen.values())
