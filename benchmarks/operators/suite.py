"""What keys, limits, the audit log, logs, metrics and traces cost a relayed request."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import plot
from benchmarks.asking import Asked, ask, nothing, scraping
from benchmarks.gateway import Gateway, start
from benchmarks.ground import Ground
from benchmarks.operators.features import ALL, FEATURES, arrangement
from benchmarks.suite import Goal
from benchmarks.vendor import seen
from benchmarks.vendor import start as start_vendor

KINDS = ("plain", "streamed")
OFF, ON = "all off", "all on"


@dataclass(frozen=True, slots=True)
class Running:
    """A gateway with these features on; ``found`` has a figure for each round of each kind."""

    name: str
    features: tuple[str, ...]
    gateway: Gateway
    found: dict[str, list[Asked]]


@dataclass(frozen=True, slots=True)
class OperatorsSuite:
    """All arrangements run at once and are put under the same load in turn, in rounds whose order
    changes. ``each``: every feature by itself, too. ``load`` is in seconds.
    """

    each: bool = True
    known: tuple[str, ...] = ALL
    clients: int = 16
    rounds: int = 3
    load: float = 0.5
    name: str = "operators"
    title: str = "Operators: what each feature costs"

    def run(self, ground: Ground) -> dict[str, Any]:
        vendor = start_vendor(ground, ground.load_core)
        chosen = {OFF: (), ON: self.known}
        if self.each and not ground.quick:
            chosen |= {f"only {name}": (name,) for name in self.known}
        running = [
            Running(
                name,
                features,
                start(
                    ground,
                    arrangement(self.known, features, vendor),
                    f"{vendor}/v1",
                    name=name.replace(" ", "-"),
                ),
                {kind: [] for kind in KINDS},
            )
            for name, features in chosen.items()
        ]
        seconds, rounds = (0.3, 1) if ground.quick else (self.load, self.rounds)
        for one in running:
            for kind in KINDS:
                self._ask(ground, one, kind, min(seconds, 0.5))
        for number in range(rounds):
            for kind in KINDS:
                for one in running if number % 2 == 0 else reversed(running):
                    one.found[kind].append(self._ask(ground, one, kind, seconds))
        if not ground.quick:
            _check(running, vendor)
        return {
            "clients": self.clients,
            "kinds": {kind: [_row(one, kind) for one in running] for kind in KINDS},
        }

    def _ask(self, ground: Ground, one: Running, kind: str, seconds: float) -> Asked:
        return ask(
            ground,
            one.gateway,
            seconds=seconds,
            clients=self.clients,
            stream=kind == "streamed",
            meanwhile=scraping(one.gateway) if "metrics" in one.features else nothing,
        )

    def markdown(self, found: dict[str, Any]) -> str:
        lines = [
            f"{found['clients']} clients, one worker process; medians of the rounds, and their "
            "range; ratios are those of the rounds to all off. Off means as much as can be: the "
            "audit log is always written, and what metrics tell is always counted.\n",
            "| load | features | cost to all off | µs of the gateway a request | requests/s |",
            "|---|---|---|---|---|",
        ]
        for kind, rows in found["kinds"].items():
            for row in rows:
                ratio = f"{_ratio(row['micros'], rows[0]['micros']):.2f}"
                lines.append(
                    f"| {kind} | {row['name']} | {ratio} | {_told(row['micros'])} "
                    f"| {_told(row['rates'])} |"
                )
        return "\n".join(lines) + "\n"

    def plots(self, found: dict[str, Any], folder: Path) -> list[Path]:
        values = {
            f"{row['name']}, {kind}": statistics.median(row["micros"])
            for kind, rows in found["kinds"].items()
            for row in rows
        }
        path = folder / "operators.svg"
        title = "Processor time of the gateway, by features"
        return [plot.bars(path, title, "µs a request", values)]

    def goals(self, found: dict[str, Any]) -> Sequence[Goal]:
        return ()


def _check(running: Sequence[Running], vendor: str) -> None:
    told: Mapping[str, int] = seen(vendor)
    for one in running:
        for feature in one.features:
            FEATURES[feature].check(one.gateway.running, told)


def _row(one: Running, kind: str) -> dict[str, Any]:
    asked = one.found[kind]
    rates, micros = [each.rate for each in asked], [each.cost for each in asked]
    return {"name": one.name, "rates": rates, "micros": micros}


def _told(figures: Sequence[float]) -> str:
    return f"{statistics.median(figures):,.0f} ({min(figures):,.0f} to {max(figures):,.0f})"


def _ratio(figures: Sequence[float], off: Sequence[float]) -> float:
    """The median of what the rounds say: each is compared with itself."""
    return statistics.median(one / other for one, other in zip(figures, off, strict=True))
