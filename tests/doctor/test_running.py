"""The doctor beside a gateway that runs: what that has is not taken; what it runs with is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.doctor.checkout import MACHINE
from tests.end_to_end.running import POLICY, RunningGateway, configuration
from tests.waiting import until


def told(gateway: RunningGateway) -> list[dict[str, Any]]:
    done = gateway.run("doctor", "--format", "json", "--only", "server", "--only", "files")
    rows: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    assert done.returncode == any(row["level"] == "error" for row in rows), done.stderr
    return [row for row in rows if row["check"] not in MACHINE]


def test_a_gateway_that_runs_as_its_files_say_is_well(tmp_path: Path) -> None:
    """Its port is its own, its version is this one; a policy that it does not take is said."""
    with RunningGateway(tmp_path, configuration()) as gateway:
        assert told(gateway) == []
        policy = gateway.policies / "10-vendors.yaml"
        policy.write_text(POLICY + "mode: shadowy\n")

        def refused() -> list[dict[str, Any]]:
            return [row for row in told(gateway) if row["level"] == "error"]

        (row,) = until(refused)
        assert (row["check"], "does not run with the policy on disk" in row["message"]) == (
            "in-force",
            True,
        )
        assert "10-vendors.yaml" in row["message"]
        policy.write_text(POLICY)
        until(lambda: not told(gateway))
