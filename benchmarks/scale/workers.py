"""One and two workers, on a machine that has no cores to spare for the load.

Theory of operation. One worker shares one core with the load generator and the vendor; two workers
share two cores with two load generators and the vendor. So each worker has the same neighbours, as
many clients and the same part of a core, and twice the requests a second is what is to be expected
where workers do not wait for each other and a request takes no more of the processors with two than
with one. Both are measured besides: in a closed loop there is always something to do, so a core
that idles is one on which everybody waits for somebody.

Two processes on two cores may be slower than one on one for what is none of their doing. Two things
tell what it comes to. Two gateways of one worker each, on the same cores as two workers, share the
machine and nothing else: what two workers lack to those is what they take from each other. And two
gateways of which each has its vendor and its load on its own core: what the others lack to those is
what it takes that bytes go from core to core, as they do not where one worker is measured.
"""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from benchmarks.asking import Asked, ask, nothing
from benchmarks.gateway import Arrangement, Gateway, start
from benchmarks.ground import Ground
from benchmarks.processes import Process, busy_seconds
from benchmarks.suite import Goal
from benchmarks.vendor import start as start_vendor

WANTED = 1.8
CLIENTS = 32
"""Of each worker."""
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
    """So many workers on so many cores, of one gateway, or each of one of its own. Each of
    ``loads`` is whom it asks, and on which core it is (``None``: on all).
    """

    workers: int
    cores: frozenset[int]
    gateways: tuple[Gateway, ...]
    loads: tuple[tuple[Gateway, int | None], ...]


def measure(ground: Ground, *, seconds: float, rounds: int) -> list[dict[str, Any]]:
    """A row for one worker, one for two, one for two that are gateways of their own, and one for
    two of those of which each keeps to a core, with the ``FIGURES`` of each round.
    """
    crews = [
        _started(ground, 1, 1, ground.server_core),
        _started(ground, 1, 2, None),
        _started(ground, 2, 1, None),
        _apart(ground),
    ]
    rows: list[dict[str, Any]] = [
        {
            "workers": crew.workers,
            "gateways": len(crew.gateways),
            "cores": len(crew.cores),
            "apart": len({core for _, core in crew.loads}) > 1,
            "ready_after": max(one.process.ready_after for one in crew.gateways),
            **{name: [] for name in FIGURES},
        }
        for crew in crews
    ]
    for crew in crews:
        _ask(ground, crew, min(seconds, 0.5))
    for number in range(rounds):
        for at in range(len(crews)) if number % 2 == 0 else reversed(range(len(crews))):
            for name, figure in _ask(ground, crews[at], seconds).items():
                rows[at][name].append(figure)
    for row, crew in zip(rows, crews, strict=True):
        row["resident"] = sum(one.process.resident() for one in crew.gateways)
        for one in crew.gateways:
            ground.end(one.process)
    return rows


def _started(ground: Ground, gateways: int, workers: int, core: int | None) -> Crew:
    """So many gateways, each of so many workers, in front of one vendor."""
    vendor = f"{start_vendor(ground, core)}/v1"
    started = tuple(
        start(
            ground,
            Arrangement(workers=workers),
            vendor,
            # As many as have been started: no other has the same files.
            name=f"workers-{len(ground.started)}",
            core=core,
            everywhere=core is None,
        )
        for _ in range(gateways)
    )
    cores = ground.cores if core is None else frozenset({core})
    loads = tuple((one, core) for one in started * workers)
    return Crew(gateways * workers, cores, started, loads)


def _apart(ground: Ground) -> Crew:
    """Two gateways, each with its vendor and its load on a core of its own."""
    one, other = (_started(ground, 1, 1, core) for core in (ground.server_core, ground.load_core))
    return Crew(
        one.workers + other.workers,
        one.cores | other.cores,
        one.gateways + other.gateways,
        one.loads + other.loads,
    )


