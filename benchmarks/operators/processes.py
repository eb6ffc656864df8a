"""A process of ours that says one line when it is up, and what processes take of the cores."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from types import TracebackType
from typing import Self

TICK = 1.0 / os.sysconf("SC_CLK_TCK")


class Child:
    """``with Child(module) as child``: ``line`` is what it said first. It ends with its input."""

    def __init__(self, module: str) -> None:
        self._command = [sys.executable, "-m", module]
        self.line = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.line = self._read()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)

    def ask(self) -> str:
        """What it says to an empty line."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def cpu_seconds(root: int) -> float:
    """Of a process, its children and theirs, and of those that have ended already."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    ticks: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # The name may hold blanks and brackets; the numbers stand behind it.
            words = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pid = int(folder.name)
        children[int(words[1])].append(pid)
        ticks[pid] = sum(map(int, words[11:15]))
    waiting, total = [root], 0
    while waiting:
        pid = waiting.pop()
        total += ticks.get(pid, 0)
        waiting += children[pid]
    return total * TICK
