"""What a supervisor tells a worker, as one line of JSON."""

from __future__ import annotations

import msgspec


class WorkerConfig(msgspec.Struct, frozen=True):
    """``listener`` is a descriptor, ``parent`` a process id, ``memory`` the bytes that the process
    may have beside its mapped file. The rest as in ``LocalModel``.
    """

    name: str
    path: str
    context: int
    slots: int
    queue: int
    threads: int
    gpu_layers: int | None
    listener: int
    parent: int
    memory: int
