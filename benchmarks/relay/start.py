"""From a gateway's start to its first readiness: how long, how large, and what is imported."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from benchmarks.gateway import Arrangement
from benchmarks.ground import Ground
from tests.end_to_end.running import POLICY, RunningGateway

VENDOR = "http://127.0.0.1:9/v1"
"""Nobody is asked while it starts."""
UNWANTED = ("litellm", "llama_cpp")
SURELY = "uvicorn"
"""What serves is imported: a list without it would be no list of what is."""
_IMPORTED = re.compile(r"^import time: +(\d+) \| +\d+ \| *([\w.]+)$", re.MULTILINE)


def started(ground: Ground, *, starts: int) -> dict[str, Any]:
    """Seconds to ``/readyz`` and bytes of each start. What is imported is told by the interpreter
    itself, of every process that the gateway starts, in another start, which that makes slower.
    """
    seconds, resident = [], []
    for number in range(starts):
        gateway = _start(ground, f"start-{number}", {})
        seconds.append(gateway.ready_after)
        process = ground.started[-1]
        resident.append(process.resident())
        ground.end(process)
    traced = _start(ground, "start-traced", {"PYTHONPROFILEIMPORTTIME": "1"})
    ground.end(ground.started[-1])
    told = _imports(traced.output.read_text(errors="replace"))
    return {"seconds": seconds, "resident": resident, "imports": told}


def _start(ground: Ground, name: str, environ: dict[str, str]) -> RunningGateway:
    arrangement = Arrangement()
    gateway = RunningGateway(
        ground.folder / name,
        arrangement.configuration(VENDOR),
        policy=POLICY,
        popen=ground.popen(ground.server_core),
        started=ground.adopt,
        environ=environ,
    )
    gateway.start()
    return gateway


def _imports(log: str) -> dict[str, Any]:
    """How many modules, which of the unwanted, and which packages took longest by themselves."""
    took: Counter[str] = Counter()
    modules = 0
    for micros, module in _IMPORTED.findall(log):
        modules += 1
        took[module.partition(".")[0]] += int(micros)
    assert SURELY in took, "the interpreter did not tell what it imported"
    return {
        "modules": modules,
        "unwanted": [name for name in UNWANTED if name in took],
        "ms": sum(took.values()) / 1e3,
        "longest_ms": {name: micros / 1e3 for name, micros in took.most_common(5)},
    }
