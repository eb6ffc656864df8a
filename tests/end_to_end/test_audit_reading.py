"""The log of a whole gateway, read by the commands that are there for it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

from tests.end_to_end.running import RunningGateway, configuration
from tests.simulators.vendor import VendorSimulator

WORKERS = ("--workers", "2")


def test_verify_says_the_right_thing_of_a_gateway_that_was_killed(tmp_path: Path) -> None:
    """Right after it, with what may be torn, and after the next start, which tells of it."""
    with VendorSimulator() as vendor:
        text = configuration(vendor.url, extra="audit: {checkpoints: {copy_to: copies.jsonl}}")
        gateway = RunningGateway(tmp_path, text, flags=WORKERS)
        gateway.start()
        for _ in range(20):
            assert gateway.ask()[0] == 200
        children = _children(gateway.pid)
        gateway.kill()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        log = tmp_path / "state" / "audit"
        file = max(log.glob("audit-*.jsonl"))
        with file.open("ab") as stream:
            stream.write(b'{"api":"chat/comp')
        done = gateway.run("audit", "verify", policy=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert "17 bytes without an end: its process was killed" in done.stdout
        assert "end: not known." in done.stdout
        with gateway:
            assert gateway.ask()[0] == 200
        (copies,) = tmp_path.rglob("copies.jsonl")
        words = ("audit", "verify", "--checkpoint", str(copies), "--format", "json")
        done = gateway.run(*words, policy=False)
        found = json.loads(done.stdout)
        assert done.returncode == 0, done.stdout
        assert [one["event"] for one in found["noted"]].count("audit.torn") == 1
        assert "audit.unclean_end" in {one["event"] for one in found["noted"]}
        assert found["external"]["agreed"] >= 1
        assert found["torn"] is None
        done = gateway.run(
            "audit", "query", "--outcome", "served", "--format", "json", policy=False
        )
        served = json.loads(done.stdout)["sums"]["requests"]
        # What was asked within the last batch may be missing.
        assert 1 <= served <= 21
        done = gateway.run("audit", "tail", "-n", "1", "--kind", "request", policy=False)
        assert "gpt-4o → openai/gpt-4o  allow by openai  served 200" in done.stdout


def _children(pid: int) -> list[int]:
    words = ["ps", "-o", "pid=", "--ppid", str(pid)]
    done = subprocess.run(words, capture_output=True, check=True)
    return [int(word) for word in done.stdout.split()]
