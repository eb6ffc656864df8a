"""What keys, limits, the audit log, logs, metrics and traces cost a relayed request.

    python -m benchmarks.operators
    python -m benchmarks.operators --each      (each by itself, too)

Starts a gateway for each arrangement, puts them under the same load one after the other, in rounds
whose order changes, and prints requests a second and the processor time of the gateway for each
request, beside those of the arrangement in which all is off. The app and the vendor are processes
of their own, on the same cores. ``--quick`` is for seeing that it works.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.operators.arrangements import ALL, FEATURES, MODEL, POLICY, Arrangement
from benchmarks.operators.processes import Child, cpu_seconds
from tests.end_to_end.running import RunningGateway

KINDS = ("plain", "stream")
CLIENT = (sys.executable, "-m", "benchmarks.operators.client")


@dataclass(slots=True)
class Measured:
    """One arrangement under one kind of load: a figure for each round."""

    rates: list[float] = field(default_factory=list)
    micros: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Running:
    """A gateway, and what its apps show it."""

    arrangement: Arrangement
    gateway: RunningGateway
    key: str
    found: dict[str, Measured]


def main() -> None:
    options = _options()
    seconds, rounds = (1.0, 1) if options.quick else (options.seconds, options.rounds)
    known = tuple(options.features)
    arrangements = [Arrangement("all off", known), Arrangement("all on", known, known)]
    if options.each:
        arrangements += [Arrangement(f"only {name}", known, (name,)) for name in known]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gw-")))
        vendor = stack.enter_context(Child("benchmarks.operators.vendor"))
        running = [
            _started(stack, folder / str(number), arrangement, vendor.line)
            for number, arrangement in enumerate(arrangements)
        ]
        for one in running:
            for kind in KINDS:
                _load(one, kind, options.connections, min(seconds, 1.0))
        for number in range(rounds):
            for kind in KINDS:
                for one in running if number % 2 == 0 else reversed(running):
                    _measure(one, kind, options.connections, seconds)
        print(_table(running, options.connections))
        if not options.quick:
            _check(running, vendor)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--each", action="store_true", help="each feature by itself, too")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each load")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--features", nargs="+", choices=ALL, default=ALL)
    return parser.parse_args()


def _started(stack: ExitStack, folder: Path, arrangement: Arrangement, vendor: str) -> Running:
    folder.mkdir()
    text = arrangement.configuration(vendor)
    gateway = RunningGateway(folder, text, policy=POLICY)
    key = ""
    for feature in arrangement.features:
        for command in FEATURES[feature].commands:
            done = gateway.run(*command, policy=False)
            assert done.returncode == 0, done.stdout + done.stderr
            key = json.loads(done.stdout)["key"]
    stack.enter_context(gateway)
    return Running(arrangement, gateway, key, {kind: Measured() for kind in KINDS})


def _load(one: Running, kind: str, connections: int, seconds: float) -> int:
    """How many requests were answered."""
    options = {
        "--port": one.gateway.port,
        "--model": MODEL,
        "--kind": kind,
        "--connections": connections,
        "--seconds": seconds,
        "--scrape": int("metrics" in one.arrangement.features),
    }
    words = [str(word) for pair in options.items() for word in pair]
    done = subprocess.run(  # noqa: S603 - ourselves
        [*CLIENT, *words], input=one.key, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def _measure(one: Running, kind: str, connections: int, seconds: float) -> None:
    before = cpu_seconds(one.gateway.pid)
    answered = _load(one, kind, connections, seconds)
    used = cpu_seconds(one.gateway.pid) - before
    one.found[kind].rates.append(answered / seconds)
    one.found[kind].micros.append(used / answered * 1e6)


def _check(running: Sequence[Running], vendor: Child) -> None:
    """What is on did something, or it would be cheap indeed."""
    told = vendor.ask()
    for one in running:
        for feature in one.arrangement.features:
            FEATURES[feature].check(one.gateway, told)


def _table(running: Sequence[Running], connections: int) -> str:
    lines = [f"{connections} connections; medians of the rounds, and their range; beside: all off"]
    off = running[0].found
    for kind in KINDS:
        lines.append(f"{kind:15} {'requests/s':>28} {'µs of the gateway each':>31}")
        for one in running:
            rates, micros = one.found[kind].rates, one.found[kind].micros
            lines.append(
                f"  {one.arrangement.name:13}"
                f" {_told(rates, '.0f'):>22} {_ratio(rates, off[kind].rates):>5.2f}"
                f" {_told(micros, '.0f'):>25} {_ratio(micros, off[kind].micros):>5.2f}"
            )
    return "\n".join(lines)


def _told(figures: Sequence[float], form: str) -> str:
    least, most = format(min(figures), form), format(max(figures), form)
    return f"{statistics.median(figures):{form}} ({least} to {most})"


def _ratio(figures: Sequence[float], off: Sequence[float]) -> float:
    """The median of what the rounds say: each is compared with itself."""
    return statistics.median(one / other for one, other in zip(figures, off, strict=True))


if __name__ == "__main__":
    main()
