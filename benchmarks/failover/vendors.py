"""Vendors that can be killed, each a process on the load's core."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import IO

from benchmarks.ground import ROOT, Ground
from benchmarks.processes import Process

COMMAND = (sys.executable, "-m", "benchmarks.failover.vendor")


@dataclass(frozen=True, slots=True)
class Told:
    """``requests`` that came so far, and when the ``last`` byte of one did (monotonic clock)."""

    requests: int
    last: float


@dataclass(frozen=True, slots=True)
class Vendor:
    """At ``origin``. It ends with the ground."""

    process: Process
    origin: str
    _input: IO[bytes]
    _output: IO[bytes]

    @property
    def url(self) -> str:
        return f"{self.origin}/v1"

    def say(self, word: str = "told") -> Told:
        """``up``, ``down``, or nothing but to tell."""
        self._input.write(f"{word}\n".encode())
        self._input.flush()
        return Told(**json.loads(self._output.readline()))

    def end(self, ground: Ground) -> None:
        self._input.close()
        ground.end(self.process)
        self._output.close()


def start(ground: Ground) -> Vendor:
    popen = ground.popen(ground.load_core)(
        COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    process = ground.adopt(popen)
    assert popen.stdin is not None
    assert popen.stdout is not None
    origin = popen.stdout.readline().decode().strip()
    return Vendor(process, origin, popen.stdin, popen.stdout)
