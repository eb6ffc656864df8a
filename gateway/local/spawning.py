"""How a worker is started: its environment, and the socket that it inherits."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

import gateway
from gateway.errors import StartupError
from gateway.local.worker_config import WorkerConfig

BACKLOG = 128
LONGEST_PATH = 107
"""Bytes of a Unix socket's path that the kernel takes."""
ENVIRONMENT = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "OMP_NUM_THREADS",
    "OMP_WAIT_POLICY",
    "GOMP_SPINCOUNT",
    "CUDA_DEVICE_ORDER",
    "CUDA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "GGML_VK_VISIBLE_DEVICES",
    "VK_DRIVER_FILES",
    "VK_ICD_FILENAMES",
)
"""What a worker may know of our environment. By name: a prefix would let a vendor's key through."""


async def spawn(python: str, config: WorkerConfig) -> asyncio.subprocess.Process:
    """Start a worker with the interpreter ``python``. Raises OSError where the kernel does not."""
    process = await asyncio.create_subprocess_exec(
        python,
        "-P",
        "-m",
        "gateway.local.worker",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        env=worker_environment(os.environ),
        pass_fds=(config.listener,),
        start_new_session=True,
    )
    if process.stdin is not None:
        process.stdin.write(msgspec.json.encode(config) + b"\n")
    return process


def worker_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """What a worker gets of our environment: never a key of a vendor."""
    kept = {name: ours[name] for name in ENVIRONMENT if name in ours}
    root = str(Path(gateway.__file__).resolve().parent.parent)
    fixed = {
        "PYTHONPATH": root,
        "PYTHONUNBUFFERED": "1",
        # One thread for numpy, which the worker hardly uses: its pool would only take memory.
        "OPENBLAS_NUM_THREADS": "1",
        # Threads that meet at a barrier wait awake for 50 µs, then asleep. Asleep at once costs
        # two thirds of the speed of one answer on two idle cores (38 against 117 tokens/s), awake
        # for long four fifths of it where others want the cores too (10 against 50).
        "GOMP_SPINCOUNT": "1000",
    }
    return fixed | kept


def socket_folder(wanted: Path, names: Sequence[str]) -> Path:
    """The folder of the sockets, ours alone. A path too long for the kernel is replaced."""
    longest = max(len(os.fsencode(wanted.resolve() / f"{name}.sock")) for name in names)
    try:
        if longest > LONGEST_PATH:
            return Path(tempfile.mkdtemp(prefix="gateway-"))
        wanted.mkdir(parents=True, exist_ok=True, mode=0o700)
        wanted.chmod(0o700)
    except OSError as error:
        raise StartupError(f"{wanted} cannot be used for sockets: {error.strerror}") from error
    return wanted.resolve()


def listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise StartupError(f"the socket {path} cannot be made: {error.strerror}") from error
    return listener


async def knock(listener: socket.socket) -> None:
    """Return when somebody connects. He is not let in: that is for the worker to do."""
    loop = asyncio.get_running_loop()
    somebody = asyncio.Event()
    loop.add_reader(listener, somebody.set)
    try:
        await somebody.wait()
    finally:
        loop.remove_reader(listener)
