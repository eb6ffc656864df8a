"""How much memory this machine has, or this container: what does not move while it runs."""

from __future__ import annotations

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
    """Bytes that new processes can have without swapping."""
    return _row(root / "proc/meminfo", "MemAvailable:")


def _machine(meminfo: Path) -> int:
    return _row(meminfo, "MemTotal:")


def _row(meminfo: Path, name: str) -> int:
    (line,) = [
        line for line in meminfo.read_text(encoding="ascii").splitlines() if line.startswith(name)
    ]
    return int(line.split()[1]) * 1024


def _limits(root: Path) -> Iterator[int]:
    """Of our own group and of all above it. One that is not there, or says ``max``, is none."""
    for file in _files(root):
        with suppress(OSError, ValueError):
            yield int(file.read_text(encoding="ascii"))


def _files(root: Path) -> Iterator[Path]:
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
            folder, name = mounted, V2
        elif "memory" in controllers.split(","):
            folder, name = mounted / "memory", V1
        else:
            continue
        yield from (folder / one / name for one in (group, *group.parents))
