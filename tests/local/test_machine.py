"""How much memory there is, by files as kernels write them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.local.machine import memory

GB = 1 << 30
NO_LIMIT = "9223372036854771712"


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        (None, {}, 16 * GB),
        ("0::/", {}, 16 * GB),
        ("0::/", {"memory.max": "max"}, 16 * GB),
        ("0::/", {"memory.max": str(4 * GB)}, 4 * GB),
        ("0::/a/b", {"a/b/memory.max": "max", "a/memory.max": str(2 * GB)}, 2 * GB),
        ("0::/a", {"a/memory.max": str(64 * GB)}, 16 * GB),
        # A container that sees the host's path, but its own files.
        ("0::/docker/x", {"memory.max": str(GB)}, GB),
        (
            "5:cpu,cpuacct:/x\n4:memory:/x\n0::/",
            {"memory/x/memory.limit_in_bytes": str(3 * GB)},
            3 * GB,
        ),
        ("4:memory:/x", {"memory/x/memory.limit_in_bytes": NO_LIMIT}, 16 * GB),
        ("5:cpu:/x", {"memory/x/memory.limit_in_bytes": str(GB)}, 16 * GB),
    ],
)
def test_the_least_of_the_machine_and_its_groups(
    tmp_path: Path, groups: str | None, files: Mapping[str, str], expected: int
) -> None:
    """Of version 1 and 2, and of every group above our own."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text(f"MemTotal:  {16 * GB // 1024} kB\nMemFree: 1 kB\n")
    if groups is not None:
        (tmp_path / "proc/self/cgroup").write_text(groups + "\n")
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    assert memory(tmp_path) == expected


def test_this_machine_has_some() -> None:
    """By its real files."""
    assert memory() > 256 << 20
