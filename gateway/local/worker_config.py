"""What a supervisor tells a worker, as one line of JSON."""

from __future__ import annotations

import msgspec

from gateway.domain.local_model import Pooling
from gateway.local.layout import Layout
from gateway.processes.logs import Logs


class WorkerConfig(msgspec.Struct, frozen=True):
    """``listener`` is a descriptor, ``parent`` a process id, ``memory`` the bytes that the process
    may have beside its mapped file; ``projector`` is the path of that file, ``template`` the Jinja
    source that takes the place of the file's own. The rest as in ``LocalModel`` and ``Manifest``.
    """

    name: str
    path: str
    projector: str | None
    context: int
    slots: int
    batch: int
    ubatch: int
    queue: int
    threads: int
    layout: Layout
    pooling: Pooling | None
    listener: int
    parent: int
    memory: int
    template: str | None = None
    logs: Logs = Logs()
