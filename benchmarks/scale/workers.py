"""One and two workers under the same load, on a machine that has no cores to spare for the load.

Theory of operation. One worker runs on the server's core alone. Two workers have both cores, and so
have, then, the load and the vendor: requests a second cannot double. What can be told is what a
request takes of the processors with one worker and with two (memory, caches and locks that they
share make it more), and whether the workers ever wait: in a closed loop there is always something
to do, so time in which a core idles is time in which everybody waited for somebody. Capacity is
what workers could answer with a core each: workers ÷ cost, less the share that idles.
"""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Collection
from typing import Any

from benchmarks.asking import ask
from benchmarks.gateway import Arrangement, start
from benchmarks.ground import Ground
from benchmarks.processes import TICK, Process, busy_seconds

WANTED = 1.8
CLIENTS = 32
COME = 0.1
"""Seconds of processor time from which on a load is there: its generator is slow to start."""
SHARE = 0.6
"""Of a load, in which cores are looked at: it must not have ended by then."""


def measure(ground: Ground, vendor: str, *, seconds: float, rounds: int) -> list[dict[str, Any]]:
    """A row for one worker and one for two, with a figure of each round. ``idle`` is seconds in
    which a core of the workers idles for each second that they compute; ``share`` is what they
    have of these cores.
    """
    rows: list[dict[str, Any]] = []
    gateways = []
    for workers in (1, 2):
        arrangement = Arrangement(workers=workers)
        name = f"workers-{workers}"
        gateway = start(ground, arrangement, vendor, name=name, everywhere=workers > 1)
        ready = gateway.process.ready_after
        gateways.append(gateway)
        figures: dict[str, Any] = {name: [] for name in ("cost_us", "rates", "idle", "share")}
        rows.append({"workers": workers, "ready_after": ready} | figures)
        ask(ground, gateway, seconds=min(seconds, 0.5), clients=CLIENTS)
    for _ in range(rounds):
        for row, gateway in zip(rows, gateways, strict=True):
            cores = {ground.server_core} if row["workers"] == 1 else ground.cores
            idling = Idling(gateway.process, cores, SHARE * seconds)
            asked = ask(ground, gateway, seconds=seconds, clients=CLIENTS, meanwhile=idling)
            row["cost_us"].append(asked.cost)
            row["rates"].append(asked.rate)
            row["idle"].append(idling.idle)
            row["share"].append(idling.share)
    for row, gateway in zip(rows, gateways, strict=True):
        row["resident"] = gateway.process.resident()
        ground.end(gateway.process)
    return rows


class Idling:
    """How long these cores idle while a load is on, for each second that a process computes, and
    what share of them it has. It looks for ``seconds``, from when the load has come.
    """

    def __init__(self, process: Process, cores: Collection[int], seconds: float) -> None:
        self._process = process
        self._cores = cores
        self._seconds = seconds
        self.idle = 0.0
        self.share = 0.0

    def __call__(self, load: subprocess.Popen[bytes]) -> None:
        used = self._process.cpu_seconds()
        while load.poll() is None and self._process.cpu_seconds() - used < COME:
            time.sleep(COME / 5)
        used, busy = self._process.cpu_seconds(), busy_seconds(self._cores)
        began = time.perf_counter()
        time.sleep(self._seconds)
        there = len(self._cores) * (time.perf_counter() - began)
        used, busy = self._process.cpu_seconds() - used, busy_seconds(self._cores) - busy
        self.idle = max(there - busy, 0.0) / max(used, TICK)
        self.share = used / there


def capacity(row: dict[str, Any]) -> float:
    """Requests a second with a core for each worker."""
    cost, idle = statistics.median(row["cost_us"]), statistics.median(row["idle"])
    return float(row["workers"] / cost * 1e6 / (1.0 + idle))
