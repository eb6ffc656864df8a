"""A ban waits for nothing but what it takes to tell the gateway that runs."""

from __future__ import annotations

import subprocess
import sys

LOADED = "import sys\nimport gateway.cli.toggles\nprint(*sys.modules)"
NEVER = ("pydantic", "structlog", "jwt", "gateway.config.settings", "gateway.inventory")


def test_a_ban_imports_no_schema_and_nothing_that_serves() -> None:
    """It was 0.7 s of a processor, before a word was sent."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = set(done.stdout.split())
    assert "gateway.cli.asking" in loaded
    assert loaded.isdisjoint(NEVER)
