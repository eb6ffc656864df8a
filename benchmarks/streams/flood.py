"""Many streams at once: vendor and client are one program in C, which is compiled when needed. In
Python, the two of them would need more of a core than there is left beside the gateway.
"""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.ground import Ground, free_port
from benchmarks.processes import Process

SOURCES = tuple(sorted(Path(__file__).parent.glob("*.c")))
RATE = 20
"""Chunks a second of each stream."""
RAMP = 3.0
"""Seconds at most over which streams are opened."""
PATIENCE = 8
"""Seconds after the vendor's last chunk until what has not ended is given up."""


class NoCompiler(RuntimeError):
    """Nobody is there who could compile it, or it does not compile."""


def compiled(ground: Ground) -> Path:
    """The program. Raises ``NoCompiler``."""
    compiler = ground.program("cc")
    if compiler is None:
        raise NoCompiler("there is no C compiler (Debian: apt install build-essential)")
    program = ground.folder / "flood"
    done = subprocess.run(  # noqa: S603 - our own sources
        [compiler, "-O2", "-o", program, *SOURCES], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise NoCompiler(f"{compiler} does not compile {SOURCES[0].parent}:\n{done.stderr}")
    return program


@dataclass(frozen=True, slots=True)
class Vendor:
    """One that runs, at ``url`` (with its ``/v1``)."""

    process: Process
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


def start_vendor(ground: Ground, program: Path, *, name: str = "vendor") -> Vendor:
    """On the load's core, until the ground ends it."""
    port = free_port()
    interval = str(1_000_000 // RATE)
    command = [str(program), "vendor", "--port", str(port), "--interval-us", interval]
    process = ground.start(command, core=ground.load_core, name=name, ready=port)
    return Vendor(process, port)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asks for: ``seconds`` with all streams open, at a port, shown a key or none."""

    port: int
    model: str
    streams: int
    seconds: float
    key_file: Path | None = None

    @property
    def ramp(self) -> float:
        return min(RAMP, self.streams / 100)

    @property
    def chunks(self) -> int:
        """Of each stream: the first has the start of the last to wait for."""
        return round((self.seconds + self.ramp) * RATE) + 1

    def command(self, program: Path) -> list[str]:
        words = {
            "--port": self.port,
            "--model": self.model,
            "--streams": self.streams,
            "--chunks": self.chunks,
            "--ramp-ms": round(self.ramp * 1000),
            "--steady-ms": round(self.seconds * 1000),
            "--seconds": math.ceil(self.seconds + 2 * self.ramp) + PATIENCE,
        }
        if self.key_file is not None:
            words["--key-file"] = str(self.key_file)
        return [str(program), "client", *(str(word) for pair in words.items() for word in pair)]


def run_client(
    ground: Ground,
    program: Path,
    asked: Asked,
    at: Callable[[str, Process], None] = lambda moment, client: None,
) -> dict[str, Any]:
    """Open the streams and hold them to what they should be; what the client found. ``at`` is
    called with the client when all should be ``open`` and when the first may have ``ended``.
    """
    popen = ground.popen(ground.load_core)(asked.command(program), stdout=subprocess.PIPE)
    client = ground.adopt(popen)
    found: dict[str, Any] = {}
    assert popen.stdout is not None
    with popen.stdout as lines:
        for line in lines:
            told = json.loads(line)
            if "streams" in told:
                found = told
            else:
                at(next(iter(told)), client)
    ground.end(client)
    assert found, f"the client ended without a word: {popen.returncode}"
    return found
