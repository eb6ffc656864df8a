"""What runs behind a gateway goes on, whatever becomes of disks and files: real ones."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.config.presence import RUN
from tests.audit.disks import fill, small_disk
from tests.end_to_end.running import POLICY, RunningGateway, configuration
from tests.end_to_end.test_metrics import scrape
from tests.waiting import until

pytestmark = pytest.mark.alone


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A state folder on a disk of its own, of 2 MB."""
    with small_disk(tmp_path / "state", "2m") as folder:
        yield folder


def in_force(gateway: RunningGateway) -> str:
    return str(gateway.get("/readyz")[1]["policy"]["revision"])


def test_a_full_disk_ends_no_watching_of_the_policy(tmp_path: Path, small: Path) -> None:
    """Every ban is taken, not only the first; and once there is room, the command line is told
    which.
    """
    with RunningGateway(tmp_path, configuration()) as gateway:
        first = in_force(gateway)
        filler = fill(small)
        file = gateway.policies / "10-vendors.yaml"
        file.write_text(POLICY.replace("anthropic: allow", "anthropic: deny"))
        second = until(lambda: (now := in_force(gateway)) != first and now)
        file.write_text(POLICY.replace("allow", "deny"))
        third = until(lambda: (now := in_force(gateway)) != second and now)
        assert len({first, second, third}) == 3
        assert _present(small)["revision"] == first
        filler.unlink()
        until(lambda: _present(small)["revision"] == third)
        assert gateway.get("/readyz")[1]["background"] == {}


def test_what_fails_is_told_and_begun_again(tmp_path: Path) -> None:
    """A folder is where the canaries' lock ought to be, and somebody has written a time without a
    zone, which compares with no other: that ends the counting of each answer of the local model.
    """
    lock = tmp_path / "state" / RUN / "canaries.lock"
    lock.mkdir(parents=True)
    (tmp_path / "state" / "local-success.json").write_text(
        '{"local/smollm2": "2026-01-01T00:00:00"}'
    )
    with RunningGateway(tmp_path, configuration(), key=None) as gateway:
        ready = until(lambda: (now := gateway.get("/readyz")[1])["background"] and now)
        assert ready["status"] == "degraded"
        assert f"{lock} cannot be written (Is a directory)" in ready["background"]["canaries"]
        assert gateway.ask(max_tokens=2)[0] == 200
        until(lambda: "metrics" in gateway.get("/readyz")[1]["background"])
        assert gateway.ask(model="only-cloud")[0] == 503
        until(lambda: _counted(gateway, "gateway_requests_total", "only-cloud"))
        assert _counted(gateway, "gateway_background_failures_total", "metrics") == 1
        assert _counted(gateway, "gateway_background_failures_total", "canaries") >= 1
        told = "metrics failed in the background, and was begun again: TypeError: see the log"
        assert told in gateway.run("status").stdout
        doctor = partial(gateway.run, "doctor", "--only", "background")
        until(lambda: "metrics: it failed in the background" in doctor().stdout)
        assert doctor().returncode == 1
    failed = [one for one in _log(gateway) if one.get("event") == "background.failed"]
    assert {one["work"] for one in failed} >= {"canaries", "metrics"}
    assert all("exception" in one for one in failed)


def test_a_log_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    """What standard error leads to is full: apps are answered, and every ban is taken."""
    with (
        small_disk(tmp_path / "logs", "256k") as logs,
        (logs / "log").open("ab", buffering=0) as log,
    ):

        def popen(command: Any, **how: Any) -> subprocess.Popen[bytes]:
            return subprocess.Popen(command, **{**how, "stderr": log})

        with RunningGateway(tmp_path, configuration(), key=None, popen=popen) as gateway:
            fill(logs)
            # And what is left of its last block.
            with suppress(OSError):
                while True:
                    log.write(b"\n")
            for vendor in ("openai", "anthropic"):
                before = in_force(gateway)
                assert gateway.ask(max_tokens=2)[0] == 200
                done = gateway.run("ban", vendor, "--reason", "drill")
                assert done.returncode == 0, done.stderr
                assert in_force(gateway) != before
            assert gateway.get("/readyz")[1]["background"] == {}


def _present(state: Path) -> dict[str, Any]:
    (path,) = (state / RUN).glob("serving-*.json")
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def _counted(gateway: RunningGateway, name: str, label: str) -> float:
    counted = scrape(gateway)[0].items()
    return sum(value for key, value in counted if key[0] == name and label in key)


def _log(gateway: RunningGateway) -> list[dict[str, Any]]:
    lines = gateway.output.read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]
