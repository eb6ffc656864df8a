"""What more workers give, and what a request costs as targets, keys and rules grow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import plot
from benchmarks.asking import ask
from benchmarks.gateway import Arrangement, Gateway, start
from benchmarks.ground import Ground
from benchmarks.scale.workers import goal, measure, middle, ratio
from benchmarks.suite import Goal
from benchmarks.vendor import start as start_vendor

AXES: dict[str, tuple[int, ...]] = {
    "targets": (1, 10, 100),
    "keys": (1, 1_000, 100_000),
    "rules": (1, 100, 1_000, 10_000),
}
QUICK_AXES: dict[str, tuple[int, ...]] = {"targets": (1, 10), "keys": (1, 100), "rules": (1, 100)}
ARRANGED: dict[str, Callable[[int], Arrangement]] = {
    "targets": lambda count: Arrangement(targets=count),
    "keys": lambda count: Arrangement(keys=count),
    "rules": lambda count: Arrangement(rules=count),
}
CLIENTS = 32
ROUNDS = 3
Row = dict[str, Any]


class ScaleSuite:
    """Gateways with everything on, in front of a vendor that answers at once; plain requests."""

    name = "scale"
    title = "Scale: workers, targets, keys, rules"

    def run(self, ground: Ground) -> dict[str, Any]:
        vendor = f"{start_vendor(ground, ground.load_core)}/v1"
        axes = QUICK_AXES if ground.quick else AXES
        seconds, rounds = (0.3, 1) if ground.quick else (min(ground.seconds, 0.6), ROUNDS)
        return {
            "clients": CLIENTS,
            "workers": measure(ground, seconds=2.0 * seconds, rounds=rounds),
            "axes": {
                axis: _along(ground, vendor, axis, counts, seconds, rounds)
                for axis, counts in axes.items()
            },
        }

    def markdown(self, found: dict[str, Any]) -> str:
        return "\n".join(
            (
                _workers_table(found["workers"]),
                *(_axis_table(axis, rows) for axis, rows in found["axes"].items()),
            )
        )

    def plots(self, found: dict[str, Any], folder: Path) -> list[Path]:
        series = {
            axis: [(row["count"], middle(row, "cost_us")) for row in rows]
            for axis, rows in found["axes"].items()
        }
        path = folder / "scale.svg"
        title = "Processor time of the gateway for a request"
        return [plot.lines(path, title, "how many there are", "µs a request", series, log="x")]

    def goals(self, found: dict[str, Any]) -> Sequence[Goal]:
        return [goal(*found["workers"])]


def _along(
    ground: Ground, vendor: str, axis: str, counts: Sequence[int], seconds: float, rounds: int
) -> list[Row]:
    """One gateway for each count, put under load in turn, and ended."""
    started: list[tuple[Row, Gateway]] = []
    for count in counts:
        arrangement = ARRANGED[axis](count)
        gateway = start(ground, arrangement, vendor, name=f"{axis}-{count}")
        row: Row = {"count": count, "ready_after": gateway.process.ready_after}
        started.append((row | {"cost_us": [], "rates": [], "p99_ms": []}, gateway))
        ask(ground, gateway, seconds=min(seconds, 0.5), clients=CLIENTS)
    for number in range(rounds):
        for row, gateway in started if number % 2 == 0 else reversed(started):
            asked = ask(ground, gateway, seconds=seconds, clients=CLIENTS)
            row["cost_us"].append(asked.cost)
            row["rates"].append(asked.rate)
            row["p99_ms"].append(asked.p99)
    for row, gateway in started:
        row["resident"] = gateway.process.resident()
        ground.end(gateway.process)
    return [row for row, _ in started]


def _workers_table(rows: Sequence[Row]) -> str:
    one = rows[0]
    lines = [
        "Everything on. One worker shares one core with a load generator and the vendor, two "
        "workers share two with twice the load: each has the same neighbours, as many clients and "
        "the same part of a core. Two gateways of one worker each share nothing but the machine: "
        "what two workers lack to those, they take from each other. What the three lack to two "
        "gateways of which each has a load and a vendor on its own core is what it takes that "
        "bytes go from core to core, which those of one worker do not. Ratios are those of the "
        "rounds, and of requests a second without what others had of the cores.\n",
        "| workers | requests/s to one | cost to one | requests/s | µs of the gateway a request "
        "| of the cores: workers | idle | others | MB resident | ready after |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [
            f"{row['workers']}, on {row['cores']}{_of(row)}",
            f"{ratio(one, row, 'undisturbed'):.2f}",
            f"{ratio(one, row, 'cost_us'):.2f}",
            f"{middle(row, 'rates'):,.0f}",
            f"{middle(row, 'cost_us'):,.0f}",
            f"{middle(row, 'workers_share'):.0%}",
            f"{middle(row, 'idle'):.0%}",
            f"{middle(row, 'others'):.0%}",
            f"{row['resident'] / 1e6:.0f}",
            f"{row['ready_after']:.2f} s",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _of(row: Row) -> str:
    if row["gateways"] == 1:
        return ""
    return f", of {row['gateways']} gateways{', each on its own' if row['apart'] else ''}"


def _axis_table(axis: str, rows: Sequence[Row]) -> str:
    first = middle(rows[0], "cost_us")
    what = {
        "targets": "targets of the model that is asked for",
        "keys": "keys, of which one asks",
        "rules": "rules of the policy",
    }[axis]
    lines = [
        f"| {what} | cost to the first | µs of the gateway a request | requests/s | p99, ms "
        "| MB resident | ready after |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [
            f"{row['count']:,}",
            f"{middle(row, 'cost_us') / first:.2f}",
            f"{middle(row, 'cost_us'):,.0f}",
            f"{middle(row, 'rates'):,.0f}",
            f"{middle(row, 'p99_ms'):.1f}",
            f"{row['resident'] / 1e6:.0f}",
            f"{row['ready_after']:.2f} s",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
