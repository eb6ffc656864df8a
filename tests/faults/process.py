"""What the kernel and the process itself say of a serving process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds: file descriptors, ``vendors`` of them connections to vendors, tasks of
    its loop, and threads.
    """

    descriptors: int
    vendors: int
    tasks: int
    threads: int

    @property
    def own(self) -> int:
        """Descriptors without connections to vendors."""
        return self.descriptors - self.vendors


def held(pid: int, ports: Iterable[int], tasks: Path) -> Held:
    """``ports`` are the vendors'; ``tasks`` is where the process writes how many it has."""
    tasks.unlink(missing_ok=True)
    os.kill(pid, signal.SIGUSR1)
    until = time.monotonic() + 20
    while not (tasks.exists() and tasks.read_text()) and time.monotonic() < until:
        time.sleep(0.01)
    links = _descriptors(pid)
    return Held(
        descriptors=len(links),
        vendors=len(_sockets_to(set(ports)) & set(links)),
        tasks=int(tasks.read_text()),
        threads=len(list(Path(f"/proc/{pid}/task").iterdir())),
    )


def resident(pid: int) -> float:
    """Megabytes of memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """Growth a minute, of samples of seconds and values."""
    times, values = zip(*samples, strict=True)
    return linear_regression(times, values).slope * 60


def _descriptors(pid: int) -> list[str]:
    links = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(str(entry.readlink()))
        except FileNotFoundError:
            continue
    return links


def _sockets_to(ports: set[int]) -> set[str]:
    """Connections of this machine to these ports, as links in ``/proc`` name them."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {f"socket:[{row[9]}]" for row in rows if int(row[2].partition(":")[2], 16) in ports}