def _ask(ground: Ground, crew: Crew, seconds: float) -> dict[str, float]:
    """A load for each worker, all at once; the first is watched."""
    processes = [one.process for one in crew.gateways]
    watch = Watch(ground, processes, crew.cores, SHARE * seconds)

    def put(number: int) -> Asked:
        gateway, core = crew.loads[number]
        return ask(
            ground,
            gateway,
            seconds=seconds,
            clients=CLIENTS,
            meanwhile=watch if number == 0 else nothing,
            popen=ground.popen(core),
        )

    before = sum(process.cpu_seconds() for process in processes)
    with ThreadPoolExecutor(crew.workers) as pool:
        loads = list(pool.map(put, range(crew.workers)))
    used = sum(process.cpu_seconds() for process in processes) - before
    rate = sum(load.rate for load in loads)
    cost = used / sum(load.answered for load in loads) * 1e6
    per_core = rate / max(1.0 - watch.others, SHARE_LEFT)
    figures = (rate, per_core, cost, watch.workers, watch.idle, watch.others)
    return dict(zip(FIGURES, figures, strict=True))


class Watch:
    """Who has these cores while a load is on: of them, ``workers`` is the share of the processes,
    ``idle`` that of nobody, and ``others`` that of what this benchmark has not started. It looks
    for ``seconds``, from when the load has come.
    """

    def __init__(
        self,
        ground: Ground,
        processes: Sequence[Process],
        cores: Collection[int],
        seconds: float,
    ) -> None:
        self._ground = ground
        self._processes = processes
        self._cores = cores
        self._seconds = seconds
        self.workers = self.idle = self.others = 0.0

    def __call__(self, load: subprocess.Popen[bytes]) -> None:
        used = self._used()
        while load.poll() is None and self._used() - used < COME:
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

    def _used(self) -> float:
        """Processor seconds of the workers."""
        return sum(process.cpu_seconds() for process in self._processes)

    def _now(self) -> tuple[float, float, float, float]:
        """The time, and processor seconds of the workers, of anybody on the cores, and of all that
        is ours.
        """
        ours = sum(process.cpu_seconds() for process in tuple(self._ground.started))
        return time.perf_counter(), self._used(), busy_seconds(self._cores), ours


def middle(row: dict[str, Any], what: str) -> float:
    """Of the rounds."""
    return float(statistics.median(row[what]))


def ratio(one: dict[str, Any], two: dict[str, Any], what: str) -> float:
    """The median of what the rounds say, each for itself: so noise is shared."""
    return float(statistics.median(b / a for a, b in zip(one[what], two[what], strict=True)))


def goal(
    one: dict[str, Any], two: dict[str, Any], shared: dict[str, Any], apart: dict[str, Any]
) -> Goal:
    """Not measured where there is but one core. ``shared`` and ``apart`` are of two gateways that
    have nothing in common, on the same two cores and each on its own.
    """
    found = ratio(one, two, "undisturbed")
    alone = two["cores"] < 2
    holds_back = "the machine has one core" if alone else _holds_back(one, two, shared, apart)
    return Goal(
        "two workers, with their load and vendor on two cores",
        f"≥ {WANTED} × one, with its load and vendor on one core",
        f"{found:.2f} ×",
        None if alone else found / WANTED,
        None if alone else found >= WANTED,
        holds_back,
    )


def _holds_back(
    one: dict[str, Any], two: dict[str, Any], shared: dict[str, Any], apart: dict[str, Any]
) -> str:
    return (
        f"two gateways that share nothing come to {ratio(one, shared, 'undisturbed'):.2f} × on "
        f"these cores, and to {ratio(one, apart, 'undisturbed'):.2f} × where each has its load "
        "and vendor on its own core, as one worker has, and no bytes leave it; a request takes "
        f"{ratio(one, two, 'cost_us'):.2f} × the processor time of one worker's, and "
        f"{ratio(one, shared, 'cost_us'):.2f} × and {ratio(one, apart, 'cost_us'):.2f} × there; of "
        f"the two cores {middle(two, 'workers_share'):.0%} are the workers', "
        f"{middle(two, 'idle'):.0%} idle, {middle(two, 'others'):.0%} are others' (left out of the "
        "ratio), the rest is load and vendor"
    )
