"""What the figures were measured on, as far as it matters to them."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.ground import ROOT
from gateway import __version__
from gateway.processes import interpreter


def facts() -> dict[str, Any]:
    """``commit`` is ``None`` where git cannot tell, and ends in ``+`` where files differ from it;
    ``memory`` is in bytes.
    """
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "python": python(),
        "gateway": __version__,
        "commit": _commit(),
    }


def python() -> str:
    """The version of the Python that runs this, and the gateway, and how it was built."""
    return f"{platform.python_version()} ({interpreter.build().value})"


def python_of(program: Path) -> str:
    """The same of another Python, asked itself; empty where it fails."""
    code = (
        "import platform, runpy, sys; how = runpy.run_path(sys.argv[1])['build']().value; "
        "print(f'{platform.python_version()} ({how})')"
    )
    command = [str(program), "-I", "-c", code, interpreter.__file__]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip()


def load_average() -> float:
    """How many processes wanted a core in the last minute."""
    return round(os.getloadavg()[0], 2)


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "-C", str(ROOT), "describe", "--always", "--dirty=+", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip() or None
