"""What relaying a request costs, beside what people would use instead."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.ground import Ground
from benchmarks.load import asked, load
from benchmarks.processes import Process, busy_seconds
from benchmarks.relay import report, upstream, wrk
from benchmarks.relay.cells import ALL, CELLS, MANY, QUICK, Cell
from benchmarks.relay.contenders import OURS, PEERS, Contender, line_up, model, to_vendor
from benchmarks.relay.goals import goals
from benchmarks.relay.start import started
from benchmarks.relay.upstream import CHUNKS, KINDS, Upstream
from benchmarks.suite import Goal

WARM_CLIENTS, WARM_SECONDS = 2, 1
CHECKS, CHECK_SECONDS = 6, 1


class RelaySuite:
    """One gateway with one worker, everything on, before and beside its peers."""

    name = "relay"
    title = "Relay: a request passed on to a vendor"

    def run(self, ground: Ground) -> dict[str, Any]:
        wrk.found(ground)
        found: dict[str, Any] = {"start": started(ground, starts=1 if ground.quick else 3)}
        vendors = upstream.start(ground)
        lined, left = line_up(ground, vendors, ALL, _say)
        trial = Trial(ground, vendors, lined)
        trial.warm()
        found["cells"] = [trial.measure(cell) for cell in (QUICK if ground.quick else CELLS)]
        found["check"] = trial.check(1 if ground.quick else CHECKS)
        found["left_out"] = left | trial.wrong
        found["contenders"] = {
            name: {
                "version": one.version,
                "ready_s": one.ready_after,
                "resident": one.at_rest,
                "peak": one.processes["plain"].peak_resident(),
            }
            for name, one in lined.items()
            if one.processes
        }
        return found

    def markdown(self, found: dict[str, Any]) -> str:
        return report.markdown(found)

    def plots(self, found: dict[str, Any], folder: Path) -> list[Path]:
        return report.plots(found, folder)

    def goals(self, found: dict[str, Any]) -> Sequence[Goal]:
        return tuple(goals(found))


class Trial:
    """All contenders under one load after the other. ``wrong`` says which peers did not answer as
    they should, and why: they are left out of that.
    """

    def __init__(self, ground: Ground, vendors: Upstream, lined: Mapping[str, Contender]) -> None:
        self._ground = ground
        self._vendors = vendors
        self._lined = lined
        self.wrong: dict[str, str] = {}
        self._fit: set[tuple[str, str]] = set()

    def warm(self) -> None:
        """Each is asked once whether its answer is whole, and then loaded until it is warm."""
        for kind in KINDS:
            body = self._body(0.3, kind)
            for one in self._lined.values():
                with self._or_left_out(one, kind):
                    self._probe(one, kind, body)
                    if not self._ground.quick:
                        self._shoot(one, kind, body, WARM_CLIENTS, WARM_SECONDS)
                    self._fit.add((one.name, kind))

    def measure(self, cell: Cell) -> dict[str, Any]:
        """The rounds of each; who begins changes, so that nobody always has the quiet machine."""
        body = self._body(cell.kilobytes, cell.kind)
        who = [self._lined[name] for name in cell.who if (name, cell.kind) in self._fit]
        rounds: dict[str, list[dict[str, float]]] = {one.name: [] for one in who}
        for turn in range(cell.rounds):
            at = turn % len(who)
            for one in (*who[at:], *who[:at]):
                with self._or_left_out(one, cell.name):
                    rounds[one.name].append(self._round(one, cell, body))
        return {
            "name": cell.name,
            "clients": cell.clients,
            "kilobytes": cell.kilobytes,
            "bytes": body.stat().st_size,
            "kind": cell.kind,
            "why": cell.why,
            "rounds": {name: told for name, told in rounds.items() if len(told) == cell.rounds},
        }

    @contextmanager
    def _or_left_out(self, one: Contender, of: str) -> Iterator[None]:
        """What a peer does not stand is said, and measured of the others."""
        try:
            yield
        except wrk.Failed as error:
            if one.name not in PEERS:
                raise
            self.wrong[f"{one.name}, {of}"] = str(error)
            _say(f"{one.name}, {of}: {error}")

    def check(self, times: int) -> list[dict[str, Any]]:
        """Our own load generator beside wrk, at the gateway, one after the other in turn."""
        ours, found = self._lined[OURS], []
        body = self._body(MANY.kilobytes, MANY.kind)
        ways = {"wrk": self._by_wrk, "own": self._by_own}
        for turn in range(times):
            names = sorted(ways, reverse=turn % 2 == 1)
            found.append({name: ways[name](ours, body) for name in names})
        return found

    def _by_wrk(self, one: Contender, body: Path) -> dict[str, float]:
        shot = self._shoot(one, MANY.kind, body, MANY.clients, CHECK_SECONDS)
        return {"rate": shot.rate, "p50": shot.p50, "p99": shot.p99}

    def _by_own(self, one: Contender, body: Path) -> dict[str, float]:
        found = asyncio.run(load.put_under(self._load(one, body, MANY.kind)))
        told = found.data()
        assert not found.failed, told["errors"]
        return {"rate": found.rate, **told["latency_ms"], "busy": found.busy}

    def _round(self, one: Contender, cell: Cell, body: Path) -> dict[str, float]:
        process = one.processes.get(cell.kind)
        seconds = max(1, round(self._ground.seconds * cell.share))
        before, all_before = self._used(process)
        shot = self._shoot(one, cell.kind, body, cell.clients, seconds)
        after, all_after = self._used(process)
        used = after - before
        told = {name: value for name, value in asdict(shot).items() if name != "seconds"}
        others = max(all_after - all_before - used, 0.0)
        cost = {
            "cpu_us": used / shot.requests * 1e6,
            "busy": used / shot.seconds,
            "others": others / shot.seconds,
        }
        _say(
            f"{cell.kind:8} {cell.clients:3} clients {cell.kilobytes:5g} KB  {one.name:20}"
            f" {shot.rate:9,.0f}/s  p50 {shot.p50:8.2f} ms  p99 {shot.p99:8.2f} ms"
            f"  {cost['cpu_us']:7,.0f} µs each"
        )
        return {"rate": shot.rate, **told, **cost}

    def _used(self, process: Process | None) -> tuple[float, float]:
        """Processor seconds so far of what is measured, and of all on its core."""
        own = process.cpu_seconds() if process else 0.0
        return own, busy_seconds({self._ground.server_core})

    def _shoot(self, one: Contender, kind: str, body: Path, clients: int, seconds: int) -> wrk.Shot:
        headers = to_vendor(one, self._vendors, kind)
        return wrk.put_under(
            self._ground, one.urls[kind], body, headers, clients=clients, seconds=seconds
        )

    def _probe(self, one: Contender, kind: str, body: Path) -> None:
        tally = asyncio.run(load.probe(self._load(one, body, kind)))
        if tally.kinds:
            raise wrk.Failed(f"{one.name}, {kind}: {tally.said}")

    def _load(self, one: Contender, body: Path, kind: str) -> load.Load:
        address = asked.address(one.urls[kind])
        headers = to_vendor(one, self._vendors, kind)
        del headers["content-type"]
        request = asked.request(address, body.read_bytes(), headers)
        streamed = kind == "streamed"
        return load.Load(address, request, streamed, MANY.clients, CHECK_SECONDS)

    def _body(self, kilobytes: float, kind: str) -> Path:
        file = self._ground.folder / f"{kind}-{kilobytes:g}.json"
        streamed = kind == "streamed"
        file.write_bytes(asked.body(model(kind), kilobytes, stream=streamed, max_tokens=CHUNKS))
        return file


def _say(line: str) -> None:
    print(f"  {line}", file=sys.stderr, flush=True)
