"""A disk that is full: what is in force stays, nothing half-written is left, and it is said why."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

MODELS = Path(__file__).resolve().parents[2] / "models"
POLICY = "version: 1\nvendors: {openai: allow}\n"


@pytest.fixture
def house(tmp_path: Path) -> Path:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "10.yaml").write_text(POLICY)
    (tmp_path / "gateway.yaml").write_text(
        f"local: {{manifests: {MODELS}}}\nstate: {{dir: {tmp_path / 'var'}}}\n"
    )
    return tmp_path


def without_room(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it in a process whose files may not grow: every write fails, as on a full disk."""
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )


def test_a_ban_that_cannot_be_written_changes_nothing_and_says_so(house: Path) -> None:
    """Neither the toggles nor a temporary file of them is there afterwards."""
    done = without_room(
        "from gateway.cli import main; main()",
        *("ban", "openai", "--reason", "drill", "--config", str(house / "gateway.yaml")),
    )
    assert done.returncode == 1
    assert f"{house / 'policies' / '90-toggles.yaml'} cannot be written: File too large" in (
        done.stderr
    )
    left = {path.name for path in (house / "policies").iterdir()}
    assert left == {"10.yaml", ".90-toggles.yaml.lock"}


KEEP = """
import sys
from pathlib import Path
from gateway.inventory import Inventory, policy_store
from gateway.config.settings import load_settings
store = policy_store(Inventory(load_settings(Path(sys.argv[1]), {}, {})))
store.start()
print(store.current.revision, store.problem)
"""


def test_a_start_without_room_for_the_last_good_policy_serves_all_the_same(house: Path) -> None:
    """Only the memory of it is lost; the log says so."""
    done = without_room(KEEP, str(house / "gateway.yaml"))
    assert done.returncode == 0, done.stderr
    assert "policy.last_good_not_kept" in done.stdout + done.stderr
    assert done.stdout.strip().endswith("None")
    kept = house / "var" / "last-good"
    assert not [path for path in kept.rglob("*") if path.is_file() and path.stat().st_size]
