"""A gateway under load: how much it answers, and what that takes of it.

The load is ``benchmarks.load``, a process of its own on the load's core.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.gateway import MODEL, Gateway
from benchmarks.ground import Ground

SCRAPE = 1.0
"""Seconds between two scrapes of ``/metrics``, of which a usual one has 15."""


class Unanswered(RuntimeError):
    """Requests were not answered as they should be, so that nothing was measured."""


@dataclass(frozen=True, slots=True)
class Asked:
    """``rate`` in requests a second; ``cost`` in microseconds of the gateway's processor time for
    each request, all its processes together; ``p50`` and ``p99`` in milliseconds.
    """

    answered: int
    rate: float
    cost: float
    p50: float
    p99: float


def nothing(_: subprocess.Popen[bytes]) -> None:
    """Nobody else is there."""


def ask(
    ground: Ground,
    gateway: Gateway,
    *,
    seconds: float,
    clients: int = 32,
    stream: bool = False,
    meanwhile: Callable[[subprocess.Popen[bytes]], None] = nothing,
    popen: Callable[..., subprocess.Popen[bytes]] | None = None,
) -> Asked:
    """Put it under load with its last key, and do something else ``meanwhile``, which is told the
    load's process. That is started by ``popen``, or on the load's core. Raises ``Unanswered``.
    """
    key = ground.folder / f"key-{gateway.port}"
    if not key.exists():
        key.touch(mode=0o600)
        key.write_text(gateway.key)
    command = [sys.executable, "-m", "benchmarks.load", "--format", "json"]
    command += ["--url", gateway.url, "--model", MODEL, "--clients", str(clients)]
    command += ["--seconds", str(seconds), *(["--stream"] if stream else [])]
    command += ["--key-file", str(key)] if gateway.key else []
    start = popen or ground.popen(ground.load_core)
    before = gateway.process.cpu_seconds()
    load = start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process = ground.adopt(load)
    try:
        meanwhile(load)
        said, wrong = load.communicate(timeout=seconds + 60)
    finally:
        ground.end(process)
    used = gateway.process.cpu_seconds() - before
    if load.returncode != 0:
        raise Unanswered(f"{gateway.url}: {(wrong or said).decode(errors='replace')[-1000:]}")
    told: dict[str, Any] = json.loads(said)
    times = told["latency_ms"]
    answered = told["answered"]
    rate = told["requests_per_second"]
    return Asked(answered, rate, used / answered * 1e6, times["p50"], times["p99"])


def scraping(gateway: Gateway) -> Callable[[subprocess.Popen[bytes]], None]:
    """Somebody who reads its metrics until the load has ended."""

    def scrape(load: subprocess.Popen[bytes]) -> None:
        while load.poll() is None:
            url = f"{gateway.url}/metrics"
            with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own
                answer.read()
            time.sleep(SCRAPE)

    return scrape
