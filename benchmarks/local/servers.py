"""The servers that are measured: started for the run, on ports of their own, and ended with it."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.local.client import HttpPeer, WorkerPeer

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN = 120.0
MODEL = "smollm2"
PR_SET_PDEATHSIG = 1
TICK = 1.0 / os.sysconf("SC_CLK_TCK")

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


class Server:
    """A running process and all that it has started."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def cpu_seconds(self) -> float:
        """Of processor time that it and its children have used so far."""
        return sum(_cpu_seconds(pid) for pid in _family(self._process.pid))


@contextmanager
def running(
    command: Sequence[str], ready: str, log: Path, environment: Mapping[str, str]
) -> Iterator[Server]:
    """Start ``command``, wait until the URL ``ready`` answers 200, and end it at the end. Raises
    RuntimeError with the end of its output where it does not come up.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - the operator's own command
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            preexec_fn=_end_with_parent,
        )
    try:
        until = time.monotonic() + READY_WITHIN
        while not _answers(ready):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{command[0]} does not come up:\n{log.read_text()[-2000:]}")
            time.sleep(0.1)
        yield Server(process)
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def gateway(folder: Path, size: Size) -> Iterator[tuple[Server, HttpPeer, WorkerPeer]]:
    """`gateway serve` with one local model; as apps see it, and its worker by itself."""
    policies = folder / "policies"
    policies.mkdir(parents=True)
    (policies / "10.yaml").write_text(POLICY)
    config = folder / "gateway.yaml"
    config.write_text(
        CONFIG.format(
            model=MODEL,
            manifests=ROOT / "models",
            context=size.context,
            slots=size.slots,
            threads=size.threads,
        )
    )
    port = free_port()
    command = [sys.executable, "-c", "from gateway.cli import main; main()", "serve"]
    command += ["--config", str(config), "--policy", str(policies), "--port", str(port)]
    url = f"http://127.0.0.1:{port}/readyz"
    environment = {"PYTHONPATH": str(ROOT), **size.environment}
    with running(command, url, folder / "gateway.log", environment) as server:
        # A path too long for a socket is replaced by the supervisor, in a folder of its own.
        path = folder / "state" / "run" / f"{MODEL}.sock"
        yield server, HttpPeer("gateway", port, MODEL), WorkerPeer("worker", path)


@contextmanager
def llama_server(
    binary: Path, model: Path, folder: Path, size: Size
) -> Iterator[tuple[Server, HttpPeer]]:
    """llama.cpp's own server as it comes, with our slots, context and threads."""
    port = free_port()
    command = [str(binary), "-m", str(model), "--host", "127.0.0.1", "--port", str(port)]
    command += ["-np", str(size.slots), "-c", str(size.slots * size.context)]
    command += ["-t", str(size.threads), "-tb", str(size.threads), "-ngl", "0", "--no-ui"]
    url = f"http://127.0.0.1:{port}/health"
    with running(command, url, folder / "llama-server.log", size.environment) as server:
        yield server, HttpPeer("llama-server", port, MODEL)


@contextmanager
def xllamacpp(
    python: Path, model: Path, folder: Path, size: Size
) -> Iterator[tuple[Server, HttpPeer]]:
    """The same server from the xllamacpp package; ``python`` is one that has it."""
    port = free_port()
    numbers = [str(n) for n in (port, size.slots, size.context, size.threads)]
    command = [str(python), "-c", XLLAMACPP, str(model), *numbers]
    url = f"http://127.0.0.1:{port}/health"
    with running(command, url, folder / "xllamacpp.log", size.environment) as server:
        yield server, HttpPeer("xllamacpp", port, MODEL)


def _end_with_parent() -> None:
    """Whoever kills the benchmark is not to leave a server that spoils the next one."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def machine_busy() -> float:
    """Processor seconds that anything on this machine has used since its start."""
    fields = Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]
    user, nice, system, _, _, interrupts, soft, steal = (int(field) for field in fields)
    return (user + nice + system + interrupts + soft + steal) * TICK


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _family(pid: int) -> list[int]:
    """A process and its descendants."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            children = (task / "children").read_text().split()
        except FileNotFoundError:  # a thread that has ended meanwhile
            continue
        for child in children:
            found += _family(int(child))
    return found


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK
