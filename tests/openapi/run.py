"""schemathesis over ``/openapi.json`` of a running gateway with the real local model.

``python -m tests.openapi.run --examples 200 --seed 1``: prints its report, and ends with 1 where
something was found.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.end_to_end.running import ROOT, RunningGateway, configuration
from tests.openapi.hooks import MODEL

SERVER = "server: {deadline: 30, max_body_mb: 1}"
UNTRUE = ("positive_data_acceptance",)
"""A body that fits the schema may ask for what no target here can do: that is a 400, as it must."""
OF_OPERATORS = ("ignored_auth",)
"""Who has shown too many wrong keys gets a 429, and no 401."""


def text() -> str:
    """A configuration with a model that is quick: little context, and no vendor."""
    own = f"  {MODEL}: {{targets: [local/smollm2]}}"
    return configuration(models=own, extra=SERVER).replace("context: 2048", "context: 256")


def run(
    gateway: RunningGateway, *, examples: int, seed: int, operators: bool = False
) -> subprocess.CompletedProcess[str]:
    """All checks but ``UNTRUE`` on every operation of apps, or with ``operators`` on theirs, as who
    may do everything; ``examples`` are those drawn for each, beside the document's own and those at
    the borders of its schemas. What operators do closes a gateway to who has no key: that is last.
    """
    arguments = {
        "--checks": "all",
        "--exclude-checks": ",".join((*UNTRUE, *(OF_OPERATORS if operators else ()))),
        "--phases": "examples,coverage,fuzzing",
        "--max-examples": str(examples),
        "--seed": str(seed),
        "--request-timeout": "60",
        "--max-response-time": "60",
        "--generation-database": "none",
        "--suppress-health-check": "all",
    }
    flags = ["--continue-on-failure", "--no-color"]
    if operators:
        flags += ["--include-path-regex", "^/admin", "--header"]
        flags.append(f"Authorization: Bearer {gateway.credential}")
    else:
        flags += ["--exclude-path-regex", "^/admin"]
    options = [word for pair in arguments.items() for word in pair]
    location = f"{gateway.url}/openapi.json"
    return subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", location, *options, *flags],
        cwd=gateway.folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.openapi.hooks",
        },
        capture_output=True,
        text=True,
        check=False,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        RunningGateway(Path(folder), text(), key=None) as gateway,
    ):
        runs = [
            run(gateway, examples=given.examples, seed=given.seed, operators=operators)
            for operators in (False, True)
        ]
    for done in runs:
        sys.stdout.write(done.stdout + done.stderr)
    return max(done.returncode for done in runs)


if __name__ == "__main__":
    sys.exit(main())
