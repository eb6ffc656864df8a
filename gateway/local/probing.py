"""Which devices there are, asked of a short-lived process, and which of them models may use."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum

import msgspec

from gateway.local.spawning import worker_environment

PROBE_WITHIN = 20.0
"""Seconds: some drivers take several to begin."""
WITHOUT_GPU = frozenset({"CPU", "BLAS", "RPC"})
"""Back ends that every build may have."""


class Kind(StrEnum):
    CPU = "cpu"
    GPU = "gpu"
    IGPU = "igpu"
    """Integrated: its memory is the machine's."""
    ACCELERATOR = "accelerator"
    META = "meta"


class Device(msgspec.Struct, frozen=True):
    """One device as llama.cpp lists it; ``free`` and ``total`` memory in bytes. ``id`` is the same
    for one that two back ends list.
    """

    name: str
    description: str
    kind: Kind
    free: int
    total: int
    id: str | None = None


class Found(msgspec.Struct, frozen=True):
    """``backends`` are those of the build, whether or not they find a device."""

    backends: tuple[str, ...]
    devices: tuple[Device, ...]

    @property
    def gpu_support(self) -> bool:
        """Whether the build could use a GPU."""
        return bool(set(self.backends) - WITHOUT_GPU)


class ProbeFailed(Exception):
    """The devices could not be listed; the text says why."""


async def probe(python: str) -> Found:
    """The devices now, by the interpreter ``python``, in the environment that workers have. Raises
    ProbeFailed.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *(python, "-P", "-m", "gateway.local.devices"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            env=worker_environment(os.environ),
            start_new_session=True,
        )
    except OSError as error:
        raise ProbeFailed(f"it cannot be started: {error.strerror}") from error
    try:
        async with asyncio.timeout(PROBE_WITHIN):
            said, _ = await process.communicate()
    except TimeoutError:
        raise ProbeFailed(f"no answer within {PROBE_WITHIN:.0f} s") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode != 0:
        raise ProbeFailed(f"it ended with code {process.returncode}")
    try:
        return msgspec.json.decode(said, type=Found)
    except msgspec.DecodeError as error:
        raise ProbeFailed(f"it said what is no list of devices: {error}") from error


def usable(devices: Sequence[Device]) -> tuple[Device, ...]:
    """Those that layers may be given to, each once; integrated ones where there are no others, as
    llama.cpp has it.
    """
    for kind in (Kind.GPU, Kind.IGPU):
        chosen = [device for device in devices if device.kind is kind]
        ids = [device.id for device in chosen]
        once = tuple(
            device
            for index, device in enumerate(chosen)
            if device.id is None or device.id not in ids[:index]
        )
        if once:
            return once
    return ()
