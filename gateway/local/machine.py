"""How much memory this machine has, or this container, and how many cores."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

V1, V2 = "memory.limit_in_bytes", "memory.max"


def memory(root: Path = Path("/")) -> int:
    """Bytes: the machine's, or the least that a control group allows this process, of either
    version. ``root`` is where the file system begins.
    """
    return min((_machine(root / "proc/meminfo"), *_limits(root)))


def free_memory(root: Path = Path("/")) -> int:
    """Bytes that new processes can have without swapping, by the machine and by each control group
    that this process is in: pages of files, which a group gives back, are free there too.
    """
    return min((_row(root / "proc/meminfo", "MemAvailable:"), *_left(root)))


def swapped(root: Path = Path("/")) -> int:
    """Bytes that are swapped out."""
    meminfo = root / "proc/meminfo"
    return _row(meminfo, "SwapTotal:") - _row(meminfo, "SwapFree:")


def cores(root: Path = Path("/")) -> float:
    """Those that this process may use, or the least that a control group gives it of their time."""
    return min((float(len(os.sched_getaffinity(0))), *_quotas(root)))


def _machine(meminfo: Path) -> int:
    return _row(meminfo, "MemTotal:")


def _row(meminfo: Path, name: str) -> int:
    (line,) = [
        line for line in meminfo.read_text(encoding="ascii").splitlines() if line.startswith(name)
    ]
    return int(line.split()[1]) * 1024


def _limits(root: Path) -> Iterator[int]:
    """Of our own group and of all above it. One that is not there, or says ``max``, is none."""
    for folder, version in _groups(root, "memory"):
        with suppress(OSError, ValueError):
            yield int((folder / (V2 if version == 2 else V1)).read_text(encoding="ascii"))


def _left(root: Path) -> Iterator[int]:
    """What each group that has a limit has left of it."""
    for folder, version in _groups(root, "memory"):
        limit, used, files = (
            (V2, "memory.current", "inactive_file ")
            if version == 2
            else (V1, "memory.usage_in_bytes", "total_inactive_file ")
        )
        with suppress(OSError, ValueError):
            most = int((folder / limit).read_text(encoding="ascii"))
            taken = int((folder / used).read_text(encoding="ascii"))
            rows = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
            kept = sum(int(row.split()[1]) for row in rows if row.startswith(files))
            yield max(0, most - taken + kept)


def _quotas(root: Path) -> Iterator[float]:
    """Cores' worth of time of each group that has a quota."""
    for folder, version in _groups(root, "cpu"):
        with suppress(OSError, ValueError):
            if version == 2:
                quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
            else:
                quota = (folder / "cpu.cfs_quota_us").read_text(encoding="ascii")
                period = (folder / "cpu.cfs_period_us").read_text(encoding="ascii")
            if int(quota) > 0:
                yield int(quota) / int(period)


def _groups(root: Path, controller: str) -> Iterator[tuple[Path, int]]:
    """The folders of our own group for a controller and of all above it, and of which version."""
    mounted = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        # number:controllers:path; version 2 has no controllers.
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        group = PurePosixPath(path.lstrip("/"))
        if controllers == "":
            folder, version = mounted, 2
        elif controller in controllers.split(","):
            folder, version = mounted / controller, 1
        else:
            continue
        yield from ((folder / one, version) for one in (group, *group.parents))
