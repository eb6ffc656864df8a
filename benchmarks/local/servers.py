"""The servers that are measured: started for the run, on ports of their own, and ended with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ground import ROOT, Ground, free_port
from benchmarks.local.client import HttpPeer, WorkerPeer
from benchmarks.processes import Process
from tests.end_to_end.running import RunningGateway

READY_WITHIN = 120.0
MODEL = "smollm2"

CONFIG = """\
models:
  {model}: {{targets: [local/{model}]}}
local:
  manifests: {manifests}
  models:
    {model}:
      manifest: smollm2-135m-instruct
      context: {context}
      slots: {slots}
      queue: 256
      threads: {threads}
      gpu_layers: 0
state: {{dir: state}}
"""
POLICY = "version: 1\ndefault: deny\n"
XLLAMACPP = """\
import sys, threading, xllamacpp
model, port, slots, context, threads = sys.argv[1], *map(int, sys.argv[2:])
params = xllamacpp.CommonParams()
params.model.path = model
params.port = port
params.n_parallel = slots
params.n_ctx = slots * context
params.cpuparams.n_threads = threads
params.cpuparams_batch.n_threads = threads
params.n_gpu_layers = 0
params.ui = False
server = xllamacpp.Server(params)
threading.Event().wait()
"""


@dataclass(frozen=True, slots=True)
class Size:
    """What all servers are given alike: ``context`` tokens for each of ``slots``. ``waiting`` is
    how threads wait for each other (OMP_WAIT_POLICY); ``None`` leaves each server its own way.
    Where others use the cores, threads that spin measure the neighbour (0.5 for 50 tokens/s).
    """

    slots: int
    context: int
    threads: int
    waiting: str | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What all servers get alike beside their own."""
        return {"OMP_WAIT_POLICY": self.waiting} if self.waiting else {}


def gateway(ground: Ground, size: Size) -> tuple[Process, HttpPeer, WorkerPeer]:
    """`gateway serve` with one local model; as apps see it, and its worker by itself."""
    folder = ground.folder / "gateway"
    config = CONFIG.format(
        model=MODEL,
        manifests=ROOT / "models",
        context=size.context,
        slots=size.slots,
        threads=size.threads,
    )
    running = RunningGateway(
        folder,
        config,
        policy=POLICY,
        environ=size.environment,
        popen=ground.popen(None),
        started=ground.adopt,
    )
    running.start()
    # A path too long for a socket is replaced by the supervisor, in a folder of its own.
    path = folder / "state" / "run" / f"{MODEL}.sock"
    peer = HttpPeer("gateway", running.port, MODEL)
    return ground.started[-1], peer, WorkerPeer("worker", path)


def llama_server(ground: Ground, binary: Path, model: Path, size: Size) -> tuple[Process, HttpPeer]:
    """llama.cpp's own server as it comes, with our slots, context and threads."""
    port = free_port()
    command = [str(binary), "-m", str(model), "--host", "127.0.0.1", "--port", str(port)]
    command += ["-np", str(size.slots), "-c", str(size.slots * size.context)]
    command += ["-t", str(size.threads), "-tb", str(size.threads), "-ngl", "0", "--no-ui"]
    return _beside(ground, command, port, "llama-server", size)


def xllamacpp(ground: Ground, python: Path, model: Path, size: Size) -> tuple[Process, HttpPeer]:
    """The same server from the xllamacpp package; ``python`` is one that has it."""
    port = free_port()
    numbers = [str(n) for n in (port, size.slots, size.context, size.threads)]
    command = [str(python), "-c", XLLAMACPP, str(model), *numbers]
    return _beside(ground, command, port, "xllamacpp", size)


def _beside(
    ground: Ground, command: Sequence[str], port: int, name: str, size: Size
) -> tuple[Process, HttpPeer]:
    process = ground.start(
        command,
        core=None,
        name=name,
        ready=f"http://127.0.0.1:{port}/health",
        environ=size.environment,
        within=READY_WITHIN,
    )
    return process, HttpPeer(name, port, MODEL)
