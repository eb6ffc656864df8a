"""The thread that reckons: it ends when it is told to, and outlives what cannot be read."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from gateway.auditing import audit_folder
from gateway.background import Background
from gateway.config.settings import load_settings
from gateway.inventory import Inventory
from gateway.readiness.score.report import Report
from gateway.scoring import Scoring
from gateway.telemetry.readings import Shared
from tests.audit.logs import Written, joined
from tests.end_to_end.running import POLICY, configuration
from tests.readiness.days import record
from tests.waiting import until

LONG = 30_000
"""Lines that take seconds to read, with the rests between."""


class Kept:
    """What the main process has: a configuration, a policy, a log and a shared folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / "gateway.yaml"
        (folder / "policies").mkdir()
        (folder / "policies" / "10.yaml").write_text(POLICY)
        self.inventory = self.read(configuration(extra=f"policy: {{dir: {folder}/policies}}"))
        self.policy = self.inventory.load_policy()
        self.state = self.inventory.settings.state.dir
        self.state.mkdir(exist_ok=True)
        self.shared = Shared.begin(folder / "run")
        self.background = Background()

    def read(self, text: str) -> Inventory:
        self._file.write_text(text)
        return Inventory(load_settings(self._file, {}, {}))

    def log(self, lines: int) -> None:
        folder = audit_folder(self.inventory.settings)
        folder.mkdir()
        (line,) = Written().add(record(model="gpt-4o", at=datetime.now(UTC))).lines
        (folder / "audit-00000001.jsonl").write_bytes(joined([line] * lines))

    def scoring(self) -> Scoring:
        return Scoring(
            self.shared,
            self.background,
            inventory=lambda: self.inventory,
            policy=lambda: self.policy,
            every=0.02,
        )

    def told(self, right: Callable[[Report], bool] = lambda _: True) -> Report:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            raw = self.shared.readiness()
            if raw is not None and right(found := msgspec.json.decode(raw, type=Report)):
                return found
            time.sleep(0.01)
        raise AssertionError("it was not told")


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_it_ends_in_the_midst_of_a_long_log(kept: Kept) -> None:
    kept.log(LONG)
    scoring = kept.scoring()
    scoring.start()
    scoring.stop()
    assert kept.shared.readiness() is None


def test_what_cannot_be_read_is_said_once_and_tried_again(kept: Kept) -> None:
    kept.log(1)
    capacity = kept.state / "capacity.json"
    capacity.write_text("nonsense")
    scoring = kept.scoring()
    with capture_logs() as said:
        scoring.start()
        end = time.monotonic() + 60
        while not said and time.monotonic() < end:
            time.sleep(0.01)
        assert kept.shared.readiness() is None
        capacity.unlink()
        found = kept.told()
        scoring.stop()
    (one,) = [line for line in said if line["event"] == "readiness.not_reckoned"]
    assert "measure again" in one["problem"]
    assert found.requests == 1


def test_a_key_that_cannot_be_read_is_tried_again(kept: Kept) -> None:
    """Whoever replaces its file may be at it just then."""
    kept.log(1)
    key = kept.folder / "vendor.key"
    key.write_text("half of\n what it is to be")
    kept.inventory = kept.read(configuration().replace("${VENDOR_KEY}", f"file:{key}"))
    scoring = kept.scoring()
    with capture_logs() as said:
        scoring.start()
        until(lambda: said)
        key.write_text("planted")
        found = kept.told()
        scoring.stop()
    assert [line["event"] for line in said] == ["readiness.not_reckoned"]
    assert found.requests == 1


def test_another_configuration_counts_from_the_next_time_on(kept: Kept) -> None:
    """Nothing is read anew for it: where requests would go is looked up each time."""
    kept.log(3)
    scoring = kept.scoring()
    scoring.start()
    first = kept.told()
    assert [one.vendor for one in first.vendors] == ["openai", "anthropic"]
    text = configuration().replace("openai/gpt-4o, local/smollm2", "anthropic/claude-sonnet-4-5")
    kept.inventory = kept.read(text)
    again = kept.told(lambda now: now.all.capability != first.all.capability)
    scoring.stop()
    assert again.requests == 3
    assert [(row.why, row.requests) for row in again.all.missing] == [("no local target", 3)]


def test_what_nobody_foresaw_ends_no_reckoning_for_ever(kept: Kept) -> None:
    """It is told, and the next one is what it would have been."""
    asked = 0

    def inventory() -> Inventory:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise LookupError("sk-secret")
        return kept.inventory

    kept.log(3)
    scoring = Scoring(
        kept.shared,
        kept.background,
        inventory=inventory,
        policy=lambda: kept.policy,
        every=0.02,
    )
    scoring.start()
    try:
        kept.told(lambda report: report.requests == 3)
    finally:
        scoring.stop()
    assert kept.background.failures == {"readiness": 1}
    assert kept.background.problems == {"readiness": "LookupError: see the log"}
