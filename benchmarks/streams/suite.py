"""How many streams at once, at 20 chunks a second each: what is lost, how late a chunk is, and what
a stream costs in memory and time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import plot
from benchmarks.gateway import MODEL, Arrangement, Gateway, start
from benchmarks.ground import Ground
from benchmarks.processes import Process
from benchmarks.streams.flood import (
    RATE,
    Asked,
    NoCompiler,
    Vendor,
    compiled,
    run_client,
    start_vendor,
)
from benchmarks.suite import Goal

STREAMS, SECONDS = 1_000, 60.0
LEVELS = (250, 500, 1_500)
"""Of shorter runs beside the whole minute of ``STREAMS``, for the curve."""
BASE_SECONDS = 2.0
LATE, MEMORY = 25.0, 60.0
"""What is promised: milliseconds that are added to a chunk at the 99th percentile, and kilobytes
(of 1,000) that a stream takes.
"""
FULL, SPARE = 0.95, 0.8
"""The shares of a core above which it is as good as full, and below which one that is late would
have taken more if it had been there.
"""


@dataclass(slots=True)
class Watched:
    """What the processes take in the time of which delays are. CPU is in seconds, ``memory`` in
    bytes.
    """

    gateway: Process | None
    vendor: Process
    moments: list[tuple[float, float, float]] = field(default_factory=list)
    memory: int = 0

    def at(self, moment: str, client: Process) -> None:
        gateway = self.gateway
        if gateway is not None:
            self.memory = max(self.memory, gateway.resident())
        served = gateway.cpu_seconds() if gateway is not None else 0.0
        loaded = self.vendor.cpu_seconds() + client.cpu_seconds()
        self.moments.append((time.perf_counter(), served, loaded))

    @property
    def taken(self) -> tuple[float, float, float]:
        """Seconds; seconds of the gateway; of client and vendor."""
        (began, *before), (ended, *after) = self.moments[0], self.moments[-1]
        return (ended - began, after[0] - before[0], after[1] - before[1])


class StreamsSuite:
    name = "streams"
    title = "Streams"

    def run(self, ground: Ground) -> dict[str, Any]:
        try:
            program = compiled(ground)
        except NoCompiler as error:
            return {"left_out": str(error)}
        vendor = start_vendor(ground, program)
        gateway = start(ground, Arrangement(), vendor.url)
        key = ground.folder / "key"
        key.write_text(gateway.key)
        load = _Load(ground, program, vendor, gateway, key)
        streams, seconds = (40, 1.0) if ground.quick else (STREAMS, SECONDS)
        levels = (20,) if ground.quick else LEVELS
        each = max(ground.seconds, 1.0) if ground.quick else max(2 * ground.seconds, 5.0)
        # What is made with the first streams, and stays, is not theirs.
        load.through(min(streams, 50), 1.0)
        # The whole minute first: memory is what a fresh process takes.
        before = gateway.process.resident()
        full = load.through(streams, seconds)
        full["memory"] = max(full["resident"] - before, 0) / streams
        curve = [load.through(level, each) for level in levels]
        return {"rate": RATE, "full": full, "curve": curve}

    def markdown(self, found: dict[str, Any]) -> str:
        if "left_out" in found:
            return f"Left out: {found['left_out'].splitlines()[0]}.\n"
        full = found["full"]
        rows = [
            f"{full['streams']:,} streams of {found['rate']} chunks a second through one worker on "
            f"one core, for {full['seconds']:.0f} s: {_whole(full)}. {_held(found)}\n",
            "Delay is from the vendor's making of a chunk to its arrival at the app; added is what "
            "is more than without the gateway. Vendor and app share the other core.\n",
            "| streams | seconds | added p50 (ms) | p95 | p99 | without the gateway, p99 | whole "
            "| gateway's CPU a chunk | its core | the load's core | memory a stream |",
            "|---|---|---|---|---|---|---|---|---|---|---|",
            *map(_row, sorted((*found["curve"], full), key=lambda run: run["streams"])),
        ]
        return "\n".join(rows) + "\n"

    def plots(self, found: dict[str, Any], folder: Path) -> list[Path]:
        if "left_out" in found:
            return []
        runs = sorted((*found["curve"], found["full"]), key=lambda run: run["streams"])
        series = {
            rank: [(run["streams"], max(_added(run, rank), 0.01)) for run in runs if _timed(run)]
            for rank in ("p50", "p95", "p99")
        }
        if not all(series.values()):
            return []
        return [
            plot.lines(
                folder / "streams-delay.svg",
                f"Delay that is added to a chunk, {found['rate']} chunks/s a stream",
                "streams at once",
                "ms",
                series,
            )
        ]

    def goals(self, found: dict[str, Any]) -> Sequence[Goal]:
        if "left_out" in found:
            held = found["left_out"].splitlines()[0]
            wanted = f"added p99 ≤ {LATE:.0f} ms"
            return [Goal(f"{STREAMS:,} streams × {RATE} chunks/s", wanted, "", None, None, held)]
        full = found["full"]
        what = f"{full['streams']:,} streams × {found['rate']} chunks/s for {full['seconds']:.0f} s"
        goals = [
            Goal(
                f"{what}: nothing lost",
                f"{full['wanted']:,} chunks",
                f"{full['received']:,} chunks, {full['ok']:,} streams whole",
                full["received"] / full["wanted"],
                full["ok"] == full["streams"] and full["received"] == full["wanted"],
                _failures(full),
            )
        ]
        if not _timed(full):
            never = "no chunk came in time"
            return [
                *goals,
                Goal(f"{what}: added at p99", f"≤ {LATE:.0f} ms", "", None, None, never),
            ]
        late, memory = _added(full, "p99"), full["memory"] / 1000
        return [
            *goals,
            Goal(
                f"{what}: added at p99",
                f"≤ {LATE:.0f} ms",
                f"{late:.1f} ms",
                LATE / max(late, 0.01),
                late <= LATE,
                _held_back(full),
            ),
            Goal(
                f"{what}: memory of a stream",
                f"≤ {MEMORY:.0f} KB",
                f"{memory:.0f} KB",
                MEMORY / max(memory, 0.01),
                memory <= MEMORY,
                ""
                if memory <= MEMORY
                else "two connections, their buffers and one request's tasks",
            ),
        ]


@dataclass(frozen=True, slots=True)
class _Load:
    """Everything that a run needs."""

    ground: Ground
    program: Path
    vendor: Vendor
    gateway: Gateway
    key: Path

    def through(self, streams: int, seconds: float) -> dict[str, Any]:
        """So many through the gateway, and the same for a shorter time without it."""
        asked = Asked(self.gateway.port, MODEL, streams, seconds, self.key)
        watched = Watched(self.gateway.process, self.vendor.process)
        told = run_client(self.ground, self.program, asked, watched.at)
        direct = Watched(None, self.vendor.process)
        base = Asked(self.vendor.port, MODEL, streams, min(seconds, BASE_SECONDS))
        without = run_client(self.ground, self.program, base, direct.at)
        took, served, loaded = watched.taken
        chunks = told["delay_us"]["count"]
        return {
            "streams": streams,
            "seconds": seconds,
            "ok": told["streams"]["ok"],
            "failed": told["streams"]["failed"],
            "said": told["said"],
            "wanted": told["chunks"]["wanted"],
            "received": told["chunks"]["received"],
            "delay_us": told["delay_us"],
            "first_us": told["first_us"],
            "direct_us": without["delay_us"],
            "cpu_us": served / chunks * 1e6 if chunks else None,
            "core": served / took,
            "load_core": loaded / took,
            "resident": watched.memory,
        }


def _timed(run: dict[str, Any]) -> bool:
    """Whether any chunk came in time, with and without the gateway."""
    return bool(run["delay_us"]["count"] and run["direct_us"]["count"])


def _added(run: dict[str, Any], rank: str) -> float:
    """Milliseconds."""
    return float(run["delay_us"][rank] - run["direct_us"][rank]) / 1000


def _held(found: dict[str, Any]) -> str:
    """The greatest number of streams for which the goal is met."""
    runs = (*found["curve"], found["full"])
    met = [
        run["streams"]
        for run in runs
        if _timed(run) and run["ok"] == run["streams"] and _added(run, "p99") <= LATE
    ]
    if not met:
        return f"At none of these numbers was the 99th percentile within {LATE:.0f} ms."
    return f"The most of these at which the 99th percentile was within {LATE:.0f} ms: {max(met):,}."


def _whole(run: dict[str, Any]) -> str:
    if run["ok"] == run["streams"]:
        return f"all of them whole, {run['received']:,} chunks, none lost"
    return f"{run['ok']:,} of them whole; {_failures(run)}"


def _failures(run: dict[str, Any]) -> str:
    told = ", ".join(f"{count:,} × {kind}" for kind, count in run["failed"].items())
    said = "" if run["said"] in ("", "nothing") else f": {run['said'][:100]}"
    return f"{told}{said}"


def _held_back(run: dict[str, Any]) -> str:
    if _added(run, "p99") <= LATE:
        return ""
    told = f"{run['cpu_us']:.0f} µs of CPU a chunk: {run['core']:.0%} of the gateway's core"
    if run["core"] < SPARE:
        told += ", which the rest of the machine did not leave it"
    if run["load_core"] > FULL:
        told += f"; vendor and app take {run['load_core']:.0%} of theirs, and are late themselves"
    return told


def _row(run: dict[str, Any]) -> str:
    cells: list[str] = [f"{run['streams']:,}", f"{run['seconds']:.0f}"]
    if _timed(run):
        cells += [f"{_added(run, rank):.1f}" for rank in ("p50", "p95", "p99")]
        cells.append(f"{run['direct_us']['p99'] / 1000:.1f}")
    else:
        cells += ["none came"] * 4
    cells.append(f"{run['ok']:,} of {run['streams']:,}")
    cells.append(f"{run['cpu_us']:.0f} µs" if run["cpu_us"] is not None else "")
    cells += [f"{run['core']:.0%}", f"{run['load_core']:.0%}"]
    cells.append(f"{run['memory'] / 1000:.0f} KB" if "memory" in run else "")
    return f"| {' | '.join(cells)} |"
