"""How much memory and how many cores there are, by files as kernels write them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.local.machine import cores, free_memory, memory, swapped

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
    put(tmp_path, groups or "", files)
    if groups is None:
        (tmp_path / "proc/self/cgroup").unlink()
    assert memory(tmp_path) == expected


def test_this_machine_has_some() -> None:
    """By its real files."""
    assert memory() > 256 << 20


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/", {}, 8 * GB),
        ("0::/", {"memory.max": "max"}, 8 * GB),
        # What the page cache holds of a group's memory is given back.
        (
            "0::/a",
            {
                "a/memory.max": str(4 * GB),
                "a/memory.current": str(3 * GB),
                "a/memory.stat": f"anon 1\ninactive_file {GB}\nactive_file 5",
            },
            2 * GB,
        ),
        (
            "4:memory:/x",
            {
                "memory/x/memory.limit_in_bytes": str(4 * GB),
                "memory/x/memory.usage_in_bytes": str(5 * GB),
                "memory/x/memory.stat": "inactive_file 7\ntotal_inactive_file 0",
            },
            0,
        ),
    ],
)
def test_what_is_free_is_the_least_of_the_machine_and_its_groups(
    tmp_path: Path, groups: str, files: Mapping[str, str], expected: int
) -> None:
    """A group has left what its limit leaves."""
    put(tmp_path, groups, files)
    assert free_memory(tmp_path) == expected


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/a", {"a/cpu.max": "50000 100000"}, 0.5),
        (
            "5:cpu,cpuacct:/x",
            {"cpu/x/cpu.cfs_quota_us": "25000", "cpu/x/cpu.cfs_period_us": "100000"},
            0.25,
        ),
    ],
)
def test_a_quota_is_fewer_cores(
    tmp_path: Path, groups: str, files: Mapping[str, str], expected: float
) -> None:
    put(tmp_path, groups, files)
    assert cores(tmp_path) == expected


def test_without_a_quota_all_cores_count(tmp_path: Path) -> None:
    """``max``, and -1 of version 1, are none."""
    put(tmp_path, "0::/", {"cpu.max": "max 100000"})
    assert cores(tmp_path) == len(os.sched_getaffinity(0))
    put(tmp_path, "5:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"})
    assert cores(tmp_path) == len(os.sched_getaffinity(0))


def test_what_is_swapped_out_is_what_is_not_free(tmp_path: Path) -> None:
    put(tmp_path, "0::/", {})
    assert swapped(tmp_path) == 3 * GB


def put(root: Path, groups: str, files: Mapping[str, str]) -> None:
    """Files as a kernel writes them, of a machine with 16 GB, of which 8 are free."""
    (root / "proc/self").mkdir(parents=True, exist_ok=True)
    (root / "proc/meminfo").write_text(
        f"MemTotal: {16 * GB // 1024} kB\nMemAvailable: {8 * GB // 1024} kB\n"
        f"SwapTotal: {4 * GB // 1024} kB\nSwapFree: {GB // 1024} kB\n"
    )
    (root / "proc/self/cgroup").write_text(groups + "\n")
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
