"""One and two workers, on a machine that has no cores to spare for the load.

Theory of operation. One worker shares one core with the load generator and the vendor; two workers
share two cores with the same. So each worker has the same neighbours and the same part of a core,
and twice the requests a second is what is to be expected where workers do not wait for each other
and a request takes no more of the processors with two than with one. Both are measured besides: in
a closed loop there is always something to do, so a core that idles is one on which everybody waits
for somebody.
"""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from benchmarks.asking import ask
from benchmarks.gateway import Arrangement, Gateway, start
from benchmarks.ground import Ground
from benchmarks.processes import Process, busy_seconds
from benchmarks.suite import Goal
from benchmarks.vendor import start as start_vendor

WANTED = 1.8
CLIENTS = 32
COME = 0.1
"""Seconds of processor time from which on a load is there: its generator is slow to start."""
SHARE = 0.6
"""Of a load, in which cores are looked at: it must not have ended by then."""
SHARE_LEFT = 0.1
"""Of the cores: where others had more than the rest, nothing can be told."""
FIGURES = ("rates", "undisturbed", "cost_us", "workers_share", "idle", "others")
"""Of a round: requests a second, and as they would be without ``others`` on the cores; ``idle`` is
the share of the cores that nobody has.
"""


@dataclass(frozen=True, slots=True)
class Crew:
    """A gateway of so many workers on so many cores; on ``core``, where that is one."""

    workers: int
    cores: frozenset[int]
    core: int | None
    gateway: Gateway


def measure(ground: Ground, *, seconds: float, rounds: int) -> list[dict[str, Any]]:
    """A row for one worker and one for two, with the ``FIGURES`` of each round."""
    crews = [_started(ground, 1, ground.server_core), _started(ground, 2, None)]
    rows: list[dict[str, Any]] = [
        {
            "workers": crew.workers,
            "cores": len(crew.cores),
            "ready_after": crew.gateway.process.ready_after,
            **{name: [] for name in FIGURES},
        }
        for crew in crews
    ]
    for crew in crews:
        _ask(ground, crew, min(seconds, 0.5))
    for number in range(rounds):
        for at in (0, 1) if number % 2 == 0 else (1, 0):
            for name, figure in _ask(ground, crews[at], seconds).items():
                rows[at][name].append(figure)
    for row, crew in zip(rows, crews, strict=True):
        row["resident"] = crew.gateway.process.resident()
        ground.end(crew.gateway.process)
    return rows


def _started(ground: Ground, workers: int, core: int | None) -> Crew:
    cores = ground.cores if core is None else frozenset({core})
    name = f"workers-{workers}"
    vendor = f"{start_vendor(ground, core)}/v1"
    gateway = start(
        ground, Arrangement(workers=workers), vendor, name=name, everywhere=core is None
    )
    return Crew(workers, cores, core, gateway)


def _ask(ground: Ground, crew: Crew, seconds: float) -> dict[str, float]:
    watch = Watch(ground, crew.gateway.process, crew.cores, SHARE * seconds)
    asked = ask(
        ground,
        crew.gateway,
        seconds=seconds,
        clients=CLIENTS,
        meanwhile=watch,
        popen=ground.popen(crew.core),
    )
    per_core = asked.rate / max(1.0 - watch.others, SHARE_LEFT)
    figures = (asked.rate, per_core, asked.cost, watch.workers, watch.idle, watch.others)
    return dict(zip(FIGURES, figures, strict=True))


class Watch:
    """Who has these cores while a load is on: of them, ``workers`` is the share of that process,
    ``idle`` that of nobody, and ``others`` that of what this benchmark has not started. It looks
    for ``seconds``, from when the load has come.
    """

    def __init__(
        self, ground: Ground, process: Process, cores: Collection[int], seconds: float
    ) -> None:
        self._ground = ground
        self._process = process
        self._cores = cores
        self._seconds = seconds
        self.workers = self.idle = self.others = 0.0

    def __call__(self, load: subprocess.Popen[bytes]) -> None:
        used = self._process.cpu_seconds()
        while load.poll() is None and self._process.cpu_seconds() - used < COME:
            time.sleep(COME / 5)
        before = self._now()
        time.sleep(self._seconds)
        seconds, workers, busy, ours = (
            now - then for now, then in zip(self._now(), before, strict=True)
        )
        there = len(self._cores) * seconds
        self.workers = workers / there
        self.idle = max(1.0 - busy / there, 0.0)
        self.others = min(max((busy - ours) / there, 0.0), 1.0)

    def _now(self) -> tuple[float, float, float, float]:
        """The time, and processor seconds of the workers, of anybody on the cores, and of all that
        is ours.
        """
        ours = sum(process.cpu_seconds() for process in self._ground.started)
        workers = self._process.cpu_seconds()
        return time.perf_counter(), workers, busy_seconds(self._cores), ours


def middle(row: dict[str, Any], what: str) -> float:
    """Of the rounds."""
    return float(statistics.median(row[what]))


def ratio(one: dict[str, Any], two: dict[str, Any], what: str) -> float:
    """The median of what the rounds say, each for itself: so noise is shared."""
    return float(statistics.median(b / a for a, b in zip(one[what], two[what], strict=True)))


def goal(one: dict[str, Any], two: dict[str, Any]) -> Goal:
    """Not measured where there is but one core."""
    found = ratio(one, two, "undisturbed")
    alone = two["cores"] < 2
    holds_back = (
        "the machine has one core"
        if alone
        else f"a request takes {ratio(one, two, 'cost_us'):.2f} × the processor time of one "
        f"worker's; of the two cores {middle(two, 'workers_share'):.0%} are the workers', "
        f"{middle(two, 'idle'):.0%} idle, {middle(two, 'others'):.0%} are others' (left out of the "
        "ratio), the rest is load and vendor"
    )
    return Goal(
        "two workers, with their load and vendor on two cores",
        f"≥ {WANTED} × one, with its load and vendor on one core",
        f"{found:.2f} ×",
        None if alone else found / WANTED,
        None if alone else found >= WANTED,
        holds_back,
    )
